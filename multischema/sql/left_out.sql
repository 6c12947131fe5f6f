-- What stands in the origin schema and is no table of the app's, and the schemas beside it that hold tables.
SELECT 'relation' AS what,
       c.relname::text AS name,
       CASE c.relkind WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view' WHEN 'f' THEN 'foreign table'
                      ELSE 'table of an extension' END AS kind
FROM pg_class AS c
WHERE c.relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = %(schema)s)
  AND (c.relkind IN ('v', 'm', 'f')
       OR c.relkind IN ('r', 'p') AND EXISTS (SELECT FROM pg_depend AS d WHERE d.classid = 'pg_class'::regclass
                                              AND d.objid = c.oid AND d.deptype = 'e'))
UNION ALL
SELECT 'partition', c.relname::text, 'partition'
FROM pg_class AS c
WHERE c.relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = %(schema)s) AND c.relispartition
UNION ALL
SELECT 'schema', n.nspname::text, 'schema'
FROM pg_namespace AS n
WHERE n.nspname <> %(schema)s AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
  AND EXISTS (SELECT FROM pg_class AS c WHERE c.relnamespace = n.oid AND c.relkind IN ('r', 'p', 'm', 'f'))
ORDER BY 1, 2
