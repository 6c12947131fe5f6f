"""The plan of a run: every published table, key and index, decided from rules and catalog before a row is read."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from multischema.catalog.flat import flatten
from multischema.catalog.tables import OF_AN_EXTENSION, Catalog
from multischema.findings import Finding, problem
from multischema.plan.keys import IndexPlan, Keys, plan_keys
from multischema.plan.scan import Scanned
from multischema.plan.tables import TablePlan, plan_table, too_wide
from multischema.rules import expected
from multischema.rules.expected import Told
from multischema.rules.file import Expected, Rules
from multischema.words import some


@dataclass(frozen=True)
class Plan:
    """The published tables, largest first, with their keys; `warnings`, notes among them, go into the report.

    Those that the rules call `expected` are among them too: `told` parts them. `scanned` is what the check's scan found in
    columns that are published as they are, None before it.
    """

    catalog: Catalog
    tables: tuple[TablePlan, ...]
    keys: Keys
    domains: tuple[str, ...]
    warnings: tuple[Finding, ...]
    expected: tuple[Expected, ...] = ()
    scanned: Scanned | None = None

    @property
    def copied(self) -> tuple[TablePlan, ...]:
        """Return the tables whose rows are copied, largest first."""
        return tuple(table for table in self.tables if not table.truncated)

    @property
    def columns(self) -> dict[str, list[str]]:
        """Return the names of the columns of each published table."""
        return {table.name: [column.name for column in table.columns] for table in self.tables}

    @property
    def pseudonym_domains(self) -> tuple[str, ...]:
        """Return the pseudonym domains whose keys the rows need, in order."""
        found = {column.mask.domain for table in self.copied for column in table.columns if column.mask}
        return tuple(sorted(found - {""}))

    @property
    def bytes(self) -> int:
        """Return the size of the tables whose rows are copied."""
        return sum(table.bytes for table in self.copied)

    @property
    def dump_bytes(self) -> int:
        """Estimate the size of a dump: texts shrink to less than half."""
        return self.bytes // 2

    def told(self, others: Iterable[Finding] = ()) -> Told:
        """Return its warnings and those of later stages as they are told: the expected ones are only named."""
        return expected.told([*self.warnings, *others], self.expected)

    def without(self, missing: Collection[str]) -> "Plan":
        """Return the plan without notes on how the missing indexes are built: the report says that they are not.

        Without such a note it is the plan itself: a copy has no arrow from the check in the run's graph.
        """
        wrong = {index.note for index in self.keys.indexes if index.name in missing and index.note}
        if not wrong:
            return self
        return replace(self, warnings=tuple(warning for warning in self.warnings if warning not in wrong))

    def measured(self, sizes: Mapping[str, int]) -> "Plan":
        """Return the plan with the measured sizes of its tables."""
        return replace(self, tables=_largest_first(replace(table, bytes=sizes.get(table.name, 0)) for table in self.tables))


def make_plan(
    catalog: Catalog,
    rules: Rules,
    warnings: Sequence[Finding],
    collations: frozenset[str],
    *,
    raw: bool = False,
    all_indexes: bool = False,
) -> Plan:
    """Decide everything that is published. The rules must be complete; `collations` are those that the target has too.

    `warnings` come from the comparison of rules and catalog. With `raw`, rows are read from raw tables. With
    `all_indexes`, indexes whose key columns are all masked are built too.
    """
    by_name = {
        table.name: plan_table(table, rules.tables.get(table.name), catalog, collations, raw=raw) for table in catalog.tables
    }
    keys = plan_keys(catalog.tables, by_name, catalog.schema, all_indexes=all_indexes)
    found = (*warnings, *_warnings(catalog, by_name.values(), collations), *keys.notes)
    return Plan(
        catalog=catalog,
        tables=_largest_first(by_name.values()),
        keys=keys,
        domains=tuple(enum_domains(catalog, keys.indexes)),
        warnings=(*found, *expected.misfits(rules.expected)),
        expected=rules.expected,
    )


def _largest_first(tables: Iterable[TablePlan]) -> tuple[TablePlan, ...]:
    return tuple(sorted(tables, key=lambda table: (table.truncated, -table.bytes, table.name)))


def collations_of(catalog: Catalog) -> list[str]:
    """Return the names of the collations of the origin's columns, other than their types' own."""
    return sorted({c.collation_name for table in catalog.tables for c in table.columns if c.collation_name})


def published_types(catalog: Catalog) -> dict[str, str]:
    """Return the published types, each with a column that has it, so that the check can look for them on the target."""
    return {
        flatten(column.type_oid, column.type_text, catalog.types).spelling: f"{table.name}.{column.name}"
        for table in catalog.tables
        for column in table.columns
    }


def xml_columns(plan: Plan) -> dict[str, str]:
    """Return the published columns whose documents the target must read, with their types; a mask may leave none."""
    return {
        f"{table.name}.{column.name}": column.type
        for table in plan.copied
        for column in table.columns
        if column.type in ("xml", "xml[]") and (not column.mask or column.mask.writes_documents(column.type))
    }


def width_problems(plan: Plan) -> list[Finding]:
    """Return a problem for each table whose masked rows don't fit into a page."""
    return [
        problem(
            "rows-too-wide",
            f"table {table.name}: {len(table.masked)} masked columns make its rows too big for a page (8 kB)",
            "truncate it, or mask fewer of its columns",
            table=table.name,
        )
        for table in plan.copied
        if too_wide(table)
    ]


def _warnings(catalog: Catalog, plans: Iterable[TablePlan], collations: frozenset[str]) -> list[Finding]:
    """Return a warning for each thing of the origin that is not published, or not as it is there."""
    warnings = [
        Finding("schema-not-read", f"not read: the origin's other schema {name}", object=name)
        for name in catalog.other_schemas
    ]
    warnings += [
        Finding("relation-not-read", f"not read: {kind} {name}", table=name)
        for name, kind in sorted(catalog.others.items())
        if kind != OF_AN_EXTENSION
    ]
    # partitions come and go, and their indexes with them: what is left out is the root's
    warnings += [
        Finding(
            "index-of-partition",
            f"indexes and foreign keys that only partitions of {root} have left out: {some(names)}",
            table=root,
        )
        for root, names in sorted(catalog.keys_of_partitions.items())
    ]
    truncated = {plan.name for plan in plans if plan.truncated}
    warnings += [
        Finding(
            "column-of-child-not-read",
            f"{table.name} has the rows of {child.schema}.{child.name}, without column {extra}, which only this child has",
            table=table.name,
            object=f"{child.schema}.{child.name}.{extra}",
        )
        for table in catalog.tables
        if table.name not in truncated
        for child in table.children
        for extra in child.extra
    ]
    warnings += [
        Finding(
            "computed-column-left-out",
            f"{plan.name}.{name} left out: it is computed from a masked column",
            table=plan.name,
            column=name,
        )
        for plan in plans
        for name in plan.unpublished
    ]
    return warnings + [no_collation(name) for name in collations_of(catalog) if name not in collations]


def no_collation(name: str) -> Finding:
    """Return the warning about a collation that the target has not."""
    what = f"collation {name} is not on the target: its columns get the default one"
    return Finding("no-collation", what, object=name)


def enum_domains(catalog: Catalog, indexes: Sequence[IndexPlan]) -> list[str]:
    """Return the enums that index definitions name: a domain over text makes `'x'::status` work."""
    text = "\n".join(index.definition for index in indexes)
    return [
        type_.name
        for type_ in catalog.types.values()
        if type_.kind == "e" and type_.schema == catalog.schema and type_.name in text
    ]
