"""What no run made stays as it is: an origin that is taken for the target, schemas and tables of others."""

import shutil
import tempfile
import threading
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from multischema import pipeline
from multischema.errors import CheckError, VerifyError
from multischema.postgres.database import Database
from multischema.stages import check
from tests.conftest import PASSWORD, PROGRAMS, TEMPORARY, Place
from tests.support.checks import problems
from tests.support.gates import gate_at

pytestmark = pytest.mark.slow

ORIGIN = """
CREATE TABLE users (id int PRIMARY KEY, name text);
CREATE TABLE orders (id int PRIMARY KEY, user_id int REFERENCES users);
INSERT INTO users VALUES (1, 'Marie');
INSERT INTO orders VALUES (1, 1);
"""
RULES = """
tables:
  - {table_name: users, anonymized_column_names: [name]}
  - {table_name: orders}
"""
MODES = ("stream", "dump")


@pytest.fixture(autouse=True)
def programs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the newest pg_dump and pg_restore come first on the PATH."""
    monkeypatch.setenv("PATH", str(PROGRAMS["18"]), prepend=":")


@pytest.fixture
def shop(place: Place) -> Place:
    """Return a place whose origin the rules fit."""
    place.in_origin(ORIGIN)
    return place


def refused(place: Place, **changes: Any) -> list[str]:
    """Return what the check says and what a whole run says, which is the same."""
    lines = problems(place, RULES, **changes)
    with pytest.raises(CheckError) as caught:
        place.run(RULES, **{name: value for name, value in changes.items() if name not in ("origin", "target")})
    assert list(caught.value.problems) == lines
    return lines


# The target is an origin.


def rows(url: str) -> list[tuple[Any, ...]]:
    """Return the rows of the origin's table in whatever schema it is."""
    with psycopg.connect(url, autocommit=True) as connection:
        return connection.execute("SELECT * FROM boutique.users").fetchall()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("address", ["127.0.0.1", "localhost"])
def test_the_app_s_own_database_is_never_the_target(address: str, mode: str, place: Place) -> None:
    place.in_origin(f"CREATE SCHEMA boutique; SET search_path = boutique; {ORIGIN}")
    origin, target = place.origin_url, place.origin_url.replace("127.0.0.1", address)
    job = {
        "schema": "boutique" if mode == "stream" else "shop",
        "origin_schema": "boutique",
        "reader": place.app,
        "mode": mode,
    }
    (line, *others) = problems(place, RULES, origin=origin, target=target, **job)
    assert line.startswith(f"target: database {place.name} on {address}:{place.origin_server.port} is the origin's own")
    assert others == []
    databases = Database("origin", "shop", origin), Database("target", "shop", target)
    with pytest.raises(CheckError, match="is the origin's own"):
        pipeline.run(place.job(**job), place.rules(RULES), *databases)
    assert rows(origin) == [(1, "Marie")]


