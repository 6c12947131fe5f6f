"""Runs beside each other: one at a time of an app, any number of different apps, and what killed ones leave behind."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import Any

import psycopg
import pytest
from psycopg import sql
from psycopg.rows import dict_row

from multischema import download, pipeline
from multischema.catalog.objects import Readable
from multischema.errors import ConnectionLost, EtlError, LockTimeout
from multischema.job import Job, hidden_pattern, old_name, staging_name
from multischema.postgres.questions import ask
from tests.conftest import Place
from tests.support.gates import GATED_ORIGIN, GATED_RULES, Gate, eventually, gate_at, gate_in_copy

ORIGIN = """
CREATE TABLE users (id serial PRIMARY KEY, name text);
INSERT INTO users (name) SELECT 'Marie' FROM generate_series(1, 10);
"""
RULES = "tables: [{table_name: users, anonymized_column_names: [name]}]"
LOCKS = (
    "SELECT a.application_name, a.pid FROM pg_locks AS l JOIN pg_stat_activity AS a USING (pid) "
    "WHERE l.locktype = 'advisory' AND l.objsubid = 2 AND l.granted AND a.datname = current_database()"
)


class Running(threading.Thread):
    """A run in a thread of its own; `result` is what it returned or raised."""

    def __init__(self, place: Place, rules: str = RULES, **changes: Any) -> None:
        super().__init__()
        self._work: Callable[[], pipeline.Published] = lambda: place.run(rules, **changes)
        self.result: Any = None
        self.start()

    def run(self) -> None:
        """Do it."""
        try:
            self.result = self._work()
        except EtlError as error:
            self.result = error


def lock_is_free(place: Place) -> None:
    """Wait until nobody has a lock; the server frees it a moment after its session is closed."""
    eventually(lambda: place.read(LOCKS, as_="superuser") == [], "the lock is free")


def check_lock(place: Place, job: Job, waiting: Callable[[str], None]) -> None:
    """Run the check stage alone, lock and all."""
    with pipeline.open_run(job, *place.databases()) as run:
        pipeline.check(run, download.fetch(place.rules(RULES)), on_wait=waiting)


def test_a_second_run_of_an_app_waits_says_so_once_and_then_runs(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("multischema.postgres.locks._LOCK_POLL", 0.05)
    place.in_origin(ORIGIN)
    waits = threading.Semaphore(0)
    check = pipeline.check

    def check_saying_so(*arguments: Any) -> Any:
        return check(*arguments, on_wait=lambda schema: waits.release())

    monkeypatch.setattr(pipeline, "check", check_saying_so)
    with gate_at(place, "CREATE INDEX") as gate:
        first = Running(place)
        gate.reached()
        second = Running(place, lock_wait=60)
        assert waits.acquire(timeout=60)
        # it waits: nothing but the first one's staging schema is there
        assert len(place.schemas()) == 1
        gate.open()
        first.join()
        second.join()
    assert isinstance(first.result, pipeline.Published)
    assert isinstance(second.result, pipeline.Published)
    assert not waits.acquire(blocking=False)
    assert place.schemas() == {"shop"}


def test_a_second_run_of_an_app_gives_up_after_its_patience_and_leaves_the_first_alone(place: Place) -> None:
    place.in_origin(ORIGIN)
    with gate_at(place, "CREATE INDEX") as gate:
        first = Running(place)
        gate.reached()
        staging = place.schemas()
        said: list[str] = []
        for wait in (0, 1):
            with pytest.raises(LockTimeout) as raised:
                check_lock(place, place.job(lock_wait=wait), said.append)
            assert str(raised.value) == (
                f"target: another run of schema shop is still running after {wait} s; start again when it has ended"
            )
        assert said == ["shop"] * 2
        assert place.schemas() == staging
        gate.open()
        first.join()
    assert isinstance(first.result, pipeline.Published)
    lock_is_free(place)


def test_a_check_that_takes_no_lock_names_the_session_that_a_run_would_wait_for(place: Place) -> None:
    place.in_origin(ORIGIN)

    def warnings() -> list[str]:
        with pipeline.open_run(place.job(), *place.databases()) as run:
            plan = pipeline.check(run, download.fetch(place.rules(RULES)), lock=False)
        return [line for line in plan.warnings if "the lock of schema" in line]

    assert warnings() == []
    with gate_at(place, "CREATE INDEX") as gate:
        first = Running(place)
        gate.reached()
        ((_, session),) = place.read(LOCKS.replace("current_database()", f"'{place.name}'"), as_="etl")
        assert warnings() == [
            f"target: session {session} of role {place.etl} holds the lock of schema shop: another run is under way, and "
            "one that is started now waits for it"
        ]
        gate.open()
        first.join()
    assert isinstance(first.result, pipeline.Published)


@pytest.mark.slow
def test_runs_of_different_apps_go_side_by_side_on_one_target(place: Place) -> None:
    place.in_origin(ORIGIN)
    rules = place.rules(RULES)
    # names that are beginnings of one another, and one that a pattern would misread
    apps = ["a", "a_b", "a_b_0123abcd", "a.b", "shop"]
    together = threading.Barrier(len(apps))

    def has_no_lock(job: Job) -> bool:
        return job.application not in [name for name, _ in place.read(LOCKS, as_="superuser")]

    def publish_often(app: str) -> None:
        for _ in range(4):
            together.wait(60)
            job = place.job(app=app, schema=app, lock_wait=0)
            pipeline.run(job, rules, *place.databases())
            eventually(partial(has_no_lock, job), f"the lock of {app} is free")

    with ThreadPoolExecutor(len(apps)) as executor:
        for future in [executor.submit(publish_often, app) for app in apps]:
            future.result()
    assert place.schemas() == set(apps)
    for app in apps:
        assert place.read(f'SELECT count(*), count(DISTINCT name) FROM "{app}".users') == [(10, 10)]
    assert place.sessions() == {"origin": 0, "target": 0}


def test_runs_of_different_apps_do_not_wait_for_each_other(place: Place) -> None:
    place.in_origin(ORIGIN)
    with gate_at(place, "CREATE INDEX") as gate:
        first = Running(place)
        gate.reached()
        second = Running(place, app="other", schema="other")
        eventually(lambda: len(gate.waiting()) == 2, "both runs build their index")
        gate.open()
        first.join()
        second.join()
    assert place.schemas() == {"shop", "other"}


def test_a_staging_schema_that_another_app_publishes_meanwhile_is_not_taken_for_one_that_the_reader_may_use(
    place: Place,
) -> None:
    place.in_origin(ORIGIN)
    looking = {"raw": ["public"], "readers": [place.reader], "hidden": hidden_pattern()}
    with gate_at(place, "CREATE INDEX") as gate, psycopg.connect(place.target_url, row_factory=dict_row) as connection:
        run = Running(place)
        gate.reached()
        # the names that a statement sees are of its snapshot, here as old as can be; the rights must be so too
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        assert ask(connection, Readable, "reader_rights", **looking) == []
        gate.open()
        run.join()
        assert place.schemas() == {"shop"}
        assert ask(connection, Readable, "reader_rights", **looking) == []


# The lock dies with its session. A run that has lost it may not publish: another one may have begun.


def kill_lock(place: Place) -> None:
    """End the session that holds the app's lock."""
    ((_, pid),) = place.read(LOCKS, as_="superuser")
    place.in_target(f"SELECT pg_terminate_backend({pid})", superuser=True)
    lock_is_free(place)


