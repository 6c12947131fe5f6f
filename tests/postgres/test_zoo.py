"""What no case of `tests/cases` can be: servers, settings and encodings of their own, values of any size."""

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, LiteralString

import psutil
import psycopg
import pytest
import yaml
from psycopg import sql

from demo.servers import Server
from multischema.errors import CheckError, DatabaseError
from tests.conftest import PASSWORD, PROGRAMS, TEMPORARY, Place
from tests.support.cases import seen
from tests.support.gates import eventually, leave_detaching
from tests.support.processes import process

pytestmark = pytest.mark.slow

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
    "statement_timeout": "2000",
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
    assert published.plan.warnings == ("not read: the origin's other schema far", "not read: foreign table alone")
    with pytest.raises(CheckError) as failed:
        place.run(VISITS, mode="dump")
    assert failed.value.problems == (
        "origin shop: partition public.visits_2 is a foreign table, which pg_dump does not read; use mode stream",
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


@pytest.mark.parametrize("mode", MODES)
def test_temporary_tables_beside_those_of_the_app_are_not_read(mode: str, place: Place) -> None:
    place.in_origin("CREATE TABLE users (id int PRIMARY KEY); INSERT INTO users VALUES (1)")
    with psycopg.connect(place.origin_url, autocommit=True) as application:
        application.execute("CREATE TEMPORARY TABLE users (id int PRIMARY KEY, secret text)")
        application.execute("CREATE TEMPORARY TABLE basket (secret text)")
        application.execute("INSERT INTO basket VALUES ('Marie')")
        published = place.run("tables: [{table_name: users, non_anonymized_column_names: []}]", mode=mode)
    assert published.plan.told().warnings == ()
    assert seen(place) == ["table users: 1 rows", "  id integer NOT NULL: 1", "  constraint users_pkey PRIMARY KEY (id)"]


@pytest.mark.parametrize("mode", MODES)
def test_names_may_hold_line_breaks_and_all_that_a_format_string_reads(mode: str, place: Place) -> None:
    odd = "a\nb\tc %s %(x)s {} {0} \\ \\n"
    name = sql.Identifier(odd)
    for statement in (
        "CREATE TYPE {type} AS ENUM ({odd})",
        "CREATE TABLE {name} ({name} int PRIMARY KEY, {masked} text NOT NULL, kind {type}, other int REFERENCES {name})",
        "CREATE INDEX {index} ON {name} ({name}) WHERE kind = {odd}",
        "COMMENT ON COLUMN {name}.kind IS {odd}",
        "INSERT INTO {name} VALUES (7, 'Marie', {odd}, 7)",
    ):
        others = {other: sql.Identifier(f"{other} {odd}") for other in ("type", "masked", "index")}
        composed = sql.SQL(statement).format(name=name, odd=sql.Literal(odd), **others)
        place.in_origin(composed.as_string())
    listed = {"table_name": odd, "anonymized_column_names": [f"masked {odd}"], "non_anonymized_column_names": ["kind"]}
    published = place.run(yaml.safe_dump({"tables": [listed]}), mode=mode)
    assert (*published.plan.warnings, *published.indexed.warnings, *published.warnings) == ()
    assert place.read(sql.SQL("SELECT * FROM shop.{}").format(name).as_string()) == [
        (7, "[valeur unique anonymisée 7]", odd, 7)
    ]
    indexes = place.read("SELECT indexname FROM pg_indexes WHERE schemaname = 'shop' ORDER BY 1")
    assert (f"index {odd}",) in indexes
    assert len(indexes) == 2


def test_a_column_that_is_computed_from_an_enum_is_published_by_a_stream_and_no_dump(place: Place) -> None:
    place.in_origin(
        """
        CREATE TYPE status AS ENUM ('new', 'closed');
        CREATE TABLE steps (
            id int PRIMARY KEY, status status, later bool GENERATED ALWAYS AS (status > 'new') STORED,
            other bool GENERATED ALWAYS AS (status <> 'new') STORED
        );
        INSERT INTO steps VALUES (1, 'new'), (2, 'closed');
        """
    )
    rules = "tables: [{table_name: steps, non_anonymized_column_names: [status, later, other]}]"
    with pytest.raises(CheckError) as refused:
        place.run(rules, mode="dump")
    assert refused.value.problems == tuple(
        f"origin shop: column steps.{name} is computed by type public.status, which the target lacks; use mode stream"
        for name in ("later", "other")
    )
    place.run(rules)
    assert place.read("SELECT * FROM shop.steps ORDER BY 1") == [(1, "new", False, False), (2, "closed", True, True)]


DOCUMENTS = """
CREATE DOMAIN page AS xml;
CREATE TABLE documents (
    id int PRIMARY KEY, masked xml, masked_list xml[] NOT NULL, masked_page page NOT NULL, kept xml, kept_list page[]
);
CREATE TABLE versions (id int PRIMARY KEY, kept xml);
"""


@pytest.mark.parametrize("mode", MODES)
def test_documents_that_the_target_cannot_read_stop_the_run_before_any_row_is_read(mode: str, place: Place) -> None:
    rules = """
    tables:
      - table_name: documents
        anonymized_column_names: [masked, masked_list, masked_page]
        non_anonymized_column_names: [kept, kept_list]
      - {table_name: versions, truncated: true}
    """
    # this origin has no document either
    place.in_origin(DOCUMENTS)
    columns = ("masked_page of type xml", "kept of type xml", "kept_list of type xml[]")
    with pytest.raises(CheckError) as refused:
        place.run(rules, mode=mode)
    assert refused.value.problems == tuple(
        f"target: this server was built without libxml, which column documents.{column} needs; use another server, "
        "mask the column if it may be NULL, or truncate the table in the rules"
        for column in columns
    )
    place.in_origin("ALTER TABLE documents DROP masked_page, DROP kept, DROP kept_list")
    place.in_origin("INSERT INTO documents VALUES (1, NULL, '{}')")
    place.run(rules, mode=mode)
    assert place.read("SELECT * FROM shop.documents") == [(1, None, [])]


DETACHING = """
CREATE TABLE v (id int, kind text) PARTITION BY LIST (kind);
CREATE TABLE v1 PARTITION OF v FOR VALUES IN ('a');
CREATE TABLE "V 2" PARTITION OF v FOR VALUES IN ('b') PARTITION BY LIST (id);
CREATE SCHEMA "My App";
CREATE TABLE "My App".deep PARTITION OF "V 2" FOR VALUES IN (1, 2);
INSERT INTO v VALUES (1, 'a'), (2, 'b');
"""


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("table", "partition"), [('"v"', '"public"."V 2"'), ('"V 2"', '"My App"."deep"')])
def test_a_partition_that_is_half_detached_stops_the_run_before_any_row_is_read(
    table: str, partition: str, mode: str, place: Place
) -> None:
    place.in_origin(DETACHING)
    leave_detaching(place, sql.Identifier(table.strip('"')), sql.Identifier(*partition.strip('"').split('"."')))
    name = partition.split('"')[-2]
    statement = f'ALTER TABLE "public".{table} DETACH PARTITION {partition} FINALIZE'
    rules = "tables: [{table_name: v, non_anonymized_column_names: [id, kind]}]"
    with pytest.raises(CheckError) as refused:
        place.run(rules, mode=mode)
    assert refused.value.problems == (
        f"origin shop: partition {name} of table v is half detached, and a copy may lack its rows; "
        f"{place.in_its_origin}: {statement}",
    )
    place.run("tables: [{table_name: v, truncated: true}]", mode=mode)
    place.in_origin(statement)
    place.run(rules.removesuffix("]") + f", {{table_name: {name}, truncated: true}}]", mode=mode)
    assert place.read("SELECT * FROM shop.v") == [(1, "a")]