@pytest.mark.parametrize("mode", MODES)
def test_a_target_that_becomes_the_origin_s_own_database_after_the_check_is_refused_before_anything_is_written(
    mode: str, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.in_target(ORIGIN)
    monkeypatch.setattr(check, "refuse_origin_as_target", lambda run: None)  # as an address that led elsewhere by then
    databases = Database("origin", "shop", place.target_url), Database("target", "shop", place.target_url)
    with pytest.raises(CheckError, match="is the origin's own"):
        pipeline.run(place.job(mode=mode, clear_raw=mode == "dump"), place.rules(RULES), *databases)
    assert place.schemas() == set()
    tables = "SELECT relname::text FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace ORDER BY 1"
    assert place.read(tables, as_="etl") == [("orders",), ("users",)]


def test_an_origin_that_is_a_standby_of_the_target_s_database_is_refused(place: Place) -> None:
    place.in_target(ORIGIN)
    directory = Path(tempfile.mkdtemp(prefix="postgres-standby-", dir=TEMPORARY))
    standby = place.target_server.standby(directory / "server")
    try:
        standby.start()
        url = standby.url(place.name, place.etl, PASSWORD)
        assert any("is the origin's own" in line for line in problems(place, RULES, origin=url))
    finally:
        standby.kill()
        shutil.rmtree(directory)


def test_a_server_that_keeps_its_identity_to_itself_is_known_by_its_address_and_its_start(place: Place) -> None:
    place.in_target(ORIGIN)
    revoke = sql.SQL("{} EXECUTE ON FUNCTION pg_control_system() {} PUBLIC")
    with psycopg.connect(place.target_server.url(place.name), autocommit=True) as connection:
        connection.execute(revoke.format(sql.SQL("REVOKE"), sql.SQL("FROM")))
        for address in ("127.0.0.1", "localhost"):
            origin = place.target_url.replace("127.0.0.1", address)
            assert any("is the origin's own" in line for line in problems(place, RULES, origin=origin))


def test_two_databases_of_one_server_are_an_origin_and_a_target(place: Place) -> None:
    beside = sql.Identifier(f"{place.name}_beside")
    with psycopg.connect(place.target_server.url(), autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(beside))
        try:
            url = place.target_server.url(f"{place.name}_beside")
            with psycopg.connect(url, autocommit=True) as filling:
                filling.execute(ORIGIN.encode())
            databases = Database("origin", "shop", url), Database("target", "shop", place.target_url)
            pipeline.run(place.job(), place.rules(RULES), *databases)
            assert place.read("SELECT id FROM shop.users") == [(1,)]
        finally:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(beside))


# Schemas that no run made.


@pytest.mark.parametrize("comment", ["NULL", "'Precious'"])
def test_a_schema_that_no_run_made_is_refused_by_name_and_stays(comment: str, shop: Place) -> None:
    shop.in_target(
        f"CREATE SCHEMA shop; CREATE TABLE shop.precious AS SELECT 42 AS answer; COMMENT ON SCHEMA shop IS {comment}"
    )
    for adopt in (False, True):
        (line,) = refused(shop, adopt=adopt)
        wanted = "table shop.precious of role" if adopt else "schema shop exists, but no run of this tool made it"
        assert line.startswith(f"target: {wanted}")
    assert shop.read("SELECT answer FROM shop.precious", as_="etl") == [(42,)]


def test_a_schema_that_appears_between_check_and_publish_is_refused_and_stays(shop: Place) -> None:
    with gate_at(shop, "CREATE INDEX") as gate:
        failures: list[BaseException] = []

        def run() -> None:
            try:
                shop.run(RULES)
            except BaseException as error:
                failures.append(error)

        running = threading.Thread(target=run)
        running.start()
        gate.reached()
        shop.in_target("CREATE SCHEMA shop; CREATE TABLE shop.precious AS SELECT 42 AS answer")
        gate.open()
        running.join()
    assert [type(failure) for failure in failures] == [VerifyError]
    assert "no run of this tool made it" in str(failures[0])
    assert shop.read("SELECT answer FROM shop.precious", as_="etl") == [(42,)]
    assert shop.schemas() == {"shop"}


def test_a_table_that_somebody_made_as_the_etl_s_role_in_the_published_schema_stays(shop: Place) -> None:
    shop.run(RULES)
    shop.in_target("CREATE TABLE shop.precious AS SELECT 42 AS answer")
    assert refused(shop) == [
        f"target: table shop.precious of role {shop.etl} stands in schema shop, which each run replaces; move it elsewhere"
    ]
    assert shop.read("SELECT answer FROM shop.precious", as_="etl") == [(42,)]


def analyst(place: Place) -> str:
    """Make a role that the ETL's is a member of, as docs/views.md has it, and return its name."""
    name = f"analyst_{place.number}"
    place.in_target(
        f"CREATE ROLE {name}; GRANT {name} TO {place.etl}; GRANT CREATE ON DATABASE {place.name} TO {name};", superuser=True
    )
    return name


def test_tables_of_a_role_that_the_etl_s_is_a_member_of_stay_in_the_published_schema(shop: Place) -> None:
    shop.run(RULES)
    name = analyst(shop)
    shop.in_target(
        f"GRANT USAGE, CREATE ON SCHEMA shop TO {name}; SET ROLE {name};"
        "CREATE TABLE shop.notes AS SELECT 42 AS answer; CREATE DOMAIN shop.d AS int;",
    )
    assert refused(shop) == [
        f"target: {what} of role {name} stands in schema shop, which each run replaces; move it elsewhere"
        for what in ("domain shop.d", "table shop.notes")
    ]
    assert shop.read("SELECT answer FROM shop.notes", as_="superuser") == [(42,)]


