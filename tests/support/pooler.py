"""A connection pooler before a real server, such as PgBouncer: it lends a backend for a transaction, or for a session."""

import os
import queue
import select
import socket
import struct
import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import count
from typing import Literal
from urllib.parse import urlsplit, urlunsplit

from psycopg import pq
from psycopg.pq.abc import PGconn

_ENCRYPTION_REQUESTS = (80877103, 80877104)
_CANCEL_REQUEST = 80877102
_NO_CLIENT = "no more connections allowed (max_client_conn)"
_GOODBYE = b"X"
# what PgBouncer keeps track of; it refuses any other parameter, unless told to ignore it
_TRACKED = (
    "user",
    "database",
    "client_encoding",
    "datestyle",
    "timezone",
    "standard_conforming_strings",
    "application_name",
)
_TOLD = (b"server_version", b"server_encoding", b"client_encoding", b"DateStyle", b"TimeZone", b"integer_datetimes")


@dataclass(frozen=True)
class Backend:
    """A server connection that libpq logged in; from then on its socket carries what clients say."""

    login: PGconn
    socket: socket.socket

    @classmethod
    def open(cls, url: str) -> "Backend":
        """Log in to the server."""
        login = pq.PGconn.connect(f"{url}?sslmode=disable&gssencmode=disable".encode())
        if login.status != pq.ConnStatus.OK:
            raise RuntimeError(login.get_error_message())
        duplicate = socket.socket(fileno=os.dup(login.socket))
        duplicate.setblocking(True)
        return cls(login, duplicate)

    def close(self) -> None:
        """Cut the connection."""
        self.socket.close()
        self.login.finish()