@contextmanager
def gates(place: Place, stage: str) -> Iterator[Gate]:
    """Close a gate in the stage."""
    with gate_in_copy(place) if stage == "copy" else gate_at(place, "CREATE INDEX") as gate:
        yield gate


@pytest.mark.parametrize("stage", ["copy", "index"])
def test_a_run_whose_lock_is_lost_fails_and_publishes_nothing(stage: str, place: Place) -> None:
    place.in_origin(GATED_ORIGIN)
    with gates(place, stage) as gate:
        run = Running(place, "tables:" + GATED_RULES)
        gate.reached()
        kill_lock(place)
        gate.open()
        run.join()
    assert isinstance(run.result, ConnectionLost)
    assert str(run.result).startswith("target: publishing schema shop failed: ")
    assert place.schemas() == set()
    assert place.sessions() == {"origin": 0, "target": 0}
    lock_is_free(place)


def test_a_run_that_begins_where_another_lost_its_lock_is_the_one_that_publishes(place: Place) -> None:
    place.in_origin(ORIGIN)
    with gate_at(place, "CREATE INDEX") as gate:
        first = Running(place)
        gate.reached()
        (of_first,) = place.schemas()
        kill_lock(place)
        # The second drops what the first has built as soon as the first's statement is over.
        second = Running(place, lock_wait=0)
        eventually(lambda: place.read(LOCKS, as_="superuser") != [], "the second run has the lock")
        gate.open()
        first.join()
        second.join()
    assert isinstance(first.result, EtlError)
    assert str(first.result).startswith("target: ")
    assert isinstance(second.result, pipeline.Published)
    assert of_first not in place.schemas()
    assert place.read("SELECT count(*) FROM shop.users") == [(10,)]
    assert place.schemas() == {"shop"}


