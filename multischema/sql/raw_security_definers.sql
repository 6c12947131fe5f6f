-- This role's routines in a schema that run with its rights, whoever calls them.
SELECT what.identity AS routine
FROM pg_proc AS f
CROSS JOIN LATERAL pg_identify_object('pg_proc'::regclass, f.oid, 0) AS what
WHERE f.prosecdef AND f.pronamespace = (SELECT oid FROM pg_namespace WHERE nspname = %(schema)s)
  AND f.proowner = (SELECT oid FROM pg_roles WHERE rolname = current_user)
  AND NOT EXISTS (SELECT FROM pg_depend AS d WHERE d.classid = 'pg_proc'::regclass AND d.objid = f.oid AND d.deptype = 'e')
ORDER BY 1
