-- Forgets what is known of a published schema, so that its next run is full.
DELETE FROM etl_state.published AS kept WHERE kept.schema = %(schema)s RETURNING kept.schema
