"""Masks: what stands in a published column instead of personal data. Their values are a contract with dashboards."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from psycopg import sql

from multischema.catalog import Catalog, Column, Table
from multischema.flattening import Flat, as_text, convert, flatten, literal_default
from multischema.rules import TableRules

_PIECES = {"email": ("email_anonymise_", "@exemple.fr"), "text": ("[valeur unique anonymisée ", "]")}
_TEXT_ARRAY = "{valeur anonymisée}"


@dataclass(frozen=True)
class Mask:
    """What replaces the values of a column: text around the row's key (email, text), a constant, or nothing but NULL."""

    kind: Literal["email", "text", "constant", "null"]
    constant: str = ""

    @property
    def is_keyed(self) -> bool:
        """Tell whether masked values differ from row to row."""
        return self.kind in _PIECES


@dataclass(frozen=True)
class ColumnPlan:
    """A published column: its type, its mask, and the expression that the origin computes for it."""

    name: str
    type: str
    not_null: bool
    collation: str | None
    comment: str | None
    mask: Mask | None
    expression: sql.Composable
    violation: sql.Composable | None

    @property
    def is_converted(self) -> bool:
        """Tell whether a value is made of the column's own, none of a mask."""
        return not self.mask and self.expression != sql.Identifier(self.name)

    @property
    def is_read(self) -> bool:
        """Tell whether the expression reads the column: a mask does where it must tell NULL from the rest."""
        return not self.mask or not (self.mask.kind == "null" or self.not_null)


@dataclass(frozen=True)
class Guard:
    """What must not be among the values of a column: what it is, and what is true of a row that has one."""

    column: str
    what: str
    predicate: sql.Composable


@dataclass(frozen=True)
class TablePlan:
    """A published table: its columns, what its masks are keyed by (no column: a row number), what was left out.

    One that is `whole` is read with all that inherits from it, partitions or children.
    """

    oid: int
    name: str
    kind: str
    comment: str | None
    bytes: int
    truncated: bool
    key: tuple[str, ...]
    columns: tuple[ColumnPlan, ...]
    left_out: tuple[str, ...]
    guards: tuple[Guard, ...] = ()
    whole: bool = False

    @property
    def masked(self) -> tuple[ColumnPlan, ...]:
        """Return the columns that have a mask."""
        return tuple(column for column in self.columns if column.mask)

    @property
    def read(self) -> tuple[str, ...]:
        """Return the columns that the SELECT reads, in their order; where that is none, the first: it must have one."""
        key = self.key if any(column.mask and column.mask.is_keyed for column in self.columns) else ()
        found = tuple(column.name for column in self.columns if column.is_read or column.name in key)
        return found or tuple(column.name for column in self.columns[:1])

    @property
    def names(self) -> frozenset[str]:
        """Return the names of the published columns."""
        return frozenset(column.name for column in self.columns)

    def mask(self, column: str | None) -> Mask | None:
        """Return the mask of a column; None where it has none, or is an expression."""
        return next((plan.mask for plan in self.columns if plan.name == column), None)


def plan_table(
    table: Table, rules: TableRules | None, catalog: Catalog, collations: frozenset[str], *, raw: bool = False
) -> TablePlan:
    """Decide the published table. `collations` are those of the origin that the target has as well.

    With `raw` its rows are read from a raw table of the target, else from the origin's.
    """
    anonymized = rules.anonymized if rules else frozenset()
    left_out = tuple(c.name for c in table.columns if c.generated and anonymized.intersection(c.generated_from))
    flats = {column.name: flatten(column.type_oid, column.type_text, catalog.types) for column in table.columns}
    key = row_key(table, flats, anonymized.union(left_out))
    return TablePlan(
        oid=table.oid,
        name=table.name,
        kind=table.kind,
        comment=table.comment,
        bytes=table.bytes,
        truncated=bool(rules and rules.truncated),
        key=key,
        columns=tuple(
            _plan_column(column, flats[column.name], column.name in anonymized, _key_text(key), bool(key), collations, raw)
            for column in table.columns
            if column.name not in left_out
        ),
        left_out=left_out,
        whole=table.kind == "p" or bool(table.children),
    )


