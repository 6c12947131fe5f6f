-- The types of the columns and their parts: elements of arrays, bases of domains, fields of composites, subtypes of ranges.
WITH RECURSIVE used (oid) AS (
    SELECT a.atttypid FROM pg_attribute AS a
    WHERE a.attrelid = ANY (%(tables)s::oid[]) AND a.attnum > 0 AND NOT a.attisdropped
    UNION
    SELECT part.oid
    FROM used
    JOIN pg_type AS t ON t.oid = used.oid
    CROSS JOIN LATERAL (
        SELECT unnest(ARRAY[t.typelem, t.typbasetype])
        UNION ALL
        SELECT f.atttypid FROM pg_attribute AS f
        WHERE t.typtype = 'c' AND f.attrelid = t.typrelid AND f.attnum > 0 AND NOT f.attisdropped
        UNION ALL
        SELECT r.rngsubtype FROM pg_range AS r
        WHERE t.typtype IN ('r', 'm') AND t.oid IN (r.rngtypid, (to_jsonb(r) ->> 'rngmultitypid')::oid)) AS part (oid)
    WHERE part.oid <> 0
)
SELECT t.oid::int8 AS oid,
       n.nspname::text AS schema,
       t.typname::text AS name,
       t.typtype::text AS kind,
       CASE WHEN t.typcategory = 'A' AND t.typlen = -1 AND t.typelem <> 0 THEN t.typelem ELSE 0 END::int8 AS element,
       t.typbasetype::int8 AS base,
       format_type(t.typbasetype, t.typtypmod) AS base_text,
       t.typsend <> 0 AND t.typreceive <> 0 AS binary,
       -- a label may be what a row of a personal column holds
       ARRAY(SELECT e.enumlabel::text FROM pg_enum AS e WHERE e.enumtypid = t.oid ORDER BY e.enumsortorder
             LIMIT CASE WHEN NOT %(all_labels)s THEN 1 END) AS labels,
       (SELECT coalesce(json_agg(json_build_array(f.attname, f.atttypid::int8, format_type(f.atttypid, f.atttypmod))
                                 ORDER BY f.attnum), '[]') FROM pg_attribute AS f
             WHERE t.typtype = 'c' AND f.attrelid = t.typrelid AND f.attnum > 0 AND NOT f.attisdropped) AS fields,
       (SELECT x.extname::text FROM pg_depend AS d JOIN pg_extension AS x ON x.oid = d.refobjid
        WHERE d.classid = 'pg_type'::regclass AND d.objid = t.oid AND d.deptype = 'e') AS extension,
       t.typdelim::text AS delimiter,
       -- multiranges exist since 14
       coalesce((SELECT r.rngsubtype FROM pg_range AS r
                 WHERE t.oid IN (r.rngtypid, (to_jsonb(r) ->> 'rngmultitypid')::oid)), 0)::int8 AS subtype,
       -- to_jsonb() looks for one for every type that is not built in
       (SELECT CASE WHEN EXISTS (SELECT FROM pg_depend AS d WHERE d.classid = 'pg_cast'::regclass AND d.objid = k.oid
                                 AND d.deptype = 'e') THEN 'extension' ELSE 'user' END
        FROM pg_cast AS k
        WHERE k.castsource = t.oid AND k.casttarget = 'json'::regtype AND k.castmethod = 'f' AND t.oid >= 16384) AS json_cast
FROM used
JOIN pg_type AS t ON t.oid = used.oid
JOIN pg_namespace AS n ON n.oid = t.typnamespace
ORDER BY t.oid
