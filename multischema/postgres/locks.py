"""The apps' locks, and how long a statement waits for those of others."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from psycopg import sql

from multischema.catalog.objects import Holder
from multischema.errors import CheckError, LockTimeout
from multischema.findings import Finding, problem
from multischema.postgres.connecting import LOCK_TIMEOUT, Connection
from multischema.postgres.failures import translated
from multischema.postgres.questions import ask, ask_values, place_of

_LOCK_POLL = 2.0
_PATIENT_LOCK_TIMEOUT = "2s"


def take_lock(connection: Connection, schema: str, wait: float, on_wait: Callable[[str], None]) -> None:
    """Take a schema's lock on this session, waiting at most `wait` seconds.

    Anybody may take an advisory lock: who is no run is not waited for. Raises LockTimeout, CheckError.
    """
    deadline = time.monotonic() + wait
    waited = False
    while not try_lock(connection, schema):
        if others := strange_holders(connection, schema):
            raise CheckError(
                *(
                    problem(
                        "lock-held-by-stranger",
                        f"{holder.title} holds the lock of schema {schema}, and is no run of this role",
                        f"have an administrator end it ({place_of(connection)}: {holder.remedy}), and see what that role "
                        "runs",
                        side="target",
                        object=schema,
                    )
                    for holder in others
                )
            )
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


def strange_holders(connection: Connection, schema: str) -> list[Holder]:
    """Return who holds a schema's lock and is no session of this role, so no run: then no run holds it."""
    with translated("target", "reading who has the app's lock"):
        return ask(connection, Holder, "lock_holders", schema=schema, runs=False)


def runs_under_way(connection: Connection, schema: str) -> list[Finding]:
    """Return a warning for each run that holds a schema's lock: the next one waits for it."""
    with translated("target", "reading who has the app's lock"):
        holders = ask(connection, Holder, "lock_holders", schema=schema, runs=True)
    return [
        Finding(
            "run-under-way",
            f"{holder.title} holds the lock of schema {schema}: another run is under way, and one that is started now waits "
            "for it",
            side="target",
            object=schema,
        )
        for holder in holders
    ]


@contextmanager
def short_lock_timeout(connection: Connection, timeout: str = "") -> Iterator[None]:
    """Have what is in use refuse soon, so that it can be tried again, others meanwhile."""
    connection.execute(sql.SQL("SET lock_timeout = {}").format(sql.Literal(timeout or _PATIENT_LOCK_TIMEOUT)))
    try:
        yield
    finally:
        if not connection.broken:
            connection.execute(sql.SQL("SET lock_timeout = {}").format(sql.Literal(LOCK_TIMEOUT)))
