"""The ways of getting an app's rows from one server to another that the benchmark compares, each timed as a whole."""

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from queue import Queue
from typing import TypeVar

import psutil
import psycopg
from psycopg import sql

from bench.machine import together
from bench.origin import Column, Table, add_foreign_key, foreign_keys
from bench.without_prefect import APP, READER
from demo.servers import Server

ROOT = Path(__file__).parent.parent
INTERVAL = 0.5  # seconds between two looks at the memory of a run's processes
# as in a run's sessions, so that the floor's index builds are the same
_BUILDING = "-c maintenance_work_mem=128MB -c max_parallel_maintenance_workers=0 -c synchronous_commit=off"

Item = TypeVar("Item")


@dataclass
class Taken:
    """What a way took: seconds in total and by part, and its processes' peak memory in bytes."""

    seconds: float
    parts: dict[str, float] = field(default_factory=dict)
    memory: int = 0


@dataclass(frozen=True)
class Place:
    """Two servers, the origin's tables with their rules, how many at a time, and the environment of a Prefect client.

    `origin_url` is how the ways reach the origin. Each way gets a new database on the target every time.
    """

    origin: Server
    target: Server
    origin_url: str
    tables: Sequence[Table]
    rules: Path
    folder: Path
    jobs: int
    prefect: Mapping[str, str]

    @property
    def copied(self) -> list[Table]:
        """Return the tables whose rows are copied, largest first."""
        with psycopg.connect(self.origin.url()) as connection:
            rows = connection.execute("SELECT relname::text, pg_table_size(oid) FROM pg_class").fetchall()
        sizes: dict[str, int] = dict(rows)
        return sorted((table for table in self.tables if not table.truncated), key=lambda table: -sizes[table.name])

    def anew(self, name: str) -> str:
        """Make an empty database on the target, the only one, have both servers write everything out, and return its URL."""
        with psycopg.connect(self.target.url(), autocommit=True) as connection:
            for (old,) in connection.execute("SELECT datname::text FROM pg_database WHERE oid >= 16384").fetchall():
                connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(old)))
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
            connection.execute("CHECKPOINT")
        with psycopg.connect(self.origin.url(), autocommit=True) as connection:
            connection.execute("CHECKPOINT")
        return self.target.url(name)


def ours(place: Place, mode: str, indexes: str = "all") -> Taken:
    """Publish without Prefect, in a process of its own."""
    environment = {**os.environ, **_path(place), "ORIGIN_DB_URL": place.origin_url, "ETL_DB_URL": place.anew("ours")}
    command = [sys.executable, "-m", "bench.without_prefect", str(place.rules), str(place.jobs), mode, indexes]
    taken, said = _run(command, environment)
    return Taken(taken.seconds, json.loads(said)["stages"], taken.memory)


def flow(place: Place, mode: str, indexes: str = "all") -> Taken:
    """Publish with the command of the README, against a running Prefect server."""
    environment = {
        **place.prefect,
        **_path(place),
        "ORIGIN_DB_URL": place.origin_url,
        "ETL_DB_URL": place.anew("ours"),
        "METABASE_USERNAME": READER,
    }
    command = [sys.executable, "-m", "flows.etl", "--app", APP, "--rules", str(place.rules), "--jobs", str(place.jobs)]
    return _run([*command, "--mode", mode, "--indexes", indexes], environment)[0]


def raw(place: Place) -> Taken:
    """Copy with pg_dump and pg_restore, nothing masked, the rows of truncated tables left out."""
    url, archive = place.anew("raw"), place.folder / "archive"
    timer = _Timer()
    with timer("dump"):
        _check(
            [
                _program(place, "pg_dump"),
                "-Fd",
                f"-j{place.jobs}",
                "-f",
                str(archive),
                *_without_rows(place),
                place.origin_url,
            ]
        )
    with timer("restore"):
        _check([_program(place, "pg_restore"), f"-j{place.jobs}", "--no-owner", "-d", url, str(archive)])
    shutil.rmtree(archive)
    return timer.taken()