class Pooler:
    """Serve clients on a port of its own, with the backends of one server."""

    def __init__(
        self,
        url: str,
        mode: Literal["transaction", "session"],
        size: int,
        in_turns: bool,
        ignored: Collection[str],
        full: str,
    ) -> None:
        self._url = url
        self._full = full
        self._room = threading.Semaphore(size)
        self._known = {*_TRACKED, *ignored}
        self._mode = mode
        self._idle: queue.Queue[Backend] = queue.Queue() if in_turns else queue.LifoQueue()
        self._backends = [Backend.open(url) for _ in range(size if mode == "transaction" else 0)]
        for backend in self._backends:
            self._idle.put(backend)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._clients: list[socket.socket] = []
        self._numbers = count(1_000_000)  # as process numbers, which no backend has
        self._threads: list[threading.Thread] = []
        self._start(self._accept)

    @property
    def url(self) -> str:
        """Return the server's URL with the pooler's port."""
        parts = urlsplit(self._url)
        login = parts.netloc.rpartition("@")[0]
        return urlunsplit(parts._replace(netloc=f"{login}@127.0.0.1:{self._listener.getsockname()[1]}"))

    def close(self) -> None:
        """Cut every connection and accept no more."""
        for each in (self._listener, *self._clients):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        self._listener.close()
        for backend in self._backends:
            backend.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._clients.append(client)
                self._start(self._serve, client)

    def _start(self, work: Callable[..., None], *arguments: socket.socket) -> None:
        thread = threading.Thread(target=work, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _serve(self, client: socket.socket) -> None:
        with client, suppress(OSError, EOFError):
            if self._mode == "session":
                self._lend_for_the_session(client)
            elif self._greet(client, self._backends[0]):
                self._lend_for_transactions(client)

    def _greet(self, client: socket.socket, backend: Backend, refusal: str = "") -> bool:
        """Let any client in, as the role of the pooler's own login; tell whether it wants a session."""
        while True:
            (length,) = struct.unpack("!i", _exactly(client, 4))
            request = _exactly(client, length - 4)
            (code,) = struct.unpack("!i", request[:4])
            if code == _CANCEL_REQUEST:
                return False
            if code not in _ENCRYPTION_REQUESTS:
                break
            client.sendall(b"N")
        names = request[4:].decode().split("\0")[:-2:2]
        unknown = [name for name in names if name.lower() not in self._known]
        if refusal:
            client.sendall(_fatal(refusal))
            return False
        if unknown:
            client.sendall(_fatal(f"unsupported startup parameter: {unknown[0]}"))
            return False
        told = [(name, backend.login.parameter_status(name)) for name in _TOLD]
        client.sendall(
            _message(b"R", struct.pack("!i", 0))
            + b"".join(_message(b"S", name + b"\0" + value + b"\0") for name, value in told if value)
            + _message(b"K", struct.pack("!ii", next(self._numbers), 0))
            + _message(b"Z", b"I")
        )
        return True

    def _lend_for_the_session(self, client: socket.socket) -> None:
        has_room = not self._full or self._room.acquire(blocking=False)
        backend = Backend.open(self._url)
        self._backends.append(backend)
        try:
            if not has_room:
                # it lets clients in itself, unless they are too many, and has no backend for what they ask then
                if self._greet(client, backend, self._full if self._full == _NO_CLIENT else ""):
                    _read(client)
                    client.sendall(_fatal(self._full))
                return
            if self._greet(client, backend):
                while _Lent(client, backend).until_the_transaction_ends():
                    pass
        finally:
            backend.close()
            if self._full and has_room:
                self._room.release()

    def _lend_for_transactions(self, client: socket.socket) -> None:
        while client.recv(1, socket.MSG_PEEK) not in (b"", _GOODBYE):
            backend = self._idle.get()
            reusable = False
            try:
                reusable = _Lent(client, backend).until_the_transaction_ends()
            finally:
                if not reusable:
                    backend.close()
                    backend = Backend.open(self._url)
                    self._backends.append(backend)
                self._idle.put(backend)


@dataclass
class _Lent:
    """A backend in the hands of a client."""

    client: socket.socket
    backend: Backend
    unanswered: int = 0

    def until_the_transaction_ends(self) -> bool:
        """Pass messages until the server is ready and in no transaction; tell whether the backend can be lent again."""
        while True:
            readable, _, _ = select.select([self.client, self.backend.socket], [], [])
            if self.client in readable and not self._pass_request():
                return False
            if self.backend.socket in readable and self._pass_answer():
                return True

    def _pass_request(self) -> bool:
        kind, message = _read(self.client)
        if kind == _GOODBYE:
            return False
        self.unanswered += kind in (b"Q", b"S")
        self.backend.socket.sendall(message)
        return True

    def _pass_answer(self) -> bool:
        kind, message = _read(self.backend.socket)
        self.client.sendall(message)
        self.unanswered -= kind == b"Z"
        return kind == b"Z" and message.endswith(b"I") and not self.unanswered


@contextmanager
def pooled(
    url: str,
    mode: Literal["transaction", "session"] = "transaction",
    *,
    size: int = 2,
    in_turns: bool = False,
    ignored: Collection[str] = (),
    full: str = "",
) -> Iterator[str]:
    """Give the URL of a pooler with so many backends: it lends the one used last, or each in its turn.

    `ignored` are parameters of a start-up that it takes and does not pass on. `full` is how one that lends for a session
    refuses those for whom it has no backend; without it, it has one for each.
    """
    pooler = Pooler(url, mode, size, in_turns, ignored, full)
    try:
        yield pooler.url
    finally:
        pooler.close()


def _fatal(said: str) -> bytes:
    """Return how a pooler refuses."""
    return _message(b"E", f"SFATAL\0C08P01\0M{said}\0\0".encode())


def _message(kind: bytes, payload: bytes) -> bytes:
    return kind + struct.pack("!i", len(payload) + 4) + payload


def _read(connection: socket.socket) -> tuple[bytes, bytes]:
    """Return the kind of the next message, and all of it."""
    head = _exactly(connection, 5)
    (length,) = struct.unpack("!i", head[1:])
    return head[:1], head + _exactly(connection, length - 4)


def _exactly(connection: socket.socket, size: int) -> bytes:
    data = bytearray()
    while len(data) < size:
        chunk = connection.recv(size - len(data))
        if not chunk:
            raise EOFError
        data += chunk
    return bytes(data)
