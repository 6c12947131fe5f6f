-- What a run must know about a server and its own role there, on either side.
SELECT current_setting('server_version_num')::int / 10000 AS major,
       current_setting('server_encoding') AS encoding,
       current_database()::text AS database,
       (SELECT d.oid::int8 FROM pg_database AS d WHERE d.datname = current_database()) AS database_oid,
       pg_postmaster_start_time()::text AS started,
       (SELECT concat_ws(' ', d.datcollate, d.datctype, coalesce(to_jsonb(d) ->> 'datlocprovider', 'c'),
                         to_jsonb(d) ->> 'daticulocale', to_jsonb(d) ->> 'datlocale')
        FROM pg_database AS d WHERE d.datname = current_database()) AS locale,
       current_user::text AS role,
       pg_is_in_recovery() AS in_recovery,
       CASE WHEN pg_is_in_recovery() AND NOT current_setting('hot_standby_feedback')::bool
                 AND current_setting('max_standby_streaming_delay') <> '-1'
            THEN current_setting('max_standby_streaming_delay') END AS patience,
       (SELECT min(each) FROM pg_roles AS r, pg_database AS d,
               LATERAL (VALUES (nullif(r.rolconnlimit, -1)), (nullif(d.datconnlimit, -1)),
                               (current_setting('max_connections')::int
                                - current_setting('superuser_reserved_connections')::int)) AS most (each)
        WHERE r.rolname = session_user AND NOT r.rolsuper AND d.datname = current_database()) AS connections,
       has_database_privilege(current_database(), 'CREATE') AS may_create_schemas,
       has_schema_privilege_of.usage AS may_use_schema,
       has_schema_privilege_of.create AS may_fill_schema
FROM (SELECT (SELECT has_schema_privilege(oid, 'USAGE') FROM pg_namespace WHERE nspname = %(schema)s) AS usage,
             (SELECT has_schema_privilege(oid, 'CREATE') FROM pg_namespace WHERE nspname = %(schema)s) AS create)
     AS has_schema_privilege_of
