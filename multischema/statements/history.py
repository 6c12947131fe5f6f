"""The statements that make and write the history of runs. Nothing is ever dropped or replaced there: others build on it."""

from collections.abc import Collection, Mapping

from psycopg import sql

from multischema.plan.history import COLUMNS, MARK, RUNS, TABLES, Ran

_KEPT = "1 year"
# what CREATE TABLE says besides the columns
_REST = {
    RUNS: sql.SQL(", UNIQUE (published_at, id)"),  # finds what is old
    TABLES: sql.SQL(", PRIMARY KEY (run, name), FOREIGN KEY (run) REFERENCES {} ON DELETE CASCADE"),
}


def create_schema(schema: str) -> list[sql.Composed]:
    """Return the statements that make the schema, empty."""
    name = sql.Identifier(schema)
    return [
        sql.SQL("CREATE SCHEMA {}").format(name),
        sql.SQL("COMMENT ON SCHEMA {} IS {}").format(name, sql.Literal(MARK)),
    ]


def complete(schema: str, present: Mapping[str, Collection[str]]) -> list[sql.Composed]:
    """Return the statements that make the tables and columns that are not `present`.

    A table that another run made meanwhile is an error: whoever made it grants on it. A column is none.
    """
    statements = []
    for table, columns in COLUMNS.items():
        name = sql.Identifier(schema, table)
        defined = {
            column: sql.SQL("{} {}").format(sql.Identifier(column), sql.SQL(type_)) for column, type_ in columns.items()
        }
        if not present[table]:
            rest = _REST[table].format(sql.Identifier(schema, RUNS))
            statements.append(sql.SQL("CREATE TABLE {} ({}{})").format(name, sql.SQL(", ").join(defined.values()), rest))
            continue
        statements += [
            sql.SQL("ALTER TABLE {} ADD COLUMN IF NOT EXISTS {}").format(name, definition)
            for column, definition in defined.items()
            if column not in present[table]
        ]
    return statements


def hold(schema: str) -> sql.Composed:
    """Return the LOCK that one run at a time has while it grants: two at once would fail. It lets others read and write."""
    return sql.SQL("LOCK TABLE {} IN SHARE UPDATE EXCLUSIVE MODE").format(sql.Identifier(schema, RUNS))


def grant(schema: str, reader: str) -> list[sql.Composed]:
    """Return the statements that let the reader read the history."""
    role = sql.Identifier(reader)
    return [
        sql.SQL("GRANT USAGE ON SCHEMA {} TO {}").format(sql.Identifier(schema), role),
        *(sql.SQL("GRANT SELECT ON TABLE {} TO {}").format(sql.Identifier(schema, table), role) for table in COLUMNS),
    ]


def add(report_schema: str, app: str, schema: str, version: str, ran: Ran) -> sql.Composed:
    """Return the statement that adds a run with its tables, and deletes what is older than a year.

    What another run deletes already is left to it, so that no run waits for another.
    """
    values = {
        "app": app,
        "schema": schema,
        "snapshot_at": ran.snapshot_at,
        "rows": ran.rows,
        "bytes": ran.bytes,
        "seconds": ran.seconds,
        "kind": ran.kind,
        "version": version,
        "warnings": ran.warnings,
    }
    runs = sql.Identifier(report_schema, RUNS)
    old = sql.SQL(
        "WITH old AS (DELETE FROM {runs} WHERE id IN "
        "(SELECT id FROM {runs} WHERE published_at < now() - interval {kept} FOR UPDATE SKIP LOCKED))"
    ).format(runs=runs, kept=sql.Literal(_KEPT))
    run = sql.SQL("INSERT INTO {} (published_at, {}) VALUES (clock_timestamp(), {}) RETURNING id").format(
        runs,
        sql.SQL(", ").join(map(sql.Identifier, values)),
        sql.SQL(", ").join(map(sql.Literal, values.values())),
    )
    if not ran.tables:
        return sql.SQL("{} {}").format(old, run)
    rows = sql.SQL(", ").join(
        sql.SQL("({}, {}::bigint, {}::text[])").format(
            sql.Literal(name), sql.Literal(rows), sql.Literal(list(ran.masked.get(name, ())))
        )
        for name, rows in ran.tables.items()
    )
    return sql.SQL(
        "{}, run AS ({}) INSERT INTO {} (run, name, rows, masked_columns) SELECT run.id, t.* FROM run, (VALUES {}) AS t"
    ).format(old, run, sql.Identifier(report_schema, TABLES), rows)


def last(report_schema: str, app: str, schema: str) -> sql.Composed:
    """Return the SELECT of the last run of a published schema, with the rows of each table as they were last published.

    Whose columns were dropped and made anew knows nothing of them.
    """
    return sql.SQL(
        "SELECT last.published_at, last.rows, last.bytes, last.seconds, last.kind, "
        "coalesce((SELECT jsonb_object_agg(t.name, t.rows) FROM {tables} AS t WHERE t.rows IS NOT NULL AND t.run = "
        "(SELECT r.id FROM {runs} AS r WHERE r.app = {app} AND r.schema = {schema} "
        "AND EXISTS (SELECT FROM {tables} AS its WHERE its.run = r.id) ORDER BY r.id DESC LIMIT 1)), '{{}}') AS tables "
        "FROM {runs} AS last WHERE last.app = {app} AND last.schema = {schema} "
        "AND num_nulls(last.published_at, last.rows, last.bytes, last.seconds, last.kind) = 0 ORDER BY last.id DESC LIMIT 1"
    ).format(
        tables=sql.Identifier(report_schema, TABLES),
        runs=sql.Identifier(report_schema, RUNS),
        app=sql.Literal(app),
        schema=sql.Literal(schema),
    )
