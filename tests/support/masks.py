"""A mask for tests of what the rules say of masks."""

from dataclasses import dataclass
from typing import Self

from psycopg import sql

from multischema.masks.mask import Mask, Masked, Refined, Unreadable


@dataclass(frozen=True)
class Echo(Refined):
    """A mask of texts and enums, and of few integers, that keeps what the rules give it, and tells values apart."""

    found: object

    kind = "echo"
    fits = ("text", "enum", "int4")

    @classmethod
    def read(cls, found: object) -> Self:
        if isinstance(found, dict):
            raise Unreadable("want something else")
        return cls(found)

    @property
    def identifies(self) -> bool:
        return True

    def joins(self, other: Mask | None) -> bool:
        return self == other

    def written(self) -> object:
        return self.found

    def published(self, column: Masked) -> sql.Composable:
        return column.value

    def proof(self, column: Masked) -> sql.Composable:
        return column.name

    def covers(self, other: Refined) -> bool:
        return self == other

    def misfit(self, type_: str, spelling: str) -> str | None:
        return f"{self.found} is no {spelling}" if type_ == "int4" and self.found != "1" else None
