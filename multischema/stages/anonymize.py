"""The anonymize stage: builds the staging schema and copies every table into it, masked by the origin, from one snapshot."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext

from multischema.catalog.objects import EventTrigger, SchemaPrivilege
from multischema.errors import CheckError, SnapshotLost, VerifyError
from multischema.findings import problem
from multischema.job import Job
from multischema.plan import record
from multischema.plan.plan import Plan
from multischema.plan.tables import TablePlan
from multischema.postgres import dropping
from multischema.postgres.connecting import Connection
from multischema.postgres.copying import Copied, Route, Snapshot, copy_table
from multischema.postgres.failures import translated
from multischema.postgres.questions import ask, read_target
from multischema.stages import history, others, raw_schema, state
from multischema.stages.dump import Dumped
from multischema.stages.preconditions import altered_problems
from multischema.stages.reader import verify_readable
from multischema.stages.run import (
    Run,
    Seen,
    held_snapshot,
    in_parallel,
    naming_triggers,
    refuse_changes,
    refuse_origin_as_target,
)
from multischema.statements import building

_TABLES_PER_TRANSACTION = 100  # each takes three locks or more of the 6,400 that a server has by default


def build_staging(connection: Connection, job: Job, plan: Plan) -> None:
    """Create the staging schema with bare tables and no rights for anybody.

    Raises VerifyError, before a row is read, if an event trigger changes the tables.
    """
    with translated("target", f"creating schema {job.staging}"), connection.transaction():
        connection.execute(building.create_staging(job.staging))
        # default privileges may show it to a reader, or to a role that one is a member of
        grantees = list(
            dict.fromkeys(row.role for row in ask(connection, SchemaPrivilege, "schema_privileges", schema=job.staging))
        )
        for statement in building.revoke_schema(job.staging, grantees):
            connection.execute(statement)
        published = read_target(connection, job.schema).published_comment
        comment = record.written(plan, job.app, record.read(published), job.readers)
        connection.execute(building.comment_on_schema(job.staging, comment))
        for name in plan.domains:
            connection.execute(building.create_domain(job.staging, name))
    keys = plan.keys.names
    for start in range(0, len(plan.tables), _TABLES_PER_TRANSACTION):
        with translated("target", f"creating the tables of {job.staging}"), connection.transaction():
            for table in plan.tables[start : start + _TABLES_PER_TRANSACTION]:
                with translated("target", f"creating table {job.staging}.{table.name}"):
                    connection.execute(building.create_table(job.staging, table, keys[table.name]))
    changed = verify_readable(connection, job.staging, job.readers, granted=False)
    with translated("target", f"reading what became of the tables of schema {job.staging}"):
        found, triggers = others.published_columns(connection, job.staging), ask(connection, EventTrigger, "event_triggers")
    changed += altered_problems(job.staging, found, plan.columns, triggers)
    if changed:
        raise VerifyError(*changed)


SNAPSHOTS = 3  # how many snapshots a run takes before it gives up


def anonymize(
    run: Run,
    plan: Plan,
    dumped: Dumped | None,
    copy_all: Callable[[Snapshot], dict[str, Copied]],
    on_lost: Callable[[SnapshotLost], None] = lambda lost: None,
) -> dict[str, Copied]:
    """Build the staging schema and copy every table into it, masked by the origin, all from one snapshot.

    The snapshot ends as soon as the last row is in. If it is lost, `on_lost` is called and `copy_all` starts again with a
    new one, a few times. The rows that were `dumped` must equal those that leave the raw tables. Raises OriginChanged if a
    table was altered, rewritten or truncated meanwhile.
    """
    refuse_origin_as_target(run)
    if standing := others.obstacles(run.holder, run.job, plan.columns):
        raise CheckError(*standing)
    with naming_triggers(run):
        state.prepare(run.holder)
        history.prepare(run.holder, run.job)
        dropping.drop_leftovers(run.holder, run.job.schema, patient=False)
        if not run.job.restores:
            raw_schema.empty_abandoned(run.holder)
        build_staging(run.holder, run.job, plan)
    for attempt in range(1, SNAPSHOTS + 1):
        guarded = _guarded_source(run, plan)
        try:
            with held_snapshot(run, run.source, plan) as snapshot:
                with guarded:
                    copied = copy_all(snapshot)
                if not run.job.restores:
                    refuse_changes(run, plan, snapshot, "copied")
                    rows = {name: table.rows for name, table in copied.items()}
                    run.seen = Seen(snapshot.position, snapshot.fingerprints, rows)
                    run.snapshot_at = snapshot.taken_at
                _refuse_losses(dumped, copied)
                return copied
        except SnapshotLost as lost:
            if attempt == SNAPSHOTS:
                raise
            on_lost(lost)
    raise AssertionError


def _guarded_source(run: Run, plan: Plan) -> AbstractContextManager[object]:
    """Return what keeps raw tables from being replaced while they are copied; an origin's are its owner's."""
    if not run.job.restores:
        return nullcontext()
    return raw_schema.guarded(run.sessions, run.target, run.job.raw_schema, [table.name for table in plan.copied])


def copy(run: Run, table: TablePlan, snapshot: str, on_bytes: Callable[[int], None] = lambda size: None) -> Copied:
    """Copy one table from the snapshot into the staging schema; `on_bytes` gets the size of every chunk."""
    source = run.masking
    route = Route(source.side, run.job.origin_schema, snapshot, run.job.staging)
    with (
        run.sessions.lend(source) as reading,
        run.sessions.lend(run.target) as writing,
    ):
        return copy_table(reading, writing, table, route, on_bytes)


def copy_all(
    run: Run,
    tables: Sequence[TablePlan],
    snapshot: Snapshot,
    on_bytes: Callable[[str, int], None] = lambda table, size: None,
) -> dict[str, Copied]:
    """Copy tables from the snapshot into the staging schema, `jobs` at a time; `on_bytes` gets table and size of chunks."""

    def copy_one(table: TablePlan) -> Copied:
        return copy(run, table, snapshot.identifier, lambda size: on_bytes(table.name, size))

    return dict(zip((table.name for table in tables), in_parallel(run, copy_one, tables), strict=True))


def _refuse_losses(dumped: Dumped | None, copied: Mapping[str, Copied]) -> None:
    """Raise VerifyError if raw tables hold other numbers of rows than the origin had when it was dumped."""
    losses = [
        problem(
            "rows-lost",
            f"raw table {name} holds {copied[name].rows} rows; {rows} left the origin",
            "start again",
            side="target",
            table=name,
        )
        for name, rows in (dumped.rows if dumped else {}).items()
        if copied[name].rows != rows
    ]
    if losses:
        raise VerifyError(*losses)