def test_a_table_whose_root_in_another_schema_half_detached_it_is_published_as_the_others_are(place: Place) -> None:
    place.in_origin(
        """
        CREATE SCHEMA other;
        CREATE TABLE other.v (id int) PARTITION BY LIST (id);
        CREATE TABLE v1 PARTITION OF other.v FOR VALUES IN (1);
        INSERT INTO v1 VALUES (1);
        """
    )
    leave_detaching(place, sql.Identifier("other", "v"), sql.Identifier("v1"))
    place.run("tables: [{table_name: v1, non_anonymized_column_names: [id]}]")
    assert place.read("SELECT * FROM shop.v1") == [(1,)]


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
            "origin shop: the server is a standby, which has no rows of the unlogged table visits; use the primary, or "
            "truncate the table in the rules",
        )
        reading.run(USERS + "  - table_name: visits\n    truncated: true\n", mode=mode)
        assert place.read("SELECT * FROM shop.users") == [(1, "[valeur unique anonymisée 1]")]
        assert place.read("SELECT count(*) FROM shop.visits") == [(0,)]
    place.run(both)
    assert place.read("SELECT count(*) FROM shop.visits") == [(1,)]


# Encodings of the origin.

NAMED = """
CREATE TYPE "{é}s" AS ENUM ('{é}', 'b');
CREATE TABLE "{é}" (id integer PRIMARY KEY, "{é}" text, email text, kind "{é}s", texts varchar(12)[], document jsonb);
INSERT INTO "{é}" VALUES (1, '{é}', '{é}', '{é}', ARRAY['{é}'], jsonb_build_object('{é}', '{é}')),
(2, '', '', 'b', '{{}}', '{{}}');
CREATE INDEX "{é}2" ON "{é}" ("{é}") WHERE kind = '{é}' AND "{é}" <> '{é}';
COMMENT ON TABLE "{é}" IS '{é}';
"""
NAMED_RULES = """
tables:
  - table_name: {é}
    anonymized_column_names: [email]
    non_anonymized_column_names: [{é}, kind, texts, document]
"""


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("encoding", "written"),
    [("LATIN1", "né"), ("WIN1252", "l’été €"), ("EUC_JP", "日本"), ("SQL_ASCII", "né"), ("KOI8R", "год")],
)
def test_an_origin_of_any_encoding_is_published_as_one_of_utf8_is(
    encoding: str, written: str, mode: str, make_place: Callable[..., Place]
) -> None:
    origin, rules = (text.format(é=written) for text in (NAMED, NAMED_RULES))
    place = make_place()
    place.in_origin(origin)
    place.run(rules)
    expected = seen(place)
    place.recode_origin(encoding)
    with psycopg.connect(place.origin_url, autocommit=True, client_encoding="utf8") as connection:
        connection.execute(origin.encode())
    place.run(rules, mode=mode)
    assert seen(place) == expected


