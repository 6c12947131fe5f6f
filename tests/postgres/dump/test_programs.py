"""The client programs: their versions, what they are given and asked for, and what becomes of a run when they fail."""

import resource
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest
from psycopg import sql

from multischema.errors import CheckError, ConnectionLost, EtlError
from tests.conftest import PASSWORD, PROGRAMS, Place
from tests.support.clients import program
from tests.support.dumps import ORIGIN, RULES, in_stage, nothing_left, published, run_of_users
from tests.support.gates import PATIENCE
from tests.support.runs import Running, behind_proxy, session_of, terminate

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("private")]


def test_client_programs_older_than_the_server_are_refused_before_anything_is_done(
    make_place: Callable[..., Place], monkeypatch: pytest.MonkeyPatch, private: Path
) -> None:
    place = published(make_place("18", "16"))
    monkeypatch.setenv("PATH", str(PROGRAMS["16"]), prepend=":")
    with pytest.raises(CheckError) as failed:
        place.run(RULES, mode="dump")
    wanted = (
        "want 18 or newer on the PATH: `apt-get install postgresql-client-18`, on Scalingo `dbclient-fetcher pgsql 18`; "
        "or use mode stream, which needs none"
    )
    assert failed.value.problems == (
        f"origin shop: pg_dump 16 is older than origin shop's Postgres 18; {wanted}",
        f"origin shop: pg_restore 16 is older than origin shop's Postgres 18; {wanted}",
    )
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(CheckError, match="pg_dump is not there; want 18 or newer"):
        place.run(RULES, mode="dump")
    nothing_left(place, private)


def test_a_password_is_in_no_argument_of_the_client_programs(
    place: Place, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    place.in_origin(ORIGIN)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    for name in ("pg_dump", "pg_restore"):
        looks = f'cat /proc/[0-9]*/cmdline > {tmp_path}/{name}.ps; echo "$0 $@" >> {tmp_path}/arguments'
        program(tmp_path, name, f'{looks}; exec "$real" "$@"')
    place.run(RULES, mode="dump")
    assert run_of_users(place) == 1
    told = "".join((tmp_path / name).read_text() for name in ("arguments", "pg_dump.ps", "pg_restore.ps"))
    assert "--data-only" in told
    assert PASSWORD not in told
    assert quote(PASSWORD, safe="") not in told


def test_a_program_that_crashes_leaves_no_core_file_with_rows_in_it(
    place: Place, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    place.in_origin(ORIGIN)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    before = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (before[1], before[1]))
    try:
        for name in ("pg_dump", "pg_restore"):
            program(tmp_path, name, f'ulimit -c >> {tmp_path}/limits; exec "$real" "$@"')
        place.run(RULES, mode="dump")
    finally:
        resource.setrlimit(resource.RLIMIT_CORE, before)
    with_rows = (tmp_path / "limits").read_text().split()[-2:]
    assert with_rows == ["0", "0"]


@pytest.mark.parametrize("name", ["pg_dump", "pg_restore"])
def test_a_client_program_whose_session_is_ended_in_the_middle_of_a_table_is_an_error_that_may_pass(
    name: str, place: Place, private: Path
) -> None:
    published(place)
    # 20 MB: more than the connections hold that the proxy keeps waiting
    place.in_origin("INSERT INTO users SELECT n, repeat('x', 1000), 2 FROM generate_series(100, 20000) AS n")
    side, server = ("origin", place.origin_server) if name == "pg_dump" else ("target", place.target_server)
    with behind_proxy(place, side) as (proxy, databases):
        (proxy.stall_at_answer if name == "pg_dump" else proxy.stall_at_request)(b"x" * 1000)
        run = Running(place, *databases, text=RULES, mode="dump")
        assert proxy.stalled.wait(PATIENCE)
        terminate(server, place.name, session_of(server, place.name, "state = 'active' AND query LIKE 'COPY %users%'"))
        proxy.go_on()
        result = run.ended()
    assert isinstance(result, ConnectionLost), result
    assert str(result).startswith("origin shop: dump failed: " if name == "pg_dump" else "target: restoring users failed: ")
    assert result.transient
    assert run_of_users(place) == 1
    nothing_left(place, private)


def test_a_pg_dump_that_is_told_to_end_in_the_middle_of_a_table_is_an_error_that_may_pass(
    place: Place, private: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    published(place)
    server = place.origin_server
    # a long value is in a table of its own, which is opened when the row is read; here it waits then
    place.in_origin(
        "ALTER TABLE users ALTER name SET STORAGE external; INSERT INTO users VALUES (21, repeat('x', 10000), 2)"
    )
    index_of_long = (
        "SELECT t.relname FROM pg_index AS i JOIN pg_class AS t ON t.oid = i.indexrelid "
        "JOIN pg_class AS c ON c.reltoastrelid = i.indrelid WHERE c.oid = 'users'::regclass"
    )
    with psycopg.connect(server.url(place.name)) as holder:
        ((index,),) = holder.execute(index_of_long).fetchall()
        reindex = sql.SQL("REINDEX INDEX pg_toast.{}").format(sql.Identifier(index))
        in_stage(monkeypatch, "dump", lambda: holder.execute(reindex))
        run = Running(place, text=RULES, mode="dump")
        waiting = "wait_event_type = 'Lock' AND query LIKE 'COPY %users%'"
        terminate(server, place.name, session_of(server, place.name, waiting))
        result = run.ended()
    assert isinstance(result, ConnectionLost), result
    assert str(result) == "origin shop: dump failed: table users: terminating connection"
    assert result.transient
    assert run_of_users(place) == 1
    nothing_left(place, private)


def test_what_the_target_says_of_a_row_of_a_dump_is_told_to_nobody(
    place: Place, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, private: Path
) -> None:
    published(place)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    program(tmp_path, "pg_restore", '"$real" "$@" | { [[ "$*" == *--data-only* ]] && sed "s/\\t2$/\\tMarie/" || cat; }')
    with pytest.raises(EtlError) as failed:
        place.run(RULES, mode="dump")
    assert failed.value.problems == (
        "target: restoring users, column run, failed: InvalidTextRepresentation (22P02); its message may quote a row, and "
        "stands in the server's log only; the target can't read a value that the origin wrote: use a newer target, or "
        "truncate the table in the rules",
    )
    assert not failed.value.transient
    assert run_of_users(place) == 1
    nothing_left(place, private)


def test_client_programs_are_asked_for_english(
    place: Place, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, private: Path
) -> None:
    place.in_origin(ORIGIN)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setenv("LC_ALL", "fr_FR.UTF-8")
    monkeypatch.setenv("LANGUAGE", "fr")
    for name in ("pg_dump", "pg_restore"):
        program(tmp_path, name, f'echo "$LC_ALL $LANGUAGE" >> {tmp_path / "asked"}; exec "$real" "$@"')
    place.run(RULES, mode="dump")
    assert {*(tmp_path / "asked").read_text().splitlines()} == {"C C"}
