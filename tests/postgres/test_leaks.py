"""No personal datum leaves the origin: not to the target's disk, not over the wire, not to a log. Nor does a password."""

import logging
import secrets
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psutil
import psycopg
import pytest

from demo.servers import Server
from multischema import pipeline
from multischema.errors import DatabaseError
from multischema.plan.plan import Plan
from multischema.postgres.database import Database
from multischema.stages.index import Indexed
from multischema.stages.run import Run
from tests.conftest import PASSWORD, PROGRAMS, Place
from tests.support.gates import eventually, gate_at, have_rows_call
from tests.support.ledger import held, waiting
from tests.support.markers import Markers, found, rules
from tests.support.proxy import proxied

# WAL is kept whole and uncompressed, so that what a dropped table held would still be found in it
SETTINGS = {"wal_compression": "off", "wal_keep_size": "2GB", "log_statement": "all", "log_error_verbosity": "verbose"}
PAIRS = [("16", "18"), pytest.param("18", "16", marks=pytest.mark.slow)]


def contents(directory: Path) -> Iterator[bytes]:
    """Read all files below a directory; those that the server removes meanwhile are gone."""
    for path in directory.rglob("*"):
        try:
            if path.is_file():
                yield path.read_bytes()
        except FileNotFoundError:
            continue


def files_on_disk(server: Server) -> list[bytes]:
    """Return all that a server has written, after a checkpoint."""
    with psycopg.connect(server.url(), autocommit=True) as connection:
        connection.execute("CHECKPOINT")
    return list(contents(server.data))


def autovacuum_comes(place: Place) -> None:
    """Wait until autovacuum has looked at all tables of the target; one that is made just now shows it."""
    analyzed = "SELECT last_autoanalyze IS NOT NULL FROM pg_stat_user_tables WHERE relid = 'canary.t'::regclass"
    at_work = "SELECT 1 FROM pg_stat_activity WHERE backend_type = 'autovacuum worker' AND datname = current_database()"
    place.in_target("CREATE SCHEMA canary; CREATE TABLE canary.t AS SELECT generate_series(1, 1000) AS n", superuser=True)
    eventually(lambda: place.read(analyzed, as_="superuser") == [(True,)], "autovacuum came")
    eventually(lambda: place.read(at_work, as_="superuser") == [], "autovacuum is done")
    place.in_target("DROP SCHEMA canary CASCADE", superuser=True)


def forms_of_password() -> Mapping[str, tuple[bytes, ...]]:
    """Return the password as it is, and as URLs and Python show it."""
    return {"password": tuple(f.encode() for f in (PASSWORD, quote(PASSWORD, safe=""), quote(PASSWORD), repr(PASSWORD)))}


@contextmanager
def everything_logged(caplog: pytest.LogCaptureFixture) -> Iterator[Callable[[], bytes]]:
    """Have every logger say all it can, and give what was said so far."""
    loggers = [logging.getLogger(), *(logging.getLogger(name) for name in ("psycopg", "psycopg.pq", "urllib3", "asyncio"))]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.DEBUG)
    caplog.handler.setLevel(logging.NOTSET)
    try:
        yield lambda: caplog.text.encode()
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


