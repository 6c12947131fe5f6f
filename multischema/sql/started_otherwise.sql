-- Which of the wanted settings a session was not started with, whatever it has set since. Older majors lack none of them.
SELECT known.name
FROM unnest(%(names)s::text[], %(values)s::text[]) AS wanted (name, value)
JOIN pg_settings AS known ON known.name = wanted.name
WHERE known.reset_val IS DISTINCT FROM wanted.value
ORDER BY known.name
