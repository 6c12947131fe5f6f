-- The NOT NULL constraints of a schema's tables (18 and newer) that have names chosen by the server.
SELECT k.conrelid::regclass::text AS "table", k.conname::text AS name, k.oid::int8 AS oid
FROM pg_constraint AS k
JOIN pg_class AS c ON c.oid = k.conrelid
WHERE c.relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = %(schema)s)
  AND k.contype = 'n' AND k.coninhcount = 0 AND k.conname ~ %(pattern)s
