"""The table that follows a run: what is done, running and waiting, how fast, and how long it will take."""

import time

import pytest

from flows import progress
from flows.progress import Measured, Progress

MB = 1_000_000


def shown(followed: Progress) -> dict[str, str]:
    """Return the table's rows."""
    return {row["what"]: row["now"] for row in followed.rows()}


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Return the time, to be changed."""
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


def test_tables_are_waiting_then_running_then_done(clock: list[float]) -> None:
    followed = Progress("shop", {"users": 60 * MB, "visits": 30 * MB, "a\nb": 10 * MB})
    assert shown(followed) == {
        "tables done": "0 of 3",
        "running": "none",
        "waiting": "3 tables",
        "copied": "0 B of about 100 MB, 0 %",
        "speed": "0.0 MB/s",
        "time left": "not known yet",
    }
    followed.add("users", 15 * MB)
    followed.add("a\nb", 0)
    followed.complete("visits")
    clock[0] += 10
    assert shown(followed) == {
        "tables done": "1 of 3",
        "running": r"users, a\nb",
        "waiting": "0 tables",
        "copied": "45.0 MB of about 100 MB, 45 %",
        "speed": "4.5 MB/s",
        "time left": "about 12 s",
    }


def test_a_new_snapshot_starts_from_nothing(clock: list[float]) -> None:
    followed = Progress("shop", {"users": 60 * MB})
    followed.add("users", 30 * MB)
    clock[0] += 600
    followed.restart()
    followed.add("users", 6 * MB)
    clock[0] += 2
    assert (shown(followed)["speed"], shown(followed)["time left"]) == ("3.0 MB/s", "about 18 s")


def test_a_refresh_counts_what_it_brings(clock: list[float]) -> None:
    followed = Progress("shop", {})
    assert shown(followed)["copied"] == "0 B of about 0 B, 0 %"
    clock[0] += 60
    followed._artifact = "kept elsewhere"
    followed.expect({"users": 2 * MB})
    followed.add("users", MB)
    clock[0] += 1
    assert shown(followed)["tables done"] == "0 of 1"
    assert (shown(followed)["copied"], shown(followed)["time left"]) == ("1.0 MB of about 2.0 MB, 50 %", "about 1 s")


def test_a_program_tells_no_tables(clock: list[float]) -> None:
    followed = Measured("shop", "dumped", 200 * MB, lambda: 50 * MB)
    clock[0] += 3000
    assert shown(followed) == {
        "dumped": "50.0 MB of about 200 MB, 25 %",
        "speed": "0.0 MB/s",
        "time left": "about 2.5 h",
    }


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.4, "about 0 s"), (99, "about 99 s"), (100, "about 2 min"), (5999, "about 100 min"), (7200, "about 2.0 h")],
)
def test_the_time_left_has_the_unit_that_a_person_would_use(seconds: float, said: str) -> None:
    assert progress._duration(seconds) == said


@pytest.fixture
def no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have Prefect's server be away."""

    def refuse(*_: object, **__: object) -> None:
        raise ConnectionError("no server")

    monkeypatch.setattr(progress, "create_table_artifact", refuse)


@pytest.mark.usefixtures("no_server")
def test_what_was_copied_before_is_not_counted_again_once_it_is_known_what_there_is_to_copy() -> None:
    followed = Progress("shop", {})
    followed.expect({"users": MB, "visits": MB})
    followed.add("users", MB)
    followed.expect({"visits": MB})  # from a new snapshot
    assert (followed.percent, followed.tables) == (0.0, [])
    assert shown(followed)["tables done"] == "0 of 1"


@pytest.mark.usefixtures("no_server")
def test_a_server_that_takes_no_table_fails_no_run() -> None:
    with Progress("shop", {"users": MB}) as followed:
        followed.expect({"visits": MB})
        followed.complete("visits")
    assert followed.percent == 100
