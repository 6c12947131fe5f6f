"""The stages of the flow `etl` as Prefect tasks: names, retries, log lines and artifacts around the work of `pipeline`."""

import logging
import os
import shlex
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path
from typing import Any, TypeVar, cast

from prefect import State, Task, get_run_logger, task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import TaskRun
from prefect.context import FlowRunContext
from prefect.exceptions import MissingContextError
from prefect.futures import PrefectFuture, as_completed
from prefect.task_runners import ThreadPoolTaskRunner
from prefect.utilities.annotations import opaque
from prefect_shell import ShellOperation  # type: ignore[import-untyped]

from flows import progress
from flows.logs import DETAIL
from flows.progress import Measured, Progress
from multischema import download, pipeline, report
from multischema.dumps.archives import Command, Outcome
from multischema.dumps.directory import size_of
from multischema.errors import EtlError, SnapshotLost
from multischema.job import Job
from multischema.plan.plan import Plan
from multischema.plan.tables import TablePlan
from multischema.postgres.copying import Copied, Snapshot
from multischema.postgres.database import Database
from multischema.stages import anonymize as anonymizing
from multischema.stages import check as checking
from multischema.stages import clean as cleaning
from multischema.stages import dump as dumping
from multischema.stages import index as indexing
from multischema.stages import publish as publishing
from multischema.stages import restore as restoring
from multischema.stages import verify as verifying
from multischema.stages.index import Indexed
from multischema.stages.publish import Publication
from multischema.stages.run import Doors, open_doors, stopping_others
from multischema.words import count, seconds, size

Item = TypeVar("Item")

_CODE = Path(__file__).parent.parent
_doors: ContextVar[Doors] = ContextVar("doors")
_seconds: ContextVar[dict[str, float]] = ContextVar("seconds")
_bytes: ContextVar[dict[str, int]] = ContextVar("bytes")


def may_pass(task: Task[Any, Any], task_run: TaskRun, state: State[Any]) -> bool:
    """Have Prefect try again after an error that may pass, such as a lost connection; never after any other."""
    error = state.result(raise_on_failure=False)
    if not isinstance(error, EtlError) or not error.passing:
        return False
    log().warning("%s; trying again", error)
    return True


once: dict[str, Any] = {"cache_policy": NO_CACHE, "persist_result": False}
retried: dict[str, Any] = {
    **once,
    "retries": 3,
    "retry_delay_seconds": [1, 5, 20],
    "retry_condition_fn": may_pass,
}


def unsearched(argument: Item) -> Item:
    """Have Prefect pass an argument on without a search for results of tasks in all its parts.

    That search took a quarter of a second of each stage for the plan of 40 tables; and of the rows of each table it made an
    arrow in the graph of the run.
    """
    return cast(Item, opaque(argument))


@contextmanager
def opened(job: Job, origin: Database, target: Database) -> Iterator[None]:
    """Open the doors for the stages of this run; they are never an argument, for Prefect looks into arguments."""
    with open_doors(job, origin, target, run_program) as doors:
        tokens = _doors.set(doors), _seconds.set({}), _bytes.set({})
        try:
            yield
        finally:
            _doors.reset(tokens[0])
            _seconds.reset(tokens[1])
            _bytes.reset(tokens[2])


@task(name="download rules", task_run_name="download rules", **retried)
def download_rules(source: str) -> bytes:
    """Return the rules file from an https URL or a path. Raises RulesError."""
    with _timed("download rules"):
        content = download.fetch(source, _rules_folders())
    log().info(report.downloaded(content))
    return content


def _rules_folders() -> list[Path] | None:
    """Return the folders that a file of rules must be in; None where a person runs the flow, who may read what they can.

    A run of a deployment reads with the rights of its worker, for whoever may start runs.
    """
    running = FlowRunContext.get()
    if not running or not running.flow_run or not running.flow_run.deployment_id:
        return None
    configured = os.environ.get("RULES_FOLDER")
    return [_CODE, *([Path(configured)] if configured else [])]


