-- What tells a server from all others; its standbys, and copies of its files, have the same.
SELECT system_identifier::text AS system FROM pg_control_system()
