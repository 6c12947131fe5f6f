-- The tables of the origin schema: plain ones, and partitioned roots in place of their partitions.
-- A partition whose root is elsewhere stands for itself. Members of extensions (spatial_ref_sys) are not the app's.
-- `detaching` are partitions that DETACH ... CONCURRENTLY (14) left half detached: for pg_partition_root() they are roots.
SELECT c.oid::int8 AS oid,
       c.relname::text AS name,
       c.relkind::text AS kind,
       c.relispartition AS is_partition,
       obj_description(c.oid, 'pg_class') AS comment,
       row_security_active(c.oid) AS row_security,
       family.unlogged,
       family.bytes,
       family.detaching
FROM pg_class AS c
CROSS JOIN LATERAL (WITH RECURSIVE part (oid, leaves) AS (
                        SELECT c.oid, NULL::oid
                        UNION ALL
                        SELECT i.inhrelid, CASE WHEN to_jsonb(i) ->> 'inhdetachpending' = 'true' THEN i.inhparent END
                        FROM part AS p
                        JOIN pg_inherits AS i ON i.inhparent = p.oid
                        WHERE c.relkind = 'p')
                    SELECT coalesce(sum(pg_table_size(part.oid)), 0)::int8 AS bytes,
                           bool_or(own.relpersistence = 'u') AS unlogged,
                           coalesce(json_agg(json_build_array(pn.nspname, parent.relname, n.nspname, own.relname))
                                    FILTER (WHERE part.leaves IS NOT NULL), '[]') AS detaching
                    FROM part
                    JOIN pg_class AS own ON own.oid = part.oid
                    JOIN pg_namespace AS n ON n.oid = own.relnamespace
                    LEFT JOIN pg_class AS parent ON parent.oid = part.leaves
                    LEFT JOIN pg_namespace AS pn ON pn.oid = parent.relnamespace) AS family
WHERE c.relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = %(schema)s)
  AND c.relkind IN ('r', 'p')
  AND c.relpersistence <> 't'
  AND NOT (c.relispartition AND EXISTS (
          SELECT FROM pg_inherits AS i
          JOIN pg_class AS parent ON parent.oid = i.inhparent
          JOIN pg_class AS root ON root.oid = coalesce(nullif(pg_partition_root(c.oid), c.oid), parent.oid)
          WHERE i.inhrelid = c.oid AND c.relnamespace IN (parent.relnamespace, root.relnamespace)))
  AND NOT EXISTS (SELECT FROM pg_depend AS d
                  WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
ORDER BY c.relname
