-- How large a table is, with `whole` everything that inherits from it: pages, bytes with what is stored out of line, and rows
-- per page as the last VACUUM or ANALYZE counted them, NULL where none did.
WITH RECURSIVE part (oid) AS (
    SELECT %(table)s::oid
    UNION
    SELECT i.inhrelid FROM part JOIN pg_inherits AS i ON i.inhparent = part.oid WHERE %(whole)s
)
SELECT coalesce(sum(pg_relation_size(c.oid)), 0)::int8 / current_setting('block_size')::int8 AS pages,
       coalesce(sum(pg_table_size(c.oid)), 0)::int8 AS bytes,
       (sum(c.reltuples) FILTER (WHERE c.reltuples > 0 AND c.relpages > 0)
        / sum(c.relpages) FILTER (WHERE c.reltuples > 0 AND c.relpages > 0))::float8 AS density
FROM part
JOIN pg_class AS c ON c.oid = part.oid AND c.relkind <> 'p'
