"""The rules that a run follows: keys with values that the rules hide elsewhere are hidden too."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace

from multischema.catalog.flat import flatten
from multischema.catalog.tables import Catalog, Column, ForeignKey, Table
from multischema.rules.file import Rules, TableRules
from multischema.rules.masks import MaskRule


@dataclass(frozen=True)
class Reference:
    """What a key column refers to, and how that is hidden: anonymized, by this rule if `masks` has one, or truncated."""

    column: str
    hidden: str
    rule: MaskRule | None = None

    @property
    def advice(self) -> str:
        """Return how the foreign key can be kept: two columns with a mask that joins still refer to each other."""
        mask = self.rule.mask if self.rule and not self.rule.only_when else None
        return f"list it with the mask {mask.said()} too to keep the foreign key" if mask and mask.joins(mask) else ""


def effective(rules: Rules, catalog: Catalog) -> Rules:
    """Return the rules that a run follows: keys that refer to a hidden column hold its values, so they are anonymized too.

    A key that the rules list stays as they say.
    """
    tables = dict(rules.tables)
    while True:
        more: defaultdict[str, set[str]] = defaultdict(set)
        for table, column in referring(tables, catalog):
            own = tables.get(table)
            if own and not own.truncated and column not in own.anonymized | own.non_anonymized:
                more[table].add(column)
        if not more:
            return replace(rules, tables=tables)
        for table, columns in more.items():
            tables[table] = replace(tables[table], anonymized=tables[table].anonymized | columns)


def referring(rules: Mapping[str, TableRules], catalog: Catalog) -> dict[tuple[str, str], Reference]:
    """Return the columns, by table, that refer to a hidden one: anonymized, or a natural key of a truncated table.

    Integers and uuids of truncated tables reveal nothing about a row, and dashboards count by them: they stay, unless they
    refer to a hidden column.
    """
    tables = {table.name: table for table in catalog.tables}
    hidden = {table.name: hidden_columns(table, rules.get(table.name)) for table in catalog.tables}
    referring: dict[tuple[str, str], Reference] = {}

    def refer(key: ForeignKey, column: str, referenced: str) -> Reference | None:
        name = catalog.partitions.get(key.referenced_table, key.referenced_table)
        if name not in tables or (name, referenced) == (key.table, column):
            return None
        if referenced in hidden[name]:
            own = rules.get(name)
            return Reference(f"{name}.{referenced}", "anonymized", own.masks.get(referenced) if own else None)
        if not is_truncated(rules.get(name)):
            return None
        if not all(
            is_number(tables[table].column(part), catalog) for table, part in ((key.table, column), (name, referenced))
        ):
            return Reference(f"{name}.{referenced}", "truncated")
        further = referring.get((name, referenced))  # the rules of a truncated table anonymize none of its columns
        return replace(further, column=f"{name}.{referenced} and so to {further.column}") if further else None

    pairs = [
        (key, column, referenced)
        for table in catalog.tables
        for key in table.foreign_keys
        if key.referenced_schema == catalog.schema
        for column, referenced in zip(key.columns, key.referenced_columns, strict=True)
    ]
    while True:
        before = len(referring)
        for key, column, referenced in pairs:
            if (key.table, column) not in referring and (found := refer(key, column, referenced)):
                referring[key.table, column] = found
        if len(referring) == before:
            return referring


def is_truncated(rules: TableRules | None) -> bool:
    return bool(rules and rules.truncated)


def hidden_columns(table: Table, rules: TableRules | None) -> frozenset[str]:
    """Return the columns of a table that are anonymized, or computed from anonymized ones."""
    anonymized = rules.anonymized if rules else frozenset[str]()
    return anonymized.union(table.computed_from(anonymized))


def is_number(column: Column, catalog: Catalog) -> bool:
    """Tell whether a key is an integer or a uuid; any other may be a name."""
    return flatten(column.type_oid, column.type_text, catalog.types).is_key
