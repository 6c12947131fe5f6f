-- The server process behind a session.
SELECT pg_backend_pid() AS pid
