-- What is in the origin schema besides the app's tables, and the other schemas that hold tables of no extension. For an index or foreign key that
-- only a partition has, and for a partition, `kind` is the root's name. Foreign partitions and children, and those in other
-- schemas, are read with their root.
WITH RECURSIVE family (root, oid) AS (
    SELECT c.oid, i.inhrelid
    FROM pg_class AS c JOIN pg_inherits AS i ON i.inhparent = c.oid
    WHERE c.relkind = 'p' AND c.relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = %(schema)s)
      AND (NOT c.relispartition OR NOT EXISTS (
               SELECT FROM pg_class AS root WHERE root.oid = pg_partition_root(c.oid) AND root.relnamespace = c.relnamespace))
    UNION ALL
    SELECT f.root, i.inhrelid FROM family AS f JOIN pg_inherits AS i ON i.inhparent = f.oid
), members (oid) AS (
    SELECT objid FROM pg_depend WHERE classid = 'pg_class'::regclass AND deptype = 'e'
), children (oid) AS (
    SELECT c.oid FROM pg_class AS c
    WHERE c.relkind = 'r' AND c.relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = %(schema)s)
    UNION
    SELECT i.inhrelid
    FROM children AS parent
    JOIN pg_inherits AS i ON i.inhparent = parent.oid
    JOIN pg_class AS child ON child.oid = i.inhrelid
)
SELECT 'relation' AS what,
       c.relname::text AS name,
       CASE WHEN c.oid IN (SELECT oid FROM members) THEN 'member of an extension'
            WHEN c.relkind = 'v' THEN 'view' WHEN c.relkind = 'm' THEN 'materialized view' ELSE 'foreign table' END AS kind
FROM pg_class AS c
WHERE c.relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = %(schema)s)
  AND (c.relkind IN ('v', 'm', 'f') AND c.oid NOT IN (SELECT oid FROM family UNION SELECT oid FROM children)
       OR c.relkind IN ('r', 'p') AND c.oid IN (SELECT oid FROM members))
UNION ALL
SELECT 'partition', c.relname::text, root.relname::text
FROM family AS f
JOIN pg_class AS c ON c.oid = f.oid
JOIN pg_class AS root ON root.oid = f.root
WHERE c.relnamespace = root.relnamespace
UNION ALL
SELECT 'index', format('%%s of %%s', own.name, c.relname), root.relname::text
FROM family AS f
JOIN pg_class AS c ON c.oid = f.oid
JOIN pg_class AS root ON root.oid = f.root
JOIN (SELECT i.indrelid AS oid, ic.relname AS name
      FROM pg_index AS i JOIN pg_class AS ic ON ic.oid = i.indexrelid
      WHERE NOT EXISTS (SELECT FROM pg_inherits AS h WHERE h.inhrelid = i.indexrelid)
      UNION ALL
      SELECT k.conrelid, k.conname FROM pg_constraint AS k WHERE k.contype = 'f' AND k.conparentid = 0) AS own ON own.oid = c.oid
UNION ALL
SELECT 'schema', n.nspname::text, 'schema'
FROM pg_namespace AS n
WHERE n.nspname <> %(schema)s AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
  AND EXISTS (SELECT FROM pg_class AS c WHERE c.relnamespace = n.oid AND c.relkind IN ('r', 'p', 'm', 'f')
              AND c.oid NOT IN (SELECT oid FROM family UNION SELECT oid FROM children UNION SELECT oid FROM members))
ORDER BY 1, 2
