-- The indexes of the tables. A definition begins with one of the heads, after which it is cut, so that ours can stand before
-- it: on a partitioned root Postgres prints ON ONLY, which a plain table must not have. It qualifies a table that one of
-- pg_catalog hides, whatever search_path says. `orders_of` are enums by whose order an expression or predicate compares: no
-- definition tells a comparison of texts from one of enums, and trees of expressions do, by the number of the operator.
SELECT tc.relname::text AS "table",
       ic.relname::text AS name,
       i.indisunique AS "unique",
       i.indisvalid AS valid,
       pg_relation_size(i.indexrelid)::int8 AS bytes,
       am.amname::text AS method,
       coalesce(k.contype, '')::text AS constraint_kind,
       ARRAY(SELECT a.attname::text
             FROM unnest(i.indkey::int2[]) WITH ORDINALITY AS part (attnum, place)
             LEFT JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = part.attnum AND part.attnum > 0
             WHERE part.place <= i.indnkeyatts
             ORDER BY part.place) AS key_columns,
       ARRAY(SELECT a.attname::text
             FROM pg_attribute AS a
             WHERE a.attrelid = i.indrelid AND a.attnum > 0 AND NOT a.attisdropped
               AND (a.attnum = ANY (i.indkey::int2[]) OR EXISTS (
                    SELECT FROM pg_depend AS d
                    WHERE d.classid = 'pg_class'::regclass AND d.objid = i.indexrelid
                      AND d.refclassid = 'pg_class'::regclass AND d.refobjid = i.indrelid AND d.refobjsubid = a.attnum)
                    -- a whole row (`users.*`) depends on no column
                    OR concat(i.indexprs::text, i.indpred::text) ~ '\{VAR [^}]*:varattno 0 ')
             ORDER BY a.attnum) AS columns,
       ARRAY(SELECT DISTINCT e.typname::text
             FROM unnest(ARRAY[i.indexprs::text, i.indpred::text]) AS part (tree)
             CROSS JOIN regexp_matches(part.tree, ':\w*type (\d+)', 'g') AS used (oid)
             JOIN pg_type AS t ON t.oid = used.oid[1]::oid
             JOIN pg_type AS e ON e.oid IN (t.oid, t.typelem, t.typbasetype) AND e.typtype = 'e'
             WHERE part.tree ~ (':minmaxtype ' || t.oid || ' ')
                OR EXISTS (SELECT FROM pg_operator AS o
                           WHERE o.oprname IN ('<', '<=', '>', '>=')
                             AND o.oprleft IN ('anyenum'::regtype, 'anyarray'::regtype)
                             AND (o.oprleft = 'anyarray'::regtype) = (t.typelem <> 0)
                             AND part.tree ~ (':opno ' || o.oid || ' |:opnos \(o[ \d]* ' || o.oid || '[ )]'))
             ORDER BY 1) AS orders_of,
       i.indexrelid::int8 AS oid,
       ARRAY(SELECT format('CREATE %%sINDEX %%I ON %%s%%s%%I ', CASE WHEN i.indisunique THEN 'UNIQUE ' ELSE '' END, ic.relname,
                           CASE WHEN ic.relkind = 'I' THEN 'ONLY ' ELSE '' END, qualifier, tc.relname)
             FROM unnest(ARRAY['', quote_ident(tn.nspname) || '.']) AS qualifier) AS heads
FROM pg_index AS i
JOIN pg_class AS ic ON ic.oid = i.indexrelid
JOIN pg_class AS tc ON tc.oid = i.indrelid
JOIN pg_namespace AS tn ON tn.oid = tc.relnamespace
JOIN pg_am AS am ON am.oid = ic.relam
LEFT JOIN pg_constraint AS k ON k.conindid = i.indexrelid AND k.conrelid = i.indrelid AND k.contype IN ('p', 'u', 'x')
WHERE i.indrelid = ANY (%(tables)s::oid[])
ORDER BY i.indrelid, ic.relname
