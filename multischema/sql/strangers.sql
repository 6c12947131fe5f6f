-- What stands in the published schema and no run made (place: in), and what stands on it (place: on), or on the views that are
-- created again with it, and would stay with the old one when it is replaced; a row security that the new tables would not
-- have (place: at). What the ETL publishes is plain tables of its own role itself, by the names in `ours`, and domains that
-- stand in index predicates, by those in `domains` (all, where that is NULL: versions before 1.0 recorded none). A schema that is adopted may also hold what has no rows, if it is of that role.
-- What ends with another session's temporary schema, wherever it stands itself (a cast stands in no schema), keeps the old schema until
-- then and no longer: everybody may make such, so it is nobody's to drop.
WITH RECURSIVE
published (oid) AS (SELECT n.oid FROM pg_namespace AS n WHERE n.nspname = %(schema)s),
temporary (classid, oid) AS (
    SELECT d.classid, d.objid
    FROM pg_namespace AS n
    JOIN pg_depend AS d ON d.refclassid = 'pg_namespace'::regclass AND d.refobjid = n.oid
    WHERE pg_is_other_temp_schema(n.oid)
    UNION
    SELECT d.classid, d.objid FROM temporary AS t JOIN pg_depend AS d ON d.refclassid = t.classid AND d.refobjid = t.oid
),
inside (classid, oid, owner, name, kind, secured) AS (
    SELECT 'pg_class'::regclass::oid, c.oid, c.relowner, c.relname,
           CASE c.relkind WHEN 'r' THEN 'table' WHEN 'p' THEN 'partitioned table' WHEN 'v' THEN 'view'
                          WHEN 'm' THEN 'materialized view' WHEN 'f' THEN 'foreign table' WHEN 'S' THEN 'sequence' END,
           c.relrowsecurity
    FROM pg_class AS c JOIN published AS p ON p.oid = c.relnamespace
    UNION ALL
    SELECT 'pg_type'::regclass::oid, t.oid, t.typowner, t.typname,
           CASE WHEN t.typtype = 'd' THEN 'domain'
                WHEN t.typtype IN ('e', 'r') OR t.typtype = 'c' AND r.relkind = 'c' THEN 'type' END,
           false
    FROM pg_type AS t JOIN published AS p ON p.oid = t.typnamespace LEFT JOIN pg_class AS r ON r.oid = t.typrelid
    UNION ALL
    SELECT 'pg_proc'::regclass::oid, f.oid, f.proowner, f.proname, 'function', false
    FROM pg_proc AS f JOIN published AS p ON p.oid = f.pronamespace
),
base (classid, oid) AS (
    SELECT i.classid, i.oid FROM inside AS i
    UNION ALL
    SELECT 'pg_class'::regclass::oid, v.oid FROM unnest(%(dependants)s::oid[]) AS v (oid)
    UNION ALL
    SELECT 'pg_type'::regclass::oid, row_type.oid
    FROM unnest(%(dependants)s::oid[]) AS v (oid)
    JOIN pg_type AS t ON t.typrelid = v.oid
    CROSS JOIN LATERAL (VALUES (t.oid), (t.typarray)) AS row_type (oid)
)
SELECT 'in' AS place, i.kind, format('%%I.%%I', %(schema)s::text, i.name) AS name, pg_get_userbyid(i.owner)::text AS owner,
       NULL AS type, NULL AS identity, NULL AS of_schema, NULL AS of_table, NULL AS constraint_name, false AS owned,
       i.kind = 'table' AND i.name = ANY (%(ours)s::text[]) AND NOT %(adopted)s AS recorded
FROM inside AS i
WHERE i.kind IS NOT NULL
  AND NOT (pg_get_userbyid(i.owner) = current_user
           AND (i.kind = 'table' AND i.name = ANY (%(ours)s::text[]) OR i.kind = 'domain' AND (%(domains)s::text[] IS NULL OR i.name = ANY (%(domains)s::text[]))
                OR %(adopted)s AND i.kind IN ('sequence', 'type', 'function', 'view')))
  AND NOT EXISTS (SELECT FROM pg_depend AS d WHERE d.classid = i.classid AND d.objid = i.oid
                    AND d.refobjid <> i.oid AND d.deptype IN ('e', 'i', 'a'))
