-- What keeps a reader, or the run, from reading each table of a schema that the run made: event triggers may change new tables
-- and grants. And what others have put on it that the run's own statements would call, or change: triggers, rules, foreign keys of
-- tables elsewhere, which may delete rows there, and tables elsewhere that inherit from it. Looks at all tables if none are named.
SELECT c.relname::text AS name,
       c.relrowsecurity AS row_security,
       coalesce((SELECT format('trigger %%s', t.tgname) FROM pg_trigger AS t
                 WHERE t.tgrelid = c.oid AND NOT t.tgisinternal ORDER BY 1 LIMIT 1),
                (SELECT format('rule %%s', r.rulename) FROM pg_rewrite AS r WHERE r.ev_class = c.oid ORDER BY 1 LIMIT 1),
                (SELECT format('foreign key %%s of %%s', k.conname, k.conrelid::regclass)
                 FROM pg_constraint AS k JOIN pg_class AS other ON other.oid = k.conrelid
                 WHERE k.confrelid = c.oid AND other.relnamespace <> c.relnamespace ORDER BY 1 LIMIT 1),
                (SELECT format('child %%s', i.inhrelid::regclass)
                 FROM pg_inherits AS i JOIN pg_class AS other ON other.oid = i.inhrelid
                 WHERE i.inhparent = c.oid AND other.relnamespace <> c.relnamespace ORDER BY 1 LIMIT 1)) AS guest,
       CASE WHEN o.rolname <> current_user THEN o.rolname::text END AS other_owner,
       ARRAY(SELECT named.name
             FROM unnest(%(readers)s::text[]) WITH ORDINALITY AS named (name, place)
             JOIN pg_roles AS reader ON reader.rolname = named.name
             WHERE NOT (has_schema_privilege(reader.oid, n.oid, 'USAGE') AND has_table_privilege(reader.oid, c.oid, 'SELECT'))
             ORDER BY named.place) AS refused
FROM pg_class AS c
JOIN pg_namespace AS n ON n.oid = c.relnamespace
JOIN pg_roles AS o ON o.oid = c.relowner
WHERE n.nspname = %(schema)s AND c.relkind = 'r' AND (%(tables)s::text[] IS NULL OR c.relname = ANY (%(tables)s::text[]))
ORDER BY 1
