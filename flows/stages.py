"""The stages of the flow `etl` as Prefect tasks: names, retries, log lines and artifacts around the work of `pipeline`."""

import logging
import os
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial, wraps
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar, cast

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

from blocks import metabase as metabases
from flows import progress
from flows.logs import DETAIL
from flows.progress import Measured, Progress
from flows.states import tag
from multischema import download, metabase, pipeline, report
from multischema.dumps.archives import Command, Outcome
from multischema.dumps.directory import size_of
from multischema.errors import EtlError, SnapshotLost, UsageError
from multischema.findings import Finding
from multischema.job import Job, illegal_check
from multischema.plan.plan import Plan
from multischema.plan.refresh import Choice
from multischema.plan.tables import TablePlan
from multischema.postgres.copying import Copied, Snapshot
from multischema.postgres.database import Database
from multischema.stages import anonymize as anonymizing
from multischema.stages import check as checking
from multischema.stages import clean as cleaning
from multischema.stages import dump as dumping
from multischema.stages import index as indexing
from multischema.stages import publish as publishing
from multischema.stages import refresh as refreshing
from multischema.stages import restore as restoring
from multischema.stages import verify as verifying
from multischema.stages.dump import Dumped
from multischema.stages.estimate import estimate
from multischema.stages.index import Indexed
from multischema.stages.publish import Built, Publication
from multischema.stages.refresh import Brought, Refreshed
from multischema.stages.run import Run, open_run, route, stopping_others
from multischema.stages.verify import Verified
from multischema.words import count, escaped, seconds, size, some

Item = TypeVar("Item")
Arguments = ParamSpec("Arguments")

_CODE = Path(__file__).parent.parent


def may_pass(_task: Task[Any, Any], _task_run: TaskRun, state: State[Any]) -> bool:
    """Have Prefect try again after an error that may pass, such as a lost connection; never after any other."""
    error = state.result(raise_on_failure=False)
    if not isinstance(error, EtlError) or not error.transient:
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
    """Keep Prefect from searching an argument for task results.

    For a plan of 40 tables the search took a quarter of a second per stage, and each table's rows became an arrow in the
    run's graph.
    """
    return cast(Item, opaque(argument))


def as_task(
    name: str, options: Mapping[str, Any]
) -> Callable[[Callable[Concatenate["Stages", Arguments], Item]], Callable[Concatenate["Stages", Arguments], Item]]:
    """Make a stage a Prefect task named after itself and the app, and time it."""

    def decorate(
        work: Callable[Concatenate["Stages", Arguments], Item],
    ) -> Callable[Concatenate["Stages", Arguments], Item]:
        @wraps(work)
        def call(stages: "Stages", /, *arguments: Arguments.args, **named: Arguments.kwargs) -> Item:
            @wraps(partial(work, stages))
            def timed(*arguments: Arguments.args, **named: Arguments.kwargs) -> Item:
                with stages.timed(name):
                    return work(stages, *arguments, **named)

            # Prefect looks into arguments, so what a run has open is never one: the task is bound to it
            named_after = name if name == "download rules" else f"{name} {stages.job.app}"
            made = task(name=name, task_run_name=named_after, description=work.__doc__, **options)(timed)
            return made(*arguments, **named)

        return call

    return decorate


