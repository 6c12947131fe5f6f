"""Runs that fail: one line that says why, in the terminal and in Prefect; only what may pass is tried again."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import psutil
import psycopg
import pytest

from flows import stages
from flows.etl import etl
from multischema.errors import EtlError, RulesError
from multischema.postgres import database, sessions
from multischema.postgres.sessions import Sessions
from tests.conftest import PROGRAMS, Place
from tests.flows.conftest import SLOW, SLOW_RULES, Shop, busy, fill_slow
from tests.support.proxy import proxied
from tests.support.servers import eventually

pytestmark = pytest.mark.slow

ORIGIN = "CREATE TABLE users (id serial PRIMARY KEY, name text); INSERT INTO users (name) VALUES ('Marie')"
RULES = "tables: [{table_name: users, anonymized_column_names: [name]}]"
WITHOUT_NAME = "tables: [{table_name: users, anonymized_column_names: [id]}]"
# no row comes, until the function is replaced
STUCK = 600.0
QUICK = """CREATE OR REPLACE FUNCTION slow(mood) RETURNS json LANGUAGE sql AS $$ SELECT json '"fine"' $$"""
ENDED = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = %s AND {}"


def end_sessions(place: Place, side: str, which: str) -> int:
    """End the sessions of a run on one side and return how many there were: what is to be cut may not have begun."""
    server = place.origin_server if side == "origin" else place.target_server
    with psycopg.connect(server.url(), autocommit=True) as connection:
        ((ended,),) = connection.execute(ENDED.format(which).encode(), [place.name]).fetchall()
    return int(ended)


def names_of_children() -> set[str]:
    """Return the names of the processes that this one has started and that are still there."""
    names = set()
    for child in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            names.add(child.name())
    return names


@contextmanager
def meanwhile(do: object) -> Iterator[None]:
    """Do something in another thread; what goes wrong there fails the test."""
    wrong: list[BaseException] = []

    def work() -> None:
        try:
            do()  # type: ignore[operator]
        except BaseException as error:
            wrong.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        thread.join()
    assert not wrong, wrong[0]


def test_a_failed_run_is_failed_in_prefect_with_the_line_that_says_why(shop: Shop) -> None:
    shop.place.in_origin(ORIGIN)
    state = shop.run("tables: all")
    assert isinstance(state.result(raise_on_failure=False), RulesError)
    run = shop.last()
    assert (run["state_type"], run["state_name"]) == ("FAILED", "Failed")
    why = str(state.result(raise_on_failure=False))
    assert "\n" not in why
    assert run["state"]["message"] == why
    with pytest.raises(RulesError, match=r"^rules: "):
        etl(**shop.parameters("tables: all"))
    assert shop.place.schemas() == set()
    assert shop.place.sessions() == {"origin": 0, "target": 0}


def test_no_log_line_of_a_failed_run_has_a_traceback(shop: Shop) -> None:
    shop.place.in_origin(ORIGIN)
    shop.run(WITHOUT_NAME)
    lines = shop.server.logs(shop.last(), "Finished in state Failed")
    assert len([line for line in lines if line["message"].startswith(f"origin {shop.app}: missing rule for column")]) == 1
    shop.register(ORIGIN_DB_URL="mysql://localhost/shop")
    shop.run(RULES)
    lines = shop.server.logs(shop.last(), "Finished in state Failed")
    assert len([line for line in lines if line["message"].startswith(f"origin {shop.app}: this is not a Postgres URL")]) == 1
    assert not [line["message"] for line in lines if "Traceback" in line["message"] or 'File "' in line["message"]]


def test_an_error_that_is_not_ours_is_told_in_the_state_without_its_text_and_in_the_log_with_it(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise ValueError("bad date 'Marie 1970-01-01'")

    monkeypatch.setattr(stages, "open_run", fail)
    with pytest.raises(ValueError, match="Marie"):
        etl(**shop.parameters(RULES))
    run = shop.last()
    assert (run["state_type"], run["state_name"]) == ("FAILED", "Failed")
    assert run["state"]["message"] == "ValueError: unexpected; see the run's log"
    logged = [line["message"] for line in shop.server.logs(run, "Finished in state Failed")]
    (line,) = [line for line in logged if "Traceback" in line]
    assert line.endswith("ValueError: bad date 'Marie 1970-01-01'")
    assert not [line for line in logged if "Marie" in line and "Traceback" not in line]


def test_a_command_that_fails_says_one_line_and_ends_with_status_1(shop: Shop) -> None:
    shop.place.in_origin(ORIGIN)
    command = shop.command("--rules", "nowhere.yml")
    assert command.wait() == 1
    assert command.err == "error: rules: nowhere.yml: no such file or directory; want a readable file or an https URL\n"
    (line,) = command.out.splitlines()
    assert line.endswith(f", schema {shop.app}")


@pytest.mark.parametrize("rules", ["users: all", WITHOUT_NAME])
def test_an_error_in_the_rules_is_not_tried_again(rules: str, shop: Shop) -> None:
    shop.place.in_origin(ORIGIN)
    shop.run(rules)
    task = shop.server.tasks(shop.last(), f"check {shop.app}")[f"check {shop.app}"]
    assert task["run_count"] == 1
    assert shop.server.states(task) == ["Pending", "Running", "Failed"]


def test_a_missing_right_is_not_tried_again(shop: Shop) -> None:
    shop.place.in_origin(ORIGIN)
    shop.place.in_origin(f"ALTER TABLE users OWNER TO postgres; REVOKE ALL ON users FROM {shop.place.app}", superuser=True)
    state = shop.run(RULES)
    assert "may not SELECT table users" in str(state.result(raise_on_failure=False))
    assert shop.server.tasks(shop.last(), f"check {shop.app}")[f"check {shop.app}"]["run_count"] == 1


def test_a_lost_connection_to_the_target_copies_that_table_again(shop: Shop) -> None:
    fill_slow(shop.place, rows=100)

    def cut() -> None:
        eventually(lambda: end_sessions(shop.place, "target", "state = 'active' AND query LIKE 'COPY%%users%%'"))

    with meanwhile(cut):
        state = shop.run(SLOW_RULES)
    assert state.is_completed()
    run = shop.last()
    assert run["state_name"] == "Completed"
    tasks = shop.server.tasks(run, f"clean {shop.app}")
    assert tasks["copy users"]["run_count"] == 2
    assert shop.server.states(tasks["copy users"]) == ["Pending", "Running", "AwaitingRetry", "Retrying", "Completed"]
    assert tasks["copy visits"]["run_count"] == 1
    assert shop.read("SELECT count(*), count(DISTINCT id), min(told ->> 'mood') FROM {}.users") == [(100, 100, "fine")]
    warnings = [line["message"] for line in shop.server.logs(run, "report of") if line["level"] == 30]
    assert len(warnings) == 1
    assert warnings[0].startswith("target: copying users failed: ")
    assert warnings[0].endswith("; trying again")


def test_a_lost_snapshot_copies_everything_again_from_a_new_one(shop: Shop) -> None:
    fill_slow(shop.place, 50, STUCK)

    def cut() -> None:
        eventually(lambda: busy(shop.place, "origin", "COPY"))
        shop.place.in_origin("INSERT INTO users (name, mood) VALUES ('Jean', 'good')")
        shop.place.in_origin(QUICK)
        assert end_sessions(shop.place, "origin", "application_name LIKE 'multi-schema%%'")

    with meanwhile(cut):
        state = shop.run(SLOW_RULES, jobs=1)
    assert state.is_completed()
    # what came between the two snapshots is there: nothing of the first is left
    assert shop.read("SELECT count(*), count(DISTINCT id) FROM {}.users") == [(51, 51)]
    assert shop.read("SELECT count(*) FROM {}.visits") == [(100,)]
    lines = [line["message"] for line in shop.server.logs(shop.last(), "report of")]
    again = [line for line in lines if line.endswith("; copying again from a new snapshot")]
    assert again == [f"origin {shop.app}: the snapshot is gone: its session was ended; copying again from a new snapshot"]
    assert shop.place.schemas() == {shop.app}


def test_a_snapshot_that_is_lost_each_time_fails_the_run(shop: Shop) -> None:
    fill_slow(shop.place, 50, STUCK)
    over = threading.Event()

    def cut() -> None:
        while not over.wait(0.2):
            if busy(shop.place, "origin", "COPY"):
                end_sessions(shop.place, "origin", "application_name LIKE 'multi-schema%%'")

    with meanwhile(cut):
        try:
            state = shop.run(SLOW_RULES)
        finally:
            over.set()
    assert state.is_failed()
    assert isinstance(state.result(raise_on_failure=False), EtlError)
    assert shop.place.schemas() == set()
    assert shop.place.sessions() == {"origin": 0, "target": 0}


@pytest.mark.parametrize("mode", ["stream", "dump"])
def test_a_link_that_stalls_is_given_up_and_the_work_done_again_on_another(
    mode: str, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "HEARTBEAT", 0.3)
    monkeypatch.setattr(sessions, "CANCEL_TIMEOUT", 1)
    monkeypatch.setattr(database, "CONNECT_TIMEOUT", 2)
    monkeypatch.setenv("PATH", str(PROGRAMS["18"]), prepend=":")
    if mode == "stream":
        fill_slow(shop.place, rows=50)
    else:  # pg_dump calls no such function, and no target has one
        shop.place.in_origin(SLOW.format(rows=50, seconds=0))
    answers, silences = Sessions._answers, []
    with proxied(shop.place.origin_server.port) as proxy:
        shop.register(ORIGIN_DB_URL=proxy.url(shop.place.origin_url))
        proxy.stall_at_answer(b"." * 99)

        def serve_new_connections_after_two_silences(*arguments: Any) -> bool:
            found = answers(*arguments)
            if not found:
                silences.append(found)
                if len(silences) == 2:
                    proxy.cut()
                    proxy.go_on()
            return found

        # as a tunnel that is opened anew; what it had taken is lost
        monkeypatch.setattr(Sessions, "_answers", serve_new_connections_after_two_silences)
        state = shop.run(SLOW_RULES, mode=mode)
        assert proxy.stalled.is_set()
    assert state.is_completed()
    assert shop.read("SELECT count(*), count(DISTINCT id) FROM {}.users") == [(50, 50)]
    doing = "copying users" if mode == "stream" else "dump"
    lines = [line["message"] for line in shop.server.logs(shop.last(), "report of") if line["level"] == 30]
    assert any(line.startswith(f"origin {shop.app}: {doing} failed: ") and line.endswith("; trying again") for line in lines)
    assert "pg_dump" not in names_of_children()


def test_a_run_says_that_it_waits_for_another_and_gives_up_after_its_patience(shop: Shop) -> None:
    shop.place.in_origin(ORIGIN)
    with psycopg.connect(shop.place.target_url) as other:
        other.execute("SELECT pg_advisory_lock(6648940, hashtext(%s))", [shop.app])
        state = shop.run(RULES, lock_wait=1)
    assert str(state.result(raise_on_failure=False)) == (
        f"target: another run of schema {shop.app} is still running after 1 s; start again when it has ended"
    )
    assert shop.place.schemas() == set()
    lines = [line["message"] for line in shop.server.logs(shop.last(), "waiting for another run")]
    assert f"waiting for another run of schema {shop.app}, at most 1 s" in lines
