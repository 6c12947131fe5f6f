-- This role's tables in a schema, members of extensions aside, with each other role that has grants on them.
SELECT DISTINCT c.oid::regclass::text AS "table", r.rolname::text AS role
FROM pg_class AS c
CROSS JOIN LATERAL aclexplode(c.relacl) AS acl
LEFT JOIN pg_roles AS r ON r.oid = acl.grantee
WHERE c.relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = %(schema)s)
  AND c.relkind IN ('r', 'p') AND acl.grantee <> c.relowner
  AND c.relowner = (SELECT oid FROM pg_roles WHERE rolname = current_user)
  AND NOT EXISTS (SELECT FROM pg_depend AS d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
ORDER BY 1, 2 NULLS FIRST
