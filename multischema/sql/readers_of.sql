-- Who has a relation open: sessions, and prepared transactions, which have none.
SELECT DISTINCT CASE WHEN l.pid IS NULL THEN 'prepared' ELSE 'session' END AS what, l.pid,
       coalesce(a.usename, p.owner)::text AS role, p.gid::text AS name
FROM pg_locks AS l
LEFT JOIN pg_stat_activity AS a ON a.pid = l.pid
LEFT JOIN pg_locks AS x
       ON l.pid IS NULL AND x.pid IS NULL AND x.virtualtransaction = l.virtualtransaction AND x.locktype = 'transactionid'
LEFT JOIN pg_prepared_xacts AS p ON p.transaction::text = x.transactionid::text
WHERE l.granted AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND l.relation = %(relation)s AND l.pid IS DISTINCT FROM pg_backend_pid()
ORDER BY 1, 2, 4
