"""The work of each stage, without Prefect: read the catalog, decide, do it. `run` is all of them in order."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

from multischema import archives, catalog, ddl, download, exhaustivity, preconditions, raw, record, rules, shell
from multischema.catalog import Catalog
from multischema.errors import CheckError, ConnectionLost, EtlError, OriginChanged, SnapshotLost, VerifyError
from multischema.exhaustivity import Findings
from multischema.masking import TablePlan
from multischema.planning import Job, Plan, collations_of, make_plan, published_types, width_problems
from multischema.postgres import building, documents, publishing, restoring
from multischema.postgres.copying import Copied, Route, Snapshot, copy_table, count_rows, export_snapshot
from multischema.postgres.errors import translated
from multischema.postgres.publishing import Publication
from multischema.postgres.reads import query, read_catalog, read_fingerprints
from multischema.postgres.sessions import SILENT, Connection, Database, Sessions, quoted_path
from multischema.rules import Rules

SNAPSHOTS = 3  # how many snapshots a run takes before it gives up
_RELEASE = 2.0  # seconds that a server may take to notice that the session with the locks is gone
PARTING = 5.0  # seconds that a run which ends may take to drop its staging schema; else the next run does

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass
class Doors:
    """What a run has open: the two databases, its sessions, and the session that holds the app's lock."""

    origin: Database
    target: Database
    sessions: Sessions
    run: shell.Run = shell.run
    lock: Connection | None = None
    private: shell.PrivateDirectory | None = None
    archive: Path | None = None
    dumped: Mapping[str, int] = field(default_factory=dict)  # rows of each table that was dumped

    @property
    def holder(self) -> Connection:
        """Return the session that holds the app's lock; every change of a whole schema is made on it."""
        assert self.lock, "the check stage takes the lock"
        return self.lock

    @property
    def directory(self) -> shell.PrivateDirectory:
        """Return the private directory of the run, made when it is first asked for."""
        self.private = self.private or shell.PrivateDirectory()
        return self.private

    def source(self, job: Job) -> Database:
        """Return where rows are read from: the origin, or raw tables of the target."""
        return self.target.raw() if job.dumps else self.origin


@dataclass(frozen=True)
class Dumped:
    """What the dump stage did: the bytes of the dump, and what must be known of it."""

    bytes: int
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class Restored:
    """What the restore stage did: the plan with the sizes of the raw tables, and their bytes in all."""

    plan: Plan
    bytes: int


@dataclass(frozen=True)
class Indexed:
    """What the index stage did: seconds for each table, the number of indexes, and what had to be left out."""

    seconds: dict[str, float]
    indexes: int
    warnings: tuple[str, ...]


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
    with opened(job, origin, target) as doors:
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


@contextmanager
def opened(job: Job, origin: Database, target: Database, run: shell.Run = shell.run) -> Iterator[Doors]:
    """Open the doors of a run. At its end, however it ends, every statement is cancelled and every session closed.

    A run that did not publish takes its staging schema and its raw data with it; where it can't (killed, target gone), the
    next run does. `run` runs other programs.
    """
    shell.drop_leftovers()
    with Sessions(job.application) as sessions:
        doors = Doors(origin, target, sessions, run)
        try:
            yield doors
        except BaseException:
            sessions.end(spare=doors.lock)
            if doors.lock:
                _drop_staging(job, doors)
            raise
        finally:
            if doors.private:
                doors.private.remove()


def check(
    job: Job, doors: Doors, rules_text: bytes, *, lock: bool = True, on_wait: Callable[[str], None] = lambda schema: None
) -> Plan:
    """Check all that can be checked before a row is read or anything written, and return the plan.

    With `lock`, the app's lock is taken first, on a session that the run keeps, so that what was checked stays true;
    `on_wait` is called with the schema where another run has it. Raises CheckError with every problem, RulesError,
    LockTimeout, and EtlError for a dump that can't be read.
    """
    parsed = rules.parse(rules_text)
    unusable = _check_servers(job, doors)
    notes: list[str] = []
    if lock and not unusable and not (doors.lock and not doors.lock.closed):
        doors.lock = doors.sessions.open(doors.target)
        building.take_lock(doors.lock, job.schema, job.lock_wait, on_wait)
        doors.sessions.keep_alive(doors.lock)
    if job.from_dump and not unusable:
        notes = _restore_structure(job, doors, Path(job.from_dump), on_wait)
    plan, problems = _check_schemas(job, doors, parsed, unusable)
    if job.restores:
        problems = [*_check_dump(job, doors, plan, unusable), *problems]  # a snippet to paste comes last
    if plan is None or problems:
        raise CheckError(*problems)
    if job.from_dump:
        restoring.strip(doors.holder, job.raw_schema)
    return replace(plan, warnings=(*plan.warnings, *notes))


