-- Where the server stands in its history, as this transaction's snapshot sees it. A standby has no log of its own. A server
-- begins its counters anew after a crash: what was committed asynchronously may be lost then, the numbers of its transactions
-- are given to others, and neither its start nor its position in the log tells.
SELECT pg_snapshot_xmin(now.snapshot)::text::int8 AS xmin,
       pg_snapshot_xmax(now.snapshot)::text::int8 AS xmax,
       (CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_insert_lsn() END - '0/0'::pg_lsn)::int8 AS lsn,
       pg_is_in_recovery() AS in_recovery,
       pg_postmaster_start_time()::text AS started,
       coalesce((SELECT b.stats_reset::text FROM pg_stat_bgwriter AS b), '') AS counting_since,
       current_setting('server_version_num') AS version,
       (SELECT d.oid::int8 FROM pg_database AS d WHERE d.datname = current_database()) AS database
FROM (SELECT pg_current_snapshot() AS snapshot) AS now