@pytest.mark.parametrize("mode", MODES)
def test_a_schema_of_a_role_that_the_etl_s_is_a_member_of_stays_whatever_its_name(mode: str, shop: Place) -> None:
    name = analyst(shop)
    schemas = ("shop", "etl_old_shop_0123abcd", "etl_staging_shop_0123abcd")
    for schema in schemas:
        shop.in_target(f"SET ROLE {name}; CREATE SCHEMA {schema}; CREATE TABLE {schema}.notes AS SELECT 42 AS answer")
    (line,) = refused(shop, mode=mode)
    assert line.startswith(f"target: schema shop belongs to {name}, not to {shop.etl}")
    shop.in_target("DROP SCHEMA shop CASCADE", superuser=True)
    shop.run(RULES, mode=mode)
    for schema in schemas[1:]:
        assert shop.read(f"SELECT answer FROM {schema}.notes", as_="superuser") == [(42,)]


def test_schemas_with_names_like_a_run_s_own_stay_unless_they_have_a_run_s_record(shop: Place) -> None:
    shop.run(RULES)
    for schema in ("etl_old_shop_0123abcd", "etl_staging_shop_0123abcd"):
        shop.in_target(f"CREATE SCHEMA {schema}; CREATE TABLE {schema}.precious AS SELECT 42 AS answer")
    assert shop.run(RULES).warnings == ()
    for schema in ("etl_old_shop_0123abcd", "etl_staging_shop_0123abcd"):
        assert shop.read(f"SELECT answer FROM {schema}.precious", as_="etl") == [(42,)]


def test_a_table_that_no_run_made_keeps_an_old_schema_and_is_named(shop: Place) -> None:
    shop.run(RULES)
    comment = shop.read("SELECT obj_description('shop'::regnamespace)", as_="etl")[0][0]
    shop.in_target(
        f"CREATE SCHEMA etl_old_shop_0123abcd; COMMENT ON SCHEMA etl_old_shop_0123abcd IS '{comment}';"
        "CREATE TABLE etl_old_shop_0123abcd.users (); CREATE TABLE etl_old_shop_0123abcd.precious AS SELECT 42 AS answer"
    )
    assert shop.run(RULES).warnings == (
        "schema etl_old_shop_0123abcd stays: it is in use, or others made something in it; the next run tries again",
    )
    assert shop.read("SELECT answer FROM etl_old_shop_0123abcd.precious", as_="etl") == [(42,)]
    assert shop.read("SELECT to_regclass('etl_old_shop_0123abcd.users')", as_="etl") == [(None,)]


@pytest.mark.parametrize("mode", MODES)
def test_what_an_analyst_makes_in_public_while_a_run_goes_on_stays(mode: str, shop: Place) -> None:
    name = analyst(shop)
    shop.in_target(f"GRANT CREATE ON SCHEMA public TO {name}, {shop.etl}", superuser=True)
    shop.in_target("CREATE SCHEMA gates", superuser=True)
    with gate_at(shop, "CREATE INDEX", "gates") as gate:
        running = threading.Thread(target=shop.run, args=(RULES,), kwargs={"mode": mode})
        running.start()
        gate.reached()
        shop.in_target(
            f"SET ROLE {name}; CREATE TABLE public.notes (id int PRIMARY KEY, answer int); INSERT INTO notes VALUES (1, 42)"
        )
        gate.open()
        running.join()
    assert shop.read("SELECT id, answer FROM public.notes", as_="superuser") == [(1, 42)]
    keys = "SELECT count(*) FROM pg_constraint WHERE conrelid = 'public.notes'::regclass AND contype = 'p'"
    assert shop.read(keys, as_="superuser") == [(1,)]


# One app under the name of another.


