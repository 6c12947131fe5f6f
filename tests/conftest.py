"""Real servers for the tests: each is started when a test first asks for it, and gone when the last test is done."""

import atexit
import os
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import psycopg
import pytest
import xdist  # type: ignore[import-untyped]
from psycopg import sql

from demo import alone
from demo.servers import Server, embedded_bin, system_bins
from multischema import pipeline
from multischema.job import Job
from multischema.postgres.database import Database
from multischema.stages.run import new_run_id

ROOT = Path(__file__).parent.parent
KEY = bytes.fromhex("c0ffee" + 29 * "1d")  # of pseudonyms
PASSWORD = "pass word:/@%éè"  # what a URL must escape, and what must never be seen
PROGRAMS = {"16": embedded_bin(16), "18": embedded_bin(18)} | {f"system-{m}": p for m, p in system_bins().items()}
PAIRS = [("16", "18"), ("18", "16"), *((name, "18") for name in PROGRAMS if name.startswith("system"))]

TEMPORARY = tempfile.gettempdir()  # a test may change TMPDIR before it asks for a server

# the tests' working directory, and Prefect's home: it shows the project's code, and nothing that a user has set
OWN = alone.checkout(Path(tempfile.mkdtemp(prefix="own-")).resolve())
atexit.register(shutil.rmtree, OWN, ignore_errors=True)
alone.forget(OWN)

