"""The stages of the flow `etl`, a Prefect task each: read the catalog, decide, do it."""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from prefect import State, Task, get_run_logger, task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import TaskRun
from prefect.exceptions import MissingContextError
from prefect.futures import PrefectFuture, as_completed
from prefect.task_runners import ThreadPoolTaskRunner

from flows.progress import Progress
from multischema import catalog, download, exhaustivity, preconditions, report, rules
from multischema.errors import CheckError, ConnectionLost, EtlError, OriginChanged, SnapshotLost, VerifyError
from multischema.masking import TablePlan
from multischema.planning import Job, Plan, collations_of, make_plan, published_types, width_problems
from multischema.postgres import building
from multischema.postgres.copying import Copied, Snapshot, copy_table, export_snapshot
from multischema.postgres.errors import translated
from multischema.postgres.reads import query, read_catalog, read_fingerprints
from multischema.postgres.sessions import Connection, Database, Sessions, is_pooled
from multischema.rules import Rules

SNAPSHOTS = 3  # how many snapshots a run takes before it gives up
RETRY_DELAYS = [1.0, 5.0, 20.0]  # seconds


@dataclass
class Doors:
    """What a run has open: the two databases, its sessions, and the session that holds the app's lock."""

    origin: Database
    target: Database
    sessions: Sessions
    lock: Connection | None = None
    seconds: dict[str, float] = field(default_factory=dict)


_doors: ContextVar[Doors] = ContextVar("doors")


def log() -> Any:
    """Return the logger of the task or flow that runs; outside of both, as in a check from the command line, a plain one."""
    try:
        return get_run_logger()
    except MissingContextError:
        return logging.getLogger("etl")


def connection_lost(task: Task[Any, Any], task_run: TaskRun, state: State[Any]) -> bool:
    """Tell Prefect to try again after a lost connection, and the log too; never after an error that would come again."""
    error = state.result(raise_on_failure=False)
    if isinstance(error, ConnectionLost):
        log().warning(f"{error}; trying again")
    return isinstance(error, ConnectionLost)


stage: dict[str, Any] = {"cache_policy": NO_CACHE, "persist_result": False}
retried: dict[str, Any] = {
    **stage,
    "retries": len(RETRY_DELAYS),
    "retry_delay_seconds": RETRY_DELAYS,
    "retry_condition_fn": connection_lost,
}


@contextmanager
def opened(job: Job, origin: Database, target: Database) -> Iterator[Doors]:
    """Open the doors of a run. At its end, however it ends, every statement is cancelled and every session closed.

    A run that did not publish takes its staging schema with it; where it can't (killed, target gone), the next run does.
    """
    with Sessions(f"multi-schema-postgres-etl {job.app} {job.id}") as sessions:
        doors = Doors(origin, target, sessions)
        token = _doors.set(doors)
        try:
            yield doors
        except BaseException:
            sessions.end(spare=doors.lock)
            if doors.lock and not doors.lock.closed:
                _drop_staging(doors.lock, job)
            raise
        finally:
            _doors.reset(token)


@task(name="download rules", task_run_name="download rules", **stage)
def download_rules(source: str) -> bytes:
    """Return the rules file from an https URL or a path. Raises RulesError."""
    with _timed("download rules"):
        return download.fetch(source)


@task(name="check", task_run_name="check {job.app}", **retried)
def check(job: Job, rules_text: bytes, *, lock: bool = True) -> Plan:
    """Check all that can be checked before a row is read or anything written, and return the plan.

    With `lock`, the app's lock is taken first, on a session that the run keeps, so that what was checked stays true. Raises
    CheckError with every problem, RulesError, LockTimeout.
    """
    with _timed("check"):
        parsed = rules.parse(rules_text)
        doors = _doors.get()
        problems = _check_servers(job, doors)
        if problems:
            raise CheckError(*problems)
        if lock:
            _take_lock(job, doors)
        plan, problems = _check_schemas(job, doors, parsed)
        if plan is None or problems:
            raise CheckError(*problems)
        for warning in plan.warnings:
            log().warning(warning)
        log().info(
            f"checked {job.app}: {report.count(len(plan.copied), 'table')} to copy, "
            f"{len(plan.tables) - len(plan.copied)} truncated, {report.count(len(plan.keys.indexes), 'index', 'indexes')}"
        )
        return plan


