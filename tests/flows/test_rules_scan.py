"""`python -m flows.rules scan`: what the clear columns of an origin hold, for whoever keeps the rules."""

import json
import threading
from collections.abc import Callable

import pytest

from flows.rules import scan
from tests.conftest import PASSWORD, Place
from tests.support.proxy import proxied

ORIGIN = """
CREATE TABLE users (id integer PRIMARY KEY, name text, notes text, kind text);
INSERT INTO users SELECT n, 'Nom ' || n, 'to paul.durand' || n || '@orange.fr', 'Lyon' FROM generate_series(1, 300) AS n;
CREATE TABLE "Odd ""näme\n" ("the phone" text);
INSERT INTO "Odd ""näme\n" SELECT '06 12 34 56 ' || n FROM generate_series(10, 40) AS n;
CREATE TABLE versions (id integer PRIMARY KEY, object text);
"""
RULES = """
tables:
  - table_name: users
    anonymized_column_names: [name]
    non_anonymized_column_names:
      - notes
      - kind
  - table_name: "Odd \\"näme\\n"
    non_anonymized_column_names: ["the phone"]
    clear_because:
      "the phone": "numéro public\\n::error::"
  - table_name: versions
    truncated: true
"""
NOTES = (
    "error: rules: line 6: users.notes is published as it is, and most of it is e-mail addresses (300 of 300 values); "
    "anonymize it, or give the reason why it is clear in clear_because"
)
REASON = r"""reason for Odd "näme\n.the phone: numéro public\n::error::"""
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(place: Place, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Return a function that runs the command here, with the variables of an app that no prefect.yaml has: no target."""
    place.in_origin(ORIGIN)
    monkeypatch.chdir(place.path)
    for name in ("ETL_DB_URL", "METABASE_USERNAME"):
        monkeypatch.delenv(name, raising=False)
    variables = {"APP": "invented-shop", "ORIGIN_DB_URL": place.origin_url, "CONFIG_PATH": place.rules(RULES)}
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    def run(*arguments: str) -> tuple[int, str, str]:
        status = scan.main(arguments)
        return status, *capsys.readouterr()

    return run


def test_it_names_the_columns_that_hold_personal_data_and_the_reasons_of_the_others(run: Run) -> None:
    status, out, err = run()
    assert (status, err) == (1, "")
    found, headline, reason = out.splitlines()
    assert found == NOTES
    assert headline.startswith("4 clear columns of 2 tables, 331 rows, ")
    assert headline.endswith(" s: 1 error")
    assert reason == REASON


def test_github_gets_an_annotation_at_the_line_of_the_file(run: Run) -> None:
    status, out, _ = run("--format", "github")
    first, *others = out.splitlines()
    assert (status, others[1:]) == (1, [REASON])
    assert "line=6,title=scan-email::rules: line 6: users.notes is published as it is" in first


def test_json_has_all_counts_and_nothing_else_on_stdout(run: Run) -> None:
    status, out, err = run("--format", "json")
    said = json.loads(out)
    assert (status, err, said["ok"], said["app"]) == (1, "", False, "invented-shop")
    (finding,) = said["findings"]
    assert (finding["code"], finding["object"], finding["line"]) == ("scan-email", "users.notes", 6)
    counted = {table["table"]: table for table in said["tables"]}
    assert counted["users"]["rows"] == 300
    assert {"column": "notes", "values": 300, "hits": {"email": 300}} in counted["users"]["columns"]
    assert counted['Odd "näme\n']["columns"] == [{"column": "the phone", "values": 31, "hits": {"phone": 31}}]
    assert said["said"] == [REASON]


def test_a_table_alone_is_looked_into_and_one_that_is_accepted_is_good(run: Run) -> None:
    status, out, _ = run("--table", 'Odd "näme\n')
    assert (status, out.splitlines()[1:]) == (0, [REASON])
    status, out, _ = run("--table", "versions")
    assert (status, out) == (0, "nothing looked into: no column is clear\n")
    status, out, err = run("--table", "usres")
    assert (status, out) == (2, "")
    assert err.startswith("error: origin invented-shop: schema public holds no table usres (did you mean users?); want")


def test_a_table_is_named_with_its_schema_or_without(run: Run) -> None:
    status, out, _ = run("--table", "public.users")
    assert (status, out.splitlines()[0]) == (1, NOTES)


def test_a_sample_says_what_it_proves(place: Place, run: Run) -> None:
    place.in_origin("INSERT INTO users SELECT n, 'x', 'calm', 'Lyon' FROM generate_series(1000, 90000) AS n; ANALYZE users")
    status, out, _ = run("--rows", "3000", "--table", "users")
    assert "with 95 % confidence, in at most 1 of " in out
    status, out, _ = run("--whole", "--table", "users")
    assert "with 95 % confidence" not in out
    assert (status, out.splitlines()[1].startswith("3 clear columns of 1 table, 89,301 rows, ")) == (1, True)


def test_what_keeps_it_from_a_table_is_a_warning(place: Place, run: Run) -> None:
    place.in_origin("INSERT INTO users SELECT n, 'x', repeat('calm ', 100), 'Lyon' FROM generate_series(1000, 300000) AS n")
    status, out, _ = run("--whole", "--timeout", "1", "--table", "users")
    assert "warning: the scan did not finish table users: it takes longer than 1 s; " in out
    assert status == 0


def test_a_server_that_dies_meanwhile_fails_it(place: Place, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    with proxied(place.origin_server.port) as between:
        monkeypatch.setenv("ORIGIN_DB_URL", between.url(place.origin_url))
        between.stall_at_request(b"text_0")  # which stands in the statement of a scan alone

        def die() -> None:
            between.stalled.wait(60)
            between.cut()

        dying = threading.Thread(target=die)
        dying.start()
        status, out, err = run("--table", "users")
        dying.join()
    assert (status, out) == (1, "")
    assert err == "error: origin invented-shop: scanning table users failed: the connection was lost; run it again\n"


def test_rules_that_do_not_fit_are_told_first_and_a_wrong_url_without_its_password(
    place: Place, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.rules(RULES.replace("      - kind\n", ""))
    status, out, err = run()
    assert (status, out) == (1, "")
    assert "missing rule for column users.kind" in err
    status, out, err = run("--format", "json")
    found = json.loads(out)
    assert (status, err, found["ok"], found["tables"]) == (1, "", False, [])
    assert [finding["object"] for finding in found["findings"]] == ["users.kind"]
    assert found["snippet"].endswith("\nkind,\n")
    status, out, err = run("--format", "github")
    assert (status, err) == (1, "")
    assert "title=column-without-rule::" in out
    monkeypatch.setenv("ORIGIN_DB_URL", place.origin_url.replace(place.name, "nowhere"))
    place.rules(RULES)
    status, out, err = run()
    assert (status, out) == (1, "")
    assert err.startswith("error: origin invented-shop: can't connect: ")
    assert PASSWORD not in err
    monkeypatch.delenv("ORIGIN_DB_URL")
    assert run()[0] == 2
