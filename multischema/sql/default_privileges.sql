-- The default privileges on objects that a role creates in a schema; PUBLIC is NULL.
SELECT creator.rolname::text AS creator,
       creator.rolname = current_user AS is_own,
       pg_has_role(creator.oid, 'USAGE') AS may_grant,
       CASE d.defaclobjtype WHEN 'r' THEN 'TABLES' WHEN 'S' THEN 'SEQUENCES' WHEN 'f' THEN 'FUNCTIONS' ELSE 'TYPES' END AS kind,
       r.rolname::text AS role,
       acl.privilege_type AS privilege,
       bool_or(acl.is_grantable) AS grantable
FROM pg_default_acl AS d
CROSS JOIN LATERAL aclexplode(d.defaclacl) AS acl
JOIN pg_roles AS creator ON creator.oid = d.defaclrole
LEFT JOIN pg_roles AS r ON r.oid = acl.grantee
WHERE d.defaclnamespace = (SELECT n.oid FROM pg_namespace AS n WHERE n.nspname = %(schema)s)
GROUP BY 1, 2, 3, 4, 5, 6
ORDER BY 1, 4, 5 NULLS FIRST, 6
