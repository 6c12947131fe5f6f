-- Ends the sessions of a killed run, and never those of the run that asks.
SELECT pg_terminate_backend(pid) AS ended
FROM pg_stat_activity
WHERE application_name = %(application)s AND application_name <> current_setting('application_name')
  AND datname = current_database() AND usename = current_user