class Stages:
    """The stages of one run as Prefect tasks: names, retries, log lines and artifacts around the work of `multischema`."""

    run: Run

    def __init__(self, job: Job) -> None:
        self.job = job
        self.seconds: dict[str, float] = {}
        self.bytes: dict[str, int] = {}
        self.choice = Choice()

    @as_task("download rules", retried)
    def download_rules(self, source: str) -> bytes:
        """Return the rules file from an https URL or a path. Raises RulesError."""
        content = download.fetch(source, _rules_folders())
        log().info(report.downloaded(content))
        return content

    @as_task("check", retried)
    def check(self, rules_text: bytes) -> Plan:
        """Check everything that can be checked before reading a row or writing anything; return the plan."""
        plan = checking.check(self.run, rules_text, lock=not self.job.check, on_wait=self._say_waiting)
        say_checked(self.job, plan)
        return plan

    def report_check(self, plan: Plan) -> report.Checked:
        """Say in the log what a run would take, and all warnings."""
        return found(self.run, plan)

    @as_task("dump", retried)
    def dump(self, plan: Plan) -> Dumped:
        """Dump the origin with pg_dump into a private directory, then release the origin."""
        archive = self.run.directory.archive
        with Measured(self.job.app, "dumped", plan.dump_bytes, lambda: size_of(archive)):
            dumped = dumping.dump(self.run, plan)
        self.bytes["dump"] = dumped.bytes
        log().info(f"dumped {self.job.app}: {count(len(plan.copied), 'table')}, {size(dumped.bytes)}")
        return dumped

    @as_task("restore", retried)
    def restore(self, plan: Plan, dumped: Dumped | None) -> Plan:
        """Restore the dump's rows with pg_restore into raw tables of the target; return the plan with their sizes."""
        with Measured(self.job.app, "restored", plan.bytes, lambda: sum(restoring.raw_sizes(self.run).values())):
            restored = restoring.restore(self.run, plan, dumped, on_wait=self._say_waiting)
        self.bytes["restore"] = restored.bytes
        log().info(f"restored {self.job.app}: {count(len(plan.copied), 'table')}, {size(restored.bytes)}")
        return restored.plan

    def refresh(self, plan: Plan) -> Refreshed | None:
        """Bring the published tables up to date; return None, with the reason in the log, if the run is to be full."""
        found: Brought | Refreshed | Choice
        found = Choice(full=why) if (why := refreshing.never(self.job)) else self.bring(unsearched(plan))
        if isinstance(found, Brought):
            tag("refresh")
            found = self.publish_refresh(unsearched(plan), unsearched(found))
        if isinstance(found, Refreshed):
            return found
        self.choice = found
        tag("full")
        log().info(f"decided {self.job.app}: {found.line()}")
        return None

    @as_task("anonymize", retried)
    def bring(self, plan: Plan) -> Brought | Choice:
        """Bring what changed in the origin since the last run into staging schemas, or return why the run is full."""
        with Progress(self.job.app, {}) as shown:

            def decided(choice: Choice) -> None:
                log().info(f"decided {self.job.app}: {choice.line()}")
                shown.expect({change.table.name: change.bytes for change in choice.changes})

            brought = refreshing.bring(self.run, plan, decided, shown.add)
        if isinstance(brought, Brought) and brought.scanned:
            log().info(report.scanned(f"{self.job.app}, rows that changed", brought.scanned))
        return brought

    @as_task("publish", once)
    def publish_refresh(self, plan: Plan, brought: Brought) -> Refreshed | Choice:
        """Verify the rows that came in, the counts of all tables and the reader's rights, and publish, in one transaction.

        It is not retried: if the session that holds the app's lock is lost, so is the lock, and another run may have begun.
        """
        refreshed = refreshing.publish(self.run, plan, brought)
        if isinstance(refreshed, Refreshed):
            progress.tell(published=self.job.schema)
            log().info(f"published schema {self.job.schema} for {some(self.job.readers)}")
        return refreshed

    def anonymize(self, plan: Plan, dumped: Dumped | None) -> dict[str, Copied]:
        """Copy every table, masked by the origin, into the staging schema: one task per table, largest first."""
        app = self.job.app
        with self.timed("anonymize"), Progress(app, {table.name: table.bytes for table in plan.copied}) as shown:

            def copy_all(snapshot: Snapshot) -> dict[str, Copied]:
                return self._copy_all(plan, snapshot, shown)

            def begin_again(lost: SnapshotLost) -> None:
                log().warning(f"{lost}; copying again from a new snapshot")
                shown.restart()

            copied = anonymizing.anonymize(self.run, plan, dumped, copy_all, begin_again)
        rows, bytes_ = sum(table.rows for table in copied.values()), sum(table.bytes for table in copied.values())
        log().info(f"anonymized {app}: {count(len(copied), 'table')}, {count(rows, 'row')}, {size(bytes_)}")
        return copied

    def _copy_all(self, plan: Plan, snapshot: Snapshot, shown: Progress) -> dict[str, Copied]:
        """Submit a task per table, `jobs` at a time; the first failure ends the others, unless a new snapshot helps."""

        def copy_one(table: TablePlan) -> Copied:
            shown.add(table.name, 0)  # it runs, though its first rows may take long
            copied = anonymizing.copy(self.run, table, snapshot.identifier, lambda size: shown.add(table.name, size))
            shown.complete(table.name)
            log().info(
                f"copied {table.name}: {count(copied.rows, 'row')}, {size(copied.bytes)}, "
                f"{seconds(copied.seconds)}, {count(len(table.masked), 'masked column')}",
                extra=DETAIL,
            )
            return copied

        copy = task(
            name="copy",
            task_run_name="copy {table.name}",
            description="Copy one table from the snapshot into the staging schema.",
            **retried,
        )(copy_one)
        runner: ThreadPoolTaskRunner[Copied] = ThreadPoolTaskRunner(max_workers=self.job.jobs)
        with runner:
            futures: dict[PrefectFuture[Copied], str] = {}
            for table in plan.copied:
                futures[runner.submit(copy, parameters={"table": unsearched(table)})] = table.name
            with stopping_others(self.run, SnapshotLost):
                return {futures[future]: future.result() for future in as_completed(list(futures))}

    @as_task("index", retried)
    def index(self, plan: Plan) -> Indexed:
        """Build indexes in parallel, then keys, foreign keys, comments and statistics."""
        indexed = indexing.index(self.run, plan)
        log().info(
            f"indexed {self.job.app}: {count(indexed.indexes, 'index', 'indexes')}, "
            f"{count(len(plan.keys.foreign_keys), 'foreign key')}"
        )
        return indexed

    @as_task("verify", retried)
    def verify(self, plan: Plan, rows: dict[str, int]) -> Verified:
        """Verify row counts, masked columns, rare combinations, what tables lost and the reader's rights."""
        verified = verifying.verify(self.run, plan, rows)
        masked = sum(len(table.masked) for table in plan.copied)
        log().info(
            f"verified {self.job.app}: {count(sum(rows.values()), 'row')}, {count(masked, 'masked column')}, "
            "the reader's rights"
        )
        return verified

    @as_task("publish", once)
    def publish(self, plan: Plan, built: Built) -> Publication:
        """Swap yesterday's schema for the staging schema, in one transaction, with the views that others built on it.

        It is not retried: if the session that holds the app's lock is lost, so is the lock, and another run may have begun.
        """
        publication = publishing.publish(self.run, plan, self.choice.full, built)
        progress.tell(published=self.job.schema)
        log().info(f"published schema {self.job.schema} for {some(self.job.readers)}")
        return replace(publication, warnings=(*publication.warnings, *self._tell_metabase(publication)))

    def _tell_metabase(self, publication: Publication) -> list[Finding]:
        """Tell Metabase, if it is known, that the structure changed; return a warning if it was not told.

        What is published is published, whatever becomes of it.
        """
        if not publication.restructured:
            return []
        try:
            known = metabases.find()
            problem = metabase.tell(known) if known else None
        except Exception as error:
            known, problem = None, str(error) if isinstance(error, EtlError) else type(error).__name__
        if known and not problem:
            log().info(f"told Metabase that the structure of schema {self.job.schema} changed")
        late = "it sees what changed at its next sync, which is hourly unless set otherwise"
        what = f"Metabase was not told that the structure changed: {problem}"
        return [Finding("metabase-not-told", what, late, object=self.job.schema)] if problem else []

    @as_task("clean", retried)
    def clean(self) -> list[Finding]:
        """Drop the old schema and what killed runs left, patiently; return warnings."""
        warnings = cleaning.clean(self.run)
        log().info(f"cleaned {self.job.app}")
        return warnings

    def make_report(
        self,
        plan: Plan,
        copied: dict[str, Copied],
        indexed: Indexed,
        sizes: dict[str, int],
        warnings: Sequence[Finding],
        publication: Publication,
    ) -> report.Report:
        """Gather the report of a full run, show it in the log and keep it as the artifact `<app>-report`."""
        made = report.make_report(
            self.job,
            plan,
            self.choice,
            datetime.now(UTC),
            changes=dict.fromkeys(copied, "copied"),
            rows={name: table.rows for name, table in copied.items()},
            copy_seconds={name: table.seconds for name, table in copied.items()},
            index_seconds=indexed.seconds,
            sizes=sizes,
            warnings=warnings,
            recreated=publication.recreated,
            stages=self.seconds,
            stage_bytes=self.bytes,
            recorded=publication.recorded,
        )
        return self._kept(made)

    def report_refresh(self, plan: Plan, refreshed: Refreshed) -> report.Report:
        """Clean, gather the report of a refresh, show it in the log and keep it as the artifact `<app>-report`."""
        warnings = self.clean()
        brought = refreshed.brought
        made = report.make_report(
            self.job,
            plan,
            brought.choice,
            brought.known.full_at,
            changes=refreshed.changes(plan),
            rows=brought.choice.rows,
            copy_seconds={name: table.seconds for name, table in brought.copied.items()},
            index_seconds={},
            sizes=refreshed.sizes,
            warnings=[*refreshed.warnings, *warnings],
            recreated=(),
            stages=self.seconds,
            stage_bytes=self.bytes,
            recorded=refreshed.recorded,
            brought=brought.scanned,
        )
        return self._kept(made)

    def _kept(self, made: report.Report) -> report.Report:
        log().info(f"report of {self.job.app}\n{report.plain(made)}")
        try:
            create_markdown_artifact(report.markdown(made), key=f"{self.job.app}-report", description=made.headline())
        except Exception as error:  # it is published, whatever becomes of the page
            log().warning(f"Prefect's server did not take the artifact {self.job.app}-report: {type(error).__name__}")
        return made

    @contextmanager
    def timed(self, name: str) -> Iterator[None]:
        """Record how many seconds a stage takes, and show it in the terminal meanwhile."""
        progress.tell(stage=name)
        try:
            with pipeline.timed(name, self.seconds):
                yield
        except Exception as error:
            error.__dict__.setdefault("stage", name)  # for Sentry, which is told where the run failed
            raise
        finally:
            progress.tell(stage="")

    def execute(self, command: Command, on_start: Callable[[int], None]) -> Outcome:
        """Run a program as Prefect runs shell commands; its stderr may quote rows, so it goes to a private file."""
        complaints = self.run.directory.path / "complaints"
        line = f"{shlex.join([command.program, *command.arguments])} 2> {shlex.quote(str(complaints))}"
        operation: Any = ShellOperation(
            # its file goes first: a run that is killed leaves none
            commands=['rm -- "$0"', "set -euo pipefail", f"exec {line}"],
            env=dict(command.environment),
            stream_output=False,
        )
        with operation:
            process = operation.trigger()
            on_start(process.pid)  # also its process group
            with suppress(RuntimeError):  # it says no more than the exit status does
                process.wait_for_completion()
            return Outcome(process.return_code, b"", complaints.read_text(errors="replace"))

    def _say_waiting(self, schema: str) -> None:
        log().info(f"waiting for another run of schema {schema}, at most {self.job.lock_wait} s")


