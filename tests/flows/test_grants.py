"""`python -m flows.grants`: the rights with which a role can run an app, and not one more."""

from collections.abc import Iterator
from dataclasses import replace

import psycopg
import pytest
from psycopg import sql

from flows import grants
from multischema import pipeline
from multischema.errors import CheckError
from multischema.postgres.database import Database
from multischema.stages.run import new_run_id
from multischema.statements import reading
from tests.conftest import KEY, PASSWORD, PROGRAMS, Place

ORIGIN = """
CREATE TYPE mood AS ENUM ('calm', 'odd');
CREATE TYPE address AS (street text, number integer);
CREATE TABLE users (
    id serial PRIMARY KEY, name text NOT NULL, nick text, born date, mood mood NOT NULL, home address, city text,
    loud text GENERATED ALWAYS AS (upper(name)) STORED, shire text GENERATED ALWAYS AS (upper(city)) STORED
);
INSERT INTO users (name, nick, born, mood, home, city) VALUES ('Marie', 'M', '1980-02-03', 'odd', ('a', 1), 'Lyon');
CREATE TABLE pairs (one uuid, two integer, note text NOT NULL, count integer, PRIMARY KEY (one, two));
INSERT INTO pairs VALUES ('8d1e1b0c-0000-4000-8000-000000000000', 2, 'Marie', 3);
CREATE TABLE notes (first text NOT NULL, second text NOT NULL);
INSERT INTO notes VALUES ('Marie', 'Paul');
CREATE TABLE "Odd ""name" (id integer PRIMARY KEY, name text NOT NULL);
CREATE TABLE visits (id integer NOT NULL, who text NOT NULL) PARTITION BY RANGE (id);
CREATE SCHEMA parts;
CREATE TABLE parts.visits_1 PARTITION OF visits DEFAULT;
INSERT INTO visits VALUES (1, 'Marie');
CREATE TABLE versions (id integer PRIMARY KEY, object text);
"""
RULES = """
tables:
  - table_name: users
    anonymized_column_names: [name, nick, born, mood, home]
    non_anonymized_column_names: [city, shire, loud]
  - {table_name: pairs, anonymized_column_names: [note], non_anonymized_column_names: [count]}
  - {table_name: notes, anonymized_column_names: [first, second]}
  - {table_name: 'Odd "name', anonymized_column_names: [name]}
  - {table_name: visits, anonymized_column_names: [who], non_anonymized_column_names: [id]}
  - {table_name: versions, truncated: true}
"""


