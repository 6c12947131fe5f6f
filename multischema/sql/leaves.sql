-- The tables that hold rows: a plain table itself, a partitioned one's partitions, wherever they are. A partition's row
-- security applies to whoever reads it by its own name, as pg_dump does, and not to reads through the root.
WITH RECURSIVE family (oid) AS (
    SELECT unnest(%(tables)s::oid[])
    UNION ALL
    SELECT i.inhrelid
    FROM family AS f
    JOIN pg_class AS parent ON parent.oid = f.oid AND parent.relkind = 'p'
    JOIN pg_inherits AS i ON i.inhparent = f.oid
)
SELECT n.nspname::text AS schema, c.relname::text AS name, has_table_privilege(c.oid, 'SELECT') AS readable,
       c.relkind = 'f' AS elsewhere, c.relispartition AND row_security_active(c.oid) AS row_security
FROM family AS f
JOIN pg_class AS c ON c.oid = f.oid AND c.relkind IN ('r', 'f')
JOIN pg_namespace AS n ON n.oid = c.relnamespace
ORDER BY 1, 2
