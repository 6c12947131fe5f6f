-- The sequences of the columns of tables, and of their partitions: serial and identity.
SELECT n.nspname::text AS schema, c.relname::text AS name
FROM unnest(%(tables)s::oid[]) AS root (oid)
CROSS JOIN LATERAL (SELECT root.oid UNION SELECT relid::oid FROM pg_partition_tree(root.oid)) AS owner (oid)
JOIN pg_depend AS d ON d.refclassid = 'pg_class'::regclass AND d.refobjid = owner.oid
 AND d.classid = 'pg_class'::regclass AND d.deptype IN ('a', 'i')
JOIN pg_class AS c ON c.oid = d.objid AND c.relkind = 'S'
JOIN pg_namespace AS n ON n.oid = c.relnamespace
ORDER BY 1, 2
