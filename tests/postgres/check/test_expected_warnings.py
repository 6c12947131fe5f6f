"""Warnings that the rules expect, and what is none: members of extensions."""

from pathlib import Path

import pytest

from multischema.findings import Finding
from multischema.report import checked
from tests.conftest import Place
from tests.support.checks import check
from tests.support.dumps import backup

ORIGIN = """
CREATE TABLE logs (id int PRIMARY KEY, parent_id int REFERENCES logs, at date);
CREATE TABLE users (id int PRIMARY KEY, email text UNIQUE, log_id int REFERENCES logs);
CREATE VIEW "Vue d'été" AS SELECT 1 AS one;
"""
RULES = """
tables:
  - table_name: logs
    truncated: true
  - table_name: users
    anonymized_column_names: [email]
"""
KNOWN = """
expected_warnings:
  - code: relation-not-read
    object: Vue d'été
  - code: foreign-key-to-truncated-table
    object: users.users_log_id_fkey
"""


def codes(found: tuple[Finding, ...]) -> list[tuple[str, str]]:
    """Return code and object of findings."""
    return [(finding.code, finding.object) for finding in found]


def test_a_check_names_what_is_expected_in_one_line_and_shows_what_is_new(place: Place) -> None:
    place.in_origin(ORIGIN)
    every = codes(check(place, RULES).told().warnings)
    assert every[:2] == [("relation-not-read", "Vue d'été"), ("foreign-key-to-truncated-table", "users.users_log_id_fkey")]
    plan = check(place, RULES + KNOWN)
    assert codes(plan.told().warnings) == every[2:]
    assert plan.told().expected_line() == (
        "2 expected warnings: relation-not-read Vue d'été, foreign-key-to-truncated-table users.users_log_id_fkey"
    )
    assert checked("shop", plan).endswith(f" {len(every) - 2} warnings" if len(every) != 3 else " 1 warning")
    place.in_origin("CREATE VIEW other AS SELECT 1 AS one; ALTER TABLE users ADD FOREIGN KEY (id) REFERENCES logs")
    assert set(codes(check(place, RULES + KNOWN).told().warnings)) == {
        *every[2:],
        ("relation-not-read", "other"),
        ("foreign-key-to-truncated-table", "users.users_id_fkey"),
    }


def test_a_check_notes_what_nothing_warns_of_any_more_and_warns_of_a_code_that_there_is_not(place: Place) -> None:
    place.in_origin(ORIGIN)
    stale = KNOWN.replace("Vue d'été", "gone").replace("foreign-key-to-truncated-table", "no-such-code")
    told = check(place, RULES + stale + "  - {code: no-collation, object: french}\n").told()
    assert told.notes == (
        "rules: line 9: expected_warnings: nothing warns of gone with relation-not-read any more; take it out",
        "rules: line 13: expected_warnings: nothing warns of french with no-collation any more; take it out",
    )
    assert [line for line in told.warnings if line.side == "rules"] == [
        "rules: line 11: expected_warnings: no warning has the code no-such-code; take the code from the warning, or take "
        "it out"
    ]


def test_a_backup_lacks_what_is_expected_and_says_nothing_of_that(place: Place, tmp_path: Path, private: Path) -> None:
    place.in_origin(ORIGIN)
    file = backup(place, tmp_path / "backup", "--format=custom")
    told = place.run(RULES + KNOWN, mode="dump", from_dump=str(file)).plan.told()
    assert [finding.object for finding in told.expected] == ["users.users_log_id_fkey"]
    assert told.notes == ()


def test_a_run_and_a_refresh_count_in_the_history_what_is_not_expected(place: Place) -> None:
    place.in_origin(ORIGIN)
    warned = len(place.run(RULES).plan.told().warnings)
    place.in_origin("INSERT INTO users VALUES (1, 'a@example.org')")
    for refresh in ("full", "auto"):
        place.run(RULES + KNOWN, refresh=refresh)
    counted = place.read("SELECT warnings FROM etl_report.runs ORDER BY published_at", as_="superuser")
    assert counted == [(warned,), (warned - 2,), (warned - 2,)]


def test_what_an_extension_brings_is_no_warning(place: Place) -> None:
    place.in_origin(ORIGIN)
    without = codes(check(place, RULES).told().warnings)
    place.in_origin(
        """
        CREATE VIEW statistics AS SELECT 1 AS one;
        CREATE MATERIALIZED VIEW cached AS SELECT 1 AS one;
        CREATE TABLE systems (id int);
        CREATE SCHEMA topology;
        CREATE TABLE topology.layers (id int);
        ALTER EXTENSION plpgsql ADD VIEW statistics;
        ALTER EXTENSION plpgsql ADD MATERIALIZED VIEW cached;
        ALTER EXTENSION plpgsql ADD TABLE systems;
        ALTER EXTENSION plpgsql ADD TABLE topology.layers;
        """,
        superuser=True,
    )
    assert codes(check(place, RULES).told().warnings) == without
    named = "\n  - {table_name: statistics, truncated: true}\n  - {table_name: systems, truncated: true}\n"
    assert codes(check(place, RULES + named).told().warnings) == without  # its members are there all the same
    place.in_origin("CREATE TABLE topology.own (id int)", superuser=True)
    assert codes(check(place, RULES).told().warnings)[0] == ("schema-not-read", "topology")


@pytest.mark.parametrize("code", ["index-not-unique", "unverified-server"])
def test_the_snippet_of_a_report_is_one_that_the_rules_take(code: str, place: Place) -> None:
    place.in_origin(ORIGIN)
    every = check(place, RULES).told().warnings
    entries = "".join(f'  - {{code: {line.code}, object: "{line.object}"}}\n' for line in every if line.code != code)
    assert {line.code for line in check(place, f"{RULES}expected_warnings:\n{entries}").told().warnings} <= {code}
