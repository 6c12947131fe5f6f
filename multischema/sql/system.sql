-- The identifier that distinguishes a server from all others; its standbys and copies of its files share it.
SELECT system_identifier::text AS system FROM pg_control_system()
