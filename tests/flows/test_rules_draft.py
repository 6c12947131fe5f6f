"""`python -m flows.rules_draft`: a first draft of an app's rules, complete for its database, texts masked."""

from collections.abc import Callable

import pytest
import yaml

from flows import command_line, grants, rules_draft
from flows.etl import etl
from tests.conftest import PASSWORD, Place

ORIGIN = """
CREATE TYPE status AS ENUM ('open', 'closed');
CREATE DOMAIN mail AS text;
CREATE TABLE users (
    id serial PRIMARY KEY, uuid uuid UNIQUE, name text NOT NULL, mail mail, phone varchar(20), tags text[], extra jsonb,
    born date, birth_year integer, status status, created_at timestamptz, is_admin boolean, last_sign_in_ip inet,
    commentable_type text, salary numeric(10, 2), photo bytea, "Nom d'usage" char(10)
);
CREATE TABLE visits (user_id integer REFERENCES users, number integer, note text, PRIMARY KEY (user_id, number));
CREATE TABLE "Étrange table" ("select" text, "yes" text, "a: b" text, "#" integer);
CREATE TABLE schema_migrations (version varchar PRIMARY KEY);
CREATE TABLE events (at timestamptz NOT NULL, what text) PARTITION BY RANGE (at);
CREATE TABLE events_2026 PARTITION OF events FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
CREATE VIEW admins AS SELECT * FROM users WHERE is_admin;
INSERT INTO users (name, mail) VALUES ('Marie', 'marie@example.org');
"""
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(place: Place, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Return a function that runs a command here, with the variables of the app `shop`."""
    monkeypatch.chdir(place.path)
    monkeypatch.setattr("blocks.urls._given", {})
    variables = {
        "APP": "shop",
        "ORIGIN_DB_URL": place.origin_url,
        "ETL_DB_URL": place.target_url,
        "METABASE_USERNAME": place.reader,
    }

    def run(main: Callable[..., int], *arguments: object, **changed: str) -> tuple[int, str, str]:
        for name, value in {**variables, **changed}.items():
            monkeypatch.setenv(name, value)
        status = main(*arguments)
        return status, *capsys.readouterr()

    return run


def test_the_draft_of_an_origin_passes_the_check_unchanged(place: Place, run: Run) -> None:
    place.in_origin(ORIGIN)
    status, draft, err = run(rules_draft.main, [])
    assert (status, err) == (0, "")
    status, out, err = run(command_line.main, etl, ["--check", "--rules", place.rules(draft)])
    assert (status, err) == (0, "")
    assert "checked shop: 4 tables to copy, 1 truncated" in out


def test_the_draft_masks_texts_and_what_its_name_makes_personal(place: Place, run: Run) -> None:
    place.in_origin(ORIGIN)
    _, draft, _ = run(rules_draft.main, [])
    tables = {table["table_name"]: table for table in yaml.safe_load(draft)["tables"]}
    assert set(tables) == {"users", "visits", "Étrange table", "schema_migrations", "events"}
    assert set(tables["users"]["anonymized_column_names"]) == {
        "name",
        "mail",
        "phone",
        "tags",
        "extra",
        "born",
        "birth_year",
        "last_sign_in_ip",
        "salary",
        "photo",
        "uuid",
        "Nom d'usage",
    }
    assert set(tables["users"]["non_anonymized_column_names"]) == {"status", "created_at", "is_admin", "commentable_type"}
    assert tables["visits"]["anonymized_column_names"] == ["note"]
    assert set(tables["Étrange table"]["anonymized_column_names"]) == {"select", "yes", "a: b"}
    assert tables["schema_migrations"] == {"table_name": "schema_migrations", "truncated": True}
    assert "Marie" not in draft


def test_the_draft_can_be_published_with_and_no_text_of_a_row_comes_through(place: Place, run: Run) -> None:
    place.in_origin(ORIGIN)
    _, draft, _ = run(rules_draft.main, [])
    place.run(draft)
    assert place.read("SELECT name, mail FROM shop.users") == [("[valeur unique anonymisée 1]",) * 2]


@pytest.mark.parametrize(
    ("arguments", "changed", "status", "message"),
    [
        ([], {"APP": ""}, 2, "error: no app: want --app, or APP in the environment\n"),
        ([], {"ORIGIN_DB_URL": ""}, 2, "error: missing variable ORIGIN_DB_URL: want the URL of the origin shop\n"),
        (["--app", "rdvi"], {}, 2, "error: missing variable RDV_INSERTION_DB_URL: want the URL of the origin rdvi\n"),
        (["--origin-schema", "none"], {}, 2, "error: origin shop: schema none holds no table; want --origin-schema\n"),
    ],
)
def test_without_a_database_to_draft_from_it_says_what_is_missing(
    arguments: list[str], changed: dict[str, str], status: int, message: str, place: Place, run: Run
) -> None:
    assert run(rules_draft.main, arguments, **changed) == (status, "", message)


def test_a_wrong_password_is_one_line_without_it(place: Place, run: Run) -> None:
    url = place.origin_server.url(place.name, place.etl, PASSWORD)
    status, out, err = run(rules_draft.main, [], ORIGIN_DB_URL=url)
    assert (status, out) == (1, "")
    assert err.startswith("error: origin shop: can't connect: ")
    assert "password authentication failed" in err
    assert len(err.splitlines()) == 1
    assert PASSWORD not in err


def test_the_other_origin_is_not_drafted_from_for_an_app_that_it_does_not_belong_to(place: Place, run: Run) -> None:
    place.in_origin(ORIGIN)
    status, out, err = run(rules_draft.main, ["--app", "garage"])
    assert (status, out) == (2, "")
    assert err == "error: ORIGIN_DB_URL belongs to APP=shop, not to garage\n"


def test_all_commands_take_entries_with_a_name_and_nothing_else(place: Place, run: Run) -> None:
    place.in_origin(
        ORIGIN + "CREATE TABLE roles (user_id integer REFERENCES users, visit integer, PRIMARY KEY (user_id, visit));"
    )
    _, draft, _ = run(rules_draft.main, [])
    entry = "  - table_name: roles\n    anonymized_column_names:\n    non_anonymized_column_names:\n"
    assert entry in draft
    rules = place.rules(draft.replace(entry, "  - table_name: roles\n"))
    status, granted, err = run(grants.main, ["--rules", rules])
    assert (status, err) == (0, "")
    assert 'GRANT SELECT ("user_id", "visit") ON TABLE "public"."roles"' in granted
    status, out, err = run(command_line.main, etl, ["--check", "--rules", rules])
    assert (status, err) == (0, "")
    assert "checked shop: 5 tables to copy" in out
    status, _, err = run(command_line.main, etl, ["--check", "--rules", place.rules("tables: [{table_name: users}]")])
    assert status == 1
    assert "missing rule for column users.name" in err
    # what the message has the user paste is complete, and decides nothing about keys
    snippet = "tables:\n" + err.split("\ntables:\n", 1)[1]
    status, out, err = run(command_line.main, etl, ["--check", "--rules", place.rules(snippet)])
    assert (status, err) == (0, "")
