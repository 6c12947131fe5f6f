"""The apps' locks, and how long a statement waits for those of others."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from psycopg import sql

from multischema.errors import LockTimeout
from multischema.postgres.connecting import LOCK_TIMEOUT, Connection
from multischema.postgres.errors import translated
from multischema.postgres.questions import ask_values

_LOCK_POLL = 2.0
_PATIENT_LOCK_TIMEOUT = "2s"


def take_lock(connection: Connection, schema: str, wait: float, on_wait: Callable[[str], None]) -> None:
    """Take a schema's lock on this session, waiting at most `wait` seconds. Raises LockTimeout."""
    deadline = time.monotonic() + wait
    waited = False
    while not try_lock(connection, schema):
        if not waited:
            on_wait(schema)
            waited = True
        if time.monotonic() >= deadline:
            raise LockTimeout(
                f"target: another run of schema {schema} is still running after {wait:.0f} s; start again when it has ended"
            )
        time.sleep(min(_LOCK_POLL, max(deadline - time.monotonic(), 0.05)))


def try_lock(connection: Connection, schema: str) -> bool:
    """Take a schema's lock on this session if nobody has it; tell whether it was taken."""
    with translated("target", "taking the app's lock"):
        return ask_values(connection, bool, "advisory_lock", schema=schema) == [True]


@contextmanager
def short_lock_timeout(connection: Connection) -> Iterator[None]:
    """Make statements fail soon on what is in use, so that the caller can work on others and try again."""
    connection.execute(sql.SQL("SET lock_timeout = {}").format(sql.Literal(_PATIENT_LOCK_TIMEOUT)))
    try:
        yield
    finally:
        if not connection.broken:
            connection.execute(sql.SQL("SET lock_timeout = {}").format(sql.Literal(LOCK_TIMEOUT)))
