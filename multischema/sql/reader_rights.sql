-- What the reader could read besides published schemas: staging and old schemas, and tables in public or in a raw schema; as
-- itself, or as a role that it can SET ROLE to. It reads rights on a schema from the row that holds its name:
-- has_schema_privilege() shows the present, when another app's staging schema may have been published since.
WITH who AS MATERIALIZED (SELECT r.oid FROM pg_roles AS r WHERE pg_has_role(%(reader)s, r.oid, 'MEMBER'))
SELECT 'schema' AS what, n.nspname::text AS name
FROM pg_namespace AS n
WHERE n.nspname ~ %(hidden)s
  AND (n.nspowner IN (SELECT oid FROM who)
       OR EXISTS (SELECT FROM aclexplode(n.nspacl) AS acl
                  WHERE acl.privilege_type = 'USAGE' AND (acl.grantee = 0 OR acl.grantee IN (SELECT oid FROM who))))
UNION ALL
SELECT 'table', format('%%I.%%I', n.nspname, c.relname)
FROM pg_class AS c
JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname = ANY (%(raw)s::text[]) AND c.relkind IN ('r', 'p', 'm', 'f', 'v')
  AND c.relowner = (SELECT oid FROM pg_roles WHERE rolname = current_user)
  AND EXISTS (SELECT FROM who WHERE has_schema_privilege(who.oid, n.oid, 'USAGE'))
  AND EXISTS (SELECT FROM who WHERE has_any_column_privilege(who.oid, c.oid, 'SELECT'))
  AND NOT EXISTS (SELECT FROM pg_depend AS d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
ORDER BY 1, 2