def floor(place: Place) -> Taken:
    """Copy with bare pipes of two psql into bare tables, then build the same indexes: what Postgres itself takes.

    The indexes are built as a run builds them, on as many sessions as there are jobs, and nothing else works meanwhile.
    """
    url, psql = place.anew("floor"), _program(place, "psql")
    _create_tables(place, url)
    with psycopg.connect(place.origin_url) as connection:
        rows = connection.execute("SELECT tablename, indexdef FROM pg_indexes WHERE schemaname = 'public'").fetchall()
    order = {table.name: number for number, table in enumerate(place.copied)}
    indexes = sorted(((order.get(table, len(order)), definition) for table, definition in rows), key=lambda pair: pair[0])
    with _session(url) as connection:  # as in a run, autovacuum keeps off
        for table in place.tables:
            connection.execute(sql.SQL("ALTER TABLE {} SET (autovacuum_enabled = false)").format(sql.Identifier(table.name)))
    timer = _Timer()

    def pipe(table: Table) -> None:
        name = sql.Identifier(table.name)
        out = sql.SQL("COPY {} TO STDOUT (FORMAT binary)").format(name).as_string()
        into = sql.SQL("COPY {} FROM STDIN (FORMAT binary)").format(name).as_string()
        reading = subprocess.Popen([psql, "-Xqc", out, place.origin_url], stdout=subprocess.PIPE)
        _check([psql, "-Xqc", into, url], stdin=reading.stdout)
        if reading.wait():
            raise RuntimeError(f"psql ended with {reading.returncode}")

    with timer("pipes"):
        _in_parallel(place.jobs, pipe, place.copied)
    with timer("indexes"), ExitStack() as sessions:
        idle: Queue[psycopg.Connection] = Queue()
        for _ in range(place.jobs):
            idle.put(sessions.enter_context(_session(url, _BUILDING)))

        def build(definition: str) -> None:
            connection = idle.get()
            connection.execute(definition.encode())
            idle.put(connection)

        _in_parallel(place.jobs, build, [definition for _, definition in indexes])
    return timer.taken()


def predecessor(place: Place) -> Taken:
    """Do what the replaced tool did: a tar file, UPDATEs for each masked column, and everything copied once more.

    Its steps and statements are those of its public source, betagouv/multi-schema-postgres-etl.
    """
    url, archive = place.anew("predecessor"), place.folder / "archive.tar"
    restore = [_program(place, "pg_restore"), "--no-owner", "-d", url]
    timer = _Timer()
    with timer("dump"):
        _check([_program(place, "pg_dump"), "-Ft", "-f", str(archive), *_without_rows(place), place.origin_url])
    with timer("restore"):
        _check([*restore, "--section=pre-data", "--section=data", str(archive)])
    with timer("update"), _session(url) as connection:
        for table in place.copied:
            for column in table.columns:
                if column.personal:
                    for statement in _updates(table, column):
                        connection.execute(statement)
    with timer("indexes"):
        _check([*restore, "--section=post-data", str(archive)])
    archive.unlink()
    with timer("copy"), _session(url) as connection:
        with connection.transaction():
            _clone(connection, place.tables)
        connection.execute(sql.SQL("GRANT USAGE ON SCHEMA {} TO {}").format(sql.Identifier(APP), sql.Identifier(READER)))
        connection.execute("DROP SCHEMA public CASCADE")
    return timer.taken()


def _updates(table: Table, column: Column) -> list[sql.Composed]:
    """Return the UPDATEs of a masked column: what is empty becomes NULL, then what is not NULL is masked."""
    parts = {"table": sql.Identifier("public", table.name), "column": sql.Identifier(column.name)}
    masking = "UPDATE {table} SET {column} = {mask} WHERE {column} IS NOT NULL"
    if not column.is_text:
        return [sql.SQL(masking).format(mask=sql.NULL, **parts)]
    before, after = ("email_anonymise_", "@exemple.fr") if "email" in column.name else ("[valeur unique anonymisée ", "]")
    mask = sql.SQL("{} || id || {}").format(sql.Literal(before), sql.Literal(after))
    return [
        sql.SQL("UPDATE {table} SET {column} = NULL WHERE {column} = ''").format(**parts),
        sql.SQL(masking).format(mask=mask, **parts),
    ]


