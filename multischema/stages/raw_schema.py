"""The raw schema of the target, where `dump` mode restores rows before they are masked: `public`, or the origin's schema."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress

from psycopg import errors, sql

from multischema.catalog.objects import Member, RawKey, RawSchema, RawTable, Readable, TableGrant
from multischema.errors import CheckError, VerifyError
from multischema.findings import Finding, problem
from multischema.job import Job, hidden_pattern
from multischema.plan.plan import Plan
from multischema.postgres.connecting import Connection
from multischema.postgres.database import Database
from multischema.postgres.dropping import drop_members
from multischema.postgres.failures import translated
from multischema.postgres.locks import strange_holders, try_lock
from multischema.postgres.questions import ask, one_moment, query, read_server
from multischema.postgres.sessions import Sessions
from multischema.stages.preconditions import exposed_problems, raw_problems
from multischema.statements import building, raw


def strangers(connection: Connection, job: Job, schema: str) -> list[Finding]:
    """Return a problem for each object in the raw schema that is not a run's, and that this run may not drop."""
    # what another run makes between two questions would be a stranger's
    with translated("target", f"reading the catalog of schema {schema}"), one_moment(connection):
        own = [row for row in ask(connection, RawSchema, "raw_schemas", marker=raw.MARKER) if row.schema == schema]
        exists = not own and read_server(connection, schema).may_use_schema is not None
        made = own[0].made if own else []
        rows = ask(connection, Member, "schema_members", schema=schema, marker=raw.MARKER, made=made)
        rows = [row for row in rows if not row.made]
    if schema != "public" and not own:
        taken = f"schema {schema} is there, and mode dump would fill and drop it"
        return (
            [problem("raw-schema-taken", taken, "rename it, or use mode stream", side="target", object=schema)]
            if exists
            else []
        )
    if job.clear_raw:
        return []
    return [
        problem(
            "stranger-in-raw-schema",
            f"{row.kind} {row.name} of role {row.owner} stands in schema {schema}, which mode dump fills with raw data and "
            "empties",
            "move it to another schema, or drop it, or use clear_raw (--clear-raw), which drops it",
            side="target",
            object=row.name,
        )
        for row in rows
    ]


def rights_problems(connection: Connection, schema: str) -> list[Finding]:
    """Return why this role can't make raw tables in the schema."""
    with translated("target", f"reading the rights to schema {schema}"):
        return raw_problems(read_server(connection, schema), schema)


def enter(connection: Connection, job: Job, schema: str, made: Sequence[str]) -> None:
    """Make the raw schema this run's: empty, marked with the names of what is `made` there. The session holds its lock.

    Raises CheckError where others have something there, and the run was not told to drop it.
    """
    if missing := rights_problems(connection, schema):
        raise CheckError(*missing)
    if empty_abandoned(connection, schema):
        raise CheckError(*_staying(connection, schema))
    if found := strangers(connection, job, schema):
        raise CheckError(*found)
    with translated("target", f"preparing schema {schema}"), connection.transaction():
        if schema != "public":
            connection.execute(raw.create_schema(schema))
        for statement in raw.mark(schema, job.application, made):
            connection.execute(statement)
    if job.clear_raw:
        drop_members(connection, schema, None, others=True, keep_marker=True)
    if left := _staying(connection, schema):
        raise CheckError(*left)


def create_tables(connection: Connection, plan: Plan, schema: str) -> None:
    """Create the raw tables, unlogged: what is in them is in no WAL and no backup of the target."""
    for name, statement in [*raw.create_types(plan, schema), *raw.create_tables(plan, schema)]:
        with translated("target", f"creating {schema}.{name}"), connection.transaction():
            connection.execute(statement)
            connection.execute(raw.hide_type(schema, name))


def empty(connection: Connection, job: Job, plan: Plan) -> None:
    """Take from the raw tables of a backup what a first attempt to restore it left."""
    with translated("target", f"emptying schema {job.raw_schema}"):
        if plan.copied:
            connection.execute(raw.truncate([sql.Identifier(job.raw_schema, table.name) for table in plan.copied]))


def take_documents(connection: Connection, plan: Plan, schema: str) -> None:
    """Have the raw tables of a backup, still empty, take documents that a server without libxml can't read."""
    with translated("target", f"preparing the columns of schema {schema}"):
        for table, column in raw.documents(plan):
            connection.execute(raw.as_text(schema, table, column))


def strip(connection: Connection, schema: str) -> None:
    """Drop all keys and indexes of the raw tables, and have their rows in no WAL and in no statistics."""
    with translated("target", f"dropping the keys of schema {schema}"):
        for row in ask(connection, RawKey, "raw_keys", schema=schema, others=False):
            if row.what == "constraint":
                connection.execute(raw.drop_constraint(row.table, row.name))
            elif row.identity is not None:
                connection.execute(raw.drop_index(row.identity))
            else:
                connection.execute(raw.unanalyzed(row.table))
                with suppress(errors.FeatureNotSupported):  # a column of another table is of its row type
                    connection.execute(raw.unlogged(row.table))


def hide(connection: Connection, schema: str) -> None:
    """Take the raw tables, still empty, from all other roles: default privileges grant more often than people know."""
    with translated("target", f"hiding the tables of schema {schema}"):
        granted = ask(connection, TableGrant, "raw_grants", schema=schema)
        for statement in raw.hide([(row.table, row.role) for row in granted]):
            connection.execute(statement)


