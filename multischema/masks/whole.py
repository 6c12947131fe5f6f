"""Masks that keep nothing of a value: what anonymized columns hold unless `masks` says more. Dashboards rely on them."""

from dataclasses import dataclass
from typing import Literal

from psycopg import sql

from multischema.catalog import foreign
from multischema.catalog.flat import Flat, as_text, literal_default
from multischema.catalog.tables import Column
from multischema.masks.mask import Mask, Masked

_PIECES = {"email": ("email_anonymise_", "@exemple.fr"), "text": ("[valeur unique anonymisée ", "]")}
_TEXT_ARRAY = "{valeur anonymisée}"


@dataclass(frozen=True)
class Whole(Mask):
    """What replaces the values of a column: text around the row's key (email, text), a constant, or nothing but NULL."""

    kind: Literal["email", "text", "constant", "null"]
    text: str = ""

    @property
    def is_keyed(self) -> bool:
        """Tell whether masked values contain the row's key, and so differ with it."""
        return self.kind in _PIECES

    @property
    def is_searchable(self) -> bool:
        """Tell whether anybody can search by masked values: they leave nothing to search for."""
        return False

    @property
    def is_lossy(self) -> bool:
        """Tell whether it fits no unique column: one that is masked wholly becomes a plain one, as ever."""
        return False

    @property
    def constant(self) -> str | None:
        """Return the one masked value, None if values differ or are NULL."""
        return self.text if self.kind == "constant" else None

    @property
    def width(self) -> int:
        """Return the bytes that a masked value leaves in its row once it is moved out of line; 0 for a small one."""
        return 18 if self.is_keyed or self.text == _TEXT_ARRAY else 0

    @property
    def needs_type(self) -> bool:
        """Tell whether it computes with the value: it only tells whether there is one."""
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

    def expression(self, column: Masked) -> sql.Composable:
        """Compose the mask; NULL stays NULL, and an empty value becomes NULL if the column is nullable."""
        as_type = foreign.type_(column.type)
        if self.kind == "null":
            return sql.SQL("NULL::{}").format(as_type)
        inside = self._around(column.key) if self.is_keyed else sql.Literal(self.text)
        value = sql.SQL("({})::{}").format(inside, as_type)
        return value if column.not_null else sql.SQL("CASE WHEN {} THEN {} END").format(column.present, value)

    def violation(self, column: Masked) -> sql.Composable:
        """Compose the condition that holds for a staging row with anything but the masked value or NULL."""
        name = column.name
        if self.kind == "null":
            return sql.SQL("{} IS NOT NULL").format(name)
        if self.is_keyed and not column.has_key:
            pieces = (piece.replace("[", r"\[").replace("]", r"\]").replace(".", r"\.") for piece in _PIECES[self.kind])
            before, after = pieces
            return sql.SQL("{} !~ {}").format(name, sql.Literal(f"^{before}[0-9]+{after}$"))
        if self.is_keyed:
            # most values of many columns are NULL: without the first condition, each would have its mask composed
            return sql.SQL("{} IS NOT NULL AND {} <> {}").format(name, name, self._around(column.key))
        constant = sql.SQL("{}::{}").format(sql.Literal(self.text), foreign.type_(column.type))
        # a subquery runs once, not for each row
        return sql.SQL("{} IS NOT NULL AND {} <> (SELECT {})").format(name, as_text(name), as_text(constant))

    def _around(self, key: sql.Composable) -> sql.Composable:
        before, after = _PIECES[self.kind]
        return sql.SQL("{} || {} || {}").format(sql.Literal(before), key, sql.Literal(after))


def choose_whole(column: Column, flat: Flat) -> Whole:
    """Return the mask of an anonymized column, by the README's table of masked values."""
    if flat.family == "text":
        return Whole("email" if "email" in column.name.lower() else "text")
    if flat.family == "text array":
        return Whole("constant", _TEXT_ARRAY)
    if flat.family == "jsonb":
        return Whole("constant", "{}")
    default = literal_default(column.default) if flat.takes_default else None
    if default is not None:
        return Whole("constant", default)
    return Whole("constant", flat.neutral) if column.not_null else Whole("null")
