"""Dates and times, truncated to a period."""

from dataclasses import dataclass
from typing import Self

from psycopg import sql

from multischema.masks.mask import Masked, Refined, Unreadable

UNITS = ("year", "quarter", "month", "week", "day")
_ZONE = "Europe/Paris"


@dataclass(frozen=True)
class Period(Refined):
    """The start of the year, quarter, month, week or day that a date or time is in; of a timestamptz, in Europe/Paris."""

    unit: str

    kind = "period"
    fits = ("date", "timestamp", "timestamptz")

    @classmethod
    def read(cls, found: object) -> Self:
        """Return the mask that the rules describe. Raises Unreadable."""
        if found not in UNITS:
            raise Unreadable(f"want {', '.join(UNITS[:-1])} or {UNITS[-1]}")
        return cls(str(found))

    def written(self) -> object:
        """Return what `read` takes."""
        return self.unit

    def published(self, column: Masked) -> sql.Composable:
        """Compose the start of the period."""
        return self._start(column.value, column.flat.spelling)

    def proof(self, column: Masked) -> sql.Composable:
        """Compose that a value is the start of its own period."""
        return sql.SQL("{} = {}").format(column.name, self._start(column.name, column.flat.spelling))

    def covers(self, other: Refined) -> bool:
        """Tell whether it surely shows no more than another: a week is no part of a month."""
        assert isinstance(other, Period)
        wide, narrow = UNITS.index(self.unit), UNITS.index(other.unit)
        return self.unit == other.unit or (wide < narrow and (self.unit == "week" or other.unit != "week"))

    def _start(self, value: sql.Composable, spelling: str) -> sql.Composable:
        unit = sql.Literal(self.unit)
        if spelling == "date":
            return sql.SQL("date_trunc({}, {}::timestamp)::date").format(unit, value)
        if spelling.endswith("with time zone"):
            return sql.SQL("date_trunc({}, {}, {})").format(unit, value, sql.Literal(_ZONE))
        return sql.SQL("date_trunc({}, {})").format(unit, value)
