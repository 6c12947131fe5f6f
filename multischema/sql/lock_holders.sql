-- Who has the lock of a schema, runs of this session's role or all others: anybody may take an advisory lock whose number they know, also
-- in a transaction that is prepared then and has no session.
SELECT CASE WHEN l.pid IS NULL THEN 'prepared' ELSE 'session' END AS what, l.pid,
       coalesce(a.usename, p.owner)::text AS role, p.gid::text AS name
FROM pg_locks AS l
LEFT JOIN pg_stat_activity AS a ON a.pid = l.pid
LEFT JOIN pg_locks AS x
       ON l.pid IS NULL AND x.pid IS NULL AND x.virtualtransaction = l.virtualtransaction AND x.locktype = 'transactionid'
LEFT JOIN pg_prepared_xacts AS p ON p.transaction::text = x.transactionid::text
WHERE l.locktype = 'advisory' AND l.granted
  AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND l.classid = 6648940 AND l.objsubid = 2
  AND l.objid = hashtext(%(schema)s)::oid
  AND (coalesce(a.usename, p.owner) = session_user) = %(runs)s
ORDER BY l.pid
