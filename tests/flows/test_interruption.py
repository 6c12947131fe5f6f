"""Ctrl-C and termination in the middle of the work: the command ends soon, says one line, and leaves nothing behind."""

import signal

import psycopg
import pytest

from tests.flows.conftest import SLOW_RULES, Shop, busy, fill_slow
from tests.support.servers import eventually

pytestmark = pytest.mark.slow

SOON = 25  # seconds on a busy machine; what waits for a thread that hangs takes 30 or more

# every index that the target builds takes for ever, with its locks held
SLOW_INDEXES = """
CREATE FUNCTION public.slow() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(600); END $$;
CREATE EVENT TRIGGER slow ON ddl_command_end WHEN TAG IN ('CREATE INDEX') EXECUTE FUNCTION public.slow();
"""
COPY = ("origin", "COPY")
INDEX = ("target", "CREATE UNIQUE INDEX")


@pytest.fixture
def published(shop: Shop) -> Shop:
    """Return a shop that was published yesterday, and has more rows today."""
    fill_slow(shop.place, rows=3)
    shop.place.run(SLOW_RULES, app=shop.app, schema=shop.app)
    shop.place.in_origin("INSERT INTO users (name, mood) SELECT 'Marie', 'bad' FROM generate_series(1, 5000)")
    return shop


def left_behind(shop: Shop) -> tuple[set[str], dict[str, int], int, int]:
    """Return what a run could leave: schemas, sessions, locks; and what the reader sees, the number of users."""
    ((users,),) = shop.read("SELECT count(*) FROM {}.users")
    return shop.place.schemas(), shop.place.sessions(), shop.place.locks(), users


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
@pytest.mark.parametrize(("side", "statement"), [COPY, INDEX], ids=["copy", "index"])
def test_a_command_that_is_interrupted_ends_in_one_line_and_leaves_nothing(
    side: str, statement: str, number: int, published: Shop
) -> None:
    if side == "target":
        published.place.in_origin("DELETE FROM users WHERE id > 3")
        published.place.in_target(SLOW_INDEXES, superuser=True)
    command = published.command(rules=SLOW_RULES)
    eventually(lambda: busy(published.place, side, statement))
    command.interrupt(number)
    assert command.wait(SOON) == 1
    assert command.err == "interrupted: nothing was published, the published schema is as it was\n"
    assert not [line for line in command.out.splitlines() if "error:" in line or "warning:" in line or "Traceback" in line]
    assert left_behind(published) == ({published.app}, {"origin": 0, "target": 0}, 0, 3)
    run = published.last()
    assert run["state_name"] == "Crashed"
    last = "copy users" if side == "origin" else f"index {published.app}"
    tasks = published.server.tasks(run, last)
    assert {task["state_name"] for task in tasks.values()} <= {"Completed", "Failed", "Crashed"}


def test_a_command_that_waits_for_another_run_can_be_interrupted(published: Shop) -> None:
    with psycopg.connect(published.place.target_url) as other:
        other.execute("SELECT pg_advisory_lock(6648940, hashtext(%s))", [published.app])
        command = published.command(rules=SLOW_RULES)
        eventually(lambda: "waiting for another run" in command.out)
        command.interrupt(signal.SIGINT)
        assert command.wait(SOON) == 1
        assert command.err == "interrupted: nothing was published, the published schema is as it was\n"
    assert left_behind(published) == ({published.app}, {"origin": 0, "target": 0}, 0, 3)


def test_after_a_kill_the_next_run_cleans_up_and_publishes(published: Shop) -> None:
    command = published.command(rules=SLOW_RULES)
    eventually(lambda: busy(published.place, *COPY))
    command.interrupt(signal.SIGKILL)
    command.wait()
    assert [name for name in published.place.schemas() if name.startswith(f"etl_staging_{published.app}_")]
    assert published.read("SELECT count(*) FROM {}.users") == [(3,)]
    published.place.in_origin("DELETE FROM users WHERE id > 4")
    assert published.run(SLOW_RULES).is_completed()
    # the origin's server notices within ten seconds that nobody reads any more
    eventually(lambda: left_behind(published) == ({published.app}, {"origin": 0, "target": 0}, 0, 4))