def test_another_app_s_published_schema_is_refused_by_name(shop: Place) -> None:
    shop.run(RULES, app="b", schema="b")
    assert refused(shop, app="a", schema="b") == [
        "target: schema b is published by app b, not by a; publish under another name"
    ]
    assert shop.read("SELECT id FROM b.users") == [(1,)]
    shop.run(RULES, app="b", schema="b")


def test_what_a_version_without_the_app_s_name_published_stays_ours(shop: Place) -> None:
    shop.run(RULES)
    older = 'multi-schema-postgres-etl masked {"copied": {"users": ["name"], "orders": []}, "truncated": {}}'
    shop.in_target(f"COMMENT ON SCHEMA shop IS '{older}'")
    shop.run(RULES)
    (row,) = shop.read("SELECT obj_description('shop'::regnamespace)")
    assert '"app": "shop"' in row[0]


# What the tool before this one made: plain tables with the names of the origin's, and what hangs on them, of the ETL's role.


PREDECESSOR = """
CREATE SCHEMA shop;
CREATE SEQUENCE shop.users_id_seq;
CREATE TABLE shop.users (id int PRIMARY KEY DEFAULT nextval('shop.users_id_seq'), name text);
CREATE TYPE shop.status AS ENUM ('new');
CREATE VIEW shop.names AS SELECT name FROM shop.users;
CREATE FUNCTION shop.f() RETURNS int LANGUAGE sql AS 'SELECT 1';
INSERT INTO shop.users VALUES (7, 'yesterday');
"""


def test_a_schema_of_the_tool_before_this_one_is_replaced_once_it_is_adopted(shop: Place) -> None:
    shop.in_target(PREDECESSOR + f"GRANT USAGE ON SCHEMA shop TO {shop.reader}; GRANT SELECT ON shop.users TO {shop.reader}")
    (line,) = refused(shop)
    assert line.endswith("if the tool before this one made it, use adopt (--adopt) once")
    assert shop.read("SELECT * FROM shop.users") == [(7, "yesterday")]
    assert shop.run(RULES, adopt=True).warnings == ()
    assert shop.read("SELECT id FROM shop.users") == [(1,)]
    assert shop.schemas() == {"shop"}
    shop.run(RULES)  # it is ours from then on


def test_what_the_tool_before_this_one_did_not_make_is_named_and_keeps_its_schema_from_being_adopted(shop: Place) -> None:
    shop.in_target(
        PREDECESSOR
        + "CREATE TABLE shop.budget AS SELECT 42 AS answer; CREATE MATERIALIZED VIEW shop.sums AS SELECT 1 AS one"
    )
    remedy = f"of role {shop.etl} stands in schema shop, which each run replaces; move it elsewhere"
    assert refused(shop, adopt=True) == [
        f"target: {what} {remedy}" for what in ("table shop.budget", "materialized view shop.sums")
    ]
    assert shop.read("SELECT answer FROM shop.budget", as_="etl") == [(42,)]


# What else a published schema, or public, may hold.


@pytest.mark.parametrize(
    ("statement", "what"),
    [
        ("CREATE DOMAIN shop.d AS text", "domain shop.d"),
        ("CREATE COLLATION shop.c (locale = 'C')", "collation shop.c"),
        ("CREATE TEXT SEARCH CONFIGURATION shop.c (COPY = simple)", "text search configuration shop.c"),
        (
            "CREATE OPERATOR shop.=== (LEFTARG = int, RIGHTARG = int, FUNCTION = int4eq)",
            "operator shop.===(integer,integer)",
        ),
    ],
)
def test_whatever_somebody_made_as_the_etl_s_role_in_the_published_schema_is_refused(
    statement: str, what: str, shop: Place
) -> None:
    shop.run(RULES)
    shop.in_target(statement)
    assert refused(shop) == [
        f"target: {what} of role {shop.etl} stands in schema shop, which each run replaces; move it elsewhere"
    ]


