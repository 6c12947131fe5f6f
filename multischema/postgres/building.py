"""Building, publishing and dropping schemas of the target."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import psycopg
from psycopg import errors, sql

from multischema import ddl, raw, record
from multischema.errors import LockTimeout, VerifyError
from multischema.keys import IndexPlan
from multischema.masking import TablePlan
from multischema.planning import Job, Plan
from multischema.postgres.errors import describe, translated
from multischema.postgres.reads import query, read_server
from multischema.postgres.sessions import LOCK_TIMEOUT, Connection
from multischema.preconditions import exposed_problems, hidden_problems, reader_problems
from multischema.record import Record

_TABLES_PER_TRANSACTION = 100  # each takes three locks or more of the 6,400 that a server has by default
_LOCK_POLL = 2.0
_PATIENCE = 20.0  # seconds for what is in use
_PAUSE = 0.5
_PATIENT_LOCK_TIMEOUT = "2s"
# Classes of SQLSTATE for which an index that the target can't build is left out (syntax or a missing function, features,
# limits, data, integrity); for others (disk, connection) the run fails.
_LEFT_OUT = ("0A", "22", "23", "42", "54")


def take_lock(connection: Connection, schema: str, wait: float, on_wait: Callable[[str], None]) -> None:
    """Take a schema's lock on this session, waiting at most `wait` seconds. Raises LockTimeout."""
    deadline = time.monotonic() + wait
    waited = False
    while not try_lock(connection, schema):
        if not waited:
            on_wait(schema)
            waited = True
        if time.monotonic() >= deadline:
            raise LockTimeout(
                f"target: another run of schema {schema} is still going on after {wait:.0f} s; start again when it has ended"
            )
        time.sleep(min(_LOCK_POLL, max(deadline - time.monotonic(), 0.05)))


def try_lock(connection: Connection, schema: str) -> bool:
    """Take a schema's lock on this session if nobody has it; tell whether it was taken."""
    with translated("target", "taking the app's lock"):
        return bool(query(connection, "advisory_lock", schema=schema)[0]["locked"])


@contextmanager
def short_lock_timeout(connection: Connection) -> Iterator[None]:
    """Have what is in use refuse soon, so that it can be tried again, others meanwhile."""
    connection.execute(sql.SQL("SET lock_timeout = {}").format(sql.Literal(_PATIENT_LOCK_TIMEOUT)))
    try:
        yield
    finally:
        if not connection.broken:
            connection.execute(sql.SQL("SET lock_timeout = {}").format(sql.Literal(LOCK_TIMEOUT)))


def build_staging(connection: Connection, job: Job, plan: Plan) -> None:
    """Create the staging schema with bare tables; the reader has no right to it.

    Raises VerifyError where an event trigger makes other tables of them, before a row is read.
    """
    with translated("target", f"creating schema {job.staging}"), connection.transaction():
        for statement in ddl.create_staging(job.staging, job.reader):
            connection.execute(statement)
        # default privileges may show it to a role that the reader is a member of
        grantees = [row["role"] for row in query(connection, "grantees", schema=job.staging)]
        for statement in ddl.hide(job.staging, grantees):
            connection.execute(statement)
        published = query(connection, "target", schema=job.schema, reader=job.reader)[0]["published_comment"]
        connection.execute(ddl.comment_on_schema(job.staging, record.written(plan, job.app, record.read(published))))
        for name in plan.domains:
            connection.execute(ddl.create_domain(job.staging, name))
    keys = plan.keys.names
    for start in range(0, len(plan.tables), _TABLES_PER_TRANSACTION):
        with translated("target", f"creating the tables of {job.staging}"), connection.transaction():
            for table in plan.tables[start : start + _TABLES_PER_TRANSACTION]:
                with translated("target", f"creating table {job.staging}.{table.name}"):
                    connection.execute(ddl.create_table(job.staging, table, keys[table.name]))
    if changed := verify_readable(connection, job.staging, job.reader, granted=False):
        raise VerifyError(*changed)


def already_built(connection: Connection, staging: str) -> frozenset[str]:
    """Return what a first attempt has built: indexes by name, keys as `name of table`."""
    with translated("target", f"reading the catalog of {staging}"):
        return frozenset(row["name"] for row in query(connection, "built", schema=staging))


