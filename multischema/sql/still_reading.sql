-- Which of these roles may read a table of a schema: by a right of their own, of PUBLIC, or of a role that they are a member of.
SELECT role.rolname::text
FROM pg_roles AS role
JOIN pg_namespace AS n ON n.nspname = %(schema)s
WHERE role.rolname = ANY (%(roles)s::text[])
  AND EXISTS (SELECT FROM pg_roles AS r WHERE pg_has_role(role.oid, r.oid, 'MEMBER') AND has_schema_privilege(r.oid, n.oid, 'USAGE'))
  AND EXISTS (SELECT FROM pg_roles AS r JOIN pg_class AS c ON c.relnamespace = n.oid AND c.relkind = 'r'
              WHERE pg_has_role(role.oid, r.oid, 'MEMBER') AND has_any_column_privilege(r.oid, c.oid, 'SELECT'))
ORDER BY 1
