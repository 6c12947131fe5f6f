-- The types that extensions of the target brought: their code is the server's, and not a neighbour's.
SELECT n.nspname::text AS schema, t.typname::text AS name
FROM pg_depend AS d
JOIN pg_type AS t ON t.oid = d.objid
JOIN pg_namespace AS n ON n.oid = t.typnamespace
WHERE d.classid = 'pg_type'::regclass AND d.deptype = 'e' AND n.nspname <> 'pg_catalog'
