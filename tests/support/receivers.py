"""Receivers of alerts on this machine: a webhook, and an SMTP server that takes any message."""

import json
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Webhook:
    """Where the webhook is, what it was sent, and the status that it answers."""

    url: str = ""
    status: int = 200
    posts: list[tuple[str, str, Any]] = field(default_factory=list)  # path, content type, JSON

    @property
    def texts(self) -> list[str]:
        """Return the texts that came."""
        return [content["text"] for _, _, content in self.posts]


@dataclass
class Mailbox:
    """Where the SMTP server is, the login and the messages that it was given."""

    port: int = 0
    logins: list[str] = field(default_factory=list)
    mails: list[Any] = field(default_factory=list)


@contextmanager
def webhook(path: str) -> Iterator[Webhook]:
    """Start a webhook at a path."""
    received = Webhook()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            received.posts.append((self.path, self.headers["Content-Type"], json.loads(body)))
            self.send_response(received.status)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server, _serving(server):
        received.url = f"http://127.0.0.1:{server.server_port}{path}"
        yield received


@contextmanager
def mailbox() -> Iterator[Mailbox]:
    """Start an SMTP server without encryption, which believes every login."""
    received = Mailbox()

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self._say("220 here")
            for line in self.rfile:
                verb = line.decode().split()[0].upper()
                if verb == "EHLO":
                    self._say("250-here\r\n250 AUTH PLAIN")
                elif verb == "AUTH":
                    received.logins.append(line.decode().split()[2])
                    self._say("235 welcome")
                elif verb == "DATA":
                    self._say("354 go on")
                    lines = iter(self.rfile.readline, b".\r\n")
                    received.mails.append(message_from_bytes(b"".join(lines), policy=policy.default))
                    self._say("250 taken")
                elif verb == "QUIT":
                    self._say("221 bye")
                    return
                else:
                    self._say("250 yes")

        def _say(self, text: str) -> None:
            self.wfile.write(f"{text}\r\n".encode())

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server, _serving(server):
        received.port = server.server_address[1]
        yield received


@contextmanager
def _serving(server: socketserver.BaseServer) -> Iterator[None]:
    """Serve in a thread."""
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
