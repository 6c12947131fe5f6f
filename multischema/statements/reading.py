"""The statements that read tables: masked by the origin, counted, or searched for values that must not be there."""

from psycopg import sql

from multischema.plan.tables import ColumnPlan, TablePlan


def copy_out(table: TablePlan, origin_schema: str) -> sql.Composed:
    """Return the COPY that the origin runs: the masks are in its SELECT, so raw values never leave it."""
    return sql.SQL("COPY ({}) TO STDOUT (FORMAT binary)").format(select(table, origin_schema))


def select(table: TablePlan, schema: str) -> sql.Composed:
    """Return the SELECT that the origin runs: masked columns, by name.

    An inheritance parent includes the rows of children that are not tables of the origin schema.
    """
    return sql.SQL("SELECT {} FROM {}").format(
        sql.SQL(", ").join(column.expression for column in table.columns), _rows(table, schema)
    )


def guarding(table: TablePlan, schema: str) -> sql.Composed:
    """Return the SELECT that counts, for each guard of a table, the rows with forbidden values."""
    counts = (sql.SQL("count(*) FILTER (WHERE {})").format(guard.predicate) for guard in table.guards)
    return sql.SQL("SELECT ARRAY[{}] AS counts FROM {}").format(sql.SQL(", ").join(counts), _rows(table, schema))


def computing(table: TablePlan, column: ColumnPlan, schema: str) -> sql.Composed:
    """Return the SELECT that computes all published values of a column and returns none."""
    return sql.SQL("SELECT count({}) FROM {}").format(column.expression, _rows(table, schema))


def counting(table: TablePlan, schema: str) -> sql.Composed:
    """Return the SELECT that counts the rows of `select`."""
    return sql.SQL("SELECT count(*) AS rows FROM {}").format(_rows(table, schema))


def _rows(table: TablePlan, schema: str) -> sql.Composed:
    return sql.SQL("{}{}").format(sql.SQL("" if table.whole else "ONLY "), sql.Identifier(schema, table.name))
