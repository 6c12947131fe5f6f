"""The statements that build, fill and drop schemas of the target."""

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import count, repeat

from psycopg import sql

from multischema.catalog import foreign
from multischema.catalog.tables import ForeignKey
from multischema.plan.keys import IndexPlan
from multischema.plan.tables import ColumnPlan, TablePlan
from multischema.statements.grants import grantee

NAME_OF_NOT_NULL = r"_not_null\d*$"


def create_staging(staging: str) -> sql.Composed:
    """Return the statement that makes the staging schema; default privileges may show it to others: take it from them."""
    return sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(staging))


def comment_on_schema(schema: str, comment: str) -> sql.Composed:
    """Return the statement that gives a schema its comment, which it keeps when it is renamed."""
    return sql.SQL("COMMENT ON SCHEMA {} IS {}").format(sql.Identifier(schema), sql.Literal(comment))


def revoke_schema(schema: str, grantees: Sequence[str | None]) -> list[sql.Composed]:
    """Return the statements that take a schema from those it is granted to, and from those whom they granted it."""
    return [
        sql.SQL("REVOKE ALL ON SCHEMA {} FROM {} CASCADE").format(sql.Identifier(schema), grantee(role)) for role in grantees
    ]


def create_domain(staging: str, name: str) -> sql.Composed:
    """Return the statement for a domain over text, which stands in for one of `enum_domains`."""
    return sql.SQL("CREATE DOMAIN {} AS text").format(sql.Identifier(staging, name))


def drop_domain(staging: str, name: str) -> sql.Composed:
    """Return the statement that drops a domain which no index needs."""
    return sql.SQL("DROP DOMAIN {}").format(sql.Identifier(staging, name))


def create_table(staging: str, table: TablePlan, keys: Collection[str] = ()) -> sql.Composed:
    """Return the bare table: columns and NOT NULL. Indexes and keys, named here, come once the rows are in.

    Autovacuum is off until `analyze`: it would read what was just copied, and hold the lock that index builds wait for.
    """
    names = _names_of_not_null(keys)
    columns = sql.SQL(", ").join(_column(column, next(names)) for column in table.columns)
    return sql.SQL("CREATE TABLE {} ({}) WITH (autovacuum_enabled = false)").format(
        sql.Identifier(staging, table.name), columns
    )


def may_be_of_not_null(keys: Iterable[str]) -> bool:
    """Tell whether a key has a name that Postgres 18 or newer chooses for a NOT NULL."""
    return any(re.search(NAME_OF_NOT_NULL, name) for name in keys)


def empty(staging: str, table: TablePlan) -> sql.Composed:
    """Return the TRUNCATE that must precede `copy_in` in its transaction: FREEZE and retries need it."""
    return sql.SQL("TRUNCATE {}").format(sql.Identifier(staging, table.name))


def copy_in(staging: str, table: TablePlan) -> sql.Composed:
    """Return the COPY that fills the staging table."""
    names = sql.SQL(", ").join(sql.Identifier(column.name) for column in table.columns)
    return sql.SQL("COPY {} {} FROM STDIN (FORMAT binary, FREEZE)").format(
        sql.Identifier(staging, table.name), sql.SQL("({})").format(names) if table.columns else sql.SQL("")
    )


def create_index(staging: str, index: IndexPlan) -> sql.Composed:
    """Return the index, by the origin's own definition: read unqualified, it runs with `search_path` set to staging."""
    return sql.SQL("CREATE {}INDEX {} ON {} {}").format(
        sql.SQL("UNIQUE " if index.unique else ""),
        sql.Identifier(index.name),
        sql.Identifier(staging, index.table),
        foreign.expression(index.definition),
    )


def add_key(staging: str, index: IndexPlan) -> sql.Composed:
    """Return the statement that turns a unique index into its key."""
    return sql.SQL("ALTER TABLE {} ADD CONSTRAINT {} {} USING INDEX {}").format(
        sql.Identifier(staging, index.table),
        sql.Identifier(index.name),
        sql.SQL("PRIMARY KEY" if index.constraint == "p" else "UNIQUE"),
        sql.Identifier(index.name),
    )


