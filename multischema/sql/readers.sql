-- Who the readers are, in their order: the one that Metabase connects as, then the schema readers.
-- The rights of a reader's roles count as its own: it can SET ROLE to them.
SELECT named.name,
       named.place = 1 AS is_first,
       reader.oid IS NOT NULL AS exists,
       coalesce(reader.rolsuper, false) AS is_superuser,
       coalesce(reader.rolname = current_user, false) AS is_self,
       ARRAY(SELECT r.rolname::text FROM pg_roles AS r
             WHERE reader.oid IS NOT NULL AND NOT reader.rolsuper AND r.oid <> reader.oid
               AND (r.rolsuper OR r.rolcreaterole OR r.rolreplication OR r.rolbypassrls OR r.rolname = current_user
                    OR r.rolname IN ('pg_read_all_data', 'pg_write_all_data', 'pg_read_server_files',
                                     'pg_execute_server_program', 'pg_write_server_files', 'pg_create_subscription',
                                     'pg_maintain'))
               AND pg_has_role(reader.oid, r.oid, 'MEMBER')
             ORDER BY r.rolname) AS powers,
       array_remove(ARRAY[CASE WHEN reader.rolcreaterole THEN 'CREATEROLE' END,
                          CASE WHEN reader.rolreplication THEN 'REPLICATION' END,
                          CASE WHEN reader.rolbypassrls THEN 'BYPASSRLS' END], NULL) AS attributes,
       -- a database's owner is that of schema public too, and a member of pg_database_owner
       coalesce(pg_has_role(reader.oid, (SELECT d.datdba FROM pg_database AS d WHERE d.datname = current_database()), 'MEMBER'),
                false) AS owns_database,
       ARRAY(SELECT r.rolname::text FROM pg_roles AS r
             WHERE reader.oid IS NOT NULL AND NOT reader.rolsuper
               AND r.rolname IN ('pg_monitor', 'pg_read_all_stats', 'pg_read_all_settings', 'pg_signal_backend')
               AND pg_has_role(reader.oid, r.oid, 'MEMBER')
             ORDER BY r.rolname) AS watches,
       -- itself, or as the role of a group
       coalesce(reader.rolcanlogin AND reader.rolconnlimit <> 0, false)
           OR EXISTS (SELECT FROM pg_roles AS member
                      WHERE member.rolcanlogin AND member.rolconnlimit <> 0 AND NOT member.rolsuper AND member.rolname <> current_user
                        AND pg_has_role(member.oid, reader.oid, 'USAGE')) AS may_log_in,
       coalesce(reader.rolconnlimit = 0, false) AS may_have_no_session,
       coalesce(reader.rolvaliduntil < now(), false) AS expired,
       coalesce(has_database_privilege(reader.oid, current_database(), 'CONNECT'), true) AS may_connect,
       -- what the first reader may read in other schemas, a member of it may too
       CASE WHEN named.place > 1 AND pg_has_role(reader.oid, foremost.oid, 'MEMBER') THEN foremost.rolname::text END AS follows_first
FROM unnest(%(readers)s::text[]) WITH ORDINALITY AS named (name, place)
LEFT JOIN pg_roles AS reader ON reader.rolname = named.name
LEFT JOIN pg_roles AS foremost ON foremost.rolname = (%(readers)s::text[])[1]
ORDER BY named.place
