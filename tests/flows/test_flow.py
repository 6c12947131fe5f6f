"""What a run looks like in Prefect: names, artifacts, and nothing kept that a second run would take for its own."""

import json
import re
from collections.abc import Callable
from datetime import datetime
from typing import Any

import psycopg
import pytest
from prefect import Task, tags, task
from prefect.cache_policies import NO_CACHE
from prefect.settings import PREFECT_RESULTS_PERSIST_BY_DEFAULT, temporary_settings

from blocks import urls
from flows import progress, stages
from flows.etl import etl
from multischema.report import Report
from tests.conftest import PROGRAMS
from tests.flows.conftest import SLOW_RULES, Shop, blocked, fill_slow
from tests.flows.test_failures import meanwhile
from tests.support.readers import make_role, read_as
from tests.support.servers import eventually

ORIGIN = """
CREATE TYPE mood AS ENUM ('good', 'bad');
CREATE TABLE users (id serial PRIMARY KEY, name text, email text, mood mood, city text);
CREATE TABLE visits (id serial PRIMARY KEY, user_id integer NOT NULL REFERENCES users, note text, at date);
CREATE TABLE versions (id serial PRIMARY KEY, object text);
CREATE INDEX users_by_city ON users (city);
CREATE UNIQUE INDEX users_by_name ON users (lower(name), city);
CREATE INDEX users_by_email ON users (email);
CREATE VIEW lyon AS SELECT * FROM users WHERE city = 'Lyon';
INSERT INTO users (name, email, mood, city)
VALUES ('Marie', 'marie@example.org', 'good', 'Lyon'), ('Jean', NULL, NULL, 'Brest');
INSERT INTO visits (user_id, note, at) SELECT 1, 'private ' || n, '2026-01-01' FROM generate_series(1, 1234) AS n;
INSERT INTO versions (object) VALUES ('Marie');
"""
RULES = """
tables:
  - table_name: users
    anonymized_column_names: [name, email]
    non_anonymized_column_names: [mood, city]
  - table_name: visits
    anonymized_column_names: [note]
    non_anonymized_column_names: [at, gone]
  - table_name: versions
    truncated: true
"""
USERS = [
    (1, "[valeur unique anonymisée 1]", "email_anonymise_1@exemple.fr", "good", "Lyon"),
    (2, "[valeur unique anonymisée 2]", None, None, "Brest"),
]
RECORD = 'multi-schema-postgres-etl masked {"copied": {}, "truncated": {}}'
READ_USERS = "SELECT id, name, email, mood, city FROM {}.users ORDER BY id"


def test_a_run_publishes_through_the_secret_blocks(shop: Shop) -> None:
    shop.place.in_origin(ORIGIN)
    assert urls._given == {}
    assert shop.run(RULES).is_completed()
    assert shop.read(READ_USERS) == USERS
    assert shop.place.schemas() == {shop.app}
    assert shop.place.sessions() == {"origin": 0, "target": 0}


@pytest.mark.slow
def test_a_run_and_a_refresh_say_for_whom_they_publish_and_an_unset_variable_names_nobody(shop: Shop) -> None:
    shop.place.in_origin(ORIGIN)
    team = [make_role(shop.place, f"{name} {shop.place.number}") for name in ("team", "Équipe")]
    for listed in (["", ", ".join(team)], [*team, team[0]]):  # as a deployment has it, and as the form gives it
        assert shop.run(RULES, schema_reader=listed).is_completed()
        line = f"published schema {shop.app} for {', '.join([shop.place.reader, *team])}"
        assert line in [found["message"] for found in shop.server.logs(shop.last(), line)]
        for role in team:
            assert read_as(shop.place, role, READ_USERS.replace("{}", f'"{shop.app}"')) == USERS
        shop.place.in_origin("INSERT INTO versions (object) VALUES ('Paul')")
    choice = "nothing changed in 1,236 rows of 3 tables"
    assert f"decided {shop.app}: {choice}" in [found["message"] for found in shop.server.logs(shop.last(), "decided ")]


@pytest.mark.slow
def test_runs_and_tasks_are_named_after_the_app_the_stages_and_the_tables(shop: Shop) -> None:
    shop.place.in_origin(ORIGIN)
    shop.run(RULES)
    run = shop.last()
    due = datetime.fromisoformat(run["expected_start_time"]).astimezone()
    assert run["name"] == f"{shop.app} {due:%Y-%m-%d %H:%M}"
    assert run["state_name"] == "Completed"
    tasks = shop.server.tasks(run, f"clean {shop.app}")
    assert set(tasks) == {
        "download rules",
        f"check {shop.app}",
        f"anonymize {shop.app}",
        "copy users",
        "copy visits",
        f"index {shop.app}",
        f"verify {shop.app}",
        f"publish {shop.app}",
        f"clean {shop.app}",
    }
    assert {task["state_name"] for task in tasks.values()} == {"Completed"}
    order = sorted(tasks, key=lambda name: tasks[name]["start_time"])
    assert order[:3] == ["download rules", f"check {shop.app}", f"anonymize {shop.app}"]
    assert order[5:] == [f"{stage} {shop.app}" for stage in ("index", "verify", "publish", "clean")]


