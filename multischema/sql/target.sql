-- What a run must know of the target before it writes: who owns the published schema, and who the reader is.
SELECT published.oid IS NOT NULL AS published_exists,
       coalesce(pg_has_role(published.nspowner, 'USAGE'), true) AS owns_published,
       pg_get_userbyid(published.nspowner)::text AS published_owner,
       obj_description(published.oid, 'pg_namespace') AS published_comment,
       reader.oid IS NOT NULL AS reader_exists,
       coalesce(reader.rolsuper, false) AS reader_is_superuser,
       coalesce(reader.rolname = current_user, false) AS reader_is_self,
       ARRAY(SELECT r.rolname::text FROM pg_roles AS r
             WHERE reader.oid IS NOT NULL AND NOT reader.rolsuper AND r.oid <> reader.oid
               AND (r.rolsuper OR r.rolname = current_user
                    OR r.rolname IN ('pg_read_all_data', 'pg_read_server_files', 'pg_execute_server_program',
                                     'pg_write_server_files'))
               AND pg_has_role(reader.oid, r.oid, 'MEMBER')
             ORDER BY r.rolname) AS reader_powers
FROM (SELECT) AS nothing
LEFT JOIN pg_namespace AS published ON published.nspname = %(schema)s
LEFT JOIN pg_roles AS reader ON reader.rolname = %(reader)s
