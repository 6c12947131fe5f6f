-- The indexes of a schema that are not unique.
SELECT c.relname::text AS name FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid
WHERE NOT i.indisunique AND c.relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = %(schema)s)
