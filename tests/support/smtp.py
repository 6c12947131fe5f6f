"""An SMTP server on this machine that keeps all messages that it is sent, and believes or refuses every login."""

import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from typing import Any


@dataclass
class Mail:
    """Where the SMTP server is, the logins and the messages that it was given, and whether it takes a login."""

    port: int = 0
    logins: list[str] = field(default_factory=list)
    mails: list[Any] = field(default_factory=list)
    is_strict: bool = False


@contextmanager
def smtp_server() -> Iterator[Mail]:
    """Serve SMTP without encryption on a free port of this machine."""
    received = Mail()

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self._say("220 here")
            for line in self.rfile:
                verb = line.decode().split()[0].upper()
                if verb == "EHLO":
                    self._say("250-here\r\n250 AUTH PLAIN")
                elif verb == "AUTH":
                    received.logins.append(line.decode().split()[2])
                    self._say("535 5.7.8 no such login" if received.is_strict else "235 welcome")
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

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        received.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield received
        finally:
            server.shutdown()
            thread.join()
