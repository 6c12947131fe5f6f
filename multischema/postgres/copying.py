"""Copying rows from an exported snapshot of the origin into a staging table: raw COPY bytes that are never parsed."""

import re
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import partial

import psycopg
from psycopg import errors, sql

from multischema.catalog.position import Position
from multischema.catalog.tables import Fingerprint
from multischema.errors import STANDBY, DatabaseError, SnapshotLost
from multischema.plan.tables import TablePlan
from multischema.postgres.connecting import Connection, execute_script
from multischema.postgres.database import Database
from multischema.postgres.failures import translate, translated
from multischema.postgres.questions import ask, read_fingerprints, read_timeline, value_of
from multischema.statements import building
from multischema.statements.reading import computing, copy_out, counting, counting_since, guarding
from multischema.words import plural

_CHUNK = 64 * 1024
_ENDS = (2, 21)  # size of the message that ends a binary COPY: alone, or with the header if it is empty


_JSON = (
    "json in it holds what jsonb can't (\\u0000, or half a character): repair it in the origin, anonymize the column, or "
    "truncate the table in the rules"
)


class _NotComputed(DatabaseError):
    """The origin could not compute a value to send."""


@dataclass(frozen=True)
class Snapshot:
    """An exported snapshot, alive as long as its session: its identifier, its position, fingerprints of the tables in it.

    `taken_at` is the time on the origin's clock as of which rows are read.
    """

    connection: Connection
    identifier: str
    taken_at: datetime
    position: Position
    fingerprints: Mapping[int, Fingerprint]


@dataclass(frozen=True)
class Copied:
    """What was copied from a table: rows, bytes on the wire, seconds."""

    rows: int
    bytes: int
    seconds: float


