-- What holds the rows of tables: a plain table itself, a partitioned one's partitions, wherever they are.
WITH RECURSIVE family (oid) AS (
    SELECT unnest(%(tables)s::oid[])
    UNION ALL
    SELECT i.inhrelid
    FROM family AS f
    JOIN pg_class AS parent ON parent.oid = f.oid AND parent.relkind = 'p'
    JOIN pg_inherits AS i ON i.inhparent = f.oid
)
SELECT n.nspname::text AS schema, c.relname::text AS name, has_table_privilege(c.oid, 'SELECT') AS readable,
       c.relkind = 'f' AS elsewhere
FROM family AS f
JOIN pg_class AS c ON c.oid = f.oid AND c.relkind IN ('r', 'f')
JOIN pg_namespace AS n ON n.oid = c.relnamespace
ORDER BY 1, 2
