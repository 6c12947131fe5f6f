"""The sessions of a run: lent to threads, kept alive, and all ended at once when it ends."""

import os
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace

import psycopg
from psycopg import sql

from multischema.errors import ConnectionLost, DatabaseError, EtlError, RunEnded
from multischema.postgres.connecting import (
    PATH,
    Connection,
    connect,
    connected,
)
from multischema.postgres.database import PROGRAM_SETTINGS, Database
from multischema.postgres.failures import translated
from multischema.postgres.questions import ask_values, value_of

CANCEL_TIMEOUT = 2
HEARTBEAT = 60.0  # seconds; proxies cut a connection that is silent for half an hour
SILENCES = 2  # unanswered new connections in a row, one per HEARTBEAT, before the sessions are given up
SILENT = "no answer any more, not even to new connections; check the server and the way to it, then start again"


class Sessions:
    """The connections of one run: lent to one thread at a time, reused, and ended together, whatever they are doing."""

    def __init__(self, application: str) -> None:
        self._application = application
        self._guard = threading.Lock()
        self._idle: dict[tuple[Database, str], list[tuple[Connection, float]]] = {}
        self._lent: set[Connection] = set()
        self._open: dict[Connection, Database] = {}
        self._watched: dict[Callable[[], None], Database] = {}
        self._programs: set[Callable[[], None]] = set()
        self._kept: set[Connection] = set()
        self._ended = threading.Event()
        self._silent: set[Connection] = set()
        self._keeper = threading.Thread(target=self._keep_alive, name="sessions", daemon=True)
        self._keeper.start()
        threading.Thread(target=self._watch, name="sessions", daemon=True).start()

    def __enter__(self) -> "Sessions":
        return self

    def __exit__(self, *exception: object) -> None:
        self.end()
        self._keeper.join(CANCEL_TIMEOUT)  # it may be asking something on a session that was cut
        with self._guard:
            left = [connection for connection in self._open if not _is_active(connection)]
        for connection in left:
            self.close(connection)

    @contextmanager
    def lend(self, database: Database, search_path: str = PATH) -> Iterator[Connection]:
        """Lend a session with this `search_path`; it is reused unless something went wrong."""
        key = (database, search_path)
        connection = self._take_idle(key)
        if not connection:
            self._make_room(database)
            connection = self.open(database, search_path)
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
                # a session cut because the run ends is not a lost connection, which would be worth another try
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
        """Close a database's idle sessions: if one was lost, so were the others, and each would cost an attempt."""
        with self._guard:
            lost = [session for (its, _), idle in self._idle.items() if its.kind == database.kind for session, _ in idle]
            for (its, _), idle in self._idle.items():
                if its.kind == database.kind:
                    idle.clear()
        for session in lost:
            self.close(session)

    def _make_room(self, database: Database) -> None:
        """Close an idle session that started with other secrets: a server may have no connection to spare for both."""
        with self._guard:
            others = (idle for (its, _), idle in self._idle.items() if its.kind == database.kind and its != database)
            unused = next((idle.pop()[0] for idle in others if idle), None)
        if unused:
            self.close(unused)

    def keep_alive(self, connection: Connection) -> None:
        """Run a query every minute on this session, which only holds a lock or a snapshot."""
        with self._guard:
            self._kept.add(connection)

    @contextmanager
    def watched(self, database: Database, end: Callable[[], None]) -> Iterator[None]:
        """Call `end` if the database stops answering while another program works with it."""
        with self._guard:
            self._watched[end] = database
        try:
            yield
        finally:
            with self._guard:
                del self._watched[end]

    @contextmanager
    def ended_with(self, stop: Callable[[], None]) -> Iterator[None]:
        """Call `stop` when the sessions are ended or interrupted: a thread that waits for a program waits for no session."""
        with self._guard:
            self._programs.add(stop)
        try:
            yield
        finally:
            with self._guard:
                self._programs.discard(stop)

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
        """End the run's sessions for good, except the spared one; threads that wait on one return at once.

        A session lent to a thread is cut, never closed: the thread may be about to use it.
        """
        self._ended.set()
        with self._guard:
            idle = [connection for kept in self._idle.values() for connection, _ in kept]
            self._idle.clear()
            self._lent.clear()
            ending = self._open.keys() - {*idle, spare}
            programs = list(self._programs)
        for stop in programs:
            stop()
        for connection in idle:
            self.close(connection)
        _cut(ending)

    def interrupt(self, *, spare: Connection | None = None) -> None:
        """Cancel the statement of every lent session, then cut it."""
        with self._guard:
            ending = self._lent - {spare}
            self._lent -= ending
            programs = list(self._programs)
        for stop in programs:
            stop()
        _cut(ending)

    def _take_idle(self, key: tuple[Database, str]) -> Connection | None:
        """Return a session that was in use a moment ago: proxies silently cut those that are idle for long."""
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
        """Cut the sessions that wait for a database that does not answer new connections either, twice in a row.

        A tunnel or a proxy may accept bytes and have nobody to pass them to: neither TCP nor a statement timeout can tell
        that from a slow statement.
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
        """Tell whether anybody answers a new connection, even with a refusal."""
        try:
            connected(database, self._application).close()
        except psycopg.errors.ConnectionTimeout:
            return False
        except psycopg.Error:
            return True
        return True


def refused_settings(sessions: Sessions, database: Database) -> str | None:
    """Return why pg_dump can't have its settings although the server is reachable without them, or None.

    A pooler may refuse them, or ignore them: then values would be written differently. Raises EtlError if the server can't
    be reached at all.
    """
    connection = _started_with(sessions, replace(database, for_programs=True))
    if isinstance(connection, str):
        return connection
    try:
        with translated(database.side, "reading the settings of pg_dump"):
            names, values = list(PROGRAM_SETTINGS), list(PROGRAM_SETTINGS.values())
            ignored = ask_values(connection, str, "started_otherwise", names=names, values=values)
    finally:
        sessions.close(connection)
    return f"it ignores {', '.join(ignored)}" if ignored else None


def refused_secrets(sessions: Sessions, database: Database, statement: sql.Composed, wanted: Sequence[str]) -> str | None:
    """Return why the sessions of a database can't have its secrets although the server is reachable without them, or None.

    `statement` computes with them, on a session of its own, what is `wanted`. Raises EtlError as `refused_settings` does.
    """
    connection = _started_with(sessions, database)
    if isinstance(connection, str):
        return connection
    try:
        with translated(database.side, "computing a pseudonym"):
            found = value_of(connection, list, statement)
    except DatabaseError as error:
        if isinstance(error, ConnectionLost):
            raise
        return str(error).removeprefix(f"{database.side}: ")
    finally:
        sessions.close(connection)
    return None if found == list(wanted) else "a session that starts with them computes with others"


def _started_with(sessions: Sessions, database: Database) -> Connection | str:
    """Open a session with settings at its start; return why there is none although there is one without them."""
    try:
        return sessions.open(database)
    except ConnectionLost as refused:
        sessions.close(sessions.open(replace(database, for_programs=False, secrets=())))
        return str(refused).removeprefix(f"{database.side}: can't connect: ")


def _cut(connections: Iterable[Connection]) -> None:
    threads = [threading.Thread(target=_cut_one, args=(connection,), daemon=True) for connection in connections]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(5)


def _is_active(connection: Connection) -> bool:
    return connection.info.transaction_status == psycopg.pq.TransactionStatus.ACTIVE


def _cut_one(connection: Connection) -> None:
    """Cancel the session's statement, then cut its socket, which also wakes a thread that waits on a stalled link.

    Cut it even if no statement is running: the thread's next one would go unnoticed.
    """
    with suppress(psycopg.Error, OSError):
        if _is_active(connection):
            connection.cancel_safe(timeout=CANCEL_TIMEOUT)
    with suppress(psycopg.Error, OSError):
        duplicate = socket.socket(fileno=os.dup(connection.fileno()))
        with duplicate:
            duplicate.shutdown(socket.SHUT_RDWR)
