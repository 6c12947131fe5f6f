"""Origins that lie: a superuser there replaced what says of what a table is made. Nothing of it runs in the target.

The functions of pg_catalog are replaced, as CREATE OR REPLACE lets a superuser do; a server that answers in the origin's
place could say the same. The target has another app's schema, with a function that tells when it is called.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

import psycopg
import pytest

from multischema import pipeline
from multischema.errors import EtlError
from multischema.postgres.connecting import connect
from tests.conftest import Place

ORIGIN = """
CREATE TYPE mood AS ENUM ('calm', 'wild');
CREATE TABLE users (
    id serial PRIMARY KEY, email text, city varchar(20) COLLATE "C", age int NOT NULL DEFAULT 7,
    loud text GENERATED ALWAYS AS (upper(city)) STORED, mood mood NOT NULL
);
COMMENT ON TABLE users IS 'people';
CREATE INDEX by_city ON users (lower(city)) WHERE age > 0;
INSERT INTO users (email, city, mood) VALUES ('marie@exemple.org', 'Lyon', 'calm');
"""
RULES = """
tables:
  - table_name: users
    anonymized_column_names: [email, age]
    non_anonymized_column_names: [city, loud, mood]
"""
OTHER = """
CREATE SCHEMA otherapp;
CREATE TABLE otherapp.users (id int);
CREATE TABLE otherapp.calls (by text);
-- what is immutable may write no row, and call what may
CREATE FUNCTION otherapp.note() RETURNS void LANGUAGE sql AS 'INSERT INTO otherapp.calls VALUES (current_user)';
CREATE FUNCTION otherapp.evil(text) RETURNS text IMMUTABLE LANGUAGE plpgsql AS $$
BEGIN
    PERFORM otherapp.note();
    RETURN $1;
END $$;
CREATE FUNCTION otherapp.evil(varchar) RETURNS text IMMUTABLE LANGUAGE sql AS 'SELECT otherapp.evil($1::text)';
CREATE FUNCTION otherapp.evil_of(text, text) RETURNS boolean IMMUTABLE LANGUAGE sql AS 'SELECT otherapp.evil($1) = $2';
CREATE OPERATOR otherapp.=== (LEFTARG = text, RIGHTARG = text, FUNCTION = otherapp.evil_of);
CREATE DOMAIN otherapp.odd AS text CHECK (otherapp.evil(VALUE) IS NOT NULL);
"""
SECOND = "; DROP TABLE otherapp.users; CREATE TABLE otherapp.injected AS SELECT current_user"
INDEX = "CREATE INDEX by_city ON users USING btree "
# the functions that will lie
INDEXDEF = "pg_get_indexdef(oid, int4, bool)"
EXPR = "pg_get_expr(pg_node_tree, oid)"
FORMAT_TYPE = "format_type(oid, int4)"
COMMENT = "col_description(oid, int4)"
OBJECT = "obj_description(oid, name)"


@pytest.fixture
def shop(make_place: Callable[..., Place]) -> Place:
    """Return a place whose target has another app's schema; its origin is a server of its own, which will lie."""
    place = make_place("16", "18", own="lying")
    place.in_origin(ORIGIN)
    place.in_target(OTHER)
    return place


def lie(place: Place, function: str, when: str, text: str) -> None:
    """Have a function of the origin's pg_catalog say a text `when` something is true of its arguments.

    The original gets another name: for its number the server runs what it was built with, whatever is put there.
    """
    name, _, types = function.partition("(")
    arguments = ", ".join(f"${number}" for number in range(1, types.count(",") + 2))
    place.in_origin(
        f"SET allow_system_table_mods = on; ALTER FUNCTION pg_catalog.{function} RENAME TO honest_{name};"
        f"CREATE FUNCTION pg_catalog.{function} RETURNS text STABLE LANGUAGE sql AS $lie$ "
        f"SELECT CASE WHEN {when} THEN $said${text}$said$ ELSE pg_catalog.honest_{name}({arguments}) END $lie$",
        superuser=True,
    )


