"""What the rules do to each column of each table, for the register of processing: names and rules, never a value."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, get_args

from multischema.catalog.tables import Catalog, Table
from multischema.rules.file import Rules, TableRules
from multischema.rules.masks import KAnonymity, MaskRule

# A column is anonymized, wholly or in part, or pseudonymized, or published as it is, by a rule or as a key without one. It
# is left out if it is computed from columns that are hidden.
Treatment = Literal["anonymized", "partly", "pseudonymized", "clear", "key", "left out"]
TREATMENTS: tuple[Treatment, ...] = get_args(Treatment)


@dataclass(frozen=True)
class TreatedColumn:
    """A column and what is done to it: by which rule if `masks` has one, for which reason if it is clear.

    `type` is the origin's, empty where there is no origin to ask.
    """

    name: str
    treatment: Treatment
    type: str = ""
    rule: MaskRule | None = None
    reason: str = ""


@dataclass(frozen=True)
class TreatedTable:
    """A table, its columns, and the combinations of them that may not be rare. A truncated one is published without rows."""

    name: str
    truncated: bool
    columns: tuple[TreatedColumn, ...] = ()
    k_anonymity: KAnonymity | None = None


def treated(rules: Rules, catalog: Catalog | None = None) -> tuple[TreatedTable, ...]:
    """Return what the rules do, in the file's order.

    With a catalog, `rules` are the ones that a run follows, and what the origin does not have is left out. Without one, only
    the columns that the rules list are known: keys are missing.
    """
    if not catalog:
        return tuple(_treated(table, _listed(table)) for table in rules.tables.values())
    tables = {table.name: table for table in catalog.tables}
    return tuple(_treated(own, _columns(tables[name], own)) for name, own in rules.tables.items() if name in tables)


def _treated(rules: TableRules, columns: Iterator[TreatedColumn]) -> TreatedTable:
    if rules.truncated:
        return TreatedTable(rules.table, True)
    return TreatedTable(rules.table, False, tuple(columns), rules.k_anonymity)


def _listed(rules: TableRules) -> Iterator[TreatedColumn]:
    """Give the columns that the rules list, in the file's order."""
    places = {name: place for place, name in enumerate(rules.lines)}
    for name in sorted(rules.anonymized | rules.non_anonymized, key=lambda name: (places.get(name, 0), name)):
        yield _column(name, rules)


def _columns(table: Table, rules: TableRules) -> Iterator[TreatedColumn]:
    """Give the columns that the origin has, in its order."""
    left_out = table.computed_from(rules.anonymized)
    for column in table.columns:
        if column.name in left_out:
            yield TreatedColumn(column.name, "left out", column.type_text)
        else:
            yield _column(column.name, rules, column.type_text)


def _column(name: str, rules: TableRules, type_: str = "") -> TreatedColumn:
    if name in rules.anonymized:
        rule = rules.masks.get(name)
        treatment: Treatment = "partly" if rule else "anonymized"
        if rule and rule.mask and rule.mask.domain:
            treatment = "pseudonymized"
        return TreatedColumn(name, treatment, type_, rule)
    if name in rules.non_anonymized:
        return TreatedColumn(name, "clear", type_, reason=rules.clear_because.get(name, ""))
    return TreatedColumn(name, "key", type_)
