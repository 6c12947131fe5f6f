"""The published tables: their columns, each with its type, its mask and the expression that the origin computes for it."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from psycopg import sql

from multischema.catalog.flat import Flat, as_text, convert, flatten
from multischema.catalog.tables import Catalog, Column, Table
from multischema.masks import only_when
from multischema.masks.mask import Mask, Masked
from multischema.masks.whole import choose_whole
from multischema.rules.file import TableRules
from multischema.rules.masks import KAnonymity, MaskRule


@dataclass(frozen=True)
class ColumnPlan:
    """A published column: its type, its mask, and the expression that the origin computes for it.

    `rule` is what the rules' `masks` say of it, None where it is masked wholly or not at all. `because` is the reason that
    they give for publishing it as it is, `line` where in their file it is listed, or its table if it is not.
    """

    name: str
    type: str
    not_null: bool
    collation: str | None
    comment: str | None
    mask: Mask | None
    expression: sql.Composable
    violation: sql.Composable | None
    rule: MaskRule | None = None
    because: str = ""
    line: int = field(default=0, compare=False)

    @property
    def is_converted(self) -> bool:
        """Tell whether a value is converted from the column's own, not masked."""
        return not self.mask and self.expression != sql.Identifier(self.name)

    @property
    def shows_values(self) -> bool:
        """Tell whether it holds values as they are, in some rows at least."""
        return not self.mask or self.mask.shows_values

    @property
    def is_read(self) -> bool:
        """Tell whether the expression reads the column: a mask does if it must tell NULL from the rest."""
        return not self.mask or self.mask.reads_value(not_null=self.not_null)

    @property
    def said(self) -> str:
        """Return its name, with what the rules' `masks` say of it."""
        return f"{self.name} ({self.rule.said()})" if self.rule else self.name


@dataclass(frozen=True)
class Guard:
    """Values that a column must not have: what they are, and the condition that finds them."""

    column: str
    what: str
    predicate: sql.Composable


@dataclass(frozen=True)
class TablePlan:
    """A published table: its columns, the key of its masks (no column means a row number), and what was left out.

    A `whole` table is read with everything that inherits from it, partitions or children. Rows that don't meet the
    `condition`, if there is one, are not read.
    """

    oid: int
    name: str
    kind: str
    comment: str | None
    bytes: int
    truncated: bool
    key: tuple[str, ...]
    columns: tuple[ColumnPlan, ...]
    unpublished: tuple[str, ...]
    guards: tuple[Guard, ...] = ()
    whole: bool = False
    condition: sql.Composable | None = None
    k_anonymity: KAnonymity | None = None

    @property
    def masked(self) -> tuple[ColumnPlan, ...]:
        """Return the columns that have a mask."""
        return tuple(column for column in self.columns if column.mask)

    @property
    def clear(self) -> tuple[ColumnPlan, ...]:
        """Return the columns that are published as they are; a truncated table has none."""
        return () if self.truncated else tuple(column for column in self.columns if not column.mask)

    @property
    def read(self) -> tuple[str, ...]:
        """Return the columns that the SELECT reads, in order; if none, the first: it must name one."""
        key = self.key if any(column.mask and column.mask.is_keyed for column in self.columns) else ()
        found = tuple(column.name for column in self.columns if column.is_read or column.name in key)
        return found or tuple(column.name for column in self.columns[:1])

    @property
    def names(self) -> frozenset[str]:
        """Return the names of the published columns."""
        return frozenset(column.name for column in self.columns)

    def mask(self, column: str | None) -> Mask | None:
        """Return the mask of a column, None if it has none or is an expression."""
        return next((plan.mask for plan in self.columns if plan.name == column), None)


def plan_table(
    table: Table, rules: TableRules | None, catalog: Catalog, collations: frozenset[str], *, raw: bool = False
) -> TablePlan:
    """Decide the published table. `collations` are those of the origin that the target has too.

    With `raw`, its rows come from a raw table of the target, else from the origin.
    """
    anonymized = rules.anonymized if rules else frozenset()
    unpublished = table.computed_from(anonymized)
    flats = {column.name: flatten(column.type_oid, column.type_text, catalog.types) for column in table.columns}
    key = row_key(table, flats, anonymized.union(unpublished))
    return TablePlan(
        oid=table.oid,
        name=table.name,
        kind=table.kind,
        comment=table.comment,
        bytes=table.bytes,
        truncated=bool(rules and rules.truncated),
        key=key,
        columns=tuple(
            replace(
                _plan_column(column, flats, _mask(column, flats, rules, raw=raw), key, collations, raw=raw),
                because=rules.clear_because.get(column.name, "") if rules else "",
                line=rules.lines.get(column.name, rules.line) if rules else 0,
            )
            for column in table.columns
            if column.name not in unpublished
        ),
        unpublished=unpublished,
        whole=table.kind == "p" or bool(table.children),
        k_anonymity=rules.k_anonymity if rules else None,
    )


def row_key(table: Table, flats: Mapping[str, Flat], anonymized: frozenset[str]) -> tuple[str, ...]:
    """Return the key of the masks: `id`, else the primary key, if made of integers or uuids that are not personal."""
    for names in (("id",), table.primary_key):
        if names and all(name in flats and flats[name].is_key and name not in anonymized for name in names):
            return names
    return ()


def too_wide(table: TablePlan) -> bool:
    """Tell whether the masks, each moved out of line, overflow a page (8 kB, 8,160 bytes for a row)."""
    widths = sum(column.mask.width for column in table.columns if column.mask)
    return 24 + len(table.columns) / 8 + widths > 8160


def _mask(
    column: Column, flats: Mapping[str, Flat], rules: TableRules | None, *, raw: bool
) -> tuple[Mask | None, MaskRule | None]:
    """Return the mask of a column, None if it is published as it is, and the rule that says more than that it has one."""
    if not rules or column.name not in rules.anonymized:
        return None, None
    flat, rule = flats[column.name], rules.masks.get(column.name)
    mask: Mask = (rule and rule.mask) or choose_whole(column, flat)
    if rule and rule.only_when:
        other = rule.only_when.column
        where = only_when.condition(sql.Identifier(other), flats[other], rule.only_when.values)
        mask = only_when.OnlyWhen(mask, where, convert(flat, sql.Identifier(column.name), raw=raw))
    return mask, rule


def _plan_column(
    column: Column,
    flats: Mapping[str, Flat],
    masking: tuple[Mask | None, MaskRule | None],
    key: tuple[str, ...],
    collations: frozenset[str],
    *,
    raw: bool,
) -> ColumnPlan:
    name, flat, (mask, rule) = sql.Identifier(column.name), flats[column.name], masking
    type_ = mask.type_of(flat) if mask else flat.spelling
    masked = Masked(name, flat, type_, column.not_null, _key_text(key), bool(key))
    collation = column.collation_name if column.collation_schema == "pg_catalog" else None
    return ColumnPlan(
        name=column.name,
        type=type_,
        not_null=column.not_null and not (mask and not mask.keeps_not_null),
        collation=collation if collation in collations and flat.family.startswith("text") else None,
        comment=column.comment,
        mask=mask,
        expression=mask.expression(masked) if mask else convert(flat, name, raw=raw),
        violation=mask.violation(masked) if mask else None,
        rule=rule,
    )


def _key_text(key: tuple[str, ...]) -> sql.Composable:
    if not key:
        return as_text(sql.SQL("row_number() OVER ()"))
    parts = [as_text(sql.Identifier(name)) for name in key]
    return sql.SQL(" || '-' || ").join(parts)
