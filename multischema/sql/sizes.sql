-- The size of each table of a schema with its indexes.
SELECT c.relname::text AS name, pg_total_relation_size(c.oid)::int8 AS bytes
FROM pg_class AS c
WHERE c.relkind = 'r' AND c.relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = %(schema)s)