def build_index(connection: Connection, staging: str, index: IndexPlan) -> str | None:
    """Build an index, and return why it had to be left out, if so."""
    doing = f"building index {index.name} of {index.table}"
    with translated("target", doing), _left_out(f"index {index.name} of {index.table}") as reasons:
        connection.execute(ddl.create_index(staging, index))
    return reasons[0] if reasons else None


def build_keys(
    connection: Connection, staging: str, plan: Plan, built: frozenset[str], missing: frozenset[str]
) -> list[str]:
    """Make keys of unique indexes, add foreign keys and comments, drop helper domains; return what was left out."""
    warnings: list[str] = []
    for index in plan.keys.indexes:
        if index.constraint and index.name not in missing and f"{index.name} of {index.table}" not in built:
            with (
                translated("target", f"adding key {index.name} of {index.table}"),
                _left_out(f"key {index.name} of {index.table}") as reasons,
            ):
                connection.execute(ddl.add_key(staging, index))
            warnings += reasons
    for key in plan.keys.foreign_keys:
        if f"{key.name} of {key.table}" not in built:
            with (
                translated("target", f"adding foreign key {key.name} of {key.table}"),
                _left_out(f"foreign key {key.name} of {key.table}") as reasons,
            ):
                connection.execute(ddl.add_foreign_key(staging, key))
            warnings += reasons
    for table in plan.tables:
        with translated("target", f"commenting table {table.name}"), connection.transaction():
            for statement in ddl.comments(staging, table):
                connection.execute(statement)
    for name in plan.domains:
        with translated("target", f"dropping domain {name}"):
            try:
                connection.execute(ddl.drop_domain(staging, name))
            except (errors.DependentObjectsStillExist, errors.UndefinedObject):
                continue  # an index predicate stands on it, or a first attempt dropped it
    return warnings


def analyze(connection: Connection, staging: str, table: TablePlan) -> None:
    """Gather the statistics of a table, and leave it to autovacuum."""
    with translated("target", f"analyzing table {table.name}"):
        connection.execute(ddl.analyze(staging, table))


def verify_table(connection: Connection, staging: str, table: TablePlan, rows: int) -> list[str]:
    """Return what is wrong with a staging table: its number of rows, or a masked column that holds more than masks."""
    with translated("target", f"verifying table {table.name}"):
        (row,) = connection.execute(ddl.verification(staging, table)).fetchall()
    found, *violations = row["counts"]
    problems = [] if found == rows else [f"target: table {table.name} holds {found} rows; {rows} left the origin"]
    problems += [
        f"target: column {table.name}.{column.name} holds {violation} rows that are not masked"
        for column, violation in zip(table.masked, violations, strict=True)
        if violation
    ]
    return problems


def verify_rights(connection: Connection, schema: str, reader: str, raw: str) -> list[str]:
    """Return what the reader could read besides published schemas."""
    with translated("target", "reading the reader's rights"):
        facts = query(connection, "target", schema=schema, reader=reader)[0]
        problems = reader_problems(read_server(connection, schema), facts, reader)
        if not problems:
            rights = query(connection, "reader_rights", reader=reader, hidden=ddl.hidden_pattern(), raw=raw)
            problems = exposed_problems(rights, reader)
        return problems


def verify_readable(
    connection: Connection, schema: str, reader: str, tables: Sequence[str] | None = None, *, granted: bool
) -> list[str]:
    """Return what would keep tables of a schema from being read whole; the reader's rights only once they are granted."""
    with translated("target", f"reading what became of the tables of schema {schema}"):
        found = query(connection, "hidden_tables", schema=schema, reader=reader, tables=tables)
        triggers = query(connection, "event_triggers")
    return hidden_problems(schema, found, triggers, reader, granted=granted)


def drop_leftovers(connection: Connection, schema: str) -> list[str]:
    """Drop the staging and old schemas of the app, patiently; return those that are still in use.

    One of such a name that lacks our record, or belongs to another role, is not ours to drop.
    """
    with translated("target", "looking for old schemas"):
        rows = query(connection, "schemas", pattern=ddl.leftover_pattern(schema))
    return [row["name"] for row in rows if row["own"] and _drop_recorded(connection, row["name"], row["comment"]) is False]


