"""The statements of a refresh: they bring published tables up to date, with no lock that readers feel.

What others had inherit from a published table is left alone: ONLY.
"""

from collections.abc import Sequence

from psycopg import sql

from multischema.plan.tables import TablePlan


def hold(schema: str, tables: Sequence[str]) -> sql.Composed:
    """Return the LOCK after which nobody can put a trigger, a rule or row security on published tables; readers may read."""
    return sql.SQL("LOCK TABLE {} IN ROW EXCLUSIVE MODE").format(
        sql.SQL(", ").join(sql.SQL("ONLY {}").format(sql.Identifier(schema, table)) for table in tables)
    )


def count_published(schema: str, table: str) -> sql.Composed:
    """Return the SELECT that counts the rows of a published table."""
    return sql.SQL("SELECT count(*) AS rows FROM ONLY {}").format(sql.Identifier(schema, table))


def count_replaced(schema: str, staging: str, table: str, key: Sequence[str]) -> sql.Composed:
    """Return the SELECT that counts the published rows whose keys came in."""
    return sql.SQL("SELECT count(*) AS rows FROM ONLY {} AS old JOIN {} AS new ON {}").format(
        sql.Identifier(schema, table), sql.Identifier(staging, table), _same(key)
    )


def delete_replaced(schema: str, staging: str, table: str, key: Sequence[str]) -> sql.Composed:
    """Return the DELETE of the published rows whose keys came in."""
    return sql.SQL("DELETE FROM ONLY {} AS old USING {} AS new WHERE {}").format(
        sql.Identifier(schema, table), sql.Identifier(staging, table), _same(key)
    )


def delete_gone(schema: str, keys: str, table: str, key: Sequence[str]) -> sql.Composed:
    """Return the DELETE of the published rows whose keys the origin has no more; schema `keys` has all that it has."""
    return sql.SQL("DELETE FROM ONLY {} AS old WHERE NOT EXISTS (SELECT FROM {} AS new WHERE {})").format(
        sql.Identifier(schema, table), sql.Identifier(keys, table), _same(key)
    )


def count_keys(keys: str, table: str, key: Sequence[str]) -> sql.Composed:
    """Return the SELECT that counts the different keys that the origin has; schema `keys` has them all."""
    return sql.SQL("SELECT count(*) AS keys FROM (SELECT DISTINCT {} FROM {}) AS key").format(
        sql.SQL(", ").join(map(sql.Identifier, key)), sql.Identifier(keys, table)
    )


def delete_all(schema: str, table: str) -> sql.Composed:
    """Return the DELETE of all rows of a published table: TRUNCATE would lock its readers out."""
    return sql.SQL("DELETE FROM ONLY {}").format(sql.Identifier(schema, table))


def insert(schema: str, staging: str, table: TablePlan) -> sql.Composed:
    """Return the INSERT of the rows that came in."""
    columns = sql.SQL(", ").join(sql.Identifier(column.name) for column in table.columns)
    return sql.SQL("INSERT INTO {} ({columns}) SELECT {columns} FROM {}").format(
        sql.Identifier(schema, table.name), sql.Identifier(staging, table.name), columns=columns
    )


def analyze(schema: str, table: str) -> sql.Composed:
    """Return the ANALYZE of one table."""
    return sql.SQL("ANALYZE {}").format(sql.Identifier(schema, table))


def refresh_view(schema: str, name: str) -> sql.Composed:
    """Return the REFRESH of a materialized view that its readers don't wait for; it runs with its owner's rights."""
    return sql.SQL("REFRESH MATERIALIZED VIEW CONCURRENTLY {}").format(sql.Identifier(schema, name))


def create_state(schema: str, table: str, mark: str) -> list[sql.Composed]:
    """Return the statements that make the place where runs keep what they must remember; nobody else may look there."""
    return [
        sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(schema)),
        sql.SQL("COMMENT ON SCHEMA {} IS {}").format(sql.Identifier(schema), sql.Literal(mark)),
        sql.SQL("CREATE TABLE {} (schema text PRIMARY KEY, state text NOT NULL)").format(sql.Identifier(schema, table)),
    ]


def _same(key: Sequence[str]) -> sql.Composed:
    return sql.SQL(" AND ").join(
        sql.SQL("{} = {}").format(sql.Identifier("old", name), sql.Identifier("new", name)) for name in key
    )
