"""Masks: what stands in a published column instead of personal data. Their values are a contract with dashboards."""

from dataclasses import dataclass
from typing import Literal

from psycopg import sql

from multischema.catalog.flat import Flat, as_text, literal_default
from multischema.catalog.tables import Column

_PIECES = {"email": ("email_anonymise_", "@exemple.fr"), "text": ("[valeur unique anonymisée ", "]")}
TEXT_ARRAY = "{valeur anonymisée}"


@dataclass(frozen=True)
class Mask:
    """What replaces the values of a column: text around the row's key (email, text), a constant, or nothing but NULL."""

    kind: Literal["email", "text", "constant", "null"]
    constant: str = ""

    @property
    def is_keyed(self) -> bool:
        """Tell whether masked values differ from row to row."""
        return self.kind in _PIECES


def choose_mask(column: Column, flat: Flat) -> Mask:
    """Return the mask of an anonymized column, as the table of masked values says."""
    if flat.family == "text":
        return Mask("email" if "email" in column.name.lower() else "text")
    if flat.family == "text array":
        return Mask("constant", TEXT_ARRAY)
    if flat.family == "jsonb":
        return Mask("constant", "{}")
    default = literal_default(column.default) if flat.takes_default else None
    if default is not None:
        return Mask("constant", default)
    return Mask("constant", flat.neutral) if column.not_null else Mask("null")


def masked(mask: Mask, name: sql.Composable, not_null: bool, flat: Flat, type_: str, key: sql.Composable) -> sql.Composable:
    """Compose the mask; NULL stays NULL, and so does what is empty where the column may be NULL."""
    as_type = sql.SQL(type_)
    if mask.kind == "null":
        return sql.SQL("NULL::{}").format(as_type)
    value = sql.SQL("({})::{}").format(_around(mask, key) if mask.is_keyed else sql.Literal(mask.constant), as_type)
    if not_null:
        return value
    present = {"text": "{} <> ''", "text array": "cardinality({}) > 0"}.get(flat.family, "{} IS NOT NULL")
    return sql.SQL("CASE WHEN {} THEN {} END").format(sql.SQL(present).format(_compared(name, flat)), value)


def _compared(name: sql.Composable, flat: Flat) -> sql.Composable:
    """Compose what tells a text that is empty: of char(n), Postgres's own cast takes the blanks from its end."""
    if flat.family != "text":
        return name
    return as_text(name) if flat.conversion == "text" else sql.SQL("{}::text").format(name)


def violation(mask: Mask, name: sql.Composable, type_: str, key: sql.Composable | None) -> sql.Composable:
    """Compose what is true of a row of the staging schema that holds anything but the masked value or NULL."""
    if mask.kind == "null":
        return sql.SQL("{} IS NOT NULL").format(name)
    if mask.is_keyed and key is None:
        before, after = (piece.replace("[", r"\[").replace("]", r"\]").replace(".", r"\.") for piece in _PIECES[mask.kind])
        return sql.SQL("{} !~ {}").format(name, sql.Literal(f"^{before}[0-9]+{after}$"))
    if mask.is_keyed and key is not None:
        return sql.SQL("{} <> {}").format(name, _around(mask, key))
    constant = sql.SQL("{}::{}").format(sql.Literal(mask.constant), sql.SQL(type_))
    # a query of its own is asked once, not for each row
    return sql.SQL("{} IS NOT NULL AND {} <> (SELECT {})").format(name, as_text(name), as_text(constant))


def _around(mask: Mask, key: sql.Composable) -> sql.Composable:
    before, after = _PIECES[mask.kind]
    return sql.SQL("{} || {} || {}").format(sql.Literal(before), key, sql.Literal(after))
