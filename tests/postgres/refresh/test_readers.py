"""Readers of a refresh see the old rows or the new ones, never a mix, and wait for nothing; runs of other apps neither."""

import threading
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from multischema import pipeline
from tests.conftest import Place
from tests.support import ledger
from tests.support.gates import PATIENCE
from tests.support.runs import Running

# modes that a SELECT waits for, or that would have others wait for a SELECT
LOCKS = """
SELECT n.nspname::text, c.relname::text, l.mode
FROM pg_locks AS l
JOIN pg_class AS c ON c.oid = l.relation
JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE l.pid = {} AND l.granted AND n.nspname IN ('shop', 'board') ORDER BY 1, 2, 3
"""
BOARD = """
CREATE VIEW board.balances AS SELECT id, balance FROM shop.accounts;
CREATE MATERIALIZED VIEW board.sums AS SELECT account_id, sum(amount) FROM shop.entries GROUP BY 1;
CREATE UNIQUE INDEX ON board.sums (account_id);
CREATE VIEW board.on_sums AS SELECT s.* FROM board.sums AS s JOIN board.balances AS b ON b.id = s.account_id;
"""


def test_a_reader_of_two_tables_sees_the_old_sums_or_the_new_ones_and_never_waits_for_a_lock(place: Place) -> None:
    ledger.publish(place)
    ledger.analyst(place)
    ledger.build(place, BOARD)
    refreshes, stop, began = 5, threading.Event(), threading.Event()

    def read() -> list[tuple[int, ...]]:
        sums = []
        with psycopg.connect(place.reader_url, autocommit=True, options="-c lock_timeout=1ms") as connection:
            while not stop.is_set():
                query = f"SELECT *, (SELECT sum(sum) FROM board.on_sums) FROM ({ledger.SUMS}) AS s"
                (row,) = connection.execute(query.encode()).fetchall()
                sums.append(row)
                began.set()
        return sums

    with ThreadPoolExecutor() as executor:
        reading = executor.submit(read)
        try:
            assert began.wait(PATIENCE)
            for number in range(1, refreshes + 1):
                ledger.change(place, number)
                assert place.run(ledger.RULES, refresh="auto").choice.line().startswith("refresh: ")
        finally:
            stop.set()
        sums = reading.result(PATIENCE)
    assert len(set(sums)) == refreshes + 1
    assert all(len(set(row)) == 1 for row in sums), set(sums)
    assert sums == sorted(sums)  # and never the old ones again


def test_a_refresh_holds_no_lock_that_a_reader_waits_for_or_that_waits_for_a_reader(place: Place) -> None:
    ledger.publish(place)
    ledger.analyst(place)
    ledger.build(place, BOARD)
    ledger.change(place)
    with ledger.held(place, "LOCK TABLE etl_state.published IN SHARE MODE") as gate:
        run = Running(place, text=ledger.RULES, refresh="auto")
        pid = ledger.waiting(place, "etl_state.published")
        locks = place.read(LOCKS.format(pid), as_="superuser")
        with psycopg.connect(place.reader_url, options="-c lock_timeout=1ms") as reader:
            for name in ("shop.accounts", "shop.entries", "shop.quiet", "board.balances", "board.sums", "board.on_sums"):
                reader.execute(f"SELECT count(*) FROM {name}".encode())
        gate.close()
        assert run.ended().choice.line().startswith("refresh: ")
    of_tables = {mode for schema, name, mode in locks if schema == "shop"}
    assert {"AccessShareLock", "RowExclusiveLock"} == of_tables
    of_views = {(name, mode) for schema, name, mode in locks if schema == "board"}
    assert ("sums", "ExclusiveLock") in of_views  # which a SELECT does not wait for
    assert "AccessExclusiveLock" not in {mode for _, mode in of_views}
    assert {mode for name, mode in of_views if name in ("balances", "on_sums")} <= {"AccessShareLock"}