def test_a_run_says_what_it_published_and_whether_it_was_full_or_a_refresh(shop: Shop) -> None:
    shop.place.in_origin(ORIGIN)
    full = shop.run(RULES)
    assert isinstance(full.result(), Report)
    run = shop.last()
    assert run["state"]["message"] == full.result().headline()
    assert re.fullmatch(
        rf"published {shop.app} for {shop.place.reader}: 3 tables, 1,236 rows, .* 3 masked columns, \d+\.\d s",
        run["state"]["message"],
    )
    assert run["tags"] == ["full"]
    with tags("mine", "full"):  # as of a run that was handed over
        published = etl(**shop.parameters(RULES))
    assert isinstance(published, Report)
    run = shop.last()
    assert run["state"]["message"] == published.headline()
    assert published.headline().startswith("refreshed ")
    assert sorted(run["tags"]) == ["mine", "refresh"]


def test_a_run_that_only_checks_says_what_it_found_takes_no_lock_and_writes_nothing(shop: Shop) -> None:
    shop.place.in_origin(ORIGIN)
    with psycopg.connect(shop.place.target_url) as other:
        other.execute("SELECT pg_advisory_lock(6648940, hashtext(%s))", [shop.app])
        state = shop.run(RULES, check=True)
    run = shop.last()
    # another name than Completed: an alert that waits for a publication must not take it for one
    assert (state.is_completed(), run["state_type"], run["state_name"]) == (True, "COMPLETED", "Checked")
    assert re.fullmatch(
        rf"checked {shop.app}: 2 tables to copy, 1 truncated, \d+ indexes, 4 warnings; "
        r"to read: about [\d.]+ kB in 2 tables; a full run needs about [\d.]+ kB in the target while it builds",
        run["state"]["message"],
    )
    assert run["tags"] == []
    tasks = shop.server.tasks(run, "download rules", f"check {shop.app}")
    assert set(tasks) == {"download rules", f"check {shop.app}"}
    logs = shop.server.logs(run, "Finished in state Checked")
    assert "not read: view lyon [relation-not-read lyon]" in [line["message"] for line in logs if line["level"] == 30]
    assert shop.place.schemas() == set()
    assert shop.place.sessions() == {"origin": 0, "target": 0}


def test_a_backup_can_not_be_checked_alone(shop: Shop) -> None:
    assert shop.run(RULES, check=True, from_dump="backup.dump").is_failed()
    assert shop.last()["state"]["message"].startswith("check writes nothing, but reading the catalog of from_dump ")
    assert shop.place.schemas() == set()


@pytest.mark.slow
def test_no_arrow_goes_from_a_table_to_a_later_stage_in_the_graph_of_a_run(shop: Shop) -> None:
    shop.place.in_origin(ORIGIN)
    shop.run(RULES)
    tasks = shop.server.tasks(shop.last(), f"clean {shop.app}")
    tables = {tasks[name]["id"] for name in ("copy users", "copy visits")}
    inputs = {
        name: [given["id"] for found in task["task_inputs"].values() for given in found] for name, task in tasks.items()
    }
    assert tasks[f"check {shop.app}"]["id"] in inputs[f"verify {shop.app}"]
    assert not [name for name, found in inputs.items() if tables.intersection(found)]


def test_the_report_says_what_was_published_what_was_left_out_and_why(shop: Shop) -> None:
    shop.place.in_origin(ORIGIN)
    shop.run(RULES)
    artifact = shop.server.artifact(f"{shop.app}-report")
    assert artifact["type"] == "markdown"
    assert artifact["flow_run_id"] == shop.last()["id"]
    text = artifact["data"].replace("\\", "")
    assert artifact["description"].startswith(f"published {shop.app} for {shop.place.reader}: 3 tables, 1,236 rows, ")
    assert "3 masked columns" in artifact["description"]
    assert artifact["description"] not in artifact["data"]
    assert re.match(r"Data as of \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC\.\n", text)
    size, number = r"\d+(\.\d)?\s[kM]?B", r"\d+\.\d\d"
    for row in (
        rf"\| visits \| 1,234 \| {size} \| {number} \| {number} \| copied \| 1 \|",
        rf"\| users \| 2 \| {size} \| {number} \| {number} \| copied \| 2 \|",
        rf"\| versions \| truncated \| {size} \| 0.00 \| {number} \|  \| 0 \|",
        *(rf"\| {stage} \| \d+\.\d \|" for stage in ("check", "anonymize", "index", "verify", "publish", "clean")),
    ):
        assert re.search(f"^{row}$", text, re.MULTILINE), row
    assert "* **visits**: note\n* **users**: name, email\n" in text
    for warning in (
        "rules: line 8: visits.gone is not in the origin",
        "not read: view lyon",
        "index users_by_name of users is built as a plain index: masked values are not unique",
    ):
        assert f"\n* {warning}" in text
    assert re.search(
        rf"^Left out 1 index of masked columns only, {size} in the origin: users_by_email of users\.$", text, re.MULTILINE
    )
    assert "Marie" not in text
    assert "private" not in text


