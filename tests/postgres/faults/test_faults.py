"""What breaks while a run goes on: killed processes, lost sessions, stalled links, restarts, Ctrl-C, a full disk."""

import re
import resource
import shutil
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import psycopg
import pytest
from psycopg import sql

from demo.servers import Server
from multischema import pipeline
from multischema.errors import ConnectionLost, DatabaseError, EtlError, RunEnded, SnapshotLost
from multischema.postgres import connecting, database, sessions
from multischema.postgres.database import Database
from multischema.postgres.sessions import Sessions
from multischema.stages import anonymize as anonymizing
from multischema.stages.run import Run, export_snapshot
from tests.conftest import PROGRAMS, Place
from tests.support.disks import may_mount, small_disk
from tests.support.gates import PATIENCE, eventually, gate_in_copy
from tests.support.processes import process
from tests.support.runs import (
    RULES,
    UNGATED,
    Running,
    behind_proxy,
    gate_in,
    no_sessions,
    published,
    rows,
    run_of_users,
    session_of,
    terminate,
)


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["copy", "CREATE INDEX"])
def test_no_statement_of_a_killed_run_stays_on_a_server(stage: str, place: Place) -> None:
    published(place)
    # what a run asks the servers for; that of this test asks for less
    assert {settings["client_connection_check_interval"] for settings in connecting._SETTINGS.values()} == {"10s"}
    with gate_in(place, stage) as gate:
        with process(place, RULES, settings={"client_connection_check_interval": "500ms"}) as running:
            gate.reached()
            running.kill()
            running.wait()
        # the gate stays closed: the servers find out by themselves that nobody waits any more
        no_sessions(place)
        assert gate.waiting() == []
        assert run_of_users(place) == 1


# Ctrl-C.


BRIEF = {  # how long a run waits for a server that does not answer any more
    "multischema.postgres.database.CONNECT_TIMEOUT": 2,
    "multischema.postgres.sessions.CANCEL_TIMEOUT": 1,
    "multischema.stages.run.PARTING": 1,
}


@pytest.mark.parametrize(
    "stage",
    ["copy", "CREATE INDEX", *(pytest.param(stage, marks=pytest.mark.slow) for stage in ("CREATE TABLE", "ALTER SCHEMA"))],
)
def test_ctrl_c_ends_a_run_at_once_with_nothing_left_on_either_server(stage: str, place: Place) -> None:
    published(place)
    with gate_in(place, stage) as gate, process(place, RULES) as running:
        gate.reached()
        running.send_signal(signal.SIGINT)
        # the gate is closed: only a statement that is cancelled comes to its end
        assert running.wait(PATIENCE) == -signal.SIGINT
        assert running.stderr
        assert running.stderr.read().splitlines()[-1] == "KeyboardInterrupt"
        no_sessions(place)
        assert run_of_users(place) == 1
        assert place.schemas() == {"shop"}


@pytest.mark.slow
@pytest.mark.parametrize("side", ["origin", "target"])
def test_ctrl_c_ends_a_run_whose_server_does_not_answer_any_more(side: str, place: Place) -> None:
    published(place)
    with (
        behind_proxy(place, side) as (proxy, databases),
        gate_in_copy(place) as gate,
        process(place, RULES, *databases, constants=BRIEF) as running,
    ):
        gate.reached()
        proxy.stall()
        running.send_signal(signal.SIGINT)
        assert running.wait(PATIENCE) == -signal.SIGINT
    no_sessions(place)
    assert run_of_users(place) == 1


# Lost sessions. Without Prefect nothing is tried again but what a new snapshot cures: the run fails in one line, and the
# error says, by its class, that another try may help.


@pytest.mark.parametrize("side", ["origin", "target"])
def test_a_copy_whose_session_is_lost_fails_the_run_in_one_line_that_names_side_and_table(side: str, place: Place) -> None:
    published(place)
    server = place.origin_server if side == "origin" else place.target_server
    with gate_in_copy(place) as gate:
        run = Running(place)
        gate.reached()
        terminate(server, place.name, session_of(server, place.name, "state = 'active' AND query LIKE 'COPY%gated%'"))
        gate.open()
        result = run.ended()
    assert isinstance(result, ConnectionLost)
    assert str(result).startswith("origin shop: copying gated failed: " if side == "origin" else "target: copying gated")
    assert "\n" not in str(result)
    no_sessions(place)
    assert run_of_users(place) == 1
    assert place.schemas() == {"shop"}