def anonymize(job: Job, plan: Plan) -> dict[str, Copied]:
    """Build the staging schema and copy every table into it, masked by the origin, all from one snapshot.

    The snapshot is given back as soon as the last row is in. When it is lost, copying starts again from a new one, a few
    times. Raises OriginChanged where a table was altered, rewritten or truncated meanwhile.
    """
    doors = _doors.get()
    assert doors.lock
    with _timed("anonymize"), Progress(job.app, {table.name: table.bytes for table in plan.copied}) as progress:
        building.drop_leftovers(doors.lock, job.schema)
        building.build_staging(doors.lock, job, plan)
        for attempt in range(1, SNAPSHOTS + 1):
            try:
                with _snapshot(doors, plan) as snapshot:
                    copied = _copy_all(job, plan, snapshot, progress)
                    _refuse_changes(doors, plan, snapshot)
                    return copied
            except SnapshotLost as lost:
                if attempt == SNAPSHOTS:
                    raise
                log().warning(f"{lost}; copying again from a new snapshot ({attempt + 1} of {SNAPSHOTS})")
                progress.restart()
    raise AssertionError


@task(name="copy", task_run_name="copy {table.name}", **retried)
def copy(job: Job, table: TablePlan, snapshot: str, progress: Progress) -> Copied:
    """Copy one table from the snapshot into the staging schema."""
    doors = _doors.get()
    with (
        doors.sessions.lend(doors.origin, job.origin_schema) as reading,
        doors.sessions.lend(doors.target, job.staging) as writing,
    ):
        copied = copy_table(
            reading,
            writing,
            table,
            origin=doors.origin,
            target=doors.target,
            origin_schema=job.origin_schema,
            staging=job.staging,
            snapshot=snapshot,
            on_bytes=lambda size: progress.add(table.name, size),
        )
    progress.complete(table.name)
    log().info(
        f"copied {table.name}: {report.count(copied.rows, 'row')}, {report.size(copied.bytes)}, "
        f"{report.seconds(copied.seconds)}, {report.count(len(table.masked), 'masked column')}"
    )
    return copied


@dataclass(frozen=True)
class Indexed:
    """What the index stage did: seconds per table, and what had to be left out."""

    seconds: dict[str, float]
    warnings: tuple[str, ...]


@task(name="index", task_run_name="index {job.app}", **retried)
def index(job: Job, plan: Plan) -> Indexed:
    """Build the indexes, each a unit of work, biggest table first; then keys, foreign keys, comments and statistics."""
    doors = _doors.get()
    with _timed("index"):
        with doors.sessions.lend(doors.target, job.staging) as connection:
            built = building.already_built(connection, job.staging)
        place = {table.name: number for number, table in enumerate(plan.tables)}
        wanted = sorted((i for i in plan.keys.indexes if i.name not in built), key=lambda i: place[i.table])
        seconds = dict.fromkeys(place, 0.0)

        def build(number: int) -> str | None:
            started = time.monotonic()
            with doors.sessions.lend(doors.target, job.staging) as connection:
                reason = building.build_index(connection, job.staging, wanted[number])
            seconds[wanted[number].table] += time.monotonic() - started
            return reason

        reasons = _in_parallel(job.jobs, build, range(len(wanted)))
        missing = frozenset(index.name for index, reason in zip(wanted, reasons, strict=True) if reason)
        with doors.sessions.lend(doors.target, job.staging) as connection:
            warnings = building.build_keys(connection, job.staging, plan, built, missing)

        def analyze(table: TablePlan) -> None:
            with doors.sessions.lend(doors.target, job.staging) as connection:
                building.analyze(connection, job.staging, table)

        _in_parallel(job.jobs, analyze, plan.copied)
        warnings = [*(reason for reason in reasons if reason), *warnings]
        for warning in warnings:
            log().warning(warning)
        log().info(
            f"indexed {job.app}: {report.count(len(plan.keys.indexes) - len(missing), 'index', 'indexes')}, "
            f"{report.count(len(plan.keys.foreign_keys), 'foreign key')}"
        )
        return Indexed(seconds, tuple(warnings))


