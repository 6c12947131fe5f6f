-- What others have built in or on the published schema, and would stay with the old one when it is replaced.
SELECT DISTINCT format('%%I.%%I', n.nspname, c.relname) AS name,
       CASE c.relkind WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view' WHEN 'f' THEN 'foreign table'
                      ELSE 'table' END AS kind
FROM pg_class AS c
JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relkind IN ('v', 'm', 'r', 'p', 'f')
  AND (n.nspname = %(schema)s AND (c.relkind <> 'r' OR NOT pg_has_role(c.relowner, 'USAGE'))
       OR n.nspname <> %(schema)s AND EXISTS (
          SELECT FROM pg_depend AS d
          LEFT JOIN pg_rewrite AS r ON d.classid = 'pg_rewrite'::regclass AND r.oid = d.objid
          LEFT JOIN pg_constraint AS k ON d.classid = 'pg_constraint'::regclass AND k.oid = d.objid
          JOIN pg_class AS used ON d.refclassid = 'pg_class'::regclass AND used.oid = d.refobjid
          JOIN pg_namespace AS used_in ON used_in.oid = used.relnamespace
          WHERE used_in.nspname = %(schema)s
            AND c.oid = coalesce(r.ev_class, k.conrelid,
                                 CASE WHEN d.classid = 'pg_class'::regclass THEN d.objid END)))
ORDER BY 1