@pytest.mark.slow
def test_the_progress_of_a_run_is_one_table_that_is_brought_up_to_date(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "INTERVAL", 0.1)
    fill_slow(shop.place, rows=3)
    seen: list[dict[str, str]] = []

    def look() -> bool:
        found = shop.server.ask("POST", "artifacts/filter", {"artifacts": {"key": {"like_": f"{shop.app}-progress"}}})
        seen.extend({row["what"]: row["now"] for row in json.loads(each["data"])} for each in found)
        return bool(seen and seen[-1]["tables done"] == "1 of 2")

    with blocked(shop.place) as release:

        def follow() -> None:
            try:
                eventually(look)
            finally:
                release()

        with meanwhile(follow):
            assert shop.run(SLOW_RULES, jobs=2).is_completed()
    assert {what: seen[-1][what] for what in ("tables done", "running", "waiting")} == {
        "tables done": "1 of 2",
        "running": "users",
        "waiting": "0 tables",
    }
    filtered = {"artifacts": {"key": {"like_": f"{shop.app}-progress"}}}
    assert len(shop.server.ask("POST", "artifacts/filter", filtered)) == 1


@pytest.mark.slow
def test_the_progress_of_a_run_ends_at_all_of_it(shop: Shop) -> None:
    shop.place.in_origin(ORIGIN)
    shop.run(RULES)
    artifact = shop.server.artifact(f"{shop.app}-progress")
    assert artifact["type"] == "table"
    assert artifact["flow_run_id"] == shop.last()["id"]
    shown = {row["what"]: row["now"] for row in json.loads(artifact["data"])}
    assert re.fullmatch(r"([\d.]+ kB) of about \1, 100 %", shown.pop("copied"))
    assert re.fullmatch(r"\d+\.\d MB/s", shown.pop("speed"))
    assert shown == {"tables done": "2 of 2", "running": "none", "waiting": "0 tables", "time left": "none"}


@pytest.mark.slow
def test_the_report_is_in_the_log_of_the_run(shop: Shop) -> None:
    shop.place.in_origin(ORIGIN)
    shop.run(RULES)
    lines = [line["message"] for line in shop.server.logs(shop.last(), f"report of {shop.app}")]
    (report,) = [line for line in lines if line.startswith(f"report of {shop.app}\n")]
    assert re.search(r"^visits +1,234 ", report, re.MULTILINE)
    assert "warning: not read: view lyon" in report


@pytest.mark.slow
def test_no_task_keeps_or_reuses_a_result(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Task[Any, Any]] = []

    def noting(**options: Any) -> Any:
        def decorate(work: Callable[..., Any]) -> Task[Any, Any]:
            made.append(task(**options)(work))
            return made[-1]

        return decorate

    monkeypatch.setattr(stages, "task", noting)
    monkeypatch.setenv("PATH", str(PROGRAMS["18"]), prepend=":")
    shop.place.in_origin(ORIGIN)
    assert shop.run(RULES, mode="dump").is_completed()
    names = ["download rules", "check", "dump", "restore", "copy", "index", "verify", "publish", "clean"]
    assert [each.name for each in made] == names
    assert [each.name for each in made if each.cache_policy is not NO_CACHE or each.persist_result is not False] == []


def test_the_flow_keeps_no_result() -> None:
    assert etl.persist_result is False


@pytest.mark.slow
def test_with_results_kept_by_default_a_second_run_still_does_everything(shop: Shop) -> None:
    shop.place.in_origin(ORIGIN)
    storage = shop.server.home / "storage"
    kept = set(storage.glob("*"))  # by failed runs of other tests: their errors, a line each
    with temporary_settings({PREFECT_RESULTS_PERSIST_BY_DEFAULT: True}):
        shop.run(RULES, refresh="full")
        shop.place.in_origin("UPDATE users SET city = 'Nice'; INSERT INTO users (name, city) VALUES ('Zoe', 'Nice')")
        old = f'"etl_old_{shop.app}_0000abcd"'  # of a run that was killed
        shop.place.in_target(f"CREATE SCHEMA {old}; COMMENT ON SCHEMA {old} IS '{RECORD}'")
        assert shop.run(RULES, refresh="full").is_completed()
    assert [city for *_, city in shop.read(READ_USERS)] == ["Nice"] * 3
    assert shop.place.schemas() == {shop.app}
    states = [task["state_name"] for task in shop.server.tasks(shop.last(), f"clean {shop.app}").values()]
    assert states == ["Completed"] * 8
    assert set(storage.glob("*")) == kept
