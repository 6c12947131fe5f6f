"""Tables that lost too many rows are not published, unless somebody says that it is right; nothing changes then."""

from pathlib import Path
from typing import Any

import pytest

from multischema import pipeline
from multischema.errors import CheckError, VerifyError
from tests.conftest import Place
from tests.support import ledger
from tests.support.dumps import backup

ORIGIN = """
CREATE TABLE users (id int PRIMARY KEY, name text);
CREATE TABLE visits (id int PRIMARY KEY, place text);
CREATE TABLE few (id int PRIMARY KEY, place text);
CREATE TABLE filling (id int PRIMARY KEY, place text);
INSERT INTO users SELECT n, 'Marie' FROM generate_series(1, 400) AS n;
INSERT INTO visits SELECT n, 'Paris' FROM generate_series(1, 1500) AS n;
INSERT INTO few SELECT n, 'Paris' FROM generate_series(1, 99) AS n;
INSERT INTO filling SELECT n, repeat('Paris', 20) FROM generate_series(1, 9000) AS n;
"""
RULES = """
tables:
  - table_name: users
    anonymized_column_names: [name]
  - table_name: visits
    non_anonymized_column_names: [place]
  - table_name: few
    non_anonymized_column_names: [place]
  - table_name: filling
    non_anonymized_column_names: [place]
"""
ROWS = "SELECT (SELECT count(*) FROM shop.users), (SELECT count(*) FROM shop.visits), (SELECT count(*) FROM shop.few)"
WAYS = [{"refresh": "full"}, {"refresh": "auto"}]


def run(place: Place, rules: str = RULES, **changes: Any) -> pipeline.Published:
    """Publish the origin, with the thresholds that runs have unless told otherwise."""
    return place.run(rules, **{"drop_rows": 100, "drop_percent": 50, **changes})


def published(place: Place) -> Place:
    """Publish the origin with a run that remembers what it saw."""
    place.in_origin(ORIGIN)
    run(place, refresh="auto")
    return place


def line(table: str, rows: int, before: str, share: str, percent: int = 50, side: str = "origin shop") -> str:
    """Return the line about a table that would lose too many rows."""
    return (
        f"target: table {table} would hold {rows:,} rows; {before} were published: {share} of them are gone, and "
        f"drop_percent is {percent}; look into {side}; if that is right, start again with accept_drop "
        f"(--accept-drop {table})"
    )


def refused(place: Place, rules: str = RULES, **changes: Any) -> list[str]:
    """Return the lines of a run that does not publish, which leaves all as it was."""
    before = ledger.rows(place), ledger.standing(place)
    with pytest.raises(VerifyError) as failed:
        run(place, rules, **changes)
    assert (ledger.rows(place), ledger.standing(place)) == before
    assert place.schemas() == {"shop"}
    return str(failed.value).splitlines()


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_tables_that_lost_too_many_rows_are_named_and_nothing_is_published(place: Place, way: dict[str, str]) -> None:
    published(place)
    place.in_origin("DELETE FROM users WHERE id > 12; DELETE FROM visits; DELETE FROM few; DELETE FROM filling WHERE id = 1")
    assert refused(place, **way) == [line("users", 12, "400", "97 %"), line("visits", 0, "1,500", "all")]
    assert refused(place, accept_drop=("visits",), **way) == [line("users", 12, "400", "97 %")]
    run(place, accept_drop=("visits", "users"), **way)
    assert place.read(ROWS) == [(12, 0, 0)]


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_what_was_lost_to_an_outage_comes_back_without_a_word(place: Place, way: dict[str, str]) -> None:
    published(place)
    place.in_origin("CREATE TABLE away AS TABLE users; DELETE FROM users")
    assert refused(place, **way, rules=RULES + "  - {table_name: away, truncated: true}") == [line("users", 0, "400", "all")]
    place.in_origin("INSERT INTO users TABLE away; DROP TABLE away")
    run(place, **way)
    assert place.read(ROWS) == [(400, 1500, 99)]


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_a_table_that_was_published_empty_may_fill_again(place: Place, way: dict[str, str]) -> None:
    published(place)
    place.in_origin("DELETE FROM users")
    run(place, accept_drop=("users",), **way)
    place.in_origin("INSERT INTO users SELECT n, 'Marie' FROM generate_series(1, 150) AS n")
    run(place, **way)
    assert place.read(ROWS) == [(150, 1500, 99)]


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_half_of_the_rows_may_go_and_one_more_may_not(place: Place, way: dict[str, str]) -> None:
    published(place)
    place.in_origin("DELETE FROM users WHERE id > 200")
    run(place, **way)
    assert place.read(ROWS) == [(200, 1500, 99)]
    place.in_origin("DELETE FROM users WHERE id >= 100")
    assert refused(place, **way) == [line("users", 99, "200", "50 %")]


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_thresholds_are_parameters_and_at_100_percent_only_an_empty_table_is_a_drop(
    place: Place, way: dict[str, str]
) -> None:
    published(place)
    place.in_origin("DELETE FROM users WHERE id > 1; DELETE FROM few")
    run(place, drop_percent=100, **way)
    assert place.read(ROWS) == [(1, 1500, 0)]
    place.in_origin("DELETE FROM visits WHERE id > 1480")
    assert refused(place, drop_percent=1, **way) == [line("visits", 1480, "1,500", "1 %", percent=1)]
    run(place, drop_percent=1, drop_rows=1501, **way)
    place.in_origin("DELETE FROM users")
    assert refused(place, drop_percent=100, drop_rows=1, **way) == [line("users", 0, "1", "all", percent=100)]


