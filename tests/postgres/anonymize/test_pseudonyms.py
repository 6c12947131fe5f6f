"""Pseudonyms as servers compute them: equal to those of a HMAC library, the same in every app, and nothing else passes."""

import hmac
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any
from uuid import UUID

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from psycopg import sql

from multischema.catalog.flat import Flat, as_text
from multischema.errors import VerifyError
from multischema.masks import pseudonyms
from multischema.masks.mask import Masked
from multischema.masks.pseudonyms import Pseudonym, pseudonym
from multischema.postgres.connecting import connect
from multischema.postgres.database import Database
from tests.conftest import KEY, PROGRAMS, Place

DOMAINS = ("person_email", "person_phone", "nir")
TEXTS = st.one_of(
    st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])),
    st.text("+0123456789 ().-^tel"),
    st.text("aAéÉ@. \t\n\r\f\v\u00a0\\'\"%"),
)
RULES = """
tables:
  - table_name: users
    anonymized_column_names: [{columns}]
    masks: {{{masks}}}
"""


def rules(domain: str = "person_email", *columns: str) -> str:
    """Return rules that make pseudonyms of these columns."""
    columns = columns or ("email",)
    masks = ", ".join(f"{column}: {{pseudonym: {domain}}}" for column in columns)
    return RULES.format(columns=", ".join(columns), masks=masks)


@pytest.fixture(scope="module", params=[name for name in PROGRAMS if name != "16"])
def session(request: pytest.FixtureRequest, start_server: Callable[..., Any]) -> Iterator[psycopg.Connection[Any]]:
    """Return a session with keys, as a run has it."""
    secrets = tuple(pseudonyms.settings(KEY, DOMAINS).items())
    origin = Database("origin", "shop", start_server(request.param).url(), secrets=secrets)
    with connect(origin, "test") as connection:
        yield connection


@given(TEXTS)
@settings(max_examples=300, deadline=None)
def test_a_server_computes_what_a_library_computes(session: psycopg.Connection[Any], value: str) -> None:
    (found,) = session.execute(pseudonyms.tested(DOMAINS, value)).fetchall()
    assert found["pseudonyms"] == [pseudonym(KEY, domain, value) for domain in DOMAINS]


@pytest.mark.parametrize("value", ["é" * 490 + "0612345678", "é" * 491 + "0612345678", " A" + "é" * 499, " " * 501])
def test_a_server_takes_a_long_text_as_it_is(session: psycopg.Connection[Any], value: str) -> None:
    (found,) = session.execute(pseudonyms.tested(DOMAINS, value)).fetchall()
    assert found["pseudonyms"] == [pseudonym(KEY, domain, value) for domain in DOMAINS]


def test_a_text_that_a_user_makes_as_long_as_he_likes_holds_up_no_run(session: psycopg.Connection[Any]) -> None:
    column = Masked(sql.Identifier("v"), Flat("text", "text", "none", ""), "text", False, sql.SQL("''"), True)
    made = sql.SQL("SELECT {} FROM concat(repeat('a', 200000), repeat('1', 200000)) AS v")
    session.execute("SET statement_timeout = '20s'")  # minutes, if every digit were looked for among all letters
    for domain in DOMAINS:
        (found,) = session.execute(made.format(sql.SQL("{} AS found").format(Pseudonym(domain).expression(column))))
        assert found["found"] == pseudonym(KEY, domain, "a" * 200000 + "1" * 200000)


