"""What no case of `tests/cases` can be: servers, settings and encodings of their own, values of any size."""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, LiteralString

import psycopg
import pytest
from psycopg import sql

from demo.servers import Server
from multischema.errors import CheckError
from tests.conftest import PASSWORD, PROGRAMS, TEMPORARY, Place
from tests.postgres.gates import eventually
from tests.postgres.test_cases import seen

MODES = ["stream", "dump"]
WITH_EXTENSIONS = [name for name in PROGRAMS if name.startswith("system")]


@pytest.fixture(autouse=True)
def programs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the newest pg_dump and pg_restore come first on the PATH."""
    monkeypatch.setenv("PATH", str(PROGRAMS["18"]), prepend=":")


# Settings of a database: each changes how something is written or read, or what a session may do.

SETTINGS = {
    "DateStyle": "German, DMY",
    "IntervalStyle": "sql_standard",
    "TimeZone": "America/New_York",
    "extra_float_digits": "-15",
    "bytea_output": "escape",
    "array_nulls": "off",
    "xmloption": "document",
    "standard_conforming_strings": "off",
    "backslash_quote": "off",
    "quote_all_identifiers": "on",
    "transform_null_equals": "on",
    "search_path": "pg_temp, other",
    "client_encoding": "LATIN1",
    "row_security": "on",
    "statement_timeout": "100",
    "lock_timeout": "100",
    "idle_in_transaction_session_timeout": "100",
    "default_transaction_isolation": "serializable",
    "default_transaction_read_only": "on",
}
OF_ALL_KINDS = r"""
CREATE TYPE status AS ENUM ('new', 'it''s');
CREATE TYPE pair AS (a text, at timestamptz, d date, i interval, f float8, b bytea, m money, s text[]);
CREATE TABLE things (
    id integer PRIMARY KEY,
    at timestamptz,
    d date,
    i interval DEFAULT '1 mon -1 day',
    f float8,
    b bytea,
    m money,
    texts text[],
    floats float8[],
    s status,
    during tstzrange,
    a_type regtype,
    pair pair,
    pairs pair[],
    name text,
    masked interval NOT NULL DEFAULT '-1 mon 1 day'
);
INSERT INTO things VALUES
    (1, '2024-03-31 02:30 Europe/Paris', '2024-02-03', '-1 mon +1 day -01:00:00.5', 0.30000000000000004, '\x00ff5c', 12.34, 
     '{a,NULL,"NULL","b\\c"}', '{0.30000000000000004}', 'it''s', '[2024-03-31 02:30+00,)', 'timestamp with time zone',
     ROW('x\y', '2024-03-31 02:30 Europe/Paris', '2024-02-03', '-1 mon +1 day', 0.30000000000000004, '\x00ff', 12.34,
         '{NULL,"NULL"}'),
     ARRAY[ROW('x\y', NULL, '2024-02-03', '-1 mon +1 day', 0.30000000000000004, '\x00ff', 12.34, '{NULL,"NULL"}')::pair],
     'Marie\'),
    (2, 'infinity', '0044-03-15 BC', '-178000000 years', 'NaN', '', 0, '{}', '{}', NULL, 'empty', NULL, NULL, NULL, '');
CREATE INDEX of_some ON things (id) WHERE s = 'it''s' AND name <> E'x\\y' AND d > '2024-02-03' AND i > '-1 mon +1 day';
COMMENT ON COLUMN things.name IS E'a\\b''c';
"""
OF_ALL_RULES = """
tables:
  - table_name: things
    anonymized_column_names: [name, masked]
    non_anonymized_column_names: [at, d, i, f, b, m, texts, floats, s, during, a_type, pair, pairs]
"""


def set_up(place: Place, side: str, *statements: sql.Composed) -> None:
    """Execute statements on the server of a side, as its superuser."""
    server = place.origin_server if side == "origin" else place.target_server
    with psycopg.connect(server.url(), autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("side", ["origin", "target"])
@pytest.mark.parametrize(("origin", "target"), [("16", "18"), ("18", "16")])
def test_no_setting_of_a_database_changes_what_is_published(
    origin: str, target: str, side: str, mode: str, make_place: Callable[..., Place]
) -> None:
    place = make_place(origin, target)
    place.in_origin(OF_ALL_KINDS)
    place.run(OF_ALL_RULES)
    before = seen(place)
    database = sql.Identifier(place.name)
    set_up(
        place,
        side,
        *(
            sql.SQL("ALTER DATABASE {} SET {} = {}").format(database, sql.Identifier(name), sql.SQL(", ").join(values))
            for name, text in SETTINGS.items()
            for values in [[sql.Literal(value) for value in text.split(", ")]]
        ),
    )
    place.run(OF_ALL_RULES, mode=mode)
    set_up(place, "target", sql.SQL("ALTER DATABASE {} RESET ALL").format(database))
    assert seen(place) == before


# Foreign tables.

PARTITIONED = """
CREATE SCHEMA far;
CREATE TABLE far.visits (id integer, name text);
INSERT INTO far.visits VALUES (2, 'Marie');
CREATE TABLE visits (id integer, name text) PARTITION BY LIST (id);
CREATE TABLE visits_1 PARTITION OF visits FOR VALUES IN (1);
INSERT INTO visits VALUES (1, 'Marie');
CREATE FOREIGN TABLE visits_2 PARTITION OF visits FOR VALUES IN (2)
    SERVER itself OPTIONS (schema_name 'far', table_name 'visits');
CREATE FOREIGN TABLE alone (id integer) SERVER itself OPTIONS (schema_name 'far', table_name 'visits');
"""
VISITS = """
tables:
  - table_name: visits
    anonymized_column_names: [name]
    non_anonymized_column_names: [id]
"""


@pytest.mark.parametrize("origin", WITH_EXTENSIONS)
def test_rows_of_a_foreign_partition_are_published_and_a_dump_that_would_lack_them_is_refused(
    origin: str, make_place: Callable[..., Place]
) -> None:
    place = make_place(origin, "18")
    place.in_origin("CREATE EXTENSION postgres_fdw", superuser=True)
    server = sql.SQL(
        "CREATE SERVER itself FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '127.0.0.1', port {}, dbname {});"
        "GRANT USAGE ON FOREIGN SERVER itself TO {role};"
        "CREATE USER MAPPING FOR {role} SERVER itself OPTIONS (user {}, password {})"
    ).format(str(place.origin_server.port), place.name, place.app, PASSWORD, role=sql.Identifier(place.app))
    place.in_origin(server.as_string(), superuser=True)
    place.in_origin(PARTITIONED)
    published = place.run(VISITS)
    assert place.read("SELECT * FROM shop.visits ORDER BY id") == [
        (1, "[valeur unique anonymisée 1]"),
        (2, "[valeur unique anonymisée 2]"),
    ]
    assert published.plan.warnings == ("not read: the origin's other schemas far", "not read: foreign table alone")
    with pytest.raises(CheckError) as failed:
        place.run(VISITS, mode="dump")
    assert failed.value.problems == (
        "origin shop: partition public.visits_2 is a foreign table, of which pg_dump reads no row; use mode stream",
    )


# An origin that is a standby.


UNLOGGED = """
CREATE TABLE users (id integer PRIMARY KEY, name text);
INSERT INTO users VALUES (1, 'Marie');
CREATE TABLE visits (id integer, name text) PARTITION BY LIST (id);
CREATE UNLOGGED TABLE visits_1 PARTITION OF visits DEFAULT;
INSERT INTO visits VALUES (1, 'Marie');
"""
USERS = """
tables:
  - table_name: users
    anonymized_column_names: [name]
"""


@pytest.fixture
def standby_of() -> Iterator[Callable[[Server], Server]]:
    """Return a function that makes a standby of a server and starts it; they are stopped after the test."""
    standbys: list[Server] = []

    def make(primary: Server) -> Server:
        directory = Path(tempfile.mkdtemp(prefix="standby-", dir=TEMPORARY))
        standbys.append(primary.standby(directory / "server"))
        standbys[-1].start()
        return standbys[-1]

    yield make
    for standby in standbys:
        standby.kill()
        shutil.rmtree(standby.directory.parent, ignore_errors=True)


def reading_from(standby: Server, place: Place) -> Place:
    """Return the place as runs see it that read from a standby, which has all that the primary has by now."""
    ((written,),) = asked(place.origin_server, "SELECT pg_current_wal_lsn()")
    eventually(
        lambda: asked(standby, "SELECT pg_last_wal_replay_lsn() >= %s::pg_lsn", written) == [(True,)], "a standby in time"
    )
    return replace(place, origin_server=standby)


def asked(server: Server, query: LiteralString, *values: object) -> list[tuple[Any, ...]]:
    """Return the rows of a query, as the superuser."""
    with psycopg.connect(server.url(), autocommit=True) as connection:
        return connection.execute(query, values).fetchall()


@pytest.mark.slow
@pytest.mark.parametrize(("origin", "target"), [("16", "18"), ("18", "16")])
def test_a_standby_is_published_in_both_modes_but_for_the_unlogged_tables_that_it_has_no_row_of(
    origin: str, target: str, make_place: Callable[..., Place], standby_of: Callable[[Server], Server]
) -> None:
    place = make_place(origin, target, own="primary")
    place.in_origin(UNLOGGED)
    reading = reading_from(standby_of(place.origin_server), place)
    both = USERS + VISITS.removeprefix("\ntables:\n")
    for mode in MODES:
        with pytest.raises(CheckError) as failed:
            reading.run(both, mode=mode)
        assert failed.value.problems == (
            "origin shop: the server is a standby, which has no row of the unlogged table visits; use the primary, or "
            "truncate the table in the rules",
        )
        reading.run(USERS + "  - table_name: visits\n    truncated: true\n", mode=mode)
        assert place.read("SELECT * FROM shop.users") == [(1, "[valeur unique anonymisée 1]")]
        assert place.read("SELECT count(*) FROM shop.visits") == [(0,)]
    place.run(both)
    assert place.read("SELECT count(*) FROM shop.visits") == [(1,)]
