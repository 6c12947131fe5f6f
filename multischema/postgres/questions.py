"""Catalog reads: the questions in `sql/`, with parameters, and what they answer."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import psycopg
from psycopg import errors, sql

from multischema.catalog.flat import as_text
from multischema.catalog.servers import Server, Target
from multischema.catalog.tables import Catalog, Fingerprint, assemble

Answer = TypeVar("Answer")

_SQL = Path(__file__).parent.parent / "sql"


def query(connection: psycopg.Connection[dict[str, Any]], name: str, **parameters: object) -> list[dict[str, Any]]:
    """Ask the question of that name in `sql/` and return its rows."""
    return connection.execute(_text(name), parameters).fetchall()


def ask(
    connection: psycopg.Connection[dict[str, Any]], answer: type[Answer], name: str, **parameters: object
) -> list[Answer]:
    """Ask the question of that name in `sql/` and return its answers."""
    return [answer(**row) for row in query(connection, name, **parameters)]


@contextmanager
def one_moment(connection: psycopg.Connection[dict[str, Any]]) -> Iterator[None]:
    """Have all answers be of one moment.

    The transaction is begun and made such in one statement: between two, a session that is kept alive may ask something.
    """
    connection.execute("BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
    try:
        yield
    except BaseException:
        with suppress(psycopg.Error):
            connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def read_server(connection: psycopg.Connection[dict[str, Any]], schema: str) -> Server:
    """Read what a run must know of a server and of its role there, with its address as host and port."""
    info = connection.info
    host = info.host or info.hostaddr
    address = f"[{host}]:{info.port}" if ":" in host else f"{host}:{info.port}"
    return Server(**query(connection, "server", schema=schema)[0], address=address)


def read_target(connection: psycopg.Connection[dict[str, Any]], schema: str, reader: str) -> Target:
    """Read whose the published schema is, and who the reader is."""
    (row,) = query(connection, "target", schema=schema, reader=reader)
    lists = {name: tuple(row[name]) for name in ("reader_powers", "reader_attributes")}
    return Target(**{**row, **lists})


def read_system(connection: psycopg.Connection[dict[str, Any]]) -> str | None:
    """Read what tells a server from all others, None where its owner keeps that to himself."""
    try:
        return str(query(connection, "system")[0]["system"])
    except errors.InsufficientPrivilege:
        return None


def read_catalog(connection: psycopg.Connection[dict[str, Any]], schema: str) -> Catalog:
    """Read the origin schema, all of it of one moment."""
    with one_moment(connection):
        tables = query(connection, "tables", schema=schema)
        oids = [row["oid"] for row in tables]
        return assemble(
            schema,
            tables,
            columns=query(connection, "columns", tables=oids),
            types=query(connection, "types", tables=oids),
            foreign_keys=query(connection, "foreign_keys", tables=oids),
            left_out=query(connection, "not_copied", schema=schema),
            fingerprints=read_fingerprints(connection, oids),
            indexes=(indexes := query(connection, "indexes", tables=oids)),
            definitions=_definitions(connection, schema, [row["oid"] for row in indexes]),
        )


def read_money_digits(connection: psycopg.Connection[dict[str, Any]]) -> int:
    """Read how many decimals an amount of money has for a session of which nothing was pinned."""
    with one_moment(connection):
        connection.execute("SET LOCAL lc_monetary TO DEFAULT")
        return int(query(connection, "money_digits")[0]["digits"])


def read_constant(connection: psycopg.Connection[dict[str, Any]], type_: str, constant: str) -> str | None:
    """Return what a server reads of a constant of a type, as it writes it; None where it can't."""
    read = sql.SQL("SELECT {} AS read").format(as_text(sql.SQL("{}::{}").format(sql.Literal(constant), sql.SQL(type_))))
    try:
        return str(connection.execute(read).fetchall()[0]["read"])
    except psycopg.DataError:
        return None


def lacking(
    connection: psycopg.Connection[dict[str, Any]], types: Sequence[str], collations: Sequence[str]
) -> list[dict[str, Any]]:
    """Read which types and collations a server has none of; for a type with limits that it does not know it has an error."""
    try:
        return query(connection, "missing_types", types=list(types), collations=list(collations))
    except psycopg.DataError:
        found = query(connection, "missing_types", types=[], collations=list(collations))
    for type_ in types:
        try:
            found += query(connection, "missing_types", types=[type_], collations=[])
        except psycopg.DataError:
            found.append({"what": "type", "name": type_})
    return found


def read_fingerprints(connection: psycopg.Connection[dict[str, Any]], tables: Sequence[int]) -> Mapping[int, Fingerprint]:
    """Read what tells whether tables were altered, as the session's transaction sees it."""
    rows = query(connection, "fingerprints", tables=list(tables))
    return {row["oid"]: Fingerprint(row["structure"] or "", row["files"]) for row in rows}


def _definitions(connection: psycopg.Connection[dict[str, Any]], schema: str, indexes: Sequence[int]) -> dict[int, str]:
    """Read the definitions of indexes as the origin schema's own code would write them, until the transaction ends."""
    connection.execute(sql.SQL("SET LOCAL search_path = {}").format(sql.Identifier(schema)))
    return {row["oid"]: row["definition"] for row in query(connection, "index_definitions", indexes=indexes)}


@cache
def _text(name: str) -> bytes:
    return (_SQL / f"{name}.sql").read_bytes()
