"""URLs that lead to several servers, and standbys: a run keeps to the server that it found, and is told what cancels it."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread
from typing import Any
from urllib.parse import quote

import psycopg
import pytest

from demo.servers import Server
from multischema import pipeline
from multischema.errors import STANDBY, DatabaseError, SnapshotLost
from multischema.postgres.connecting import connect
from multischema.postgres.database import Database
from multischema.postgres.failures import translated
from tests.conftest import PASSWORD, TEMPORARY, Place
from tests.support.checks import check
from tests.support.gates import PATIENCE, eventually

pytestmark = pytest.mark.slow

ORIGIN = """
CREATE TABLE users (id int PRIMARY KEY, name text, city text);
INSERT INTO users SELECT n, 'Marie', repeat('x', 1000) FROM generate_series(1, 20000) AS n;
CREATE TABLE towns (id int PRIMARY KEY, city text);
INSERT INTO towns SELECT n, 'Lyon' FROM generate_series(1, 100) AS n;
"""
RULES = """
tables:
  - table_name: users
    anonymized_column_names: [name]
    non_anonymized_column_names: [city]
  - table_name: towns
    non_anonymized_column_names: [city]
"""
ALL = "host=127.0.0.1,127.0.0.1&port={},{}&load_balance_hosts=random"


@pytest.fixture
def folder() -> Iterator[Path]:
    """Return a folder that a server can use; each pytest that starts takes the rights of others from its own."""
    with TemporaryDirectory(prefix="standby-", dir=TEMPORARY, ignore_cleanup_errors=True) as path:
        yield Path(path)


@pytest.fixture
def standby(place: Place, folder: Path) -> Iterator[Server]:
    """Return a standby of the origin's server that lets no statement stand in the way of its replication."""
    place.in_origin(ORIGIN)
    made = place.origin_server.standby(folder / "server")
    with (made.data / "postgresql.conf").open("a") as file:
        file.write("max_standby_streaming_delay = 0\nmax_standby_archive_delay = 0\n")
    made.start()
    caught_up(place.origin_server, made)
    yield made
    made.kill()


def caught_up(primary: Server, standby: Server) -> None:
    """Wait until a standby has all that its primary has."""
    with psycopg.connect(primary.url()) as there, psycopg.connect(standby.url(), autocommit=True) as here:
        ((end,),) = there.execute("SELECT pg_current_wal_insert_lsn()::text").fetchall()
        asked = "SELECT pg_last_wal_replay_lsn() >= %s"
        eventually(lambda: here.execute(asked, [end]).fetchall() == [(True,)], "the standby's replay")


def to_either(place: Place, other: Server) -> str:
    """Return the origin's URL with two servers to choose from, at random for each session."""
    hosts = ALL.format(place.origin_server.port, other.port)
    return f"postgresql://{place.app}:{quote(PASSWORD, safe='')}@/{place.name}?{hosts}"


def test_all_sessions_of_a_run_and_its_programs_go_to_the_server_that_the_first_one_found(
    place: Place, standby: Server
) -> None:
    found = set()
    for _ in range(12):  # at random: one in 2,048 goes to one server all along
        origin = Database("origin", "shop", to_either(place, standby))
        reached = []
        for database in (origin, origin, origin.backup(), replace(origin, for_programs=True)):
            with connect(database, "test") as session:
                reached.append(str(session.info.port))
        assert set(reached) == {reached[0]}
        told = origin.environment()
        assert (told["PGHOST"], told["PGHOSTADDR"], told["PGPORT"]) == ("127.0.0.1", "127.0.0.1", reached[0])
        found.add(reached[0])
    assert found == {str(place.origin_server.port), str(standby.port)}


@pytest.mark.parametrize("mode", ["stream", "dump"])
@pytest.mark.usefixtures("private")
def test_an_origin_of_several_servers_is_published_from_one_of_them(place: Place, standby: Server, mode: str) -> None:
    for _ in range(3):
        origin = Database("origin", "shop", to_either(place, standby))
        pipeline.run(place.job(mode=mode, jobs=4), place.rules(RULES), origin, place.databases()[1])
    assert place.read("SELECT count(*) FROM shop.users") == [(20000,)]


