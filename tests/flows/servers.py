"""A Prefect server as a test starts it: a process of its own, with a folder of its own, that wants a password."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from tests.conftest import ROOT

PATIENCE = 120.0  # seconds that a busy machine gets for what usually takes a few
AUTH = "admin:a prefect pass/word"


def eventually(look: Callable[[], Any], patience: float = PATIENCE) -> Any:
    """Return what there is to see, as soon as there is something; AssertionError if there never is."""
    deadline = time.monotonic() + patience
    while not (found := look()):
        assert time.monotonic() < deadline, f"not within {patience} s"
        time.sleep(0.1)
    return found


def variables(**given: str) -> dict[str, str]:
    """Return the environment of a process: nothing of the user's."""
    return {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "LANG": "C.UTF-8", "DO_NOT_TRACK": "1", **given}


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def running(command: Sequence[str], environment: Mapping[str, str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run a process of the project in the background, in a process group of its own, and end all of it."""
    with log.open("ab") as output:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@dataclass(frozen=True)
class PrefectServer:
    """Know where a Prefect server is, and ask it."""

    url: str
    home: Path
    auth: str = AUTH

    @property
    def client(self) -> dict[str, str]:
        """Return the environment of a client of the server."""
        return variables(
            PREFECT_API_URL=self.url, PREFECT_API_AUTH_STRING=self.auth, PREFECT_HOME=str(self.home), HOME=str(self.home)
        )

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """Return the server's answer; a busy one is asked again, as Prefect's own client does."""
        user, _, password = self.auth.partition(":")

        def answered() -> list[requests.Response]:
            answer = requests.request(method, f"{self.url}/{path}", json=body, auth=(user, password), timeout=PATIENCE)
            return [answer] if answer.status_code != 503 else []

        answer: requests.Response = eventually(answered)[0]
        assert answer.ok, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content else None

    def wait_until_healthy(self, process: subprocess.Popen[bytes], log: Path) -> None:
        """Return once it answers; AssertionError with its log where it ends instead."""

        def healthy() -> bool:
            assert process.poll() is None, log.read_text()
            try:
                return requests.get(f"{self.url}/health", timeout=5).ok
            except requests.RequestException:
                return False

        eventually(healthy)


@contextmanager
def prefect_server(home: Path) -> Iterator[PrefectServer]:
    """Start a server that keeps its data in a folder, and stop it at the end."""
    server = PrefectServer(f"http://127.0.0.1:{free_port()}/api", home)
    port = server.url.rpartition(":")[2].partition("/")[0]
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", port, "--no-ui"]
    environment = variables(PREFECT_HOME=str(home), PREFECT_SERVER_API_AUTH_STRING=AUTH)
    with running(command, environment, home / "server.log") as process:
        server.wait_until_healthy(process, home / "server.log")
        yield server
