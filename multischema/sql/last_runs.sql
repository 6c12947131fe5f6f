-- The last run that the history has of each published schema; the session's search_path leads to the history. Rows that somebody
-- put into a child of the table are no run's.
SELECT DISTINCT ON (r.app, r.schema)
       r.app, r.schema, r.snapshot_at, r.published_at, r.rows, r.bytes, r.seconds, r.kind, r.version, r.warnings,
       EXISTS (SELECT FROM pg_namespace AS n WHERE n.nspname = r.schema) AS is_there
FROM ONLY runs AS r
ORDER BY r.app, r.schema, r.id DESC