def test_masks_that_the_origins_encoding_cannot_hold_are_a_clear_error_and_mode_dump_publishes_them(place: Place) -> None:
    place.recode_origin("KOI8R")
    place.in_origin(UNLOGGED)
    with pytest.raises(DatabaseError) as failed:
        place.run(USERS + "  - table_name: visits\n    truncated: true\n")
    assert failed.value.problems == (
        "origin shop: copying users failed: UntranslatableCharacter (22P05); its message may quote a row, and stands in the "
        "server's log only; the database's encoding lacks a character, perhaps one of the masks: use mode dump, or repair "
        "the text",
    )
    place.run(USERS + "  - table_name: visits\n    truncated: true\n", mode="dump")
    assert place.read("SELECT name FROM shop.users") == [("[valeur unique anonymisée 1]",)]


@pytest.mark.parametrize("value", [r"E'MARKER \xe9t\xe9'", r"E'{MARKER \xe9t\xe9}'"])
def test_broken_bytes_of_an_origin_without_encoding_fail_either_mode_by_the_tables_name(value: str, place: Place) -> None:
    place.recode_origin("SQL_ASCII")
    type_ = "text[]" if "{" in value else "text"
    place.in_origin(f"CREATE TABLE visits (id integer, name {type_}); INSERT INTO visits VALUES (1, {value})")
    kept = VISITS.replace("anonymized_column_names: [name]", "truncated: false").replace("[id]", "[id, name]")
    for mode, told in (
        ("stream", "copying visits failed: CharacterNotInRepertoire"),
        ("dump", "dump failed: table visits: "),
    ):
        with pytest.raises(DatabaseError) as failed:
            place.run(kept, mode=mode)
        (line,) = failed.value.problems
        assert line.startswith(f"origin shop: {told}")
        assert "MARKER" not in line
    place.run(VISITS)
    assert place.read("SELECT id FROM shop.visits") == [(1,)]


# Collations.


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("side", ["origin", "target"])
def test_a_database_whose_collations_are_of_another_version_than_its_server_is_published(
    side: str, mode: str, make_place: Callable[..., Place]
) -> None:
    place = make_place("18", "16") if side == "origin" else make_place("16", "18")
    place.in_origin(OF_ALL_KINDS)
    place.run(OF_ALL_RULES)
    expected = seen(place)
    set_up(
        place,
        side,
        sql.SQL(
            "UPDATE pg_database SET datlocprovider = 'b', datlocale = 'C.UTF-8', datcollversion = '0' WHERE datname = {}"
        ).format(sql.Literal(place.name)),
    )
    place.run(OF_ALL_RULES, mode=mode)
    assert seen(place) == expected


# Values and rows of any size.


@pytest.mark.parametrize("mode", MODES)
def test_values_of_a_hundred_megabytes_are_published_with_memory_for_a_few_of_their_rows(mode: str, place: Place) -> None:
    place.in_origin(
        "CREATE TABLE visits (id integer, name text, note text, scan bytea);"
        "INSERT INTO visits SELECT n, 'Marie', repeat('é', 50000000), convert_to(repeat('x', 100000000), 'UTF8')"
        "FROM generate_series(1, 2) AS n"
    )
    peak = 0
    with process(place, VISITS.replace("[id]", "[id, note, scan]"), mode=mode) as running:
        tree = psutil.Process(running.pid)
        while running.poll() is None:
            with suppress(psutil.Error):
                peak = max(peak, sum(one.memory_info().rss for one in (tree, *tree.children(recursive=True))))
            time.sleep(0.05)
    assert running.returncode == 0
    assert place.read("SELECT name, length(note), md5(scan) = md5(repeat('x', 100000000)) FROM shop.visits ORDER BY id") == [
        (f"[valeur unique anonymisée {n}]", 50000000, True) for n in range(1, 3)
    ]
    assert peak < 4 * 200000000


