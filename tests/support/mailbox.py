"""An HTTP server that keeps all it is sent, and answers as a test says."""

import gzip
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass(frozen=True)
class Letter:
    """A request: its method, its path with the query, its headers with names in lower case, its body unpacked."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: str


@dataclass
class Mailbox:
    """What came so far, and what is answered: a status, headers, and after how long; `gone` ends the wait."""

    url: str = ""
    letters: list[Letter] = field(default_factory=list)
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    answer: bytes = b'{"success": true}'
    is_silent: bool = False
    gone: threading.Event = field(default_factory=threading.Event)

    def all(self) -> str:
        """Return all that came, as one text."""
        return "\n".join(f"{each.method} {each.path} {dict(each.headers)}\n{each.body}" for each in self.letters)


@contextmanager
def mailbox(context: ssl.SSLContext | None = None) -> Iterator[Mailbox]:
    """Serve a mailbox on a free port of this machine, over TLS if there is a context for it."""
    box = Mailbox()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            headers = {name.lower(): value for name, value in self.headers.items()}
            box.letters.append(Letter(self.command, self.path, headers, body.decode(errors="replace")))
            self.close_connection = True
            if box.is_silent:
                box.gone.wait()
                return
            self.send_response(box.status)
            for name, value in {"Content-Length": str(len(box.answer)), "Connection": "close", **box.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(box.answer)

        do_GET = do_POST

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing: tests look at the letters."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: object, client_address: object) -> None:
            """Say nothing of clients that leave."""

        def finish_request(self, request: object, client_address: object) -> None:
            # in the thread of the request: a client that refuses the certificate breaks only its own
            if context:
                request = context.wrap_socket(request, server_side=True)  # type: ignore[arg-type]
            super().finish_request(request, client_address)  # type: ignore[arg-type]

    with Server(("127.0.0.1", 0), Handler) as server:
        box.url = f"{'https' if context else 'http'}://localhost:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield box
        finally:
            box.gone.set()
            server.shutdown()
            thread.join()
