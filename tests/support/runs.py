"""Runs that something happens to: in a thread of their own, at a gate or behind a proxy, and what they published."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg

from demo.servers import Server
from multischema import pipeline
from multischema.errors import EtlError
from multischema.postgres.database import Database
from tests.conftest import Place
from tests.support.gates import GATED_ORIGIN, GATED_RULES, PATIENCE, Gate, eventually, gate_at, gate_in_copy
from tests.support.proxy import Proxy, proxied

ORIGIN = (
    GATED_ORIGIN
    + """
CREATE TABLE users (id int PRIMARY KEY, name text, run int);
INSERT INTO users SELECT n, 'Marie', 1 FROM generate_series(1, 20) AS n;
COMMENT ON TABLE users IS 'people';
"""
)
RULES = f"""
tables:{GATED_RULES}
  - table_name: users
    anonymized_column_names: [name]
    non_anonymized_column_names: [run]
"""
UNGATED = ORIGIN.replace("WHEN 900 THEN 'wait'", "WHEN 900 THEN 'go'")


def run_of_users(place: Place) -> int:
    """Return which run is published; all of it is."""
    assert place.read("SELECT count(*), count(DISTINCT name) FROM shop.gated") == [(2000, 2000)]
    ((low, high, count),) = place.read("SELECT min(run), max(run), count(*) FROM shop.users")
    assert (low, count) == (high, 20)
    return int(low)


def published(place: Place) -> Place:
    """Publish run 1, and have the origin hold what would be run 2."""
    place.in_origin(ORIGIN)
    place.run(RULES)
    place.in_origin("UPDATE users SET run = 2")
    return place


def no_sessions(place: Place) -> None:
    """Wait until no session of a run is left on either server."""
    eventually(lambda: place.sessions() == {"origin": 0, "target": 0}, "no session of a run")


class Running(threading.Thread):
    """A run in a thread of its own; `result` is what it returned or raised."""

    def __init__(self, place: Place, *databases: Database, text: str = RULES, **changes: Any) -> None:
        super().__init__()
        job, rules = place.job(**changes), place.rules(text)
        origin, target = databases or place.databases()
        self._work: Callable[[], pipeline.Published] = lambda: pipeline.run(job, rules, origin, target)
        self.result: Any = None
        self.start()

    def run(self) -> None:
        """Do it."""
        try:
            self.result = self._work()
        except EtlError as error:
            self.result = error

    def ended(self, patience: float = PATIENCE) -> Any:
        """Wait until the run has ended, and return its result."""
        self.join(patience)
        assert not self.is_alive(), "the run does not end"
        return self.result


@contextmanager
def gate_in(place: Place, stage: str) -> Iterator[Gate]:
    """Close a gate: `copy`, or a command tag of the target."""
    with gate_in_copy(place) if stage == "copy" else gate_at(place, stage) as gate:
        yield gate


def terminate(server: Server, database: str, session: int) -> None:
    """End a session from the server's side, and wait until it has ended."""
    with psycopg.connect(server.url(database), autocommit=True) as connection:
        # with a patience, it is true only once the session is gone
        ended = connection.execute("SELECT pg_terminate_backend(%s, %s)", [session, round(PATIENCE * 1000)]).fetchall()
        assert ended == [(True,)]


def session_of(server: Server, database: str, condition: str) -> int:
    """Wait until a session of a run meets a condition, and return the one that does."""
    found: list[tuple[int]] = []
    with psycopg.connect(server.url(database), autocommit=True) as connection:

        def is_there() -> bool:
            found[:] = connection.execute(
                "SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'multi-schema%' "
                f"AND datname = current_database() AND {condition}".encode()
            ).fetchall()
            return bool(found)

        eventually(is_there, f"a session with {condition}")
    ((pid,),) = found
    return pid


@contextmanager
def behind_proxy(place: Place, side: str) -> Iterator[tuple[Proxy, tuple[Database, Database]]]:
    """Give a proxy before one side, and the databases as a run takes them."""
    origin, target = place.databases()
    server = place.origin_server if side == "origin" else place.target_server
    with proxied(server.port) as proxy:
        if side == "origin":
            yield proxy, (Database("origin", "shop", proxy.url(origin.url)), target)
        else:
            yield proxy, (origin, Database("target", "shop", proxy.url(target.url)))


def rows(place: Place, table: str) -> int:
    """Return the number of rows of a staging table, as far as they are committed."""
    (staging,) = (name for name in place.schemas() if name.startswith("etl_staging_"))
    ((count,),) = place.read(f"SELECT count(*) FROM {staging}.{table}", as_="etl")
    return int(count)