def test_a_row_that_the_protocol_cannot_carry_is_a_clear_error_that_names_the_table(place: Place) -> None:
    place.in_origin(
        "CREATE TABLE visits (id integer, name text, a text, b text);"
        "INSERT INTO visits SELECT 1, 'Marie', repeat('x', 600000000); UPDATE visits SET b = a"
    )
    rules = VISITS.replace("[id]", "[id, a, b]")
    with pytest.raises(DatabaseError, match=r"^origin shop: copying visits failed: .* \(54000\); a row is too big to send"):
        place.run(rules)
    with pytest.raises(DatabaseError, match=r"^origin shop: dump failed: table visits: "):
        place.run(rules, mode="dump")


def test_a_row_that_is_too_wide_once_its_types_are_flat_is_a_clear_error(place: Place) -> None:
    columns = [f"c{number}" for number in range(1500)]
    place.in_origin(
        "CREATE TYPE kind AS ENUM ('ten letters');"
        f"CREATE TABLE visits (id integer, name text, {', '.join(f'{name} kind' for name in columns)});"
        f"INSERT INTO visits (id, {', '.join(columns)}) VALUES (1, {', '.join(['enum_first(NULL::kind)'] * len(columns))})"
    )
    with pytest.raises(DatabaseError, match=r"^target: copying visits failed: .*, or for a page once flat \(8 kB\)"):
        place.run(VISITS.replace("[id]", f"[id, {', '.join(columns)}]"))


@pytest.mark.parametrize("mode", MODES)
def test_a_table_of_1600_columns_is_published(mode: str, place: Place) -> None:
    columns = [f"column_{number}" for number in range(2, 1601)]
    place.in_origin(
        f"CREATE TABLE wide (id integer PRIMARY KEY, {', '.join(f'{name} integer' for name in columns)});"
        f"INSERT INTO wide VALUES (1, {', '.join(str(number) for number in range(2, 1601))});"
    )
    place.run(
        "tables:\n  - table_name: wide\n"
        f"    anonymized_column_names: [{', '.join(columns[:700])}]\n"
        f"    non_anonymized_column_names: [{', '.join(columns[700:])}]\n",
        mode=mode,
    )
    assert place.read("SELECT * FROM shop.wide") == [(1, *[None] * 700, *range(702, 1601))]


@pytest.mark.parametrize(
    ("type_", "value", "told"),
    [
        ("tsquery", "''", r"malformed tsquery: operand not found \(XX000\)"),
        ("int2vector", "''", r".* \(22P03\); .*; no server reads this value in binary .*"),
    ],
)
@pytest.mark.parametrize("mode", MODES)
def test_a_value_that_no_server_reads_in_binary_is_a_clear_error_and_none_once_it_is_masked(
    mode: str, type_: str, value: str, told: str, place: Place
) -> None:
    place.in_origin(f"CREATE TABLE visits (id integer, name {type_}); INSERT INTO visits VALUES (1, {value})")
    kept = VISITS.replace("anonymized_column_names: [name]", "truncated: false").replace("[id]", "[id, name]")
    with pytest.raises(DatabaseError, match=f"^target: copying visits, column name, failed: {told}$"):
        place.run(kept, mode=mode)
    place.run(VISITS, mode=mode)
    assert place.read("SELECT id, name IS NULL FROM shop.visits") == [(1, True)]


# Indexes and tables that were not finished.


@pytest.mark.parametrize("mode", MODES)
def test_an_index_that_could_not_be_built_in_the_origin_is_left_out_and_named(mode: str, place: Place) -> None:
    place.in_origin("CREATE TABLE visits (id integer, name text); INSERT INTO visits VALUES (1, 'Marie'), (1, 'Jean')")
    with pytest.raises(psycopg.errors.UniqueViolation):
        place.in_origin("CREATE UNIQUE INDEX CONCURRENTLY twice ON visits (id)")
    published = place.run(VISITS, mode=mode)
    assert published.plan.warnings == ("index twice of visits left out: it is invalid in the origin",)
    assert place.read("SELECT count(*) FROM pg_indexes WHERE schemaname = 'shop'") == [(0,)]
    assert place.read("SELECT count(*) FROM shop.visits") == [(2,)]
