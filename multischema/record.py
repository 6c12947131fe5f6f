"""What the last run masked, as the published schema's comment records it: a changed rules file is noticed by it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field

from multischema.planning import Plan, some

_MARK = "multi-schema-postgres-etl masked "


@dataclass(frozen=True)
class Record:
    """The masked columns of each table, names alone; of truncated tables those of their last copy."""

    copied: Mapping[str, Sequence[str]] = field(default_factory=dict)
    truncated: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def masked(self, table: str) -> Sequence[str]:
        """Return the columns of a table that were masked when it was last copied."""
        return self.copied.get(table, self.truncated.get(table, ()))


def written(plan: Plan, before: Record) -> str:
    """Return the comment of a schema that is published after another one with the record `before`."""
    record = Record(
        copied={table.name: sorted(column.name for column in table.masked) for table in plan.copied},
        truncated={table.name: before.masked(table.name) for table in plan.tables if table.truncated},
    )
    return _MARK + json.dumps(asdict(record), ensure_ascii=False)


def read(comment: str | None) -> Record:
    """Return what a comment records; nothing where it is somebody else's."""
    if not comment or not comment.startswith(_MARK):
        return Record()
    try:
        return Record(**json.loads(comment.removeprefix(_MARK)))
    except (ValueError, TypeError):
        return Record()


def warnings(before: Record, plan: Plan) -> list[str]:
    """Return a line for columns that lost their mask since the last run, and one for tables that lost their rows."""
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
