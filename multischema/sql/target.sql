-- What a run must know about the target before it writes: who owns the published schema, and who the reader is.
-- The rights of the reader's roles count as its own: it can SET ROLE to them.
SELECT published.oid IS NOT NULL AS published_exists,
       coalesce(pg_get_userbyid(published.nspowner) = current_user, true) AS owns_published,
       pg_get_userbyid(published.nspowner)::text AS published_owner,
       obj_description(published.oid, 'pg_namespace') AS published_comment,
       reader.oid IS NOT NULL AS reader_exists,
       coalesce(reader.rolsuper, false) AS reader_is_superuser,
       coalesce(reader.rolname = current_user, false) AS reader_is_self,
       ARRAY(SELECT r.rolname::text FROM pg_roles AS r
             WHERE reader.oid IS NOT NULL AND NOT reader.rolsuper AND r.oid <> reader.oid
               AND (r.rolsuper OR r.rolcreaterole OR r.rolreplication OR r.rolbypassrls OR r.rolname = current_user
                    OR r.rolname IN ('pg_read_all_data', 'pg_write_all_data', 'pg_read_server_files',
                                     'pg_execute_server_program', 'pg_write_server_files', 'pg_create_subscription',
                                     'pg_maintain'))
               AND pg_has_role(reader.oid, r.oid, 'MEMBER')
             ORDER BY r.rolname) AS reader_powers,
       array_remove(ARRAY[CASE WHEN reader.rolcreaterole THEN 'CREATEROLE' END,
                          CASE WHEN reader.rolreplication THEN 'REPLICATION' END,
                          CASE WHEN reader.rolbypassrls THEN 'BYPASSRLS' END], NULL) AS reader_attributes,
       -- a database's owner is that of schema public too, and a member of pg_database_owner
       coalesce(pg_has_role(reader.oid, (SELECT d.datdba FROM pg_database AS d WHERE d.datname = current_database()), 'MEMBER'),
                false) AS reader_owns_database,
       ARRAY(SELECT r.rolname::text FROM pg_roles AS r
             WHERE reader.oid IS NOT NULL AND NOT reader.rolsuper
               AND r.rolname IN ('pg_monitor', 'pg_read_all_stats', 'pg_read_all_settings', 'pg_signal_backend')
               AND pg_has_role(reader.oid, r.oid, 'MEMBER')
             ORDER BY r.rolname) AS reader_watches,
       -- itself, or as the role of a group
       coalesce(reader.rolcanlogin AND reader.rolconnlimit <> 0, false)
           OR EXISTS (SELECT FROM pg_roles AS member
                      WHERE member.rolcanlogin AND member.rolconnlimit <> 0 AND NOT member.rolsuper AND member.rolname <> current_user
                        AND pg_has_role(member.oid, reader.oid, 'USAGE')) AS reader_may_log_in,
       coalesce(reader.rolconnlimit = 0, false) AS reader_may_have_no_session,
       coalesce(reader.rolvaliduntil < now(), false) AS reader_expired,
       coalesce(has_database_privilege(reader.oid, current_database(), 'CONNECT'), true) AS reader_may_connect
FROM (SELECT) AS nothing
LEFT JOIN pg_namespace AS published ON published.nspname = %(schema)s
LEFT JOIN pg_roles AS reader ON reader.rolname = %(reader)s
