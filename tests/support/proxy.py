"""A TCP proxy before a real server: it can record what passes, slow it down, stop passing it on, cut every connection."""

import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit, urlunsplit


class Proxy:
    """Pass bytes between clients and a server, until told otherwise."""

    def __init__(self, port: int) -> None:
        self._server = ("127.0.0.1", port)
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=100)
        self._guard = threading.Lock()
        self._sockets: list[socket.socket] = []
        self._passing = threading.Event()
        self._passing.set()
        self._closed = False
        self._stalls: Callable[[], bool] = lambda: False
        self._bytes_per_second = 0
        self.sent = bytearray()  # from clients to the server
        self.answered = bytearray()  # from the server to clients
        self.stalled = threading.Event()
        threading.Thread(target=self._accept, daemon=True).start()

    def url(self, url: str) -> str:
        """Return the server's URL with the proxy's port."""
        parts = urlsplit(url)
        login = parts.netloc.rpartition("@")[0]
        return urlunsplit(parts._replace(netloc=f"{login}@127.0.0.1:{self._listener.getsockname()[1]}"))

    def stall(self) -> None:
        """Pass nothing on any more, while every connection stays open and new ones are accepted."""
        self._passing.clear()
        self.stalled.set()

    def stall_after(self, size: int) -> None:
        """Stall once so many more bytes have passed, either way; `stalled` is set then."""
        limit = len(self.sent) + len(self.answered) + size
        self._stalls = lambda: len(self.sent) + len(self.answered) >= limit

    def stall_at_answer(self, answer: bytes) -> None:
        """Stall once the server has given this answer; it is passed on, and nothing after it."""
        begin = len(self.answered)
        self._stalls = lambda: answer in self.answered[begin:]

    def stall_at_request(self, pattern: bytes) -> None:
        """Stall once clients have sent what matches; it is passed on, and no answer to it."""
        begin = len(self.sent)
        self._stalls = lambda: re.search(pattern, self.sent[begin:], re.DOTALL) is not None

    def throttle(self, bytes_per_second: int) -> None:
        """Pass on no more than so many bytes in a second, in either direction of each connection."""
        self._bytes_per_second = bytes_per_second

    def go_on(self) -> None:
        """Pass on what was kept, and what comes."""
        self._stalls = lambda: False
        self._passing.set()

    def cut(self) -> None:
        """Cut every connection; new ones are served."""
        with self._guard:
            cutting, self._sockets = self._sockets, []
        for each in cutting:
            _shut(each)

    def close(self) -> None:
        """Cut every connection and accept no more."""
        self._closed = True
        self._passing.set()
        _shut(self._listener)
        self._listener.close()
        self.cut()

    def _accept(self) -> None:
        while not self._closed:
            client = None
            try:
                client, _ = self._listener.accept()
                server = socket.create_connection(self._server)
            except OSError:
                if client:
                    client.close()
                continue
            with self._guard:
                self._sockets += [client, server]
            for source, sink, record in ((client, server, self.sent), (server, client, self.answered)):
                threading.Thread(target=self._pass_on, args=(source, sink, record), daemon=True).start()

    def _pass_on(self, source: socket.socket, sink: socket.socket, record: bytearray) -> None:
        with suppress(OSError):
            while chunk := source.recv(65536):
                self._passing.wait()
                with self._guard:
                    record += chunk
                    if stalls := self._stalls():
                        self._passing.clear()
                sink.sendall(chunk)
                if stalls:
                    self.stalled.set()
                if self._bytes_per_second:
                    time.sleep(len(chunk) / self._bytes_per_second)
        # an end that comes while the proxy stalls is not passed on either
        self._passing.wait()
        _shut(sink)
        source.close()


@contextmanager
def proxied(port: int) -> Iterator[Proxy]:
    """Give a proxy before the server at this port, and close it at the end."""
    proxy = Proxy(port)
    try:
        yield proxy
    finally:
        proxy.close()


def _shut(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
