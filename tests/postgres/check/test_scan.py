"""The scan as a step of a run: what it looks into, what stops the run, and what the run says of it."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from multischema import report
from multischema.errors import CheckError
from multischema.pipeline import Published
from multischema.plan.scan import Counted, Scanned
from multischema.stages import clear_columns
from tests.conftest import PROGRAMS, Place
from tests.support.cases import seen
from tests.support.checks import check

ORIGIN = """
CREATE TABLE users (id integer PRIMARY KEY, name text, notes text, kind text);
INSERT INTO users SELECT n, 'Nom ' || n, 'calm', 'Lyon' FROM generate_series(1, 2000) AS n;
CREATE TABLE visits (id integer PRIMARY KEY, user_id integer REFERENCES users, place text);
INSERT INTO visits SELECT n, n, 'Lille' FROM generate_series(1, 2000) AS n;
"""
RULES = """
tables:
  - table_name: users
    anonymized_column_names: [name]
    non_anonymized_column_names:
      - kind
      - notes
  - table_name: visits
    non_anonymized_column_names: [place]
"""
HIDING = RULES.replace("[name]", "[name, notes]").replace("      - notes\n", "")
EMAILS = "UPDATE users SET notes = 'write to paul.durand' || id || '@orange.fr' WHERE id <= {}"
REFUSED = (
    "rules: line 7: users.notes is published as it is, and 500 of 2,000 values hold an e-mail address; "
    "anonymize it, or give the reason why it is clear in clear_because"
)


@pytest.fixture
def shop(place: Place) -> Place:
    """Return a place with an origin in which nothing is found."""
    place.in_origin(ORIGIN)
    return place


@pytest.fixture
def looked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, tuple[str, ...], bool]]:
    """Return what the scan looks into: each table with its columns, and whether all rows are looked at."""
    found: list[tuple[str, tuple[str, ...], bool]] = []
    real: Callable[..., Counted] = clear_columns.count_personal

    def count(connection: Any, plan: Any, table: Any, columns: Any, *arguments: Any, **named: Any) -> Counted:
        found.append((plan.name, tuple(columns), named["condition"] is None))
        return real(connection, plan, table, columns, *arguments, **named)

    monkeypatch.setattr(clear_columns, "count_personal", count)
    return found


def published_without_a_scan(place: Place, rules: str = RULES) -> None:
    """Publish as a version did that had no scan, and recorded nothing of it."""
    place.run(rules, refresh="auto", scan="off")
    ((comment,),) = place.read("SELECT obj_description('shop'::regnamespace, 'pg_namespace')")
    before, brace, recorded = comment.partition("{")
    found = json.loads(brace + recorded)
    assert found.pop("unscanned") == {"users": ["id", "notes", "kind"], "visits": ["id", "user_id", "place"]}
    place.in_target(f"COMMENT ON SCHEMA shop IS '{before}{json.dumps(found)}'", superuser=True)


def scanned(published: Published) -> Scanned:
    """Return what the check's scan found."""
    assert published.plan.scanned
    return published.plan.scanned


def refused(place: Place, **changes: object) -> list[str]:
    """Return the lines of a run that its check refuses."""
    before = place.schemas()
    with pytest.raises(CheckError) as caught:
        place.run(RULES, **changes)
    assert place.schemas() == before
    return list(caught.value.problems)


def test_a_newly_clear_column_with_e_mail_addresses_is_refused_by_name_before_anything_is_written(shop: Place) -> None:
    shop.in_origin(EMAILS.format(500))
    assert refused(shop) == [REFUSED]
    place_of_state = "SELECT 1 FROM pg_namespace WHERE nspname IN ('shop', 'etl_state')"
    assert shop.read(place_of_state, as_="etl") == []
    with pytest.raises(CheckError, match=r"users\.notes is published as it is"):
        check(shop, RULES)  # a check alone finds it too


def test_a_column_that_was_masked_or_not_there_in_the_last_run_is_newly_clear(shop: Place, looked: list[Any]) -> None:
    shop.run(HIDING)
    shop.in_origin(EMAILS.format(500))
    looked.clear()
    assert refused(shop) == [REFUSED]
    assert looked == [("users", ("notes",), True)]
    shop.in_origin("ALTER TABLE visits ADD COLUMN who text; UPDATE visits SET who = 'a' || id || '@laposte.fr'")
    looked.clear()
    rules = HIDING.replace("[place]", "[place, who]")
    with pytest.raises(CheckError, match=r"visits\.who is published as it is, and most of it is e-mail addresses"):
        shop.run(rules)
    assert looked == [("visits", ("who",), True)]


def test_a_column_that_was_clear_before_never_stops_a_run_unless_it_is_asked_to_be_strict(shop: Place) -> None:
    shop.run(RULES)
    shop.in_origin(EMAILS.format(500))
    assert scanned(shop.run(RULES)).headline() == "nothing looked into: no column is newly clear"
    full = shop.run(RULES, scan="full")
    assert [(found.level, str(found)) for found in scanned(full).findings] == [("warning", REFUSED)]
    assert REFUSED in full.plan.warnings
    assert refused(shop, scan="full", strict_scan=True) == [REFUSED]
    assert scanned(shop.run(RULES, scan="off", strict_scan=True)).headline() == "nothing looked into: the scan is off"


