-- The tables of this role's in a schema, members of extensions aside, and what would show their rows to others or change them: a
-- trigger, a rule, a policy or a grant. A foreign table, or a view, is none. All of them where no tables are named.
SELECT c.relname::text AS name,
       format('%%I.%%I', n.nspname, c.relname) AS "table",
       c.oid::int8 AS oid,
       coalesce((SELECT format('trigger %%s', t.tgname) FROM pg_trigger AS t
                 WHERE t.tgrelid = c.oid AND NOT t.tgisinternal ORDER BY 1 LIMIT 1),
                (SELECT format('rule %%s', r.rulename) FROM pg_rewrite AS r WHERE r.ev_class = c.oid ORDER BY 1 LIMIT 1),
                (SELECT format('policy %%s', p.polname) FROM pg_policy AS p WHERE p.polrelid = c.oid ORDER BY 1 LIMIT 1),
                (SELECT 'a grant to others' FROM aclexplode(c.relacl) AS acl WHERE acl.grantee <> c.relowner LIMIT 1),
                CASE WHEN c.relrowsecurity THEN 'row security' END) AS guest
FROM pg_class AS c
JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname = %(schema)s AND c.relkind IN ('r', 'p')
  AND (%(tables)s::text[] IS NULL OR c.relname = ANY (%(tables)s::text[]))
  AND c.relowner = (SELECT oid FROM pg_roles WHERE rolname = current_user)
  AND NOT EXISTS (SELECT FROM pg_depend AS d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
ORDER BY c.relname
