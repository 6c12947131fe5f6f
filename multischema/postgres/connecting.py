"""Opening sessions: with pinned settings, and never through a pooler that lends a backend per transaction."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from multischema.errors import POOLER_IS_FULL, ConnectionLost, DatabaseError
from multischema.postgres.database import Database
from multischema.postgres.failures import describe_failed_connection, translated
from multischema.postgres.questions import ask_values, query
from multischema.postgres.refusals import codes_of

Connection = psycopg.Connection[dict[str, Any]]


class OneStatement(psycopg.Cursor[dict[str, Any]]):
    """A cursor of the extended protocol, which refuses a text that holds several statements before it runs any.

    All sessions have it: a text of another server that stands in a statement (the definition of an index, an expression)
    can't bring a second one. psycopg takes the simple protocol, which runs them all, where there are neither parameters
    nor binary results. What is to be several goes through `execute_script`.
    """

    def execute(
        self, query: Any, params: Any = None, *, prepare: bool | None = None, binary: bool | None = None
    ) -> "OneStatement":
        """Execute one statement."""
        return super().execute(query, params, prepare=prepare, binary=binary if params else True)


LOCK_TIMEOUT = "5min"
_COMMON = {
    "DateStyle": "ISO, MDY",
    "IntervalStyle": "postgres",
    "TimeZone": "UTC",
    # how values, definitions and constants are written and read: a database or a role may set them differently
    "lc_monetary": "C",
    "array_nulls": "on",
    "xmloption": "content",
    "bytea_output": "hex",
    "standard_conforming_strings": "on",
    "quote_all_identifiers": "off",
    "default_transaction_isolation": "read committed",
    "statement_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
    "idle_session_timeout": "0",
    "transaction_timeout": "0",
    "lock_timeout": LOCK_TIMEOUT,
    # an orphaned statement must not outlive a killed run
    "client_connection_check_interval": "10s",
    "tcp_keepalives_idle": "30",
    "tcp_keepalives_interval": "10",
    "tcp_keepalives_count": "3",
}
_SETTINGS = {
    "origin": {
        **_COMMON,
        "default_transaction_read_only": "on",
        "row_security": "off",
        "synchronize_seqscans": "off",
        "extra_float_digits": "1",
    },
    "target": {
        **_COMMON,
        "maintenance_work_mem": "128MB",
        # indexes are built in parallel: workers for each would only get in each other's way
        "max_parallel_maintenance_workers": "0",
        "default_transaction_read_only": "off",
        # a server crash only loses work of a run that fails with it; the publishing transaction waits for the disk
        "synchronous_commit": "off",
    },
}
_SETTINGS["raw"] = _SETTINGS["backup"] = _SETTINGS["origin"]
_POOLED_USE = {"origin": "share a snapshot", "target": "hold a lock", "raw": "hold a lock", "backup": "hold a lock"}
# Nothing that others put into a schema, such as a function that fits better than pg_catalog's, may ever be found
PATH = "pg_catalog"


def connect(
    database: Database,
    application: str,
    search_path: str = PATH,
    on_open: Callable[[Connection], None] = lambda connection: None,
) -> Connection:
    """Open a session with pinned settings, in autocommit. Raises ConnectionLost or DatabaseError.

    `on_open` gets the session before its first query: a server or proxy that does not answer must not hold a run. Through
    a transaction pooler nothing is pinned: the settings would stay on a backend that it lends to others next, and
    production would find its sessions read-only.
    """
    connection = _open(database, application)

    def open_second() -> Connection:
        second = _open(database, application)
        on_open(second)
        return second

    wanted = {**_SETTINGS[database.kind], "search_path": search_path}
    try:
        on_open(connection)
        with translated(database.side, "setting up the session"):
            if _is_pooled(connection, open_second):
                raise DatabaseError(pooler_problem(database.side, _POOLED_USE[database.kind]))
            query(connection, "session_settings", names=list(wanted), values=list(wanted.values()))
            _ask_for_english(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def settings_of(kind: str) -> Mapping[str, str]:
    """Return the settings that sessions of an origin, a target, a raw table or a backup have."""
    return _SETTINGS[kind]


def execute_script(connection: Connection, script: sql.Composed) -> None:
    """Execute several statements, in one round trip: they hold no text of a server but names and literals."""
    with psycopg.Cursor(connection) as cursor:
        cursor.execute(script)


def ways(connection: Connection) -> tuple[str, str]:
    """Return the hosts and addresses that a session was to reach, and its sslmode, whether URL or environment has them."""
    options = {option.keyword: (option.val or b"").decode() for option in connection.pgconn.info}
    return ",".join(filter(None, (options[b"host"], options[b"hostaddr"]))), options[b"sslmode"]


def quoted_path(schema: str) -> str:
    """Return a `search_path` of this schema alone, pg_catalog first as always."""
    return '"' + schema.replace('"', '""') + '"'


def _open(database: Database, application: str) -> Connection:
    parameters = database.parameters()
    try:
        return connected(database, application)
    except psycopg.Error as error:
        codes = partial(codes_of, _for_libpq(database, application), database.connect_timeout)
        reason = describe_failed_connection(error, parameters, database.connect_timeout, codes)
        raise ConnectionLost(f"{database.side}: can't connect: {reason}") from None


def connected(database: Database, application: str) -> Connection:
    """Open a bare session, as libpq does. Raises psycopg.Error, and DatabaseError for an invalid URL."""
    connection = psycopg.connect(
        **_for_libpq(database, application),
        autocommit=True,
        prepare_threshold=None,
        row_factory=dict_row,
        cursor_factory=OneStatement,
    )
    if not database.reached:
        info = connection.info
        found = {"host": info.host, "hostaddr": info.hostaddr, "port": str(info.port)}
        database.reached.update({name: value for name, value in found.items() if value})
    return connection


def _for_libpq(database: Database, application: str) -> dict[str, Any]:
    options = {"options": given} if (given := database.options()) else {}
    return {
        **database.parameters(),
        **options,
        "connect_timeout": database.connect_timeout,
        "client_encoding": "UTF8",
        "application_name": application,
    }


def _ask_for_english(connection: Connection) -> None:
    """Make the server's messages English if the role may choose: a superuser, or since Postgres 15 a role with the right."""
    if connection.info.server_version >= 150000:
        query(connection, "english_messages")
    elif connection.info.parameter_status("is_superuser") == "on":
        query(connection, "session_settings", names=["lc_messages"], values=["C"])


