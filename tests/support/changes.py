"""Changes that any schema allows: rows written again as they are, rows that go, rows that come back."""

from contextlib import suppress
from typing import LiteralString

import psycopg
from psycopg import errors, sql

from tests.conftest import Place

# what can be written to: partitions through their roots, no column that the server computes
_TABLES = """
SELECT n.nspname::text, c.relname::text, c.relkind = 'p',
       array_agg(a.attname::text ORDER BY a.attnum) FILTER (WHERE a.attgenerated = '' AND a.attidentity <> 'a'),
       array_agg(a.attname::text ORDER BY a.attnum) FILTER (WHERE a.attgenerated = '')
FROM pg_class AS c
JOIN pg_namespace AS n ON n.oid = c.relnamespace
JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND pg_get_userbyid(c.relowner) = current_user
GROUP BY 1, 2, 3
ORDER BY 1, 2
"""
# half of the rows are written again; the first one goes and comes back, and the second one goes
_CHANGES: tuple[LiteralString, ...] = (
    "UPDATE {rows} SET {one} = {one} WHERE (tableoid, ctid) IN (SELECT tableoid, ctid FROM {rows} ORDER BY 1, 2 "
    "LIMIT (SELECT (count(*) + 1) / 2 FROM {rows}))",
    "WITH gone AS (DELETE FROM {rows} WHERE (tableoid, ctid) IN (SELECT tableoid, ctid FROM {rows} ORDER BY 1, 2 LIMIT 1) "
    "RETURNING {all}) INSERT INTO {table} ({all}) OVERRIDING SYSTEM VALUE SELECT {all} FROM gone",
    "DELETE FROM {rows} WHERE (tableoid, ctid) IN (SELECT tableoid, ctid FROM {rows} ORDER BY 1, 2 OFFSET 1 LIMIT 1)",
)


def change_rows(place: Place) -> None:
    """Change some rows of each table of the origin in these ways.

    What the schema forbids is left out: a row stays that others refer to by a foreign key without an action, and one that a
    rule keeps.
    """
    with psycopg.connect(place.origin_url, autocommit=True) as connection:
        for schema, name, partitioned, settable, columns in connection.execute(_TABLES).fetchall():
            table = sql.Identifier(schema, name)
            for change in _CHANGES:
                statement = sql.SQL(change).format(
                    rows=sql.SQL("{}" if partitioned else "ONLY {}").format(table),
                    table=table,
                    one=sql.Identifier((settable or columns)[0]),
                    all=sql.SQL(", ").join(map(sql.Identifier, columns)),
                )
                with suppress(errors.IntegrityError, errors.FeatureNotSupported):
                    connection.execute(statement)
