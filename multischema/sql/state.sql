-- What the last run of a published schema kept.
SELECT kept.state FROM etl_state.published AS kept WHERE kept.schema = %(schema)s