def exposed(connection: Connection, job: Job, schema: str) -> list[Finding]:
    """Return what readers could read of the raw schema."""
    with translated("target", "reading the reader's rights"):
        rows = ask(connection, Readable, "reader_rights", readers=job.readers, hidden=hidden_pattern(), raw=[schema])
    return exposed_problems([row for row in rows if row.what in ("table", "owned")])


@contextmanager
def guarded(sessions: Sessions, target: Database, schema: str, tables: Sequence[str]) -> Iterator[Mapping[str, RawTable]]:
    """Have the raw tables be those that this role made, bare and hidden, from beginning to end; give them by name.

    Who owns the schema or the database may drop them, and make others of the same names, or a view whose functions would run
    as this role: COPY knows them by name. A lock keeps them from being dropped; a schema that is renamed
    takes its tables along in spite of it, so they are compared again. Raises VerifyError.
    """
    connection = sessions.open(target)
    try:
        with translated("target", f"locking the tables of schema {schema}"):
            connection.execute("BEGIN")
            before = _own_tables(connection, schema)
            if before:
                connection.execute(raw.share([sql.SQL(row.table) for row in before.values()]))
        sessions.keep_alive(connection)
        refuse_swapped(connection, schema, tables, before)
        yield before
        refuse_swapped(connection, schema, tables, before)
    finally:
        sessions.close(connection)


def _own_tables(connection: Connection, schema: str, tables: Sequence[str] | None = None) -> dict[str, RawTable]:
    return {row.name: row for row in ask(connection, RawTable, "raw_tables", schema=schema, tables=tables)}


def refuse_swapped(connection: Connection, schema: str, tables: Sequence[str], before: Mapping[str, RawTable]) -> None:
    """Raise VerifyError with a line for each raw table that is gone, another than before, or shown to others."""
    with translated("target", f"comparing the tables of schema {schema}"):
        found = _own_tables(connection, schema, [*{*tables, *before}])
    swapped = [
        name for name in {*tables, *before} if name not in found or found[name].oid != (before.get(name) or found[name]).oid
    ]
    problems = [
        problem(
            "raw-table-swapped",
            f"table {schema}.{name} is not the one that this run made: who owns the database or the schema put another in "
            "its place, or took it away",
            "see who that is, what has become of its rows, and use mode stream",
            side="target",
            table=name,
        )
        for name in sorted(swapped)
    ]
    problems += [
        problem(
            "guest-on-table",
            f"{row.guest} is on raw table {row.table}, and could copy or show its rows",
            "see who made it, and use mode stream",
            side="target",
            table=row.name,
        )
        for row in found.values()
        if row.guest
    ]
    if problems:
        raise VerifyError(*problems)


def empty_abandoned(connection: Connection, schema: str | None = None) -> list[str]:
    """Empty a raw schema, or all whose lock this session can have: a killed run left them. Return those still in use."""
    with translated("target", "looking for raw data"):
        found = ask(connection, RawSchema, "raw_schemas", marker=raw.MARKER)
    kept = []
    for row in found:
        # a lock that is no run's must not keep raw data where it is
        may = schema or try_lock(connection, row.schema) or strange_holders(connection, row.schema)
        if schema in (None, row.schema) and may:
            with translated("target", f"emptying schema {row.schema}"):
                query(connection, "end_sessions", application=row.application)
            if not leave(connection, row.schema, row.made):
                kept.append(row.schema)
            if schema is None:
                query(connection, "advisory_unlock", schema=row.schema)
    return kept


def drop_own(connection: Connection, schema: str, application: str) -> None:
    """Empty the raw schema if it is this run's."""
    with translated("target", "looking for raw data"):
        found = ask(connection, RawSchema, "raw_schemas", marker=raw.MARKER)
    for row in found:
        if row.schema == schema and row.application == application:
            leave(connection, schema, row.made)


def leave_own(connection: Connection, schema: str) -> bool:
    """Drop what this run put into the raw schema; tell whether all of it went."""
    with translated("target", "looking for raw data"):
        found = ask(connection, RawSchema, "raw_schemas", marker=raw.MARKER)
    return all(leave(connection, schema, row.made) for row in found if row.schema == schema)


def leave(connection: Connection, schema: str, made: Sequence[str] | None) -> bool:
    """Drop what runs made in the raw schema, the marker last; tell whether all of it went. What others made stays."""
    if schema == "public":
        return drop_members(connection, schema, made)
    if not drop_members(connection, schema, made, keep_marker=True) or _staying(connection, schema):
        return False
    # at once: without its marker the schema would be taken for someone else's
    with translated("target", f"dropping schema {schema}"), connection.transaction():
        connection.execute(building.drop_domain(schema, raw.MARKER))
        connection.execute(building.drop_schema(schema))
    return True


def _staying(connection: Connection, schema: str) -> list[Finding]:
    """Return a problem for each object but the marker that is still in the raw schema."""
    with translated("target", f"reading the catalog of schema {schema}"):
        rows = ask(connection, Member, "schema_members", schema=schema, marker=raw.MARKER, made=None)
    return [
        problem(
            "stranger-in-raw-schema",
            f"{row.kind} {row.name} of role {row.owner} stays in schema {schema}",
            "drop it",
            side="target",
            object=row.name,
        )
        for row in rows
        if not row.is_marker
    ]