@contextmanager
def opened(job: Job, origin: Database, target: Database, find_key: Callable[[], bytes]) -> Iterator[Stages]:
    """Say from where to where the run goes, open it and yield its stages."""
    if contradiction := illegal_check(job.check, job.from_dump):
        raise UsageError(contradiction)
    log().info(route(job, origin, target))
    stages = Stages(job)
    with open_run(job, origin, target, stages.execute, find_key) as stages.run:
        yield stages


def say_checked(job: Job, plan: Plan) -> None:
    """Say in the log that a check found no problem, and what its scan looked into."""
    log().info(report.checked(job.app, plan))
    if plan.scanned:
        log().info(report.scanned(job.app, plan.scanned))


def found(run: Run, plan: Plan) -> report.Checked:
    """Say in the log what a run would take, and all warnings; return what a check found that ends here."""
    taken = estimate(run, plan)
    for line in taken:
        log().info(line)
    for line in report.scan_details(plan):
        log().info("scan: %s", escaped(line))
    told = plan.told()
    for warning in told.warnings:
        log().warning("%s", escaped(warning.coded()))
    for line in [*(note.coded() for note in told.notes), *filter(None, [told.expected_line()])]:
        log().info("%s", escaped(line))
    return report.Checked((report.checked(run.job.app, plan), *taken))


def _rules_folders() -> list[Path] | None:
    """Return the folders that rules may be read from; None if a person runs the flow, who may read what they can.

    A deployment's run reads with its worker's rights, for anyone who may start runs.
    """
    running = FlowRunContext.get()
    if not running or not running.flow_run or not running.flow_run.deployment_id:
        return None
    configured = os.environ.get("RULES_FOLDER")
    return [_CODE, *([Path(configured)] if configured else [])]


def log() -> Any:
    """Return the logger of the running task or flow, or a plain one outside of both (`--check`)."""
    try:
        return get_run_logger()
    except MissingContextError:
        return logging.getLogger("flows")