def drop_schema(connection: Connection, schema: str) -> bool:
    """Drop a schema that runs made, if it is there and has our record; tell whether all of it went."""
    with translated("target", f"looking for schema {schema}"):
        rows = query(connection, "schemas", pattern=ddl.name_pattern(schema))
    return all(row["own"] and _drop_recorded(connection, schema, row["comment"]) for row in rows)


def drop_members(connection: Connection, schema: str, *, others: bool = False, keep_marker: bool = False) -> bool:
    """Drop what this role itself owns in a schema, round after round: one thing stands on another, and some are in use.

    With `others` also what it may drop as a member of another role. Tell whether all of it went.
    """
    deadline = time.monotonic() + _PATIENCE
    with translated("target", f"emptying schema {schema}"), short_lock_timeout(connection):
        while True:
            for row in query(connection, "keys_of", schema=schema, others=others):
                if row["what"] == "constraint":
                    _dropped(connection, raw.drop_constraint(row["table"], row["name"]))
            found = query(connection, "members", schema=schema, marker=raw.MARKER)
            found = [row for row in found if row["owned" if others else "own"]]
            members = [row for row in found if not row["is_marker"]]
            if not members and not keep_marker:
                members = found
            if not members:
                return True
            done = [_dropped(connection, raw.drop(row["kind"].upper(), row["name"])) for row in members]
            if any(done):
                continue
            for row in members:  # where others built on a table, at least no row stays
                if row["kind"] == "table":
                    _dropped(connection, raw.truncate([sql.SQL(row["name"])]))
            if time.monotonic() >= deadline:
                return False
            time.sleep(_PAUSE)


def _drop_recorded(connection: Connection, schema: str, comment: str | None) -> bool | None:
    """Drop what a record says that a run made; tell whether all of the schema went, None where there is no record.

    Object by object, each with a short lock timeout, some 20 seconds long: one DROP SCHEMA would wait for every reader at
    once, and take more locks than a server has by default. What the record does not name stays, and the schema with it.
    """
    made = record.read(comment)
    if not made:
        return None
    deadline = time.monotonic() + _PATIENCE
    if made.adopted and not drop_members(connection, schema):
        return False
    with translated("target", f"dropping schema {schema}"), short_lock_timeout(connection):
        while (kept := _drop_objects(connection, schema, made, deadline)) and time.monotonic() < deadline:
            if not any(isinstance(reason, errors.LockNotAvailable) for reason in kept):
                return False  # others built on it: waiting does not help
        return not kept


def _drop_objects(connection: Connection, schema: str, made: Record, deadline: float) -> list[psycopg.Error]:
    """Drop what can be dropped, then the schema; return why something stays."""
    kept: list[psycopg.Error] = []
    for row in query(connection, "schema_objects", schema=schema):
        if row["what"] != "type" and row["table"] not in made.tables:
            continue
        if kept and time.monotonic() >= deadline:
            return kept
        with _gone_or(kept):
            connection.execute(ddl.drop_object(schema, row["what"], row["table"], row["name"]))
    if not kept:
        with _gone_or(kept):
            connection.execute(ddl.drop_schema(schema))
    return kept


def _dropped(connection: Connection, statement: sql.Composed) -> bool:
    try:
        connection.execute(statement)
    except (errors.LockNotAvailable, errors.DependentObjectsStillExist):
        return False
    except (errors.UndefinedTable, errors.UndefinedObject, errors.UndefinedFunction):
        pass  # it went with something else
    return True


@contextmanager
def _gone_or(kept: list[psycopg.Error]) -> Iterator[None]:
    try:
        yield
    except (errors.UndefinedTable, errors.UndefinedObject, errors.InvalidSchemaName):
        pass  # it went with something else
    except (errors.LockNotAvailable, errors.DependentObjectsStillExist) as reason:
        kept.append(reason)


@contextmanager
def _left_out(what: str) -> Iterator[list[str]]:
    """Gather the reason when the target can't build something; what was built before stays."""
    reasons: list[str] = []
    try:
        yield reasons
    except psycopg.Error as error:
        if (error.sqlstate or "")[:2] not in _LEFT_OUT or isinstance(error, errors.InsufficientPrivilege):
            raise
        reasons.append(f"{what} left out: the target can't build it: {describe(error)}")
