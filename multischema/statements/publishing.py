"""The statements of the publishing transaction."""

from collections.abc import Sequence

from psycopg import sql

from multischema.statements.building import revoke_schema


def publish(
    staging: str, schema: str, old: str | None, readers: Sequence[str], grantees: Sequence[str | None]
) -> list[sql.Composed]:
    """Return the statements of the publishing transaction; none locks a table that is being read."""
    published = sql.Identifier(schema)
    to = sql.SQL(", ").join(map(sql.Identifier, readers))
    statements: list[sql.Composed] = []
    if old:
        statements.append(sql.SQL("ALTER SCHEMA {} RENAME TO {}").format(published, sql.Identifier(old)))
        statements += revoke_schema(old, grantees)
    return [
        *statements,
        sql.SQL("ALTER SCHEMA {} RENAME TO {}").format(sql.Identifier(staging), published),
        sql.SQL("GRANT USAGE ON SCHEMA {} TO {}").format(published, to),
        sql.SQL("GRANT SELECT ON ALL TABLES IN SCHEMA {} TO {}").format(published, to),
    ]
