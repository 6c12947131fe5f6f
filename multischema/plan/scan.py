"""What the scan of columns that are published as they are has counted, and what it says of that."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Counted:
    """What the scan counted in a table: names and numbers, never a value.

    `rows` is how many it read, all of those wanted if `whole`, else a sample; `values` how many of them it looked at, by
    column, none of them NULL or empty; `hits` how many values each detector found, by column and detector, where it found
    any. `unfinished` says why it gave up, if it did. `named` has the word that makes a column's name or comment personal.
    """

    table: str
    rows: int = 0
    whole: bool = False
    values: Mapping[str, int] = field(default_factory=dict)
    hits: Mapping[tuple[str, str], int] = field(default_factory=dict)
    unfinished: str = ""
    named: Mapping[str, str] = field(default_factory=dict)
