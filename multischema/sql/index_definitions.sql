-- The definitions of indexes, unqualified: only here is the search_path the origin schema. So qualify everything: others could
-- have put a function or an operator there that fits better than pg_catalog's.
SELECT wanted.oid::pg_catalog.int8 AS oid, pg_catalog.pg_get_indexdef(wanted.oid, 0, true) AS definition
FROM pg_catalog.unnest(%(indexes)s::pg_catalog.oid[]) AS wanted (oid)
