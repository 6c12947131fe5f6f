"""What Postgres says, as errors of ours: one line, the side first, never a row's value, never a password."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from multischema.errors import ConnectionLost, DatabaseError

# Classes of SQLSTATE whose messages name objects and limits only. Others (22 data, 23 integrity, P0 raised by functions, …)
# may quote a row: "invalid input syntax for type integer: …", "Key (email)=(…) already exists".
_SAFE_CLASSES = ("08", "25", "28", "3D", "3F", "40", "42", "53", "54", "55", "57", "58", "XX", "0A")
_LOST = ("57P01", "57P02", "57P03", "57P05")
_HINTS = {
    "42501": "grant the right to the role, or connect as another",
    "53100": "free space on the server or enlarge its disk; the next run starts anew",
    "53300": "the server has no connection to spare: use fewer jobs, or raise max_connections",
    "54000": "the masked rows are too wide for a page: truncate the table, or mask fewer columns",
}


@contextmanager
def translated(side: str, doing: str) -> Iterator[None]:
    """Turn errors of psycopg into ours: ConnectionLost where another try may help, else DatabaseError."""
    try:
        yield
    except psycopg.Error as error:
        raise translate(error, side, doing) from None


def translate(error: psycopg.Error, side: str, doing: str) -> DatabaseError:
    """Return our error for psycopg's. `side` is `origin rdvs` or `target`, `doing` what failed, with its object."""
    text = f"{side}: {doing} failed: {describe(error)}"
    lost = isinstance(error, psycopg.OperationalError) and (error.sqlstate is None or error.sqlstate[:2] == "08")
    if lost or error.sqlstate in _LOST:
        return ConnectionLost(text)
    hint = _HINTS.get(error.sqlstate or "")
    return DatabaseError(f"{text}; {hint}" if hint else text)


def describe(error: psycopg.Error) -> str:
    """Return what happened without a row's value: the message where its class is safe, else the condition's name."""
    if error.sqlstate is None:
        return one_line(str(error)) or "the connection was lost"
    condition = f"{type(error).__name__} ({error.sqlstate})"
    if error.sqlstate[:2] in _SAFE_CLASSES:
        return f"{one_line(error.diag.message_primary or '')} ({error.sqlstate})"
    column = error.diag.column_name
    return f"{condition} in column {column}" if column else condition


def one_line(text: str) -> str:
    """Return the text with its white space folded."""
    return " ".join(text.split())