HOLDER = "state = 'idle in transaction' AND query NOT LIKE '%pg_try_advisory_lock%'"


def test_a_lost_snapshot_is_replaced_by_a_new_one_and_everything_comes_from_that(place: Place) -> None:
    published(place)
    with gate_in_copy(place) as gate:
        run = Running(place, jobs=1)
        gate.reached()
        terminate(place.origin_server, place.name, session_of(place.origin_server, place.name, HOLDER))
        # of one snapshot, or not at all: gated was copied from the lost one
        place.in_origin("UPDATE users SET run = 3; UPDATE gated SET id = 2001 WHERE id = 2000")
        gate.open()
        result = run.ended()
    assert isinstance(result, pipeline.Published)
    assert run_of_users(place) == 3
    assert place.read("SELECT max(id) FROM shop.gated") == [(2001,)]
    assert place.schemas() == {"shop"}


def test_a_snapshot_whose_transaction_ends_as_it_is_imported_is_a_lost_one(place: Place) -> None:
    place.in_origin(UNGATED)
    origin, target = place.databases()
    with pipeline.open_run(place.job(), origin, target) as run:
        plan = pipeline.check(run, RULES.encode())
        # its file is there for a moment longer: here for ever
        with psycopg.connect(place.origin_url) as exporting:
            ((name,),) = exporting.execute("SELECT pg_export_snapshot()").fetchall()
            file = place.origin_server.data / "pg_snapshots" / name
            kept = file.with_name("00000009-00000009-9")
            shutil.copy(file, kept)
            kept.chmod(0o644)
        try:
            with pytest.raises(SnapshotLost):
                anonymizing.copy(run, plan.copied[0], kept.name)
        finally:
            kept.unlink()


