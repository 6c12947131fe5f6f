"""Faults in each step of a refresh: what is published, remembered and granted stays, and the next run needs no help."""

import re
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psycopg
import pytest
from psycopg import sql

from multischema.errors import ConnectionLost, DatabaseError
from multischema.pipeline import Published
from tests.conftest import Place
from tests.support import ledger
from tests.support.disks import may_mount, small_disk
from tests.support.gates import PATIENCE, eventually, gate_at
from tests.support.processes import process
from tests.support.runs import Running, behind_proxy, no_sessions, session_of, terminate

BOARD = """
CREATE MATERIALIZED VIEW board.sums AS SELECT account_id, sum(amount) FROM shop.entries GROUP BY 1;
CREATE UNIQUE INDEX ON board.sums (account_id);
"""


@dataclass(frozen=True)
class Moment:
    """A moment of a refresh: what the run has sent to a server; whether what it brought is published then."""

    step: str
    side: str
    sent: bytes
    published: bool = False

    def __str__(self) -> str:
        return self.step


MOMENTS = [
    Moment("comparing", "origin", rb"AS window"),
    Moment("counting what is published", "target", rb"count\(\*\) AS rows FROM ONLY .shop"),
    Moment("making tables for the window", "target", rb"CREATE TABLE"),
    Moment("sending the window", "origin", rb"COPY \(SELECT .*xmin"),
    Moment("receiving the window", "target", rb"COPY .etl_staging_shop"),
    Moment("comparing keys", "target", rb"AS old JOIN"),
    Moment("making tables for keys", "target", rb"AS old JOIN.*CREATE TABLE"),
    Moment("sending keys", "origin", rb"COPY \(SELECT .id. FROM"),
    Moment("receiving keys", "target", rb"AS old JOIN.*COPY .etl_staging_shop"),
    Moment("comparing the catalog", "origin", rb"COPY.*relfilenode"),
    Moment("verifying", "target", rb"count\(\*\) FILTER"),
    Moment("deleting what is replaced", "target", rb"DELETE FROM [^;]* USING"),
    Moment("deleting what is gone", "target", rb"WHERE NOT EXISTS \(SELECT FROM .etl_staging_shop"),
    Moment("inserting", "target", rb"INSERT INTO .shop"),
    Moment("refreshing a view", "target", rb"REFRESH MATERIALIZED VIEW"),
    Moment("recording", "target", rb"INSERT INTO etl_state"),
    Moment("writing the history", "target", rb"INSERT INTO .etl_report"),
    Moment("committing", "target", rb"INSERT INTO .etl_report.*COMMIT", published=True),
    Moment("dropping", "target", rb"DROP TABLE", published=True),
]
(PUBLISHING,) = (moment for moment in MOMENTS if moment.step == "deleting what is replaced")
QUICK = ("sending keys", "recording")
# one for each session that a run has then, and for each transaction of the target
LOSING = (
    "comparing",
    "receiving the window",
    "comparing keys",
    "sending keys",
    "verifying",
    "inserting",
    "committing",
    "dropping",
)
AT_ALL = [moment if moment.step in QUICK else pytest.param(moment, marks=pytest.mark.slow) for moment in MOMENTS]


def prepared(place: Place) -> Place:
    """Publish the ledger, have an analyst build on it, and change it."""
    ledger.publish(place)
    ledger.analyst(place)
    ledger.build(place, BOARD)
    ledger.change(place)
    return place


