"""The record of a run, in the comment of the schema it made: it marks the schema as ours, and says what was masked."""

import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields

from multischema.findings import Finding
from multischema.plan.plan import Plan
from multischema.plan.tables import TablePlan
from multischema.rules.masks import MaskRule, recalled
from multischema.words import cut

_MARK = "multi-schema-postgres-etl masked "


@dataclass(frozen=True)
class Record:
    """The names of each table's masked columns; for truncated tables, those of their last copy.

    `app` owns the schema, `domains` are in it; versions before 1.0 recorded neither. `adopted` marks a schema that the
    tool before this one made, and that this one may drop. `readers` are the roles that the run gave the right to read it.
    `masks` has the rules, by table and column, that say more of a mask than that there is one; `unscanned` the columns that
    are published as they are and that no scan has looked into yet. Every role reads the comment.
    """

    copied: Mapping[str, Sequence[str]] = field(default_factory=dict)
    truncated: Mapping[str, Sequence[str]] = field(default_factory=dict)
    app: str = ""
    domains: Sequence[str] | None = None
    adopted: bool = False
    readers: Sequence[str] = ()
    masks: Mapping[str, Mapping[str, Mapping[str, object]]] = field(default_factory=dict)
    unscanned: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @property
    def tables(self) -> frozenset[str]:
        """Return the names of the tables that the run made."""
        return frozenset([*self.copied, *self.truncated])

    @property
    def recorded_domains(self) -> list[str] | None:
        """Return the names of the domains that the run made, None if it did not record them."""
        return None if self.domains is None else list(self.domains)

    def masked(self, table: str) -> Sequence[str]:
        """Return the columns of a table that were masked when it was last copied."""
        return self.copied.get(table, self.truncated.get(table, ()))

    def mask(self, table: str, column: str) -> "_Masking":
        """Return how a masked column was masked when its table was last copied."""
        found = self.masks.get(table, {}).get(column)
        if found is None:
            return _Masking()
        rule = recalled(found)
        return _Masking(rule, is_known=rule is not None)


@dataclass(frozen=True)
class _Masking:
    """How a column is masked: as the rule says, wholly without one; a newer version may have recorded one not known here."""

    rule: MaskRule | None = None
    is_known: bool = True

    def covers(self, other: "_Masking") -> bool:
        """Tell whether it surely shows no more than another."""
        if not self.rule:
            return self.is_known
        return other.is_known and self.rule.covers(other.rule)

    def said(self) -> str:
        """Return it in words."""
        if self.rule:
            return cut(self.rule.said())
        return "wholly" if self.is_known else "by a mask that this version does not know"


def written(plan: Plan, app: str, before: Record | None, readers: Sequence[str]) -> str:
    """Return the comment for an app's new schema with its readers; `before` is the record of the one that it replaces."""
    return _comment(
        Record(
            copied={table.name: sorted(column.name for column in table.masked) for table in plan.copied},
            truncated={table.name: before.masked(table.name) if before else () for table in plan.tables if table.truncated},
            app=app,
            domains=plan.domains,
            readers=readers,
            masks={table.name: found for table in plan.tables if (found := _rules(table, before))},
            unscanned=plan.scanned.left if plan.scanned else {},
        )
    )


def _rules(table: TablePlan, before: Record | None) -> Mapping[str, Mapping[str, object]]:
    """Return what is recorded of a table's masks by column."""
    if table.truncated:
        return before.masks.get(table.name, {}) if before else {}
    return {column.name: column.rule.written() for column in table.masked if column.rule}


def adopting(tables: Collection[str], app: str) -> str:
    """Return the comment for a schema with these tables that the tool before this one made for an app."""
    return _comment(Record(copied=dict.fromkeys(sorted(tables), ()), app=app, domains=(), adopted=True))


def read(comment: str | None) -> Record | None:
    """Return the record in a comment, None if there is none: the schema is not ours."""
    if not comment or not comment.startswith(_MARK):
        return None
    try:
        found = json.loads(comment.removeprefix(_MARK))
    except ValueError:
        return None
    if not isinstance(found, dict):
        return None
    # a newer version may have recorded more
    values = {known.name: found[known.name] for known in fields(Record) if known.name in found}
    return Record(**values) if all(_SHAPES[name](value) for name, value in values.items()) else None


