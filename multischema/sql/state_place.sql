-- The place where runs keep what they must remember: whose its schema and its table are, and who else could write there.
SELECT n.oid IS NOT NULL AS exists,
       n.oid IS NOT NULL AND o.rolname = current_user AND obj_description(n.oid, 'pg_namespace') = %(mark)s AS own,
       coalesce(t.oid IS NOT NULL AND t.relkind = 'r' AND pg_get_userbyid(t.relowner) = current_user AND NOT t.relrowsecurity
                AND NOT EXISTS (SELECT FROM pg_trigger AS g WHERE g.tgrelid = t.oid)
                AND NOT EXISTS (SELECT FROM pg_rewrite AS r WHERE r.ev_class = t.oid), false) AS has_table,
       EXISTS (SELECT FROM aclexplode(n.nspacl) AS a WHERE a.grantee <> n.nspowner)
           OR EXISTS (SELECT FROM aclexplode(t.relacl) AS a WHERE a.grantee <> t.relowner) AS is_shared
FROM (SELECT) AS nothing
LEFT JOIN pg_namespace AS n ON n.nspname = %(schema)s
LEFT JOIN pg_roles AS o ON o.oid = n.nspowner
LEFT JOIN pg_class AS t ON t.relnamespace = n.oid AND t.relname = %(table)s
