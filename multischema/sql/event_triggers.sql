-- The event triggers that a run's statements may fire, members of extensions aside, each with its function.
SELECT t.evtname::text AS name, what.identity AS function
FROM pg_event_trigger AS t
CROSS JOIN LATERAL pg_identify_object('pg_proc'::regclass, t.evtfoid, 0) AS what
WHERE t.evtenabled IN ('O', 'A')
  AND NOT EXISTS (SELECT FROM pg_depend AS d
                  WHERE d.classid = 'pg_event_trigger'::regclass AND d.objid = t.oid AND d.deptype = 'e')
ORDER BY 1