def test_the_lock_is_held_from_check_to_clean_and_free_afterwards(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.in_origin(ORIGIN)
    job = place.job()
    held = {}
    for stage in ("anonymize", "index", "verify", "publish", "clean"):
        work = getattr(pipeline, stage)

        def look(*arguments: Any, stage: str = stage, work: Any = work) -> Any:
            held[stage] = place.read(LOCKS, as_="superuser")
            result = work(*arguments)
            assert place.read(LOCKS, as_="superuser") == held[stage]
            return result

        monkeypatch.setattr(pipeline, stage, look)
    pipeline.run(job, place.rules(RULES), *place.databases())
    assert len({tuple(locks) for locks in held.values()}) == 1
    assert held["clean"][0][0] == f"multi-schema-postgres-etl shop {job.id}"
    assert len(held) == 5
    lock_is_free(place)


# What killed runs leave.


RECORD = 'multi-schema-postgres-etl masked {"copied": {"one": [], "two": []}, "truncated": {}}'
NAMES = ["a", "a_b", "a.b", "axb", "aa", "a+", "A B", "a b", 'a"b', "a\\d", "a1", "[a]", "(a|b)", "b", "été", "a^$", "a-"]


MORE_APPS = ["a.b", 'a"b', "a\\d", "(a|b)", "[a]", "a^$", "été", "a_0123abcd"]


@pytest.mark.parametrize("app", ["a", *(pytest.param(app, marks=pytest.mark.slow) for app in MORE_APPS)])
def test_a_run_drops_what_killed_runs_of_its_own_app_left_and_nothing_else(app: str, place: Place) -> None:
    place.in_origin(ORIGIN)
    own = [staging_name(app, "0123abcd"), old_name(app, "89efcdab")]
    theirs = [name(other, "4567abcd") for other in NAMES if other != app for name in (staging_name, old_name)]
    theirs += [f"etl_staging_{app}{end}" for end in ("", "_", "_0123abcd_", "_0123ABCD", "_0123abc", "\n_0123abcd")]
    theirs += [f"{beginning}_{app}_0123abcd" for beginning in ("x_etl_old", "etl_old_x", "etl_new", "etl_old_staging")]
    with psycopg.connect(place.target_url, autocommit=True) as connection:
        for schema in [*own, *theirs]:
            name, mood, one, two = (sql.Identifier(schema, *part) for part in ((), ("mood",), ("one",), ("two",)))
            connection.execute(sql.SQL("CREATE SCHEMA {}").format(name))
            connection.execute(sql.SQL("CREATE DOMAIN {} AS text").format(mood))
            connection.execute(sql.SQL("CREATE TABLE {} (id int PRIMARY KEY, mood {})").format(two, mood))
            connection.execute(sql.SQL("CREATE TABLE {} (id int REFERENCES {})").format(one, two))
            connection.execute(sql.SQL("COMMENT ON SCHEMA {} IS {}").format(name, sql.Literal(RECORD)))
    place.run(RULES, app=app, schema=app)
    assert place.schemas() == {app, *theirs}
    tables = place.read("SELECT schemaname, count(*) FROM pg_tables WHERE tablename IN ('one', 'two') GROUP BY 1")
    assert sorted(tables) == sorted((schema, 2) for schema in theirs)


def test_what_is_left_of_a_killed_run_does_not_keep_a_run_from_publishing_when_it_is_not_the_etls(place: Place) -> None:
    place.in_origin(ORIGIN)
    place.in_target("CREATE SCHEMA etl_old_shop_0123abcd; CREATE TABLE etl_old_shop_0123abcd.users (id int)", superuser=True)
    place.run(RULES)
    assert place.schemas() == {"shop", "etl_old_shop_0123abcd"}
