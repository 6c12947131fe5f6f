-- Whether a role may make the tables of a Prefect server in a new database: they are in its first schema, and need an extension.
SELECT current_user::text AS role,
       current_database()::text AS database,
       coalesce(current_schema()::text, '') AS schema,
       to_regclass('alembic_version') IS NOT NULL AS is_made,
       coalesce(has_schema_privilege(current_schema(), 'CREATE'), false) AS may_create,
       EXISTS (SELECT FROM pg_extension WHERE extname = 'pg_trgm') AS has_trigrams,
       EXISTS (SELECT FROM pg_available_extensions WHERE name = 'pg_trgm') AS knows_trigrams,
       (SELECT rolsuper FROM pg_roles WHERE rolname = current_user)
       OR has_database_privilege(current_database(), 'CREATE')
          AND EXISTS (SELECT FROM pg_available_extension_versions WHERE name = 'pg_trgm' AND trusted) AS may_extend
