-- What the reader could read of the ETL's besides published schemas: staging and old schemas, and tables in public.
SELECT 'schema' AS what, n.nspname::text AS name
FROM pg_namespace AS n
WHERE n.nspname ~ %(hidden)s AND has_schema_privilege(%(reader)s, n.oid, 'USAGE')
UNION ALL
SELECT 'table', format('public.%%I', c.relname)
FROM pg_class AS c
JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p', 'm', 'f', 'v') AND c.relowner = current_user::regrole
  AND has_schema_privilege(%(reader)s, n.oid, 'USAGE')
  AND (has_table_privilege(%(reader)s, c.oid, 'SELECT') OR has_any_column_privilege(%(reader)s, c.oid, 'SELECT'))
  AND NOT EXISTS (SELECT FROM pg_depend AS d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
ORDER BY 1, 2
