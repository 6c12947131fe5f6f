"""What a run has open, and how it ends: the two databases, sessions, locks, snapshots, threads and programs."""

import secrets
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from multischema.catalog.objects import EventTrigger
from multischema.catalog.position import Position
from multischema.catalog.tables import Fingerprint, changes
from multischema.dumps import archives
from multischema.dumps.directory import PrivateDirectory, drop_abandoned
from multischema.dumps.programs import RunCommand, kill, run_command
from multischema.errors import CheckError, ConnectionLost, DatabaseError, EtlError, OriginChanged, SnapshotLost, UsageError
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
from multischema.postgres.failures import translated
from multischema.postgres.questions import ask, read_fingerprints, read_server, read_system
from multischema.postgres.sessions import SILENT, Sessions
from multischema.stages import preconditions, raw_schema
from multischema.words import escaped


def new_run_id() -> str:
    """Return 8 random hexadecimal digits."""
    return secrets.token_hex(4)


_RELEASE = 2.0  # seconds for a server to notice that the session with the locks is gone
PARTING = 5.0  # seconds for an ending run to drop its staging schema; else the next run does
Item = TypeVar("Item")
Result = TypeVar("Result")


def no_key() -> bytes:
    """Raise UsageError: nobody said where the pseudonym key is."""
    raise UsageError("there is no pseudonym key")


@dataclass(frozen=True)
class Seen:
    """What the published rows were read from: where the origin stood, its tables' fingerprints and numbers of rows."""

    position: Position
    fingerprints: Mapping[int, Fingerprint]
    rows: Mapping[str, int]


@dataclass
class Run:
    """A run under way: its job, the two databases, its sessions, and the session that holds the app's lock.

    `seen` is set once all rows were read from a snapshot. `keys` is a schema that the
    run makes besides its staging schema, if any. `snapshot_at` is the time on the origin's clock as of which its rows are
    read, None where a backup does not tell it; `started` is on the clock of this process. `key_fingerprint` stands for the
    pseudonym key, and is empty where the rules name no pseudonym; the check sets it, and the `secrets` of the sessions that
    compute pseudonyms. `find_key` loads that key, or raises EtlError.
    """

    job: Job
    origin: Database
    target: Database
    sessions: Sessions
    execute: RunCommand = run_command
    lock: Connection | None = None
    private: PrivateDirectory | None = None
    seen: Seen | None = None
    keys: str = ""
    snapshot_at: datetime | None = None
    find_key: Callable[[], bytes] = no_key
    key_fingerprint: str = ""
    secrets: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    started: float = field(default_factory=time.monotonic)
    _making: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @property
    def holder(self) -> Connection:
        """Return the session that holds the app's lock; it makes every change to a whole schema."""
        assert self.lock, "the check stage takes the lock"
        return self.lock

    @property
    def seconds(self) -> float:
        """Return how long the run has taken so far."""
        return time.monotonic() - self.started

    @property
    def directory(self) -> PrivateDirectory:
        """Return the run's private directory, made at the first call, once for all threads."""
        with self._making:
            self.private = self.private or PrivateDirectory()
            return self.private

    @property
    def source(self) -> Database:
        """Return the database that rows are read from: the origin, or the target with its raw tables."""
        return self.target.raw() if self.job.dumps else self.origin

    @property
    def masking(self) -> Database:
        """Return the database that rows are read from, with what its sessions need to mask them: only those have it."""
        return replace(self.source, secrets=self.secrets)


def route(job: Job, origin: Database, target: Database) -> str:
    """Return from where to where a run goes, without users and passwords."""
    source = f"backup {escaped(Path(job.from_dump).name)}" if job.from_dump else f"origin {_address(origin)}"
    return f"{source} → target {_address(target)}, schema {escaped(job.schema)}"


def _address(database: Database) -> str:
    try:
        return database.address
    except DatabaseError:  # the check says why, with what else is wrong
        return "(its URL can't be read)"


