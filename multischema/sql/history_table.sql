-- Whether the history of runs is there, as a table of this role: others could put a view of theirs in its place.
SELECT c.relname::text AS name
FROM pg_class AS c
WHERE c.relname = 'runs' AND c.relkind = 'r' AND NOT c.relrowsecurity
    AND c.relowner = (SELECT oid FROM pg_roles WHERE rolname = current_user)
    AND c.relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = %(schema)s)
