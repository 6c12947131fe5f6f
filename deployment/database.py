"""The database of one's own Prefect server, looked at before it starts: Prefect says what is wrong after two minutes."""

from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlencode, urlsplit

import psycopg
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import dict_row

from multischema.errors import EtlError, UsageError
from multischema.postgres.failures import describe_failed_connection, translated
from multischema.postgres.questions import ask
from multischema.words import escaped

_PATIENCE = 10  # seconds
_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")


@dataclass(frozen=True)
class _Rights:
    role: str
    database: str
    schema: str
    is_made: bool
    may_create: bool
    has_trigrams: bool
    knows_trigrams: bool
    may_extend: bool


def check(variable: str, url: str) -> None:
    """Connect once, and look for the rights to make the server's tables unless they are there.

    Raises EtlError, which names the variable and never quotes the URL.

    :param url: as Prefect's server takes it, with the driver asyncpg.
    """
    wanted = "want postgresql://user:password@host:port/database"
    try:
        known = _for_libpq(url)
        parameters = conninfo_to_dict(known)
    except (ValueError, psycopg.Error):
        raise UsageError(f"{variable}: the URL can't be read; {wanted}, special characters as %-escapes") from None
    if not parameters.get("dbname"):
        raise UsageError(f"{variable}: the URL names no database; {wanted}")
    try:
        with psycopg.connect(known, connect_timeout=_PATIENCE, autocommit=True, row_factory=dict_row) as connection:
            with translated(variable, "looking for the server's rights"):
                (rights,) = ask(connection, _Rights, "server_rights")
    except psycopg.Error as error:
        reason = describe_failed_connection(error, parameters, _PATIENCE)
        raise EtlError(f"{variable}: can't connect: {reason}") from None
    if problems := [f"{variable}: {escaped(problem)}" for problem in _problems(rights)]:
        raise EtlError(*problems)


def _for_libpq(url: str) -> str:
    """Return the URL with libpq's name for the driver's `ssl`, and none of the driver's other parameters."""
    parts = urlsplit(url)
    mode = dict(parse_qsl(parts.query)).get("ssl", "")
    return parts._replace(scheme="postgresql", query=urlencode({"sslmode": mode} if mode in _MODES else {})).geturl()


def _problems(rights: _Rights) -> Iterator[str]:
    """Give what a new database lacks for Prefect to make its tables."""
    if rights.is_made:
        return
    if not rights.may_create:
        where = f"schema {rights.schema}" if rights.schema else "the schema public, which it lacks or can't use,"
        yield (
            f"role {rights.role} may not create tables in {where} of database {rights.database}; make the role the owner of "
            "the database, which has to be one of the Prefect server's own"
        )
    if not rights.has_trigrams and not rights.knows_trigrams:
        yield "the server lacks the extension pg_trgm; install it (package postgresql-contrib)"
    elif not rights.has_trigrams and not rights.may_extend:
        yield (
            f"role {rights.role} may not create the extension pg_trgm; make it the owner of database {rights.database}, or "
            "create the extension there as a superuser"
        )
