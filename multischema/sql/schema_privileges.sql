-- The grants on a schema to roles other than its owner; PUBLIC is NULL.
SELECT r.rolname::text AS role, acl.privilege_type AS privilege, bool_or(acl.is_grantable) AS grantable
FROM pg_namespace AS n
CROSS JOIN LATERAL aclexplode(n.nspacl) AS acl
LEFT JOIN pg_roles AS r ON r.oid = acl.grantee
WHERE n.nspname = %(schema)s AND acl.grantee <> n.nspowner
GROUP BY 1, 2
ORDER BY 1, 2