def export_snapshot(connection: Connection, origin: Database, tables: Sequence[int]) -> Snapshot:
    """Open the read-only transaction whose snapshot every table is read from. It touches no table, so it locks none."""
    with translated(origin.side, "exporting a snapshot"):
        system, timeline = read_timeline(connection)
        connection.execute("BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        ((identifier, taken_at),) = ask(connection, lambda identifier, taken_at: (identifier, taken_at), "export_snapshot")
        (position,) = ask(connection, partial(Position, system=system, timeline=timeline), "position")
        return Snapshot(connection, identifier, taken_at, position, read_fingerprints(connection, tables))


@dataclass(frozen=True)
class Route:
    """The route of a copy: the origin's name in messages, its schema, the snapshot, the staging schema."""

    origin: str
    schema: str
    snapshot: str
    staging: str


def copy_table(
    reading: Connection, writing: Connection, table: TablePlan, route: Route, on_bytes: Callable[[int], None]
) -> Copied:
    """Copy a table, masked by the origin, and return what was copied.

    Each side has a transaction for this table alone: the lock on the origin's table ends with it, and a failed attempt
    leaves the staging table as it was. Raises SnapshotLost, ConnectionLost, DatabaseError.
    """
    started = time.monotonic()
    doing = f"copying {table.name}"
    try:
        with translated(route.origin, doing):
            _import_snapshot(reading, route)
            _refuse_unreadable(reading, table, route)
            with translated("target", doing), writing.transaction():
                writing.execute(building.empty(route.staging, table))
                rows_out, rows_in, size = _pipe(reading, writing, table, route, on_bytes)
                if rows_out != rows_in:
                    raise DatabaseError(f"target: {doing} failed: {rows_out} rows left the origin, {rows_in} came in")
            reading.execute("COMMIT")
    except _NotComputed as failed:
        raise _of_column(failed, reading, table, route) from None
    return Copied(rows_in, size, time.monotonic() - started)


def count_rows(reading: Connection, table: TablePlan, route: Route) -> int:
    """Return how many rows a table has in the snapshot, after refusing values that the target would read differently.

    Raises SnapshotLost, ConnectionLost, DatabaseError.
    """
    with translated(route.origin, f"counting the rows of {table.name}"):
        _import_snapshot(reading, route)
        _refuse_unreadable(reading, table, route)
        rows = value_of(reading, int, counting(table, route.schema))
        reading.execute("COMMIT")
    return rows


def count_since(
    reading: Connection, table: TablePlan, route: Route, span: tuple[int, int] | None, *, places: bool
) -> tuple[int, int, str | None, str | None]:
    """Return how many rows a table has in the snapshot, how many of them in the window, and between which places these are.

    All of them count as in it where there is no `span` of transactions; the places are not read unless they may be. Raises
    SnapshotLost, ConnectionLost, DatabaseError.
    """
    with translated(route.origin, f"comparing {table.name}"):
        _import_snapshot(reading, route)
        if span is None:
            rows = value_of(reading, int, counting(table, route.schema))
            found = (rows, rows, None, None)
        else:
            (row,) = reading.execute(counting_since(table, route.schema, span, places=places)).fetchall()
            found = (row["rows"], row["window"], row["first"], row["last"])
        reading.execute("COMMIT")
    return found


def _refuse_unreadable(reading: Connection, table: TablePlan, route: Route) -> None:
    """Raise DatabaseError with a line for each column that holds what the target's version can't."""
    if not table.guards:
        return
    counts = value_of(reading, tuple[int, ...], guarding(table, route.schema))
    problems = [
        f"{route.origin}: column {table.name}.{guard.column} holds {guard.what}; repair {count} {plural(count, 'row')}, "
        "anonymize the column, use another target, or truncate the table in the rules"
        for guard, count in zip(table.guards, counts, strict=True)
        if count
    ]
    if problems:
        raise DatabaseError(*problems)


def _import_snapshot(connection: Connection, route: Route) -> None:
    """Begin a transaction in the snapshot, in one round trip. If something goes wrong, it ends with its session."""
    begin = sql.SQL("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET TRANSACTION SNAPSHOT {}")
    try:
        execute_script(connection, begin.format(sql.Literal(route.snapshot)))
    except psycopg.Error as error:
        # "the source transaction is not running anymore" is an OperationalError for psycopg, like a lost connection
        is_gone = isinstance(error, errors.ObjectNotInPrerequisiteState)
        if isinstance(error, psycopg.OperationalError) and not is_gone:
            raise
        hint = f"; {STANDBY}" if connection.info.parameter_status("in_hot_standby") == "on" else ""
        raise SnapshotLost(f"{route.origin}: the snapshot is gone: its session was ended{hint}") from None


def _pipe(
    reading: Connection, writing: Connection, table: TablePlan, route: Route, on_bytes: Callable[[int], None]
) -> tuple[int, int, int]:
    """Move COPY bytes from one session to the other; return the rows that left, the rows that came in, and the bytes."""
    size = 0
    with reading.cursor() as reader, writing.cursor() as writer:
        with translated(route.origin, f"copying {table.name}"), reader.copy(copy_out(table, route.schema)) as source:
            try:
                with writer.copy(building.copy_in(route.staging, table)) as sink:
                    for chunk in _chunks(source, reading, table, route):
                        sink.write(chunk)
                        size += len(chunk)
                        on_bytes(len(chunk))
                        del chunk  # a row may have hundreds of megabytes: no copy outlives its use, here and below
            except psycopg.Error as error:
                raise naming_column(error, f"copying {table.name}", table.names) from None
        return reader.rowcount, writer.rowcount, size


def _chunks(source: psycopg.Copy, reading: Connection, table: TablePlan, route: Route) -> Iterator[bytearray]:
    """Yield what arrives in chunks of 64 KiB: Postgres sends a message per row. An error while reading is the origin's.

    `read` waits for one message, which is most of the cost of a narrow row; libpq gives those that arrived with it.
    """
    take = reading.pgconn.get_copy_data
    gathered = bytearray()
    try:
        while message := source.read():
            size = len(message)
            while size > 0:
                gathered += message
                if len(gathered) >= _CHUNK:
                    message = b""
                    yield gathered
                    gathered = bytearray()
                if size in _ENDS:
                    break
                size, message = take(1)
            if size < 0:
                failed, *_ = iter(reading.pgconn.get_result, None)
                raise errors.error_from_result(failed)
    except psycopg.DataError as error:
        raise _NotComputed(*translate(error, route.origin, f"copying {table.name}").problems) from None
    except psycopg.Error as error:
        raise translate(error, route.origin, f"copying {table.name}") from None
    yield gathered


def _of_column(failed: _NotComputed, reading: Connection, table: TablePlan, route: Route) -> DatabaseError:
    """Find the column whose value could not be computed by computing each again in the snapshot: no error names it."""
    with suppress(psycopg.Error, SnapshotLost):
        reading.execute("ROLLBACK")
        _import_snapshot(reading, route)
        for column in sorted(table.columns, key=lambda column: not column.is_converted):
            try:
                reading.execute(computing(table, column, route.schema))
            except psycopg.DataError as error:
                hint = _JSON if column.is_converted and column.type in ("jsonb", "jsonb[]") else None
                return translate(error, route.origin, f"copying {table.name}, column {column.name},", hint)
    return DatabaseError(*failed.problems)


def naming_column(error: psycopg.Error, doing: str, columns: Collection[str], hint: str | None = None) -> DatabaseError:
    """Name the column that the target could not read: in any language, COPY puts it in the context, before the value.

    `hint` is what to do where a column can be named.
    """
    context = error.diag.context or ""
    for column in sorted(columns, key=len, reverse=True):
        if re.match(rf"COPY .*?, \w+ \d+, \w+ {re.escape(column)}(?: ?:|$)", context, re.MULTILINE):
            return translate(error, "target", f"{doing}, column {column},", hint)
    return translate(error, "target", doing)
