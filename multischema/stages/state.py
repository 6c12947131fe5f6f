"""Where runs keep what they must remember: in the target, so that a backup has it as of the moment of what is published."""

from collections.abc import Mapping, Sequence
from contextlib import suppress

from psycopg import errors

from multischema.catalog.objects import Kept, Privilege, PublishedTable, SchemaPrivilege, StatePlace
from multischema.job import STATE
from multischema.plan import state as states
from multischema.plan.state import State
from multischema.postgres.connecting import Connection
from multischema.postgres.failures import translated
from multischema.postgres.questions import ask, ask_values
from multischema.statements import building, grants, refreshing

_MARK = "multi-schema-postgres-etl state"
_TABLE = "published"


def prepare(connection: Connection) -> None:
    """Make the place for the state, unless something of its name is there.

    Two apps may make it at the same time: the second one waits, and finds it.
    """
    if not _place(connection).exists:
        with translated("target", f"making schema {STATE}"), suppress(errors.DuplicateSchema, errors.UniqueViolation):
            with connection.transaction():
                for statement in refreshing.create_state(STATE, _TABLE, _MARK):
                    connection.execute(statement)
                # default privileges may show it to others
                rows = ask(connection, SchemaPrivilege, "schema_privileges", schema=STATE)
                given = ask(connection, Privilege, "privileges", schema=STATE, relation=_TABLE)
                for statement in [
                    *building.revoke_schema(STATE, list(dict.fromkeys(row.role for row in rows))),
                    *grants.changes(STATE, [], grants.read(row for row in given if not row.is_owner)),
                ]:
                    connection.execute(statement)


def unusable(connection: Connection) -> str | None:
    """Return why what is kept can't be trusted, or None: whoever may write there could have a run publish what they like."""
    place = _place(connection)
    if not place.exists:
        return "no run has recorded what it published"
    if not (place.own and place.has_table):
        return f"schema {STATE} of the target was not made by this role's runs: have its owner drop or rename it"
    if place.is_shared:
        return f"others have rights in schema {STATE} of the target: revoke them"
    return None


def recalled(connection: Connection, schema: str) -> State | None:
    """Return what the last run of a published schema kept, None if it kept nothing that can be read."""
    with translated("target", "reading what the last run recorded"):
        return states.read(next(iter(ask_values(connection, str, "state", schema=schema)), None))


def pseudonym_keys(connection: Connection) -> Mapping[str, str]:
    """Return what stands for the pseudonym key that each published schema was last made with; none of those without."""
    if unusable(connection):
        return {}
    with translated("target", "reading what the last runs recorded"):
        found = {kept.schema: states.read(kept.state) for kept in ask(connection, Kept, "states")}
    return {schema: state.pseudonym_key for schema, state in found.items() if state and state.pseudonym_key}


def keep(connection: Connection, schema: str, state: State | None) -> None:
    """Keep what the next run must know, or nothing: then it is full."""
    if unusable(connection):
        return
    with translated("target", "recording what was published"):
        if state:
            ask_values(connection, str, "keep_state", schema=schema, state=state.written())
        else:
            ask_values(connection, str, "forget_state", schema=schema)


def published_tables(connection: Connection, schema: str) -> Sequence[PublishedTable]:
    """Return the tables of a published schema as they are."""
    with translated("target", f"reading the tables of schema {schema}"):
        return ask(connection, PublishedTable, "published", schema=schema)


def _place(connection: Connection) -> StatePlace:
    with translated("target", f"looking for schema {STATE}"):
        (place,) = ask(connection, StatePlace, "state_place", schema=STATE, table=_TABLE, mark=_MARK)
    return place
