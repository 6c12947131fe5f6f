"""Texts and enums of which some values are published."""

from dataclasses import dataclass
from typing import Self

from psycopg import sql

from multischema.masks.mask import Masked, Refined, Unreadable

OTHER = "[autre]"


@dataclass(frozen=True)
class Values(Refined):
    """The value if it is one of these, exactly; else `[autre]`."""

    values: tuple[str, ...]

    kind = "values"
    fits = ("text", "enum")

    @classmethod
    def read(cls, found: object) -> Self:
        """Return the mask that the rules describe. Raises Unreadable."""
        texts = [each for each in found if isinstance(each, str) and each] if isinstance(found, list) else []
        if not isinstance(found, list) or not texts or len(set(texts)) < len(found):
            raise Unreadable("want a list of different texts, such as [CAF, '75'], none of them empty")
        return cls(tuple(texts))

    def written(self) -> object:
        """Return what `read` takes."""
        return list(self.values)

    def published(self, column: Masked) -> sql.Composable:
        """Compose the value or the text that stands for all others."""
        return sql.SQL("CASE WHEN {} THEN {} ELSE {} END").format(
            _is_one(column.value, self.values), column.value, sql.Literal(OTHER)
        )

    def proof(self, column: Masked) -> sql.Composable:
        """Compose that a value is one of those that are shown, or stands for the others."""
        return _is_one(column.name, (*self.values, OTHER))

    def covers(self, other: Refined) -> bool:
        """Tell whether it surely shows no more than another: its values are among those of the other."""
        assert isinstance(other, Values)
        return set(self.values) <= set(other.values)


def _is_one(value: sql.Composable, values: tuple[str, ...]) -> sql.Composed:
    # by the column's own collation, other texts may be equal
    return sql.SQL('{} COLLATE "C" IN ({})').format(value, sql.SQL(", ").join(map(sql.Literal, values)))
