"""The record of a run, in the comment of the schema it made: it marks the schema as ours, and says what was masked."""

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields

from multischema.plan.plan import Plan
from multischema.words import some

_MARK = "multi-schema-postgres-etl masked "


@dataclass(frozen=True)
class Record:
    """The names of each table's masked columns; for truncated tables, those of their last copy.

    `app` owns the schema, `domains` are in it; versions before 1.0 recorded neither. `adopted` marks a schema that the
    tool before this one made, and that this one may drop. `readers` are the roles that the run gave the right to read it.
    """

    copied: Mapping[str, Sequence[str]] = field(default_factory=dict)
    truncated: Mapping[str, Sequence[str]] = field(default_factory=dict)
    app: str = ""
    domains: Sequence[str] | None = None
    adopted: bool = False
    readers: Sequence[str] = ()

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


def written(plan: Plan, app: str, before: Record | None, readers: Sequence[str]) -> str:
    """Return the comment for an app's new schema with its readers; `before` is the record of the one that it replaces."""
    return _comment(
        Record(
            copied={table.name: sorted(column.name for column in table.masked) for table in plan.copied},
            truncated={table.name: before.masked(table.name) if before else () for table in plan.tables if table.truncated},
            app=app,
            domains=plan.domains,
            readers=readers,
        )
    )


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


def _is_tables(value: object) -> bool:
    return isinstance(value, dict) and all(map(_is_names, value.values()))


_SHAPES: Mapping[str, Callable[[object], bool]] = {
    "copied": _is_tables,
    "truncated": _is_tables,
    "app": lambda value: isinstance(value, str),
    "domains": lambda value: value is None or _is_names(value),
    "adopted": lambda value: isinstance(value, bool),
    "readers": _is_names,
}


def warnings(before: Record | None, plan: Plan) -> list[str]:
    """Return a line for columns that lost their mask since the last run, and one for tables that lost their rows."""
    if not before:
        return []
    unmasked = [
        f"{table.name}.{column.name}"
        for table in plan.copied
        for column in table.columns
        if not column.mask and column.name in before.masked(table.name)
    ]
    emptied = [table.name for table in plan.tables if table.truncated and table.name in before.copied]
    return [
        f"{what}: {some(sorted(names))}"
        for what, names in (
            ("published as they are, though the last run masked them", unmasked),
            ("truncated, though the last run copied them", emptied),
        )
        if names
    ]


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


def _comment(record: Record) -> str:
    return _MARK + json.dumps(asdict(record), ensure_ascii=False)
