"""Sessions: connections with pinned settings, lent to threads, kept alive, and all ended at once when a run ends."""

import os
import secrets
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Literal

import psycopg
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import dict_row

from multischema.errors import ConnectionLost, DatabaseError, RunEnded
from multischema.postgres.errors import one_line, translated
from multischema.postgres.reads import query

Connection = psycopg.Connection[dict[str, Any]]

CONNECT_TIMEOUT = 15
HEARTBEAT = 60.0  # seconds; proxies cut a connection on which nothing was said for half an hour
LOCK_TIMEOUT = "5min"

_COMMON = {
    "DateStyle": "ISO, MDY",
    "IntervalStyle": "postgres",
    "TimeZone": "UTC",
    "statement_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
    "idle_session_timeout": "0",
    "transaction_timeout": "0",
    "lock_timeout": LOCK_TIMEOUT,
    # an orphaned statement must not outlive a killed run
    "client_connection_check_interval": "10s",
    "tcp_keepalives_idle": "30",
    "tcp_keepalives_interval": "10",
    "tcp_keepalives_count": "3",
}
_SETTINGS = {
    "origin": {
        **_COMMON,
        "default_transaction_read_only": "on",
        "row_security": "off",
        "synchronize_seqscans": "off",
        "extra_float_digits": "1",
    },
    "target": {**_COMMON, "maintenance_work_mem": "128MB", "default_transaction_read_only": "off"},
}
_KEEPALIVES = {"keepalives": "1", "keepalives_idle": "30", "keepalives_interval": "10", "keepalives_count": "3"}


@dataclass(frozen=True)
class Database:
    """One of the two databases of a run. The URL holds a password: it is in no repr and in no message."""

    kind: Literal["origin", "target"]
    app: str
    url: str = field(repr=False)

    @property
    def side(self) -> str:
        """Return how messages name it."""
        return f"origin {self.app}" if self.kind == "origin" else "target"

    def parameters(self) -> dict[str, Any]:
        """Return the URL's parts for libpq. Raises DatabaseError where it is no Postgres URL, without quoting it."""
        if not self.url.startswith(("postgres://", "postgresql://")):
            raise DatabaseError(
                f"{self.side}: this is not a Postgres URL; want postgresql://user:password@host:port/database"
            )
        try:
            return {**_KEEPALIVES, **conninfo_to_dict(self.url)}
        except psycopg.Error:
            raise DatabaseError(
                f"{self.side}: the URL can't be read; want postgresql://user:password@host:port/database, with %-escapes "
                "for special characters of the password, and no parameter that libpq does not know"
            ) from None


def connect(database: Database, search_path: str, application: str) -> Connection:
    """Open a session with pinned settings, in autocommit. Raises ConnectionLost or DatabaseError."""
    parameters = database.parameters()
    try:
        connection: Connection = psycopg.connect(
            **{
                **parameters,
                "connect_timeout": CONNECT_TIMEOUT,
                "client_encoding": "UTF8",
                "application_name": application,
            },
            autocommit=True,
            prepare_threshold=None,
            row_factory=dict_row,
        )
    except psycopg.Error as error:
        raise ConnectionLost(f"{database.side}: can't connect: {_without_password(error, parameters)}") from None
    wanted = {**_SETTINGS[database.kind], "search_path": search_path}
    try:
        with translated(database.side, "setting up the session"):
            query(connection, "session_settings", names=list(wanted), values=list(wanted.values()))
    except BaseException:
        connection.close()
        raise
    return connection


def quoted_path(schema: str) -> str:
    """Return a `search_path` of this schema alone, pg_catalog first as always."""
    return '"' + schema.replace('"', '""') + '"'


