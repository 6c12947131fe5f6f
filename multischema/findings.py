"""What a check or a run has to say, as data: text, JSON and annotations are ways of saying it."""

from collections.abc import Iterable
from typing import Any, Literal

Level = Literal["error", "warning", "note"]


class Finding(str):
    """One thing that is wrong, or worth knowing. As text it is the line that people read: where, what, and what to do.

    `code` stands for its kind and never changes; `side` is the rules, the origin or the target; `object` is the table, the
    column or whatever else it is about, by name; `line` is that of the rules file, 0 if it has none.
    """

    code: str
    level: Level
    side: str
    table: str
    column: str
    object: str
    line: int
    what: str
    todo: str

    def __new__(
        cls,
        code: str,
        what: str,
        todo: str = "",
        *,
        level: Level = "warning",
        side: str = "",
        table: str = "",
        column: str = "",
        object: str = "",
        line: int = 0,
    ) -> "Finding":
        """Make a finding; without `object` it is about its column or table."""
        where = "rules: " + (f"line {line}: " if line else "") if side == "rules" else f"{side}: " if side else ""
        made = super().__new__(cls, f"{where}{what}" + (f"; {todo}" if todo else ""))
        made.code, made.level, made.side, made.table, made.column, made.line = code, level, side, table, column, line
        made.object = object or ".".join(filter(None, (table, column)))
        made.what, made.todo = what, todo
        return made

    def __getnewargs_ex__(self) -> tuple[tuple[str, ...], dict[str, Any]]:
        """Return what pickle makes it again from."""
        return (self.code, self.what, self.todo), {name: getattr(self, name) for name in _NAMED}

    def on(self, side: str) -> "Finding":
        """Return it as one about this side, which its text then begins with."""
        return self._changed(side=side)

    def at(self, level: Level) -> "Finding":
        """Return it as one of this level."""
        return self._changed(level=level)

    def _changed(self, **changes: Any) -> "Finding":
        return Finding(self.code, self.what, self.todo, **{**{name: getattr(self, name) for name in _NAMED}, **changes})

    def coded(self) -> str:
        """Return its text, then its code and object, as a rules file names a warning that is expected.

        Without an object, as what counts others has none, it can't be named there.
        """
        return f"{self} [{self.code} {self.object}]" if self.code and self.object else str(self)


_NAMED = ("level", "side", "table", "column", "object", "line")


def problem(code: str, what: str, todo: str = "", **where: Any) -> Finding:
    """Return a finding that stops the run."""
    return Finding(code, what, todo, level="error", **where)


def note(code: str, what: str, todo: str = "", **where: Any) -> Finding:
    """Return a finding that is only worth knowing."""
    return Finding(code, what, todo, level="note", **where)


def on(side: str, found: Iterable[Finding]) -> list[Finding]:
    """Return findings as ones about this side."""
    return [finding.on(side) for finding in found]
