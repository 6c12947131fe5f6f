-- The wanted settings that a session did not start with, whatever it has set since. Older majors have all of them.
SELECT known.name
FROM unnest(%(names)s::text[], %(values)s::text[]) AS wanted (name, value)
JOIN pg_settings AS known ON known.name = wanted.name
WHERE known.reset_val IS DISTINCT FROM wanted.value
ORDER BY known.name
