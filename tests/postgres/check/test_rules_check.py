"""`python -m flows.rules check`: an app's rules against its origin, without the analytics database."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from flows import apps
from flows.rules import check as command
from flows.rules.saying import said
from multischema.errors import CheckError
from tests.conftest import PASSWORD, ROOT, Place
from tests.support.checks import ORIGIN, RULES, check

NO_TARGET = "no ETL_DB_URL: what the target lacks, refuses or shows to its readers was not checked"
PSEUDONYMS = RULES.replace("    non_anon", "    masks: {name: {pseudonym: person_name}}\n    non_anon")
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(place: Place, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Return a function that checks rules with these variables and no others, in a folder that holds nothing."""
    elsewhere = place.path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    monkeypatch.setattr("blocks.urls._given", {})

    def run(*arguments: str, rules: str = RULES, **changed: str) -> tuple[int, str, str]:
        for name in ("APP", "CONFIG_PATH", "ETL_DB_URL", "METABASE_USERNAME", "ETL_PSEUDONYM_KEY"):
            monkeypatch.delenv(name, raising=False)
        for name, value in {"ORIGIN_DB_URL": place.origin_url, **changed}.items():
            monkeypatch.setenv(name, value)
        status = command.main(["--rules", place.rules(rules), *arguments])
        assert place.sessions() == {"origin": 0, "target": 0}
        out, err = capsys.readouterr()
        assert PASSWORD not in out + err
        return status, out, err

    return run


def with_target(place: Place) -> dict[str, str]:
    """Return the variables of a check that has a target."""
    return {"APP": "shop", "ETL_DB_URL": place.target_url, "METABASE_USERNAME": place.reader}


def errors(out: str) -> list[str]:
    """Return the texts of the errors that the command said."""
    return [line.removeprefix("error: ") for line in out.splitlines() if line.startswith("error: ")]


def pasted(out: str) -> list[str]:
    """Return the lines to paste that the command said last."""
    return [line for line in out.splitlines() if not re.match("error: |warning: |note: |checked ", line)]


# The origin alone.


def test_rules_and_an_origin_are_all_that_it_needs(place: Place, run: Run) -> None:
    place.in_origin(ORIGIN)
    assert run() == (0, f"checked the rules: 1 table to copy, 1 truncated, 2 indexes, 0 warnings; {NO_TARGET}\n", "")
    assert run("--app", "shop")[:2] == (
        0,
        f"checked shop: 1 table to copy, 1 truncated, 2 indexes, 0 warnings; {NO_TARGET}\n",
    )


def test_pseudonyms_need_no_key(place: Place, run: Run) -> None:
    place.in_origin(ORIGIN)
    assert run(rules=PSEUDONYMS)[0] == 0


def test_what_is_missing_ends_with_lines_to_paste(place: Place, run: Run) -> None:
    place.in_origin(ORIGIN)
    status, out, err = run(rules="tables: [{table_name: users, anonymized_column_names: [name]}]")
    assert (status, err) == (1, "")
    assert any("users.city" in line for line in errors(out))
    *_, last = out.split(
        "checked the rules: 2 errors, 0 warnings; paste the snippet and decide, or let rules draft --add guess\n"
    )
    assert last.splitlines() == pasted(out)
    assert "city" in last
    assert "token" in last


