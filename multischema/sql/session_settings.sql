-- Sets those of the wanted settings that the server knows; older majors lack some (idle_session_timeout, transaction_timeout).
SELECT set_config(known.name, wanted.value, false)
FROM unnest(%(names)s::text[], %(values)s::text[]) AS wanted (name, value)
JOIN pg_settings AS known ON known.name = wanted.name