def dump(job: Job, doors: Doors, plan: Plan) -> Dumped:
    """Dump the rows of the copied tables into the run's private directory, from one snapshot; the origin is released then.

    With `keep_dump` the dump of an earlier run is taken, where there is one. Raises OriginChanged, ConnectionLost, EtlError.
    """
    side = doors.origin.side
    structure = {table.name: plan.catalog.fingerprints[table.oid].structure for table in plan.copied}
    if job.keep_dump and (kept := shell.kept_dump(job.schema)) is not None:
        doors.archive = shell.kept_archive(job.schema)
        if kept["structure"] != structure:
            raise EtlError(f"{side}: the kept dump {doors.archive.parent} is of other tables than there are now; delete it")
        doors.dumped = kept["rows"]
        return Dumped(shell.size_of(doors.archive), (f"the dump {doors.archive.parent} of an earlier run was restored",))
    doors.directory.drop_archive()
    doors.directory.refuse_if_full(plan.dump_bytes, f"{side}: dump")
    doors.dumped = _dump_rows(job, doors, plan, doors.directory.archive)
    if not doors.dumped:
        return Dumped(0, ())
    doors.archive = doors.directory.archive
    size = shell.size_of(doors.archive)
    if not job.keep_dump:
        return Dumped(size, ())
    doors.archive = doors.directory.keep(job.schema, {"structure": structure, "rows": doors.dumped})
    return Dumped(size, (f"the dump with its personal data is kept in {doors.archive.parent}; delete it",))


def restore(job: Job, doors: Doors, plan: Plan, on_wait: Callable[[str], None] = lambda schema: None) -> Restored:
    """Restore rows into raw tables of the target, without keys and indexes.

    Before the first row arrives, the reader's rights are checked. The dump is deleted as soon as it is restored.
    Raises CheckError, ConnectionLost, EtlError.
    """
    schema = job.raw_schema
    if job.from_dump:
        restoring.empty(doors.holder, job, plan)
    else:
        _enter_raw(job, doors, on_wait)
        restoring.create_tables(doors.holder, job, plan, schema)
    restoring.hide(doors.holder, schema)
    exposed = restoring.exposed(doors.holder, job, schema)
    if exposed:
        raise CheckError(*exposed)
    if doors.archive:
        _restore_rows(job, doors, plan, doors.archive)
    sizes = raw_sizes(job, doors)
    if not job.keep_dump:
        doors.directory.drop_archive()
    return Restored(plan.measured(sizes), sum(sizes.values()))


def raw_sizes(job: Job, doors: Doors) -> dict[str, int]:
    """Return the bytes of each raw table."""
    with doors.sessions.lend(doors.target) as connection, translated("target", "measuring tables"):
        return {row["name"]: int(row["bytes"] or 0) for row in query(connection, "sizes", schema=job.raw_schema)}


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
    building.drop_leftovers(doors.holder, job.schema)
    if not job.restores:
        restoring.drop_leftovers(doors.holder)
    building.build_staging(doors.holder, job, plan)
    for attempt in range(1, SNAPSHOTS + 1):
        try:
            with _snapshot(doors, doors.source(job), plan) as snapshot:
                copied = copy_all(snapshot)
                if not job.restores:
                    _refuse_changes(doors, plan, snapshot, "copied")
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

    reasons = in_parallel(doors, job.jobs, build, range(len(wanted)))
    missing = frozenset(index.name for index, reason in zip(wanted, reasons, strict=True) if reason)
    with doors.sessions.lend(doors.target) as connection:
        warnings = building.build_keys(connection, job.staging, plan, built, missing)
    in_parallel(doors, job.jobs, analyze, plan.copied)
    return Indexed(seconds, len(plan.keys.indexes) - len(missing), (*(reason for reason in reasons if reason), *warnings))


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
    return publishing.publish(doors.holder, job)


