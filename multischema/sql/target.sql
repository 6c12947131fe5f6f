-- What a run must know about the target before it writes: who owns the published schema.
SELECT published.oid IS NOT NULL AS published_exists,
       coalesce(pg_get_userbyid(published.nspowner) = current_user, true) AS owns_published,
       pg_get_userbyid(published.nspowner)::text AS published_owner,
       obj_description(published.oid, 'pg_namespace') AS published_comment
FROM (SELECT) AS nothing
LEFT JOIN pg_namespace AS published ON published.nspname = %(schema)s
