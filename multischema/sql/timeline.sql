-- What distinguishes a server from all others, and its history from that of the same files started elsewhere.
SELECT s.system_identifier::text AS system, c.timeline_id AS timeline
FROM pg_control_system() AS s CROSS JOIN pg_control_checkpoint() AS c