def clean(job: Job, doors: Doors) -> list[str]:
    """Drop raw data, the old schema and what killed runs left, patiently; return a warning for what is still in use."""
    kept = []
    if job.restores and not restoring.leave(doors.holder, job.raw_schema):
        kept.append(job.raw_schema)
    with doors.sessions.lend(doors.target) as connection:
        kept += building.drop_leftovers(connection, job.schema)
    return [f"schema {name} is still in use: the next run drops it" for name in kept]


@contextmanager
def stopping_others(doors: Doors, *passing: type[EtlError]) -> Iterator[None]:
    """On a failure, end what the other threads are doing; for good, unless it is a passing one that is tried again."""
    try:
        yield
    except passing:
        doors.sessions.interrupt(spare=doors.lock)
        raise
    except BaseException:
        doors.sessions.end(spare=doors.lock)
        raise


def in_parallel(doors: Doors, jobs: int, work: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
    """Do the work for each item, `jobs` at a time; the first failure is raised, and ends the rest."""
    with ThreadPoolExecutor(max_workers=jobs) as executor, stopping_others(doors, ConnectionLost, SnapshotLost):
        futures: list[Future[Result]] = [executor.submit(work, item) for item in items]
        try:
            for future in as_completed(futures):
                future.result()
        finally:
            executor.shutdown(wait=False, cancel_futures=True)
        return [future.result() for future in futures]


def _drop_staging(job: Job, doors: Doors) -> None:
    """Drop the staging schema and the raw data of a run that ends, on a new session where the one with the locks is lost.

    The name of the staging schema is this run's own, so no lock is needed; raw data is dropped by who holds its lock.
    A target that does not answer any more must not hold up Ctrl-C.
    """
    with Sessions(job.application) as parting:

        def drop() -> None:
            with suppress(EtlError):
                try:
                    if job.restores:
                        restoring.drop_own(doors.holder, job.raw_schema, job.restoring)
                    building.drop_schema(doors.holder, job.staging)
                except ConnectionLost:
                    with parting.lend(doors.target) as connection:
                        building.drop_schema(connection, job.staging)
                        if job.restores:
                            building.take_lock(connection, job.raw_schema, _RELEASE, lambda schema: None)
                            restoring.drop_own(connection, job.raw_schema, job.restoring)

        dropping = threading.Thread(target=drop, name="drop staging", daemon=True)
        dropping.start()
        dropping.join(PARTING)
        if dropping.is_alive():
            parting.end()
            doors.sessions.end()
            dropping.join(1)


def _check_servers(job: Job, doors: Doors) -> dict[str, list[str]]:
    """Return, for each side that can't be used at all, why: no connection, a transaction pooler, a version.

    A backup stands in the target, of which it is told once.
    """
    unusable: dict[str, list[str]] = {}
    sides = {"origin": (doors.origin, job.origin_schema), "target": (doors.target, job.schema)}
    if job.from_dump:
        del sides["origin"]
    for side, (database, schema) in sides.items():
        try:
            with doors.sessions.lend(database) as connection:
                with translated(database.side, "reading the server's settings"):
                    server = query(connection, "server", schema=schema)[0]
            problems = preconditions.server_problems(database.side, server)
        except EtlError as error:
            problems = list(error.problems)
        if problems:
            unusable[side] = problems
    return {"origin": [], **unusable} if job.from_dump and unusable else unusable


def _check_schemas(
    job: Job, doors: Doors, parsed: Rules, unusable: Mapping[str, list[str]]
) -> tuple[Plan | None, list[str]]:
    """Return the plan and all problems, of each side that can be used too; the plan is None where one keeps it from us."""
    found, gaps, problems = (None, None, unusable["origin"]) if "origin" in unusable else _check_origin(job, doors, parsed)
    problems = problems + (unusable["target"] if "target" in unusable else _check_target(job, doors))
    absent: set[str] = set()
    if found and "target" not in unusable:
        absent, lacking = _check_types(job, doors, found)
        problems += lacking

    def standing(plan: Plan | None) -> list[str]:
        return [] if "target" in unusable else _check_standing(job, doors, plan)

    if not found or not gaps:
        return None, problems + standing(None)
    if gaps.problems:
        return None, [*problems, *standing(None), *gaps.lines(doors.origin.side)]
    collations = frozenset(collations_of(found)) - absent
    plan = make_plan(found, gaps.rules, gaps.warnings, collations, raw=job.dumps, all_indexes=job.indexes == "all")
    plan = replace(plan, warnings=(*([] if "target" in unusable else _changes_of_rules(job, doors, plan)), *plan.warnings))
    return plan, problems + standing(plan) + [f"{doors.origin.side}: {line}" for line in width_problems(plan)]


def _check_origin(job: Job, doors: Doors, parsed: Rules) -> tuple[Catalog | None, Findings | None, list[str]]:
    """Return the origin's catalog, if there is such a schema, how the rules fit it, and what the role may not read."""
    side = doors.origin.side
    with doors.sessions.lend(doors.origin) as connection, translated(side, "reading the catalog"):
        server = query(connection, "server", schema=job.origin_schema)[0]
        missing = preconditions.origin_problems(side, server, job.origin_schema)
        if missing:
            return None, None, missing
        found = read_catalog(connection, job.origin_schema)
    gaps = exhaustivity.compare(parsed, found)
    return found, gaps, preconditions.rights_problems(side, server, found, gaps.rules)


def _check_target(job: Job, doors: Doors) -> list[str]:
    """Return why the target can't be published to: the role, the schema, the reader."""
    with doors.sessions.lend(doors.target) as connection, translated("target", "reading the catalog"):
        server = query(connection, "server", schema=job.schema)[0]
        facts = query(connection, "target", schema=job.schema, reader=job.reader)[0]
        return preconditions.target_problems(server, facts, job.schema, job.reader)


def _changes_of_rules(job: Job, doors: Doors, plan: Plan) -> list[str]:
    """Return warnings of what the last run masked or copied, and this one will not: the rules come from the internet."""
    with doors.sessions.lend(doors.target) as connection, translated("target", "reading the last run's record"):
        facts = query(connection, "target", schema=job.schema, reader=job.reader)[0]
    return record.warnings(record.read(facts["published_comment"]), plan)


def _check_standing(job: Job, doors: Doors, plan: Plan | None) -> list[str]:
    """Return what others built on the published schema that a run can't keep, and what of the plan the server can't read.

    What lacks columns only a plan tells.
    """
    with doors.sessions.lend(doors.target) as connection:
        unreadable = documents.obstacles(connection, plan) if plan else []
        return unreadable + publishing.obstacles(connection, job, plan.columns if plan else None)


def _check_types(job: Job, doors: Doors, found: Catalog) -> tuple[set[str], list[str]]:
    """Return the collations that the target has not, and a problem for each type that it has not."""
    types = published_types(found)
    with doors.sessions.lend(doors.target) as connection, translated("target", "looking up types"):
        server = query(connection, "server", schema=job.schema)[0]
        lacking = query(connection, "lacking", types=list(types), collations=collations_of(found))
    absent = {row["name"] for row in lacking if row["what"] == "collation"}
    return absent, preconditions.lacking_problems(lacking, types, server["major"])


def _check_dump(job: Job, doors: Doors, plan: Plan | None, unusable: Mapping[str, list[str]]) -> list[str]:
    """Return why this machine can't dump or restore, and what stands in the way of raw data on the target."""
    problems: list[str] = []
    reason = ddl.illegal_raw(job.raw_schema, job.schema)
    if reason:
        return [*problems, f"target: schema {job.raw_schema} can't hold raw data: {reason}"]
    if not unusable and not job.from_dump:
        with (
            doors.sessions.lend(doors.origin) as connection,
            translated(doors.origin.side, "reading settings"),
        ):
            server = query(connection, "server", schema=job.origin_schema)[0]
            leaves = query(connection, "leaves", tables=[table.oid for table in plan.copied]) if plan else []
        problems += preconditions.dump_problems(doors.origin.side, server, leaves)
        for program in ("pg_dump", "pg_restore"):
            said = shell.run(archives.Command(program, ("--version",))).output
            problem = archives.version_problem(program, archives.version_of(said), doors.origin.side, server["major"])
            problems += [problem] if problem else []
        with doors.sessions.lend(doors.target) as connection:
            with translated("target", "reading settings"):
                locales = [server["locale"], query(connection, "server", schema=job.schema)[0]["locale"]]
            problems += [f"{doors.origin.side}: {line}" for line in raw.problems(plan, locales)] if plan else []
            problems += restoring.rights_problems(connection, job.raw_schema)
            problems += restoring.strangers(connection, job, job.raw_schema)
    return problems


def _enter_raw(job: Job, doors: Doors, on_wait: Callable[[str], None]) -> None:
    """Take the raw schema, which one run at a time can have, and empty it."""
    building.take_lock(doors.holder, job.raw_schema, job.lock_wait, on_wait)
    restoring.drop_leftovers(doors.holder)
    restoring.enter(doors.holder, job, job.raw_schema)


def _restore_structure(job: Job, doors: Doors, file: Path, on_wait: Callable[[str], None]) -> list[str]:
    """Create the tables of a backup in the raw schema, empty, with their keys and indexes; return warnings.

    Raises EtlError for a file that is no dump, DatabaseError for what the target can't create.
    """
    if not file.exists():
        raise EtlError(f"dump {file}: there is no such file")
    doors.archive = doors.directory.unpacked(file)
    entries = _contents(doors.archive, str(file))
    wanted = [entry for entry in entries if entry.kind in archives.STRUCTURE and entry.within(job.raw_schema)]
    if not any(entry.kind == "TABLE" for entry in wanted):
        found = ", ".join(sorted({entry.names.split(" ")[0] for entry in entries if entry.kind == "TABLE"})) or "none"
        raise EtlError(f"dump {file}: it holds no table of schema {job.raw_schema}; its schemas with tables: {found}")
    listed = doors.directory.write("structure", "".join(f"{entry.line}\n" for entry in wanted))
    printed = shell.run(archives.structure(str(doors.archive), listed))
    if printed.status:
        raise archives.unreadable(str(file), printed)
    _enter_raw(job, doors, on_wait)
    connection = doors.sessions.open(doors.target)
    try:
        return restoring.execute_structure(connection, archives.statements_of(printed.output), job.raw_schema)
    finally:
        doors.sessions.close(connection)


def _restore_rows(job: Job, doors: Doors, plan: Plan, archive: Path) -> None:
    """Have pg_restore fill the raw tables with the rows that a dump has of the copied ones."""
    entries = _rows_of_dump(job, doors, plan, archive)
    listed = doors.directory.write("entries", "".join(f"{entry.line}\n" for entry in entries))
    environment = {**doors.target.environment(), "PGAPPNAME": job.restoring}
    jobs = 1 if shell.is_tar(archive) else job.jobs  # pg_restore reads a tar in one go
    command = archives.restore(environment, doors.target.connection_string(), str(archive), listed, jobs)
    outcome = _run_program(doors, doors.target, command, "restore") if entries else archives.Outcome(0, "", "")
    failed = outcome.status and (archives.errors_of(outcome) or not archives.ignored_errors(outcome))
    if failed and archives.is_broken(outcome):
        raise archives.unreadable(job.from_dump or str(archive), outcome)
    if failed:
        raise archives.failure(command, "target", "restore", outcome)


def _dump_rows(job: Job, doors: Doors, plan: Plan, archive: Path) -> dict[str, int]:
    """Have pg_dump write the rows of the copied tables, and return how many the snapshot has of each.

    The snapshot is ours: pg_dump locks tables after it took its own, and shows one that was truncated in between as empty.
    """
    side, oids = doors.origin.side, [table.oid for table in plan.copied]
    with doors.sessions.lend(doors.origin) as connection, translated(side, "reading the catalog"):
        leaves = [(row["schema"], row["name"]) for row in query(connection, "leaves", tables=oids)]
        sequences = [(row["schema"], row["name"]) for row in query(connection, "sequences", tables=oids)]
    if not leaves:  # told of no table, pg_dump would dump all of them, truncated ones too
        return {}
    environment = {**doors.origin.environment(), "PGAPPNAME": job.application}
    try:
        with _snapshot(doors, doors.origin, plan) as snapshot:
            command = archives.dump(
                environment,
                doors.origin.connection_string(),
                snapshot.identifier,
                leaves,
                sequences,
                str(archive),
                job.jobs,
            )
            outcome = _run_program(doors, doors.origin, command, "dump")
            if outcome.status:
                with translated(side, "dump"):
                    snapshot.connection.execute("SELECT 1")  # where it is lost, that is why
                _refuse_changes(doors, plan, snapshot, "dumped")
                raise archives.failure(command, side, "dump", outcome)
            route = Route(side, job.origin_schema, snapshot.identifier, job.staging)

            def count(table: TablePlan) -> int:
                with doors.sessions.lend(doors.origin) as reading:
                    return count_rows(reading, table, route)

            rows = in_parallel(doors, job.jobs, count, plan.copied)
            _refuse_changes(doors, plan, snapshot, "dumped")
    except SnapshotLost as lost:
        raise ConnectionLost(*lost.problems) from None
    return {table.name: counted for table, counted in zip(plan.copied, rows, strict=True)}


def _run_program(doors: Doors, database: Database, command: archives.Command, doing: str) -> archives.Outcome:
    """Run a client program; it is killed when its server does not answer any more. Raises ConnectionLost then."""
    groups: list[int] = []
    is_silent = threading.Event()

    def end() -> None:
        is_silent.set()
        for group in groups:
            shell.end(group)

    with doors.sessions.watched(database, end):
        outcome = doors.run(command, groups.append)
    if is_silent.is_set():
        raise ConnectionLost(f"{database.side}: {doing} failed: {SILENT}")
    return outcome


def _contents(archive: Path, name: str) -> list[archives.Entry]:
    listed = shell.run(archives.contents(str(archive)))
    if listed.status:
        raise archives.unreadable(name, listed)
    return archives.read_contents(listed.output)


def _rows_of_dump(job: Job, doors: Doors, plan: Plan, archive: Path) -> list[archives.Entry]:
    """Return the entries of a dump with the rows of the copied tables. Raises EtlError where some are not in it."""
    entries = _contents(archive, job.from_dump or str(archive))
    if not job.from_dump:
        return [entry for entry in entries if entry.kind == "TABLE DATA"]
    with doors.sessions.lend(doors.origin) as connection, translated("target", "reading the catalog"):
        leaves = query(connection, "leaves", tables=[table.oid for table in plan.copied])
        tables = query(connection, "leaves", tables=[table.oid for table in plan.catalog.tables])
    all_rows = archives.rows_of(entries, job.raw_schema, [row["name"] for row in tables])
    found = {row["name"]: all_rows[row["name"]] for row in leaves}
    absent = [name for name, rows in found.items() if not rows]
    if absent:
        raise EtlError(
            *(f"dump {job.from_dump}: it holds no rows of table {name}; truncate it in the rules" for name in absent)
        )
    return [entry for rows in found.values() for entry in rows]


@contextmanager
def _snapshot(doors: Doors, source: Database, plan: Plan) -> Iterator[Snapshot]:
    """Hold a snapshot of the copied tables, on a session that says something every minute."""
    connection = doors.sessions.open(source)
    try:
        snapshot = export_snapshot(connection, source, [table.oid for table in plan.copied])
        doors.sessions.keep_alive(connection)
        yield snapshot
    finally:
        doors.sessions.close(connection)


def _refuse_changes(doors: Doors, plan: Plan, snapshot: Snapshot, done: str) -> None:
    """Compare the catalog of the copied tables with the plan's and the snapshot's, in a new transaction.

    Within the snapshot pg_class shows the file of before: a table truncated meanwhile reads as empty, without an error.
    Later than now, after the snapshot is released, good runs would fail.
    """
    oids = [table.oid for table in plan.copied]
    with doors.sessions.lend(doors.origin) as connection, translated(doors.origin.side, "reading the catalog"):
        after = read_fingerprints(connection, oids)
    changes = catalog.changes(plan.catalog, snapshot.fingerprints, after, oids)
    if changes:
        raise OriginChanged(*(f"{doors.origin.side}: table {line} while it was {done}; start again" for line in changes))


def _refuse_losses(doors: Doors, copied: Mapping[str, Copied]) -> None:
    """Compare the rows of raw tables with those that the origin had when it was dumped."""
    losses = [
        f"target: raw table {name} holds {copied[name].rows} rows; {rows} left the origin; start again"
        for name, rows in doors.dumped.items()
        if copied[name].rows != rows
    ]
    if losses:
        raise VerifyError(*losses)
