-- Fingerprints that change if a table is altered (names, columns, partitions, half-detached ones too, children read with it,
-- and what generated columns are computed from, which may become a personal column), or rewritten or truncated (files), or if
-- one of its types writes values otherwise (types). It reads columns of the catalog only: pg_relation_filenode() and
-- pg_partition_tree() show the present, whatever the snapshot.
WITH RECURSIVE family (root, oid, detaching) AS (
    SELECT c.oid, c.oid, '' FROM pg_class AS c WHERE c.oid = ANY (%(tables)s::oid[])
    UNION
    SELECT f.root, i.inhrelid, CASE WHEN to_jsonb(i) ->> 'inhdetachpending' = 'true' THEN ':detaching' ELSE '' END
    FROM family AS f
    JOIN pg_class AS root ON root.oid = f.root
    JOIN pg_inherits AS i ON i.inhparent = f.oid
    JOIN pg_class AS child ON child.oid = i.inhrelid
    WHERE root.relkind = 'p' OR child.relpersistence <> 't' AND (child.relkind = 'f' OR child.relnamespace <> root.relnamespace)
), used (root, oid) AS (
    SELECT a.attrelid, a.atttypid FROM pg_attribute AS a
    WHERE a.attrelid = ANY (%(tables)s::oid[]) AND a.attnum > 0 AND NOT a.attisdropped AND a.atttypid >= 16384
    UNION
    SELECT used.root, part.oid
    FROM used
    JOIN pg_type AS t ON t.oid = used.oid
    CROSS JOIN LATERAL (
        SELECT unnest(ARRAY[t.typelem, t.typbasetype])
        UNION ALL
        SELECT field.atttypid FROM pg_attribute AS field
        WHERE t.typtype = 'c' AND field.attrelid = t.typrelid AND field.attnum > 0 AND NOT field.attisdropped
        UNION ALL
        SELECT r.rngsubtype FROM pg_range AS r
        WHERE t.typtype IN ('r', 'm') AND t.oid IN (r.rngtypid, (to_jsonb(r) ->> 'rngmultitypid')::oid)) AS part (oid)
    WHERE part.oid >= 16384
)
SELECT f.root::int8 AS oid,
       coalesce(string_agg(format('%%s.%%s:%%s:%%s', c.relnamespace, c.oid, c.relname, (
           SELECT md5(string_agg(d.adbin::text, ',' ORDER BY d.adnum))
           FROM pg_attrdef AS d
           JOIN pg_attribute AS a ON a.attrelid = d.adrelid AND a.attnum = d.adnum AND a.attgenerated <> ''
           WHERE d.adrelid = c.oid)) || f.detaching, ',' ORDER BY c.oid) || ' ' ||
       (SELECT string_agg(format('%%s:%%s:%%s:%%s:%%s', a.attnum, a.attname, a.atttypid, a.atttypmod, a.attgenerated),
                          ',' ORDER BY a.attnum)
        FROM pg_attribute AS a WHERE a.attrelid = f.root AND a.attnum > 0 AND NOT a.attisdropped), '') AS structure,
       string_agg(c.relfilenode::text, ',' ORDER BY c.oid) AS files,
       coalesce((SELECT md5(string_agg(concat_ws(':', t.oid, t.typnamespace, t.typname, t.typtype, t.typbasetype, t.typtypmod,
                            (SELECT string_agg(e.enumlabel, ',' ORDER BY e.enumsortorder) FROM pg_enum AS e WHERE e.enumtypid = t.oid),
                            (SELECT string_agg(format('%%s:%%s:%%s:%%s', field.attnum, field.attname, field.atttypid, field.atttypmod),
                                               ',' ORDER BY field.attnum)
                             FROM pg_attribute AS field
                             WHERE t.typtype = 'c' AND field.attrelid = t.typrelid AND field.attnum > 0 AND NOT field.attisdropped),
                            (SELECT x.extname || ' ' || x.extversion FROM pg_depend AS d JOIN pg_extension AS x ON x.oid = d.refobjid
                             WHERE d.classid = 'pg_type'::regclass AND d.objid = t.oid AND d.deptype = 'e')), ',' ORDER BY t.oid))
                 FROM used JOIN pg_type AS t ON t.oid = used.oid WHERE used.root = f.root), '') AS types
FROM family AS f
JOIN pg_class AS c ON c.oid = f.oid
GROUP BY f.root