def assert_unharmed(place: Place) -> None:
    """Assert that nothing but a run's own statements ran in the target."""
    assert place.read("SELECT count(*) FROM otherapp.users", as_="superuser") == [(0,)]
    assert place.read("SELECT to_regclass('otherapp.injected')::text", as_="superuser") == [(None,)]
    assert place.read("SELECT by FROM otherapp.calls", as_="superuser") == []


def warned(place: Place, **changes: str) -> str:
    """Run and return the lines of the report, or those of the error that the run ended with."""
    try:
        published = place.run(RULES, **changes)
    except EtlError as error:
        return str(error)
    return "\n".join([*published.plan.warnings, *published.indexed.warnings, *published.warnings])


BY_CITY = "$1 = (SELECT oid FROM pg_class WHERE relname = 'by_city')"
PKEY = "$1 = (SELECT oid FROM pg_class WHERE relname = 'users_pkey')"
DEFINITIONS = {
    "a second statement": f"(id){SECOND}",
    "a second statement behind a constant": f"(id) WHERE city = 'a\\'{SECOND} --'",
    "a second statement in a dollar quote": f"(id) WHERE city = $$'$${SECOND} --'",
    "a function of another schema": "(otherapp.evil(city))",
    "a function of another schema with a constant": "(id) WHERE otherapp.evil('x'::text) = 'x'",
    "a function behind a comment": "(id) /*'*/ WHERE otherapp.evil('x'::text) /*'*/ = 'x'",
    "a function in quotes": '("otherapp"."evil"(city))',
    "a function behind spaces": "(otherapp . evil(city))",
    "an operator": "(id) WHERE city OPERATOR(otherapp.===) 'x'::text",
    "a domain": "((city::otherapp.odd))",
    "a name with Unicode escapes": "(U&\"!006ftherapp\" UESCAPE '!'.evil(city))",
    "a text with an escape of its own": "(id) WHERE city = E'\\' OR otherapp.evil(city) = '\\' OR city = ''",
    "a constant that goes on": "(id) WHERE city = E'a'\n'\\' OR otherapp.evil(city) <> '' AND city <> ''",
    "another table": "(id)",
    "what is no index": "",
}


@pytest.mark.parametrize("what", DEFINITIONS)
def test_nothing_but_an_index_comes_of_the_definition_of_an_index(what: str, shop: Place) -> None:
    head = "CREATE INDEX by_city ON otherapp.users USING btree " if what == "another table" else INDEX
    lie(shop, INDEXDEF, BY_CITY, head + DEFINITIONS[what] if DEFINITIONS[what] else "DROP TABLE otherapp.users")
    said = warned(shop)
    assert_unharmed(shop)
    assert "index by_city of users left out" in said
    assert shop.read("SELECT city FROM shop.users") == [("Lyon",)]
    assert shop.read("SELECT count(*) FROM pg_index WHERE indrelid = 'otherapp.users'::regclass", as_="superuser") == [(0,)]


def test_nothing_but_a_key_comes_of_the_definition_of_a_key(shop: Place) -> None:
    lie(shop, INDEXDEF, PKEY, f"CREATE UNIQUE INDEX users_pkey ON users USING btree (id){SECOND}")
    said = warned(shop)
    assert_unharmed(shop)
    assert "primary key users_pkey of users left out" in said


GENERATED = {
    "a second statement": f"1) STORED){SECOND} --",
    "another column": "upper(city)) STORED, more text DEFAULT otherapp.evil('x') CHECK (true",
    "an end of the table": "upper(city)) STORED) INHERITS (otherapp.users) --",
    "a function of another schema": "otherapp.evil(city)",
    "a function with a constant": "otherapp.evil('x'::text)",
}


