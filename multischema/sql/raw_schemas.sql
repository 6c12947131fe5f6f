-- The schemas with the ETL's raw data, which have its marker. The marker's comment is the name of the run's sessions and, on a second
-- line, what the run makes there; versions before 1.0 did not write that line.
SELECT n.nspname::text AS schema,
       split_part(obj_description(t.oid, 'pg_type'), E'\n', 1) AS application,
       nullif(split_part(obj_description(t.oid, 'pg_type'), E'\n', 2), '')::json AS made
FROM pg_type AS t
JOIN pg_namespace AS n ON n.oid = t.typnamespace
WHERE t.typname = %(marker)s AND t.typtype = 'd' AND pg_get_userbyid(t.typowner) = current_user
  AND obj_description(t.oid, 'pg_type') LIKE 'multi-schema-postgres-etl %%'
ORDER BY 1