class Watched:
    """What a place has before a fault, to be compared with what it has after it."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.rows, self.standing = ledger.rows(place), ledger.standing(place)

    def is_as_it_was(self) -> bool:
        """Tell whether nothing of it changed."""
        return (ledger.rows(self.place), ledger.standing(self.place)) == (self.rows, self.standing)

    def after(self, moment: Moment) -> None:
        """See that all of it is as it was, or all of it the new one, as the moment wants it."""
        if moment.published:
            eventually(lambda: ledger.rows(self.place) != self.rows, "the new rows")
            assert ledger.standing(self.place)[:-1] == self.standing[:-1]
            assert ledger.standing(self.place)[-1] != self.standing[-1]
        else:
            assert self.is_as_it_was()
        ((balance, amount),) = self.place.read(ledger.SUMS)
        assert balance == amount


def next_run(place: Place, line: str = "") -> None:
    """See that the next run refreshes, or finds nothing to do, is right, and cleans all that the last one left."""
    done = ledger.refresh(place)
    assert re.match(line or "refresh: |nothing changed", done.choice.line()), done.choice.line()
    assert done.warnings == ()
    assert place.read("SELECT sum(sum) FROM board.sums", as_="superuser") == place.read(
        "SELECT sum(amount) FROM shop.entries"
    )


@pytest.mark.parametrize("moment", AT_ALL, ids=str)
def test_a_refresh_killed_in_any_step_leaves_all_as_it_was_and_the_next_run_needs_no_help(
    moment: Moment, place: Place
) -> None:
    watched = Watched(prepared(place))
    with behind_proxy(place, moment.side) as (proxy, databases):
        proxy.stall_at_request(moment.sent)
        with process(place, ledger.RULES, *databases, refresh="auto") as running:
            assert proxy.stalled.wait(PATIENCE), f"never: {moment}"
            running.kill()
            assert running.wait(PATIENCE) == -signal.SIGKILL
        proxy.cut()
    no_sessions(place)
    watched.after(moment)
    next_run(place)


@pytest.mark.slow
@pytest.mark.parametrize("moment", [moment for moment in MOMENTS if moment.step in LOSING], ids=str)
def test_a_refresh_that_loses_its_connections_in_any_step_tries_again_or_leaves_all_as_it_was(
    moment: Moment, place: Place
) -> None:
    watched = Watched(prepared(place))
    with behind_proxy(place, moment.side) as (proxy, databases):
        proxy.stall_at_request(moment.sent)
        run = Running(place, *databases, text=ledger.RULES, refresh="auto")
        assert proxy.stalled.wait(PATIENCE), f"never: {moment}"
        proxy.cut()
        proxy.go_on()
        result = run.ended()
    no_sessions(place)
    if isinstance(result, Published):
        # what was lost was another session than the one with the lock, before anything was published
        assert moment.side == "origin" or moment in MOMENTS[: MOMENTS.index(PUBLISHING)]
        assert result.choice.line().startswith("refresh: ")
        assert not watched.is_as_it_was()
    else:
        assert isinstance(result, ConnectionLost), result
        assert re.match("target: " if moment.side == "target" else "origin shop: ", str(result)), result
        assert ("may be the new one already" in str(result)) == (moment.step == "committing")
        watched.after(moment)
        assert place.schemas() - ledger.others(place) == {"shop"}
    next_run(place)


@contextmanager
def backup_of_the_target(place: Place) -> Iterator[None]:
    """Have what a refresh has built by now be open in another session, as pg_dump opens all tables while it runs."""
    with psycopg.connect(place.target_server.url(place.name)) as connection:
        for name in place.schemas() - {"shop", "board"}:
            connection.execute(sql.SQL("LOCK TABLE {} IN ACCESS SHARE MODE").format(sql.Identifier(name, "accounts")))
        yield


@pytest.mark.slow
@pytest.mark.parametrize("then", ["is full", "takes another snapshot"])
def test_a_refresh_that_begins_anew_does_not_stumble_over_what_it_built_and_others_have_open(
    then: str, place: Place
) -> None:
    prepared(place)
    if then == "is full":  # keys would refuse what comes in
        place.in_target("CREATE UNIQUE INDEX ON shop.accounts (balance) WHERE balance > 3", superuser=True)
    with behind_proxy(place, "target") as (proxy, databases):
        proxy.stall_at_request(rb"AS old JOIN")
        run = Running(place, *databases, text=ledger.RULES, refresh="auto", jobs=1)
        assert proxy.stalled.wait(PATIENCE)
        with backup_of_the_target(place):
            if then == "takes another snapshot":
                holder = session_of(place.origin_server, place.name, "state = 'idle in transaction'")
                terminate(place.origin_server, place.name, holder)
            proxy.go_on()
            result = run.ended(2 * PATIENCE)
    assert isinstance(result, Published), result
    assert result.choice.line().startswith("full: the target refused" if then == "is full" else "refresh: ")
    assert [re.sub("_[0-9a-f]{8}", "", warning).split(":")[0] for warning in result.warnings] == [
        "schema etl_staging_shop stays"
    ]
    next_run(place)


GATES = ["CREATE TABLE", "REFRESH MATERIALIZED VIEW", "shop.accounts", "etl_state.published"]


@contextmanager
def at_gate(place: Place, where: str) -> Iterator[None]:
    """Close a gate in statements of a command tag, or in those that write a table, and open it at the end."""
    if "." in where:
        with ledger.held(place, f"LOCK TABLE {where} IN SHARE MODE"):
            yield
    else:
        with gate_at(place, where):
            yield


@pytest.mark.parametrize("where", [GATES[-1], *(pytest.param(gate, marks=pytest.mark.slow) for gate in GATES[:-1])])
def test_ctrl_c_ends_a_refresh_at_once_and_leaves_all_as_it_was(where: str, place: Place) -> None:
    watched = Watched(prepared(place))
    with at_gate(place, where), process(place, ledger.RULES, refresh="auto") as running:
        waiting = "SELECT FROM pg_stat_activity WHERE application_name LIKE 'multi-schema%' AND wait_event_type = 'Lock'"
        eventually(lambda: place.read(f"SELECT EXISTS ({waiting})", as_="superuser") == [(True,)], "a run at the gate")
        running.send_signal(signal.SIGINT)
        # the gate is closed: only a statement that is cancelled comes to its end
        assert running.wait(PATIENCE) == -signal.SIGINT
        no_sessions(place)
        assert watched.is_as_it_was()
        assert place.schemas() - ledger.others(place) == {"shop"}
    next_run(place)


@pytest.mark.slow
@pytest.mark.parametrize(
    "moment",
    [m for m in MOMENTS if m.step in ("sending the window", "receiving the window", "inserting", "committing")],
    ids=str,
)
def test_a_server_that_crashes_amid_a_refresh_keeps_all_as_it_was(moment: Moment, make_place: Callable[..., Place]) -> None:
    place = make_place(own="faults")
    watched = Watched(prepared(place))
    server = place.origin_server if moment.side == "origin" else place.target_server
    with behind_proxy(place, moment.side) as (proxy, databases):
        proxy.stall_at_request(moment.sent)
        run = Running(place, *databases, text=ledger.RULES, refresh="auto")
        assert proxy.stalled.wait(PATIENCE)
        if moment.published:  # the server may be committing yet
            eventually(lambda: not watched.is_as_it_was(), "it is published")
        server.kill()
        proxy.cut()
        proxy.go_on()
        server.start()
        result = run.ended()
    no_sessions(place)
    if not isinstance(result, Published):
        assert isinstance(result, ConnectionLost), result
        watched.after(moment)
    next_run(place, "full: the origin |refresh: |nothing changed" if moment.side == "origin" else "")


@pytest.mark.slow
@pytest.mark.parametrize("step", ["receiving the window", "inserting"] if may_mount() else [])
def test_a_refresh_of_a_target_whose_disk_is_full_fails_in_a_line_and_leaves_all_as_it_was(step: str, place: Place) -> None:
    with small_disk(64) as disk, psycopg.connect(place.target_server.url(), autocommit=True) as connection:
        small = sql.Identifier(f"small_{place.number}")
        connection.execute(sql.SQL("CREATE TABLESPACE {} LOCATION {}").format(small, sql.Literal(str(disk))))
        connection.execute(sql.SQL("ALTER DATABASE {} SET TABLESPACE {}").format(sql.Identifier(place.name), small))
        prepared(place)
        # rows that are read as they are, and have no room on the pages that the published ones left
        place.in_origin("UPDATE entries SET filling = repeat(md5(id::text), 60) WHERE id <= 300")
        watched = Watched(place)
        filler = disk / "filler"

        def fill() -> None:
            filler.write_bytes(bytes(shutil.disk_usage(disk).free - 128 * 1024))

        if step == "receiving the window":
            fill()
            result = Running(place, text=ledger.RULES, refresh="auto").ended()
        else:
            with ledger.held(place, "LOCK TABLE shop.accounts IN SHARE MODE") as gate:
                run = Running(place, text=ledger.RULES, refresh="auto")
                ledger.waiting(place, "shop.accounts")
                fill()
                gate.close()
                result = run.ended()
        assert isinstance(result, DatabaseError), result
        assert re.match(r"target: \S.* failed: .*(could not extend file|No space left on device)", str(result)), result
        assert str(result).endswith("; free space on the server or enlarge its disk; the next run starts anew")
        assert "\n" not in str(result)
        filler.unlink()
        no_sessions(place)
        assert watched.is_as_it_was()
        assert place.schemas() - ledger.others(place) == {"shop"}
        next_run(place)
        place.drop()
        connection.execute(sql.SQL("DROP TABLESPACE {}").format(small))
