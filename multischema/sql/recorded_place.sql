-- The table with the history of runs: whether it is there, and a plain one of this role's, which runs no code of others.
SELECT c.oid IS NOT NULL AS exists,
       coalesce(c.relkind = 'r' AND pg_get_userbyid(c.relowner) = current_user AND NOT c.relrowsecurity, false) AS own
FROM (SELECT) AS nothing
LEFT JOIN pg_namespace AS n ON n.nspname = %(schema)s
LEFT JOIN pg_class AS c ON c.relnamespace = n.oid AND c.relname = 'runs'
