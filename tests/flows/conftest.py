"""A real Prefect server for all tests of flows: it has a folder of its own, and the user's Prefect is left alone."""

from contextlib import chdir

from tests.conftest import OWN

with chdir(OWN):
    import prefect  # noqa: F401

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest
from prefect import State
from prefect.context import _temporary_global_settings_context, get_settings_context
from prefect.events.worker import EventsWorker
from prefect.logging.handlers import APILogWorker
from prefect.settings import (
    PREFECT_API_AUTH_STRING,
    PREFECT_API_KEY,
    PREFECT_API_URL,
    PREFECT_HOME,
    temporary_settings,
)

from blocks import register, urls
from demo import alone
from flows.etl import etl
from tests.conftest import PROGRAMS, Place
from tests.support.gates import have_rows_call
from tests.support.servers import PATIENCE, PrefectServer, prefect_server

SYSTEM = [name for name in PROGRAMS if name.startswith("system")]

# Prefect's server needs the extension pg_trgm, which the embedded servers don't bring
collect_ignore = [] if SYSTEM else ["test_prefect_database.py", "test_server.py"]


@dataclass
class Shop:
    """An app with its place, its Secret blocks and its rules; its name is its own, so that its runs are found."""

    place: Place
    server: PrefectServer
    directory: Path
    commands: list["Command"] = field(default_factory=list)

    @property
    def app(self) -> str:
        """Return the app's name, and the name of its schema."""
        return f"shop-{self.place.number}"

    @property
    def environment(self) -> dict[str, str]:
        """Return the variables that a user of the command line has."""
        return {
            "APP": self.app,
            "ORIGIN_DB_URL": self.place.origin_url,
            "ETL_DB_URL": self.place.target_url,
            "METABASE_USERNAME": self.place.reader,
        }

    def register(self, **environment: str) -> None:
        """Save the Secret blocks of this app, with changed variables if any."""
        register.register({**self.environment, **environment})

    def parameters(self, rules: str, **changes: Any) -> dict[str, Any]:
        """Return the flow's parameters with these rules."""
        return {"app": self.app, "rules": self.place.rules(rules), "reader": self.place.reader, "jobs": 2, **changes}

    def run(self, rules: str, **changes: Any) -> State[Any]:
        """Run the flow here and return its final state."""
        return etl(**self.parameters(rules, **changes), return_state=True)

    def last(self) -> dict[str, Any]:
        """Return the app's last flow run."""
        return self.server.runs(self.app)[0]

    def read(self, query: str) -> list[tuple[Any, ...]]:
        """Return the rows of a query on the published schema, as the reader; `{}` stands for the schema."""
        return self.place.read(query.replace("{}", f'"{self.app}"'))

    def command(
        self,
        *arguments: str,
        rules: str | None = None,
        module: str = "flows.etl",
        terminal: int | None = None,
        **environment: str | None,
    ) -> "Command":
        """Start a command of the project in a process of its own, in a directory without a .env."""
        given = {**self.environment, **environment}
        if rules is not None:
            arguments = ("--rules", self.place.rules(rules), *arguments)
        environment = {"PREFECT_API_URL": self.server.url, **given}
        command = Command.start(self.directory, module, arguments, environment, terminal)
        self.commands.append(command)
        return command


@dataclass
class Command:
    """A process that was started, and what it printed."""

    process: subprocess.Popen[bytes]
    output: Path
    errors: Path

    @classmethod
    def start(
        cls,
        directory: Path,
        module: str,
        arguments: Sequence[str],
        environment: Mapping[str, str | None],
        terminal: int | None = None,
    ) -> "Command":
        """Start `python -m module` with these variables and no others; one that is None is not set.

        It prints to files, or all to a terminal.
        """
        number = len(list(directory.glob("*.out")))
        command = cls.__new__(cls)
        command.output, command.errors = directory / f"{number}.out", directory / f"{number}.err"
        with command.output.open("wb") as out, command.errors.open("wb") as err:
            command.process = subprocess.Popen(
                [sys.executable, "-m", module, *arguments],
                cwd=directory,
                env=variables(environment),
                stdin=subprocess.DEVNULL,
                stdout=terminal or out,
                stderr=terminal or err,
                start_new_session=True,
                # a shell in the background has its children ignore Ctrl-C
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
            )
        return command

    def wait(self, timeout: float = PATIENCE) -> int:
        """Return the exit status once the command has ended."""
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still running after {timeout} s:\n{self.text}") from None

    def interrupt(self, number: int) -> None:
        """Send a signal to the command and to what it has started, as a terminal does."""
        os.killpg(self.process.pid, number)

    def end(self) -> None:
        """End the command and what it has started, if it is still there."""
        with suppress(ProcessLookupError):
            self.interrupt(signal.SIGKILL)
        self.process.wait()

    @property
    def out(self) -> str:
        """Return what was printed to stdout so far."""
        return self.output.read_text()

    @property
    def err(self) -> str:
        """Return what was printed to stderr so far."""
        return self.errors.read_text()

    @property
    def text(self) -> str:
        """Return all that was printed so far."""
        return self.out + self.err