@pytest.fixture
def origin(place: Place, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    """Give the origin as a role sees it that may do nothing, in a database where PUBLIC may do nothing either."""
    monkeypatch.chdir(place.path)
    monkeypatch.setenv("PATH", str(PROGRAMS["18"]), prepend=":")
    for name, value in {
        "APP": "invented-shop",
        "ORIGIN_DB_URL": place.origin_url,
        "CONFIG_PATH": place.rules(RULES),
    }.items():
        monkeypatch.setenv(name, value)
    role = sql.Identifier(f"least_{place.number}")
    place.in_origin(ORIGIN)
    with psycopg.connect(place.origin_server.url(place.name), autocommit=True) as connection:
        for statement in (
            sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(role, sql.Literal(PASSWORD)),
            sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(sql.Identifier(place.name)),
            sql.SQL("REVOKE ALL ON SCHEMA public FROM PUBLIC"),
            sql.SQL("GRANT USAGE ON SCHEMA public TO {}").format(sql.Identifier(place.app)),
        ):
            connection.execute(statement)
    yield Database("origin", "shop", place.origin_server.url(place.name, f"least_{place.number}", PASSWORD))
    with psycopg.connect(place.origin_server.url(place.name), autocommit=True) as connection:
        connection.execute(sql.SQL("DROP OWNED BY {}").format(role))
        connection.execute(sql.SQL("DROP ROLE {}").format(role))


def printed(place: Place, capsys: pytest.CaptureFixture[str], *arguments: str) -> list[str]:
    """Return the statements that the command prints for the role."""
    assert grants.main(["--role", f"least_{place.number}", *arguments]) == 0
    return capsys.readouterr().out.splitlines()


def test_a_role_with_what_the_command_prints_runs_the_app_in_stream_mode_and_reads_nothing_else(
    place: Place, origin: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    statements = printed(place, capsys)
    to = f'TO "least_{place.number}";'
    assert statements == [
        f"-- {place.in_its_origin}",
        f'GRANT CONNECT ON DATABASE "{place.name}" {to}',
        f'GRANT USAGE ON SCHEMA "public" {to}',
        f'GRANT SELECT ("id", "xmin", "ctid") ON TABLE "public"."Odd ""name" {to}',
        f'GRANT SELECT ("first", "xmin", "ctid") ON TABLE "public"."notes" {to}',
        f'GRANT SELECT ("one", "two", "count", "xmin", "ctid") ON TABLE "public"."pairs" {to}',
        f'GRANT SELECT ("id", "nick", "city", "shire", "xmin", "ctid") ON TABLE "public"."users" {to}',
        f'GRANT SELECT ("id", "xmin", "ctid") ON TABLE "public"."visits" {to}',
    ]
    place.in_origin("\n".join(statements), superuser=True)
    pipeline.run(place.job(), place.rules(RULES), origin, place.databases()[1])
    assert place.read("SELECT id, name, nick, born, mood, home, city FROM shop.users") == [
        (1, "[valeur unique anonymisée 1]", "[valeur unique anonymisée 1]", None, "calm", None, "Lyon")
    ]
    assert place.read("SELECT count(*) FROM shop.visits") == [(1,)]
    place.in_origin("CREATE TABLE elsewhere (); DROP TABLE elsewhere")
    job, rules, target = place.job(refresh="auto"), place.rules(RULES), place.databases()[1]
    assert pipeline.run(job, rules, origin, target).choice.line() == "nothing changed in 4 rows of 6 tables"
    place.in_origin(f'REVOKE SELECT (xmin) ON users FROM "least_{place.number}"', superuser=True)
    assert pipeline.run(replace(job, id=new_run_id()), rules, origin, target).choice.line() == (
        "full: the origin's role may not read xmin of users: grant it with `python -m flows.rules rights`"
    )
    with psycopg.connect(origin.url, autocommit=True) as connection:
        for column in ("name", "born", "mood", "home", "loud"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(sql.SQL("SELECT {} FROM users").format(sql.Identifier(column)))


@pytest.mark.slow
def test_without_any_one_of_these_rights_the_origin_refuses_and_the_check_says_which(
    place: Place, origin: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    statements = printed(place, capsys)
    place.in_origin("\n".join(statements), superuser=True)
    job, target = place.job(), place.databases()[1]
    with pipeline.open_run(job, origin, target) as run:
        plan = pipeline.check(run, RULES.encode(), lock=False)
    for table in plan.copied:
        for column in table.read:
            change = [
                sql.SQL("{} SELECT ({}) ON {} {} {}")
                .format(
                    sql.SQL(verb),
                    sql.Identifier(column),
                    sql.Identifier("public", table.name),
                    sql.SQL(to),
                    sql.Identifier(f"least_{place.number}"),
                )
                .as_string()
                for verb, to in (("REVOKE", "FROM"), ("GRANT", "TO"))
            ]
            place.in_origin(change[0], superuser=True)
            with psycopg.connect(origin.url, autocommit=True) as connection, connection.cursor() as cursor:
                with (
                    pytest.raises(psycopg.errors.InsufficientPrivilege),
                    cursor.copy(reading.copy_out(table, "public")) as copy,
                ):
                    copy.read()
            with pytest.raises(CheckError) as refused:
                pipeline.run(job, place.rules(RULES), origin, target)
            (problem,) = refused.value.problems
            place.in_origin(problem.partition(f"; {place.in_its_origin}: ")[2], superuser=True)
            pipeline.run(place.job(), place.rules(RULES), origin, target)


REFINED = """
tables:
  - table_name: users
    anonymized_column_names: [name, nick, born, mood, home]
    non_anonymized_column_names: [city, shire, loud]
    masks:
      born: {period: year}
      name: {only_when: {city: [Lyon, "Saint-\\nÉtienne"]}}
      nick: {pseudonym: person, only_when: {shire: [LYON]}}
  - table_name: pairs
    anonymized_column_names: [one, note]
    non_anonymized_column_names: [count]
    masks:
      one: {pseudonym: pair}
  - {table_name: notes, anonymized_column_names: [first, second]}
  - {table_name: 'Odd "name', anonymized_column_names: [name]}
  - {table_name: visits, anonymized_column_names: [who], non_anonymized_column_names: [id]}
  - {table_name: versions, truncated: true}
"""


def test_the_command_says_for_which_masks_a_masked_column_is_readable_and_a_role_that_may_no_more_runs_the_app(
    place: Place, origin: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    rules = place.rules(REFINED)
    statements = printed(place, capsys, "--rules", rules)
    assert statements[:3] == [
        f"-- {place.in_its_origin}",
        "-- read for their masks: pairs.one (pseudonym: pair)",
        r"-- read for their masks: users.name (only when city is Lyon, Saint-\nÉtienne), "
        "users.nick (pseudonym: person; only when shire is LYON), users.born (period: year)",
    ]
    to = f'TO "least_{place.number}";'
    assert (
        f'GRANT SELECT ("id", "name", "nick", "born", "city", "shire", "xmin", "ctid") ON TABLE "public"."users" {to}'
        in (statements)
    )
    place.in_origin("\n".join(statements), superuser=True)
    pipeline.run(place.job(), rules, origin, place.databases()[1], lambda: KEY)
    assert place.read("SELECT name, born::text, mood FROM shop.users") == [
        ("[valeur unique anonymisée 1]", "1980-01-01", "calm")
    ]
    assert not any("masks" in line for line in printed(place, capsys, "--rules", rules, "--mode", "dump"))


@pytest.mark.slow
def test_a_role_with_what_the_command_prints_for_mode_dump_can_dump(
    place: Place, origin: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    statements = printed(place, capsys, "--mode", "dump")
    assert f'GRANT USAGE ON SCHEMA "parts" TO "least_{place.number}";' in statements
    assert f'GRANT SELECT ON TABLE "parts"."visits_1" TO "least_{place.number}";' in statements
    place.in_origin("\n".join(statements), superuser=True)
    pipeline.run(place.job(mode="dump"), place.rules(RULES), origin, place.databases()[1])
    assert place.read("SELECT name FROM shop.users") == [("[valeur unique anonymisée 1]",)]


@pytest.mark.parametrize(
    ("arguments", "changed", "status", "message"),
    [
        ([], {"ORIGIN_DB_URL": ""}, 2, "missing variable ORIGIN_DB_URL: want the URL of the origin invented-shop"),
        ([], {"CONFIG_PATH": ""}, 2, "unknown app invented-shop: give it --rules, CONFIG_PATH or an entry in prefect.yaml"),
        (
            ["--origin-schema", "none"],
            {},
            1,
            "origin invented-shop: schema none does not exist in database {database}; name another origin schema",
        ),
        (["--rules", "none.yml"], {}, 1, "rules: none.yml: no such file or directory; want a readable file or an https URL"),
    ],
)
def test_what_is_missing_is_said(
    arguments: list[str],
    changed: dict[str, str],
    status: int,
    message: str,
    place: Place,
    origin: Database,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name, value in changed.items():
        monkeypatch.setenv(name, value)
    assert grants.main(arguments) == status
    assert capsys.readouterr().err == f"error: {message.format(database=place.name)}\n"


def test_rules_with_gaps_have_no_least_rights(place: Place, origin: Database, capsys: pytest.CaptureFixture[str]) -> None:
    gaps = place.rules(RULES.replace("[first, second]", "[first]"))
    assert grants.main(["--rules", gaps]) == 1
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "origin invented-shop: missing rule for column notes.second" in shown.err


def test_a_key_that_refers_to_a_masked_column_is_not_among_the_rights(
    place: Place, origin: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    place.in_origin(
        "ALTER TABLE notes ADD UNIQUE (first); CREATE TABLE quotes (id serial, note text NOT NULL REFERENCES notes (first))"
    )
    rules = place.rules(f"{RULES}  - {{table_name: quotes, non_anonymized_column_names: [id]}}\n")
    assert f'GRANT SELECT ("id", "xmin", "ctid") ON TABLE "public"."quotes" TO "least_{place.number}";' in printed(
        place, capsys, "--rules", rules
    )
