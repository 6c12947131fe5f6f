"""What happens to servers: a refresh of rows whose transactions another history has, too, would publish a mix of both."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psutil
import psycopg
import pytest
from psycopg import sql

from demo.servers import Server
from multischema.catalog import position
from multischema.catalog.position import RESTARTED, Position
from multischema.plan import refresh as decisions
from multischema.statements import reading
from tests.conftest import TEMPORARY, Place
from tests.support.gates import eventually
from tests.support.refreshes import (
    UNGUARDED,
    any_position,
    decided,
    keep,
    kept,
    outcomes,
    publish_both,
)

pytestmark = pytest.mark.slow

ORIGIN = """
CREATE TABLE things (id int PRIMARY KEY, note text);
INSERT INTO things SELECT n, 'old' FROM generate_series(1, 9) AS n;
"""
RULES = "tables: [{table_name: things, non_anonymized_column_names: [note]}]"
BURN = "DO $$ BEGIN FOR n IN 1..{} LOOP PERFORM pg_current_xact_id(); COMMIT; END LOOP; END $$"
# no log but what a test asks for
QUIET = {"max_prepared_transactions": "5", "autovacuum": "off", "checkpoint_timeout": "1h"}


@pytest.fixture
def place(start_server: Callable[..., Server], make_place: Callable[..., Place], monkeypatch: pytest.MonkeyPatch) -> Place:
    """Return a place on servers that other tests don't use, with rows; tables may be taken whole."""
    monkeypatch.setattr(decisions, "WHOLE_SHARE", 1)
    monkeypatch.setattr(decisions, "WINDOW_SHARE", 1)
    start_server("16", "harmed", QUIET)
    place = make_place("16", "18", own="harmed")
    place.in_origin(ORIGIN)
    burn(place, 40)
    return place


def burn(place: Place, count: int) -> None:
    """Use up numbers of transactions."""
    place.in_origin(BURN.format(count))


def set_notes(place: Place, note: str, *rows: int) -> None:
    """Change rows, each in a transaction of its own."""
    for row in rows:
        place.in_origin(f"UPDATE things SET note = '{note}' WHERE id = {row}")


def asked(server: Server, question: str, database: str = "postgres") -> Any:
    """Return the value that a server gives its superuser."""
    with closing(psycopg.connect(server.url(database), autocommit=True)) as connection:
        ((value,),) = connection.execute(question.encode()).fetchall()
        return value


def copy(directory: Path, to: Path) -> None:
    """Copy a directory, with the owners of its files."""
    subprocess.run(["cp", "-a", directory, to], check=True)


def rolled_back(server: Server, directory: Path) -> Callable[[], None]:
    """Copy a server's volume; return what puts the copy back."""
    server.stop()
    copy(server.data, directory)
    server.start()

    def put_back() -> None:
        server.stop()
        shutil.rmtree(server.data)
        copy(directory, server.data)
        server.start()

    return put_back


def reset(server: Server, number: int) -> None:
    """Have a server give this number to its next transaction."""
    server.stop()
    # as root, it refuses
    account, group = (server.data.owner(), server.data.group()) if os.geteuid() == 0 else (None, None)
    subprocess.run(
        [server.bin / "pg_resetwal", "-x", str(number), "-D", server.data],
        check=True,
        capture_output=True,
        user=account,
        group=group,
    )
    segment = server.data / "pg_xact" / f"{number >> 20:04X}"
    if not segment.exists():
        segment.write_bytes(bytes(256 * 1024))
        segment.chmod(0o600)
        shutil.chown(segment, server.data.owner(), server.data.group())
    server.start()


AS_OF = "SELECT snapshot_at FROM etl_report.runs ORDER BY id DESC LIMIT 1"


@pytest.fixture
def standby(place: Place) -> Iterator[Server]:
    """Return a standby of the origin's server, which has all that it has."""
    # not in pytest's folder: each pytest that starts takes the rights of others from it, and with them the server's
    with TemporaryDirectory(prefix="standby-", dir=TEMPORARY, ignore_cleanup_errors=True) as folder:
        made = place.origin_server.standby(Path(folder) / "server")
        made.start()
        caught_up(place.origin_server, made)
        yield made
        made.kill()


def caught_up(primary: Server, standby: Server) -> None:
    """Wait until a standby has all that its primary has."""
    end = asked(primary, "SELECT pg_current_wal_flush_lsn()::text")
    eventually(lambda: asked(standby, f"SELECT pg_last_wal_replay_lsn() >= '{end}'"), "the standby's replay")


def test_a_restart_makes_the_run_full(place: Place) -> None:
    publish_both(place, RULES)
    place.origin_server.stop()
    place.origin_server.start()
    set_notes(place, "new", 1)
    assert decided(place.run(RULES, refresh="auto")) == f"full: {RESTARTED}"
    set_notes(place, "newer", 1)
    assert decided(place.run(RULES, refresh="auto")) == "things: 1 in, 1 out"