sys.path.insert(0, str(ROOT))
_numbers = count(1)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let property tests try more."""
    parser.addoption("--examples", type=int, help="how many random examples a property test tries; else 25, always the same")


def pytest_sessionstart(session: pytest.Session) -> None:
    """Leave the directory that pytest was started in, which has been looked at for options and tests by now.

    What runs no test itself, but starts processes that do, stays: they look at it too.
    """
    if not xdist.is_xdist_controller(session):
        os.chdir(OWN)


@pytest.fixture(scope="session")
def start_server() -> Iterator[Callable[..., Server]]:
    """Return a function that gives the server of a name in PROGRAMS, started; `own` makes one for this call alone."""
    servers: dict[str, Server] = {}

    def start(name: str, own: str = "", settings: dict[str, str] | None = None) -> Server:
        key = f"{name}-{own}"
        if key not in servers:
            # not in pytest's folder: each pytest that starts takes the rights of others from it, and with them the server's
            directory = Path(tempfile.mkdtemp(prefix=f"postgres-{key}-", dir=TEMPORARY))
            servers[key] = Server.create(
                directory / "server", PROGRAMS[name], {"max_connections": "200", **(settings or {})}
            )
        if not servers[key].running:
            servers[key].start()
        return servers[key]

    yield start
    for server in servers.values():
        server.kill()
        shutil.rmtree(server.directory.parent, ignore_errors=True)


@dataclass
class Place:
    """A database on an origin, another on a target, and the roles of a run: `app` reads, `etl` writes, `reader` looks."""

    origin_server: Server
    target_server: Server
    number: int
    path: Path

    @property
    def name(self) -> str:
        """Return the name of both databases."""
        return f"place_{self.number}"

    @property
    def app(self) -> str:
        """Return the role that owns the origin's tables; runs connect as it."""
        return f"app_{self.number}"

    @property
    def etl(self) -> str:
        """Return the role that owns the target's database; runs connect as it."""
        return f"etl_{self.number}"

    @property
    def reader(self) -> str:
        """Return the role that Metabase would have."""
        return f"reader_{self.number}"

    @property
    def in_its_origin(self) -> str:
        """Return how messages say where a statement for the origin is to run."""
        return f"in database {self.name} on 127.0.0.1:{self.origin_server.port}"

    @property
    def in_its_target(self) -> str:
        """Return how messages say where a statement for the target is to run."""
        return f"in database {self.name} on 127.0.0.1:{self.target_server.port}"

    @property
    def origin_url(self) -> str:
        """Return the URL that a run reads from."""
        return self.origin_server.url(self.name, self.app, PASSWORD)

    @property
    def target_url(self) -> str:
        """Return the URL that a run writes to."""
        return self.target_server.url(self.name, self.etl, PASSWORD)

    @property
    def reader_url(self) -> str:
        """Return the URL that Metabase would have."""
        return self.target_server.url(self.name, self.reader, PASSWORD)

    def create(self) -> None:
        """Make databases and roles, on both servers at the same time."""
        roles = ((self.app,), (self.etl, self.reader))
        with ThreadPoolExecutor() as executor:
            list(executor.map(self._create, (self.origin_server, self.target_server), roles))

    def _create(self, server: Server, roles: tuple[str, ...]) -> None:
        with psycopg.connect(server.url(), autocommit=True) as connection:
            if server.major >= 16:  # a password that takes long to check is what a session of a test waits for
                connection.execute("SET scram_iterations = 1")
            for role in roles:
                connection.execute(
                    sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(sql.Identifier(role), sql.Literal(PASSWORD))
                )
            # as files it takes half the time that it takes through the log
            connection.execute(
                sql.SQL(
                    "CREATE DATABASE {} OWNER {} STRATEGY file_copy" if server.major >= 15 else "CREATE DATABASE {} OWNER {}"
                ).format(sql.Identifier(self.name), sql.Identifier(roles[0]))
            )

    def drop(self) -> None:
        """Drop both databases, whoever is connected; the roles stay."""
        with ThreadPoolExecutor() as executor:
            list(executor.map(self._drop, (self.origin_server, self.target_server)))

    def _drop(self, server: Server) -> None:
        if not server.running:
            server.start()
        with psycopg.connect(server.url(), autocommit=True) as connection:
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(self.name)))

    def recode_origin(self, encoding: str) -> None:
        """Make the origin's database anew, in another encoding."""
        with psycopg.connect(self.origin_server.url(), autocommit=True) as connection:
            connection.execute(sql.SQL("DROP DATABASE {}").format(sql.Identifier(self.name)))
            connection.execute(
                sql.SQL("CREATE DATABASE {} OWNER {} TEMPLATE template0 ENCODING {} LOCALE 'C'").format(
                    sql.Identifier(self.name), sql.Identifier(self.app), sql.Literal(encoding)
                )
            )

    def in_origin(self, statements: str, *, superuser: bool = False) -> None:
        """Execute statements in the origin, as the app's role."""
        url = self.origin_server.url(self.name) if superuser else self.origin_url
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(statements.encode())

    def in_target(self, statements: str, *, superuser: bool = False) -> None:
        """Execute statements in the target, as the ETL's role."""
        url = self.target_server.url(self.name) if superuser else self.target_url
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(statements.encode())

    def read(self, query: str, *, as_: str = "reader") -> list[tuple[Any, ...]]:
        """Return the rows of a query in the target, as the reader, as the etl or as the superuser."""
        urls = {"reader": self.reader_url, "etl": self.target_url, "superuser": self.target_server.url(self.name)}
        with psycopg.connect(urls[as_], autocommit=True) as connection:
            return connection.execute(query.encode()).fetchall()

    def job(self, **changes: Any) -> Job:
        """Return the job of app `shop`, changed as wanted."""
        values: dict[str, Any] = {
            "app": "shop",
            "schema": "shop",
            "origin_schema": "public",
            "reader": self.reader,
            "jobs": 2,
            "lock_wait": 5,
            "id": new_run_id(),
            "names": new_run_id(),
            "indexes": "all",
            "refresh": "full",
            "drop_rows": 10**9,  # few of the tests that empty a table are about that
        }
        return Job(**{**values, **changes})

    def databases(self) -> tuple[Database, Database]:
        """Return origin and target as a run takes them."""
        return Database("origin", "shop", self.origin_url), Database("target", "shop", self.target_url)

    def rules(self, text: str) -> str:
        """Write a rules file and return its path; another thread that reads it meanwhile reads a whole one."""
        file = self.path / "anonymizer.yml"
        written = self.path / f"anonymizer-{threading.get_ident()}.yml"
        written.write_text(text)
        return str(written.replace(file))

    def run(self, rules: str, **changes: Any) -> pipeline.Published:
        """Publish the origin with these rules, without Prefect."""
        job = self.job(**changes)
        origin, target = self.databases()
        return pipeline.run(job, self.rules(rules), target.backup() if job.from_dump else origin, target, lambda: KEY)

    def schemas(self) -> set[str]:
        """Return the schemas of the target, the system's and that of what runs remember aside."""
        rows = self.read(
            "SELECT nspname FROM pg_namespace WHERE nspname !~ '^pg_' "
            "AND nspname NOT IN ('public', 'information_schema', 'etl_state', 'etl_report')",
            as_="etl",
        )
        return {name for (name,) in rows}

    def sessions(self) -> dict[str, int]:
        """Return how many sessions of runs each side has; those that are closed are gone a moment later."""
        deadline = time.monotonic() + 5  # a server may take ten seconds to miss a client that is gone
        while any((found := self._sessions()).values()) and time.monotonic() < deadline:
            time.sleep(0.02)
        return found

    def locks(self) -> int:
        """Return how many advisory locks are held in the target."""
        with psycopg.connect(self.target_server.url(), autocommit=True) as connection:
            ((locks,),) = connection.execute(
                "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' "
                "AND database = (SELECT oid FROM pg_database WHERE datname = %s)",
                [self.name],
            ).fetchall()
        return int(locks)

    def _sessions(self) -> dict[str, int]:
        found = {}
        for side, server in (("origin", self.origin_server), ("target", self.target_server)):
            with psycopg.connect(server.url(), autocommit=True) as connection:
                (row,) = connection.execute(
                    "SELECT count(*) FROM pg_stat_activity WHERE datname = %s AND application_name LIKE 'multi-schema%%'",
                    [self.name],
                ).fetchall()
            found[side] = row[0]
        return found


@pytest.fixture
def make_place(start_server: Callable[..., Server], tmp_path: Path) -> Iterator[Callable[..., Place]]:
    """Return a function that makes a place on two servers of PROGRAMS; it is dropped after the test."""
    places: list[Place] = []

    def make(origin: str = "16", target: str = "18", own: str = "") -> Place:
        # the two databases have one name
        own_target = own or ("target" if target == origin else "")
        place = Place(start_server(origin, own), start_server(target, own_target), next(_numbers), tmp_path)
        place.create()
        places.append(place)
        return place

    yield make
    for place in places:
        place.drop()


@pytest.fixture
def place(make_place: Callable[..., Place]) -> Place:
    """Return a place with origin 16 and target 18."""
    return make_place()
