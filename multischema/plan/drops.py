"""Tables that lost more rows than they should have: they are not published before somebody says that it is right."""

from collections.abc import Collection, Mapping

from multischema.findings import Finding, problem
from multischema.job import Job
from multischema.words import suggestion


def drop_problems(job: Job, side: str, before: Mapping[str, int], rows: Mapping[str, int]) -> list[Finding]:
    """Return a problem for each table that would lose all its rows, or more of them than `drop_percent`, and may not.

    `before` has the rows of each table as it was last published, `rows` those that it would hold; a table that is in one
    alone is new, gone or truncated, which the rules and the origin's catalog say on purpose.
    """
    return [
        problem(
            "table-lost-rows",
            f"table {name} would hold {rows[name]:,} rows; {published:,} were published: "
            f"{_share(published, rows[name])} of them are gone, and drop_percent is {job.drop_percent}",
            f"look into {side}; if that is right, start again with accept_drop (--accept-drop {name})",
            side="target",
            table=name,
        )
        for name, published in sorted(before.items())
        if name in rows and name not in job.accept_drop and _is_drop(job, published, rows[name])
    ]


def unknown_problems(job: Job, tables: Collection[str]) -> list[Finding]:
    """Return a problem for each name in `accept_drop` that is no published table."""
    return [
        problem(
            "accepted-drop-of-no-table",
            f"accept_drop: {name} is no published table{suggestion(name, tables)}",
            f"name a table of schema {job.schema}",
            object=name,
        )
        for name in job.accept_drop
        if name not in tables
    ]


def _is_drop(job: Job, before: int, after: int) -> bool:
    lost = before - after
    return before >= job.drop_rows and (after == 0 or 100 * lost > job.drop_percent * before)


def _share(before: int, after: int) -> str:
    """Return how much is gone, never rounded up to all of it."""
    return "all" if after == 0 else f"{100 * (before - after) // before} %"
