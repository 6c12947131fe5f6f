-- The place of the history of runs: whose its schema is, the columns that its tables have (none if there is no such table), and
-- what keeps a run from writing there: relations of these names that are no plain tables of this role's, what others put on the
-- tables that our statements would call, and roles that may write there too. Whether the reader may read it.
SELECT n.oid IS NOT NULL AS exists,
       pg_get_userbyid(n.nspowner)::text AS owner,
       coalesce(pg_get_userbyid(n.nspowner) = current_user, false) AS is_owned,
       coalesce(obj_description(n.oid, 'pg_namespace') = %(mark)s, false) AS is_marked,
       ARRAY(SELECT a.attname::text FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid
             WHERE c.relnamespace = n.oid AND c.relname = %(runs)s AND a.attnum > 0 AND NOT a.attisdropped
             ORDER BY a.attnum) AS runs,
       ARRAY(SELECT a.attname::text FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid
             WHERE c.relnamespace = n.oid AND c.relname = %(tables)s AND a.attnum > 0 AND NOT a.attisdropped
             ORDER BY a.attnum) AS tables,
       ARRAY(SELECT c.relname::text FROM pg_class AS c
             WHERE c.relnamespace = n.oid AND c.relname IN (%(runs)s, %(tables)s)
               AND (c.relkind <> 'r' OR pg_get_userbyid(c.relowner) <> current_user)
             ORDER BY 1) AS strange,
       ARRAY(SELECT format('row security is on for table %%I', c.relname) FROM pg_class AS c
             WHERE c.relnamespace = n.oid AND c.relname IN (%(runs)s, %(tables)s) AND c.relrowsecurity
             UNION ALL
             SELECT format('trigger %%I is on table %%I', t.tgname, c.relname) FROM pg_trigger AS t JOIN pg_class AS c ON c.oid = t.tgrelid
             WHERE c.relnamespace = n.oid AND c.relname IN (%(runs)s, %(tables)s) AND NOT t.tgisinternal
             UNION ALL
             SELECT format('rule %%I is on table %%I', r.rulename, c.relname) FROM pg_rewrite AS r JOIN pg_class AS c ON c.oid = r.ev_class
             WHERE c.relnamespace = n.oid AND c.relname IN (%(runs)s, %(tables)s) AND c.relkind = 'r'
             UNION ALL
             SELECT format('foreign key %%I of %%s is on table %%I', k.conname, k.conrelid::regclass, c.relname)
             FROM pg_constraint AS k JOIN pg_class AS c ON c.oid = k.confrelid JOIN pg_class AS other ON other.oid = k.conrelid
             WHERE c.relnamespace = n.oid AND c.relname IN (%(runs)s, %(tables)s) AND k.contype = 'f'
               AND (other.relnamespace <> n.oid OR other.relname <> %(tables)s)
             UNION ALL
             SELECT format('child %%s is on table %%I', i.inhrelid::regclass, c.relname) FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhparent
             WHERE c.relnamespace = n.oid AND c.relname IN (%(runs)s, %(tables)s)
             ORDER BY 1) AS guests,
       ARRAY(SELECT DISTINCT CASE acl.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_get_userbyid(acl.grantee)::text END
             FROM pg_class AS c
             CROSS JOIN LATERAL (SELECT * FROM aclexplode(c.relacl)
                                 UNION ALL
                                 SELECT part.* FROM pg_attribute AS a CROSS JOIN LATERAL aclexplode(a.attacl) AS part
                                 WHERE a.attrelid = c.oid AND NOT a.attisdropped) AS acl
             WHERE c.relnamespace = n.oid AND c.relname IN (%(runs)s, %(tables)s)
               AND acl.grantee <> c.relowner AND acl.privilege_type <> 'SELECT'
             ORDER BY 1) AS writers,
       coalesce(has_schema_privilege(reader.oid, n.oid, 'USAGE'), false)
           AND 2 = (SELECT count(*) FROM pg_class AS c
                    WHERE c.relnamespace = n.oid AND c.relname IN (%(runs)s, %(tables)s)
                      AND has_table_privilege(reader.oid, c.oid, 'SELECT')) AS is_readable
FROM (SELECT) AS nothing
LEFT JOIN pg_namespace AS n ON n.nspname = %(schema)s
LEFT JOIN pg_roles AS reader ON reader.rolname = %(reader)s
