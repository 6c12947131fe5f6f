-- All that is needed to create views and materialized views again, privileges aside. Whoever asks holds their locks, and has a
-- search_path that names no schema of theirs: then all names come out qualified.
SELECT c.oid::int8 AS oid,
       rtrim(pg_get_viewdef(c.oid), ';') AS query,
       coalesce(c.reloptions, '{}') AS options,
       am.amname::text AS method,
       c.relispopulated AS populated,
       obj_description(c.oid, 'pg_class') AS comment,
       ARRAY(SELECT ARRAY[a.attname::text, what.comment, what."default", what.target]
             FROM pg_attribute AS a
             LEFT JOIN pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
             CROSS JOIN LATERAL (SELECT col_description(c.oid, a.attnum), pg_get_expr(d.adbin, d.adrelid),
                                        nullif(a.attstattarget, -1)::text) AS what (comment, "default", target)
             WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
               AND num_nonnulls(what.comment, what."default", what.target) > 0
             ORDER BY a.attnum) AS columns,
       -- what hangs on it: indexes, extended statistics, rules and triggers
       ARRAY(SELECT ARRAY[part.kind, part.schema, part.name, part.definition, obj_description(part.oid, part.class::name)]
             FROM (SELECT 'INDEX' AS kind, n.nspname::text AS schema, x.relname::text AS name, pg_get_indexdef(x.oid) AS definition,
                          x.oid, 'pg_class' AS class
                   FROM pg_index AS i JOIN pg_class AS x ON x.oid = i.indexrelid WHERE i.indrelid = c.oid
                   UNION ALL
                   SELECT 'STATISTICS', en.nspname::text, e.stxname::text, pg_get_statisticsobjdef(e.oid), e.oid,
                          'pg_statistic_ext'
                   FROM pg_statistic_ext AS e JOIN pg_namespace AS en ON en.oid = e.stxnamespace WHERE e.stxrelid = c.oid
                   UNION ALL
                   SELECT 'RULE', n.nspname::text, r.rulename::text, pg_get_ruledef(r.oid), r.oid, 'pg_rewrite'
                   FROM pg_rewrite AS r WHERE r.ev_class = c.oid AND r.rulename <> '_RETURN'
                   UNION ALL
                   SELECT 'TRIGGER', n.nspname::text, t.tgname::text, pg_get_triggerdef(t.oid), t.oid, 'pg_trigger'
                   FROM pg_trigger AS t WHERE t.tgrelid = c.oid AND NOT t.tgisinternal) AS part
             ORDER BY part.kind, part.name) AS parts
FROM pg_class AS c
JOIN pg_namespace AS n ON n.oid = c.relnamespace
LEFT JOIN pg_am AS am ON am.oid = c.relam
WHERE c.oid = ANY (%(dependants)s::oid[])
