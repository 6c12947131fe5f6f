"""The statements of the history of runs."""

from datetime import UTC, datetime

from multischema.plan.history import COLUMNS, RUNS, TABLES, Ran
from multischema.statements import history

ALL = {table: tuple(columns) for table, columns in COLUMNS.items()}


def test_nothing_of_the_history_is_ever_dropped_or_replaced() -> None:
    ran = Ran("full", datetime(2026, 1, 1, tzinfo=UTC), 1, 2, 0.5, 3, {"users": 1}, {"users": ("name",)})
    made = [
        *history.create_schema("r"),
        *history.complete("r", {RUNS: (), TABLES: ()}),
        *history.complete("r", {RUNS: ("id",), TABLES: ("run",)}),
        *history.grant("r", "metabase"),
        history.hold("r"),
        history.add("r", "rdvs", "rdvs", "1.0.0", ran),
    ]
    words = [
        word for statement in made for word in ("DROP", "REPLACE", "TRUNCATE", "RENAME") if word in statement.as_string()
    ]
    assert words == []


def test_what_is_there_is_left_alone_and_what_lacks_is_added() -> None:
    assert history.complete("r", ALL) == []
    present = {**ALL, RUNS: tuple(name for name in ALL[RUNS] if name != "warnings"), TABLES: (*ALL[TABLES], "later")}
    assert [statement.as_string() for statement in history.complete("r", present)] == [
        'ALTER TABLE "r"."runs" ADD COLUMN IF NOT EXISTS "warnings" integer'
    ]


def test_names_are_quoted_and_a_run_without_tables_writes_one_row() -> None:
    ran = Ran("refresh", None, 1, 2, 0.5, 3, {"it's %s": 1}, {"it's %s": ('"', "é")})
    assert "('it''s %s', 1::bigint, " in history.add("r", "rdvs", "rdvs", "1.0.0", ran).as_string()
    bare = history.add("r", "rdvs", "rdvs", "1.0.0", Ran("refresh", None, 1, 2, 0.5, 3, {}, {})).as_string()
    assert "tables" not in bare
    assert "NULL" in bare
