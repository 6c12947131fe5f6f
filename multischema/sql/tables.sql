-- The tables of the origin schema: plain ones, and partitioned roots in place of their partitions.
-- A partition whose root is elsewhere counts as a table of its own. Members of extensions (spatial_ref_sys) are not the app's.
-- A plain table's `children` inherit from it and are not tables of the schema: their rows are read with its own. `kin` are the
-- children that are tables of the schema, published by themselves, and `odd` those of an extension, which nobody reads.
-- A table `is_heap` if all its rows are in heaps of this server, whose rows have an xmin.
-- `detaching` are partitions that DETACH ... CONCURRENTLY (14) left half detached: pg_partition_root() takes them for roots.
SELECT c.oid::int8 AS oid,
       c.relname::text AS name,
       c.relkind::text AS kind,
       c.relispartition AS is_partition,
       obj_description(c.oid, 'pg_class') AS comment,
       row_security_active(c.oid) AS row_security,
       family.unlogged,
       family.bytes,
       family.detaching,
       family.children,
       family.is_heap,
       pg_relation_size(c.oid) / current_setting('block_size')::int8 AS pages,
       has_column_privilege(c.oid, 'xmin', 'SELECT') AS shows_xmin,
       has_column_privilege(c.oid, 'ctid', 'SELECT') AS shows_ctid,
       near.kin,
       near.odd
FROM pg_class AS c
CROSS JOIN LATERAL (WITH RECURSIVE part (oid, leaves) AS (
                        SELECT c.oid, NULL::oid
                        UNION
                        SELECT i.inhrelid, CASE WHEN to_jsonb(i) ->> 'inhdetachpending' = 'true' THEN i.inhparent END
                        FROM part AS p
                        JOIN pg_inherits AS i ON i.inhparent = p.oid
                        JOIN pg_class AS child ON child.oid = i.inhrelid
                        WHERE c.relkind = 'p' OR child.relpersistence <> 't'
                              AND (child.relkind = 'f' OR child.relnamespace <> c.relnamespace))
                    SELECT coalesce(sum(pg_table_size(part.oid)), 0)::int8 AS bytes,
                           bool_or(own.relpersistence = 'u') AS unlogged,
                           bool_and(own.relkind = 'p' OR own.relkind = 'r' AND am.amname = 'heap') AS is_heap,
                           coalesce(json_agg(json_build_array(pn.nspname, parent.relname, n.nspname, own.relname))
                                    FILTER (WHERE part.leaves IS NOT NULL), '[]') AS detaching,
                           coalesce(json_agg(json_build_array(n.nspname, own.relname, ARRAY(
                                        SELECT a.attname FROM pg_attribute AS a
                                        WHERE a.attrelid = own.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attname NOT IN (
                                            SELECT r.attname FROM pg_attribute AS r WHERE r.attrelid = c.oid AND NOT r.attisdropped)
                                        ORDER BY a.attnum)) ORDER BY n.nspname, own.relname)
                                    FILTER (WHERE own.oid <> c.oid AND c.relkind = 'r'), '[]') AS children,
                           array_agg(own.oid) AS oids
                    FROM part
                    JOIN pg_class AS own ON own.oid = part.oid
                    JOIN pg_namespace AS n ON n.oid = own.relnamespace
                    LEFT JOIN pg_am AS am ON am.oid = own.relam
                    LEFT JOIN pg_class AS parent ON parent.oid = part.leaves
                    LEFT JOIN pg_namespace AS pn ON pn.oid = parent.relnamespace) AS family
CROSS JOIN LATERAL (SELECT coalesce(array_agg(child.relname::text ORDER BY child.relname) FILTER (WHERE NOT member.yes), '{}') AS kin,
                           coalesce(array_agg(child.relname::text ORDER BY child.relname) FILTER (WHERE member.yes), '{}') AS odd
                    FROM pg_inherits AS i
                    JOIN pg_class AS child ON child.oid = i.inhrelid AND child.relpersistence <> 't'
                    CROSS JOIN LATERAL (SELECT EXISTS (SELECT FROM pg_depend AS d WHERE d.classid = 'pg_class'::regclass
                                                       AND d.objid = child.oid AND d.deptype = 'e') AS yes) AS member
                    WHERE c.relkind = 'r' AND i.inhparent = ANY (family.oids) AND child.oid <> ALL (family.oids)) AS near
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
