-- The tables of a published schema as they are: each with what it looks like, and the names of its indexes and constraints.
SELECT c.relname::text AS name,
       c.oid::int8 AS oid,
       md5(concat_ws(' ', obj_description(c.oid, 'pg_class'), (
           SELECT string_agg(format('%%s:%%s:%%s:%%s:%%s:%%s:%%s', a.attnum, a.attname, a.atttypid, a.atttypmod, a.attcollation,
                                    a.attnotnull, col_description(c.oid, a.attnum)), ',' ORDER BY a.attnum)
           FROM pg_attribute AS a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped))) AS shape,
       ARRAY(SELECT part.name FROM (
                 SELECT i.relname::text AS name
                 FROM pg_index AS x JOIN pg_class AS i ON i.oid = x.indexrelid WHERE x.indrelid = c.oid AND x.indisvalid
                 UNION
                 SELECT k.conname::text FROM pg_constraint AS k WHERE k.conrelid = c.oid AND k.contype IN ('p', 'u', 'f')) AS part
             ORDER BY part.name COLLATE "C") AS parts,
       ARRAY(SELECT i.relname::text FROM pg_index AS x JOIN pg_class AS i ON i.oid = x.indexrelid
             WHERE x.indrelid = c.oid AND NOT x.indisunique) AS plain
FROM pg_class AS c
WHERE c.relkind = 'r' AND c.relnamespace = (SELECT n.oid FROM pg_namespace AS n WHERE n.nspname = %(schema)s)
ORDER BY 1
