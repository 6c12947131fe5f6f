-- Which of these are materialized views that hold rows, whether a refresh could leave their readers alone (it takes a unique
-- index of columns, over all rows), and whether this role may refresh them (17 has a right of its own for that).
SELECT c.oid::int8 AS oid,
       EXISTS (SELECT FROM pg_index AS i
               WHERE i.indrelid = c.oid AND i.indisunique AND i.indisvalid AND i.indimmediate AND i.indpred IS NULL
                 AND i.indexprs IS NULL) AS has_key,
       pg_has_role(c.relowner, 'USAGE')
           OR CASE WHEN current_setting('server_version_num')::int >= 170000 THEN has_table_privilege(c.oid, 'MAINTAIN')
                   ELSE false END AS may_refresh
FROM pg_class AS c
WHERE c.oid = ANY (%(views)s::oid[]) AND c.relkind = 'm' AND c.relispopulated
ORDER BY c.oid
