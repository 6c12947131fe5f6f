-- What others have built in the published schema (place: in) or on it (place: on), and would stay with the old one when it
-- is replaced. What the ETL publishes is plain tables of its own role, and domains that stand in index predicates.
WITH published (oid) AS (SELECT n.oid FROM pg_namespace AS n WHERE n.nspname = %(schema)s),
inside (classid, oid, owner, name, kind) AS (
    SELECT 'pg_class'::regclass::oid, c.oid, c.relowner, c.relname,
           CASE c.relkind WHEN 'r' THEN 'table' WHEN 'p' THEN 'partitioned table' WHEN 'v' THEN 'view'
                          WHEN 'm' THEN 'materialized view' WHEN 'f' THEN 'foreign table' WHEN 'S' THEN 'sequence' END
    FROM pg_class AS c JOIN published AS p ON p.oid = c.relnamespace
    UNION ALL
    SELECT 'pg_type'::regclass::oid, t.oid, t.typowner, t.typname,
           CASE WHEN t.typtype = 'd' THEN 'domain'
                WHEN t.typtype IN ('e', 'r') OR t.typtype = 'c' AND r.relkind = 'c' THEN 'type' END
    FROM pg_type AS t JOIN published AS p ON p.oid = t.typnamespace LEFT JOIN pg_class AS r ON r.oid = t.typrelid
    UNION ALL
    SELECT 'pg_proc'::regclass::oid, f.oid, f.proowner, f.proname, 'function'
    FROM pg_proc AS f JOIN published AS p ON p.oid = f.pronamespace
)
SELECT 'in' AS place, i.kind, format('%%I.%%I', %(schema)s::text, i.name) AS name, pg_get_userbyid(i.owner)::text AS owner
FROM inside AS i
WHERE i.kind IS NOT NULL AND NOT (i.kind IN ('table', 'domain') AND pg_has_role(i.owner, 'USAGE'))
  AND NOT EXISTS (SELECT FROM pg_depend AS d WHERE d.classid = i.classid AND d.objid = i.oid
                    AND d.refobjid <> i.oid AND d.deptype IN ('e', 'i', 'a'))
UNION
SELECT 'on',
       CASE WHEN c.relkind = 'v' THEN 'view' WHEN c.relkind = 'm' THEN 'materialized view'
            WHEN k.contype = 'f' THEN format('foreign key %%s of table', k.conname) ELSE '' END,
       CASE WHEN c.relkind IN ('v', 'm') OR k.contype = 'f' THEN format('%%s.%%s', quote_ident(cn.nspname), quote_ident(c.relname))
            ELSE pg_describe_object(d.classid, d.objid, d.objsubid) END,
       NULL
FROM inside AS i
JOIN pg_depend AS d ON d.refclassid = i.classid AND d.refobjid = i.oid AND d.deptype = 'n'
LEFT JOIN pg_rewrite AS r ON d.classid = 'pg_rewrite'::regclass AND r.oid = d.objid
LEFT JOIN pg_constraint AS k ON d.classid = 'pg_constraint'::regclass AND k.oid = d.objid
LEFT JOIN pg_class AS c ON c.oid = coalesce(r.ev_class, k.conrelid)
LEFT JOIN pg_namespace AS cn ON cn.oid = c.relnamespace
WHERE (pg_identify_object_as_address(d.classid, d.objid, d.objsubid)).object_names[1] <> %(schema)s
ORDER BY 1, 3
