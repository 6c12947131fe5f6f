-- What stands for the structure of a schema: its tables with their comments, columns, types and keys; neither rows nor indexes.
SELECT md5(string_agg(described.line, E'\n' ORDER BY described.line COLLATE "C"))
FROM pg_class AS c
CROSS JOIN LATERAL (
    SELECT concat_ws(' ', c.relname, 'is', obj_description(c.oid, 'pg_class')) AS line
    UNION ALL
    SELECT concat_ws(' ', c.relname, row_number() OVER (ORDER BY a.attnum), a.attname, format_type(a.atttypid, a.atttypmod),
                     format_type(nullif(t.typbasetype, 0), t.typtypmod), a.attnotnull, col_description(c.oid, a.attnum))
    FROM pg_attribute AS a JOIN pg_type AS t ON t.oid = a.atttypid
    WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    UNION ALL
    SELECT concat_ws(' ', c.relname, k.contype, pg_get_constraintdef(k.oid))
    FROM pg_constraint AS k WHERE k.conrelid = c.oid AND k.contype IN ('p', 'u', 'f')
) AS described
WHERE c.relkind = 'r' AND c.relnamespace = (SELECT n.oid FROM pg_namespace AS n WHERE n.nspname = %(schema)s)
