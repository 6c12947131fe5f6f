"""What a reader can do by the rights that everybody has must not stop a run, and is told with who did it."""

import contextlib
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

from demo.servers import Server
from multischema.errors import CheckError
from multischema.postgres import dropping
from multischema.postgres.failures import translate
from multischema.statements import raw
from tests.conftest import PROGRAMS, Place
from tests.support.gates import eventually

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
# All that one may create without a right: in the own temporary schema, over the row type of a table that one may read.
TEMPORARY = {
    "function": "CREATE FUNCTION pg_temp.f(shop.users) RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "result": "CREATE FUNCTION pg_temp.f() RETURNS SETOF shop.users LANGUAGE sql AS 'SELECT * FROM shop.users'",
    "procedure": "CREATE PROCEDURE pg_temp.p(shop.users[]) LANGUAGE sql AS 'SELECT 1'",
    "aggregate": (
        "CREATE FUNCTION pg_temp.f(int, shop.users) RETURNS int LANGUAGE sql AS 'SELECT 1';"
        "CREATE AGGREGATE pg_temp.a(shop.users) (SFUNC = pg_temp.f, STYPE = int)"
    ),
    "domain": "CREATE DOMAIN pg_temp.d AS shop.users",
    "check": "CREATE DOMAIN pg_temp.d AS text CHECK ((VALUE::shop.users).id > 0)",
    "range": "CREATE TYPE pg_temp.r AS RANGE (SUBTYPE = shop.users)",
    "composite": "CREATE TYPE pg_temp.c AS (one shop.users, many shop.users[])",
    "table": "CREATE TEMP TABLE t (one shop.users)",
    "default": "CREATE TEMP TABLE t (one text DEFAULT (NULL::shop.users)::text)",
    "computed": "CREATE TEMP TABLE t (one int, two bool GENERATED ALWAYS AS (ROW(one, '')::shop.users IS NULL) STORED)",
    "constraint": "CREATE TEMP TABLE t (one text CHECK ((one::shop.users).id > 0))",
    "index": "CREATE TEMP TABLE t (one int); CREATE INDEX ON t ((ROW(one, '')::shop.users IS NULL))",
    "view": "CREATE TEMP VIEW v AS SELECT * FROM shop.users",
    "rule": "CREATE TEMP TABLE t (); CREATE RULE r AS ON INSERT TO t DO ALSO SELECT * FROM shop.users",
    "policy": "CREATE TEMP TABLE t (); CREATE POLICY p ON t USING (EXISTS (SELECT FROM shop.users))",
    "operator": (
        "CREATE FUNCTION pg_temp.f(shop.users) RETURNS int LANGUAGE sql AS 'SELECT 1';"
        "CREATE OPERATOR pg_temp.@@@ (RIGHTARG = shop.users, FUNCTION = pg_temp.f)"
    ),
    "cast": "CREATE TYPE pg_temp.c AS (id int, name text); CREATE CAST (shop.users AS pg_temp.c) WITH INOUT",
}


@contextmanager
def session(place: Place, statements: str = "", *, as_: str = "reader") -> Iterator[psycopg.Connection[Any]]:
    """Keep a session of the reader's, or of the superuser's, that has executed these statements."""
    url = place.reader_url if as_ == "reader" else place.target_server.url(place.name)
    with psycopg.connect(url, autocommit=True) as connection:
        if statements:
            connection.execute(statements.encode())
        yield connection


@pytest.fixture
def shop(place: Place) -> Place:
    """Return a place with a published app."""
    place.in_origin(ORIGIN)
    place.run(RULES)
    return place


def kept(warnings: tuple[str, ...]) -> list[str]:
    """Return the warnings of schemas that stay, the part of their names that is random left out."""
    return [re.sub("(shop|temp)_[0-9a-f]+ ", r"\1_… ", line) for line in warnings if line.startswith("schema etl_old_")]


# Objects in a temporary schema.


@pytest.mark.parametrize("what", TEMPORARY)
def test_a_temporary_object_over_a_published_row_type_stops_no_run_and_is_told(what: str, shop: Place) -> None:
    with session(shop, TEMPORARY[what]) as holding:
        published = shop.run(RULES)
        assert published.recreated == ()
        pid = holding.info.backend_pid
        assert kept(published.warnings) == [
            f"schema etl_old_shop_… stays: what session {pid} of role {shop.reader} made in its temporary schema pg_temp_… "
            f"keeps it; the next run tries again, or end it {shop.in_its_target}: SELECT pg_terminate_backend({pid})"
        ]
        # the next run says the same of it, and drops the schema that was published in between
        assert len(kept(shop.run(RULES).warnings)) == 1
    eventually(lambda: shop.read(f"SELECT FROM pg_stat_activity WHERE pid = {pid}", as_="superuser") == [], "it has ended")
    assert kept(shop.run(RULES).warnings) == []
    assert shop.schemas() == {"shop"}


