"""The history of runs, in the target: written in the publishing transaction, so that it never says what is not published.

Nothing of it is dropped or replaced, as others build views on it.
"""

from contextlib import suppress

from psycopg import errors, sql

from multischema.catalog.objects import HistoryPlace, Privilege, SchemaPrivilege
from multischema.errors import CheckError, VerifyError
from multischema.findings import Finding
from multischema.job import Job
from multischema.plan.history import COLUMNS, MARK, RUNS, TABLES, Before, Ran, Recorded
from multischema.postgres.connecting import Connection
from multischema.postgres.failures import translated
from multischema.postgres.locks import short_lock_timeout
from multischema.postgres.questions import ask
from multischema.stages.preconditions import history_problems
from multischema.statements import building, grants
from multischema.statements import history as statements
from multischema.version import VERSION


def problems(connection: Connection, job: Job) -> list[Finding]:
    """Return why no history can be kept in the schema that the job names, or nothing where there is none yet."""
    return history_problems(job, _place(connection, job))


def prepare(connection: Connection, job: Job) -> None:
    """Make the place for the history, or what it lacks: tables, columns that this version added, the reader's rights.

    It is a transaction of its own, before the publishing one: two apps may make it at the same time. The second one waits,
    and finds it. Raises CheckError, DatabaseError, and VerifyError for what an event trigger made of it.
    """
    place = _place(connection, job)
    if wrong := history_problems(job, place):
        raise CheckError(*wrong)
    if place.exists and place.is_readable and not _lacking(job, place):
        return
    if not place.exists:
        _make(connection, job)
    for _ in COLUMNS:  # once more for what another run made meanwhile
        _complete(connection, job, _place(connection, job))
    with translated("target", f"granting schema {job.report_schema} to {job.reader}"), connection.transaction():
        connection.execute(statements.hold(job.report_schema))
        for statement in statements.grant(job.report_schema, job.reader):
            connection.execute(statement)
    if wrong := history_problems(job, _place(connection, job)):
        raise VerifyError(*wrong)


def last(connection: Connection, job: Job) -> Before | None:
    """Return what the history says of the last run of a published schema, None where it says nothing."""
    place = _place(connection, job)
    return None if history_problems(job, place) or not (place.runs and place.tables) else _last(connection, job)


def record(connection: Connection, job: Job, ran: Ran) -> Recorded:
    """Write a run into the history, in the transaction that publishes, and forget what is older than a year.

    Raises VerifyError where the place is no longer what it was when the run made it ready.
    """
    if wrong := problems(connection, job):
        raise VerifyError(*wrong)
    return write(connection, job, ran)


def write(connection: Connection, job: Job, ran: Ran) -> Recorded:
    """Write a run into the history, whose place was made ready a moment ago, by one statement."""
    before = _last(connection, job)
    with translated("target", f"writing the history of schema {job.schema}"):
        connection.execute(statements.add(job.report_schema, job.app, job.schema, VERSION, ran))
    return Recorded(ran, before)


def _last(connection: Connection, job: Job) -> Before | None:
    with translated("target", f"reading the history of schema {job.schema}"):
        rows = connection.execute(statements.last(job.report_schema, job.app, job.schema)).fetchall()
    return next((Before(**row) for row in rows), None)


def _lacking(job: Job, place: HistoryPlace) -> list[sql.Composed]:
    return statements.complete(job.report_schema, {RUNS: place.runs, TABLES: place.tables})


def _make(connection: Connection, job: Job) -> None:
    """Make the schema and its tables, unless another run makes them at the same time: then wait for it."""
    schema, bare = job.report_schema, dict.fromkeys(COLUMNS, ())
    with translated("target", f"making schema {schema}"), suppress(errors.DuplicateSchema, errors.UniqueViolation):
        with connection.transaction():
            for statement in [*statements.create_schema(schema), *statements.complete(schema, bare)]:
                connection.execute(statement)
            _take_from_others(connection, schema)


def _complete(connection: Connection, job: Job, place: HistoryPlace) -> None:
    """Make the tables and columns that the place lacks, unless another run makes them at the same time: then wait for it."""
    schema, lacking = job.report_schema, _lacking(job, place)
    if not lacking:
        return
    made = [table for table, columns in ((RUNS, place.runs), (TABLES, place.tables)) if not columns]
    with (
        translated("target", f"completing schema {schema}"),
        short_lock_timeout(connection),
        suppress(errors.DuplicateTable, errors.UniqueViolation),
        connection.transaction(),
    ):
        for statement in lacking:
            connection.execute(statement)
        for table in made:
            _take_table_from_others(connection, schema, table)


def _take_from_others(connection: Connection, schema: str) -> None:
    """Take what default privileges gave to others on the schema and its tables."""
    roles = ask(connection, SchemaPrivilege, "schema_privileges", schema=schema)
    for statement in building.revoke_schema(schema, list(dict.fromkeys(row.role for row in roles))):
        connection.execute(statement)
    for table in COLUMNS:
        _take_table_from_others(connection, schema, table)


def _take_table_from_others(connection: Connection, schema: str, table: str) -> None:
    given = ask(connection, Privilege, "privileges", schema=schema, relation=table)
    for statement in grants.changes(schema, [], grants.read(row for row in given if not row.is_owner)):
        connection.execute(statement)


def _place(connection: Connection, job: Job) -> HistoryPlace:
    with translated("target", f"looking for schema {job.report_schema}"):
        (place,) = ask(
            connection,
            HistoryPlace,
            "history_place",
            schema=job.report_schema,
            reader=job.reader,
            mark=MARK,
            runs=RUNS,
            tables=TABLES,
        )
    return place
