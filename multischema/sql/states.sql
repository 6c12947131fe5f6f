-- What the last run of each schema kept, where the schema is still there.
SELECT kept.schema, kept.state
FROM etl_state.published AS kept
JOIN pg_namespace AS n ON n.nspname = kept.schema
ORDER BY kept.schema
