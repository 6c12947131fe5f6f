-- The objects in a schema, members of extensions aside: kind and name, both as DROP takes them, and the owner. The server's
-- own superuser has no entry in pg_shdepend. The marker of raw data must outlive the rest. What was dropped since the
-- transaction's snapshot has no identity. `made` marks what a run made, by the names in its marker: everything if it has none.
SELECT what.type AS kind,
       what.identity AS name,
       coalesce(o.refobjid, 10)::regrole::text AS owner,
       pg_get_userbyid(coalesce(o.refobjid, 10)) = current_user AS own,
       pg_has_role(coalesce(o.refobjid, 10), 'USAGE') AS owned,
       what.identity = format('%%I.%%I', %(schema)s::text, %(marker)s::text) AS is_marker,
       %(made)s::text[] IS NULL OR what.identity = format('%%I.%%I', %(schema)s::text, %(marker)s::text)
           OR EXISTS (SELECT FROM unnest(%(made)s::text[]) AS own (name)
                      CROSS JOIN LATERAL (VALUES (own.name), (quote_ident(own.name))) AS written (name)
                      CROSS JOIN LATERAL translate(format('%%I.', %(schema)s::text) || written.name, E'\n\r', '  ')
                                         AS full_name (name)
                      WHERE printed.identity = full_name.name OR starts_with(printed.identity, full_name.name || '(')
                         OR starts_with(printed.identity, full_name.name || ' USING ')) AS made
FROM pg_depend AS d
CROSS JOIN LATERAL pg_identify_object(d.classid, d.objid, 0) AS what
CROSS JOIN LATERAL translate(what.identity, E'\n\r', '  ') AS printed (identity)
LEFT JOIN pg_shdepend AS o
       ON o.classid = d.classid AND o.objid = d.objid AND o.deptype = 'o'
          AND o.dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
WHERE d.refclassid = 'pg_namespace'::regclass
  AND d.refobjid = (SELECT oid FROM pg_namespace WHERE nspname = %(schema)s)
  AND d.deptype = 'n' AND d.objsubid = 0
  AND d.classid <> 'pg_extension'::regclass
  AND what.identity IS NOT NULL
  -- what is dropped with something else; a partitioned table depends on its own columns this way
  AND NOT EXISTS (SELECT FROM pg_depend AS e
                  WHERE e.classid = d.classid AND e.objid = d.objid AND e.objsubid = 0 AND e.refobjid <> d.objid
                    AND e.deptype IN ('e', 'i', 'a', 'P', 'S'))
ORDER BY is_marker, d.objid