@pytest.mark.parametrize("target", sorted(name for name in PROGRAMS if name != "18"))
def test_an_older_server_tells_the_role_of_a_temporary_object_at_least(
    target: str, make_place: Callable[..., Place]
) -> None:
    place = make_place("16", target)
    place.in_origin(ORIGIN)
    place.run(RULES)
    with session(place, TEMPORARY["function"]) as holding:
        (line,) = kept(place.run(RULES).warnings)
        pid = holding.info.backend_pid
    holder, end = f"a session of role {place.reader}", ""
    if place.target_server.major >= 16:
        holder = f"session {pid} of role {place.reader}"
        end = f", or end it {place.in_its_target}: SELECT pg_terminate_backend({pid})"
    assert line == (
        f"schema etl_old_shop_… stays: what {holder} made in its temporary schema pg_temp_… keeps it; "
        f"the next run tries again{end}"
    )


def test_a_view_that_calls_a_temporary_function_is_not_created_again_and_ends_with_its_session(shop: Place) -> None:
    shop.in_target(f"CREATE SCHEMA own AUTHORIZATION {shop.reader}", superuser=True)
    statements = f"{TEMPORARY['function']}; CREATE VIEW own.v AS SELECT pg_temp.f(u) AS one FROM shop.users AS u"
    with session(shop, statements):
        published = shop.run(RULES)
        assert published.recreated == ()
        assert len(kept(published.warnings)) == 1
    assert shop.read("SELECT count(*) FROM shop.users") == [(1,)]


def test_what_stands_elsewhere_on_a_published_row_type_is_still_refused_by_name(shop: Place) -> None:
    shop.in_target(f"CREATE SCHEMA own AUTHORIZATION {shop.reader}", superuser=True)
    with session(shop, f"{TEMPORARY['function']}; CREATE FUNCTION own.f(shop.users) RETURNS int LANGUAGE sql AS 'SELECT 1'"):
        with pytest.raises(CheckError) as caught:
            shop.run(RULES)
    (line,) = caught.value.problems
    assert line.startswith(
        "target: function own.f(shop.users) depends on schema shop and would stay with the old one; drop it"
    )


# The lock of an app, whose number everybody can know.

LOCKING = {
    "session": "SELECT pg_advisory_lock(6648940, hashtext('{}'))",
    "shared": "SELECT pg_advisory_lock_shared(6648940, hashtext('{}'))",
    "transaction": "BEGIN; SELECT pg_advisory_xact_lock(6648940, hashtext('{}'))",
}


@pytest.mark.parametrize("how", LOCKING)
@pytest.mark.parametrize("app", ["shop", "boutique"])  # one number is negative
def test_a_lock_that_is_no_run_s_is_refused_at_once_by_session_and_role(app: str, how: str, place: Place) -> None:
    place.in_origin(ORIGIN)
    with session(place) as holding:
        for statement in LOCKING[how].format(app).split("; "):
            holding.execute(statement.encode())
        with pytest.raises(CheckError) as caught:
            place.run(RULES, app=app, schema=app, lock_wait=3600)
        pid = holding.info.backend_pid
    assert caught.value.problems == (
        f"target: session {pid} of role {place.reader} holds the lock of schema {app}, and is no run of this role; have an "
        f"administrator end it ({place.in_its_target}: SELECT pg_terminate_backend({pid})), and see what that role runs",
    )
    place.run(RULES, app=app, schema=app)