def test_a_schema_that_a_version_without_the_scan_published_had_its_columns_clear(shop: Place, looked: list[Any]) -> None:
    published_without_a_scan(shop)
    looked.clear()
    shop.in_origin(EMAILS.format(500))
    assert shop.run(RULES).plan.warnings == ()
    assert looked == []


def test_tables_without_a_clear_column_are_told_as_such(place: Place) -> None:
    place.in_origin("CREATE TABLE users (name text)")
    masked = "tables: [{table_name: users, anonymized_column_names: [name]}]"
    plan = check(place, masked, scan="full")
    assert plan.scanned
    assert plan.scanned.headline() == "nothing looked into: no column is clear"


def test_a_second_run_looks_into_nothing(shop: Place, looked: list[Any]) -> None:
    first = scanned(shop.run(RULES))
    assert sorted(looked) == [("users", ("id", "notes", "kind"), True), ("visits", ("id", "user_id", "place"), True)]
    assert first.findings == ()
    assert first.headline().startswith("6 clear columns of 2 tables, 4,000 rows, ")
    looked.clear()
    shop.run(RULES)
    shop.run(RULES, refresh="auto")
    assert looked == []


def test_a_refresh_looks_into_the_rows_that_changed_and_no_others(shop: Place, looked: list[Any]) -> None:
    shop.in_origin(EMAILS.format(500))
    published_without_a_scan(shop)
    shop.in_origin(
        "UPDATE users SET notes = 'paul@orange.fr' WHERE id IN (1000, 1001); UPDATE users SET kind = '' WHERE id = 3"
    )
    looked.clear()
    refreshed = shop.run(RULES, refresh="auto")
    assert refreshed.refreshed
    assert looked == [("users", ("id", "notes", "kind"), False)]
    found = refreshed.refreshed.brought.scanned
    assert found
    (warning,) = found.findings
    assert str(warning) == REFUSED.replace(
        "500 of 2,000 values hold an e-mail address", "most of it is e-mail addresses (3 of 3 values)"
    )
    assert warning.level == "warning"
    assert warning in refreshed.warnings
    assert found.headline().startswith("3 clear columns of 1 table, 3 rows, ")


