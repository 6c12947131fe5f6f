"""A refresh in Prefect: its tasks, its log, its report, and how it is asked for."""

import pytest

from tests.flows.conftest import Shop

ORIGIN = """
CREATE TABLE users (id int PRIMARY KEY, name text, city text);
CREATE TABLE visits (id int PRIMARY KEY, user_id int NOT NULL REFERENCES users, at date);
INSERT INTO users SELECT n, 'Marie', 'Lyon' FROM generate_series(1, 3000) AS n;
INSERT INTO visits SELECT n, n, '2026-01-01' FROM generate_series(1, 3000) AS n;
"""
RULES = """
tables:
  - {table_name: users, anonymized_column_names: [name], non_anonymized_column_names: [city]}
  - {table_name: visits, non_anonymized_column_names: [at]}
"""
CHANGES = "UPDATE users SET city = 'Brest' WHERE id <= 20; DELETE FROM visits WHERE id <= 7"


@pytest.fixture
def refreshed(shop: Shop) -> Shop:
    """Publish an origin, change it, and publish what changed."""
    shop.place.in_origin(ORIGIN)
    assert shop.run(RULES).is_completed()
    shop.place.in_origin(CHANGES)
    assert shop.run(RULES).is_completed()
    return shop


def test_a_second_run_brings_what_changed_and_its_report_says_so(refreshed: Shop) -> None:
    assert refreshed.read("SELECT count(*) FILTER (WHERE city = 'Brest'), count(*) FROM {}.users") == [(20, 3000)]
    assert refreshed.read("SELECT count(*), min(id) FROM {}.visits") == [(2993, 8)]
    assert refreshed.place.schemas() == {refreshed.app}
    assert refreshed.place.sessions() == {"origin": 0, "target": 0}
    artifact = refreshed.server.artifact(f"{refreshed.app}-report")
    headline = f"refreshed {refreshed.app} for {refreshed.place.reader}: 2 tables, 5,993 rows, "
    text = artifact["data"].replace("\\", "")
    assert artifact["description"].startswith(headline)
    assert headline not in text
    assert "Data as of " in text
    assert " UTC: -7 rows, " in text
    assert "* rows changed most: visits -7" in text
    assert "refresh: 20 of 5,993 rows in 2 of 2 tables; last full run: now." in text
    assert "| 20 in, 20 out | 1 |" in text
    assert "| 0 in, 7 out | 0 |" in text
    line = f"decided {refreshed.app}: refresh: 20 of 5,993 rows in 2 of 2 tables"
    assert line in [found["message"] for found in refreshed.server.logs(refreshed.last(), line)]


@pytest.mark.slow
def test_a_refresh_has_a_task_per_stage_and_none_per_table(refreshed: Shop) -> None:
    tasks = refreshed.server.tasks(refreshed.last(), f"clean {refreshed.app}")
    assert set(tasks) == {
        "download rules",
        *(f"{stage} {refreshed.app}" for stage in ("check", "anonymize", "publish", "clean")),
    }
    assert {task["state_name"] for task in tasks.values()} == {"Completed"}


@pytest.mark.slow
def test_a_run_that_is_to_be_full_copies_everything(refreshed: Shop) -> None:
    assert refreshed.run(RULES, refresh="full").is_completed()
    text = refreshed.server.artifact(f"{refreshed.app}-report")["data"]
    assert "full: asked for; last full run: now." in text
    assert "| copied |" in text


@pytest.mark.slow
def test_nothing_changed_is_said_in_the_report(refreshed: Shop) -> None:
    assert refreshed.run(RULES).is_completed()
    text = refreshed.server.artifact(f"{refreshed.app}-report")["data"].replace("\\", "")
    assert "nothing changed in 5,993 rows of 2 tables" in text
    assert "| unchanged | 1 |" in text
