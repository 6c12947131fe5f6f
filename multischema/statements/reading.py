"""The statements that read tables: masked by the origin, counted, or searched for values that must not be there."""

from dataclasses import replace

from psycopg import sql

from multischema.catalog.flat import as_text
from multischema.plan.tables import ColumnPlan, TablePlan

# published types whose equal values read the same: 1.5 and 1.50 are equal numbers, but the reader sees which one it is
_ALIKE = ("smallint", "integer", "bigint", "boolean", "date", "timestamp", "uuid", "text", "character varying", "inet")


def copy_out(table: TablePlan, origin_schema: str) -> sql.Composed:
    """Return the COPY that the origin runs: the masks are in its SELECT, so raw values never leave it."""
    return sql.SQL("COPY ({}) TO STDOUT (FORMAT binary)").format(select(table, origin_schema))


def select(table: TablePlan, schema: str) -> sql.Composed:
    """Return the SELECT that the origin runs: masked columns, by name.

    An inheritance parent includes the rows of children that are not tables of the origin schema.
    """
    return sql.SQL("SELECT {} FROM {}").format(
        sql.SQL(", ").join(column.expression for column in table.columns), rows_of(table, schema)
    )


def first_rows(table: TablePlan, schema: str, rows: int, longest: int) -> sql.Composed:
    """Return the COPY of the first rows that the origin finds, as they would be published: texts, cut to so many characters.

    Nothing is sorted, and a long value stays in the origin, unless it counts bytes: a cut may be within a character there.
    """
    start = sql.SQL(
        "CASE WHEN {value} IS NOT NULL "
        "THEN CASE getdatabaseencoding() WHEN 'SQL_ASCII' THEN {text} ELSE left({text}, {longest}) END END"
    )
    columns = tuple(
        replace(
            column,
            expression=start.format(value=column.expression, text=as_text(column.expression), longest=sql.Literal(longest)),
        )
        for column in table.columns
    )
    return sql.SQL("COPY ({} LIMIT {}) TO STDOUT").format(select(replace(table, columns=columns), schema), sql.Literal(rows))


def guarding(table: TablePlan, schema: str) -> sql.Composed:
    """Return the SELECT that counts, for each guard of a table, the rows with forbidden values."""
    counts = (sql.SQL("count(*) FILTER (WHERE {})").format(guard.predicate) for guard in table.guards)
    return sql.SQL("SELECT ARRAY[{}] AS counts FROM {}").format(sql.SQL(", ").join(counts), rows_of(table, schema))


def computing(table: TablePlan, column: ColumnPlan, schema: str) -> sql.Composed:
    """Return the SELECT that computes all published values of a column and returns none."""
    return sql.SQL("SELECT count({}) FROM {}").format(column.expression, rows_of(table, schema))


def counting(table: TablePlan, schema: str) -> sql.Composed:
    """Return the SELECT that counts the rows of `select`."""
    return sql.SQL("SELECT count(*) AS rows FROM {}").format(rows_of(table, schema))


def counting_since(table: TablePlan, schema: str, span: tuple[int, int], *, places: bool) -> sql.Composed:
    """Return the SELECT that counts the rows of a table, and finds those in the window of a refresh: how many, and where.

    Nothing is said of their `places` if these are not to be read.
    """
    place = "({}(ctid) FILTER (WHERE {}))::text" if places else "NULL::text"
    first, last = (sql.SQL(place).format(sql.SQL(name), window(span)) for name in ("min", "max"))
    return sql.SQL("SELECT count(*) AS rows, count(*) FILTER (WHERE {}) AS window, {} AS first, {} AS last FROM {}").format(
        window(span), first, last, rows_of(table, schema)
    )


def window(span: tuple[int, int], first: str | None = None, last: str | None = None) -> sql.Composed:
    """Return the condition of the rows that a `span` of transactions (64 bits) wrote: from one on, before another.

    Rows show 32 bits of the number. age() gives their distance from the next transaction, modulo that: those of older rows
    come to lie ahead of it, and any of them may be next. So the span has two ends, although no row that is seen is newer.
    `first` and `last` are places of rows between which all of them are: servers since 14 read no others then.
    """
    since, until = (sql.Literal(str(number % 2**32)) for number in span)
    found = sql.SQL("age(xmin) <= (SELECT age({}::xid)) AND age(xmin) > (SELECT age({}::xid))").format(since, until)
    if first is None or last is None:
        return found
    return sql.SQL("{} AND ctid BETWEEN {}::tid AND {}::tid").format(found, sql.Literal(first), sql.Literal(last))


def rare(table: TablePlan, schema: str, *, by_row: bool) -> sql.Composed:
    """Return one scan of a staging or published table: how many combinations too few share, and how many rows these have.

    Values are what the reader sees of them, NULL is one. With `by_row`, rows are counted, else different values of `per`:
    a row without one counts for nobody. What exceeds the server's memory goes to its temporary files: published values only.
    """
    rule = table.k_anonymity
    assert rule
    types = {column.name: column.type for column in table.columns}
    seen = [_seen(sql.Identifier(name), types[name]) for name in rule.columns]
    names = [sql.Identifier(f"column_{number}") for number in range(len(seen))]
    parts = {
        "columns": sql.SQL(", ").join(sql.SQL("{} AS {}").format(*pair) for pair in zip(seen, names, strict=True)),
        "seen": sql.SQL(", ").join(seen),
        "names": sql.SQL(", ").join(names),
        "per": sql.Identifier(rule.per),
        "table": sql.Identifier(schema, table.name),
        "k": sql.Literal(rule.k),
    }
    if by_row:
        groups = sql.SQL("SELECT count(*) AS rows FROM ONLY {table} GROUP BY {seen} HAVING count(*) < {k}").format(**parts)
    else:  # count(DISTINCT) would sort, and take longer
        groups = sql.SQL(
            "SELECT sum(rows) AS rows FROM (SELECT {columns}, {per} AS per, count(*) AS rows FROM ONLY {table} "
            "GROUP BY {seen}, {per}) AS shared GROUP BY {names} HAVING count(per) < {k}"
        ).format(**parts)
    return sql.SQL("SELECT ARRAY[count(*), coalesce(sum(rows), 0)::bigint] AS counts FROM ({}) AS rare").format(groups)


def on_pages(start: int, end: int | None) -> sql.Composed:
    """Return the condition of the rows on a table's pages from `start` on, up to `end`, or to the last one."""
    first = sql.SQL("ctid >= {}::tid").format(sql.Literal(f"({start},0)"))
    return first if end is None else sql.SQL("{} AND ctid < {}::tid").format(first, sql.Literal(f"({end},0)"))


def _seen(name: sql.Composable, type_: str) -> sql.Composable:
    """Compose what the reader sees of a value: types without an equality have that too."""
    if type_.startswith(_ALIKE) and not type_.endswith("[]"):
        return name
    return sql.SQL("CASE WHEN {} IS NOT NULL THEN {} END").format(name, as_text(name))


def rows_of(table: TablePlan, schema: str, percent: float | None = None) -> sql.Composed:
    """Compose what stands in FROM for the rows of a table, or for those on a share of its pages."""
    return sql.SQL("{}{}{}{}").format(
        sql.SQL("" if table.whole else "ONLY "),
        sql.Identifier(schema, table.name),
        sql.SQL("") if percent is None else sql.SQL(" TABLESAMPLE SYSTEM ({})").format(sql.Literal(percent)),
        sql.SQL(" WHERE {}").format(table.condition) if table.condition else sql.SQL(""),
    )
