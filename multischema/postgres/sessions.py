"""Sessions: connections with pinned settings, lent to threads, kept alive, and all ended at once when a run ends."""

import os
import re
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.pq import Conninfo
from psycopg.rows import dict_row

from multischema.errors import ConnectionLost, DatabaseError, EtlError, RunEnded
from multischema.postgres.errors import describe_failed_connection, translated
from multischema.postgres.reads import query
from multischema.preconditions import pooler_problem

Connection = psycopg.Connection[dict[str, Any]]

CONNECT_TIMEOUT = 15
CANCEL_TIMEOUT = 2
HEARTBEAT = 60.0  # seconds; proxies cut a connection on which nothing was said for half an hour
LOCK_TIMEOUT = "5min"
SILENCES = 2  # new connections in a row that get no answer, one each HEARTBEAT, until the sessions are given up
SILENT = "no answer any more, to new connections neither; see whether the server and the way to it work, then start again"

_COMMON = {
    "DateStyle": "ISO, MDY",
    "IntervalStyle": "postgres",
    "TimeZone": "UTC",
    # how values, definitions and constants are written and read: a database or a role may have them otherwise
    "lc_monetary": "C",
    "array_nulls": "on",
    "xmloption": "content",
    "bytea_output": "hex",
    "standard_conforming_strings": "on",
    "quote_all_identifiers": "off",
    "default_transaction_isolation": "read committed",
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
    "target": {
        **_COMMON,
        "maintenance_work_mem": "128MB",
        # indexes are built side by side: workers for each of them would only be in each other's way
        "max_parallel_maintenance_workers": "0",
        "default_transaction_read_only": "off",
        # what a crash of the server could take is a run's that fails with it; the publishing transaction waits for the disk
        "synchronous_commit": "off",
    },
}
_SETTINGS["raw"] = _SETTINGS["backup"] = _SETTINGS["origin"]
# what client programs of Postgres do not pin themselves; they read the origin in read-only transactions
_CLIENT_SETTINGS = {
    "origin": {"lc_monetary": "C"},
    "target": {
        "lc_monetary": "C",
        "array_nulls": "on",
        "default_transaction_read_only": "off",
        "synchronous_commit": "off",
    },
}
_FOR_SPEED = ("synchronous_commit",)  # a run without it is as good
_POOLED_USE = {"origin": "share a snapshot", "target": "hold a lock", "raw": "hold a lock", "backup": "hold a lock"}
_KEEPALIVES = {"keepalives": "1", "keepalives_idle": "30", "keepalives_interval": "10", "keepalives_count": "3"}
# Code that others put into a schema, such as a function that fits better than one of pg_catalog, must never be found
PATH = "pg_catalog"
_WANTED_URL = "want postgresql://user:password@host:port/database"
_ESCAPES = "with special characters of user and password as %-escapes (@ is %40, / is %2F)"


@dataclass(frozen=True)
class Database:
    """One of the two databases of a run. The URL holds a password: it is in no repr and in no message.

    One `for_programs` is reached with the settings of client programs.
    """

    kind: Literal["origin", "target", "raw", "backup"]
    app: str
    url: str = field(repr=False)
    for_programs: bool = False

    @property
    def side(self) -> str:
        """Return how messages name it."""
        return f"{self.kind} {self.app}" if self.kind in ("origin", "backup") else "target"

    def backup(self) -> "Database":
        """Return the target as the place where the structure of a backup stands, in place of an origin."""
        return Database("backup", self.app, self.url)

    def raw(self) -> "Database":
        """Return the target as the place where raw tables are read from."""
        return Database("raw", self.app, self.url)

    def environment(self) -> dict[str, str]:
        """Return what a client program of Postgres needs to connect: its password is nowhere else. Raises DatabaseError."""
        variables = {option.keyword.decode(): option.envvar for option in Conninfo.get_defaults()}
        parts = {name: str(value) for name, value in self.parameters().items() if value is not None}
        known = {envvar.decode(): parts[name] for name, envvar in variables.items() if envvar and name in parts}
        return {
            "PGCONNECT_TIMEOUT": str(CONNECT_TIMEOUT),
            **known,
            "PGOPTIONS": self._options(),
            "PGCLIENTENCODING": "UTF8",
        }

    def _options(self) -> str:
        """Return the settings with which a client program starts its sessions, those of the URL first."""
        own = [str(self.parameters().get("options") or "")]
        return " ".join([*own, *(f"-c {name}={value}" for name, value in _CLIENT_SETTINGS[self.kind].items())]).strip()

    def connection_string(self) -> str:
        """Return what a client program must be told besides: no variable has keepalives. Raises DatabaseError."""
        parts = self.parameters()
        named = {name: str(value) for name, value in parts.items() if name.startswith(("keepalives", "tcp_user_timeout"))}
        return make_conninfo("", dbname=parts.get("dbname") or parts["user"], **named)

    def parameters(self) -> dict[str, Any]:
        """Return the URL's parts for libpq. Raises DatabaseError where it is no Postgres URL, without quoting it."""
        url = self.url.strip()
        if not url.startswith(("postgres://", "postgresql://")):
            raise DatabaseError(f"{self.side}: this is not a Postgres URL; {_WANTED_URL}")
        if _is_split_in_password(url):
            raise DatabaseError(f"{self.side}: the URL has an @ too many, or a / before it; {_WANTED_URL}, {_ESCAPES}")
        try:
            parts = conninfo_to_dict(url)
        except psycopg.Error:
            raise DatabaseError(
                f"{self.side}: the URL can't be read; {_WANTED_URL}, {_ESCAPES}, and no parameter that libpq does not know"
            ) from None
        if not all(re.fullmatch("[0-9]{0,5}", port) and int(port or 1) in range(1, 65536) for port in _ports(parts)):
            raise DatabaseError(f"{self.side}: the URL's port is no number from 1 to 65535; {_WANTED_URL}, {_ESCAPES}")
        return {**_KEEPALIVES, **parts}


