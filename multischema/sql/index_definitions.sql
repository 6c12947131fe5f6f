-- The definitions of indexes, unqualified: the search_path is the origin schema, as nowhere else. So nothing here may be found in
-- it: others could have put a function or an operator there that fits better than the one of pg_catalog.
SELECT wanted.oid::pg_catalog.int8 AS oid, pg_catalog.pg_get_indexdef(wanted.oid, 0, true) AS definition
FROM pg_catalog.unnest(%(indexes)s::pg_catalog.oid[]) AS wanted (oid)
