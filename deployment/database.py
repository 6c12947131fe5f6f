"""The database of one's own Prefect server, looked at before it starts: Prefect says what is wrong after two minutes."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.rows import dict_row
from sqlalchemy import make_url
from sqlalchemy.exc import SQLAlchemyError

from multischema.errors import EtlError, UsageError
from multischema.postgres.failures import describe_failed_connection, translated
from multischema.postgres.questions import ask
from multischema.words import escaped

_PATIENCE = 10  # seconds
_OF_LIBPQ = {"host": "host", "port": "port", "user": "user", "password": "password", "database": "dbname"}
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
    """Return the connection string for libpq that leads where the driver of Prefect's server goes. Raises ValueError.

    SQLAlchemy says where that is: hosts, ports, user and database may stand in the URL's parameters too. Of the driver's
    other parameters libpq knows none, and its `ssl` by another name.
    """
    try:
        known = make_url(url)
        _, found = known.get_dialect()().create_connect_args(known)
    except SQLAlchemyError as error:
        raise ValueError(type(error).__name__) from None
    mode = found.get("ssl")
    return make_conninfo(
        **{_OF_LIBPQ[name]: _listed(value) for name, value in found.items() if name in _OF_LIBPQ},
        **({"sslmode": mode} if mode in _MODES else {}),
    )


def _listed(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


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