def test_a_target_of_several_servers_is_written_where_its_attributes_are_as_asked(place: Place, folder: Path) -> None:
    place.in_origin(ORIGIN)
    other = place.target_server.standby(folder / "server")
    other.start()
    try:
        hosts = ALL.format(other.port, place.target_server.port)
        login = f"{place.etl}:{quote(PASSWORD, safe='')}"
        url = f"postgresql://{login}@/{place.name}?{hosts}&target_session_attrs=read-write"
        pipeline.run(place.job(), place.rules(RULES), place.databases()[0], Database("target", "shop", url))
    finally:
        other.kill()
    assert place.read("SELECT count(*) FROM shop.users") == [(20000,)]


@pytest.mark.parametrize("statement", ["SELECT pg_sleep(60)", None])
def test_a_statement_or_a_session_that_a_standby_ends_is_told_with_what_to_set(
    place: Place, standby: Server, statement: str | None
) -> None:
    ended: list[str] = []
    with connect(Database("origin", "shop", standby.url(place.name, place.app, PASSWORD)), "test") as reading:

        def ask(text: str) -> None:
            try:
                with translated("origin shop", "copying users"):
                    reading.execute(text.encode())
            except DatabaseError as error:
                ended.append(str(error))

        reading.execute("BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        reading.execute("SELECT FROM public.users LIMIT 1")
        asking = Thread(target=ask, args=(statement or "SELECT 1",))
        if statement:
            asking.start()
            eventually(lambda: active(standby, statement), "a statement that runs")
        conflict(place, standby)
        if not statement:
            asking.start()
        asking.join(PATIENCE)
    what = "canceling statement" if statement else "terminating connection"
    assert ended == [f"origin shop: copying users failed: {what} due to conflict with recovery (40001); {STANDBY}"]


def test_a_snapshot_that_a_standby_ends_again_and_again_is_told_with_what_to_set(
    place: Place, standby: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy_all = pipeline.copy_all

    def conflict_first(*arguments: Any) -> Any:
        conflict(place, standby)
        return copy_all(*arguments)

    monkeypatch.setattr(pipeline, "copy_all", conflict_first)
    with pytest.raises(SnapshotLost) as lost:
        replace(place, origin_server=standby).run(RULES)
    assert str(lost.value) == f"origin shop: the snapshot is gone: its session was ended; {STANDBY}"


def test_a_standby_that_cancels_long_statements_is_a_warning_of_the_check(place: Place, standby: Server) -> None:
    url = standby.url(place.name, place.app, PASSWORD)
    warning = f"origin shop: the server is a standby with max_standby_streaming_delay=0: {STANDBY}"
    assert warning in check(place, RULES, origin=url).warnings
    with psycopg.connect(standby.url(), autocommit=True) as superuser:
        superuser.execute("ALTER SYSTEM SET hot_standby_feedback = on")
        superuser.execute("SELECT pg_reload_conf()")
        eventually(lambda: superuser.execute("SHOW hot_standby_feedback").fetchall() == [("on",)], "the setting")
    assert warning not in check(place, RULES, origin=url).warnings
    assert not any("standby" in line for line in check(place, RULES).warnings)


def conflict(place: Place, standby: Server) -> None:
    """Have the primary remove what a snapshot of the standby still shows."""
    place.in_origin("UPDATE towns SET city = city")
    with psycopg.connect(place.origin_server.url(place.name), autocommit=True) as superuser:
        superuser.execute("VACUUM towns")
    caught_up(place.origin_server, standby)


def active(server: Server, statement: str) -> bool:
    """Tell whether a statement runs."""
    with psycopg.connect(server.url(), autocommit=True) as superuser:
        asked = "SELECT count(*) FROM pg_stat_activity WHERE query = %s AND state = 'active'"
        return superuser.execute(asked, [statement]).fetchall() == [(1,)]
