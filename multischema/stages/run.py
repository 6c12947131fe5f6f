"""What a run has open, and how it ends: the two databases, sessions, locks, snapshots, threads and programs."""

import secrets
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import TypeVar

from multischema.catalog.objects import EventTrigger
from multischema.catalog.tables import changes
from multischema.dumps import archives
from multischema.dumps.directory import PrivateDirectory, drop_abandoned
from multischema.dumps.programs import RunCommand, kill, run_command
from multischema.errors import CheckError, ConnectionLost, DatabaseError, EtlError, OriginChanged, SnapshotLost
from multischema.job import Job
from multischema.plan.plan import Plan
from multischema.postgres import dropping, locks
from multischema.postgres.connecting import (
    Connection,
)
from multischema.postgres.copying import Snapshot, export_snapshot
from multischema.postgres.database import (
    Database,
)
from multischema.postgres.errors import translated
from multischema.postgres.questions import ask, read_fingerprints, read_server, read_system
from multischema.postgres.sessions import SILENT, Sessions
from multischema.stages import preconditions, raw_schema


def new_run_id() -> str:
    """Return 8 random hexadecimal digits."""
    return secrets.token_hex(4)


_RELEASE = 2.0  # seconds that a server may take to notice that the session with the locks is gone
PARTING = 5.0  # seconds that a run which ends may take to drop its staging schema; else the next run does
Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass
class Run:
    """A run that goes on: what it is asked to do, the two databases, its sessions, and the one that holds the app's lock."""

    job: Job
    origin: Database
    target: Database
    sessions: Sessions
    execute: RunCommand = run_command
    lock: Connection | None = None
    private: PrivateDirectory | None = None
    _making: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @property
    def holder(self) -> Connection:
        """Return the session that holds the app's lock; every change of a whole schema is made on it."""
        assert self.lock, "the check stage takes the lock"
        return self.lock

    @property
    def directory(self) -> PrivateDirectory:
        """Return the private directory of the run, made when it is first asked for: once, whoever else is asking."""
        with self._making:
            self.private = self.private or PrivateDirectory()
            return self.private

    @property
    def source(self) -> Database:
        """Return where rows are read from: the origin, or raw tables of the target."""
        return self.target.raw() if self.job.dumps else self.origin


@contextmanager
def open_run(job: Job, origin: Database, target: Database, execute: RunCommand = run_command) -> Iterator[Run]:
    """Open a run. At its end, however it ends, every statement is cancelled and every session closed.

    A run that did not publish takes its staging schema and its raw data with it; where it can't (killed, target gone), the
    next run does. `execute` runs other programs.
    """
    drop_abandoned()
    with Sessions(job.application) as sessions:
        run = Run(job, origin, target, sessions, execute)
        try:
            yield run
        except BaseException:
            sessions.end(spare=run.lock)
            if run.lock:
                _drop_staging(run)
            raise
        finally:
            if run.private:
                run.private.remove()


def refuse_origin_as_target(run: Run) -> None:
    """Raise CheckError where the target is the origin's own database: what is written there would be production's.

    It is asked before the first write too, and not in the check alone: an address may lead elsewhere by then.
    """
    if run.job.from_dump:
        return  # a backup stands in the target, and no origin is contacted
    facts = []
    for database, schema in ((run.origin, run.job.origin_schema), (run.target, run.job.schema)):
        with run.sessions.lend(database) as connection, translated(database.side, "reading the server's settings"):
            facts.append(replace(read_server(connection, schema), system=read_system(connection)))
    if problems := preconditions.same_database_problems(*facts):
        raise CheckError(*problems)


@contextmanager
def naming_triggers(run: Run) -> Iterator[None]:
    """Have an error that a function of the target's raised name the event triggers which call that function."""
    try:
        yield
    except DatabaseError as error:
        if not error.raised_in:
            raise
        triggers = []
        with suppress(EtlError, AssertionError), translated("target", "reading event triggers"):
            triggers = [row for row in ask(run.holder, EventTrigger, "event_triggers") if row.function in error.raised_in]
        if not triggers:
            raise
        names = ", ".join(row.name for row in triggers)
        raise DatabaseError(
            f"{error}; event trigger {names} of the target raised it: make it leave the ETL's role or schemas alone"
        ) from None


