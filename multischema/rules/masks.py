"""What the rules' `masks` and `k_anonymity` say of a column and of a table."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from multischema.masks.known import KINDS
from multischema.masks.mask import Refined, Unreadable


@dataclass(frozen=True)
class OnlyWhen:
    """Which rows are masked: those where a column, published as it is, has one of these values (as text) or none.

    If they `are_booleans`, they are so in the file: `no` is false there, and no text.
    """

    column: str
    values: tuple[str, ...]
    are_booleans: bool = False

    @property
    def said(self) -> tuple[str, ...]:
        """Return the values in words, for reports."""
        return (
            tuple({"t": "true", "f": "false"}.get(value, value) for value in self.values)
            if self.are_booleans
            else self.values
        )


@dataclass(frozen=True)
class MaskRule:
    """How a column is anonymized: by this mask, wholly if there is none; in all rows, unless `only_when` says in which.

    `line` is where the file says so.
    """

    mask: Refined | None
    only_when: OnlyWhen | None = None
    line: int = field(default=0, compare=False, repr=False)

    def said(self) -> str:
        """Return it in words, for reports: the rules' own."""
        where = f"only when {self.only_when.column} is {', '.join(self.only_when.said)}" if self.only_when else ""
        return "; ".join(filter(None, (self.mask.said() if self.mask else "", where)))

    def written(self) -> dict[str, object]:
        """Return what `recalled` takes, as JSON can hold it."""
        found: dict[str, object] = {self.mask.kind: self.mask.written()} if self.mask else {}
        if self.only_when:
            values = [value == "t" if self.only_when.are_booleans else value for value in self.only_when.values]
            found["only_when"] = {self.only_when.column: values}
        return found

    def covers(self, other: "MaskRule | None") -> bool:
        """Tell whether it surely shows no more than another did, which masked wholly if there is none."""
        if other is None:
            return False
        if self.only_when and not (
            other.only_when
            and self.only_when.column == other.only_when.column
            and set(self.only_when.values) >= set(other.only_when.values)
        ):
            return False
        if not (self.mask and other.mask):
            return not self.mask
        return type(self.mask) is type(other.mask) and self.mask.covers(other.mask)


@dataclass(frozen=True)
class KAnonymity:
    """Combinations of the columns that fewer than `k` different `per` share are refused or warned of.

    Without `per`, rows are counted. `line` is where the file says so.
    """

    columns: tuple[str, ...]
    k: int = 5
    per: str = ""
    on_breach: Literal["refuse", "warn"] = "refuse"
    line: int = field(default=0, compare=False, repr=False)  # never in a repr: the record of a run keeps that


def recalled(found: Mapping[str, object]) -> MaskRule | None:
    """Return the rule that `written` gave, None for anything else, such as what a newer version wrote."""
    mask, only_when = None, None
    try:
        for kind, value in found.items():
            if kind == "only_when" and isinstance(value, dict):
                ((column, values),) = value.items()
                texts = tuple("ft"[each] if isinstance(each, bool) else each for each in values)
                only_when = OnlyWhen(column, texts, any(isinstance(each, bool) for each in values))
            else:
                mask = KINDS[kind].read(value)
    except (Unreadable, KeyError, ValueError, TypeError):
        return None
    return MaskRule(mask, only_when)
