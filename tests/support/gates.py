"""Gates: places where a real statement of a run stops until the test lets it go on. No part of the product is replaced.

A gate is an advisory lock that the test holds, on a session of its own, and that a function of the database asks for.
"""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import psycopg
import pytest
from psycopg import errors, sql

from demo.servers import Server
from tests.conftest import Place

PATIENCE = 60.0  # seconds until a test that waits for something fails; nothing is expected to take as long

GATED_ORIGIN = """
CREATE TYPE pace AS ENUM ('go', 'wait');
CREATE TYPE paced AS (pace pace);
CREATE FUNCTION told(pace) RETURNS json LANGUAGE plpgsql AS $$
BEGIN
    IF $1 = 'wait' THEN PERFORM pg_advisory_xact_lock_shared(1); END IF;
    RETURN '"told"';
END $$;
CREATE TABLE gated (id int PRIMARY KEY, name text, filling text, pace paced);
INSERT INTO gated SELECT n, 'Marie', repeat('x', 500), ROW(CASE n WHEN 900 THEN 'wait' ELSE 'go' END::pace)::paced
FROM generate_series(1, 2000) AS n;
"""
GATED_RULES = """
  - table_name: gated
    anonymized_column_names: [name]
    non_anonymized_column_names: [filling, pace]
"""


def have_rows_call(place: Place, function: str, type_: str) -> None:
    """Have a function of the origin be called for each value of a type in a composite one, while rows are read.

    No code of a user is: what is here is an extension's cast to json, which to_jsonb() follows as it does hstore's. The scan
    of the check does not call it, which comes before the stages that the tests stop.
    """
    place.in_origin(
        f"""
        DO $$ BEGIN
            IF NOT EXISTS (SELECT FROM pg_cast WHERE castsource = '{type_}'::regtype AND casttarget = 'json'::regtype) THEN
                EXECUTE format(
                    'CREATE FUNCTION outside_the_scan({type_}) RETURNS json LANGUAGE plpgsql AS %L',
                    'BEGIN IF current_query() LIKE ''SELECT count(*) AS rows, ARRAY%'' THEN RETURN json ''1''; END IF; '
                    || (SELECT format('RETURN %I.%I($1); END', pronamespace::regnamespace, proname)
                        FROM pg_proc WHERE oid = '{function}({type_})'::regprocedure)
                );
                CREATE CAST ({type_} AS json) WITH FUNCTION outside_the_scan({type_});
                ALTER EXTENSION plpgsql ADD CAST ({type_} AS json);
            END IF;
        END $$
        """,
        superuser=True,
    )


def eventually(holds: Callable[[], bool], what: str) -> None:
    """Wait until something holds; fail where it never does."""
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < deadline, f"never: {what}"
        time.sleep(0.02)


class Gate:
    """A gate of one database, closed; `reached` waits until a run stands before it."""

    def __init__(self, server: Server, database: str) -> None:
        self.database = database
        self.connection = psycopg.connect(server.url(database), autocommit=True)
        self.connection.execute("SELECT pg_advisory_lock(1)")

    def waiting(self) -> list[int]:
        """Return the server processes that stand before the gate."""
        rows = self.connection.execute(
            "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND objid = 1 AND classid = 0 AND objsubid = 1 "
            "AND NOT granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
        ).fetchall()
        return [pid for (pid,) in rows]

    def reached(self) -> int:
        """Wait until a run stands before the gate, and return its server process."""
        eventually(lambda: bool(self.waiting()), "a run before the gate")
        return self.waiting()[0]

    def open(self) -> None:
        """Let everyone through."""
        if not self.connection.closed:
            self.connection.close()


@contextmanager
def gate_in_copy(place: Place) -> Iterator[Gate]:
    """Close a gate in the middle of the copy of table `gated` of GATED_ORIGIN."""
    have_rows_call(place, "told", "pace")
    gate = Gate(place.origin_server, place.name)
    try:
        yield gate
    finally:
        gate.open()


def leave_detaching(place: Place, table: sql.Identifier, partition: sql.Identifier) -> None:
    """Have a partition be half detached, as `DETACH PARTITION … CONCURRENTLY` leaves it where it is cut."""
    detach = sql.SQL("ALTER TABLE {} DETACH PARTITION {} CONCURRENTLY").format(table, partition)
    pending = "SELECT inhrelid FROM pg_inherits WHERE inhdetachpending"
    with (
        ThreadPoolExecutor() as executor,
        psycopg.connect(place.origin_url, autocommit=True) as looking,
        psycopg.connect(place.origin_url, autocommit=True) as detaching,
        psycopg.connect(place.origin_url) as reader,
    ):
        reader.execute(sql.SQL("SELECT FROM {}").format(table))
        detached = executor.submit(detaching.execute, detach)
        eventually(lambda: detached.done() or looking.execute(pending).rowcount > 0, "a partition is half detached")
        detaching.cancel_safe()
        with pytest.raises(errors.QueryCanceled):
            detached.result(PATIENCE)
        assert looking.execute(pending).rowcount == 1


@contextmanager
def gate_at(place: Place, tag: str, within: str = "public") -> Iterator[Gate]:
    """Close a gate in every statement of the target with this command tag: CREATE INDEX, ALTER SCHEMA, …

    Its function stands in the schema `within`. A comment on a schema passes: staging gets one as it is created, and COMMENT
    is for the stage that comments tables.
    """
    place.in_target(
        f"""
        CREATE OR REPLACE FUNCTION {within}.gate() RETURNS event_trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF tg_tag <> 'COMMENT' OR EXISTS (
                SELECT FROM pg_event_trigger_ddl_commands() WHERE object_type LIKE 'table%'
            ) THEN
                PERFORM pg_advisory_xact_lock_shared(1);
            END IF;
        END $$;
        CREATE EVENT TRIGGER gate ON ddl_command_end WHEN TAG IN ('{tag}') EXECUTE FUNCTION {within}.gate();
        """,
        superuser=True,
    )
    gate = Gate(place.target_server, place.name)
    try:
        yield gate
    finally:
        gate.open()
        if place.target_server.running:
            place.in_target("DROP EVENT TRIGGER gate", superuser=True)