class Sessions:
    """The connections of one run: lent to one thread at a time, reused, and ended together, whatever they are doing."""

    def __init__(self, application: str) -> None:
        self._application = application
        self._guard = threading.Lock()
        self._idle: dict[tuple[str, str], list[Connection]] = {}
        self._open: set[Connection] = set()
        self._kept: set[Connection] = set()
        self._ended = threading.Event()
        threading.Thread(target=self._keep_alive, name="keep-alive", daemon=True).start()

    def __enter__(self) -> "Sessions":
        return self

    def __exit__(self, *exception: object) -> None:
        self.end()

    @contextmanager
    def lend(self, database: Database, schema: str) -> Iterator[Connection]:
        """Lend a session whose `search_path` is the schema; it goes back to the others unless something went wrong."""
        key = (database.kind, schema)
        with self._guard:
            idle = self._idle.setdefault(key, [])
            connection = idle.pop() if idle else None
        if connection is None:
            connection = self.open(database, schema)
        try:
            yield connection
        except BaseException:
            self.close(connection)
            raise
        with self._guard:
            self._idle[key].append(connection)

    def open(self, database: Database, schema: str) -> Connection:
        """Open a session that `end` closes. Raises RunEnded, ConnectionLost."""
        if self._ended.is_set():
            raise RunEnded(f"{database.side}: the run has ended")
        connection = connect(database, quoted_path(schema), self._application)
        with self._guard:
            self._open.add(connection)
        if self._ended.is_set():
            self.close(connection)
            raise RunEnded(f"{database.side}: the run has ended")
        return connection

    def keep_alive(self, connection: Connection) -> None:
        """Have this session, which only holds a lock or a snapshot, say something every minute."""
        with self._guard:
            self._kept.add(connection)

    def close(self, connection: Connection) -> None:
        """Close a session, in whatever state it is."""
        with self._guard:
            self._open.discard(connection)
            self._kept.discard(connection)
        with suppress(psycopg.Error, OSError):
            connection.close()

    def end(self, *, spare: Connection | None = None) -> None:
        """End the run's sessions for good, the spared one aside; threads that wait on one return at once."""
        self._ended.set()
        with self._guard:
            ending = [connection for connection in self._open if connection is not spare]
        self.interrupt(spare=spare)
        for connection in ending:
            if connection.info.transaction_status != psycopg.pq.TransactionStatus.ACTIVE:
                self.close(connection)

    def interrupt(self, *, spare: Connection | None = None) -> None:
        """Cancel every statement that is under way, and cut its session."""
        with self._guard:
            busy = [connection for connection in self._open if connection is not spare]
        threads = [threading.Thread(target=_interrupt, args=(connection,), daemon=True) for connection in busy]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(5)

    def _keep_alive(self) -> None:
        while not self._ended.wait(HEARTBEAT):
            with self._guard:
                kept = list(self._kept)
            for connection in kept:
                with suppress(psycopg.Error):
                    connection.execute("SELECT 1")


def _interrupt(connection: Connection) -> None:
    """Cancel what the session is doing, then cut its socket: a thread that waits on a stalled link wakes up too."""
    if connection.closed or connection.info.transaction_status != psycopg.pq.TransactionStatus.ACTIVE:
        return
    with suppress(psycopg.Error, OSError):
        connection.cancel_safe(timeout=3)
    with suppress(psycopg.Error, OSError):
        duplicate = socket.socket(fileno=os.dup(connection.fileno()))
        with duplicate:
            duplicate.shutdown(socket.SHUT_RDWR)


def is_pooled(first: Connection, second: Connection) -> bool:
    """Tell whether a transaction pooler stands before the server: two sessions share a backend, or one changes it.

    A pooler such as PgBouncer in transaction mode lends a backend for one transaction; then neither a lock nor an exported
    snapshot holds (https://www.pgbouncer.org/features.html).
    """
    backends = set()
    for _ in range(3):
        backends.add(_backend(first))
        with second.transaction():
            if _backend(second) in backends:
                return True
            backends.add(_backend(first))
    return len(backends) > 1


def _backend(connection: Connection) -> int:
    return int(query(connection, "backend")[0]["pid"])


def new_run_id() -> str:
    """Return 8 random hexadecimal digits."""
    return secrets.token_hex(4)


def _without_password(error: psycopg.Error, parameters: Mapping[str, Any]) -> str:
    text = one_line(str(error))
    password = parameters.get("password")
    return text.replace(password, "***") if password else text