def test_a_refresh_looks_at_rows_as_it_publishes_them_whatever_became_of_them_since(
    shop: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.run(RULES, refresh="auto")
    shop.in_origin(EMAILS.format(2))
    real: Callable[..., Counted] = clear_columns.count_personal

    def count(*arguments: Any, **named: Any) -> Counted:
        shop.in_origin("UPDATE users SET notes = 'calm' WHERE id <= 2")
        return real(*arguments, **named)

    monkeypatch.setattr(clear_columns, "count_personal", count)
    refreshed = shop.run(RULES, refresh="auto")
    assert refreshed.refreshed
    assert [found.code for found in refreshed.warnings] == ["scan-email"]
    assert shop.read("SELECT count(*) FROM shop.users WHERE notes LIKE '%@orange.fr'") == [(2,)]


@pytest.mark.parametrize("refused", [False, True], ids=["a refresh", "a run that is full after all"])
def test_what_is_found_in_rows_that_changed_is_told_and_counted_in_the_history_once(refused: bool, shop: Place) -> None:
    shop.run(RULES, refresh="auto")
    shop.in_origin("UPDATE users SET notes = 'paul@orange.fr' WHERE id <= 2")
    if refused:
        shop.in_target("CREATE UNIQUE INDEX ON shop.users (notes) WHERE notes LIKE 'paul%'", superuser=True)
    run = shop.run(RULES, refresh="auto")
    assert run.choice.line().startswith("full: the target refused what came in" if refused else "refresh: ")
    assert [found.code for found in run.plan.told(run.warnings).warnings] == ["scan-email"]
    assert shop.read("SELECT warnings FROM etl_report.runs ORDER BY id") == [(0,), (1,)]


def test_a_newly_clear_column_of_a_table_that_a_refresh_brings_whole_is_looked_into_once(
    shop: Place, looked: list[Any]
) -> None:
    shop.in_origin("INSERT INTO visits SELECT n, NULL, 'Lille' FROM generate_series(2001, 60000) AS n")
    shop.in_origin("UPDATE users SET notes = CASE id WHEN 1 THEN 'paul@orange.fr' END")
    shop.in_origin("VACUUM FULL")
    shop.run(HIDING, refresh="auto")
    looked.clear()
    run = shop.run(RULES, refresh="auto")
    assert run.choice.line() == "refresh: 2,000 of 62,000 rows in 1 of 2 tables"
    assert looked == [("users", ("notes",), True), ("users", ("id", "kind"), True)]
    warnings = run.plan.told(run.warnings).warnings
    assert [found.code for found in warnings] == ["column-published-as-it-is", "scan-email"]
    assert shop.read("SELECT warnings FROM etl_report.runs ORDER BY id") == [(0,), (2,)]


def test_a_strict_refresh_is_refused_and_leaves_what_is_published(shop: Place) -> None:
    shop.run(RULES, refresh="auto")
    published = seen(shop)
    shop.in_origin(EMAILS.format(2))
    (line,) = refused(shop, refresh="auto", strict_scan=True)
    assert "most of it is e-mail addresses (2 of 2 values)" in line
    assert seen(shop) == published
    assert shop.run(RULES, refresh="auto").refreshed


def test_a_refresh_of_nothing_changed_asks_nothing(shop: Place, looked: list[Any]) -> None:
    shop.run(RULES, refresh="auto")
    looked.clear()
    refreshed = shop.run(RULES, refresh="auto", scan="changed").refreshed
    assert refreshed
    assert (refreshed.brought.scanned, looked) == (None, [])


def test_a_reason_lets_a_column_pass_without_a_look_and_is_told(shop: Place, looked: list[Any]) -> None:
    shop.in_origin(EMAILS.format(2000))
    rules = RULES.replace("      - notes\n", "      - notes\n    clear_because: {notes: 'written by the town halls'}\n")
    published = shop.run(rules)
    assert ("users", ("id", "kind"), True) in looked
    assert scanned(published).findings == ()
    assert report.scan_details(published.plan)[-1] == "reason for users.notes: written by the town halls"


def test_mode_dump_looks_into_the_origin_too(shop: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(PROGRAMS["18"]), prepend=":")
    shop.in_origin(EMAILS.format(500))
    assert refused(shop, mode="dump") == [REFUSED]


def test_what_a_scan_did_not_finish_is_a_warning(shop: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clear_columns, "TIMEOUT", 0.0)
    published = shop.run(RULES)
    assert [(found.code, found.table) for found in scanned(published).findings] == [
        ("scan-unfinished", "users"),
        ("scan-unfinished", "visits"),
    ]
    assert len(published.plan.warnings) == 2


@pytest.mark.parametrize("why", ["off", "too slow", "a reason"])
def test_what_no_scan_has_looked_into_is_newly_clear_until_one_has(
    why: str, shop: Place, looked: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.in_origin(EMAILS.format(500))
    with monkeypatch.context() as patch:
        if why == "too slow":
            patch.setattr(clear_columns, "TABLE_TIMEOUT", 0.001)
        reason = RULES.replace(
            "  - table_name: visits", "    clear_because: {notes: 'for the team'}\n  - table_name: visits"
        )
        shop.run(reason if why == "a reason" else RULES, scan="off" if why == "off" else "changed")
    assert REFUSED in refused(shop)
    shop.in_origin("UPDATE users SET notes = NULL")
    shop.run(RULES)
    looked.clear()
    shop.run(RULES)
    assert looked == []


def test_a_table_that_takes_too_long_is_a_warning_too(shop: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clear_columns, "TABLE_TIMEOUT", 0.001)
    warnings = shop.run(RULES).plan.warnings
    assert len(warnings) == 2
    assert all("it takes longer than 0.001 s" in warning for warning in warnings)


@pytest.mark.parametrize(("columns", "rows"), [(1, 50_000), (10, 50_000), (100, 5_000), (5_000, 3_000)])
def test_where_all_columns_are_new_fewer_rows_of_each_are_read(
    columns: int, rows: int, shop: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    samples: set[int] = set()
    real: Callable[..., Counted] = clear_columns.count_personal

    def count(*arguments: Any, **named: Any) -> Counted:
        samples.add(named["sample"])
        return real(*arguments, **named)

    monkeypatch.setattr(clear_columns, "count_personal", count)
    monkeypatch.setattr(clear_columns, "VALUES", clear_columns.VALUES * 6 // columns)  # the shop has 6 columns
    check(shop, RULES)
    assert samples == {rows}
    check(shop, RULES, scan="full")
    assert samples == {rows, 50_000}


def test_a_newly_clear_column_whose_name_or_comment_says_that_it_is_personal_is_a_note(shop: Place) -> None:
    shop.in_origin(
        """
        ALTER TABLE users ADD COLUMN phone_number text, ADD COLUMN ref integer, ADD COLUMN login text, ADD COLUMN tel text,
                          ADD COLUMN participants integer;
        COMMENT ON COLUMN users.ref IS 'numéro de sécurité sociale';
        COMMENT ON COLUMN users.notes IS 'what the desk needs to know';
        CREATE TABLE addresses (address text PRIMARY KEY);
        """
    )
    rules = RULES.replace("- kind\n", "- kind\n      - phone_number\n      - ref\n      - tel\n      - participants\n")
    rules = rules.replace("[name]", "[name, login]") + "  - table_name: addresses\n"
    rules = rules.replace("      - notes\n", "      - notes\n    clear_because: {tel: 'the town halls'}\n")
    first = shop.run(rules)
    assert [(found.level, found.code, found.column) for found in scanned(first).findings] == [
        ("note", "scan-name", "phone_number"),
        ("note", "scan-name", "ref"),
    ]
    assert "scan-name" not in str(first.plan.warnings)
    assert scanned(shop.run(rules, scan="full")).findings == ()
