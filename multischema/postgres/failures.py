"""Postgres's errors as ours: one line, the side first, never a row's value, never a password."""

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import psycopg

from multischema.errors import (
    FEWER_CONNECTIONS,
    FREE_SPACE,
    POOLER_IS_FULL,
    STANDBY,
    TOO_SMALL_A_POOL,
    ConnectionLost,
    DatabaseError,
)
from multischema.postgres.refusals import advice

# Classes of SQLSTATE whose messages name objects and limits only. Others (22 data, 23 integrity, P0 raised by functions, …)
# may quote a row: "invalid input syntax for type integer: …", "Key (email)=(…) already exists".
_SAFE_CLASSES = ("08", "25", "28", "3D", "3F", "40", "53", "55", "57", "58", "XX", "0A")
# These name objects as long as no row is read; from a row they quote words: "word is too long in tsquery: …".
_SAFE_OF_STATEMENTS = ("42", "54")
_UNSAFE = "42601"  # a value may have a syntax too: "syntax error at or near … of jsonpath input"
# A function of the origin's teams may raise an error of any class: the context names it, as it names a COPY.
_SAFE_CONTEXTS = ("COPY ", "parallel worker")
# In a line of the context, in the server's language; it names functions as pg_identify_object() does.
_FUNCTION = re.compile(r'PL/pgSQL[^"(\n]*? ((?:"(?:[^"]|"")+"|[\w$]+)\.(?:"(?:[^"]|"")+"|[\w$]+)\([^()\n]*\))')
_LONGEST_LINE = 1_000  # of a context that is searched for functions: a line that quotes a statement may be as long as that
_LOST = ("57P01", "57P02", "57P03", "57P05")
_HINTS = {
    "0A000": "use a server that has this feature, or truncate the table in the rules",
    "22P03": "no server reads this value in binary (an empty int2vector): anonymize its column, or truncate the table",
    "22P05": "the database's encoding lacks a character, perhaps one of the masks: use mode dump, or repair the text",
    "22021": "a text or a name there is not UTF-8: repair it in the origin, or anonymize its column",
    "40001": STANDBY,  # a transaction that only reads conflicts with nothing but replication
    "42501": "grant the right to the role, or connect as another",
    "53100": FREE_SPACE,
    "53300": FEWER_CONNECTIONS,
    "54000": "a row is too big to send (1 GB), or for a page once flat (8 kB): truncate the table, or mask fewer columns",
}
_GUESS = " This probably means the server terminated"  # libpq's guess about a connection that was cut
_SHORTEST_SECRET = 8  # a shorter password may be part of any word


@contextmanager
def translated(side: str, doing: str) -> Iterator[None]:
    """Turn psycopg's errors into ours: ConnectionLost if another try may help, else DatabaseError."""
    try:
        yield
    except psycopg.Error as error:
        raise translate(error, side, doing) from None


def translate(error: psycopg.Error, side: str, doing: str, hint: str | None = None) -> DatabaseError:
    """Return our error for psycopg's. `side` is `origin rdvs` or `target`, `doing` is what failed, with its object.

    `hint` is what to do next, if more is known than the error's code says.
    """
    text = f"{side}: {doing} failed: {describe(error)}"
    lost = isinstance(error, psycopg.OperationalError) and (error.sqlstate is None or error.sqlstate[:2] == "08")
    if lost or error.sqlstate in _LOST:
        return ConnectionLost(f"{text}; {TOO_SMALL_A_POOL}" if any(word in text for word in POOLER_IS_FULL) else text)
    hint = hint or _HINTS.get(error.sqlstate or "")
    found = DatabaseError(f"{text}; {hint}" if hint else text)
    found.raised_in = [
        name for line in (error.diag.context or "").splitlines() for name in _FUNCTION.findall(line[:_LONGEST_LINE])
    ]
    return found


def describe(error: psycopg.Error) -> str:
    """Return what happened without a row's value: the message if its class is safe, else the condition's name."""
    if error.sqlstate is None:
        # libpq can't know why a connection was lost: the cause may be the server or anything on the way to it
        return one_line(str(error)).partition(_GUESS)[0] or "the connection was lost"
    condition = f"{type(error).__name__} ({error.sqlstate})"
    if not _may_quote_a_row(error.sqlstate, (error.diag.context or "").splitlines()):
        return f"{one_line(error.diag.message_primary or '')} ({error.sqlstate})"
    column = f" in column {error.diag.column_name}" if error.diag.column_name else ""
    return f"{condition}{column}; its message may quote a row, and stands in the server's log only"


def describe_failed_connection(
    error: psycopg.Error, parameters: Mapping[str, Any], timeout: int, codes: Callable[[], Collection[str]] = tuple
) -> str:
    """Return why no connection could be made, and what to check. Of the URL's `parameters` it shows the host alone.

    `codes` looks for the SQLSTATEs of a server that speaks another language than English.
    """
    tried = [line.partition("hostaddr: ")[2] for line in str(error).splitlines() if line.startswith("- host: ")]
    reasons = [line.partition(": ")[2] for line in tried] or [str(error)]
    if isinstance(error, psycopg.errors.ConnectionTimeout):
        reasons = [f"no answer from {parameters.get('host', 'the local host')} in {timeout} s"]
    # where sslmode allows both, the same host refuses twice, in a line each
    reasons = [each for text in reasons for each in re.split(r"\n(?=connection to server )", text)]
    reasons = [one_line(text.partition("Is the server running")[0]).partition(_GUESS)[0] for text in reasons]
    text = "; ".join(dict.fromkeys(text.removeprefix("connection failed: ") for text in reasons))
    password = parameters.get("password") or ""
    if len(password) >= _SHORTEST_SECRET:
        text = text.replace(password, "***")
    hint = advice(text, codes)
    return f"{text}; {hint}" if hint else text


def one_line(text: str) -> str:
    """Return the text with its whitespace folded."""
    return " ".join(text.split())


def _may_quote_a_row(sqlstate: str, context: Sequence[str]) -> bool:
    if sqlstate == _UNSAFE or not all(line.startswith(_SAFE_CONTEXTS) for line in context):
        return True
    return sqlstate[:2] not in (_SAFE_CLASSES if context else _SAFE_CLASSES + _SAFE_OF_STATEMENTS)
