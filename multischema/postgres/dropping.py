"""Dropping what runs made in the target, object by object, patiently."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import psycopg
from psycopg import errors, sql

from multischema.catalog.objects import Member, RawKey, RecordedObject, Schema
from multischema.job import leftover_pattern, name_pattern
from multischema.plan import record
from multischema.plan.record import Record
from multischema.postgres.connecting import Connection
from multischema.postgres.failures import translated
from multischema.postgres.locks import short_lock_timeout
from multischema.postgres.questions import ask
from multischema.statements import building, raw

_PATIENCE = 20.0  # seconds for what is in use
_PAUSE = 0.5
_BRIEF = "100ms"


def drop_leftovers(connection: Connection, schema: str, *, patient: bool = True) -> list[str]:
    """Drop the staging and old schemas of the app; return those that are still in use.

    First what nobody has open goes, then the rest is waited for: some 20 seconds for all of it, however many there are.
    One of such a name that lacks our record, or belongs to another role, is not ours to drop.
    """
    deadline = time.monotonic() + _PATIENCE
    with translated("target", "looking for old schemas"):
        rows = ask(connection, Schema, "schemas", pattern=leftover_pattern(schema))
    found = [(row.name, made) for row in rows if row.own and (made := record.read(row.comment))]
    left = [(name, made) for name, made in found if not _drop_recorded(connection, name, made, 0, _BRIEF)]
    return [
        name
        for name, made in left
        if not patient or time.monotonic() >= deadline or not _drop_recorded(connection, name, made, deadline)
    ]


def drop_schema(connection: Connection, schema: str) -> bool:
    """Drop a schema that runs made, if it exists and has our record; tell whether it is gone."""
    with translated("target", f"looking for schema {schema}"):
        rows = ask(connection, Schema, "schemas", pattern=name_pattern(schema))
    deadline = time.monotonic() + _PATIENCE
    return all(
        row.own and (made := record.read(row.comment)) and _drop_recorded(connection, schema, made, deadline) for row in rows
    )


def drop_members(
    connection: Connection,
    schema: str,
    made: Sequence[str] | None,
    *,
    others: bool = False,
    keep_marker: bool = False,
    until: float | None = None,
) -> bool:
    """Drop what this role made in a schema, in rounds, as objects depend on one another and some are in use.

    `made` are the names of that; None means all of the role's. With `others` also what it may drop as a member of another
    role. Tell whether all of it went; what is in use is waited for some 20 seconds, or `until` then.
    """
    deadline = time.monotonic() + _PATIENCE if until is None else until
    with translated("target", f"emptying schema {schema}"), short_lock_timeout(connection):
        while True:
            found = ask(connection, Member, "schema_members", schema=schema, marker=raw.MARKER, made=made)
            found = [row for row in found if (row.owned if others else row.own) and row.made]
            tables = {row.name for row in found}
            for key in ask(connection, RawKey, "raw_keys", schema=schema, others=others):
                if key.what == "constraint" and key.table in tables:
                    _dropped(connection, raw.drop_constraint(key.table, key.name))
            members = [row for row in found if not row.is_marker]
            if not members and not keep_marker:
                members = found
            if not members:
                return True
            done = [_dropped(connection, raw.drop(row.kind.upper(), row.name)) for row in members]
            if any(done):
                continue
            for row in members:  # if others built on a table, at least its rows go
                if row.kind == "table":
                    _dropped(connection, raw.truncate([sql.SQL(row.name)]))
            if time.monotonic() >= deadline:
                return False
            time.sleep(_PAUSE)


def _drop_recorded(connection: Connection, schema: str, made: Record, deadline: float, timeout: str = "") -> bool:
    """Drop what a record says that a run made, until the deadline; tell whether all of the schema went.

    Object by object, each with a short lock timeout: one DROP SCHEMA would wait for every reader at once, and take more
    locks than a server has by default. What the record does not name stays, and the schema with it.
    """
    if made.adopted and not drop_members(connection, schema, None, until=deadline):
        return False
    with translated("target", f"dropping schema {schema}"), short_lock_timeout(connection, timeout):
        while (kept := _drop_objects(connection, schema, made, deadline)) and time.monotonic() < deadline:
            if not any(isinstance(reason, errors.LockNotAvailable) for reason in kept):
                return False  # others built on it: waiting does not help
        return not kept


def _drop_objects(connection: Connection, schema: str, made: Record, deadline: float) -> list[psycopg.Error]:
    """Drop what can be dropped, then the schema; return the errors that kept something."""
    kept: list[psycopg.Error] = []
    for row in ask(connection, RecordedObject, "schema_objects", schema=schema):
        own = row.table in made.tables if row.what != "type" else made.domains is None or row.name in made.domains
        if not own:
            continue
        if kept and time.monotonic() >= deadline:
            return kept
        with _gone_or(kept):
            connection.execute(building.drop_object(schema, row.what, row.table, row.name))
    if not kept:
        with _gone_or(kept):
            connection.execute(building.drop_schema(schema))
    return kept


def _dropped(connection: Connection, statement: sql.Composed) -> bool:
    """Tell whether something is gone; whatever keeps it must not keep the rest."""
    try:
        connection.execute(statement)
    except (errors.UndefinedTable, errors.UndefinedObject, errors.UndefinedFunction):
        return True  # it went with something else
    except psycopg.Error as error:
        if error.sqlstate is None or error.sqlstate.startswith(("08", "57P")):
            raise  # the server is gone
        return False
    return True


@contextmanager
def _gone_or(kept: list[psycopg.Error]) -> Iterator[None]:
    try:
        yield
    except (errors.UndefinedTable, errors.UndefinedObject, errors.InvalidSchemaName):
        pass  # something else took it along
    except (errors.LockNotAvailable, errors.DependentObjectsStillExist) as reason:
        kept.append(reason)
