-- The grants on a schema's relations, or on one of them, and on their columns; PUBLIC is NULL.
SELECT c.relname::text AS relation,
       acl.column AS "column",
       r.rolname::text AS role,
       acl.grantee = c.relowner AS is_owner,
       acl.privilege_type AS privilege,
       bool_or(acl.is_grantable) AS grantable
FROM pg_class AS c
CROSS JOIN LATERAL (
    SELECT NULL::text AS "column", whole.*
    FROM aclexplode(coalesce(c.relacl, acldefault('r', c.relowner))) AS whole
    UNION ALL
    SELECT a.attname::text, part.*
    FROM pg_attribute AS a CROSS JOIN LATERAL aclexplode(a.attacl) AS part
    WHERE a.attrelid = c.oid AND NOT a.attisdropped
) AS acl
LEFT JOIN pg_roles AS r ON r.oid = acl.grantee
WHERE c.relnamespace = (SELECT n.oid FROM pg_namespace AS n WHERE n.nspname = %(schema)s)
  AND c.relkind IN ('r', 'v', 'm') AND (%(relation)s::text IS NULL OR c.relname = %(relation)s::text)
GROUP BY 1, 2, 3, 4, 5
ORDER BY 1, 2 NULLS FIRST, 3 NULLS FIRST, 5
