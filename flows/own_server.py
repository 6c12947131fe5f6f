"""The process of a command's temporary Prefect server: it ends when the command is gone, however that ended."""

import os
import socket
import sys
import threading
import time
from typing import Any

import uvicorn

GRACE = 5.0  # seconds for a server to write what it has and to close its connections


def serve() -> None:
    """Serve Prefect's API on a free port, which is written to stdout, until stdin ends.

    The system closes the other end of that pipe even for a command that is killed with -9.
    """
    listening = socket.create_server(("127.0.0.1", 0), backlog=100)
    # whoever connects from now on waits until the server is ready
    print(listening.getsockname()[1], flush=True)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    config = uvicorn.Config(
        _app, factory=True, lifespan="on", log_level="error", timeout_graceful_shutdown=int(GRACE), access_log=False
    )
    server = uvicorn.Server(config)
    threading.Thread(target=_end_with_command, args=(server,), daemon=True).start()
    server.run(sockets=[listening])
    os._exit(0)  # all is written; Python would spend another second on taking Prefect apart


def _app() -> Any:
    from prefect.server.api.server import create_app  # takes seconds: by now it is known where to connect

    return create_app(ephemeral=True, final=True)


def _end_with_command(server: uvicorn.Server) -> None:
    sys.stdin.buffer.read()
    server.should_exit = True
    time.sleep(2 * GRACE)
    os._exit(1)
