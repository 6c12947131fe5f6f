-- Keeps what the next run of a published schema must know.
INSERT INTO etl_state.published AS kept (schema, state) VALUES (%(schema)s, %(state)s)
ON CONFLICT (schema) DO UPDATE SET state = excluded.state
RETURNING kept.schema