def test_a_volume_that_is_rolled_back_makes_the_run_full(place: Place, tmp_path: Path) -> None:
    roll_back = rolled_back(place.origin_server, tmp_path / "copy")
    set_notes(place, "lost", 1)
    publish_both(place, RULES)
    roll_back()
    set_notes(place, "found", 2)  # under the number of the lost one
    burn(place, 100)
    told, is_right_without = outcomes(place, RULES, any_position)
    assert told == f"full: {RESTARTED}"
    assert not is_right_without


def test_numbers_set_back_by_pg_resetwal_make_the_run_full(place: Place) -> None:
    publish_both(place, RULES)
    found = kept(place)
    assert found
    reset(place.origin_server, found["position"]["xmin"] - 20)
    set_notes(place, "new", 1)
    burn(place, 50)
    told, is_right_without = outcomes(place, RULES, any_position)
    assert told == f"full: {RESTARTED}"
    assert not is_right_without


def naive_window(patch: pytest.MonkeyPatch) -> None:
    """Have numbers of transactions be compared as if there were no end to them."""

    def window(span: tuple[int, int], *places: str | None) -> sql.Composed:
        return sql.SQL("xmin::text::bigint >= {}").format(sql.Literal(span[0] % 2**32))

    patch.setattr(reading, "window", window)


def test_numbers_of_transactions_that_begin_anew_are_in_the_window(place: Place) -> None:
    server = place.origin_server
    subprocess.run(
        [server.bin / "vacuumdb", "--all", "--freeze", "--maintenance-db", server.url()], check=True, capture_output=True
    )
    reset(server, 2**32 - 200)
    place.in_origin("UPDATE things SET note = 'older'")
    publish_both(place, RULES)
    set_notes(place, "before", 1)
    burn(place, 400)
    set_notes(place, "after", 2)
    assert asked(server, "SELECT pg_current_xact_id()::text::bigint") > 2**32
    told, is_right_without = outcomes(place, RULES, naive_window)
    assert told == "things: 2 in, 2 out"
    assert not is_right_without
    assert place.run(RULES, schema=UNGUARDED, refresh="full").choice.full

    # as if so many transactions had ended since that the numbers tell earlier from later no more
    set_notes(place, "much later", 3)
    for schema in ("shop", UNGUARDED):
        found = kept(place, schema)
        assert found
        found["position"]["xmin"] -= 2**31 + 1000
        keep(place, found, schema)
    told, is_right_without = outcomes(place, RULES, lambda patch: patch.setattr(position, "WIDEST", 2**40))
    assert told == "full: the origin has had more than 1,073,741,824 transactions since the last run"
    assert not is_right_without


def test_what_a_crash_takes_back_makes_the_run_full(place: Place) -> None:
    server = place.origin_server
    started = asked(server, "SELECT pg_postmaster_start_time()")
    writer = psutil.Process(asked(server, "SELECT pid FROM pg_stat_activity WHERE backend_type = 'walwriter'"))
    writer.suspend()
    place.in_origin("SET synchronous_commit = off; UPDATE things SET note = 'lost' WHERE id = 1")
    publish_both(place, RULES)
    before = kept(place, UNGUARDED)
    assert before
    writer.kill()  # the server kills all its sessions, and recovers

    def answers() -> bool:
        try:
            return bool(asked(server, "SELECT true"))
        except psycopg.OperationalError:
            return False

    eventually(answers, "the server's recovery")
    assert asked(server, "SELECT pg_postmaster_start_time()") == started
    assert asked(server, "SELECT count(*) FROM things WHERE note = 'lost'", place.name) == 0
    set_notes(place, "found", 2)  # under the number of the lost one
    assert asked(server, "SELECT xmin::text::int FROM things WHERE id = 2", place.name) < before["position"]["xmax"]
    burn(place, 100)
    told, is_right_without = outcomes(place, RULES, any_position)
    assert told == "full: the origin crashed since the last run, or somebody reset its statistics"
    assert not is_right_without


def test_a_failover_makes_the_run_full(place: Place, standby: Server) -> None:
    standby.stop()
    set_notes(place, "lost", 1)
    publish_both(place, RULES)
    place.origin_server.stop("immediate")
    standby.start()
    promote(standby)
    there = replace(place, origin_server=standby)
    set_notes(there, "found", 2)  # under the number of the lost one
    burn(there, 100)
    told, is_right_without = outcomes(there, RULES, any_position)
    assert told == "full: the origin failed over or was restored since the last run"
    assert not is_right_without