def test_a_table_that_a_refresh_takes_whole_is_no_exception(place: Place) -> None:
    published(place)
    place.in_origin("TRUNCATE users; INSERT INTO users VALUES (1, 'Pierre')")
    assert refused(place, refresh="auto") == [line("users", 1, "400", "99 %")]


def test_what_the_rules_and_the_catalog_say_is_no_drop(place: Place) -> None:
    """A table that is truncated now, one that is gone, one that has another name."""
    published(place)
    place.in_origin("DROP TABLE few; ALTER TABLE visits RENAME TO stays")
    truncating = RULES.replace("    anonymized_column_names: [name]", "    truncated: true").replace("visits", "stays")
    run(place, truncating.replace("  - table_name: few\n    non_anonymized_column_names: [place]\n", ""))
    assert place.read("SELECT (SELECT count(*) FROM shop.users), (SELECT count(*) FROM shop.stays)") == [(0, 1500)]
    run(
        place,
        RULES.replace("visits", "stays").replace("  - table_name: few\n    non_anonymized_column_names: [place]\n", ""),
    )
    assert place.read("SELECT count(*) FROM shop.users") == [(400,)]


def test_rows_of_partitions_count_for_their_root(place: Place) -> None:
    place.in_origin(
        """
        CREATE TABLE parts (id int, month int, PRIMARY KEY (id, month)) PARTITION BY LIST (month);
        CREATE TABLE parts_1 PARTITION OF parts FOR VALUES IN (1);
        CREATE TABLE parts_2 PARTITION OF parts FOR VALUES IN (2);
        INSERT INTO parts SELECT n, n % 3 / 2 + 1 FROM generate_series(1, 300) AS n;
        """
    )
    rules = "tables: [{table_name: parts}]"
    run(place, rules)
    place.in_origin("ALTER TABLE parts DETACH PARTITION parts_1; DROP TABLE parts_1")
    assert refused(place, rules) == [line("parts", 100, "300", "66 %")]


@pytest.mark.parametrize(
    "forget",
    [
        "DROP SCHEMA etl_report CASCADE",
        "DELETE FROM etl_state.published",
        "DROP SCHEMA etl_state CASCADE",
        # of another table of that name: somebody replaced it
        "CREATE TABLE shop.other AS TABLE shop.users; DROP TABLE shop.users; ALTER TABLE shop.other RENAME TO users",
    ],
)
def test_where_no_run_recorded_what_is_published_it_is_counted(place: Place, forget: str) -> None:
    published(place)
    place.in_target(forget)
    place.in_origin("DELETE FROM users WHERE id > 12")
    with pytest.raises(VerifyError) as failed:
        run(place)
    assert str(failed.value) == line("users", 12, "400", "97 %")


def test_the_schema_of_the_tool_before_this_one_counts_as_published(place: Place) -> None:
    place.in_origin(ORIGIN)
    place.in_target(
        "CREATE SCHEMA shop; CREATE TABLE shop.users AS SELECT n AS id, 'x' AS name FROM generate_series(1, 1000) AS n"
    )
    with pytest.raises(VerifyError) as failed:
        run(place, adopt=True)
    assert str(failed.value) == line("users", 400, "1,000", "60 %")
    run(place, adopt=True, accept_drop=("users",))
    assert place.read(ROWS) == [(400, 1500, 99)]


def test_runs_whose_history_is_elsewhere_count_too(place: Place) -> None:
    published(place)
    place.in_origin("INSERT INTO users SELECT n, 'Marie' FROM generate_series(401, 9000) AS n")
    run(place, report_schema="elsewhere")
    place.in_origin("DELETE FROM users WHERE id > 300")
    with pytest.raises(VerifyError) as failed:
        run(place)
    assert str(failed.value) == line("users", 300, "9,000", "96 %")


def test_what_was_recorded_of_a_schema_before_an_adopted_one_does_not_count(place: Place) -> None:
    published(place)
    place.in_target("DROP SCHEMA shop CASCADE; CREATE SCHEMA shop")
    place.in_origin("DELETE FROM users")
    run(place, adopt=True)
    assert place.read(ROWS) == [(0, 1500, 99)]


def test_a_schema_that_is_not_published_any_more_is_no_measure(place: Place) -> None:
    published(place)
    place.in_target("DROP SCHEMA shop CASCADE")
    place.in_origin("DELETE FROM users")
    run(place)
    assert place.read(ROWS) == [(0, 1500, 99)]


@pytest.mark.slow
def test_dumps_and_backups_are_measured_too(place: Place, tmp_path: Path, private: Path) -> None:
    published(place)
    place.in_origin("DELETE FROM users WHERE id > 12")
    assert refused(place, mode="dump") == [line("users", 12, "400", "97 %")]
    file = backup(place, tmp_path / "backup.tar", "--format=tar")
    (found,) = refused(place, from_dump=str(file))
    assert found.startswith("target: table users would hold 12 rows; 400 were published: 97 % of them are gone")
    run(place, from_dump=str(file), accept_drop=("users",))
    assert place.read(ROWS) == [(12, 1500, 99)]


def test_names_to_accept_are_published_tables(place: Place) -> None:
    place.in_origin(ORIGIN)
    with pytest.raises(CheckError) as failed:
        run(place, accept_drop=("users", "visit", "elsewhere.users"))
    assert str(failed.value).splitlines() == [
        "accept_drop: visit is no published table (did you mean visits?); name a table of schema shop",
        "accept_drop: elsewhere.users is no published table (did you mean users?); name a table of schema shop",
    ]