@pytest.fixture
def empty_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the test an empty working directory, home and directory for temporary files, below the one returned."""
    top = tmp_path / "disk"
    for name in ("work", "tmp", "home"):
        (top / name).mkdir(parents=True)
    monkeypatch.chdir(top / "work")
    monkeypatch.setenv("TMPDIR", str(top / "tmp"))
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setenv("HOME", str(top / "home"))
    return top


@pytest.mark.parametrize(("origin", "target"), PAIRS)
def test_no_marker_of_a_personal_column_leaves_the_origin(
    origin: str,
    target: str,
    start_server: Callable[..., Server],
    make_place: Callable[..., Place],
    caplog: pytest.LogCaptureFixture,
    empty_disk: Path,
) -> None:
    own = f"leak-{target}"
    start_server(target, own, SETTINGS)
    place = make_place(origin, target, own)
    markers = Markers()
    place.in_origin(markers.origin(virtual=origin == "18"))
    personal, controls = markers.found_by("personal"), markers.found_by("plain")
    rules_file = place.rules(rules())
    log_before = place.target_server.log.stat().st_size

    with (
        everything_logged(caplog) as logged,
        proxied(place.origin_server.port) as origin_wire,
        proxied(place.target_server.port) as target_wire,
    ):
        databases = (
            Database("origin", "shop", origin_wire.url(place.origin_url)),
            Database("target", "shop", target_wire.url(place.target_url)),
        )
        with gate_at(place, "CREATE INDEX") as gate:
            run = threading.Thread(target=pipeline.run, args=(place.job(), rules_file, *databases))
            run.start()
            gate.reached()
            # while the run builds: what it will drop or rename is still there
            midway = files_on_disk(place.target_server)
            command_lines = " ".join(word for process in psutil.process_iter() for word in arguments(process)).encode()
            gate.open()
            run.join()
        pipeline.run(place.job(), rules_file, *databases)
        assert place.schemas() == {"shop"}
        afterwards = files_on_disk(place.target_server)
        wal = list(contents(place.target_server.data / "pg_wal"))
        said = [logged(), place.target_server.log.read_bytes()[log_before:]]
        wires = [origin_wire.answered, target_wire.sent, target_wire.answered]

    # the search finds what is not masked, whatever its type, in tables, in WAL and on both wires …
    searches: list[Iterable[bytes | bytearray]] = [midway, afterwards, wal, *([wire] for wire in wires[:2])]
    for searched in searches:
        assert found(controls, searched) == set(controls)
    assert found(controls, contents(place.origin_server.data)) == set(controls)
    # … and in the origin's own directory what is personal, but nothing of it anywhere else
    assert found(personal, contents(place.origin_server.data)) == set(personal)
    for searched in (midway, afterwards, wal, wires, said, list(contents(empty_disk))):
        assert found(personal, searched) == set()
    assert [path for path in empty_disk.rglob("*") if path.is_file()] == []

    assert f"etl_{place.number}".encode() in command_lines  # the server's own processes are among them
    assert b"CREATE TABLE" in said[1]
    assert found(forms_of_password(), [*said, *wires, origin_wire.sent, command_lines, *contents(empty_disk)]) == set()


@pytest.mark.parametrize(("origin", "target"), PAIRS)
def test_no_marker_of_a_personal_column_leaves_the_origin_in_a_refresh_and_no_row_that_did_not_change(
    origin: str,
    target: str,
    start_server: Callable[..., Server],
    make_place: Callable[..., Place],
    caplog: pytest.LogCaptureFixture,
    empty_disk: Path,
) -> None:
    own = f"leak-{target}"
    start_server(target, own, SETTINGS)
    place = make_place(origin, target, own)
    old, new = Markers(), Markers()
    place.in_origin(old.origin(virtual=origin == "18"))
    rules_file = place.rules(rules())
    untouched = {"mood", "plain_mood", "plain_full", "truncated", "other_schema", "view"}
    personal = {name: forms for name, forms in new.found_by("personal").items() if name not in untouched}
    controls = {name: forms for name, forms in new.found_by("plain").items() if name not in untouched}
    before = old.found_by("personal")
    log_before = place.target_server.log.stat().st_size

    with (
        everything_logged(caplog) as logged,
        proxied(place.origin_server.port) as origin_wire,
        proxied(place.target_server.port) as target_wire,
    ):
        databases = (
            Database("origin", "shop", origin_wire.url(place.origin_url)),
            Database("target", "shop", target_wire.url(place.target_url)),
        )
        pipeline.run(place.job(refresh="auto"), rules_file, *databases)
        place.in_origin(new.changes())
        sent_before = len(origin_wire.answered)
        with held(place, "LOCK TABLE etl_state.published IN SHARE MODE") as gate:
            run = threading.Thread(target=pipeline.run, args=(place.job(refresh="auto"), rules_file, *databases))
            run.start()
            waiting(place, "etl_state.published")
            # while the run publishes: what it brought, rows and keys, is still there
            staged = [name for name in place.schemas() if name.startswith("etl_staging_")]
            midway = files_on_disk(place.target_server)
            gate.close()
            run.join()
        assert len(staged) == 2
        assert place.schemas() == {"shop"}
        assert place.read("SELECT count(*) FROM shop.people") == [(294,)]
        afterwards = files_on_disk(place.target_server)
        wal = list(contents(place.target_server.data / "pg_wal"))
        said = [logged(), place.target_server.log.read_bytes()[log_before:]]
        wires = [origin_wire.answered, target_wire.sent, target_wire.answered]

    searches: list[Iterable[bytes | bytearray]] = [midway, afterwards, wal, *([wire] for wire in wires[:2])]
    for searched in searches:
        assert found(controls, searched) == set(controls)
    assert found(personal, files_on_disk(place.origin_server)) == set(personal)
    for searched in (midway, afterwards, wal, wires, said, list(contents(empty_disk))):
        assert found(personal, searched) == set()
        assert found(before, searched) == set()
    assert [path for path in empty_disk.rglob("*") if path.is_file()] == []
    # of a row that did not change nothing leaves but its key
    unchanged = {name: old.found_by("plain")[name] for name in ("plain_details", "plain_long", "plain_tag")}
    assert found(unchanged, [origin_wire.answered[:sent_before]]) == set(unchanged)
    assert found(unchanged, [origin_wire.answered[sent_before:]]) == set()
    assert b"DELETE FROM" in said[1]


@pytest.mark.slow
@pytest.mark.parametrize("backup", [False, True])
@pytest.mark.parametrize(("origin", "target"), PAIRS)
def test_in_mode_dump_no_marker_is_in_wal_logs_or_statistics_and_none_anywhere_after_the_run(
    origin: str,
    target: str,
    backup: bool,
    start_server: Callable[..., Server],
    make_place: Callable[..., Place],
    caplog: pytest.LogCaptureFixture,
    empty_disk: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    own = f"leak-dump-{target}"
    start_server(target, own, SETTINGS | {"autovacuum_naptime": "1s", "autovacuum_analyze_threshold": "1"})
    place = make_place(origin, target, own)
    monkeypatch.setenv("PATH", str(PROGRAMS["18"]), prepend=":")
    markers = Markers()
    # the label of an enum is in a backup's structure
    personal = {k: v for k, v in markers.found_by("personal").items() if not backup or k not in ("mood", "view")}
    place.in_origin(markers.origin(virtual=False))
    changes: dict[str, Any] = {"mode": "dump"}
    if backup:
        file = tmp_path / "backup"
        dumped = ["--format=custom", f"--file={file}", "--dbname", place.origin_url]
        subprocess.run([PROGRAMS["18"] / "pg_dump", *dumped], check=True, capture_output=True)
        changes["from_dump"] = str(file)
    log_before = place.target_server.log.stat().st_size
    index = pipeline.index
    midway: list[bytes] = []

    def index_then_wait(run: Run, plan: Plan) -> Indexed:
        indexed = index(run, plan)
        assert place.read("SELECT count(*) FROM public.people", as_="superuser") == [(300,)]
        autovacuum_comes(place)  # its statistics would hold the commonest names
        midway.extend(contents(place.target_server.data / "pg_wal"))
        return indexed

    monkeypatch.setattr(pipeline, "index", index_then_wait)
    with everything_logged(caplog) as logged:
        place.run(rules(), **changes)
        said = [logged(), place.target_server.log.read_bytes()[log_before:]]
    afterwards = files_on_disk(place.target_server)
    assert found(markers.found_by("plain"), midway) != set()
    for searched in (midway, said, afterwards, list(contents(empty_disk))):
        assert found(personal, searched) == set()
    assert [path for path in empty_disk.rglob("*") if path.is_file()] == []


def test_the_search_would_find_a_marker_that_an_unmasked_run_copies(
    start_server: Callable[..., Server], make_place: Callable[..., Place]
) -> None:
    own = "leak-18"
    start_server("18", own, SETTINGS)
    place = make_place("16", "18", own)
    markers = Markers()
    place.in_origin(markers.origin(virtual=False))
    personal = markers.found_by("personal")

    place.run(rules(masking=False))

    never_read = {"truncated", "other_schema", "view"}
    assert found(personal, files_on_disk(place.target_server)) == set(personal) - never_read


def test_what_the_origin_says_of_a_row_it_cannot_give_goes_nowhere(
    start_server: Callable[..., Server],
    make_place: Callable[..., Place],
    caplog: pytest.LogCaptureFixture,
    empty_disk: Path,
) -> None:
    start_server("18", "leak-18", SETTINGS)
    place = make_place("16", "18", "leak-18")
    marker = f"zq{secrets.token_hex(5)}"
    place.in_origin(
        f"""
        CREATE TYPE state AS ENUM ('calm', 'odd');
        CREATE TYPE told AS (state state);
        CREATE FUNCTION told(state) RETURNS json LANGUAGE plpgsql AS $$
        BEGIN
            IF $1 = 'odd' THEN
                RAISE EXCEPTION '{marker} a' USING DETAIL = '{marker} b', HINT = '{marker} c';
            END IF;
            RETURN '"calm"';
        END $$;
        CREATE TABLE users (id int PRIMARY KEY, name text, state told);
        INSERT INTO users SELECT n, repeat('x', 400), ROW(CASE n WHEN 900 THEN 'odd' ELSE 'calm' END)::told
        FROM generate_series(1, 1000) AS n;
        """
    )
    have_rows_call(place, "told", "state")
    log_before = place.target_server.log.stat().st_size

    with everything_logged(caplog) as logged, pytest.raises(DatabaseError) as raised:
        place.run("tables: [{table_name: users, anonymized_column_names: [], non_anonymized_column_names: [name, state]}]")

    shown = str(raised.value)
    assert shown.startswith("origin shop: copying users failed: RaiseException (P0001)")
    said = [logged(), place.target_server.log.read_bytes()[log_before:], shown.encode()]
    assert b"COPY from stdin failed" in said[1]
    assert marker.encode() not in b"".join([*said, *files_on_disk(place.target_server), *contents(empty_disk)])


def arguments(process: psutil.Process) -> list[str]:
    """Return a process's command line, as `ps` shows it to everyone."""
    try:
        return process.cmdline()
    except psutil.Error:
        return []