def row_key(table: Table, flats: Mapping[str, Flat], anonymized: frozenset[str]) -> tuple[str, ...]:
    """Return what masks are keyed by: `id`, else the primary key, where these are integers or uuids and not personal."""
    for names in (("id",), table.primary_key):
        if names and all(name in flats and flats[name].is_key and name not in anonymized for name in names):
            return names
    return ()


def choose_mask(column: Column, flat: Flat) -> Mask:
    """Return the mask of an anonymized column, as the table of masked values says."""
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


def select(table: TablePlan, schema: str) -> sql.Composed:
    """Return the SELECT that the origin runs: masked columns, by name.

    An inheritance parent gives its own rows, and its children's where these are no tables of the origin schema.
    """
    return sql.SQL("SELECT {} FROM {}").format(
        sql.SQL(", ").join(column.expression for column in table.columns), _rows(table, schema)
    )


def guarding(table: TablePlan, schema: str) -> sql.Composed:
    """Return the SELECT that counts, for each guard of a table, the rows that have what must not be among its values."""
    counts = (sql.SQL("count(*) FILTER (WHERE {})").format(guard.predicate) for guard in table.guards)
    return sql.SQL("SELECT ARRAY[{}] AS counts FROM {}").format(sql.SQL(", ").join(counts), _rows(table, schema))


def computing(table: TablePlan, column: ColumnPlan, schema: str) -> sql.Composed:
    """Return the SELECT that computes all published values of a column, and gives none of them."""
    return sql.SQL("SELECT count({}) FROM {}").format(column.expression, _rows(table, schema))


def counting(table: TablePlan, schema: str) -> sql.Composed:
    """Return the SELECT that counts the rows which `select` gives."""
    return sql.SQL("SELECT count(*) AS rows FROM {}").format(_rows(table, schema))


def too_wide(table: TablePlan) -> bool:
    """Tell whether the masks, each moved out of line, fill more than a page (8 kB, of which 8,160 bytes are a row's)."""
    texts = sum(
        1 for column in table.masked if column.mask and (column.mask.is_keyed or column.mask.constant == _TEXT_ARRAY)
    )
    return 24 + len(table.columns) / 8 + 18 * texts > 8160


def _rows(table: TablePlan, schema: str) -> sql.Composed:
    return sql.SQL("{}{}").format(sql.SQL("" if table.whole else "ONLY "), sql.Identifier(schema, table.name))


def _plan_column(
    column: Column, flat: Flat, anonymized: bool, key: sql.Composable, has_key: bool, collations: frozenset[str], raw: bool
) -> ColumnPlan:
    name = sql.Identifier(column.name)
    mask = choose_mask(column, flat) if anonymized else None
    type_ = flat.unlimited if mask else flat.spelling
    collation = column.collation_name if column.collation_schema == "pg_catalog" else None
    return ColumnPlan(
        name=column.name,
        type=type_,
        not_null=column.not_null,
        collation=collation if collation in collations and flat.family.startswith("text") else None,
        comment=column.comment,
        mask=mask,
        expression=_masked(mask, name, column.not_null, flat, type_, key) if mask else convert(flat, name, raw=raw),
        violation=_violation(mask, name, type_, key if has_key else None) if mask else None,
    )


def _key_text(key: tuple[str, ...]) -> sql.Composable:
    if not key:
        return as_text(sql.SQL("row_number() OVER ()"))
    parts = [as_text(sql.Identifier(name)) for name in key]
    return sql.SQL(" || '-' || ").join(parts)


def _masked(mask: Mask, name: sql.Composable, not_null: bool, flat: Flat, type_: str, key: sql.Composable) -> sql.Composable:
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


def _violation(mask: Mask, name: sql.Composable, type_: str, key: sql.Composable | None) -> sql.Composable:
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
