"""The preview: rows of one table as they would be published, read with the masks in the SELECT, and written nowhere."""

import secrets
from collections.abc import Sequence
from dataclasses import replace

import psycopg

from multischema.masks import pseudonyms
from multischema.plan.tables import TablePlan
from multischema.postgres.connecting import Connection
from multischema.postgres.database import Database
from multischema.postgres.failures import translate
from multischema.postgres.questions import query
from multischema.statements import reading
from multischema.words import plural

TIMEOUT = 30  # seconds
_HINTS = {
    "57014": f"it took more than {TIMEOUT} s: is the table locked, or are most of its pages empty?",
    "42704": "if the URL leads to a pooler (such as PgBouncer), use the server's own address and port",
}
Rows = Sequence[tuple[str | None, ...]]


def with_other_key(database: Database, domains: Sequence[str]) -> Database:
    """Return the database with keys for these pseudonym domains that nobody else has.

    With the true ones, whoever sees a preview could look for a person in what is published.
    """
    key = secrets.token_bytes(pseudonyms.KEY_BYTES)
    return replace(database, secrets=tuple(pseudonyms.settings(key, domains).items()))


def read_rows(connection: Connection, side: str, schema: str, table: TablePlan, *, rows: int, longest: int) -> Rows:
    """Read some rows of a table, a text or None for each published column: the first that the server finds.

    Raises DatabaseError, also if it takes too long.
    """
    try:
        query(connection, "session_settings", names=["statement_timeout"], values=[f"{TIMEOUT}s"])
        with connection.cursor() as cursor, cursor.copy(reading.first_rows(table, schema, rows, longest)) as copy:
            return list(copy.rows())
    except psycopg.Error as error:
        doing = f"reading {rows} {plural(rows, 'row')} of table {table.name}"
        raise translate(error, side, doing, _HINTS.get(error.sqlstate or "")) from None
