-- The name under which other sessions can read what this transaction reads, and the server's time as of which that is. A standby
-- that has replayed all that it received, and still receives, is as of now; any other as of the last commit that it replayed.
SELECT pg_export_snapshot() AS identifier,
       CASE WHEN NOT pg_is_in_recovery() THEN now()
            WHEN pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn() AND EXISTS (SELECT FROM pg_stat_wal_receiver) THEN now()
            ELSE pg_last_xact_replay_timestamp() END AS taken_at
