"""Demo, tests and benchmark reach no server but their own, whatever the user's files and variables say."""

import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import pytest

from tests.conftest import ROOT, TEMPORARY
from tests.support.foreign import Foreign, listening
from tests.support.servers import PATIENCE, PrefectServer, free_port, running

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


def ran(foreign: Foreign, checkout: Path, command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Run a module of a project all around which the foreign server is named."""
    return subprocess.run(
        [sys.executable, "-m", *command],
        cwd=checkout,
        env=environment(foreign, checkout),
        capture_output=True,
        text=True,
        timeout=5 * PATIENCE,
        check=False,
    )


def test_the_demo_saves_its_secrets_and_runs_on_its_own_server(foreign: Foreign, checkout: Path) -> None:
    run = ran(foreign, checkout, ["demo"])
    assert foreign.calls == []
    assert (run.returncode, run.stderr) == (0, "")
    assert "saved Secret block etl-db-url from ETL_DB_URL" in run.stdout
    with closing(sqlite3.connect(checkout / ".demo" / "prefect" / "prefect.db")) as connection:
        blocks = {name for (name,) in connection.execute("SELECT name FROM block_document")}
        runs = connection.execute("SELECT name, state_type FROM flow_run").fetchall()
    assert blocks == {"etl-db-url", "rdvs-db-url", "rdvi-db-url"}
    assert sorted(runs) == [("rdvi", "COMPLETED"), ("rdvs", "COMPLETED")]


def test_the_demos_user_interface_is_of_its_own_server(foreign: Foreign, checkout: Path) -> None:
    given = environment(foreign, checkout)
    home = checkout / ".demo" / "prefect"
    server = PrefectServer(f"http://127.0.0.1:{free_port()}/api", home)
    command = [sys.executable, "-m", "demo", "--ui", "--port", server.url.rpartition(":")[2].partition("/")[0]]
    log = checkout.parent / "log"
    with running(command, given, log, cwd=checkout) as process:
        server.wait_until_healthy(process, log)
        assert server.ask("GET", "admin/settings")["api"]["url"] is None
        assert (home / "prefect.db").exists()
    assert foreign.calls == []


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
    run = ran(foreign, checkout, ["pytest", "-q", "-p", "no:cacheprovider", *tests])
    assert foreign.calls == []
    assert run.returncode == 0, run.stdout[-3000:]


def test_the_benchmark_measures_its_own_servers(foreign: Foreign, checkout: Path) -> None:
    run = ran(foreign, checkout, ["bench", "--tables", "2", "--rounds", "1"])
    assert foreign.calls == []
    assert run.returncode == 0, run.stderr[-3000:]
