-- Whether the log up to a position is on disk: a crash loses what is not, and gives its transactions' numbers to others.
SELECT pg_is_in_recovery() OR pg_current_wal_flush_lsn() - '0/0'::pg_lsn >= %(lsn)s::int8 AS on_disk
