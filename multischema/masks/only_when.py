"""A mask for some rows: those where another column of theirs, which is published as it is, has one of these values."""

from collections.abc import Sequence
from dataclasses import dataclass

from psycopg import sql

from multischema.catalog import foreign
from multischema.catalog.flat import Flat, as_text
from multischema.masks.mask import Mask, Masked


@dataclass(frozen=True)
class OnlyWhen(Mask):
    """Another mask where `condition` holds, and the `clear` value elsewhere. The condition is that of both databases."""

    mask: Mask
    condition: sql.Composable
    clear: sql.Composable

    @property
    def is_keyed(self) -> bool:
        """Tell whether masked values contain the row's key."""
        return self.mask.is_keyed

    @property
    def is_lossy(self) -> bool:
        """Tell whether it makes different values equal on purpose."""
        return self.mask.is_lossy

    @property
    def shows_values(self) -> bool:
        """Tell whether it publishes some values as they are."""
        return True

    @property
    def hidden_where(self) -> sql.Composable:
        """Return the condition of the rows whose values it hides."""
        return self.condition

    @property
    def domain(self) -> str:
        """Return the pseudonym domain whose key it needs, or nothing."""
        return self.mask.domain

    @property
    def constant(self) -> str | None:
        """Return the one masked value, None if values differ or are NULL."""
        return self.mask.constant

    @property
    def width(self) -> int:
        """Return the bytes that a masked value leaves in its row once it is moved out of line; 0 for a small one."""
        return self.mask.width

    @property
    def keeps_not_null(self) -> bool:
        """Tell whether a value always has a masked one."""
        return self.mask.keeps_not_null

    def writes_documents(self, type_: str) -> bool:  # noqa: ARG002
        """Tell whether a value of a document type holds a document: those that stay do."""
        return True

    def type_of(self, flat: Flat) -> str:
        """Return the published type."""
        return self.mask.type_of(flat)

    def expression(self, column: Masked) -> sql.Composable:
        """Compose the masked value where the condition holds, else the clear one."""
        return sql.SQL("CASE WHEN {} THEN {} ELSE ({})::{} END").format(
            self.condition, self.mask.expression(column), self.clear, foreign.type_(column.type)
        )

    def violation(self, column: Masked) -> sql.Composable:
        """Compose the condition of a row that should be masked and is not."""
        return sql.SQL("{} AND ({})").format(self.condition, self.mask.violation(column))


def condition(name: sql.Composable, flat: Flat, values: Sequence[str]) -> sql.Composable:
    """Compose the condition that a column has one of these values, as text, or none: it never is NULL.

    It reads the same of the origin's column, of a raw one and of the published one.
    """
    # of char(n), the server's own cast strips the trailing blanks
    text = sql.SQL("{}::text").format(name) if flat.family == "text" and flat.conversion != "text" else as_text(name)
    # by the column's own collation, other texts may be equal, and the target may lack it
    return sql.SQL('({} IS NULL OR {} COLLATE "C" IN ({}))').format(name, text, sql.SQL(", ").join(map(sql.Literal, values)))
