"""Tables that frameworks make, which need no thought: their rules are known, read from `frameworks.yml`."""

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

import yaml

from multischema.catalog.tables import Table


@dataclass(frozen=True)
class Framework:
    """Tables of a framework: by name, and by columns that they have; published without rows, or with the `clear` columns."""

    framework: str
    tables: tuple[str, ...]
    columns: frozenset[str]
    clear: frozenset[str]

    @property
    def truncates(self) -> bool:
        """Tell whether the tables are published without their rows."""
        return not self.clear

    def made(self, table: Table) -> bool:
        """Tell whether a table is one of these: an app may have one of the same name, with other columns."""
        is_named = any(fnmatchcase(table.name, pattern) for pattern in self.tables)
        return is_named and self.columns <= {column.name for column in table.columns}


def read_frameworks(text: str) -> tuple[Framework, ...]:
    """Return the tables of frameworks of a text in the form of `frameworks.yml`."""
    return tuple(
        Framework(each["framework"], tuple(each["tables"]), frozenset(each["columns"]), frozenset(each.get("clear", ())))
        for each in yaml.safe_load(text)
    )


def framework_of(table: Table, frameworks: Sequence[Framework]) -> Framework | None:
    """Return what made a table, None for one of the app's own."""
    return next((each for each in frameworks if each.made(table)), None)
