"""The work of each stage, without Prefect: read the catalog, decide, do it. `run` is all of them in order."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from multischema import download
from multischema.checking import check
from multischema.doors import (
    Doors,
    held_snapshot,
    in_parallel,
    naming_triggers,
    open_doors,
    refuse_changes,
    refuse_origin_as_target,
)
from multischema.dumping import dump, restore
from multischema.errors import SnapshotLost, VerifyError
from multischema.masking import TablePlan
from multischema.planning import Job, Plan
from multischema.postgres import building, publishing, restoring
from multischema.postgres.copying import Copied, Route, Snapshot, copy_table
from multischema.postgres.errors import translated
from multischema.postgres.publishing import Publication
from multischema.postgres.reads import query
from multischema.postgres.sessions import Database, quoted_path

SNAPSHOTS = 3  # how many snapshots a run takes before it gives up


@dataclass(frozen=True)
class Indexed:
    """What the index stage did: seconds for each table, the number of indexes, and what had to be left out.

    `missing` are the names of the indexes that the target could not build.
    """

    seconds: dict[str, float]
    indexes: int
    warnings: tuple[str, ...]
    missing: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Published:
    """What a whole run did."""

    plan: Plan
    copied: dict[str, Copied]
    indexed: Indexed
    sizes: dict[str, int]
    warnings: tuple[str, ...]
    seconds: dict[str, float]
    recreated: tuple[str, ...]


def run(job: Job, rules_source: str, origin: Database, target: Database) -> Published:
    """Publish an app without Prefect: the same work, with the threads of the standard library."""
    seconds: dict[str, float] = {}
    notes: list[str] = []
    with open_doors(job, origin, target) as doors:
        with timed("check", seconds):
            plan = check(job, doors, download.fetch(rules_source))
        if job.dumps:
            with timed("dump", seconds):
                notes += dump(job, doors, plan).warnings
        if job.restores:
            with timed("restore", seconds):
                plan = restore(job, doors, plan).plan

        def copy_all(snapshot: Snapshot) -> dict[str, Copied]:
            results = in_parallel(doors, job.jobs, lambda table: copy(job, doors, table, snapshot.identifier), plan.copied)
            return {table.name: copied for table, copied in zip(plan.copied, results, strict=True)}

        with timed("anonymize", seconds):
            copied = anonymize(job, doors, plan, copy_all)
        with timed("index", seconds):
            indexed = index(job, doors, plan)
            plan = plan.without(indexed.missing)
        with timed("verify", seconds):
            sizes = verify(job, doors, plan, {name: table.rows for name, table in copied.items()})
        with timed("publish", seconds):
            publication = publish(job, doors)
        with timed("clean", seconds):
            notes += [*publication.warnings, *clean(job, doors)]
        return Published(plan, copied, indexed, sizes, tuple(notes), seconds, publication.recreated)


@contextmanager
def timed(stage: str, seconds: dict[str, float]) -> Iterator[None]:
    """Note how many seconds a stage took, however it ended."""
    started = time.monotonic()
    try:
        yield
    finally:
        seconds[stage] = time.monotonic() - started


def anonymize(
    job: Job,
    doors: Doors,
    plan: Plan,
    copy_all: Callable[[Snapshot], dict[str, Copied]],
    on_lost: Callable[[SnapshotLost], None] = lambda lost: None,
) -> dict[str, Copied]:
    """Build the staging schema and copy every table into it, masked by the origin, all from one snapshot.

    The snapshot is given back as soon as the last row is in. When it is lost, `copy_all` starts again with a new one, a few
    times, after `on_lost`. Raises OriginChanged where a table was altered, rewritten or truncated meanwhile.
    """
    refuse_origin_as_target(job, doors)
    with naming_triggers(doors):
        building.drop_leftovers(doors.holder, job.schema)
        if not job.restores:
            restoring.drop_leftovers(doors.holder)
        building.build_staging(doors.holder, job, plan)
    for attempt in range(1, SNAPSHOTS + 1):
        try:
            with held_snapshot(doors, doors.source(job), plan) as snapshot:
                copied = copy_all(snapshot)
                if not job.restores:
                    refuse_changes(doors, plan, snapshot, "copied")
                _refuse_losses(doors, copied)
                return copied
        except SnapshotLost as lost:
            if attempt == SNAPSHOTS:
                raise
            on_lost(lost)
    raise AssertionError


def copy(
    job: Job, doors: Doors, table: TablePlan, snapshot: str, on_bytes: Callable[[int], None] = lambda size: None
) -> Copied:
    """Copy one table from the snapshot into the staging schema; `on_bytes` is told of every chunk."""
    source = doors.source(job)
    route = Route(source.side, job.origin_schema, snapshot, job.staging)
    with (
        doors.sessions.lend(source) as reading,
        doors.sessions.lend(doors.target) as writing,
    ):
        return copy_table(reading, writing, table, route, on_bytes)


def index(job: Job, doors: Doors, plan: Plan) -> Indexed:
    """Build the indexes, each a unit of work, biggest table first; then keys, foreign keys, comments and statistics.

    What a first attempt has built is not built again.
    """
    place = {table.name: number for number, table in enumerate(plan.tables)}
    seconds = dict.fromkeys(place, 0.0)
    with doors.sessions.lend(doors.target) as connection:
        built = building.already_built(connection, job.staging)
    wanted = sorted((i for i in plan.keys.indexes if i.name not in built), key=lambda i: place[i.table])

    def build(number: int) -> str | None:
        started = time.monotonic()
        with doors.sessions.lend(doors.target, quoted_path(job.staging)) as connection:
            reason = building.build_index(connection, job.staging, wanted[number])
        seconds[wanted[number].table] += time.monotonic() - started
        return reason

    def analyze(table: TablePlan) -> None:
        with doors.sessions.lend(doors.target) as connection:
            building.analyze(connection, job.staging, table)

    with naming_triggers(doors):
        reasons = in_parallel(doors, job.jobs, build, range(len(wanted)))
        missing = frozenset(index.name for index, reason in zip(wanted, reasons, strict=True) if reason)
        with doors.sessions.lend(doors.target) as connection:
            warnings = building.build_keys(connection, job.staging, plan, built, missing)
        in_parallel(doors, job.jobs, analyze, plan.tables)
    left_out = (*(reason for reason in reasons if reason), *warnings)
    return Indexed(seconds, len(plan.keys.indexes) - len(missing), left_out, missing)


def verify(job: Job, doors: Doors, plan: Plan, rows: dict[str, int]) -> dict[str, int]:
    """Verify row counts, that masked columns hold masks only, and the reader's rights; return the tables' sizes in bytes.

    Raises VerifyError with every problem.
    """

    def verify_table(table: TablePlan) -> list[str]:
        with doors.sessions.lend(doors.target) as connection:
            return building.verify_table(connection, job.staging, table, rows.get(table.name, 0))

    problems = [line for lines in in_parallel(doors, job.jobs, verify_table, plan.tables) for line in lines]
    with doors.sessions.lend(doors.target) as connection:
        problems += building.verify_rights(connection, job.schema, job.reader, job.raw_schema)
        problems += building.verify_readable(connection, job.staging, job.reader, granted=False)
        problems += publishing.obstacles(connection, job, plan.columns)
        with translated("target", "measuring tables"):
            measured = query(connection, "sizes", schema=job.staging)
    # a run that has lost its lock may find its tables gone, under another run's hands
    sizes = {row["name"]: int(row["bytes"]) for row in measured if row["bytes"] is not None}
    problems += [
        f"target: table {t.name} is gone from {job.staging}; start again" for t in plan.tables if t.name not in sizes
    ]
    if problems:
        raise VerifyError(*problems)
    return sizes


def publish(job: Job, doors: Doors) -> Publication:
    """Swap yesterday's schema for the staging schema, on the session that holds the app's lock."""
    with naming_triggers(doors):
        return publishing.publish(doors.holder, job)


def clean(job: Job, doors: Doors) -> list[str]:
    """Drop raw data, the old schema and what killed runs left, patiently; return a warning for what is still in use."""
    kept = []
    with naming_triggers(doors):
        if job.restores and not restoring.leave(doors.holder, job.raw_schema):
            kept.append(job.raw_schema)
        with doors.sessions.lend(doors.target) as connection:
            kept += building.drop_leftovers(connection, job.schema)
    return [f"schema {name} stays: it is in use, or others made something in it; the next run tries again" for name in kept]


def _refuse_losses(doors: Doors, copied: Mapping[str, Copied]) -> None:
    """Compare the rows of raw tables with those that the origin had when it was dumped."""
    losses = [
        f"target: raw table {name} holds {copied[name].rows} rows; {rows} left the origin; start again"
        for name, rows in doors.dumped.items()
        if copied[name].rows != rows
    ]
    if losses:
        raise VerifyError(*losses)
