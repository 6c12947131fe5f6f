-- The schemas with raw data of the ETL's: those with a marker of its own, whose comment is the name of the run's pg_restore's sessions.
SELECT n.nspname::text AS schema, obj_description(t.oid, 'pg_type') AS application
FROM pg_type AS t
JOIN pg_namespace AS n ON n.oid = t.typnamespace
WHERE t.typname = %(marker)s AND t.typtype = 'd' AND pg_get_userbyid(t.typowner) = current_user
  AND obj_description(t.oid, 'pg_type') LIKE 'multi-schema-postgres-etl %%'
ORDER BY 1