@contextmanager
def open_run(
    job: Job,
    origin: Database,
    target: Database,
    execute: RunCommand = run_command,
    find_key: Callable[[], bytes] = no_key,
) -> Iterator[Run]:
    """Open a run. However it ends, every statement is cancelled and every session closed.

    A run that did not publish drops its staging schema and raw data; if it can't (killed, target gone), the next run does.
    `execute` runs other programs; `find_key` loads the pseudonym key, once the rules need it.
    """
    drop_abandoned()
    with Sessions(job.application) as sessions:
        run = Run(job, origin, target, sessions, execute, find_key=find_key)
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
    """Raise CheckError if the target is the origin's own database: a run would overwrite production.

    The first write asks again, not the check alone: an address may lead elsewhere by then.
    """
    if run.job.from_dump:
        return  # a backup is in the target, and no origin is contacted
    facts = []
    for database, schema in ((run.origin, run.job.origin_schema), (run.target, run.job.schema)):
        with run.sessions.lend(database) as connection, translated(database.side, "reading the server's settings"):
            facts.append(replace(read_server(connection, schema), system=read_system(connection)))
    if problems := preconditions.same_database_problems(*facts):
        raise CheckError(*problems)


@contextmanager
def naming_triggers(run: Run) -> Iterator[None]:
    """Add to an error that one of the target's functions raised the names of the event triggers that call it."""
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
    """On a failure, stop the other threads: for good, unless the error is a transient one that is retried."""
    try:
        yield
    except transient:
        run.sessions.interrupt(spare=run.lock)
        raise
    except BaseException:
        run.sessions.end(spare=run.lock)
        raise


def in_parallel(run: Run, work: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
    """Do the work for each item, `jobs` at a time; the first failure is raised and stops the rest."""
    with ThreadPoolExecutor(max_workers=run.job.jobs) as executor, stopping_others(run, ConnectionLost, SnapshotLost):
        futures: list[Future[Result]] = [executor.submit(work, item) for item in items]
        try:
            for future in as_completed(futures):
                future.result()
        finally:
            executor.shutdown(wait=False, cancel_futures=True)
        return [future.result() for future in futures]


@contextmanager
def publishing(connection: Connection, schema: str, doing: str) -> Iterator[None]:
    """Run the publishing transaction of a schema; say so where nobody can know whether the server committed it."""
    is_commit = False
    try:
        with translated("target", f"{doing} schema {schema}"), connection.transaction():
            yield
            is_commit = True
    except ConnectionLost as lost:
        if not is_commit:
            raise
        # no answer to COMMIT: we can't know whether the server did it
        raise ConnectionLost(f"{lost}; schema {schema} is whole, and may be the new one already") from None


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

    Within the snapshot, pg_class still shows the old file: a table truncated meanwhile reads as empty, without an error.
    Comparing later, after the snapshot is released, would fail good runs.
    """
    oids = [table.oid for table in plan.copied]
    with run.sessions.lend(run.origin) as connection, translated(run.origin.side, "reading the catalog"):
        after = read_fingerprints(connection, oids)
    if found := changes(plan.catalog, snapshot.fingerprints, after, oids):
        raise OriginChanged(*(f"{run.origin.side}: table {line} while it was {done}; start again" for line in found))


def run_program(run: Run, database: Database, command: archives.Command, doing: str) -> archives.Outcome:
    """Run a client program. Kill it and raise ConnectionLost if its server stops answering."""
    groups: list[int] = []
    is_silent = threading.Event()

    def end() -> None:
        is_silent.set()
        kill(*groups)

    with run.sessions.watched(database, end):
        outcome = run.execute(command, groups.append)
    if is_silent.is_set():
        raise ConnectionLost(f"{database.side}: {doing} failed: {SILENT}")
    return outcome


def _drop_staging(run: Run) -> None:
    """Drop an ending run's staging schema and raw data, on a new session if the one with the locks is lost.

    The staging schema's name is this run's own, so it needs no lock; only the holder of its lock drops raw data. A target
    that stops answering must not hold up Ctrl-C.
    """
    with Sessions(run.job.application) as parting:

        def drop() -> None:
            with suppress(EtlError):
                try:
                    if run.job.restores:
                        raw_schema.drop_own(run.holder, run.job.raw_schema, run.job.application)
                    for schema in filter(None, (run.job.staging, run.keys)):
                        dropping.drop_schema(run.holder, schema)
                except ConnectionLost:
                    with parting.lend(run.target) as connection:
                        for schema in filter(None, (run.job.staging, run.keys)):
                            dropping.drop_schema(connection, schema)
                        if run.job.restores:
                            locks.take_lock(connection, run.job.raw_schema, _RELEASE, lambda schema: None)
                            raw_schema.drop_own(connection, run.job.raw_schema, run.job.application)

        ending = threading.Thread(target=drop, name="drop staging", daemon=True)
        ending.start()
        ending.join(PARTING)
        if ending.is_alive():
            parting.end()
            run.sessions.end()
            ending.join(1)
