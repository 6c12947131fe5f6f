-- The roles that a schema is granted to, its owner aside; PUBLIC is NULL.
SELECT DISTINCT r.rolname::text AS role
FROM pg_namespace AS n
CROSS JOIN LATERAL aclexplode(n.nspacl) AS acl
LEFT JOIN pg_roles AS r ON r.oid = acl.grantee
WHERE n.nspname = %(schema)s AND acl.grantee <> n.nspowner
ORDER BY 1