def test_what_the_etl_s_role_makes_in_public_while_a_dump_is_restored_stays(shop: Place) -> None:
    shop.in_target("CREATE SCHEMA gates", superuser=True)
    with gate_at(shop, "CREATE INDEX", "gates") as gate:
        running = threading.Thread(target=shop.run, args=(RULES,), kwargs={"mode": "dump"})
        running.start()
        gate.reached()
        shop.in_target("CREATE TABLE public.precious (id int PRIMARY KEY); INSERT INTO public.precious VALUES (42)")
        gate.open()
        running.join()
    assert shop.read("SELECT id FROM public.precious", as_="etl") == [(42,)]
    assert shop.read("SELECT id FROM shop.users") == [(1,)]
    assert any("table public.precious of role" in line for line in problems(shop, RULES, mode="dump"))


def test_what_a_killed_run_left_in_public_goes_and_what_came_after_it_stays(shop: Place) -> None:
    comment = 'multi-schema-postgres-etl shop 0123abcd restore\n["orders", "users"]'
    shop.in_target(
        f"CREATE DOMAIN public.etl_raw_data AS text; COMMENT ON DOMAIN public.etl_raw_data IS '{comment}';"
        "CREATE TABLE public.users (id int, name text); CREATE TABLE public.orders (id int);"
        f"GRANT SELECT ON public.users TO {shop.reader};"
        "CREATE TABLE public.precious AS SELECT 42 AS answer;"
        "CREATE FUNCTION public.f() RETURNS int LANGUAGE sql AS 'SELECT 1'"
    )
    assert shop.run(RULES).warnings == ()
    assert shop.read("SELECT answer FROM public.precious", as_="etl") == [(42,)]
    assert shop.read("SELECT public.f()", as_="etl") == [(1,)]
    for name in ("users", "orders", "etl_raw_data"):
        found = shop.read(f"SELECT to_regclass('public.{name}'), to_regtype('public.{name}')", as_="etl")
        assert found == [(None, None)]


def test_a_table_that_is_made_while_the_schema_is_replaced_is_named_and_stays(shop: Place) -> None:
    shop.run(RULES)
    name = analyst(shop)
    shop.in_target(f"GRANT USAGE, CREATE ON SCHEMA shop TO {name}; GRANT USAGE ON SCHEMA shop TO PUBLIC")
    shop.in_target("CREATE SCHEMA gates; CREATE SCHEMA board", superuser=True)
    shop.in_target("CREATE MATERIALIZED VIEW board.v AS SELECT id FROM shop.users", superuser=True)
    shop.in_target(
        f"ALTER MATERIALIZED VIEW board.v OWNER TO {name}; GRANT ALL ON SCHEMA board TO {name};"
        f"GRANT SELECT ON ALL TABLES IN SCHEMA shop TO {name}",
        superuser=True,
    )
    failures: list[BaseException] = []

    def run() -> None:
        try:
            shop.run(RULES)
        except BaseException as error:
            failures.append(error)

    with gate_at(shop, "REFRESH MATERIALIZED VIEW", "gates") as gate:
        running = threading.Thread(target=run)
        running.start()
        gate.reached()
        shop.in_target(f"SET ROLE {name}; CREATE TABLE shop.precious AS SELECT 42 AS answer")
        gate.open()
        running.join()
    assert [type(failure) for failure in failures] == [VerifyError]
    assert "table shop.precious of role" in str(failures[0])
    assert shop.read("SELECT answer FROM shop.precious", as_="superuser") == [(42,)]


def test_tables_of_a_role_that_was_the_etl_s_are_named_with_what_gives_them_to_it(shop: Place) -> None:
    shop.run(RULES)
    shop.in_target("ALTER TABLE shop.users OWNER TO postgres", superuser=True)
    (line,) = refused(shop)
    assert line == (
        f"target: table shop.users, which a run made, belongs to postgres, not to {shop.etl}; {shop.in_its_target}: "
        f'ALTER TABLE shop.users OWNER TO "{shop.etl}"'
    )
    shop.in_target(line.partition(f"; {shop.in_its_target}: ")[2], superuser=True)
    shop.run(RULES)


def test_an_origin_schema_with_the_published_one_s_name_runs_again_and_again(place: Place) -> None:
    place.in_origin(f"CREATE SCHEMA shop; SET search_path = shop; {ORIGIN}")
    for _ in range(2):
        place.run(RULES, origin_schema="shop")
    assert place.read("SELECT id FROM shop.users") == [(1,)]