def add_foreign_key(staging: str, key: ForeignKey, target_major: int) -> sql.Composed:
    """Return the foreign key, not validated: the snapshot guarantees it.

    A refresh deletes rows and inserts them again: the key is not enforced, or, on servers before 18, not before the commit.
    """
    enforced = "NOT ENFORCED" if target_major >= 18 else "DEFERRABLE INITIALLY DEFERRED NOT VALID"
    return sql.SQL("ALTER TABLE {} ADD CONSTRAINT {} FOREIGN KEY ({}) REFERENCES {} ({}) {}").format(
        sql.Identifier(staging, key.table),
        sql.Identifier(key.name),
        sql.SQL(", ").join(map(sql.Identifier, key.columns)),
        sql.Identifier(staging, key.referenced_table),
        sql.SQL(", ").join(map(sql.Identifier, key.referenced_columns)),
        sql.SQL(enforced),
    )


def comments(staging: str, table: TablePlan) -> list[sql.Composed]:
    """Return the comments of a table and of its columns."""
    statements: list[sql.Composed] = []
    if table.comment:
        statements.append(
            sql.SQL("COMMENT ON TABLE {} IS {}").format(sql.Identifier(staging, table.name), sql.Literal(table.comment))
        )
    statements += [
        sql.SQL("COMMENT ON COLUMN {} IS {}").format(
            sql.Identifier(staging, table.name, column.name), sql.Literal(column.comment)
        )
        for column in table.columns
        if column.comment
    ]
    return statements


def analyze(staging: str, table: TablePlan) -> sql.Composed:
    """Return the statements that analyze a table and hand it to autovacuum, in one transaction."""
    return sql.SQL("ANALYZE {table}; ALTER TABLE {table} RESET (autovacuum_enabled)").format(
        table=sql.Identifier(staging, table.name)
    )


def verification(staging: str, table: TablePlan) -> sql.Composed:
    """Return one scan: the number of rows, then how many rows hold anything but a mask, for each masked column."""
    counts: list[sql.Composable] = [sql.SQL("count(*)")]
    counts += [sql.SQL("count(*) FILTER (WHERE {})").format(column.violation) for column in table.masked if column.violation]
    return sql.SQL("SELECT ARRAY[{}] AS counts FROM {}").format(
        sql.SQL(", ").join(counts), sql.Identifier(staging, table.name)
    )


def drop_object(schema: str, what: str, table: str, name: str) -> sql.Composed:
    """Return the statement that drops one object of a schema; RESTRICT, so that nobody else's objects go with it."""
    if what == "constraint":
        return sql.SQL("ALTER TABLE {} DROP CONSTRAINT {}").format(sql.Identifier(schema, table), sql.Identifier(name))
    if what == "type":
        return drop_domain(schema, name)
    return sql.SQL("DROP TABLE {}").format(sql.Identifier(schema, table))


def drop_schema(schema: str) -> sql.Composed:
    """Return the statement that drops an empty schema."""
    return sql.SQL("DROP SCHEMA {}").format(sql.Identifier(schema))


def _names_of_not_null(keys: Collection[str]) -> Iterator[str | None]:
    """Yield names for a table's NOT NULL constraints if the server's own choice may collide with a key's name.

    Postgres 18 calls them `<table>_<column>_not_null`, with a number if needed; older servers ignore the name.
    """
    if not may_be_of_not_null(keys):
        return repeat(None)
    return (name for number in count(1) if (name := f"not_null_{number}") not in keys)


def _column(column: ColumnPlan, name: str | None) -> sql.Composed:
    named = sql.SQL(" CONSTRAINT {}").format(sql.Identifier(name)) if name else sql.SQL("")
    return sql.SQL("{} {}{}{}").format(
        sql.Identifier(column.name),
        foreign.type_(column.type),
        sql.SQL(" COLLATE {}").format(sql.Identifier("pg_catalog", column.collation)) if column.collation else sql.SQL(""),
        sql.SQL("{} NOT NULL").format(named) if column.not_null else sql.SQL(""),
    )
