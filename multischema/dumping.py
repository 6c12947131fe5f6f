"""The stages of mode `dump` only: from the origin, or a backup, by way of a file to raw tables of the target."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from multischema import archives, shell
from multischema.doors import (
    Doors,
    held_snapshot,
    in_parallel,
    naming_triggers,
    refuse_changes,
    refuse_origin_as_target,
    run_program,
)
from multischema.errors import CheckError, ConnectionLost, EtlError, SnapshotLost
from multischema.masking import TablePlan
from multischema.planning import Job, Plan
from multischema.postgres import building, restoring
from multischema.postgres.copying import Route, count_rows
from multischema.postgres.errors import translated
from multischema.postgres.reads import query


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
    refuse_origin_as_target(job, doors)
    with naming_triggers(doors):
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


def restore_structure(
    job: Job, doors: Doors, file: Path, on_wait: Callable[[str], None]
) -> tuple[list[str], list[archives.Relative]]:
    """Create the tables of a backup in the raw schema, empty, with their keys and indexes.

    Return warnings, and what stands elsewhere with rows of these tables, which is not restored.

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
    related = [entry for entry in entries if entry.kind in ("TABLE", "FOREIGN TABLE", "TABLE ATTACH")]
    asked = [entry for entry in entries if entry in wanted or entry in related]
    listed = doors.directory.write("structure", "".join(f"{entry.line}\n" for entry in asked))
    printed = shell.run(archives.structure(str(doors.archive), listed))
    if printed.status:
        raise archives.unreadable(str(file), printed)
    _enter_raw(job, doors, on_wait)
    connection = doors.sessions.open(doors.target)
    try:
        statements = archives.statements_of(printed.output)
        wanted_kinds = [statement for statement in statements if statement[0] in archives.STRUCTURE]
        warnings = restoring.execute_structure(connection, wanted_kinds, job.raw_schema)
        return warnings, archives.relatives_of(statements, job.raw_schema)
    finally:
        doors.sessions.close(connection)


def _enter_raw(job: Job, doors: Doors, on_wait: Callable[[str], None]) -> None:
    """Take the raw schema, which one run at a time can have, and empty it."""
    building.take_lock(doors.holder, job.raw_schema, job.lock_wait, on_wait)
    restoring.drop_leftovers(doors.holder)
    restoring.enter(doors.holder, job, job.raw_schema)


def _restore_rows(job: Job, doors: Doors, plan: Plan, archive: Path) -> None:
    """Have pg_restore fill the raw tables with the rows that a dump has of the copied ones."""
    entries = _rows_of_dump(job, doors, plan, archive)
    listed = doors.directory.write("entries", "".join(f"{entry.line}\n" for entry in entries))
    environment = {**doors.target.environment(), "PGAPPNAME": job.restoring}
    jobs = 1 if shell.is_tar(archive) else job.jobs  # pg_restore reads a tar in one go
    command = archives.restore(environment, doors.target.connection_string(), str(archive), listed, jobs)
    outcome = run_program(doors, doors.target, command, "restore") if entries else archives.Outcome(0, "", "")
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
        with held_snapshot(doors, doors.origin, plan) as snapshot:
            command = archives.dump(
                environment,
                doors.origin.connection_string(),
                snapshot.identifier,
                leaves,
                sequences,
                str(archive),
                job.jobs,
            )
            outcome = run_program(doors, doors.origin, command, "dump")
            if outcome.status:
                with translated(side, "dump"):
                    snapshot.connection.execute("SELECT 1")  # where it is lost, that is why
                refuse_changes(doors, plan, snapshot, "dumped")
                raise archives.failure(command, side, "dump", outcome)
            route = Route(side, job.origin_schema, snapshot.identifier, job.staging)

            def count(table: TablePlan) -> int:
                with doors.sessions.lend(doors.origin) as reading:
                    return count_rows(reading, table, route)

            rows = in_parallel(doors, job.jobs, count, plan.copied)
            refuse_changes(doors, plan, snapshot, "dumped")
    except SnapshotLost as lost:
        raise ConnectionLost(*lost.problems) from None
    return {table.name: counted for table, counted in zip(plan.copied, rows, strict=True)}


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
