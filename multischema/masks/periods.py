"""Dates and times, truncated to a period."""

from dataclasses import dataclass
from typing import Self

from psycopg import sql

from multischema.masks.mask import Masked, Refined, Unreadable

UNITS = ("year", "quarter", "month", "week", "day")
_ZONE = "Europe/Paris"
# Years begin before the first date that there is; here one begins on a Monday, and so does a period of every kind.
_FIRST = "4710-01-01 BC"
# Timestamps end here, dates go on. Days and weeks of the calendar repeat every 400 years, which have 146,097 days.
_LAST = "294276-12-31"


@dataclass(frozen=True)
class Period(Refined):
    """The start of the year, quarter, month, week or day that a date or time is in; of a timestamptz, in Europe/Paris.

    Infinity stays, and what is before 4710 BC becomes -infinity: its period may start before dates do.
    """

    unit: str

    kind = "period"
    fits = ("date", "timestamp", "timestamptz")
    choices = UNITS

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

    def hides_nothing(self, type_: str, spelling: str) -> str | None:  # noqa: ARG002
        """Return why it publishes a date as it is: that is a day."""
        if (type_, self.unit) != ("date", "day"):
            return None
        return f"a date is a day; use {', '.join(UNITS[:-2])} or {UNITS[-2]}"

    def _start(self, value: sql.Composable, spelling: str) -> sql.Composable:
        parts = {"value": value, "unit": sql.Literal(self.unit), "first": sql.Literal(_FIRST), "zone": sql.Literal(_ZONE)}
        if spelling == "date":
            cycles = sql.SQL("({value} - '2000-01-01'::date) / 146097 * 146097").format(value=value)
            return sql.SQL(
                "CASE WHEN {value} BETWEEN {first} AND {last} THEN date_trunc({unit}, {value}::timestamp)::date "
                "WHEN {value} < {first} THEN '-infinity' "
                "WHEN {value} < 'infinity' THEN date_trunc({unit}, ({value} - {cycles})::timestamp)::date + {cycles} "
                "ELSE {value} END"
            ).format(**parts, last=sql.Literal(_LAST), cycles=cycles)
        if spelling.endswith("with time zone"):
            return sql.SQL(
                "CASE WHEN {value} < {first}::timestamp AT TIME ZONE {zone} THEN '-infinity' "
                "ELSE date_trunc({unit}, {value}, {zone}) END"
            ).format(**parts)
        return sql.SQL("CASE WHEN {value} < {first} THEN '-infinity' ELSE date_trunc({unit}, {value}) END").format(**parts)