def promote(standby: Server) -> None:
    """Make a primary of a standby; its own record of that comes with its next checkpoint."""
    assert asked(standby, "SELECT pg_promote()")
    with closing(psycopg.connect(standby.url(), autocommit=True)) as connection:
        connection.execute("CHECKPOINT")


def test_a_standby_is_refreshed_from_until_it_is_promoted(place: Place, standby: Server) -> None:
    there = replace(place, origin_server=standby)
    with psycopg.connect(place.origin_url) as open_before:
        open_before.execute("UPDATE things SET note = 'open' WHERE id = 4")
        set_notes(place, "ended", 5)
        caught_up(place.origin_server, standby)
        publish_both(there, RULES)
    set_notes(place, "new", 1)
    place.in_origin("DELETE FROM things WHERE id = 2; INSERT INTO things VALUES (10, 'new')")
    caught_up(place.origin_server, standby)
    told, is_right_without = outcomes(
        there, RULES, lambda patch: patch.setattr(Position, "lower", property(lambda self: self.xmax))
    )
    assert told == "things: 4 in, 4 out"
    assert not is_right_without
    promote(standby)
    set_notes(there, "promoted", 1)
    assert decided(there.run(RULES, refresh="auto")) == "full: the origin was promoted, or is a standby now"
    set_notes(there, "later", 1)
    assert decided(there.run(RULES, refresh="auto")) == "things: 1 in, 1 out"


def test_what_is_read_of_a_standby_that_lags_behind_is_as_of_what_it_replayed(place: Place, standby: Server) -> None:
    there = replace(place, origin_server=standby)
    set_notes(place, "seen", 1)
    caught_up(place.origin_server, standby)
    before = datetime.now(UTC)
    there.run(RULES)
    assert there.read(AS_OF) > [(before,)]
    asked(standby, "SELECT pg_wal_replay_pause()::text")
    paused = datetime.now(UTC)
    set_notes(place, "not seen", 1)
    end = asked(place.origin_server, "SELECT pg_current_wal_flush_lsn()::text")
    eventually(lambda: asked(standby, f"SELECT pg_last_wal_receive_lsn() >= '{end}'"), "the standby's log")
    there.run(RULES)
    assert there.read(AS_OF) < [(paused,)]


def test_a_prepared_transaction_is_in_the_window(place: Place) -> None:
    place.in_origin("BEGIN; UPDATE things SET note = 'prepared' WHERE id = 1; PREPARE TRANSACTION 'doubt'")
    set_notes(place, "ended", 2)
    publish_both(place, RULES)
    place.in_origin("COMMIT PREPARED 'doubt'")
    told, is_right_without = outcomes(
        place, RULES, lambda patch: patch.setattr(Position, "lower", property(lambda self: self.xmax))
    )
    assert told == "things: 2 in, 2 out"
    assert not is_right_without


def test_a_target_restored_to_an_earlier_point_is_refreshed_from_that_point(place: Place, tmp_path: Path) -> None:
    publish_both(place, RULES)
    restore = rolled_back(place.target_server, tmp_path / "copy")
    set_notes(place, "between", 1)
    for schema in ("shop", UNGUARDED):
        assert decided(place.run(RULES, schema=schema, refresh="auto")) == "things: 1 in, 1 out"
    later = kept(place, UNGUARDED)
    assert later
    restore()
    set_notes(place, "after", 2)
    told, is_right_without = outcomes(place, RULES, lambda patch: keep(place, later, UNGUARDED))
    assert told == "things: 2 in, 2 out"
    assert not is_right_without


def test_another_database_of_the_same_name_makes_the_run_full(place: Place) -> None:
    publish_both(place, RULES)
    place.recode_origin("UTF8")
    place.in_origin(ORIGIN)
    assert decided(place.run(RULES, refresh="auto")) == "full: the origin is another database than in the last run"


OTHERWISE = {
    "system": ("1", "the origin is another database than in the last run"),
    "database": (1, "the origin is another database than in the last run"),
    "in_recovery": (True, "the origin was promoted, or is a standby now"),
    "timeline": (7, "the origin failed over or was restored since the last run"),
    "started": ("2020-01-01 00:00:00+00", RESTARTED),
    "counting_since": ("", "the origin crashed since the last run, or somebody reset its statistics"),
    "version": ("120000", "the origin has another version of Postgres than in the last run"),
    "lsn": (2**62, "the origin was set back to an earlier moment since the last run"),
    "xmax": (2**62, "the origin was set back to an earlier moment since the last run"),
}


def test_each_part_of_a_position_that_is_another_makes_the_run_full(place: Place) -> None:
    for part, (value, reason) in OTHERWISE.items():
        place.run(RULES)
        found = kept(place)
        assert found
        found["position"][part] = value
        keep(place, found)
        assert decided(place.run(RULES, refresh="auto")) == f"full: {reason}"
