-- The schemas with raw data of the ETL's: those with a marker of its own, which holds the name of the run's sessions.
SELECT n.nspname::text AS schema, obj_description(c.oid, 'pg_class') AS application
FROM pg_class AS c
JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relname = %(marker)s AND c.relkind = 'r' AND pg_has_role(c.relowner, 'USAGE')
  AND obj_description(c.oid, 'pg_class') LIKE 'multi-schema-postgres-etl %%'
ORDER BY 1
