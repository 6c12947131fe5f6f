"""The scan in a run: which of the columns published as they are it looks into, and for how long."""

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from psycopg import sql

from multischema.errors import CheckError
from multischema.plan import record
from multischema.plan.plan import Plan
from multischema.plan.refresh import Choice
from multischema.plan.scan import Counted, Scanned, judge
from multischema.plan.tables import TablePlan
from multischema.stages.others import published_columns
from multischema.stages.run import Run, in_parallel
from multischema.stages.scan import SAMPLE, count_personal
from multischema.statements import reading

TABLE_TIMEOUT = 20.0  # seconds that a run gives a table
TIMEOUT = 120.0  # seconds that it gives all of them: what is left then is told, and fails no run
# A first run has all columns to look into: it reads fewer rows of each table, for it to take little longer than without the
# scan, but enough to prove, where they show nothing, that no more than a thousandth of the rows hold any.
VALUES = 500_000
FEWEST_ROWS = 3_000
NO_TIME = f"the others took all of the {TIMEOUT:.0f} s that a run gives the scan"


@dataclass(frozen=True)
class Wanted:
    """What is to be looked into: columns of a table.

    Of its rows, those that meet the condition, if there is one; as the snapshot shows them, if there is one.
    """

    table: TablePlan
    columns: Sequence[str]
    condition: sql.Composable | None = None
    snapshot: str = ""


def scan(run: Run, plan: Plan, published_comment: str | None) -> Scanned:
    """Look for personal data in columns that are published as they are: newly, or all of them if the run is asked to.

    `published_comment` is that of the schema which is published now. Raises CheckError for what stops the run.
    """
    job = run.job
    with run.sessions.lend(run.target) as connection:
        published = published_columns(connection, job.schema)
    unseen = record.newly_clear(record.read(published_comment), plan.copied, published)
    if job.scan == "off":
        return Scanned(why="the scan is off", left=unseen)
    if job.from_dump:
        return Scanned(why="a backup is published without the scan, which asks the origin", left=unseen)
    clear = {table.name: _to_look_into(table) for table in plan.copied}
    new = {name: tuple(column for column in columns if column in clear[name]) for name, columns in unseen.items()}
    looked_into = clear if job.scan == "full" else new
    wanted = [Wanted(table, columns) for table in plan.copied if (columns := looked_into.get(table.name))]
    if not wanted:
        return Scanned(why="no column is newly clear" if any(clear.values()) else "no column is clear", left=unseen)
    sample = _sample(wanted) if job.scan == "changed" else SAMPLE
    scanned = _scan(run, plan, wanted, clear if job.strict_scan else new, sample)
    ended = {its.table.name: its.columns for its, found in zip(wanted, scanned.looked, strict=True) if not found.unfinished}
    left = {name: tuple(column for column in its if column not in ended.get(name, ())) for name, its in unseen.items()}
    return replace(scanned, left={name: columns for name, columns in left.items() if columns})


def _to_look_into(table: TablePlan) -> tuple[str, ...]:
    """Return the clear columns of a table for which the rules give no reason: nothing would be said of the others."""
    return tuple(column.name for column in table.clear if not column.because)


def _sample(wanted: Sequence[Wanted]) -> int:
    """Return how many rows of each table are read."""
    return min(SAMPLE, max(FEWEST_ROWS, VALUES // sum(len(its.columns) for its in wanted)))


def scan_window(run: Run, plan: Plan, choice: Choice, span: tuple[int, int], snapshot: str) -> Scanned | None:
    """Look for personal data in the rows that a refresh brings, in its snapshot; return None where no run asks for it.

    Their columns were clear before, so that what is found stops a strict run alone: it raises CheckError. The check has told
    of columns that were not.
    """
    if run.job.scan != "changed":  # what is full has looked into all of them
        return None
    told = {its.table: its for its in plan.scanned.looked} if plan.scanned else {}
    wanted = []
    for change in choice.changes:
        counted, checked = change.counted, told.get(change.table.name)
        if checked and checked.unfinished:
            continue
        columns = tuple(name for name in _to_look_into(change.table) if not checked or name not in checked.values)
        if counted.window and columns:
            is_part = counted.window < counted.rows
            condition = reading.window(span, counted.first, counted.last) if is_part else None
            wanted.append(Wanted(change.table, columns, condition, snapshot))
    if not wanted:
        return None
    clear = {its.table.name: its.columns for its in wanted}
    return _scan(run, plan, wanted, clear if run.job.strict_scan else {}, SAMPLE)


def _scan(run: Run, plan: Plan, wanted: Sequence[Wanted], new: Mapping[str, Collection[str]], sample: int) -> Scanned:
    """Count in so many rows of each table, several tables at a time, the largest first, and judge what was counted."""
    origin = {table.name: table for table in plan.catalog.tables}
    started = time.monotonic()

    def look(its: Wanted) -> Counted:
        left = TIMEOUT - (time.monotonic() - started)
        if left <= 0:
            return Counted(its.table.name, unfinished=NO_TIME)
        with run.sessions.lend(run.origin) as connection:
            return count_personal(
                connection,
                its.table,
                origin[its.table.name],
                its.columns,
                run.job.origin_schema,
                types=plan.catalog.types,
                sample=sample,
                condition=its.condition,
                snapshot=its.snapshot,
                timeout=min(TABLE_TIMEOUT, left),
            )

    looked = in_parallel(run, look, wanted)
    findings = [
        finding
        for its, counted in zip(wanted, looked, strict=True)
        for finding in judge(its.table, counted, new.get(its.table.name, ()))
    ]
    scanned = Scanned(tuple(looked), tuple(findings), time.monotonic() - started)
    if scanned.errors:
        raise CheckError(*scanned.errors, *scanned.warnings)
    return scanned
