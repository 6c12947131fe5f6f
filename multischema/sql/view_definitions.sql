-- Everything needed to create views and materialized views again, privileges aside. The caller holds their locks, and its
-- search_path has none of their schemas, so that all names come out qualified.
SELECT c.oid::int8 AS oid,
       rtrim(pg_get_viewdef(c.oid), ';') AS query,
       coalesce(c.reloptions, '{}') || ARRAY(SELECT 'toast.' || option FROM pg_class AS toast, unnest(toast.reloptions) AS option
                                             WHERE toast.oid = c.reltoastrelid) AS options,
       am.amname::text AS method,
       c.relispopulated AS populated,
       obj_description(c.oid, 'pg_class') AS comment,
       -- columns of plain views have no settings
       ARRAY(SELECT json_build_array(a.attname, what.comment, what."default", coalesce(a.attoptions, '{}'), what.settings)
             FROM pg_attribute AS a
             JOIN pg_type AS t ON t.oid = a.atttypid
             LEFT JOIN pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
             CROSS JOIN LATERAL (
                 SELECT col_description(c.oid, a.attnum), pg_get_expr(d.adbin, d.adrelid),
                        array_remove(ARRAY[
                            'STATISTICS ' || nullif(a.attstattarget, -1),
                            CASE WHEN a.attstorage <> t.typstorage AND c.relkind = 'm'
                                 THEN 'STORAGE ' || CASE a.attstorage WHEN 'p' THEN 'PLAIN' WHEN 'e' THEN 'EXTERNAL'
                                                                      WHEN 'm' THEN 'MAIN' ELSE 'EXTENDED' END END,
                            -- since 14
                            'COMPRESSION ' || CASE to_jsonb(a) ->> 'attcompression' WHEN 'p' THEN 'pglz' WHEN 'l' THEN 'lz4' END
                        ], NULL)) AS what (comment, "default", settings)
             WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
               AND (num_nonnulls(what.comment, what."default", a.attoptions) > 0 OR what.settings <> '{}')
             ORDER BY a.attnum) AS columns,
       -- its parts: indexes, extended statistics, rules and triggers
       ARRAY(SELECT json_build_array(part.kind, part.schema, part.name, part.definition,
                                     obj_description(part.oid, part.class::name), part.target, part.clustered)
             FROM (SELECT 'INDEX' AS kind, n.nspname::text AS schema, x.relname::text AS name, pg_get_indexdef(x.oid) AS definition,
                          x.oid, 'pg_class' AS class, NULL::int AS target, i.indisclustered AS clustered
                   FROM pg_index AS i JOIN pg_class AS x ON x.oid = i.indexrelid WHERE i.indrelid = c.oid
                   UNION ALL
                   SELECT 'STATISTICS', en.nspname::text, e.stxname::text, pg_get_statisticsobjdef(e.oid), e.oid,
                          'pg_statistic_ext', nullif(e.stxstattarget, -1), false
                   FROM pg_statistic_ext AS e JOIN pg_namespace AS en ON en.oid = e.stxnamespace WHERE e.stxrelid = c.oid
                   UNION ALL
                   SELECT 'RULE', n.nspname::text, r.rulename::text, pg_get_ruledef(r.oid), r.oid, 'pg_rewrite', NULL, false
                   FROM pg_rewrite AS r WHERE r.ev_class = c.oid AND r.rulename <> '_RETURN'
                   UNION ALL
                   SELECT 'TRIGGER', n.nspname::text, t.tgname::text, pg_get_triggerdef(t.oid), t.oid, 'pg_trigger', NULL, false
                   FROM pg_trigger AS t WHERE t.tgrelid = c.oid AND NOT t.tgisinternal) AS part
             ORDER BY part.kind, part.name) AS parts
FROM pg_class AS c
JOIN pg_namespace AS n ON n.oid = c.relnamespace
LEFT JOIN pg_am AS am ON am.oid = c.relam
WHERE c.oid = ANY (%(dependants)s::oid[])
