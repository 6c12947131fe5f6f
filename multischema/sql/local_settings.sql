-- Sets, until the transaction ends, those of the wanted settings that the server knows.
SELECT set_config(known.name, wanted.value, true)
FROM unnest(%(names)s::text[], %(values)s::text[]) AS wanted (name, value)
JOIN pg_settings AS known ON known.name = wanted.name
