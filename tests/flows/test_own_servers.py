"""Demo, tests and benchmark reach no server but their own, whatever the user's files and variables say."""

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from tests.conftest import ROOT, TEMPORARY
from tests.support.foreign import Foreign, listening
from tests.support.servers import PATIENCE, PrefectServer, eventually, free_port, in_background, running

pytestmark = pytest.mark.slow

LEFT_OUT = shutil.ignore_patterns(".*", "__pycache__")


@pytest.fixture
def foreign() -> Iterator[Foreign]:
    """Return a server that nobody is to call."""
    with listening() as found:
        yield found


@pytest.fixture
def checkout() -> Iterator[Path]:
    """Return a copy of the project, not in pytest's folder: each pytest that starts takes the rights of others from that."""
    directory = Path(tempfile.mkdtemp(prefix="checkout-", dir=TEMPORARY))
    shutil.copytree(ROOT, directory / "project", ignore=LEFT_OUT)
    yield directory / "project"
    shutil.rmtree(directory, ignore_errors=True)


def environment(foreign: Foreign, checkout: Path) -> dict[str, str]:
    """Return the variables of a user all of whose files and variables name the foreign server."""
    home = checkout.parent / "home"
    home.mkdir()
    return {**os.environ, **foreign.everywhere(checkout, home)}


def ran(given: Mapping[str, str], checkout: Path, command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Run a module of a project with these variables."""
    return subprocess.run(
        [sys.executable, "-m", *command],
        cwd=checkout,
        env=given,
        capture_output=True,
        text=True,
        timeout=5 * PATIENCE,
        check=False,
    )


def test_the_demo_saves_its_secrets_and_runs_on_its_own_server_and_so_does_its_user_interface(
    foreign: Foreign, checkout: Path
) -> None:
    given = environment(foreign, checkout)
    run = ran(given, checkout, ["demo"])
    assert foreign.calls == []
    assert (run.returncode, run.stderr) == (0, "")
    assert "saved Secret block etl-db-url from ETL_DB_URL" in run.stdout
    home = checkout / ".demo" / "prefect"
    with closing(sqlite3.connect(home / "prefect.db")) as connection:
        blocks = {name for (name,) in connection.execute("SELECT name FROM block_document")}
        runs = connection.execute("SELECT name, state_type FROM flow_run").fetchall()
    assert blocks == {"etl-db-url", "etl-pseudonym-key", "rdvs-db-url", "rdvi-db-url"}
    assert {(name.partition(" ")[0], state) for name, state in runs} == {("rdvi", "COMPLETED"), ("rdvs", "COMPLETED")}

    server = PrefectServer(f"http://127.0.0.1:{free_port()}/api", home)
    command = [sys.executable, "-m", "demo", "--ui", "--port", server.url.rpartition(":")[2].partition("/")[0]]
    log = checkout.parent / "log"
    with running(in_background(command), given, log, cwd=checkout) as process:
        eventually(lambda: "Ctrl-C ends it all" in log.read_text() or process.poll() is not None)
        assert process.poll() is None, log.read_text()
        assert server.ask("GET", "admin/settings")["api"]["url"] is None
        # what the page in the browser asks
        assert httpx.get(f"{server.url.removesuffix('/api')}/ui-settings").json()["api_url"] == server.url
        deployed = server.ask("POST", "deployments/filter", {"sort": "NAME_ASC"})
        assert [(item["name"], item["schedules"]) for item in deployed] == [("rdvi", []), ("rdvs", [])]
        started = server.ask("POST", f"deployments/{deployed[0]['id']}/create_flow_run", {"state": {"type": "SCHEDULED"}})
        ended = eventually(lambda: is_final(server.ask("GET", f"flow_runs/{started['id']}")))
        assert ended["state_name"] == "Completed", ended["state"]["message"]
        family = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGTERM)
        process.send_signal(signal.SIGTERM)  # which somebody impatient does
        assert process.wait(PATIENCE) == 0
    assert log.read_text().endswith("stopping\nstopped\n")
    assert not [member for member in family if member.is_running()]
    assert not list((checkout / ".demo").glob("*/data/postmaster.pid"))
    assert foreign.calls == []


def is_final(flow_run: dict[str, Any]) -> dict[str, Any] | None:
    """Return a flow run if it has ended."""
    return flow_run if flow_run["state_type"] in ("COMPLETED", "FAILED", "CRASHED") else None


def test_a_user_interface_without_a_demo_says_what_to_do(foreign: Foreign, checkout: Path) -> None:
    run = ran(environment(foreign, checkout), checkout, ["demo", "--ui"])
    assert (run.returncode, run.stderr) == (2, "error: there is no demo to show: run `make demo` first\n")


@pytest.mark.parametrize(
    "tests",
    [
        ["tests/unit/flows/test_command_line.py", "tests/unit/deployment/test_server.py"],
        ["tests/postgres/test_run.py"],
        ["tests/flows/test_flow.py", "tests/flows/test_rules_draft.py", "tests/flows/test_bench.py", "-m", "not slow"],
        ["tests/flows/test_command.py", "-k", "plain_lines or temporary"],
        ["tests/flows/test_setup.py", "-k", "command"],
    ],
    ids=lambda tests: tests[0],
)
def test_tests_reach_their_own_servers_only(foreign: Foreign, checkout: Path, tests: list[str]) -> None:
    run = ran(environment(foreign, checkout), checkout, ["pytest", "-q", "-p", "no:cacheprovider", *tests])
    assert foreign.calls == []
    assert run.returncode == 0, run.stdout[-3000:]


def test_the_benchmark_measures_its_own_servers(foreign: Foreign, checkout: Path) -> None:
    run = ran(environment(foreign, checkout), checkout, ["bench", "--tables", "2", "--rounds", "1"])
    assert foreign.calls == []
    assert run.returncode == 0, run.stderr[-3000:]
