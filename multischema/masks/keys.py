"""Documents, of which the keys stay that say nothing about anybody."""

from dataclasses import dataclass
from typing import Self

from psycopg import sql

from multischema.masks.mask import Masked, Refined, Unreadable

_NESTED = sql.SQL("('object', 'array')")


@dataclass(frozen=True)
class Keys(Refined):
    """An object of the listed keys that a document has at its top with scalar values: `{}` if there are none."""

    names: tuple[str, ...]

    kind = "keys"
    fits = ("jsonb",)

    @property
    def width(self) -> int:
        """Return the bytes that a masked value leaves in its row once it is moved out of line."""
        return 18

    @classmethod
    def read(cls, found: object) -> Self:
        """Return the mask that keeps these keys. Raises Unreadable."""
        if not isinstance(found, list) or not found or not all(isinstance(name, str) and _is_key(name) for name in found):
            raise Unreadable("want a list of keys, each as text")
        return cls(tuple(dict.fromkeys(found)))

    def written(self) -> object:
        """Return what `read` takes."""
        return list(self.names)

    def published(self, column: Masked) -> sql.Composable:
        """Compose the object of the keys that stay.

        A subquery over the document's keys would take three times as long, and a name in it could be that of a column.
        """
        kept = (
            sql.SQL(
                "CASE WHEN jsonb_typeof({value} -> {key}) NOT IN {nested} "
                "THEN jsonb_build_object({key}, {value} -> {key}) ELSE '{{}}' END"
            ).format(value=column.value, key=_literal(name), nested=_NESTED)
            for name in self.names
        )
        return sql.SQL("({})").format(sql.SQL(" || ").join(kept))

    def proof(self, column: Masked) -> sql.Composable:
        """Compose that a value is an object with nothing in it but scalars at the keys that stay."""
        keys = sql.SQL(", ").join(map(_literal, self.names))
        scalars = (
            sql.SQL("jsonb_typeof({} -> {}) IN {} IS NOT TRUE").format(column.name, _literal(name), _NESTED)
            for name in self.names
        )
        return sql.SQL(
            "CASE jsonb_typeof({name}) WHEN 'object' THEN {name} - ARRAY[{keys}] = '{{}}' AND {scalars} END"
        ).format(name=column.name, keys=keys, scalars=sql.SQL(" AND ").join(scalars))

    def covers(self, other: Refined) -> bool:
        """Tell whether it surely shows no more than another."""
        assert isinstance(other, Keys)
        return set(self.names) <= set(other.names)


def _is_key(name: str) -> bool:
    """Tell whether a document of Postgres can have the key: no NUL, no lone surrogate."""
    return not any(sign == "\0" or "\ud800" <= sign <= "\udfff" for sign in name)


def _literal(name: str) -> sql.Composable:
    return sql.SQL("{}::text").format(sql.Literal(name))
