-- The keys and indexes of a schema's tables, in the order in which they can be dropped, then its tables that hold rows.
-- A partition's keys and indexes go with its root's, also a key that belongs to a plain index of the
-- root. Only this role's tables; with `others`, also those that it may drop.
SELECT CASE k.contype WHEN 'f' THEN 1 ELSE 2 END AS place, 'constraint' AS what, k.conrelid::regclass::text AS "table", k.conname::text AS name, NULL AS identity
FROM pg_constraint AS k
JOIN pg_class AS c ON c.oid = k.conrelid
WHERE c.relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = %(schema)s)
  AND (pg_get_userbyid(c.relowner) = current_user OR %(others)s AND pg_has_role(c.relowner, 'USAGE'))
  AND k.contype IN ('f', 'p', 'u', 'x', 'c') AND k.conparentid = 0 AND k.coninhcount = 0
  AND NOT EXISTS (SELECT FROM pg_inherits AS h WHERE h.inhrelid = k.conindid AND k.contype <> 'f')
UNION ALL
SELECT 3, 'index', i.indrelid::regclass::text, c.relname::text, i.indexrelid::regclass::text
FROM pg_index AS i
JOIN pg_class AS c ON c.oid = i.indexrelid
WHERE c.relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = %(schema)s)
  AND (pg_get_userbyid(c.relowner) = current_user OR %(others)s AND pg_has_role(c.relowner, 'USAGE'))
  AND NOT c.relispartition
  AND NOT EXISTS (SELECT FROM pg_constraint AS k WHERE k.conindid = c.oid AND k.contype IN ('p', 'u', 'x'))
UNION ALL
SELECT 4, 'table', c.oid::regclass::text, c.relname::text, NULL
FROM pg_class AS c
WHERE c.relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = %(schema)s)
  AND c.relkind = 'r' AND (pg_get_userbyid(c.relowner) = current_user OR %(others)s AND pg_has_role(c.relowner, 'USAGE'))
ORDER BY place, name