@task(name="verify", task_run_name="verify {job.app}", **retried)
def verify(job: Job, plan: Plan, rows: dict[str, int]) -> dict[str, int]:
    """Verify row counts, that masked columns hold masks only, and the reader's rights; return the tables' sizes in bytes.

    Raises VerifyError with every problem.
    """
    doors = _doors.get()
    with _timed("verify"):

        def verify_table(table: TablePlan) -> list[str]:
            with doors.sessions.lend(doors.target, job.staging) as connection:
                return building.verify_table(connection, job.staging, table, rows.get(table.name, 0))

        problems = [line for lines in _in_parallel(job.jobs, verify_table, plan.tables) for line in lines]
        with doors.sessions.lend(doors.target, job.staging) as connection:
            problems += building.verify_rights(connection, job.schema, job.reader)
            with translated("target", "measuring tables"):
                sizes = {row["name"]: int(row["bytes"]) for row in query(connection, "sizes", schema=job.staging)}
        if problems:
            raise VerifyError(*problems)
        masked = sum(len(table.masked) for table in plan.copied)
        log().info(
            f"verified {job.app}: {report.count(sum(rows.values()), 'row')}, "
            f"{report.count(masked, 'masked column')}, the reader's rights"
        )
        return sizes


@task(name="publish", task_run_name="publish {job.app}", **stage)
def publish(job: Job) -> list[str]:
    """Swap yesterday's schema for the staging schema, on the session that holds the app's lock; return warnings.

    It is not tried again: when the lock's session is lost, the lock is, and another run may have begun.
    """
    doors = _doors.get()
    assert doors.lock
    with _timed("publish"):
        warnings = building.publish(doors.lock, job)
    for warning in warnings:
        log().warning(warning)
    log().info(f"published schema {job.schema} for {job.reader}")
    return warnings


@task(name="clean", task_run_name="clean {job.app}", **retried)
def clean(job: Job) -> list[str]:
    """Drop the old schema and what killed runs left, patiently; return a warning for what is still in use."""
    doors = _doors.get()
    with _timed("clean"):
        with doors.sessions.lend(doors.target, job.schema) as connection:
            kept = building.drop_leftovers(connection, job.schema)
    warnings = [f"schema {name} is still in use: the next run drops it" for name in kept]
    for warning in warnings:
        log().warning(warning)
    log().info(f"cleaned {job.app}")
    return warnings


def make_report(
    job: Job, plan: Plan, copied: dict[str, Copied], indexed: Indexed, sizes: dict[str, int], warnings: Sequence[str]
) -> report.Report:
    """Gather the report of the run, show it in the log and keep it as the artifact `<app>-report`."""
    made = report.make_report(
        job,
        plan,
        rows={name: table.rows for name, table in copied.items()},
        copy_seconds={name: table.seconds for name, table in copied.items()},
        index_seconds=indexed.seconds,
        sizes=sizes,
        warnings=[*plan.warnings, *indexed.warnings, *warnings],
        stages=_doors.get().seconds,
    )
    log().info(f"report of {job.app}\n{report.plain(made)}")
    create_markdown_artifact(report.markdown(made), key=f"{job.app}-report", description=made.headline())
    return made


def _check_servers(job: Job, doors: Doors) -> list[str]:
    """Return what keeps the run from connecting, from sharing a snapshot, or from holding a lock."""
    problems = []
    for database, schema, use in (
        (doors.origin, job.origin_schema, "share a snapshot"),
        (doors.target, job.schema, "hold a lock"),
    ):
        try:
            with doors.sessions.lend(database, schema) as first, doors.sessions.lend(database, schema) as second:
                with translated(database.side, "reading the server's settings"):
                    server = query(first, "server", schema=job.origin_schema)[0]
                    problems += preconditions.server_problems(database.side, server)
                    if is_pooled(first, second):
                        problems.append(preconditions.pooler_problem(database.side, use))
        except EtlError as error:
            problems += error.problems
    return problems


def _take_lock(job: Job, doors: Doors) -> None:
    if doors.lock and not doors.lock.closed:
        return
    connection = doors.sessions.open(doors.target, job.schema)
    building.take_lock(
        connection,
        job.schema,
        job.lock_wait,
        on_wait=lambda: log().info(f"waiting for another run of schema {job.schema} (at most {job.lock_wait} s)"),
    )
    doors.sessions.keep_alive(connection)
    doors.lock = connection


