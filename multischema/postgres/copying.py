"""Copying rows from an exported snapshot of the origin into a staging table: raw COPY bytes that are never parsed."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import psycopg
from psycopg import sql

from multischema import ddl
from multischema.catalog import Fingerprint
from multischema.errors import DatabaseError, SnapshotLost
from multischema.masking import TablePlan
from multischema.postgres.errors import translate, translated
from multischema.postgres.reads import query, read_fingerprints
from multischema.postgres.sessions import Connection, Database

_CHUNK = 64 * 1024


@dataclass(frozen=True)
class Snapshot:
    """An exported snapshot, alive as long as its session: its identifier, and the files of the tables it shows."""

    connection: Connection
    identifier: str
    fingerprints: Mapping[int, Fingerprint]


@dataclass(frozen=True)
class Copied:
    """What was copied of a table: rows, bytes on the wire, seconds."""

    rows: int
    bytes: int
    seconds: float


def export_snapshot(connection: Connection, origin: Database, tables: Sequence[int]) -> Snapshot:
    """Open the read-only transaction whose snapshot all tables are read from. It touches no table, so it locks none."""
    with translated(origin.side, "exporting a snapshot"):
        connection.execute("BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        identifier = query(connection, "export_snapshot")[0]["identifier"]
        return Snapshot(connection, identifier, read_fingerprints(connection, tables))


def copy_table(
    reading: Connection,
    writing: Connection,
    table: TablePlan,
    *,
    origin: Database,
    target: Database,
    origin_schema: str,
    staging: str,
    snapshot: str,
    on_bytes: Callable[[int], None],
) -> Copied:
    """Copy a table, masked by the origin, and return what was copied.

    A transaction of its own on each side: a lock on the origin's table ends with the table, and a failed attempt leaves the
    staging table as it was. Raises SnapshotLost, ConnectionLost, DatabaseError.
    """
    started = time.monotonic()
    doing = f"copying {table.name}"
    with translated(origin.side, doing), reading.transaction():
        reading.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        _import_snapshot(reading, snapshot, origin)
        with translated(target.side, doing), writing.transaction():
            writing.execute(ddl.empty(staging, table))
            rows_out, rows_in, size = _pipe(reading, writing, table, origin, target, origin_schema, staging, on_bytes)
            if rows_out != rows_in:
                raise DatabaseError(
                    f"target: copying {table.name} failed: {rows_out} rows left the origin, {rows_in} came in"
                )
    return Copied(rows_in, size, time.monotonic() - started)


def _import_snapshot(connection: Connection, snapshot: str, origin: Database) -> None:
    try:
        connection.execute(sql.SQL("SET TRANSACTION SNAPSHOT {}").format(sql.Literal(snapshot)))
    except psycopg.OperationalError:
        raise
    except psycopg.Error:
        raise SnapshotLost(f"{origin.side}: the snapshot is gone: its session was ended") from None


def _pipe(
    reading: Connection,
    writing: Connection,
    table: TablePlan,
    origin: Database,
    target: Database,
    origin_schema: str,
    staging: str,
    on_bytes: Callable[[int], None],
) -> tuple[int, int, int]:
    """Move COPY bytes from one session to the other, gathered to 64 KiB: Postgres sends one message per row."""
    size = 0
    gathered = bytearray()
    with reading.cursor() as reader, writing.cursor() as writer:
        with reader.copy(ddl.copy_out(table, origin_schema)) as source:
            try:
                with writer.copy(ddl.copy_in(staging, table)) as sink:
                    for chunk in _chunks(source, table, origin):
                        gathered += chunk
                        if len(gathered) >= _CHUNK:
                            sink.write(gathered)
                            size += len(gathered)
                            on_bytes(len(gathered))
                            gathered = bytearray()
                    sink.write(gathered)
                    size += len(gathered)
                    on_bytes(len(gathered))
            except psycopg.Error as error:
                raise _naming_column(error, table, target) from None
        return reader.rowcount, writer.rowcount, size


def _chunks(source: psycopg.Copy, table: TablePlan, origin: Database) -> Iterator[bytes | bytearray | memoryview]:
    """Pass the origin's bytes on, so that an error while reading them is the origin's."""
    try:
        yield from source
    except psycopg.Error as error:
        raise translate(error, origin.side, f"copying {table.name}") from None


def _naming_column(error: psycopg.Error, table: TablePlan, target: Database) -> DatabaseError:
    """Name the column that the target could not read: COPY tells it in the context, before the value."""
    context = error.diag.context or ""
    for column in sorted(table.names, key=len, reverse=True):
        if context.endswith(f", column {column}") or f", column {column}:" in context:
            return translate(error, target.side, f"copying {table.name}, column {column},")
    return translate(error, target.side, f"copying {table.name}")
