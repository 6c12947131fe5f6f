"""The scan: counts the personal data in columns of the origin that are published as they are, and reads no value."""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import psycopg
from psycopg import sql

from multischema.catalog.tables import Table, Type
from multischema.guesses import read_guesses
from multischema.plan.scan import Counted
from multischema.plan.tables import TablePlan
from multischema.postgres.connecting import Connection
from multischema.postgres.questions import ask, one_moment, query, value_of
from multischema.rules.words import form_of
from multischema.scan.detectors import OWN_DATA
from multischema.scan.sampling import Extent, Sample, beyond_chance, is_small, share
from multischema.statements import scanning
from multischema.statements.scanning import Looked

SAMPLE = 50_000  # rows
_COLUMNS = 100  # in a statement, which computes a text and some ten counts for each
_PROBED = 64  # pages that tell how many rows there are on one, where nothing else does
_LOCK_WAIT = 5.0  # seconds behind a migration that waits itself: longer, and all who read wait behind both
_REASONS = {
    "55P03": "another session has locked it",
    "42501": "the role may not read all of it",
    "40001": "the standby cancelled the statement; raise max_standby_streaming_delay there",
}


def count_personal(
    connection: Connection,
    plan_table: TablePlan,
    table: Table,
    columns: Sequence[str],
    schema: str,
    *,
    types: Mapping[int, Type],
    sample: int | None = SAMPLE,
    condition: sql.Composable | None = None,
    snapshot: str = "",
    timeout: float,
) -> Counted:
    """Count what these clear columns of a table hold of personal data, in one read-only transaction of the origin.

    A `sample` of so many rows is read, all of them with None; with a `condition` only those that meet it, with a
    `snapshot` as it shows them. Past `timeout` seconds, or where the server refuses, the result says so: nothing is raised.
    `types` are the catalog's.
    """
    words = _named(table, columns, types)
    if condition:
        both = [plan_table.condition, condition] if plan_table.condition else [condition]
        plan_table = replace(plan_table, condition=sql.SQL("({})").format(sql.SQL(") AND (").join(both)))
    looked = scanning.looked(plan_table, columns)
    if not looked or plan_table.truncated:
        return Counted(plan_table.name, whole=True, named=words)
    ends = time.monotonic() + timeout
    try:
        with one_moment(connection, snapshot):
            _set_limits(connection, ends)
            size = _sample(connection, plan_table, table, schema, sample, ends)
            found = [
                (its, _count(connection, scanning.scanning(plan_table, table, its, schema, size), ends))
                for its in (looked[start : start + _COLUMNS] for start in range(0, len(looked), _COLUMNS))
            ]
    except psycopg.Error as error:
        return Counted(plan_table.name, unfinished=_reason(error, timeout, ends), named=words)
    rows = min(number for _, (number, _) in found)
    is_whole = size.percent is None and (size.limit is None or rows < size.limit)
    values: dict[str, int] = {}
    hits: dict[tuple[str, str], int] = {}
    for its, (_, counts) in found:
        numbers = iter(counts)
        for each in its:
            values[each.column.name] = next(numbers)
            hits |= {(each.column.name, name): number for name, number in _hits(each, numbers) if number}
    return Counted(plan_table.name, rows=rows, whole=is_whole, values=values, hits=hits, named=words)


def _named(table: Table, columns: Sequence[str], types: Mapping[int, Type]) -> dict[str, str]:
    """Return what personal datum the name of a column, or its comment, says that it holds, by column; keys hold none."""
    words = read_guesses().words
    found = {}
    for column in (table.column(name) for name in columns if name not in table.key_columns):
        form = form_of(column, types) or "text"
        if kind := words.kind_of(column.name, form) or words.kind_of(column.comment or "", form):
            found[column.name] = kind
    return found


def _hits(its: Looked, counts: Iterator[int]) -> list[tuple[str, int]]:
    """Return how many values each detector found in a column, from the counts that come next."""
    *found, (_, own), (_, of_others) = [(name, next(counts)) for name in scanning.questions(its)]
    return [*found, (OWN_DATA, beyond_chance(own, of_others))]


def _set_limits(connection: Connection, ends: float) -> None:
    """Have the transaction end in time, wait for no lock for long, and take one processor."""
    left = max(ends - time.monotonic(), 0.001)
    query(
        connection,
        "local_settings",
        names=["statement_timeout", "lock_timeout", "max_parallel_workers_per_gather", "jit"],
        # compiling hundreds of expressions takes longer than computing them
        values=[f"{round(left * 1000) or 1}ms", f"{round(min(left, _LOCK_WAIT) * 1000) or 1}ms", "0", "off"],
    )


def _sample(
    connection: Connection,
    plan_table: TablePlan,
    table: Table,
    schema: str,
    wanted: int | None,
    ends: float,
) -> Sample:
    """Decide which rows to read."""
    if wanted is None:
        return Sample()
    if plan_table.condition or not table.is_heap:  # only heaps give some of their pages, and of those all rows
        return Sample(limit=wanted)
    (extent,) = ask(connection, Extent, "extent", table=plan_table.oid, whole=plan_table.whole)
    if is_small(extent, wanted):
        return Sample()
    density = extent.density
    if not density:
        percent = min(100 * _PROBED / extent.pages, 100.0)
        rows = value_of(connection, int, scanning.probing(plan_table, schema, percent))
        density = rows / (extent.pages * percent / 100)
        _set_limits(connection, ends)
    return share(extent, density, wanted)


def _count(connection: Connection, statement: sql.Composed, ends: float) -> tuple[int, Sequence[int]]:
    """Return the number of rows that a statement read, and what it counted."""
    _set_limits(connection, ends)
    ((rows, counts),) = (row.values() for row in connection.execute(statement).fetchall())
    return int(rows), counts


def _reason(error: psycopg.Error, timeout: float, ends: float) -> str:
    """Return why the scan of a table gave up, in our words: the server's may quote a value."""
    if error.sqlstate is None:
        return "the connection was lost"
    if error.sqlstate == "57014":
        return f"it takes longer than {timeout:g} s" if time.monotonic() >= ends - 0.5 else "the statement was cancelled"
    return _REASONS.get(error.sqlstate, f"the server refused the statement ({error.sqlstate})")