@task(name="check", task_run_name="check {job.app}", **retried)
def check(job: Job, rules_text: bytes) -> Plan:
    """Check all that can be checked before a row is read or anything written, and return the plan."""
    with _timed("check"):
        plan = checking.check(job, _doors.get(), rules_text, on_wait=lambda schema: _say_waiting(job, schema))
    log().info(report.checked(job.app, plan))
    return plan


@task(name="dump", task_run_name="dump {job.app}", **retried)
def dump(job: Job, plan: Plan) -> list[str]:
    """Dump the origin with pg_dump into a private directory; return warnings. The origin is released then."""
    doors = _doors.get()
    with _timed("dump"), Measured(job.app, "dumped", plan.dump_bytes, lambda: size_of(doors.directory.archive)):
        dumped = dumping.dump(job, doors, plan)
    _bytes.get()["dump"] = dumped.bytes
    log().info(f"dumped {job.app}: {count(len(plan.copied), 'table')}, {size(dumped.bytes)}")
    return list(dumped.warnings)


@task(name="restore", task_run_name="restore {job.app}", **retried)
def restore(job: Job, plan: Plan) -> Plan:
    """Restore the dump's rows with pg_restore into raw tables of the target; return the plan with their sizes."""
    doors = _doors.get()
    with (
        _timed("restore"),
        Measured(job.app, "restored", plan.bytes, lambda: sum(restoring.raw_sizes(job, doors).values())),
    ):
        restored = restoring.restore(job, doors, plan, on_wait=lambda schema: _say_waiting(job, schema))
    _bytes.get()["restore"] = restored.bytes
    log().info(f"restored {job.app}: {count(len(plan.copied), 'table')}, {size(restored.bytes)}")
    return restored.plan


def run_program(command: Command, on_start: Callable[[int], None]) -> Outcome:
    """Run a program as Prefect runs shell commands; what it complains of may quote rows, and goes to a private file."""
    complaints = _doors.get().directory.path / "complaints"
    line = f"{shlex.join([command.program, *command.arguments])} 2> {shlex.quote(str(complaints))}"
    operation: Any = ShellOperation(
        commands=["set -euo pipefail", f"exec {line}"], env=dict(command.environment), stream_output=False
    )
    with operation:
        process = operation.trigger()
        on_start(process.pid)  # the number of its process group too
        with suppress(RuntimeError):  # it says no more than the exit status does
            process.wait_for_completion()
        return Outcome(process.return_code, "", complaints.read_text(errors="replace"))


def anonymize(job: Job, plan: Plan) -> dict[str, Copied]:
    """Copy every table, masked by the origin, into the staging schema: one task per table, largest first."""
    with _timed("anonymize"), Progress(job.app, {table.name: table.bytes for table in plan.copied}) as shown:

        def copy_all(snapshot: Snapshot) -> dict[str, Copied]:
            return _copy_all(job, plan, snapshot, shown)

        def begin_again(lost: SnapshotLost) -> None:
            log().warning(f"{lost}; copying again from a new snapshot")
            shown.restart()

        copied = anonymizing.anonymize(job, _doors.get(), plan, copy_all, begin_again)
    rows, bytes_ = sum(table.rows for table in copied.values()), sum(table.bytes for table in copied.values())
    log().info(f"anonymized {job.app}: {count(len(copied), 'table')}, {count(rows, 'row')}, {size(bytes_)}")
    return copied


@task(name="copy", task_run_name="copy {table.name}", **retried)
def copy(job: Job, table: TablePlan, snapshot: str, shown: Progress) -> Copied:
    """Copy one table from the snapshot into the staging schema."""
    copied = anonymizing.copy(job, _doors.get(), table, snapshot, lambda size: shown.add(table.name, size))
    shown.complete(table.name)
    log().info(
        f"copied {table.name}: {count(copied.rows, 'row')}, {size(copied.bytes)}, "
        f"{seconds(copied.seconds)}, {count(len(table.masked), 'masked column')}",
        extra=DETAIL,
    )
    return copied


