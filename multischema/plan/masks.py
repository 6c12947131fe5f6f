"""Masks: what published columns hold in place of personal data. Dashboards rely on their values."""

from dataclasses import dataclass
from typing import Literal

from psycopg import sql

from multischema.catalog import foreign
from multischema.catalog.flat import Flat, as_text, literal_default
from multischema.catalog.tables import Column

_PIECES = {"email": ("email_anonymise_", "@exemple.fr"), "text": ("[valeur unique anonymisée ", "]")}
_TEXT_ARRAY = "{valeur anonymisée}"


@dataclass(frozen=True)
class Mask:
    """What replaces the values of a column: text around the row's key (email, text), a constant, or nothing but NULL.

    The mask itself answers what it does to keys, indexes, rights and widths; nobody else looks at its kind.
    """

    kind: Literal["email", "text", "constant", "null"]
    text: str = ""

    @property
    def is_keyed(self) -> bool:
        """Tell whether masked values contain the row's key, and so differ with it."""
        return self.kind in _PIECES

    @property
    def is_searchable(self) -> bool:
        """Tell whether anybody can search by masked values: no mask leaves anything to search for today."""
        return False

    @property
    def constant(self) -> str | None:
        """Return the one masked value, None if values differ or are NULL."""
        return self.text if self.kind == "constant" else None

    @property
    def width(self) -> int:
        """Return the bytes that a masked value leaves in its row once it is moved out of line; 0 for a small one."""
        return 18 if self.is_keyed or self.text == _TEXT_ARRAY else 0

    def joins(self, other: "Mask | None") -> bool:  # noqa: ARG002
        """Tell whether a masked column still refers to the right rows of another: no mask of today's keeps that."""
        return False

    def is_unique(self, *, key_is_unique: bool) -> bool:
        """Tell whether all masked values are distinct, as NULLs are."""
        return self.kind == "null" or (self.is_keyed and key_is_unique)

    def reads_value(self, *, not_null: bool) -> bool:
        """Tell whether the origin must read the column, to tell NULL from the rest."""
        return self.kind != "null" and not not_null

    def writes_documents(self, type_: str) -> bool:
        """Tell whether a masked value of a document type, or an array of it, holds a document."""
        return not (self.kind == "null" or (type_.endswith("[]") and self.constant == "{}"))

    def expression(
        self, name: sql.Composable, flat: Flat, type_: str, key: sql.Composable, *, not_null: bool
    ) -> sql.Composable:
        """Compose the mask; NULL stays NULL, and an empty value becomes NULL if the column is nullable."""
        as_type = foreign.type_(type_)
        if self.kind == "null":
            return sql.SQL("NULL::{}").format(as_type)
        value = sql.SQL("({})::{}").format(self._around(key) if self.is_keyed else sql.Literal(self.text), as_type)
        if not_null:
            return value
        present = {"text": "{} <> ''", "text array": "cardinality({}) > 0"}.get(flat.family, "{} IS NOT NULL")
        return sql.SQL("CASE WHEN {} THEN {} END").format(sql.SQL(present).format(_compared(name, flat)), value)

    def violation(self, name: sql.Composable, type_: str, key: sql.Composable | None) -> sql.Composable:
        """Compose the condition that holds for a staging row with anything but the masked value or NULL."""
        if self.kind == "null":
            return sql.SQL("{} IS NOT NULL").format(name)
        if self.is_keyed and key is None:
            pieces = (piece.replace("[", r"\[").replace("]", r"\]").replace(".", r"\.") for piece in _PIECES[self.kind])
            before, after = pieces
            return sql.SQL("{} !~ {}").format(name, sql.Literal(f"^{before}[0-9]+{after}$"))
        if self.is_keyed and key is not None:
            # most values of many columns are NULL: without the first condition, each would have its mask composed
            return sql.SQL("{} IS NOT NULL AND {} <> {}").format(name, name, self._around(key))
        constant = sql.SQL("{}::{}").format(sql.Literal(self.text), foreign.type_(type_))
        # a subquery runs once, not for each row
        return sql.SQL("{} IS NOT NULL AND {} <> (SELECT {})").format(name, as_text(name), as_text(constant))

    def _around(self, key: sql.Composable) -> sql.Composable:
        before, after = _PIECES[self.kind]
        return sql.SQL("{} || {} || {}").format(sql.Literal(before), key, sql.Literal(after))


def choose_mask(column: Column, flat: Flat) -> Mask:
    """Return the mask of an anonymized column, by the README's table of masked values."""
    if flat.family == "text":
        return Mask("email" if "email" in column.name.lower() else "text")
    if flat.family == "text array":
        return Mask("constant", _TEXT_ARRAY)
    if flat.family == "jsonb":
        return Mask("constant", "{}")
    default = literal_default(column.default) if flat.takes_default else None
    if default is not None:
        return Mask("constant", default)
    return Mask("constant", flat.neutral) if column.not_null else Mask("null")


def _compared(name: sql.Composable, flat: Flat) -> sql.Composable:
    """Compose the value that tells an empty text: Postgres's own cast strips the trailing blanks of char(n)."""
    if flat.family != "text":
        return name
    return as_text(name) if flat.conversion == "text" else sql.SQL("{}::text").format(name)
