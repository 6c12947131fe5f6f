-- What keeps a schema from being dropped: transactions that have something in it open, and what stands on it from outside. Of what
-- ends with another session's temporary schema, the session: the number in that schema's name is the session's, which servers
-- before 16 don't tell. A schema that a crash left has no session of this database.
WITH RECURSIVE
here (oid) AS (SELECT oid FROM pg_database WHERE datname = current_database()),
held (oid) AS (SELECT oid FROM pg_namespace WHERE nspname = %(schema)s),
inside (classid, oid) AS (
    SELECT 'pg_class'::regclass::oid, c.oid FROM pg_class AS c JOIN held AS h ON h.oid = c.relnamespace
    UNION ALL
    SELECT 'pg_type'::regclass::oid, t.oid FROM pg_type AS t JOIN held AS h ON h.oid = t.typnamespace
    UNION ALL
    SELECT 'pg_proc'::regclass::oid, f.oid FROM pg_proc AS f JOIN held AS h ON h.oid = f.pronamespace
),
temporary (classid, oid, namespace) AS (
    SELECT d.classid, d.objid, n.nspname
    FROM pg_namespace AS n
    JOIN pg_depend AS d ON d.refclassid = 'pg_namespace'::regclass AND d.refobjid = n.oid
    WHERE pg_is_other_temp_schema(n.oid)
    UNION
    SELECT d.classid, d.objid, t.namespace
    FROM temporary AS t JOIN pg_depend AS d ON d.refclassid = t.classid AND d.refobjid = t.oid
),
outside (classid, oid, number) AS (
    SELECT DISTINCT d.classid, d.objid, d.objsubid
    FROM inside AS i
    JOIN pg_depend AS d ON d.refclassid = i.classid AND d.refobjid = i.oid AND d.deptype = 'n'
    WHERE NOT EXISTS (SELECT FROM inside AS i WHERE i.classid = d.classid AND i.oid = d.objid)
      -- what goes with a table of the schema, such as its keys
      AND NOT EXISTS (SELECT FROM pg_depend AS own JOIN inside AS i ON i.classid = own.refclassid AND i.oid = own.refobjid
                      WHERE own.classid = d.classid AND own.objid = d.objid AND own.deptype IN ('a', 'i'))
),
serving (namespace, pid) AS (
    SELECT DISTINCT t.namespace,
           CASE WHEN current_setting('server_version_num')::int >= 160000
                THEN pg_stat_get_backend_pid(substring(t.namespace FROM '[0-9]+$')::int) END
    FROM temporary AS t
)
SELECT DISTINCT CASE WHEN l.pid IS NULL THEN 'prepared' ELSE 'session' END AS what, l.pid,
       coalesce(a.usename, p.owner)::text AS role, p.gid::text AS name
FROM pg_locks AS l
LEFT JOIN pg_stat_activity AS a ON a.pid = l.pid
LEFT JOIN pg_locks AS x
       ON l.pid IS NULL AND x.pid IS NULL AND x.virtualtransaction = l.virtualtransaction AND x.locktype = 'transactionid'
LEFT JOIN pg_prepared_xacts AS p ON p.transaction::text = x.transactionid::text
WHERE l.granted AND l.database = (SELECT oid FROM here) AND l.pid IS DISTINCT FROM pg_backend_pid()
  AND l.relation IN (SELECT i.oid FROM inside AS i WHERE i.classid = 'pg_class'::regclass)
UNION
SELECT 'temporary', a.pid, coalesce(a.usename::text, pg_get_userbyid(coalesce(owner.refobjid, 10))::text), t.namespace::text
FROM outside AS o
JOIN temporary AS t ON t.classid = o.classid AND t.oid = o.oid
JOIN serving AS s ON s.namespace = t.namespace
LEFT JOIN pg_stat_activity AS a ON a.pid = s.pid AND a.datid = (SELECT oid FROM here)
LEFT JOIN LATERAL (SELECT d.refobjid FROM temporary AS one
                   JOIN pg_shdepend AS d ON d.classid = one.classid AND d.objid = one.oid AND d.deptype = 'o'
                   WHERE one.namespace = t.namespace AND d.dbid = (SELECT oid FROM here) LIMIT 1) AS owner ON true
UNION
SELECT 'object', NULL, NULL, pg_describe_object(o.classid, o.oid, o.number)
FROM outside AS o
WHERE NOT EXISTS (SELECT FROM temporary AS t WHERE t.classid = o.classid AND t.oid = o.oid)
ORDER BY 1, 2, 4