def _is_names(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(name, str) for name in value)


def _is_mapping(value: object, of: Callable[[object], bool]) -> bool:
    return isinstance(value, dict) and all(map(of, value.values()))


def _is_tables(value: object) -> bool:
    return _is_mapping(value, _is_names)


_SHAPES: Mapping[str, Callable[[object], bool]] = {
    "copied": _is_tables,
    "truncated": _is_tables,
    "app": lambda value: isinstance(value, str),
    "domains": lambda value: value is None or _is_names(value),
    "adopted": lambda value: isinstance(value, bool),
    "readers": _is_names,
    "unscanned": _is_tables,
    "masks": lambda value: _is_mapping(value, lambda its: _is_mapping(its, lambda rule: isinstance(rule, dict))),
}


def warnings(before: Record | None, plan: Plan) -> list[Finding]:
    """Return a warning for each column that lost its mask since the last run, or has another, and for each emptied table."""
    if not before:
        return []
    unmasked = [
        Finding(
            "column-published-as-it-is",
            f"published as it is, though the last run masked it: {table.name}.{column.name}",
            table=table.name,
            column=column.name,
        )
        for table in plan.copied
        for column in table.columns
        if not column.mask and column.name in before.masked(table.name)
    ]
    less: list[Finding] = []
    otherwise: list[Finding] = []
    for table, column, was, now in _changed(before, plan):
        if not now.covers(was):
            change = f"by the last run: {table}.{column} ({was.said()}, now {now.said()})"
            if was.covers(now):
                less.append(Finding("column-masked-less", f"masked less than {change}", table=table, column=column))
            else:
                what = f"masked otherwise than {change}"
                otherwise.append(Finding("column-masked-otherwise", what, table=table, column=column))
    emptied = [
        Finding("table-truncated", f"truncated, though the last run copied it: {table.name}", table=table.name)
        for table in plan.tables
        if table.truncated and table.name in before.copied
    ]
    return [*sorted(unmasked), *sorted(less), *sorted(otherwise), *sorted(emptied)]


def dismissed(before: Record | None, readers: Collection[str]) -> list[str]:
    """Return the roles that were readers in the last run and are none any more."""
    return [role for role in dict.fromkeys(before.readers if before else ()) if role not in readers]


def newly_masked(before: Record | None, plan: Plan) -> list[str]:
    """Return the masked columns that the last run published as they were."""
    return sorted(
        f"{table.name}.{column.name}"
        for table in plan.copied
        for column in table.masked
        if before and table.name in before.copied and column.name not in before.masked(table.name)
    )


def newly_clear(
    before: Record | None, tables: Sequence[TablePlan], published: Mapping[str, Collection[str]]
) -> dict[str, tuple[str, ...]]:
    """Return the columns, by table, that are published as they are and that the last run hid or did not publish.

    `published` has the columns of each published table. What the tool before this one published counts as new: nobody knows
    what it masked. So does what no scan has looked into since it was. A truncated table hides all of its columns.
    """
    found = {}
    for table in tables:
        is_known = before and not before.adopted and table.name in before.copied
        hidden = {*before.masked(table.name), *before.unscanned.get(table.name, ())} if before else set()
        seen = {*published.get(table.name, ())} - hidden if before and is_known else set()
        if columns := tuple(column.name for column in table.clear if column.name not in seen):
            found[table.name] = columns
    return found


def masked_otherwise(before: Record | None, plan: Plan) -> list[str]:
    """Return the columns whose mask may hide something that the last run's showed."""
    return sorted(f"{table}.{column}" for table, column, was, now in _changed(before, plan) if not was.covers(now))


def _changed(before: Record | None, plan: Plan) -> Iterator[tuple[str, str, _Masking, _Masking]]:
    """Give table and name of each column that is masked otherwise than by the last run, with the masks of then and now."""
    if not before:
        return
    for table in plan.copied:
        for column in table.masked:
            if column.name in before.masked(table.name):
                was, now = before.mask(table.name, column.name), _Masking(column.rule)
                if was != now:
                    yield table.name, column.name, was, now


def _comment(record: Record) -> str:
    found = asdict(record)
    for name in ("masks", "unscanned"):  # without them, what is recorded stays as it was before there were any
        if not found[name]:
            del found[name]
    return _MARK + json.dumps(found, ensure_ascii=False)
