-- How many different values columns have, as ANALYZE estimates it: a negative number is a share of the rows.
SELECT s.tablename::text AS "table",
       s.attname::text AS "column",
       round(CASE WHEN s.n_distinct < 0 THEN -s.n_distinct * c.reltuples ELSE s.n_distinct END)::int8 AS number
FROM unnest(%(tables)s::text[], %(columns)s::text[]) WITH ORDINALITY AS wanted (relation, name, place)
JOIN pg_stats AS s ON s.schemaname = %(schema)s AND s.tablename = wanted.relation AND s.attname = wanted.name
JOIN pg_class AS c ON c.relname = s.tablename AND c.relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = %(schema)s)
ORDER BY wanted.place