WIDE = ", ".join(f"c{number}" for number in range(600))
DOMAINS = [f"d{number}" for number in range(21)]
CLEAR = "tables: [{table_name: users, non_anonymized_column_names: [id, born, odd]}]"
CASES = {
    "no table": ("", "tables: []"),
    "gaps": (ORIGIN, "tables: [{table_name: users, anonymized_column_names: [nam]}]"),
    "no right to the schema": (f"{ORIGIN}; REVOKE ALL ON SCHEMA public FROM {{app}}, PUBLIC", RULES),
    "no right to a column": (f"{ORIGIN}; GRANT SELECT (id) ON users TO {{app}}", RULES),
    "row security": (
        f"{ORIGIN}; ALTER TABLE users ENABLE ROW LEVEL SECURITY; GRANT SELECT ON users, tokens TO {{app}}",
        RULES,
    ),
    "rows too wide": (
        f"CREATE TABLE users (id serial PRIMARY KEY, {WIDE.replace(',', ' text NOT NULL,')} text NOT NULL)",
        f"tables: [{{table_name: users, anonymized_column_names: [{WIDE}]}}]",
    ),
    "a mask for another type": (
        "CREATE TABLE users (id int PRIMARY KEY, born text)",
        "tables: [{table_name: users, anonymized_column_names: [born], masks: {born: {period: year}}}]",
    ),
    "a mask of a unique column": (
        "CREATE TABLE users (id int PRIMARY KEY, born date UNIQUE)",
        "tables: [{table_name: users, anonymized_column_names: [born], masks: {born: {period: year}}}]",
    ),
    "a cast of a user's": (
        """
        CREATE TYPE mood AS ENUM ('good'); CREATE TYPE told AS (mood mood);
        CREATE FUNCTION lie(mood) RETURNS json LANGUAGE sql AS $$ SELECT json '"LIE"' $$;
        CREATE CAST (mood AS json) WITH FUNCTION lie(mood) AS ASSIGNMENT;
        CREATE TABLE users (id serial PRIMARY KEY, born date, odd told)
        """,
        CLEAR,
    ),
    "too many domains": (
        f"CREATE TABLE users (id int PRIMARY KEY, {', '.join(f'{name} text' for name in DOMAINS)})",
        f"tables: [{{table_name: users, anonymized_column_names: [{', '.join(DOMAINS)}], "
        f"masks: {{{', '.join(f'{name}: {{pseudonym: {name}}}' for name in DOMAINS)}}}}}]",
    ),
    "a partition with stricter rules": (
        "CREATE TABLE visits (id integer, name text) PARTITION BY LIST (id);"
        "CREATE TABLE visits_1 PARTITION OF visits FOR VALUES IN (1)",
        "tables: [{table_name: visits, non_anonymized_column_names: [id, name]}, {table_name: visits_1, truncated: true}]",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_it_finds_what_a_run_s_check_finds_of_rules_and_origin(case: str, place: Place, run: Run) -> None:
    origin, rules = CASES[case]
    if origin:
        place.in_origin(origin.replace("{app}", place.app), superuser=True)
        if "{app}" not in origin:
            place.in_origin(f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {place.app}", superuser=True)
    with pytest.raises(CheckError) as refused:
        check(place, rules)
    wanted = said(refused.value.problems, "text")
    status, out, err = run("--app", "shop", rules=rules)
    assert (status, err) == (1, "")
    assert errors(out) == errors(wanted) != []
    assert pasted(out) == pasted(wanted)


def test_rules_that_are_none_are_said_without_contacting_anything(run: Run) -> None:
    unreachable = "postgresql://someone:hush@127.0.0.1:1/nothing"
    status, out, err = run(rules="tables: [{table_nam: users}]", ORIGIN_DB_URL=unreachable)
    assert (status, err) == (1, "")
    assert "can't connect" not in out
    assert any("did you mean table_name?" in line for line in errors(out))
    status, out, err = run(rules=RULES, ORIGIN_DB_URL=unreachable)
    assert (status, err) == (1, "")
    assert [line.split(": ")[1] for line in errors(out)] == ["can't connect"]
    assert "hush" not in out


def test_what_nothing_warns_of_any_more_is_noted_as_far_as_the_origin_alone_shows_it(place: Place, run: Run) -> None:
    place.in_origin(ORIGIN)
    past = "expected_warnings: [{code: relation-not-read, object: gone}, {code: no-collation, object: french}]\n"
    status, out, _ = run(rules=RULES + past)
    notes = [line for line in out.splitlines() if line.startswith("note: ")]
    assert (status, notes) == (
        0,
        [
            "note: rules: line 8: expected_warnings: nothing warns of gone with relation-not-read any more; take it out",
        ],
    )


def test_another_schema_is_checked_on_demand(place: Place, run: Run) -> None:
    place.in_origin(f"CREATE SCHEMA garage; SET search_path = garage; {ORIGIN}")
    assert run("--origin-schema", "garage")[0] == 0
    status, out, _ = run()
    assert status == 1
    assert "schema public of database" in out


def test_a_few_connections_are_a_warning_and_who_answers_elsewhere_a_note(
    place: Place, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.in_origin(f"{ORIGIN}; ALTER ROLE {place.app} CONNECTION LIMIT 4", superuser=True)
    place.in_origin(f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {place.app}", superuser=True)
    monkeypatch.setattr("multischema.stages.preconditions.is_here", lambda host: False)
    status, out, _ = run("--format", "json")
    found = json.loads(out)
    assert (status, found["ok"]) == (0, True)
    levels = {finding["text"].split()[0]: finding["level"] for finding in found["findings"]}
    assert levels["role"] == "warning"
    assert levels["sslmode=prefer"] == "note"


def test_mode_dump_of_the_app_has_its_own_problems(
    place: Place, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.in_origin(ORIGIN, superuser=True)
    place.in_origin(f"GRANT SELECT (id, city, name) ON users TO {place.app}", superuser=True)
    place.in_origin(f"CREATE TABLE places (area box); GRANT SELECT ON places TO {place.app}", superuser=True)
    place.in_origin("CREATE SCHEMA far; CREATE TABLE far.places () INHERITS (places)", superuser=True)
    rules = RULES + "  - {table_name: places, non_anonymized_column_names: [area]}\n"
    file = tmp_path / "prefect.yaml"
    monkeypatch.setattr(apps, "_FILE", file)
    for mode, wanted in (("stream", 0), ("dump", 1)):
        file.write_text(f"deployments: [{{parameters: {{app: garage, rules: a.yml, mode: {mode}}}}}]\n")
        status, out, _ = run("--app", "garage", rules=rules)
        assert (status, "as pg_dump must" in out) == (wanted, bool(wanted))
        assert ("table places has rows in far.places, which inherits from it" in out) == bool(wanted)


# With a target.


def test_with_a_target_it_checks_all_that_a_run_does(place: Place, run: Run) -> None:
    place.in_origin(ORIGIN)
    status, out, err = run(**with_target(place))
    assert (status, err) == (0, "")
    note, summary = out.splitlines()
    assert note.startswith("note: rules: line 5: users.city is published as it is, and its name or comment hints at address")
    assert summary.startswith("checked shop: 1 table to copy, 1 truncated, 2 indexes, 0 warnings; to read: about ")
    assert "; scanned shop: 2 clear columns of 1 table, 0 rows, " in summary
    assert NO_TARGET not in out
    status, out, err = run(**{**with_target(place), "METABASE_USERNAME": "nobody"})
    assert (status, err) == (1, "")
    assert [line.split(";")[0] for line in errors(out)] == ["target: the reader nobody does not exist"]
    assert place.schemas() == set()


def test_with_a_target_pseudonyms_need_a_key(place: Place, run: Run) -> None:
    place.in_origin(ORIGIN)
    status, out, _ = run(rules=PSEUDONYMS, **with_target(place))
    assert status == 1
    assert "missing variable ETL_PSEUDONYM_KEY" in out
    key = 32 * "1d"
    status, out, err = run(rules=PSEUDONYMS, ETL_PSEUDONYM_KEY=key, **with_target(place))
    assert (status, key in out + err) == (0, False)


@pytest.mark.parametrize(
    ("arguments", "changed", "message"),
    [
        (
            [],
            {"ORIGIN_DB_URL": ""},
            "missing variable ORIGIN_DB_URL: want the URL of the origin, or --app, for an app with a variable of its own",
        ),
        (["--app", "rdvi"], {}, "missing variable RDV_INSERTION_DB_URL: want the URL of the origin rdvi"),
        (["--app", "shop"], {"APP": "garage"}, "ORIGIN_DB_URL belongs to APP=garage, not to shop"),
        (["--rules", ""], {}, "no rules: want --rules FILE_OR_URL, or CONFIG_PATH"),
        (
            [],
            {"APP": "shop", "ETL_DB_URL": "postgresql://u:hush@127.0.0.1:1/x"},
            "missing variable METABASE_USERNAME: want the role that Metabase reads with, as ETL_DB_URL names a target; or "
            "set ETL_DB_URL to nothing, to check against the origin alone",
        ),
        ([], {"ETL_DB_URL": "postgresql://u:hush@127.0.0.1:1/x"}, "no app: want --app, or APP in the environment"),
        (
            [],
            {"APP": "Bad Name", "ETL_DB_URL": "postgresql://u:hush@127.0.0.1:1/x"},
            "app 'Bad Name': want a name of lowercase letters, digits and dashes",
        ),
    ],
)
@pytest.mark.parametrize("form", ["text", "json"])
def test_what_it_is_not_given_is_a_usage_error(
    form: str, arguments: list[str], changed: dict[str, str], message: str, run: Run
) -> None:
    assert run("--format", form, *arguments, **changed) == (2, "", f"error: {message}\n")


# How it says it.


def test_json_is_all_that_it_prints_and_has_the_numbers_of_the_plan(place: Place, run: Run) -> None:
    place.in_origin(ORIGIN)
    status, out, err = run("--format", "json", "--app", "shop")
    found: dict[str, Any] = json.loads(out)
    assert (status, err, found["ok"], found["app"], found["findings"]) == (0, "", True, "shop", [])
    assert found["rules"] == place.rules(RULES)
    assert found["checked"] == {"target": False, "tables": 1, "truncated": 1, "masked_columns": 1, "indexes": 2}
    status, out, err = run("--format", "json", rules="tables: [{table_name: users}]")
    found = json.loads(out)
    assert (status, err, found["ok"], found["checked"]) == (1, "", False, {"target": False})
    assert {finding["level"] for finding in found["findings"]} == {"error"}
    assert "token" in found["snippet"]


def test_an_annotation_stands_for_each_finding(place: Place, run: Run) -> None:
    place.in_origin(ORIGIN)
    (place.path / ".git").mkdir()
    status, out, err = run("--format", "github", rules=RULES + "  - {table_name: gone, truncated: true}\n")
    assert (status, err) == (0, "")
    assert out.startswith("::warning")
    assert "table gone" in out
    status, out, err = run("--format", "github", rules="tables: [{table_name: users}]")
    assert (status, err) == (1, "")
    assert out.count("::error") == 3


def test_names_of_the_origin_s_that_are_no_text_for_a_terminal_are_escaped(place: Place, run: Run) -> None:
    place.in_origin('CREATE TABLE "o\n::error::dd" (id int, "\x1b[31m" text, "##[error]é" text)')
    for form in ("text", "github"):
        status, out, _ = run("--format", form, rules="tables: []")
        assert status == 1
        assert "\x1b" not in out
        assert not [line for line in out.splitlines() if line.startswith("::error::dd")]


@pytest.mark.parametrize("form", ["text", "github"])
def test_the_name_of_an_expected_warning_is_no_line_of_its_own_and_no_command(form: str, place: Place, run: Run) -> None:
    place.in_origin('CREATE TABLE "a\n::error::b ##[error]c" (id text PRIMARY KEY)')
    name = '"a\\n::error::b ##[error]c'
    expecting = f'tables: [{{table_name: {name}"}}]\nexpected_warnings: [{{code: key-without-rule, object: {name}.id"}}]\n'
    status, out, _ = run("--format", form, rules=expecting)
    summary = out.splitlines()[-1]
    assert (status, summary.startswith("checked ")) == (0, True)
    shown = "##[error]" if form == "text" else "# #[error]"
    assert rf"1 expected warning: key-without-rule a\n::error::b {shown}c.id; " in summary


@pytest.mark.parametrize("form", ["text", "json", "github"])
def test_a_reader_that_stops_early_and_an_odd_terminal_change_no_status(form: str, place: Place) -> None:
    place.in_origin('CREATE TABLE "été €" (id int, name text)')
    given = {
        "ORIGIN_DB_URL": place.origin_url,
        "PYTHONPATH": str(ROOT),
        "PYTHONIOENCODING": "latin-1",
        "PATH": "/usr/bin:/bin",
    }
    called = [sys.executable, "-m", "flows.rules", "check", "--rules", place.rules("tables: []"), "--format", form]
    script = 'set -o pipefail; "$@" | head -c 1 >/dev/null'
    ended = subprocess.run(["bash", "-c", script, "-", *called], cwd=place.path, env=given, capture_output=True, check=False)
    assert (ended.returncode, ended.stderr) == (1, b"")


def test_it_starts_without_prefect() -> None:
    code = "import sys, flows.rules.check; print('prefect' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"
