-- The name under which other sessions can read what this transaction reads.
SELECT pg_export_snapshot() AS identifier