def _check_schemas(job: Job, doors: Doors, parsed: Rules) -> tuple[Plan | None, list[str]]:
    """Return the plan and the problems of rights, reader and rules; the plan is None where the rules have gaps."""
    with doors.sessions.lend(doors.target, job.schema) as target:
        with translated("target", "reading the catalog"):
            server = query(target, "server", schema=job.schema)[0]
            facts = query(target, "target", schema=job.schema, reader=job.reader)[0]
            problems = preconditions.target_problems(server, facts, job.schema, job.reader)
            problems += preconditions.stranger_problems(job.schema, query(target, "strangers", schema=job.schema))
        with doors.sessions.lend(doors.origin, job.origin_schema) as origin:
            with translated(doors.origin.side, "reading the catalog"):
                origin_server = query(origin, "server", schema=job.origin_schema)[0]
                missing = preconditions.origin_problems(doors.origin.side, origin_server, job.origin_schema)
                if missing:
                    return None, problems + missing
                found = read_catalog(origin, job.origin_schema)
        problems += preconditions.rights_problems(doors.origin.side, origin_server, found, parsed)
        types = published_types(found)
        with translated("target", "looking up types and collations"):
            lacking = query(target, "lacking", types=list(types), collations=collations_of(found))
    problems += preconditions.lacking_problems(lacking, types, server["major"])
    gaps = exhaustivity.compare(parsed, found)
    if gaps.problems:
        problems += [*(f"origin {job.app}: {line}" for line in gaps.problems), gaps.snippet]
        return None, problems
    absent = {row["name"] for row in lacking if row["what"] == "collation"}
    plan = make_plan(found, parsed, gaps.warnings, frozenset(collations_of(found)) - absent)
    return plan, problems + [f"origin {job.app}: {line}" for line in width_problems(plan)]


@contextmanager
def _snapshot(doors: Doors, plan: Plan) -> Iterator[Snapshot]:
    """Hold the snapshot of a copy, on a session that says something every minute."""
    connection = doors.sessions.open(doors.origin, plan.catalog.schema)
    try:
        snapshot = export_snapshot(connection, doors.origin, [table.oid for table in plan.copied])
        doors.sessions.keep_alive(connection)
        yield snapshot
    finally:
        doors.sessions.close(connection)


def _copy_all(job: Job, plan: Plan, snapshot: Snapshot, progress: Progress) -> dict[str, Copied]:
    """Copy the tables, largest first, `jobs` at a time. The first failure ends the others."""
    copied: dict[str, Copied] = {}
    doors = _doors.get()
    runner: ThreadPoolTaskRunner[Copied] = ThreadPoolTaskRunner(max_workers=job.jobs)
    with runner:
        futures: dict[PrefectFuture[Copied], str] = {}
        for table in plan.copied:
            parameters = {"job": job, "table": table, "snapshot": snapshot.identifier, "progress": progress}
            futures[runner.submit(copy, parameters=parameters)] = table.name
        try:
            for future in as_completed(list(futures)):
                copied[futures[future]] = future.result()
        except SnapshotLost:
            doors.sessions.interrupt(spare=doors.lock)
            raise
        except BaseException:
            doors.sessions.end(spare=doors.lock)
            raise
    return copied


def _refuse_changes(doors: Doors, plan: Plan, snapshot: Snapshot) -> None:
    """Compare the catalog of the copied tables with the plan's and the snapshot's, in a new transaction.

    Within the snapshot pg_class shows the file of before: a table truncated meanwhile reads as empty, without an error.
    Later than now, after the snapshot is released, good runs would fail.
    """
    oids = [table.oid for table in plan.copied]
    with doors.sessions.lend(doors.origin, plan.catalog.schema) as connection:
        with translated(doors.origin.side, "reading the catalog"):
            after = read_fingerprints(connection, oids)
    changes = catalog.changes(plan.catalog, snapshot.fingerprints, after, oids)
    if changes:
        raise OriginChanged(*(f"{doors.origin.side}: table {line} while it was copied; start again" for line in changes))


def _drop_staging(connection: Connection, job: Job) -> None:
    try:
        building.drop_schema(connection, job.staging)
    except EtlError as error:
        log().warning(f"staging schema {job.staging} is left to the next run: {error}")


def _in_parallel(jobs: int, work: Callable[[Any], Any], items: Sequence[Any]) -> list[Any]:
    """Do the work for each item, `jobs` at a time; after a failure nothing more is begun, and the first one is raised."""
    with ThreadPoolExecutor(max_workers=jobs) as executor:
        futures = [executor.submit(work, item) for item in items]
        try:
            return [future.result() for future in futures]
        except BaseException:
            executor.shutdown(wait=False, cancel_futures=True)
            raise


@contextmanager
def _timed(name: str) -> Iterator[None]:
    started = time.monotonic()
    try:
        yield
    finally:
        _doors.get().seconds[name] = time.monotonic() - started
