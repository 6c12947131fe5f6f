-- This role's objects in a schema to be dropped, in the order in which they can go: foreign keys, tables, domains.
WITH own (oid) AS (SELECT oid FROM pg_roles WHERE rolname = current_user)
SELECT 'constraint' AS what, c.relname::text AS "table", k.conname::text AS name
FROM pg_constraint AS k JOIN pg_class AS c ON c.oid = k.conrelid
WHERE k.contype = 'f' AND c.relowner = (SELECT oid FROM own) AND c.relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = %(schema)s)
UNION ALL
SELECT 'table', c.relname::text, c.relname::text
FROM pg_class AS c
WHERE c.relkind = 'r' AND c.relowner = (SELECT oid FROM own) AND c.relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = %(schema)s)
UNION ALL
SELECT 'type', t.typname::text, t.typname::text
FROM pg_type AS t
WHERE t.typtype = 'd' AND t.typowner = (SELECT oid FROM own) AND t.typnamespace = (SELECT oid FROM pg_namespace WHERE nspname = %(schema)s)
ORDER BY 1, 2, 3
