-- What the staging schema already holds, so that a second attempt builds only what is missing.
SELECT c.relname::text AS name FROM pg_class AS c
WHERE c.relkind = 'i' AND c.relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = %(schema)s)
UNION ALL
SELECT format('%%s of %%s', k.conname, c.relname) FROM pg_constraint AS k JOIN pg_class AS c ON c.oid = k.conrelid
WHERE c.relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = %(schema)s) AND k.contype IN ('p', 'u', 'f')
