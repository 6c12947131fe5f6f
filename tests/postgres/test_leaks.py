"""No personal datum leaves the origin: not to the target's disk, not over the wire, not to a log. Nor does a password."""

import logging
import secrets
import struct
import subprocess
import tempfile
import threading
import uuid
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
from tests.support.proxy import proxied

# WAL is kept whole and uncompressed, so that what a dropped table held would still be found in it
SETTINGS = {"wal_compression": "off", "wal_keep_size": "2GB", "log_statement": "all", "log_error_verbosity": "verbose"}

# The names of what is personal, and of what is copied as it is so that the same search finds it: of every kind one.
PERSONAL = ["first", "email", "phone", "tag", "details", "doc", "home", "homes", "mail", "mood", "long", "file", "note"]
PERSONAL += ["part", "parent", "child", "truncated", "other_schema", "view"]
CONTROLS = ["plain", "plain_tag", "plain_details", "plain_home", "plain_mood", "plain_long", "plain_file", "plain_full"]
CONTROLS += ["plain_part"]


class Markers:
    """Values that stand nowhere else, by name; text ones begin with a text of their own, for all rows."""

    def __init__(self) -> None:
        self.text = {name: f"zq{secrets.token_hex(5)}" for name in PERSONAL + CONTROLS}
        self.number = {name: secrets.randbits(62) | 1 << 61 for name in ("personal", "plain")}
        self.uuid = {name: uuid.uuid4() for name in ("personal", "plain")}
        self.digits = {name: [secrets.randbelow(9000) + 1000 for _ in range(6)] for name in ("personal", "plain")}

    def found_by(self, kind: str) -> Mapping[str, tuple[bytes, ...]]:
        """Return what to look for, by name: the forms that a value has on a disk, on the wire or in a log."""
        names = PERSONAL if kind == "personal" else CONTROLS
        number, digits = self.number[kind], self.digits[kind]
        return {
            **{name: (self.text[name].encode(), self.text[name].encode().hex().encode()) for name in names},
            "number": (struct.pack("<q", number), struct.pack(">q", number), str(number).encode()),
            "uuid": (self.uuid[kind].bytes, str(self.uuid[kind]).encode()),
            "numeric": (struct.pack("<6H", *digits), struct.pack(">6H", *digits), self.numeric(kind).encode()),
        }

    def numeric(self, kind: str) -> str:
        """Return a number whose groups of four digits are the marker's, as Postgres stores it."""
        return "".join(map(str, self.digits[kind]))

    def origin(self, virtual: bool) -> str:
        """Return the statements that fill an origin; long values are random, so that no compression hides them."""
        m = self.text
        also = "CREATE INDEX ON people (lower(first), id) WHERE first <> ''; " if not virtual else ""
        return f"""
        CREATE TYPE mood AS ENUM ('calm', '{m["mood"]}', '{m["plain_mood"]}');
        CREATE TYPE address AS (street text, number int);
        CREATE DOMAIN mail AS text;
        CREATE TABLE people (
            id serial PRIMARY KEY,
            first varchar(60), email text NOT NULL, phone char(40), tags text[], details jsonb, doc json NOT NULL,
            home address, homes address[] NOT NULL, mail mail, mood mood NOT NULL, long text, file bytea,
            number bigint, token uuid, amount numeric,
            loud text GENERATED ALWAYS AS (upper(first)) STORED,
            search tsvector GENERATED ALWAYS AS (to_tsvector('simple', first || ' ' || email)) STORED,
            {"quiet text GENERATED ALWAYS AS (lower(first) || email)," if virtual else ""}
            plain text, plain_tags text[], plain_details jsonb, plain_home address, plain_mood mood, plain_long text,
            plain_file bytea, plain_number bigint, plain_token uuid, plain_amount numeric, plain_first text,
            plain_full text GENERATED ALWAYS AS ('{m["plain_full"]}' || plain_first) STORED
        );
        INSERT INTO people (
            first, email, phone, tags, details, doc, home, homes, mail, mood, long, file, number, token, amount,
            plain, plain_tags, plain_details, plain_home, plain_mood, plain_long, plain_file, plain_number, plain_token,
            plain_amount, plain_first)
        SELECT '{m["first"]}' || n, '{m["email"]}@' || n, '{m["phone"]}', ARRAY['{m["tag"]}' || n, 'x'],
            jsonb_build_object('{m["details"]}', n), json_build_object('a', '{m["doc"]}'),
            ROW('{m["home"]}', n)::address, ARRAY[ROW('{m["homes"]}', n)::address], '{m["mail"]}', '{m["mood"]}',
            noise || '{m["long"]}' || reverse(noise), '\\x{m["file"].encode().hex()}', {self.number["personal"]},
            '{self.uuid["personal"]}', {self.numeric("personal")},
            '{m["plain"]}' || n, ARRAY['{m["plain_tag"]}' || n, 'x'], jsonb_build_object('{m["plain_details"]}', n),
            ROW('{m["plain_home"]}', n)::address, '{m["plain_mood"]}', noise || '{m["plain_long"]}' || reverse(noise),
            '\\x{m["plain_file"].encode().hex()}', {self.number["plain"]}, '{self.uuid["plain"]}',
            {self.numeric("plain")}, n::text
        FROM generate_series(1, 300) AS n,
            LATERAL (SELECT string_agg(encode(sha256((random()::text || n || i)::bytea), 'base64'), '') AS noise
                     FROM generate_series(1, 60) AS i) AS noise;
        {also}
        CREATE INDEX ON people (lower(first));
        CREATE INDEX ON people ((details ->> '{m["plain"]}'));
        CREATE INDEX ON people USING gin (tags);
        CREATE INDEX ON people (left(email, 30) text_pattern_ops, plain);
        CREATE UNIQUE INDEX ON people (email);

        CREATE TABLE notes (note text, plain text);
        INSERT INTO notes SELECT '{m["note"]}' || n, 'x' FROM generate_series(1, 50) AS n;

        CREATE TABLE visits (id int, at date, part text, plain_part text) PARTITION BY RANGE (at);
        CREATE TABLE visits_1 PARTITION OF visits FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
        CREATE TABLE visits_2 PARTITION OF visits DEFAULT;
        INSERT INTO visits SELECT n, date '2024-06-01' + n * 10, '{m["part"]}', '{m["plain_part"]}'
        FROM generate_series(1, 50) AS n;

        CREATE TABLE parents (id int PRIMARY KEY, name text);
        CREATE TABLE children (more text) INHERITS (parents);
        INSERT INTO parents VALUES (1, '{m["parent"]}');
        INSERT INTO children VALUES (2, '{m["child"]}', '{m["child"]}');

        CREATE TABLE versions (id int PRIMARY KEY, object text);
        INSERT INTO versions VALUES (1, '{m["truncated"]}');
        CREATE SCHEMA private;
        CREATE TABLE private.people (name text);
        INSERT INTO private.people VALUES ('{m["other_schema"]}');
        CREATE MATERIALIZED VIEW seen AS SELECT '{m["view"]}' || first AS name FROM people;
        """