ORIGIN = """
CREATE COLLATION sloppy (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
CREATE DOMAIN mail AS varchar(60);
CREATE TABLE users (
    id integer PRIMARY KEY, a_text text, a_varchar varchar(40), a_char char(20), a_name name, a_mail mail,
    a_sloppy text COLLATE sloppy, a_uuid uuid, a_bigint bigint, a_small smallint NOT NULL, never_null text NOT NULL
);
INSERT INTO users VALUES (1, ' Marie@Example.org', 'Marie@Example.org ', 'marie@example.org', 'marie@example.org',
    'marie@example.org', 'MARIE@example.org', '0188c0de-5a1f-7000-8000-00000000abcd', 7, 7, 'marie@example.org');
INSERT INTO users VALUES (2, '', ' ', '  ', '', E'\\t', E'\\n', NULL, NULL, 0, ' ');
"""
COLUMNS = ("a_text", "a_varchar", "a_char", "a_name", "a_mail", "a_sloppy", "a_uuid", "a_bigint", "a_small", "never_null")


@pytest.mark.parametrize("mode", ["stream", pytest.param("dump", marks=pytest.mark.slow)])
@pytest.mark.usefixtures("private")
def test_every_type_that_fits_has_its_pseudonym_and_what_is_empty_becomes_null_where_it_may(
    mode: str, make_place: Callable[..., Place]
) -> None:
    system = next((name for name in PROGRAMS if name.startswith("system")), None)
    place = make_place(system or "16", "18")
    place.in_origin(ORIGIN if system else ORIGIN.replace("CREATE COLLATION", "-- ").replace("COLLATE sloppy", ""))
    place.run(rules("person_email", *COLUMNS), mode=mode)
    marie, uuid = "marie@example.org", "0188c0de-5a1f-7000-8000-00000000abcd"
    mail, shop, seven, nobody, zero = (pseudonym(KEY, "person_email", value) for value in (marie, uuid, "7", "", "0"))
    assert place.read(f"SELECT {', '.join(COLUMNS)} FROM shop.users ORDER BY id") == [
        (mail, mail, mail, mail, mail, mail, UUID(shop.removeprefix("p_")), seven, seven, mail),
        (None, None, None, None, None, None, None, None, zero, nobody),
    ]
    types = "SELECT DISTINCT format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = 'shop.users'::regclass"
    assert place.read(f"{types} AND attnum > 1 ORDER BY 1") == [("text",), ("uuid",)]


def test_citext_has_its_pseudonym(make_place: Callable[..., Place]) -> None:
    system = next((name for name in PROGRAMS if name.startswith("system")), None)
    if not system:
        pytest.skip("the embedded servers bring no citext")
    place = make_place(system, "18")
    place.in_origin("CREATE EXTENSION citext", superuser=True)
    place.in_origin("CREATE TABLE users (id int PRIMARY KEY, email citext); INSERT INTO users VALUES (1, 'Marie@A.fr')")
    place.run(rules())
    assert place.read("SELECT email FROM shop.users") == [(pseudonym(KEY, "person_email", "marie@a.fr"),)]


@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII", "EUC_JP"])
def test_an_origin_of_another_encoding_has_the_same_pseudonyms(encoding: str, place: Place) -> None:
    value = "日本" if encoding == "EUC_JP" else "élodie@é.fr"
    place.recode_origin(encoding)
    with psycopg.connect(place.origin_url, autocommit=True, client_encoding="UTF8") as connection:
        connection.execute(f"CREATE TABLE users (id int PRIMARY KEY, email text); INSERT INTO users VALUES (1, '{value}')")
    place.run(rules())
    assert place.read("SELECT email FROM shop.users") == [(pseudonym(KEY, "person_email", value),)]


def test_bytes_that_are_no_utf8_are_hashed_as_they_are(place: Place) -> None:
    place.recode_origin("SQL_ASCII")
    with psycopg.connect(place.origin_url, autocommit=True, client_encoding="SQL_ASCII") as connection:
        connection.execute(b"CREATE TABLE users (id int PRIMARY KEY, email text); INSERT INTO users VALUES (1, 'Elo\xefse')")
    place.run(rules())
    ((found,),) = place.read("SELECT email FROM shop.users")
    assert found.startswith("p_")
    key = pseudonyms.domain_key(KEY, "person_email")
    assert found == "p_" + hmac.new(key, b"elo\xefse", "sha256").hexdigest()[:32]


