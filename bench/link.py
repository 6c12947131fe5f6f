"""A link with a delay between a run and a server, as if the server were elsewhere."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from queue import Queue
from urllib.parse import urlsplit, urlunsplit

_CHUNK = 64 * 1024
_WINDOW = 4 << 20  # bytes in flight in one direction of one connection: about Linux's limit for TCP


@contextmanager
def delayed(url: str, seconds: float) -> Iterator[str]:
    """Yield the URL of a server behind a link that takes so many seconds in each direction."""
    parts = urlsplit(url)
    server = (str(parts.hostname), int(parts.port or 5432))
    with socket.create_server(("127.0.0.1", 0), backlog=100) as listener:
        threading.Thread(target=_accept, args=(listener, server, seconds), daemon=True).start()
        login = parts.netloc.rpartition("@")[0]
        yield urlunsplit(parts._replace(netloc=f"{login}@127.0.0.1:{listener.getsockname()[1]}"))


def _accept(listener: socket.socket, server: tuple[str, int], seconds: float) -> None:
    with suppress(OSError):
        while True:
            client, _ = listener.accept()
            beyond = socket.create_connection(server)
            for each in (client, beyond):
                each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for source, sink in ((client, beyond), (beyond, client)):
                way: Queue[tuple[float, bytes]] = Queue(_WINDOW // _CHUNK)
                threading.Thread(target=_receive, args=(source, way, seconds), daemon=True).start()
                threading.Thread(target=_deliver, args=(sink, way), daemon=True).start()


def _receive(source: socket.socket, way: "Queue[tuple[float, bytes]]", seconds: float) -> None:
    chunk = b"more"
    while chunk:
        chunk = b""
        with suppress(OSError):
            chunk = source.recv(_CHUNK)
        way.put((time.monotonic() + seconds, chunk))


def _deliver(sink: socket.socket, way: "Queue[tuple[float, bytes]]") -> None:
    while True:
        due, chunk = way.get()
        time.sleep(max(due - time.monotonic(), 0))
        with suppress(OSError):
            if chunk:
                sink.sendall(chunk)
                continue
            sink.shutdown(socket.SHUT_WR)
        return
