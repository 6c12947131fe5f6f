-- The schemas whose names match a pattern, whether the run's own role owns them, and their comments, which hold our records.
SELECT n.nspname::text AS name, o.rolname = current_user AS own, obj_description(n.oid, 'pg_namespace') AS comment
FROM pg_namespace AS n
JOIN pg_roles AS o ON o.oid = n.nspowner
WHERE n.nspname ~ %(pattern)s
ORDER BY n.nspname
