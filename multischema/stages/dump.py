"""The dump stage: the origin's rows, by pg_dump, into the run's private directory."""

from dataclasses import dataclass
from pathlib import Path

from multischema.dumps import archives
from multischema.dumps.directory import kept_archive, kept_dump, size_of
from multischema.errors import ConnectionLost, EtlError, SnapshotLost
from multischema.job import Job
from multischema.plan.plan import Plan
from multischema.plan.tables import TablePlan
from multischema.postgres.copying import Route, count_rows
from multischema.postgres.errors import translated
from multischema.postgres.questions import query
from multischema.stages.run import (
    Doors,
    held_snapshot,
    in_parallel,
    refuse_changes,
    run_program,
)


@dataclass(frozen=True)
class Dumped:
    """What the dump stage did: the bytes of the dump, and what must be known of it."""

    bytes: int
    warnings: tuple[str, ...]


def dump(job: Job, doors: Doors, plan: Plan) -> Dumped:
    """Dump the rows of the copied tables into the run's private directory, from one snapshot; the origin is released then.

    With `keep_dump` the dump of an earlier run is taken, where there is one. Raises OriginChanged, ConnectionLost, EtlError.
    """
    side = doors.origin.side
    structure = {table.name: plan.catalog.fingerprints[table.oid].structure for table in plan.copied}
    if job.keep_dump and (kept := kept_dump(job.schema)) is not None:
        doors.archive = kept_archive(job.schema)
        if kept["structure"] != structure:
            raise EtlError(f"{side}: the kept dump {doors.archive.parent} is of other tables than there are now; delete it")
        doors.dumped = kept["rows"]
        return Dumped(size_of(doors.archive), (f"the dump {doors.archive.parent} of an earlier run was restored",))
    doors.directory.drop_archive()
    doors.directory.refuse_if_full(plan.dump_bytes, f"{side}: dump")
    doors.dumped = _dump_rows(job, doors, plan, doors.directory.archive)
    if not doors.dumped:
        return Dumped(0, ())
    doors.archive = doors.directory.archive
    size = size_of(doors.archive)
    if not job.keep_dump:
        return Dumped(size, ())
    doors.archive = doors.directory.keep(job.schema, {"structure": structure, "rows": doors.dumped})
    return Dumped(size, (f"the dump with its personal data is kept in {doors.archive.parent}; delete it",))


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
