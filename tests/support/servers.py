"""A Prefect server as a test starts it, a process of its own with a folder of its own, and what can be asked of it."""

import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from demo import alone

PATIENCE = 120.0  # seconds that a busy machine gets for what usually takes a few
AUTH = "admin:a prefect pass/word"
# The database of the first server, as it was made: to make it takes twice as long as the rest of a server's start
_made: list[sqlite3.Connection] = []


def eventually(look: Callable[[], Any], patience: float = PATIENCE) -> Any:
    """Return what there is to see, as soon as there is something; AssertionError if there never is."""
    deadline = time.monotonic() + patience
    while not (found := look()):
        assert time.monotonic() < deadline, f"not within {patience} s"
        time.sleep(0.05)
    return found


def variables(**given: str) -> dict[str, str]:
    """Return the environment of a process: nothing of the user's."""
    own = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "LANG": "C.UTF-8", "DO_NOT_TRACK": "1"}
    return {**own, **alone.SETTINGS, **given}


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def running(
    command: Sequence[str], environment: Mapping[str, str], log: Path, cwd: Path | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a process of the project in the background, in a process group of its own, and end all of it."""
    with log.open("ab") as output:
        process = subprocess.Popen(
            command,
            cwd=cwd,
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


def in_background(command: Sequence[str]) -> list[str]:
    """Return a command that starts another as a script does with `&`: it ignores SIGINT, and so do those that it starts."""
    return ["bash", "-c", 'trap "" INT; exec "$@"', "-", *command]


@dataclass(frozen=True)
class PrefectServer:
    """Know where a Prefect server is, and ask it; `auth` is the login that it wants, if any."""

    url: str
    home: Path
    auth: str = ""

    @property
    def client(self) -> dict[str, str]:
        """Return the environment of a client of the server."""
        return variables(
            PREFECT_API_URL=self.url, PREFECT_API_AUTH_STRING=self.auth, PREFECT_HOME=str(self.home), HOME=str(self.home)
        )

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """Return the server's answer; a busy one is asked again, as Prefect's own client does."""
        answer = self.answer(method, path, body)
        assert answer.ok, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content else None

    def answer(self, method: str, path: str, body: Any = None) -> requests.Response:
        """Return the server's answer, whatever its status, but that it is busy."""
        user, _, password = self.auth.partition(":")
        login = (user, password) if self.auth else None

        def answered() -> list[requests.Response]:
            answer = requests.request(method, f"{self.url}/{path}", json=body, auth=login, timeout=PATIENCE)
            return [answer] if answer.status_code != 503 else []

        answer: requests.Response = eventually(answered)[0]
        return answer

    def runs(self, app: str) -> list[dict[str, Any]]:
        """Return the flow runs of an app, the last one first."""
        body = {"flow_runs": {"name": {"like_": f"{app} "}}, "sort": "EXPECTED_START_TIME_DESC"}
        found: list[dict[str, Any]] = self.ask("POST", "flow_runs/filter", body)
        return found

    def tasks(self, run: Mapping[str, Any], *wanted: str) -> dict[str, dict[str, Any]]:
        """Return the task runs of a flow run by name, once those wanted are recorded as final: it takes a second or two."""
        body = {"flow_runs": {"id": {"any_": [run["id"]]}}, "limit": 200}

        def recorded() -> dict[str, dict[str, Any]] | None:
            found = self.ask("POST", "task_runs/filter", body)
            final = {task["name"] for task in found if task["state_type"] in ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")}
            return {task["name"]: task for task in found} if final.issuperset(wanted) else None

        found: dict[str, dict[str, Any]] = eventually(recorded)
        return found

    def states(self, run: Mapping[str, Any], kind: str = "task") -> list[str]:
        """Return the names of the states that a task run, or a flow run, went through."""
        found = self.ask("GET", f"{kind}_run_states/?{kind}_run_id={run['id']}")
        return [state["name"] for state in sorted(found, key=lambda state: state["timestamp"])]

    def logs(self, run: Mapping[str, Any], wanted: str = "") -> list[dict[str, Any]]:
        """Return the log of a flow run with its tasks', once it has the wanted text: it is sent every two seconds."""
        body = {"logs": {"flow_run_id": {"any_": [run["id"]]}}, "sort": "TIMESTAMP_ASC", "limit": 200}

        def sent() -> list[dict[str, Any]] | None:
            found: list[dict[str, Any]] = self.ask("POST", "logs/filter", body)
            return found if any(wanted in line["message"] for line in found) else None

        from prefect.logging.handlers import APILogWorker  # Prefect is not imported before its settings are the tests' own

        APILogWorker.drain_all(at_exit=False)
        found: list[dict[str, Any]] = eventually(sent)
        return found

    def artifact(self, key: str) -> dict[str, Any]:
        """Return the last artifact of a key."""
        found: dict[str, Any] = self.ask("GET", f"artifacts/{key}/latest")
        return found

    def database(self) -> str:
        """Return all that the server's database holds, as text."""
        with closing(sqlite3.connect(self.home / "prefect.db", timeout=PATIENCE)) as connection:
            return "\n".join(connection.iterdump())

    def wait_until_healthy(self, process: subprocess.Popen[bytes], log: Path) -> None:
        """Return once it answers; AssertionError with its log where it ends instead."""

        def healthy() -> bool:
            assert process.poll() is None, log.read_text()
            try:
                return requests.get(f"{self.url}/health", timeout=5).ok
            except requests.RequestException:
                return False

        eventually(healthy, 3 * PATIENCE)


def furnish(home: Path) -> None:
    """Give a folder the database of the first server of these tests, if there was one: its own server starts sooner."""
    if _made:
        with closing(sqlite3.connect(home / "prefect.db")) as copy:
            _made[0].backup(copy)


@contextmanager
def prefect_server(
    home: Path, environment: Mapping[str, str] | None = None, *, auth: str = AUTH, port: int = 0
) -> Iterator[PrefectServer]:
    """Start a server with the project's settings, its data in a folder unless the environment says else; then stop it."""
    port = port or free_port()
    server = PrefectServer(f"http://127.0.0.1:{port}/api", home, auth)
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port), "--no-ui"]
    login = {"PREFECT_SERVER_API_AUTH_STRING": auth} if auth else {}
    settings = variables(PREFECT_HOME=str(home), **login, **(environment or {}))
    database = home / "prefect.db"
    is_new = not database.exists()
    if is_new:
        furnish(home)
    with running(command, settings, home / "server.log") as process:
        server.wait_until_healthy(process, home / "server.log")
        if is_new and not _made and database.exists():
            _made.append(sqlite3.connect(":memory:"))
            with closing(sqlite3.connect(database, timeout=PATIENCE)) as made:
                made.backup(_made[0])
        yield server