@contextmanager
def stopping_others(run: Run, *transient: type[EtlError]) -> Iterator[None]:
    """On a failure, end what the other threads are doing; for good, unless it is a transient one that is tried again."""
    try:
        yield
    except transient:
        run.sessions.interrupt(spare=run.lock)
        raise
    except BaseException:
        run.sessions.end(spare=run.lock)
        raise


def in_parallel(run: Run, work: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
    """Do the work for each item, as many at a time as the job says; the first failure is raised, and ends the rest."""
    with ThreadPoolExecutor(max_workers=run.job.jobs) as executor, stopping_others(run, ConnectionLost, SnapshotLost):
        futures: list[Future[Result]] = [executor.submit(work, item) for item in items]
        try:
            for future in as_completed(futures):
                future.result()
        finally:
            executor.shutdown(wait=False, cancel_futures=True)
        return [future.result() for future in futures]


@contextmanager
def held_snapshot(run: Run, source: Database, plan: Plan) -> Iterator[Snapshot]:
    """Hold a snapshot of the copied tables, on a session that says something every minute."""
    connection = run.sessions.open(source)
    try:
        snapshot = export_snapshot(connection, source, [table.oid for table in plan.copied])
        run.sessions.keep_alive(connection)
        yield snapshot
    finally:
        run.sessions.close(connection)


def refuse_changes(run: Run, plan: Plan, snapshot: Snapshot, done: str) -> None:
    """Compare the catalog of the copied tables with the plan's and the snapshot's, in a new transaction.

    Within the snapshot pg_class shows the file of before: a table truncated meanwhile reads as empty, without an error.
    Later than now, after the snapshot is released, good runs would fail.
    """
    oids = [table.oid for table in plan.copied]
    with run.sessions.lend(run.origin) as connection, translated(run.origin.side, "reading the catalog"):
        after = read_fingerprints(connection, oids)
    if found := changes(plan.catalog, snapshot.fingerprints, after, oids):
        raise OriginChanged(*(f"{run.origin.side}: table {line} while it was {done}; start again" for line in found))


def run_program(run: Run, database: Database, command: archives.Command, doing: str) -> archives.Outcome:
    """Run a client program; it is killed when its server does not answer any more. Raises ConnectionLost then."""
    groups: list[int] = []
    is_silent = threading.Event()

    def end() -> None:
        is_silent.set()
        for group in groups:
            kill(group)

    with run.sessions.watched(database, end):
        outcome = run.execute(command, groups.append)
    if is_silent.is_set():
        raise ConnectionLost(f"{database.side}: {doing} failed: {SILENT}")
    return outcome


def _drop_staging(run: Run) -> None:
    """Drop the staging schema and the raw data of a run that ends, on a new session where the one with the locks is lost.

    The name of the staging schema is this run's own, so no lock is needed; raw data is dropped by who holds its lock.
    A target that does not answer any more must not hold up Ctrl-C.
    """
    with Sessions(run.job.application) as parting:

        def drop() -> None:
            with suppress(EtlError):
                try:
                    if run.job.restores:
                        raw_schema.drop_own(run.holder, run.job.raw_schema, run.job.restoring)
                    dropping.drop_schema(run.holder, run.job.staging)
                except ConnectionLost:
                    with parting.lend(run.target) as connection:
                        dropping.drop_schema(connection, run.job.staging)
                        if run.job.restores:
                            locks.take_lock(connection, run.job.raw_schema, _RELEASE, lambda schema: None)
                            raw_schema.drop_own(connection, run.job.raw_schema, run.job.restoring)

        ending = threading.Thread(target=drop, name="drop staging", daemon=True)
        ending.start()
        ending.join(PARTING)
        if ending.is_alive():
            parting.end()
            run.sessions.end()
            ending.join(1)
