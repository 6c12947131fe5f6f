"""Catalog reads: the questions in `sql/`, with parameters, and their answers."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cache, partial
from pathlib import Path
from typing import Any, TypeVar

import psycopg
from psycopg import errors, sql

from multischema.catalog import foreign
from multischema.catalog.flat import as_text
from multischema.catalog.objects import IndexDefinition, MissingType
from multischema.catalog.servers import Reader, Server, Target
from multischema.catalog.tables import Catalog, Column, Fingerprint, ForeignKey, Index, NotCopied, Table, Type, assemble

Answer = TypeVar("Answer")
Connection = psycopg.Connection[dict[str, Any]]

_SQL = Path(__file__).parent.parent / "sql"


def ask(connection: Connection, answer: Callable[..., Answer], name: str, **parameters: object) -> list[Answer]:
    """Ask the question of that name in `sql/` and return its answers, arrays as tuples."""
    return [
        answer(**{column: _frozen(value) for column, value in row.items()}) for row in _rows(connection, name, parameters)
    ]


def ask_values(connection: Connection, answer: Callable[[Any], Answer], name: str, **parameters: object) -> list[Answer]:
    """Ask the question of that name in `sql/`, which has one column, and return its values."""
    return [answer(value) for row in _rows(connection, name, parameters) for value in row.values()]


def query(connection: Connection, name: str, **parameters: object) -> None:
    """Run the statement of that name in `sql/` for what it does: nothing that it answers is read."""
    _rows(connection, name, parameters)


def value_of(connection: Connection, answer: Callable[[Any], Answer], statement: sql.Composed) -> Answer:
    """Return the one value that a composed statement answers."""
    ((value,),) = (row.values() for row in connection.execute(statement).fetchall())
    return answer(value)


@contextmanager
def one_moment(connection: Connection, snapshot: str = "") -> Iterator[None]:
    """Have all answers be of one moment: that of an exported `snapshot`, if one is given.

    One statement begins the transaction and sets its mode: between two, a kept-alive session could run a query.
    """
    connection.execute("BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
    try:
        if snapshot:
            connection.execute(sql.SQL("SET TRANSACTION SNAPSHOT {}").format(sql.Literal(snapshot)))
        yield
    except BaseException:
        with suppress(psycopg.Error):
            connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def read_server(connection: Connection, schema: str) -> Server:
    """Read what a run must know of a server and of its role there, with its address as host and port."""
    (server,) = ask(connection, partial(Server, address=_address(connection)), "server", schema=schema)
    return server


def place_of(connection: Connection) -> str:
    """Return where a statement must run, as `Server.place` does, without asking the server."""
    return f"in database {connection.info.dbname} on {_address(connection)}"


def read_target(connection: Connection, schema: str) -> Target:
    """Read whose the published schema is."""
    (target,) = ask(connection, Target, "target", schema=schema)
    return target


def read_readers(connection: Connection, readers: Sequence[str]) -> list[Reader]:
    """Read who the readers are, in their order."""
    return ask(connection, Reader, "readers", readers=list(readers))


def read_system(connection: Connection) -> str | None:
    """Read what tells a server from all others, None where its owner keeps that to himself."""
    try:
        (system,) = ask_values(connection, str, "system")
        return system
    except errors.InsufficientPrivilege:
        return None


def read_timeline(connection: Connection) -> tuple[str | None, int | None]:
    """Read what tells a server and its history from all others, None and None where the role may not."""
    try:
        ((system, timeline),) = ask(connection, lambda system, timeline: (system, timeline), "timeline")
        return system, timeline
    except errors.InsufficientPrivilege:
        return None, None


def read_catalog(connection: Connection, schema: str, *, all_labels: bool = False) -> Catalog:
    """Read the origin schema, all of it of one moment; of enums with `all_labels` each label, else the first."""
    with one_moment(connection):
        tables = ask(connection, Table.of, "tables", schema=schema)
        oids = [table.oid for table in tables]
        return assemble(
            schema,
            tables,
            columns=ask(connection, Column, "columns", tables=oids),
            types=ask(connection, Type.of, "types", tables=oids, all_labels=all_labels),
            foreign_keys=ask(connection, ForeignKey, "foreign_keys", tables=oids),
            not_copied=ask(connection, NotCopied, "not_copied", schema=schema),
            fingerprints=read_fingerprints(connection, oids),
            indexes=_defined(connection, schema, ask(connection, Index, "indexes", tables=oids)),
        )


def read_money_digits(connection: Connection) -> int:
    """Read how many decimals an amount of money has for a session of which nothing was pinned."""
    with one_moment(connection):
        connection.execute("SET LOCAL lc_monetary TO DEFAULT")
        (digits,) = ask_values(connection, int, "money_digits")
        return digits


def read_constant(connection: Connection, type_: str, constant: str) -> str | None:
    """Return what a server reads of a constant of a type, as it writes it; None where it can't."""
    read = sql.SQL("SELECT {} AS read").format(
        as_text(sql.SQL("{}::{}").format(sql.Literal(constant), foreign.type_(type_)))
    )
    try:
        return value_of(connection, str, read)
    except (psycopg.DataError, errors.SyntaxError):  # a value has a syntax too: that of a jsonpath
        return None


def lacking(connection: Connection, types: Sequence[str], collations: Sequence[str]) -> list[MissingType]:
    """Read which types and collations a server has none of; for a type with limits that it does not know it has an error."""
    try:
        return ask(connection, MissingType, "missing_types", types=list(types), collations=list(collations))
    except psycopg.DataError:
        found = ask(connection, MissingType, "missing_types", types=[], collations=list(collations))
    for type_ in types:
        try:
            found += ask(connection, MissingType, "missing_types", types=[type_], collations=[])
        except psycopg.DataError:
            found.append(MissingType("type", type_))
    return found


def read_fingerprints(connection: Connection, tables: Sequence[int]) -> Mapping[int, Fingerprint]:
    """Read what tells whether tables were altered, as the session's transaction sees it."""
    return {table.oid: table for table in ask(connection, Fingerprint, "fingerprints", tables=list(tables))}


def _address(connection: Connection) -> str:
    info = connection.info
    host = info.host or info.hostaddr
    return f"[{host}]:{info.port}" if ":" in host else f"{host}:{info.port}"


def _defined(connection: Connection, schema: str, indexes: Sequence[Index]) -> list[Index]:
    """Read the definitions of indexes as the origin schema's own code would write them, until the transaction ends."""
    connection.execute(sql.SQL("SET LOCAL search_path = {}").format(sql.Identifier(schema)))
    oids = [index.oid for index in indexes]
    found = ask(connection, IndexDefinition, "index_definitions", indexes=oids)
    definitions = {row.oid: row.definition for row in found}
    return [index.defined(definitions[index.oid]) for index in indexes]


def _rows(connection: Connection, name: str, parameters: Mapping[str, object]) -> list[dict[str, Any]]:
    arrays = {key: list(value) if isinstance(value, tuple) else value for key, value in parameters.items()}
    return connection.execute(_text(name), arrays).fetchall()


def _frozen(value: Any) -> Any:
    """Return a value of a row, its arrays as tuples."""
    return tuple(map(_frozen, value)) if isinstance(value, list) else value


@cache
def _text(name: str) -> bytes:
    return (_SQL / f"{name}.sql").read_bytes()