@pytest.mark.parametrize("what", GENERATED)
def test_nothing_but_a_value_comes_of_a_generated_expression_in_mode_dump(what: str, shop: Place, private: object) -> None:
    lie(shop, EXPR, "honest_pg_get_expr($1, $2) LIKE '%upper(%'", GENERATED[what])
    said = warned(shop, mode="dump")
    assert_unharmed(shop)
    assert "column users.loud is computed by an expression that" in said


def test_the_default_of_a_masked_column_is_a_constant_or_nothing(shop: Place) -> None:
    lie(shop, EXPR, "honest_pg_get_expr($1, $2) = '7'", f"'8'::integer{SECOND}")
    warned(shop)
    assert_unharmed(shop)
    assert shop.read("SELECT age FROM shop.users") == [(8,)]


TYPES = {
    "a second statement": f"text){SECOND} --",
    "another column": "text, more text DEFAULT otherapp.evil('x')",
    "a domain with a check": "otherapp.odd",
    "a domain in quotes": '"otherapp"."odd"',
}


@pytest.mark.parametrize("what", TYPES)
def test_nothing_but_a_type_comes_of_the_spelling_of_a_type(what: str, shop: Place) -> None:
    lie(shop, FORMAT_TYPE, "$1 = 'varchar'::regtype", TYPES[what])
    said = warned(shop)
    assert_unharmed(shop)
    assert "origin shop: column users.city is said to be of type" in said


@pytest.mark.parametrize("function", [COMMENT, OBJECT], ids=["of a column", "of a table"])
def test_a_comment_is_a_text_whatever_it_says(function: str, shop: Place) -> None:
    text = f"'{SECOND} --\\'{SECOND} --"
    lie(shop, function, "true", text)
    warned(shop)
    assert_unharmed(shop)
    kind = "col_description('shop.users'::regclass, 1)" if function == COMMENT else "obj_description('shop.users'::regclass)"
    assert shop.read(f"SELECT {kind}") == [(text,)]


def test_names_are_names_whatever_they_hold(shop: Place) -> None:
    odd = f'x" (id){SECOND} --'
    quoted = odd.replace('"', '""')
    shop.in_origin(f'CREATE INDEX "{quoted[:60]}" ON users (age); CREATE COLLATION "{quoted[:60]}" FROM "C"')
    shop.in_origin(f'ALTER TABLE users ADD nick text COLLATE "{quoted[:60]}"')
    shop.run(RULES.replace("mood]", "mood, nick]"))
    assert_unharmed(shop)


def test_a_quote_ident_that_does_not_quote_is_no_way_in(shop: Place) -> None:
    lie(shop, "quote_ident(text)", "true", f'x"{SECOND} --')
    warned(shop)
    assert_unharmed(shop)


def test_a_session_of_a_run_refuses_two_statements_before_it_runs_any(shop: Place) -> None:
    empty: Sequence[Any] = (None, [], {})
    with connect(shop.databases()[1], "test") as connection:
        for parameters in empty:
            with pytest.raises(psycopg.errors.SyntaxError, match="multiple commands"):
                connection.execute(b"CREATE TABLE otherapp.injected (id int); SELECT 1", parameters)
    assert_unharmed(shop)


@pytest.mark.parametrize("side", ["origin", "target"])
def test_a_server_elsewhere_that_is_not_verified_is_warned_of_on_its_side_alone(side: str, shop: Place) -> None:
    elsewhere = {"host": "db.example.org", "hostaddr": "127.0.0.1", "sslmode": "prefer"}
    origin, target = (
        replace(database, url=f"{database.url}?{urlencode(elsewhere)}".replace("127.0.0.1:", "db.example.org:"))
        if database.kind == side
        else database
        for database in shop.databases()
    )
    published = pipeline.run(shop.job(), shop.rules(RULES), origin, target)
    name = "origin shop" if side == "origin" else "target"
    (warning,) = published.plan.warnings
    assert warning.startswith(f"{name}: sslmode=prefer does not verify who answers at db.example.org: ")