def variables(environment: Mapping[str, str | None]) -> dict[str, str]:
    """Return the environment of a command: nothing of the user's but the path, and the tests' own Prefect."""
    own = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "PYTHONPATH": str(OWN), "PREFECT_HOME": str(OWN)} | alone.SETTINGS
    return {name: value for name, value in {**own, **environment}.items() if value is not None}


@pytest.fixture(scope="session")
def started_server() -> Iterator[PrefectServer]:
    """Return the server of all tests; it records task runs every second, not every five."""
    with prefect_server(OWN, {"PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_FLUSH_INTERVAL": "1"}, auth="") as server:
        yield server


@pytest.fixture
def server(started_server: PrefectServer) -> Iterator[PrefectServer]:
    """Return the server, which this process uses, whatever the user's own settings say."""
    changed = {
        PREFECT_HOME: OWN,
        PREFECT_API_URL: started_server.url,
        PREFECT_API_KEY: None,
        PREFECT_API_AUTH_STRING: None,
    }
    # threads see the global settings
    with temporary_settings(changed), _temporary_global_settings_context(get_settings_context()):
        yield started_server
        # what is still to be sent must find the server
        APILogWorker.drain_all(at_exit=False)
        EventsWorker.drain_all(at_exit=False)


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """Return a directory to run commands in: without anybody's .env or prefect.toml."""
    directory = tmp_path / "work"
    directory.mkdir()
    return directory


@pytest.fixture
def shop(place: Place, server: PrefectServer, work: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    """Return an app whose Secret blocks are saved."""
    monkeypatch.setattr(urls, "_given", {})
    shop = Shop(place, server, work)
    shop.register()
    yield shop
    for command in shop.commands:
        command.end()


# An origin whose rows come slowly: a function is called for each, and takes its time. They are wide,
# for the first ones to leave the server before the last ones are ready.
SLOW = """
CREATE TYPE mood AS ENUM ('good', 'bad');
CREATE TYPE told AS (mood mood);
CREATE FUNCTION slow(mood) RETURNS json LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep({seconds}); RETURN '"fine"'; END $$;
CREATE TABLE users (
    id serial PRIMARY KEY, name text, mood mood, told told DEFAULT ROW('bad'), note text DEFAULT repeat('.', 4000)
);
CREATE TABLE visits (id serial PRIMARY KEY, user_id integer NOT NULL REFERENCES users);
INSERT INTO users (name, mood) SELECT 'Marie', 'bad' FROM generate_series(1, {rows});
INSERT INTO visits (user_id) SELECT 1 FROM generate_series(1, 100);
"""
SLOW_RULES = """
tables:
  - {table_name: users, anonymized_column_names: [name], non_anonymized_column_names: [mood, told, note]}
  - {table_name: visits, non_anonymized_column_names: [user_id]}
"""


# rows that come once nobody holds a lock
WAITING = """
CREATE OR REPLACE FUNCTION slow(mood) RETURNS json LANGUAGE plpgsql AS $$
BEGIN PERFORM pg_advisory_lock_shared(1); PERFORM pg_advisory_unlock_shared(1); RETURN '"fine"'; END $$;
"""


def fill_slow(place: Place, rows: int, seconds: float = 0.02) -> None:
    """Make an origin of so many users, each of which takes so long to be read."""
    place.in_origin(SLOW.format(rows=rows, seconds=seconds))
    have_rows_call(place, "slow", "mood")


@contextmanager
def blocked(place: Place) -> Iterator[Callable[[], None]]:
    """Have runs of a slow origin wait in a COPY, until the function that is given is called."""
    place.in_origin(WAITING)
    with psycopg.connect(place.origin_url) as connection:
        connection.execute("SELECT pg_advisory_xact_lock(1)")
        yield connection.commit


def busy(place: Place, side: str, query: str) -> bool:
    """Tell whether a session of a run executes a statement that begins so."""
    server = place.origin_server if side == "origin" else place.target_server
    with psycopg.connect(server.url(), autocommit=True) as connection:
        rows = connection.execute(
            "SELECT 1 FROM pg_stat_activity WHERE datname = %s AND application_name LIKE 'multi-schema%%' "
            "AND state = 'active' AND query ILIKE %s",
            [place.name, f"{query}%"],
        ).fetchall()
    return bool(rows)