def connect(
    database: Database,
    application: str,
    search_path: str = PATH,
    on_open: Callable[[Connection], None] = lambda connection: None,
) -> Connection:
    """Open a session with pinned settings, in autocommit. Raises ConnectionLost or DatabaseError.

    `on_open` gets it before anything is asked on it: a server, or a proxy, that does not answer must not hold a run.
    Through a transaction pooler nothing is pinned: the settings would stay on a backend that it lends to others next, and
    production would find its sessions read-only.
    """
    connection = _open(database, application)

    def open_second() -> Connection:
        second = _open(database, application)
        on_open(second)
        return second

    wanted = {**_SETTINGS[database.kind], "search_path": search_path}
    try:
        on_open(connection)
        with translated(database.side, "setting up the session"):
            if _is_pooled(connection, open_second):
                raise DatabaseError(pooler_problem(database.side, _POOLED_USE[database.kind]))
            query(connection, "session_settings", names=list(wanted), values=list(wanted.values()))
            _ask_for_english(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def quoted_path(schema: str) -> str:
    """Return a `search_path` of this schema alone, pg_catalog first as always."""
    return '"' + schema.replace('"', '""') + '"'


def refused_settings(sessions: "Sessions", database: Database) -> str | None:
    """Return why a client program can't have its settings, where the server can be reached without them; else None.

    A pooler may refuse them, or ignore them: then values would be written in another way. Raises EtlError where it can't be
    reached at all.
    """
    try:
        connection = sessions.open(replace(database, for_programs=True))
    except ConnectionLost as refused:
        sessions.close(sessions.open(database))
        return str(refused).removeprefix(f"{database.side}: can't connect: ")
    try:
        with translated(database.side, "reading the settings of client programs"):
            wanted = {name: value for name, value in _CLIENT_SETTINGS[database.kind].items() if name not in _FOR_SPEED}
            ignored = query(connection, "started_otherwise", names=list(wanted), values=list(wanted.values()))
    finally:
        sessions.close(connection)
    return f"it ignores {', '.join(row['name'] for row in ignored)}" if ignored else None


class Sessions:
    """The connections of one run: lent to one thread at a time, reused, and ended together, whatever they are doing."""

    def __init__(self, application: str) -> None:
        self._application = application
        self._guard = threading.Lock()
        self._idle: dict[tuple[str, str], list[tuple[Connection, float]]] = {}
        self._lent: set[Connection] = set()
        self._open: dict[Connection, Database] = {}
        self._watched: dict[Callable[[], None], Database] = {}
        self._kept: set[Connection] = set()
        self._ended = threading.Event()
        self._silent: set[Connection] = set()
        for work in (self._keep_alive, self._watch):
            threading.Thread(target=work, name="sessions", daemon=True).start()

    def __enter__(self) -> "Sessions":
        return self

    def __exit__(self, *exception: object) -> None:
        self.end()
        with self._guard:
            left = [connection for connection in self._open if not _is_active(connection)]
        for connection in left:
            self.close(connection)

    @contextmanager
    def lend(self, database: Database, search_path: str = PATH) -> Iterator[Connection]:
        """Lend a session with this `search_path`; it goes back to the others unless something went wrong."""
        key = (database.kind, search_path)
        connection = self._take_idle(key) or self.open(database, search_path)
        with self._guard:
            self._lent.add(connection)
        try:
            yield connection
        except BaseException as error:
            is_silent = connection in self._silent
            if connection.broken:
                self._forget_idle(database)
            self.close(connection)
            if isinstance(error, EtlError):
                # a session that was cut because the run ends is no lost connection, which would be worth another try
                self._raise_if_ended(database)
            if is_silent and isinstance(error, DatabaseError):
                raise ConnectionLost(f"{str(error).partition(' failed: ')[0]} failed: {SILENT}") from None
            raise
        with self._guard:
            is_cut = self._ended.is_set() or connection not in self._lent
            if not is_cut:
                self._lent.discard(connection)
                self._idle.setdefault(key, []).append((connection, time.monotonic()))
        if is_cut:
            self.close(connection)

    def open(self, database: Database, search_path: str = PATH) -> Connection:
        """Open a session that `end` cuts. Raises RunEnded, ConnectionLost."""

        def register(connection: Connection) -> None:
            with self._guard:
                self._open = {known: its for known, its in self._open.items() if not known.closed} | {connection: database}
            self._raise_if_ended(database)

        self._raise_if_ended(database)
        try:
            return connect(database, self._application, search_path, register)
        except EtlError:
            self._raise_if_ended(database)  # it was cut while it was set up
            raise

    def _raise_if_ended(self, database: Database) -> None:
        if self._ended.is_set():
            raise RunEnded(f"{database.side}: the run has ended") from None

    def _forget_idle(self, database: Database) -> None:
        """Close a database's idle sessions: where one was lost, the others were too, and each would cost an attempt."""
        with self._guard:
            lost = [session for (kind, _), idle in self._idle.items() if kind == database.kind for session, _ in idle]
            for (kind, _), idle in self._idle.items():
                if kind == database.kind:
                    idle.clear()
        for session in lost:
            self.close(session)

    def keep_alive(self, connection: Connection) -> None:
        """Have this session, which only holds a lock or a snapshot, say something every minute."""
        with self._guard:
            self._kept.add(connection)

    @contextmanager
    def watched(self, database: Database, end: Callable[[], None]) -> Iterator[None]:
        """Have `end` called where the database does not answer any more while another program works with it."""
        with self._guard:
            self._watched[end] = database
        try:
            yield
        finally:
            with self._guard:
                del self._watched[end]

    def close(self, connection: Connection) -> None:
        """Close a session, in whatever state it is."""
        with self._guard:
            self._open.pop(connection, None)
            self._lent.discard(connection)
            self._silent.discard(connection)
            self._kept.discard(connection)
        with suppress(psycopg.Error, OSError):
            connection.close()

    def end(self, *, spare: Connection | None = None) -> None:
        """End the run's sessions for good, the spared one aside; threads that wait on one return at once.

        A session that a thread has is cut, never closed: the thread may be about to use it.
        """
        self._ended.set()
        with self._guard:
            idle = [connection for kept in self._idle.values() for connection, _ in kept]
            self._idle.clear()
            self._lent.clear()
            ending = self._open.keys() - {*idle, spare}
        for connection in idle:
            self.close(connection)
        _cut(ending)

    def interrupt(self, *, spare: Connection | None = None) -> None:
        """Cut every session that is lent, its statement cancelled."""
        with self._guard:
            ending = self._lent - {spare}
            self._lent -= ending
        _cut(ending)

    def _take_idle(self, key: tuple[str, str]) -> Connection | None:
        """Return a session that was in use a moment ago: proxies cut those that are silent for long, and don't tell."""
        with self._guard:
            idle, self._idle[key] = self._idle.get(key, []), []
            fresh = [(c, since) for c, since in idle if not c.closed and time.monotonic() - since < HEARTBEAT]
            taken = fresh.pop()[0] if fresh else None
            self._idle[key] = fresh
        for connection in {c for c, _ in idle} - {c for c, _ in fresh} - {taken}:
            self.close(connection)
        return taken

    def _keep_alive(self) -> None:
        while not self._ended.wait(HEARTBEAT):
            with self._guard:
                kept = list(self._kept)
            for connection in kept:
                with suppress(psycopg.Error):
                    connection.execute("SELECT 1")

    def _watch(self) -> None:
        """Cut the sessions that wait for a database which does not answer to a new connection either, two times in a row.

        A tunnel or a proxy may take what it gets, and have nobody to pass it on to: neither TCP nor a limit on the time of a
        statement can tell that from a statement that takes its time.
        """
        silent: dict[Database, int] = {}
        while not self._ended.wait(HEARTBEAT):
            with self._guard:
                waiting = {its for connection, its in self._open.items() if _is_active(connection)}
                waiting |= set(self._watched.values())
            silent = {database: silent.get(database, 0) + 1 for database in waiting if not self._answers(database)}
            for database in (database for database, times in silent.items() if times >= SILENCES):
                with self._guard:
                    cut = {connection for connection, its in self._open.items() if its.url == database.url}
                    self._silent |= cut
                    self._lent -= cut
                    ends = [end for end, its in self._watched.items() if its.url == database.url]
                for end in ends:
                    end()
                _cut(cut)

    def _answers(self, database: Database) -> bool:
        """Tell whether anybody answers a new connection, be it with a refusal."""
        try:
            _connected(database.parameters(), self._application).close()
        except psycopg.errors.ConnectionTimeout:
            return False
        except psycopg.Error:
            return True
        return True


def _cut(connections: Iterable[Connection]) -> None:
    threads = [threading.Thread(target=_cut_one, args=(connection,), daemon=True) for connection in connections]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(5)


def _is_active(connection: Connection) -> bool:
    return connection.info.transaction_status == psycopg.pq.TransactionStatus.ACTIVE


def _cut_one(connection: Connection) -> None:
    """Cancel what the session is doing, then cut its socket: a thread that waits on a stalled link wakes up too.

    The socket is cut whatever the session is doing: between two statements of a thread, the next would not be noticed.
    """
    with suppress(psycopg.Error, OSError):
        if _is_active(connection):
            connection.cancel_safe(timeout=CANCEL_TIMEOUT)
    with suppress(psycopg.Error, OSError):
        duplicate = socket.socket(fileno=os.dup(connection.fileno()))
        with duplicate:
            duplicate.shutdown(socket.SHUT_RDWR)


def _open(database: Database, application: str) -> Connection:
    parameters = database.parameters()
    if database.for_programs:
        parameters = {**parameters, "options": database.environment()["PGOPTIONS"]}
    try:
        return _connected(parameters, application)
    except psycopg.Error as error:
        reason = describe_failed_connection(error, parameters, CONNECT_TIMEOUT)
        raise ConnectionLost(f"{database.side}: can't connect: {reason}") from None


def _connected(parameters: Mapping[str, Any], application: str) -> Connection:
    return psycopg.connect(
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


def _ask_for_english(connection: Connection) -> None:
    """Have the server say in English what it has to say, where the role may choose; that others may is known since 15."""
    if connection.info.server_version >= 150000:
        query(connection, "english_messages")
    elif connection.info.parameter_status("is_superuser") == "on":
        query(connection, "session_settings", names=["lc_messages"], values=["C"])


def _is_split_in_password(url: str) -> bool:
    """Tell whether libpq would take a part of the password for the host, the port or the database, and quote it."""
    rest = url.partition("://")[2]
    login, at, place = rest.partition("@")
    return "@" in (place if at and "/" not in login else rest).partition("?")[0]


def _ports(parts: Mapping[str, Any]) -> list[str]:
    return str(parts.get("port", "")).split(",")


def _is_pooled(first: Connection, open_second: Callable[[], Connection]) -> bool:
    """Tell whether a transaction pooler stands before the server: two sessions share a backend, or one changes it.

    A pooler such as PgBouncer in transaction mode lends a backend for one transaction; then neither a lock nor an exported
    snapshot holds (https://www.pgbouncer.org/features.html). Nothing but a pooler announces another process than serves.
    """
    if _backend(first) == first.info.backend_pid:
        return False
    with open_second() as second:
        backends = set()
        for _ in range(5):
            # twice: a pooler that takes turns gives the next backend, one that does not gives `second` the same
            backends |= {_backend(first), _backend(first)}
            try:
                with second.transaction():
                    if _backend(second) in backends:
                        return True
                    backends.add(_backend(first))
            except psycopg.errors.ProtocolViolation:
                return True  # a pooler that lends for one statement refuses transactions
        return len(backends) > 1


def _backend(connection: Connection) -> int:
    return int(query(connection, "backend")[0]["pid"])


def new_run_id() -> str:
    """Return 8 random hexadecimal digits."""
    return secrets.token_hex(4)