def _is_pooled(first: Connection, open_second: Callable[[], Connection]) -> bool:
    """Tell whether a transaction pooler is in front of the server: two sessions share a backend, or one changes it.

    A pooler such as PgBouncer in transaction mode lends a backend for one transaction; then neither a lock nor an exported
    snapshot holds (https://www.pgbouncer.org/features.html). Only a pooler announces another process than the one serving.
    """
    if _backend(first) == first.info.backend_pid:
        return False
    with open_second() as second:
        backends = set()
        for _ in range(5):
            # twice: a pooler that takes turns gives the next backend, one that does not gives `second` the same
            backends |= {_backend(first), _backend(first)}
            try:
                with second.transaction():
                    if _backend(second) in backends:
                        return True
                    backends.add(_backend(first))
            except psycopg.errors.ProtocolViolation as refusal:
                if any(word in str(refusal) for word in POOLER_IS_FULL):
                    raise  # it lends for a session, and has no backend for a second one
                return True  # a pooler that lends for one statement refuses transactions
        return len(backends) > 1


def _backend(connection: Connection) -> int:
    (pid,) = ask_values(connection, int, "backend")
    return pid


def pooler_problem(side: str, use: str) -> str:
    """Return the line about a transaction pooler."""
    return (
        f"{side}: the URL leads to a pooler (such as PgBouncer in transaction mode), which can't {use}; "
        "use the server's own address and port, or session mode"
    )