PAIRS = [("16", "18"), pytest.param("18", "16", marks=pytest.mark.slow)]
# of each table: personal columns, others
COLUMNS = {
    "people": (
        "first email phone tags details doc home homes mail mood long file number token amount",
        "plain plain_tags plain_details plain_home plain_mood plain_long plain_file plain_number plain_token plain_amount "
        "plain_first plain_full loud search quiet",
    ),
    "notes": ("note", "plain"),
    "visits": ("part", "id at plain_part"),
    "parents": ("name", ""),
    "children": ("name more", "id"),
}


def rules(*, masking: bool = True) -> str:
    """Return the rules of the origin, or rules by which nothing but the truncated table is personal."""
    entries = ["{table_name: versions, truncated: true}"]
    for table, (personal, others) in COLUMNS.items():
        masked, plain = (personal.split(), others.split()) if masking else ([], [*personal.split(), *others.split()])
        entries.append(
            f"{{table_name: {table}, anonymized_column_names: [{', '.join(masked)}], "
            f"non_anonymized_column_names: [{', '.join(plain)}]}}"
        )
    return "tables:\n" + "".join(f"  - {entry}\n" for entry in entries)


def found(markers: Mapping[str, tuple[bytes, ...]], contents: Iterable[bytes | bytearray]) -> set[str]:
    """Return the names of the markers that stand in one of the contents, in any of their forms."""
    names: set[str] = set()
    for content in contents:
        names |= {name for name, forms in markers.items() if any(form in content for form in forms)}
    return names


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


@pytest.mark.parametrize("backup", [False, pytest.param(True, marks=pytest.mark.slow)])
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
