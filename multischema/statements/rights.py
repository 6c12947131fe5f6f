"""The least rights that reading the origin takes, as statements that grant them."""

from collections.abc import Sequence

from psycopg import sql

from multischema.plan.tables import TablePlan


def to_stream(database: str, schema: str, tables: Sequence[TablePlan], role: str) -> list[sql.Composed]:
    """Return the grants for mode stream: on each table, the columns that its SELECT reads, and those that a refresh does.

    Of these, it must read xmin, the writer's number; where it may read ctid, the place of a row, it reads less.
    """
    return [
        *_entry(database, [schema], role),
        *(
            grant_select(schema, [table.name], (*table.read, "xmin", "ctid"), role)
            for table in sorted(tables, key=lambda table: table.name)
        ),
    ]


def to_dump(
    database: str, schema: str, tables: Sequence[TablePlan], leaves: Sequence[tuple[str, str]], role: str
) -> list[sql.Composed]:
    """Return the grants for mode dump: pg_dump reads whole tables. `leaves` lists schema and name of tables with rows."""
    whole = sorted({*leaves, *((schema, table.name) for table in tables)})
    schemas = sorted({within for within, _ in whole})
    return [*_entry(database, schemas, role), *(grant_select(within, [name], (), role) for within, name in whole)]


def reasons(tables: Sequence[TablePlan]) -> list[str]:
    """Return a line for each table with columns that its SELECT must read for their masks: these columns and masks."""
    found = [
        ", ".join(f"{table.name}.{column.said}" for column in table.masked if column.rule and column.is_read)
        for table in sorted(tables, key=lambda table: table.name)
    ]
    return [f"read for their masks: {columns}" for columns in found if columns]


def grant_select(schema: str, tables: Sequence[str], columns: Sequence[str], role: str) -> sql.Composed:
    """Return the grant to read these columns of tables, or the whole tables where none is named."""
    names = sql.SQL(" ({})").format(sql.SQL(", ").join(map(sql.Identifier, columns))) if columns else sql.SQL("")
    on = sql.SQL(", ").join(sql.Identifier(schema, table) for table in tables)
    return sql.SQL("GRANT SELECT{} ON TABLE {} TO {}").format(names, on, sql.Identifier(role))


def _entry(database: str, schemas: Sequence[str], role: str) -> list[sql.Composed]:
    to = sql.Identifier(role)
    return [
        sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(sql.Identifier(database), to),
        *(sql.SQL("GRANT USAGE ON SCHEMA {} TO {}").format(sql.Identifier(schema), to) for schema in schemas),
    ]