def test_a_lock_of_a_prepared_transaction_is_refused_with_what_ends_it(
    start_server: Callable[..., Server], make_place: Callable[..., Place], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dropping, "_PATIENCE", 0.2)
    start_server("16", "preparing", {"max_prepared_transactions": "5"})
    place = make_place("18", "16", "preparing")
    place.in_origin(ORIGIN)
    with session(place, "BEGIN") as holding:
        holding.execute(LOCKING["transaction"].partition("; ")[2].format("shop").encode())
        holding.execute("PREPARE TRANSACTION 'it''s mine'")
    with pytest.raises(CheckError) as caught:
        place.run(RULES, lock_wait=3600)
    assert caught.value.problems == (
        f"target: prepared transaction it's mine of role {place.reader} holds the lock of schema shop, and is no run of "
        f"this role; have an administrator end it ({place.in_its_target}: ROLLBACK PREPARED 'it''s mine'), and see what "
        "that role runs",
    )
    with session(place, "ROLLBACK PREPARED 'it''s mine'"):
        place.run(RULES)
    with session(place, "BEGIN") as holding:
        holding.execute("SELECT FROM shop.users")
        holding.execute("PREPARE TRANSACTION 'it''s mine'")
    assert kept(place.run(RULES).warnings) == [
        f"schema etl_old_shop_… stays: prepared transaction it's mine of role {place.reader} keeps it; the next run tries "
        f"again, or end it {place.in_its_target}: ROLLBACK PREPARED 'it''s mine'"
    ]
    with session(place, "ROLLBACK PREPARED 'it''s mine'"):
        assert kept(place.run(RULES).warnings) == []


def test_a_lock_that_is_no_run_s_does_not_keep_raw_data_of_a_killed_run(place: Place, private: Path) -> None:
    place.in_origin(ORIGIN)
    left = raw.mark("public", "multi-schema-postgres-etl shop 0123abcd restore", ["users"])
    with psycopg.connect(place.target_url, autocommit=True) as connection:
        for statement in left:
            connection.execute(statement)
        connection.execute("CREATE TABLE public.users (id int, name text)")
    with session(place, LOCKING["session"].format("public")):
        place.run(RULES)
        assert place.read("SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace", as_="etl") == []
        with pytest.raises(CheckError, match="holds the lock of schema public, and is no run of this role"):
            place.run(RULES, mode="dump", lock_wait=3600)
    assert place.read("SELECT count(*) FROM shop.users") == [(1,)]


# A transaction that stays open.


def test_old_schemas_that_are_open_are_waited_for_once_all_together_and_told_with_who_has_them(
    shop: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dropping, "_PATIENCE", 3.0)
    rounds: list[str] = []
    drop = dropping._drop_objects

    def counted(connection: Any, schema: str, *others: Any) -> Any:
        rounds.append(schema)
        return drop(connection, schema, *others)

    with contextlib.ExitStack() as stack:
        holding = []
        for number in range(1, 5):
            reading = stack.enter_context(session(shop))
            reading.execute("BEGIN")
            reading.execute("SELECT FROM shop.users")
            holding.append(reading.info.backend_pid)
            monkeypatch.setattr(dropping, "_drop_objects", counted)
            rounds.clear()
            warnings = kept(shop.run(RULES).warnings)
            assert len(warnings) == number
            # each once at the beginning, once at the end, and then as long as the patience for all of them lasts
            assert len(rounds) <= 2 * number + 4
        assert sorted(warnings) == sorted(
            f"schema etl_old_shop_… stays: session {pid} of role {shop.reader} keeps it; the next run tries again, or end "
            f"it {shop.in_its_target}: SELECT pg_terminate_backend({pid})"
            for pid in holding
        )
    assert kept(shop.run(RULES).warnings) == []
    assert shop.schemas() == {"shop"}


def test_an_old_schema_that_is_free_goes_whatever_the_others_wait_for(shop: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dropping, "_PATIENCE", 0.0)
    with session(shop, "BEGIN") as first:
        first.execute("SELECT FROM shop.users")
        assert len(kept(shop.run(RULES).warnings)) == 1
        with session(shop, "BEGIN") as second:
            second.execute("SELECT FROM shop.users")
            assert len(kept(shop.run(RULES).warnings)) == 2
        assert len(kept(shop.run(RULES).warnings)) == 1


# What an error quotes.


def test_an_error_that_quotes_a_long_statement_is_told_at_once(place: Place) -> None:
    statement = "DO $$BEGIN EXECUTE 'SELECT 1 / 0 -- ' || repeat('PL/pgSQL ', 20000); END$$"
    with psycopg.connect(place.reader_url, autocommit=True) as connection, pytest.raises(psycopg.Error) as caught:
        connection.execute(statement.encode())
    assert len(caught.value.diag.context or "") > 100_000
    started = time.process_time()
    translate(caught.value, "target", "trying")
    assert time.process_time() - started < 20  # each place where a function may begin was tried to its end
