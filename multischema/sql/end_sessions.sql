-- Ends the sessions of a killed run: its pg_restore may still be at work.
SELECT pg_terminate_backend(pid) AS ended
FROM pg_stat_activity
WHERE application_name = %(application)s AND datname = current_database() AND usename = current_user AND pid <> pg_backend_pid()