def test_the_keys_are_decoded_once_for_a_statement(session: psycopg.Connection[Any]) -> None:
    column = Masked(sql.Identifier("v"), Flat("text", "text", "none", ""), "text", False, sql.SQL("''"), True)
    query = sql.SQL("EXPLAIN VERBOSE SELECT {} FROM generate_series(1, 9) AS g, concat(g) AS v")
    rows = session.execute(query.format(Pseudonym("nir").expression(column))).fetchall()
    plan = "\n".join(row["QUERY PLAN"] for row in rows)
    assert plan.count("InitPlan") >= 3
    assert "SubPlan" not in plan
    assert plan.count("current_setting") == 2  # in the InitPlans, and nowhere else


USERS = "CREATE TABLE users (id int PRIMARY KEY, email text, other text); "


def test_one_person_joins_in_two_apps_that_name_one_domain_and_in_no_other(place: Place) -> None:
    place.in_origin(USERS + "INSERT INTO users VALUES (1, 'Marie@A.fr', 'Marie@A.fr'), (2, 'Jo@a.fr', 'Jo@a.fr')")
    text = """
tables:
  - table_name: users
    anonymized_column_names: [email, other]
    masks: {email: {pseudonym: person_email}, other: {pseudonym: agent_email}}
"""
    place.run(text)
    place.in_origin("UPDATE users SET email = ' marie@a.FR ', other = 'marie@a.fr', id = 5 WHERE id = 1")
    place.run(text, app="second", schema="second")
    place.in_target(f"GRANT USAGE ON SCHEMA second TO {place.reader}")
    joined = "SELECT a.id, b.id FROM shop.users a JOIN second.users b ON {} ORDER BY 1"
    assert place.read(joined.format("a.email = b.email")) == [(1, 5), (2, 2)]
    assert place.read(joined.format("a.email = b.other")) == []
    assert place.read("SELECT id FROM shop.users WHERE email = other") == []


@pytest.mark.parametrize("type_", ["text", "bigint"])
def test_a_broken_pseudonym_is_refused_by_verify(type_: str, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    value = {"text": "'marie@a.fr'", "bigint": "7"}[type_]
    place.in_origin(f"CREATE TABLE users (id int PRIMARY KEY, email {type_}); INSERT INTO users VALUES (1, {value})")
    monkeypatch.setattr(Pseudonym, "expression", lambda _, of: as_text(of.value))
    with pytest.raises(VerifyError) as refused:
        place.run(rules())
    assert "users.email" in str(refused.value)
    assert "marie" not in str(refused.value)
    assert place.schemas() == set()


def test_a_database_shows_no_secret_and_differs_by_it() -> None:
    plain = Database("origin", "shop", "postgresql://me@host/db?options=-c%20geqo%3Doff")
    keyed = replace(plain, secrets=(("etl.ipad_a", "36"),))
    assert keyed != plain
    assert "36" not in repr(keyed)
    assert keyed.environment() == plain.environment()
    assert keyed.options() == "-c etl.ipad_a=36 -c geqo=off -c max_parallel_workers_per_gather=0"
    assert plain.options() is None


def test_no_parallel_worker_gets_the_keys_through_a_file(start_server: Callable[..., Any]) -> None:
    eager = dict.fromkeys(("parallel_setup_cost", "parallel_tuple_cost", "min_parallel_table_scan_size"), "0")
    server = start_server("18", "eager", eager)
    with psycopg.connect(server.url(), autocommit=True) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS people AS SELECT generate_series(1, 10000) AS n")
    for secrets in ((), tuple(pseudonyms.settings(KEY, DOMAINS).items())):
        with connect(Database("origin", "shop", server.url(), secrets=secrets), "test") as session:
            rows = session.execute("EXPLAIN SELECT n % 7 FROM public.people").fetchall()
        assert ("Gather" in str(rows)) is not bool(secrets)