def test_a_transaction_that_has_read_every_table_neither_stops_a_refresh_nor_sees_its_rows_in_an_open_cursor(
    place: Place,
) -> None:
    ledger.publish(place)
    ledger.analyst(place)
    ledger.build(place, BOARD)
    with psycopg.connect(place.reader_url) as reader:
        for name in ("shop.quiet", "board.balances", "board.sums", "board.on_sums"):
            reader.execute(f"SELECT count(*) FROM {name}".encode())
        reader.execute("DECLARE balances CURSOR FOR SELECT balance FROM shop.accounts")
        reader.execute("DECLARE amounts CURSOR FOR SELECT amount FROM shop.entries")
        first = reader.execute("FETCH 10 FROM balances").fetchall() + reader.execute("FETCH 10 FROM amounts").fetchall()
        ledger.change(place)
        assert ledger.refresh(place).choice.line().startswith("refresh: ")
        # of a transaction of READ COMMITTED a new statement sees what is published by now, and the cursor what was
        assert reader.execute(ledger.SUMS.encode()).fetchall() == [(3024, 3024)]
        rest = reader.execute("FETCH ALL FROM balances").fetchall() + reader.execute("FETCH ALL FROM amounts").fetchall()
    assert sum(value for (value,) in first + rest) == 2 * 3000


def test_a_refresh_waits_for_another_run_of_the_app_and_then_finds_nothing_to_do(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("multischema.postgres.locks._LOCK_POLL", 0.05)
    ledger.publish(place)
    ledger.change(place)
    waits = threading.Event()
    check = pipeline.check
    monkeypatch.setattr(pipeline, "check", lambda *given: check(*given, on_wait=lambda schema: waits.set()))
    with ledger.held(place, "LOCK TABLE etl_state.published IN SHARE MODE") as gate:
        first = Running(place, text=ledger.RULES, refresh="auto")
        ledger.waiting(place, "etl_state.published")
        second = Running(place, text=ledger.RULES, refresh="auto", lock_wait=60)
        assert waits.wait(PATIENCE)
        gate.close()
        assert first.ended().choice.line().startswith("refresh: ")
        assert second.ended().choice.line().startswith("nothing changed")
    ledger.as_a_full_run_would(place)


def test_a_full_run_and_a_refresh_of_another_app_go_side_by_side_and_both_are_remembered(place: Place) -> None:
    ledger.publish(place)
    place.run(ledger.RULES, app="other", schema="other", refresh="auto")
    ledger.change(place)
    with ledger.held(place, "LOCK TABLE shop.accounts IN SHARE MODE") as gate:
        refreshing = Running(place, text=ledger.RULES, refresh="auto")
        ledger.waiting(place, "shop.accounts")
        full = place.run(ledger.RULES, app="other", schema="other", refresh="full")
        assert full.choice.line() == "full: asked for"
        gate.close()
        assert refreshing.ended().choice.line().startswith("refresh: ")
    ledger.change(place, 2)
    for app in ("shop", "other"):
        done = place.run(ledger.RULES, app=app, schema=app, refresh="auto")
        assert done.choice.line().startswith("refresh: "), app
    in_both = "SELECT count(*) FROM shop.accounts AS a FULL JOIN other.accounts AS b USING (id, balance, slug, owner)"
    assert place.read(in_both) == [(1000,)]
    assert place.schemas() == {"shop", "other"}


def test_two_first_runs_at_once_make_the_place_for_what_they_remember_together(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.in_origin(ledger.ORIGIN)
    rules = place.rules(ledger.RULES)
    together = threading.Barrier(3)
    prepare = pipeline.anonymize

    def meet(*given: object) -> object:
        together.wait(PATIENCE)
        return prepare(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(pipeline, "anonymize", meet)
    apps = ("shop", "other", "third")
    with ThreadPoolExecutor() as executor:
        runs = [
            executor.submit(pipeline.run, place.job(app=app, schema=app, refresh="auto"), rules, *place.databases())
            for app in apps
        ]
        assert {run.result().choice.full for run in runs} == {"nothing is published yet"}
    monkeypatch.undo()
    ledger.change(place)
    for app in apps:
        done = place.run(ledger.RULES, app=app, schema=app, refresh="auto")
        assert done.choice.line().startswith("refresh: "), app