def _clone(connection: psycopg.Connection, tables: Sequence[Table]) -> None:
    """Copy the tables of `public` into the app's schema, with indexes, then the foreign keys, which point into `public`."""
    connection.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(APP)))
    for table in tables:
        copy, original = sql.Identifier(APP, table.name), sql.Identifier("public", table.name)
        connection.execute(sql.SQL("CREATE TABLE {} (LIKE {} INCLUDING ALL)").format(copy, original))
        connection.execute(sql.SQL("INSERT INTO {} SELECT * FROM {}").format(copy, original))
    for name, column, referenced in foreign_keys(tables):
        connection.execute(add_foreign_key(sql.Identifier(APP, name), column, sql.Identifier("public", referenced)))


def _create_tables(place: Place, url: str) -> None:
    made = subprocess.run(
        [_program(place, "pg_dump"), "--section=pre-data", "--no-owner", "--no-privileges", place.origin_url],
        stdout=subprocess.PIPE,
        check=True,
    )
    subprocess.run([_program(place, "psql"), "-Xqo", os.devnull, url], input=made.stdout, check=True)


def _without_rows(place: Place) -> list[str]:
    return ["--no-privileges", *(f"--exclude-table-data=public.{table.name}" for table in place.tables if table.truncated)]


def _program(place: Place, name: str) -> str:
    return str(place.target.bin / name)


def _path(place: Place) -> dict[str, str]:
    """Return a PATH with the servers' client programs first."""
    return {"PATH": f"{place.target.bin}:{Path(sys.executable).parent}:{os.environ['PATH']}"}


def _check(command: Sequence[str], stdin: object = None) -> None:
    subprocess.run(command, stdin=stdin, check=True)  # type: ignore[call-overload]


@contextmanager
def _session(url: str, options: str = "") -> Iterator[psycopg.Connection]:
    with psycopg.connect(url, autocommit=True, options=options) as connection:
        yield connection


def _in_parallel(jobs: int, work: Callable[[Item], None], items: Sequence[Item]) -> None:
    with ThreadPoolExecutor(jobs) as executor:
        list(executor.map(work, items))


def _run(command: Sequence[str], environment: Mapping[str, str]) -> tuple[Taken, str]:
    """Run a command from its start to its end, imports included; return what it took and what it printed."""
    started = time.monotonic()
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as run:
        ended = threading.Event()
        peaks = [0]
        watcher = threading.Thread(target=_watch, args=(run.pid, ended, peaks))
        watcher.start()
        said, complaints = run.communicate()
        seconds = time.monotonic() - started
        ended.set()
        watcher.join()
    if run.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {run.returncode}:\n{said[-2000:]}\n{complaints[-2000:]}")
    return Taken(seconds, {}, max(peaks)), said


def _watch(pid: int, ended: threading.Event, peaks: list[int]) -> None:
    while not ended.wait(INTERVAL):
        with suppress(psutil.NoSuchProcess):
            process = psutil.Process(pid)
            peaks[0] = max(peaks[0], together([process, *process.children(recursive=True)]))


class _Timer:
    """Measure the parts of a way; the whole is their sum."""

    def __init__(self) -> None:
        self._parts: dict[str, float] = {}

    @contextmanager
    def __call__(self, part: str) -> Iterator[None]:
        started = time.monotonic()
        yield
        self._parts[part] = time.monotonic() - started

    def taken(self) -> Taken:
        """Return what all parts took."""
        return Taken(sum(self._parts.values()), self._parts)
