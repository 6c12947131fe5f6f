-- The tables of a schema by their number, which no other table gets, whose they are, and what others did to one: what runs for each
-- row, hides rows, or shows them to others.
SELECT c.relname::text AS name,
       c.oid::int8 AS oid,
       pg_get_userbyid(c.relowner) = current_user AS own,
       coalesce((SELECT format('trigger %%s', t.tgname) FROM pg_trigger AS t
                 WHERE t.tgrelid = c.oid AND NOT t.tgisinternal ORDER BY 1 LIMIT 1),
                (SELECT format('rule %%s', r.rulename) FROM pg_rewrite AS r WHERE r.ev_class = c.oid ORDER BY 1 LIMIT 1),
                CASE WHEN c.relrowsecurity THEN 'row security' END,
                (SELECT format('a grant to %%s', coalesce(r.rolname, 'PUBLIC'))
                 FROM aclexplode(c.relacl) AS acl
                 LEFT JOIN pg_roles AS r ON r.oid = acl.grantee
                 WHERE acl.grantee <> c.relowner ORDER BY 1 LIMIT 1)) AS guest
FROM pg_class AS c
WHERE c.relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = %(schema)s)
  AND c.relkind IN ('r', 'p') AND (%(tables)s::text[] IS NULL OR c.relname = ANY (%(tables)s::text[]))
ORDER BY c.relname
