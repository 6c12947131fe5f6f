-- The tables of a schema that the reader would not read whole, or that are not this role's any more: what event triggers do
-- to tables that are created, and to grants.
SELECT c.relname::text AS name,
       c.relrowsecurity AS row_security,
       CASE WHEN o.rolname <> current_user THEN o.rolname::text END AS other_owner,
       NOT (has_schema_privilege(%(reader)s, n.oid, 'USAGE') AND has_table_privilege(%(reader)s, c.oid, 'SELECT')) AS refused
FROM pg_class AS c
JOIN pg_namespace AS n ON n.oid = c.relnamespace
JOIN pg_roles AS o ON o.oid = c.relowner
WHERE n.nspname = %(schema)s AND c.relkind = 'r'
ORDER BY 1
