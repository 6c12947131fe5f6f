"""The dump stage: the origin's rows, by pg_dump, into the run's private directory."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from multischema.catalog.objects import Leaf, Relation
from multischema.dumps import archives
from multischema.dumps.directory import kept_archive, kept_dump, size_of
from multischema.errors import ConnectionLost, DumpError, SnapshotLost
from multischema.findings import Finding
from multischema.plan.plan import Plan
from multischema.plan.tables import TablePlan
from multischema.postgres.copying import Route, count_rows
from multischema.postgres.failures import translated
from multischema.postgres.questions import ask
from multischema.stages.run import (
    Run,
    held_snapshot,
    in_parallel,
    refuse_changes,
    run_program,
)


@dataclass(frozen=True)
class Dumped:
    """What the dump stage made: where the dump is, None where there was no row to dump, and the rows of each table.

    `bytes` is its size; `warnings` are what must be known of it.
    """

    archive: Path | None
    rows: Mapping[str, int]
    bytes: int = 0
    warnings: tuple[Finding, ...] = ()


def dump(run: Run, plan: Plan) -> Dumped:
    """Dump the rows of the copied tables into the run's private directory, from one snapshot; the origin is released then.

    With `keep_dump` the dump of an earlier run is taken, where there is one. Raises OriginChanged, ConnectionLost, EtlError.
    """
    job, side = run.job, run.origin.side
    structure = {table.name: plan.catalog.fingerprints[table.oid].structure for table in plan.copied}
    if job.keep_dump and (kept := kept_dump(job.schema)) is not None:
        archive = kept_archive(job.schema)
        if kept["structure"] != structure:
            raise DumpError(f"{side}: the kept dump {archive.parent} is of other tables than there are now; delete it")
        restored = f"the dump {archive.parent} of an earlier run was restored"
        warning = Finding("kept-dump-restored", restored, object=job.schema)
        taken_at = kept.get("taken_at")  # versions before wrote none
        run.snapshot_at = datetime.fromisoformat(taken_at) if taken_at else None
        return Dumped(archive, kept["rows"], size_of(archive), (warning,))
    run.directory.drop_archive()
    run.directory.refuse_if_full(plan.dump_bytes, f"{side}: dump")
    rows = _dump_rows(run, plan, run.directory.archive)
    if not rows:
        return Dumped(None, rows)
    size = size_of(run.directory.archive)
    if not job.keep_dump:
        return Dumped(run.directory.archive, rows, size)
    taken_at = run.snapshot_at and run.snapshot_at.isoformat()
    archive = run.directory.keep(job.schema, {"structure": structure, "rows": rows, "taken_at": taken_at})
    kept_in = f"the dump with its personal data is kept in {archive.parent}"
    return Dumped(archive, rows, size, (Finding("dump-kept", kept_in, "delete it", object=job.schema),))


def _dump_rows(run: Run, plan: Plan, archive: Path) -> dict[str, int]:
    """Have pg_dump write the rows of the copied tables, and return how many the snapshot has of each.

    The snapshot is ours: pg_dump locks tables after it took its own, and shows one that was truncated in between as empty.
    """
    side, oids = run.origin.side, [table.oid for table in plan.copied]
    with run.sessions.lend(run.origin) as connection, translated(side, "reading the catalog"):
        leaves = [(row.schema, row.name) for row in ask(connection, Leaf, "leaves", tables=oids)]
        sequences = [(row.schema, row.name) for row in ask(connection, Relation, "sequences", tables=oids)]
    if not leaves:  # told of no table, pg_dump would dump all of them, truncated ones too
        return {}
    environment = {**run.origin.environment(), "PGAPPNAME": run.job.application}
    try:
        with held_snapshot(run, run.origin, plan) as snapshot:
            command = archives.dump(
                environment,
                run.origin.connection_string(),
                snapshot.identifier,
                leaves,
                sequences,
                str(archive),
                run.job.jobs,
            )
            outcome = run_program(run, run.origin, command, "dump")
            if outcome.status:
                with translated(side, "dump"):
                    snapshot.connection.execute("SELECT 1")  # where it is lost, that is why
                refuse_changes(run, plan, snapshot, "dumped")
                raise archives.failure(command, side, "dump", outcome)
            route = Route(side, run.job.origin_schema, snapshot.identifier, run.job.staging)

            def count(table: TablePlan) -> int:
                with run.sessions.lend(run.origin) as reading:
                    return count_rows(reading, table, route)

            rows = in_parallel(run, count, plan.copied)
            refuse_changes(run, plan, snapshot, "dumped")
            run.snapshot_at = snapshot.taken_at
    except SnapshotLost as lost:
        raise ConnectionLost(*lost.problems) from None
    return {table.name: counted for table, counted in zip(plan.copied, rows, strict=True)}