UNION
-- what else a schema can hold: collations, operators, text search configurations, extensions
SELECT 'in', what.type, what.identity, coalesce(o.refobjid, 10)::regrole::text, NULL, NULL, NULL, NULL, NULL, false, false
FROM pg_depend AS d
CROSS JOIN LATERAL pg_identify_object(d.classid, d.objid, 0) AS what
LEFT JOIN pg_shdepend AS o
       ON o.classid = d.classid AND o.objid = d.objid AND o.deptype = 'o'
          AND o.dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
WHERE d.refclassid = 'pg_namespace'::regclass AND d.refobjid = (SELECT p.oid FROM published AS p)
  AND d.deptype = 'n' AND d.objsubid = 0 AND what.identity IS NOT NULL
  AND d.classid NOT IN ('pg_class'::regclass, 'pg_type'::regclass, 'pg_proc'::regclass)
  AND NOT EXISTS (SELECT FROM pg_depend AS e
                  WHERE e.classid = d.classid AND e.objid = d.objid AND e.refobjid <> d.objid AND e.deptype IN ('e', 'i', 'a'))
UNION
SELECT 'at', i.kind, format('%%I.%%I', %(schema)s::text, i.name), NULL, NULL, NULL, NULL, NULL, NULL, false, false
FROM inside AS i
WHERE i.secured
UNION
SELECT 'on',
       CASE WHEN k.contype = 'f' THEN format('foreign key %%s of table', k.conname) ELSE '' END,
       CASE WHEN k.contype = 'f' THEN format('%%s.%%s', quote_ident(cn.nspname), quote_ident(c.relname))
            ELSE pg_describe_object(d.classid, d.objid, d.objsubid) END,
       pg_get_userbyid(coalesce(c.relowner, f.proowner))::text,
       what.type, what.identity, cn.nspname::text, c.relname::text, k.conname::text,
       coalesce(pg_has_role(coalesce(c.relowner, f.proowner), 'USAGE'), false), false
FROM base AS b
JOIN pg_depend AS d ON d.refclassid = b.classid AND d.refobjid = b.oid AND d.deptype = 'n'
CROSS JOIN LATERAL pg_identify_object(d.classid, d.objid, d.objsubid) AS what
LEFT JOIN pg_rewrite AS r ON d.classid = 'pg_rewrite'::regclass AND r.oid = d.objid
LEFT JOIN pg_constraint AS k ON d.classid = 'pg_constraint'::regclass AND k.oid = d.objid
LEFT JOIN pg_attrdef AS a ON d.classid = 'pg_attrdef'::regclass AND a.oid = d.objid
LEFT JOIN pg_trigger AS t ON d.classid = 'pg_trigger'::regclass AND t.oid = d.objid
LEFT JOIN pg_policy AS p ON d.classid = 'pg_policy'::regclass AND p.oid = d.objid
LEFT JOIN pg_proc AS f ON d.classid = 'pg_proc'::regclass AND f.oid = d.objid
LEFT JOIN pg_class AS c ON c.oid = coalesce(r.ev_class, k.conrelid, a.adrelid, t.tgrelid, p.polrelid,
                                            CASE d.classid WHEN 'pg_class'::regclass THEN d.objid END)
LEFT JOIN pg_namespace AS cn ON cn.oid = c.relnamespace
WHERE (pg_identify_object_as_address(d.classid, d.objid, d.objsubid)).object_names[1] <> %(schema)s
  AND NOT coalesce(c.relkind IN ('v', 'm'), false)
  AND NOT EXISTS (SELECT FROM temporary AS t WHERE t.classid = d.classid AND t.oid = d.objid)
ORDER BY 1, 3
