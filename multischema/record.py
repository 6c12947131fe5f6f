"""What the last run masked, as the published schema's comment records it: a changed rules file is noticed by it."""

import json
from collections.abc import Mapping, Sequence

from multischema.masking import TablePlan
from multischema.planning import Plan, some

_MARK = "multi-schema-postgres-etl masked "


def written(tables: Sequence[TablePlan]) -> str:
    """Return the comment: the masked columns of each copied table, names alone."""
    return _MARK + json.dumps({table.name: sorted(c.name for c in table.masked) for table in tables}, ensure_ascii=False)


def read(comment: str | None) -> Mapping[str, Sequence[str]]:
    """Return the masked columns by table; nothing for a comment of somebody else's."""
    if not comment or not comment.startswith(_MARK):
        return {}
    try:
        found = json.loads(comment.removeprefix(_MARK))
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def warnings(before: Mapping[str, Sequence[str]], plan: Plan) -> list[str]:
    """Return a line for columns that lost their mask since the last run, and one for tables that lost their rows."""
    unmasked = [
        f"{table.name}.{column.name}"
        for table in plan.copied
        for column in table.columns
        if not column.mask and column.name in before.get(table.name, ())
    ]
    emptied = [table.name for table in plan.tables if table.truncated and table.name in before]
    return [
        f"{what}: {some(sorted(names))}"
        for what, names in (
            ("published as they are, though the last run masked them", unmasked),
            ("truncated, though the last run copied them", emptied),
        )
        if names
    ]