@task(name="index", task_run_name="index {job.app}", **retried)
def index(job: Job, plan: Plan) -> Indexed:
    """Build indexes in parallel, then keys, foreign keys, comments and statistics."""
    with _timed("index"):
        indexed = indexing.index(job, _doors.get(), plan)
    log().info(
        f"indexed {job.app}: {count(indexed.indexes, 'index', 'indexes')}, "
        f"{count(len(plan.keys.foreign_keys), 'foreign key')}"
    )
    return indexed


@task(name="verify", task_run_name="verify {job.app}", **retried)
def verify(job: Job, plan: Plan, rows: dict[str, int]) -> dict[str, int]:
    """Verify row counts, masked columns and the reader's rights; return the tables' sizes in bytes."""
    with _timed("verify"):
        sizes = verifying.verify(job, _doors.get(), plan, rows)
    masked = sum(len(table.masked) for table in plan.copied)
    log().info(
        f"verified {job.app}: {count(sum(rows.values()), 'row')}, {count(masked, 'masked column')}, the reader's rights"
    )
    return sizes


@task(name="publish", task_run_name="publish {job.app}", **once)
def publish(job: Job) -> Publication:
    """Swap yesterday's schema for the staging schema, in one transaction, with the views that others built on it.

    It is not tried again: with the session that holds the app's lock, the lock is lost, and another run may have begun.
    """
    progress.published = ""
    with _timed("publish"):
        publication = publishing.publish(job, _doors.get())
        progress.published = job.schema
    log().info(f"published schema {job.schema} for {job.reader}")
    return publication


@task(name="clean", task_run_name="clean {job.app}", **retried)
def clean(job: Job) -> list[str]:
    """Drop the old schema and what killed runs left, patiently; return warnings."""
    with _timed("clean"):
        warnings = cleaning.clean(job, _doors.get())
    log().info(f"cleaned {job.app}")
    return warnings


def make_report(
    job: Job,
    plan: Plan,
    copied: dict[str, Copied],
    indexed: Indexed,
    sizes: dict[str, int],
    warnings: Sequence[str],
    recreated: Sequence[str],
) -> report.Report:
    """Gather the report of the run, show it in the log and keep it as the artifact `<app>-report`."""
    made = report.make_report(
        job,
        plan,
        rows={name: table.rows for name, table in copied.items()},
        copy_seconds={name: table.seconds for name, table in copied.items()},
        index_seconds=indexed.seconds,
        sizes=sizes,
        warnings=[*plan.without(indexed.missing).warnings, *indexed.warnings, *warnings],
        recreated=recreated,
        stages=_seconds.get(),
        stage_bytes=_bytes.get(),
    )
    log().info(f"report of {job.app}\n{report.plain(made)}")
    create_markdown_artifact(report.markdown(made), key=f"{job.app}-report", description=made.headline())
    return made


def _say_waiting(job: Job, schema: str) -> None:
    log().info(f"waiting for another run of schema {schema}, at most {job.lock_wait} s")


def log() -> Any:
    """Return the logger of the task or flow that runs; outside of both (a check from the command line) a plain one."""
    try:
        return get_run_logger()
    except MissingContextError:
        return logging.getLogger("flows")


def _copy_all(job: Job, plan: Plan, snapshot: Snapshot, shown: Progress) -> dict[str, Copied]:
    """Submit a task per table, `jobs` at a time; the first failure ends the others, unless a new snapshot can help."""
    runner: ThreadPoolTaskRunner[Copied] = ThreadPoolTaskRunner(max_workers=job.jobs)
    with runner:
        futures: dict[PrefectFuture[Copied], str] = {}
        for table in plan.copied:
            parameters = {"job": job, "table": unsearched(table), "snapshot": snapshot.identifier, "shown": shown}
            futures[runner.submit(copy, parameters=parameters)] = table.name
        with stopping_others(_doors.get(), SnapshotLost):
            return {futures[future]: future.result() for future in as_completed(list(futures))}


@contextmanager
def _timed(name: str) -> Iterator[None]:
    progress.stage = name
    try:
        with pipeline.timed(name, _seconds.get()):
            yield
    finally:
        progress.stage = ""