@pytest.mark.slow
def test_a_run_that_loses_every_snapshot_gives_up(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    published(place)
    export = export_snapshot
    taken = []

    def export_then_lose(connection: connecting.Connection, *others: Any) -> Any:
        snapshot = export(connection, *others)
        taken.append(snapshot.identifier)
        terminate(place.origin_server, place.name, connection.info.backend_pid)
        with suppress(psycopg.Error):
            connection.execute("SELECT 1")
        return snapshot

    monkeypatch.setattr("multischema.stages.run.export_snapshot", export_then_lose)
    with pytest.raises(SnapshotLost, match=r"^origin shop: the snapshot is gone: its session was ended$"):
        place.run(RULES)
    assert len(set(taken)) == 3
    no_sessions(place)
    assert run_of_users(place) == 1
    assert place.schemas() == {"shop"}


@pytest.mark.slow
def test_sessions_that_a_proxy_cut_while_nobody_used_them_do_not_fail_a_run(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    published(place)
    monkeypatch.setattr(sessions, "HEARTBEAT", 0.1)
    for stage in ("index", "verify", "clean"):
        work = getattr(pipeline, stage)

        def cut_then_work(*arguments: Any, work: Callable[..., Any] = work) -> Any:
            time.sleep(0.15)  # longer than a session is trusted
            for server, what in ((place.origin_server, "idle"), (place.target_server, "idle")):
                with psycopg.connect(server.url(place.name), autocommit=True) as connection:
                    connection.execute(
                        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity AS a WHERE state = %s "
                        "AND application_name LIKE 'multi-schema%%' AND datname = current_database() "
                        "AND NOT EXISTS (SELECT FROM pg_locks AS l WHERE l.pid = a.pid AND l.locktype = 'advisory')",
                        [what],
                    )
            return work(*arguments)

        monkeypatch.setattr(pipeline, stage, cut_then_work)
    place.in_origin("UPDATE gated SET pace = '(go)'")
    place.run(RULES)
    assert run_of_users(place) == 2


# Restarts.


@pytest.mark.slow
@pytest.mark.parametrize(("stage", "side"), [("copy", "origin"), ("copy", "target"), ("CREATE INDEX", "target")])
@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_a_server_that_is_restarted_amid_a_run_fails_it_and_the_next_one_succeeds(
    mode: Any, stage: str, side: str, make_place: Callable[..., Place]
) -> None:
    place = published(make_place(own="faults"))
    server = place.origin_server if side == "origin" else place.target_server
    with gate_in(place, stage) as gate:
        run = Running(place)
        gate.reached()
        if stage == "copy":  # else the other thread may be opening a session, and it is that which fails
            eventually(lambda: rows(place, "users") == 20, "users is copied")
        server.stop(mode)
        gate.open()
        result = run.ended()
        server.start()
    assert isinstance(result, ConnectionLost), result
    # the origin's transaction for users ends a moment after the target's
    says = "origin shop: copying (gated|users) failed: " if side == "origin" else "target: "
    assert re.match(says, str(result)), result
    assert "\n" not in str(result)
    no_sessions(place)
    assert run_of_users(place) == 1
    place.run(RULES)
    assert run_of_users(place) == 2
    assert place.schemas() == {"shop"}


# Links that stall: nothing comes any more, and nothing says so.


@pytest.mark.slow
@pytest.mark.parametrize("side", ["origin", "target"])
def test_when_a_run_is_ended_every_thread_returns_though_a_link_has_stalled(
    side: str, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.in_origin(UNGATED)
    opened: list[Run] = []
    copy_table = anonymizing.copy_table

    with behind_proxy(place, side) as (proxy, databases), monkeypatch.context() as patched:
        patched.setattr("multischema.stages.run.PARTING", 0.5)
        patched.setattr(database, "CONNECT_TIMEOUT", 2)
        patched.setattr(sessions, "CANCEL_TIMEOUT", 0.5)

        def copy_until_stalled(*arguments: Any, **more: Any) -> Any:
            proxy.stall_after(200_000)
            return copy_table(*arguments, **more)

        patched.setattr(anonymizing, "copy_table", copy_until_stalled)
        anonymize = pipeline.anonymize

        def anonymize_noting(run: Run, *others: Any) -> Any:
            opened.append(run)
            return anonymize(run, *others)

        patched.setattr(pipeline, "anonymize", anonymize_noting)
        run = Running(place, *databases)
        assert proxy.stalled.wait(PATIENCE)
        opened[0].sessions.end()
        result = run.ended()
        assert isinstance(result, ConnectionLost | RunEnded)
    no_sessions(place)
    place.run(RULES)
    assert run_of_users(place) == 1


@pytest.mark.slow
def test_a_session_that_stalls_while_it_is_set_up_returns_when_the_run_is_ended(place: Place) -> None:
    ready_for_query = b"Z\x00\x00\x00\x05I"
    with behind_proxy(place, "origin") as (proxy, (origin, _)), Sessions("multi-schema test") as opened:
        proxy.stall_at_answer(ready_for_query)
        raised: list[BaseException] = []

        def lend() -> None:
            try:
                with opened.lend(origin, "public"):
                    pass
            except EtlError as error:
                raised.append(error)

        thread = threading.Thread(target=lend)
        thread.start()
        assert proxy.stalled.wait(PATIENCE)
        thread.join(0.5)
        assert thread.is_alive()
        opened.end()
        thread.join(PATIENCE)
        assert not thread.is_alive()
        assert isinstance(raised[0], ConnectionLost | RunEnded)


@pytest.mark.slow
def test_a_thread_between_two_statements_is_ended_though_another_one_takes_its_time(place: Place) -> None:
    with behind_proxy(place, "origin") as (proxy, (origin, target)), Sessions("multi-schema test") as opened:
        lent = threading.Barrier(3)
        ending = threading.Event()
        raised: list[BaseException] = []

        def work(database: Database, begin: Callable[[], object]) -> None:
            try:
                with opened.lend(database, "public") as connection:
                    connection.execute("SELECT 1")
                    lent.wait(PATIENCE)
                    begin()
                    connection.execute("SELECT pg_sleep(300)")
            except psycopg.Error as error:
                raised.append(error)

        def amid_the_end() -> None:
            ending.wait(PATIENCE)
            time.sleep(0.5)  # the cancel of the other session gets no answer; it is still waited for

        threads = [
            threading.Thread(target=work, args=(origin, lambda: None)),
            threading.Thread(target=work, args=(target, amid_the_end)),
        ]
        for thread in threads:
            thread.start()
        lent.wait(PATIENCE)
        with psycopg.connect(place.origin_server.url(place.name), autocommit=True) as connection:
            sleeping = "SELECT FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(300)' AND state = 'active'"
            eventually(lambda: connection.execute(sleeping).rowcount == 1, "the origin's session is at work")
        proxy.stall()
        ending.set()
        opened.end()
        for thread in threads:
            thread.join(PATIENCE)
            assert not thread.is_alive()
        assert len(raised) == 2
    no_sessions(place)


def test_a_session_that_is_set_up_as_the_run_ends_is_no_failure_of_its_own(place: Place) -> None:
    origin, _ = place.databases()
    with (
        psycopg.connect(place.origin_server.url(place.name)) as holder,
        Sessions("multi-schema test") as opened,
        ThreadPoolExecutor() as executor,
    ):
        holder.execute("LOCK TABLE pg_catalog.pg_settings")
        opening = executor.submit(opened.open, origin)
        waiting = "SELECT FROM pg_locks WHERE NOT granted AND relation = 'pg_settings'::regclass"
        eventually(lambda: holder.execute(waiting).rowcount == 1, "a session that waits")
        opened.end()
        with pytest.raises(RunEnded):
            opening.result(PATIENCE)
    no_sessions(place)


def test_sessions_that_were_cut_are_not_lent_again(place: Place) -> None:
    origin, target = place.databases()
    with Sessions("multi-schema test") as opened:
        held = opened.open(origin, "public")
        with opened.lend(target, "public") as first:
            opened.interrupt()
        with opened.lend(target, "public") as second:
            assert second is not first
            assert second.execute("SELECT 1 AS one").fetchall() == [{"one": 1}]
        # what is held, and not lent, is spared: the snapshot and the lock
        assert held.execute("SELECT 1 AS one").fetchall() == [{"one": 1}]
        opened.end()
        with pytest.raises(psycopg.Error):
            held.execute("SELECT 1")
        with pytest.raises(RunEnded), opened.lend(target, "public"):
            pass
    no_sessions(place)


# The check of what a run that fails leaves: its threads.


def test_no_thread_of_a_run_that_failed_is_left(place: Place) -> None:
    published(place)
    before = set(threading.enumerate())
    with gate_in_copy(place) as gate:
        run = Running(place)
        terminate(place.origin_server, place.name, gate.reached())
        run.ended()
    eventually(lambda: set(threading.enumerate()) <= before, "no thread is left")


# A disk that is full.


@pytest.mark.slow
def test_a_target_whose_disk_is_full_fails_the_run_in_one_clear_line(make_place: Callable[..., Place]) -> None:
    place = make_place(own="faults")
    place.in_origin(
        """
        CREATE TABLE wide (id bigint);
        INSERT INTO wide SELECT generate_series(1, 300000);
        CREATE INDEX wide_id ON wide (id, id, id, id, id, id, id, id);
        """
    )
    place.in_target(f"ALTER ROLE {place.etl} SET max_parallel_maintenance_workers = 0", superuser=True)
    rules = "tables: [{table_name: wide, non_anonymized_column_names: [id]}]"
    # No file of the server may grow beyond 16 MB, the size of WAL's, and half a page: as on a full disk a write stops amid a
    # page. The index is larger. (A table grows by fallocate(), which a limit refuses with another error than a full disk.)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    place.target_server.stop()
    resource.setrlimit(resource.RLIMIT_FSIZE, (16 * 1024 * 1024 + 4096, hard))
    try:
        place.target_server.start()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    with pytest.raises(DatabaseError) as raised:
        place.run(rules)
    assert "\n" not in str(raised.value)
    assert str(raised.value).startswith("target: building index wide_id of wide failed: could not extend file ")
    assert str(raised.value).endswith("(53100); free space on the server or enlarge its disk; the next run starts anew")
    assert place.schemas() == set()
    assert place.sessions() == {"origin": 0, "target": 0}
    place.target_server.stop()
    place.target_server.start()
    place.run(rules)
    assert place.read("SELECT count(*) FROM shop.wide") == [(300000,)]


# A disk that is full, and a server at its limit of connections.


FILLING = {
    "copy": "INSERT INTO gated SELECT n, 'x', repeat(md5(n::text), 30), '(go)' FROM generate_series(3000, 40000) AS n",
    "index": """
        INSERT INTO gated SELECT n, 'x', 'x', '(go)' FROM generate_series(3000, 60000) AS n;
        CREATE INDEX long ON gated ((repeat(md5(id::text), 15)));
    """,
}


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["stream", "dump"])
@pytest.mark.parametrize("stage", FILLING if may_mount() else [])
def test_a_target_whose_disk_is_full_fails_the_run_in_a_line_and_keeps_what_is_published(
    stage: str, mode: str, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(PROGRAMS["18"]), prepend=":")
    place.in_origin(UNGATED)
    with small_disk(32) as disk, psycopg.connect(place.target_server.url(), autocommit=True) as connection:
        small = sql.Identifier(f"small_{place.number}")
        connection.execute(sql.SQL("CREATE TABLESPACE {} LOCATION {}").format(small, sql.Literal(str(disk))))
        connection.execute(sql.SQL("ALTER DATABASE {} SET TABLESPACE {}").format(sql.Identifier(place.name), small))
        place.run(RULES, mode=mode)
        place.in_origin(f"UPDATE users SET run = 2; {FILLING[stage]}")
        with pytest.raises(DatabaseError) as failed:
            place.run(RULES, mode=mode)
        assert re.match(r"target: \S.* failed: .*(could not extend file|No space left on device)", str(failed.value))
        assert str(failed.value).endswith("; free space on the server or enlarge its disk; the next run starts anew")
        assert "\n" not in str(failed.value)
        no_sessions(place)
        assert run_of_users(place) == 1
        assert place.schemas() == {"shop"}
        assert place.read("SELECT 1 FROM pg_class WHERE relnamespace = 'public'::regnamespace", as_="superuser") == []
        place.in_origin("DELETE FROM gated WHERE id >= 3000")
        place.run(RULES, mode=mode)
        assert run_of_users(place) == 2
        place.drop()
        connection.execute(sql.SQL("DROP TABLESPACE {}").format(small))


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["stream", "dump"])
@pytest.mark.parametrize("side", ["origin", "target"])
def test_a_server_at_its_limit_of_connections_fails_the_run_in_lines_that_say_so(
    side: str,
    mode: str,
    start_server: Callable[..., Server],
    make_place: Callable[..., Place],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PATH", str(PROGRAMS["18"]), prepend=":")
    limits = {"max_connections": "14", "superuser_reserved_connections": "3", "autovacuum": "off"}
    own = f"few-{side}"
    start_server("16" if side == "origin" else "18", own, limits)
    place = published(make_place(own=own))
    url = place.origin_url if side == "origin" else place.target_url
    taken: list[psycopg.Connection] = []
    results: list[Any] = []
    try:
        with suppress(psycopg.OperationalError):
            while True:
                taken.append(psycopg.connect(url, autocommit=True))
        assert 0 < len(taken) <= 11  # the limit is in force; three are the superuser's
        while taken and not (results and isinstance(results[-1], pipeline.Published)):
            results.append(Running(place, mode=mode).ended())
            taken.pop().close()
    finally:
        for connection in taken:
            connection.close()
    assert isinstance(results[-1], pipeline.Published), results[-1]
    assert len(results) > 2
    for problem in (line for result in results[:-1] for line in str(result).splitlines()):
        assert problem.startswith("origin shop: " if side == "origin" else "target: "), problem
        assert "use fewer jobs, or raise max_connections" in problem
    no_sessions(place)
    assert place.schemas() == {"shop"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("mode", "stage"), [(m, s) for m in ("stream", "dump") for s in ("index", "verify", "publish", "clean")]
)
def test_an_origin_that_dies_once_it_is_copied_is_no_matter(
    stage: str, mode: str, make_place: Callable[..., Place], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(PROGRAMS["18"]), prepend=":")
    place = published(make_place(own="faults"))
    place.in_origin("UPDATE gated SET pace = '(go)'")
    work = getattr(pipeline, stage)

    def kill_then_work(*arguments: Any) -> Any:
        place.origin_server.kill()
        return work(*arguments)

    monkeypatch.setattr(pipeline, stage, kill_then_work)
    place.run(RULES, mode=mode)
    assert run_of_users(place) == 2
    assert place.schemas() == {"shop"}
    place.origin_server.start()
    no_sessions(place)
