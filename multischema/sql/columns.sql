-- The columns of the tables, with all that decides their type and mask. A NOT NULL that is not validated (18) promises
-- nothing about the rows that are there; nor does one that a child has not whose rows are read too. A column is `generated` where
-- its table or any that is read with it computes it: before 16 a partition or a child may compute what its parent holds.
-- `generation` is the expression, where all of them have the same. A domain's collation is the column's: the published type is
-- what it stands for.
SELECT c.relname::text AS "table",
       a.attname::text AS name,
       a.atttypid::int8 AS type_oid,
       format_type(a.atttypid, a.atttypmod) AS type_text,
       a.attnotnull AND NOT EXISTS (
           SELECT FROM pg_attribute AS own
           WHERE own.attrelid = ANY (family.oids || a.attrelid) AND own.attname = a.attname
             AND (NOT own.attnotnull OR EXISTS (
                      SELECT FROM pg_constraint AS n
                      WHERE n.conrelid = own.attrelid AND n.contype = 'n' AND n.conkey = ARRAY[own.attnum] AND NOT n.convalidated))
       ) AS not_null,
       CASE WHEN a.attgenerated = '' THEN pg_get_expr(d.adbin, d.adrelid) END AS "default",
       a.attidentity <> '' AS identity,
       computed.generated,
       (SELECT CASE WHEN bool_and(own.attgenerated <> '') AND count(DISTINCT pg_get_expr(ad.adbin, ad.adrelid)) = 1
                    THEN min(pg_get_expr(ad.adbin, ad.adrelid)) END
        FROM unnest(family.oids) AS f (oid)
        JOIN pg_attribute AS own ON own.attrelid = f.oid AND own.attname = a.attname
        LEFT JOIN pg_attrdef AS ad ON ad.adrelid = f.oid AND ad.adnum = own.attnum
        WHERE computed.generated <> '') AS generation,
       CASE WHEN computed.generated <> '' THEN
       ARRAY(SELECT DISTINCT source.attname::text
             FROM unnest(family.oids) AS f (oid)
             JOIN pg_attribute AS own ON own.attrelid = f.oid AND own.attname = a.attname AND own.attgenerated <> ''
             JOIN pg_attrdef AS ad ON ad.adrelid = f.oid AND ad.adnum = own.attnum
             JOIN pg_depend AS dep ON dep.refclassid = 'pg_class'::regclass AND dep.refobjid = f.oid
                  AND dep.refobjsubid <> 0 AND dep.refobjsubid <> own.attnum
             JOIN pg_attribute AS source ON source.attrelid = dep.refobjid AND source.attnum = dep.refobjsubid
             WHERE dep.classid = 'pg_attrdef'::regclass AND dep.objid = ad.oid
                OR dep.classid = 'pg_class'::regclass AND dep.objid = f.oid AND dep.objsubid = own.attnum
             ORDER BY 1) ELSE '{}' END AS generated_from,
       -- pg_depend does not list what is built in
       ARRAY(SELECT DISTINCT pg_describe_object(dep.refclassid, dep.refobjid, 0)
             FROM pg_depend AS dep
             WHERE a.attgenerated <> ''
               AND dep.refclassid IN ('pg_proc'::regclass, 'pg_operator'::regclass, 'pg_type'::regclass, 'pg_collation'::regclass)
               AND (dep.classid = 'pg_attrdef'::regclass AND dep.objid = d.oid
                    OR dep.classid = 'pg_class'::regclass AND dep.objid = a.attrelid AND dep.objsubid = a.attnum)
             ORDER BY 1) AS generated_by,
       CASE WHEN a.attcollation <> plain.collation THEN cn.nspname::text END AS collation_schema,
       CASE WHEN a.attcollation <> plain.collation THEN co.collname::text END AS collation_name,
       col_description(a.attrelid, a.attnum) AS comment,
       has_column_privilege(a.attrelid, a.attnum, 'SELECT') AS readable
FROM pg_attribute AS a
JOIN pg_class AS c ON c.oid = a.attrelid
JOIN pg_type AS t ON t.oid = a.atttypid
CROSS JOIN LATERAL (SELECT CASE WHEN t.typtype = 'd' THEN 'pg_catalog."default"'::regcollation
                                ELSE t.typcollation END AS collation) AS plain
-- the table, its partitions, and the children read with it; NULL if it is alone and computes nothing
CROSS JOIN LATERAL (WITH RECURSIVE part (oid) AS (
                        SELECT c.oid WHERE a.attgenerated <> '' OR c.relhassubclass
                        UNION
                        SELECT i.inhrelid
                        FROM part
                        JOIN pg_inherits AS i ON i.inhparent = part.oid
                        JOIN pg_class AS child ON child.oid = i.inhrelid
                        WHERE c.relkind = 'p' OR child.relpersistence <> 't'
                              AND (child.relkind = 'f' OR child.relnamespace <> c.relnamespace))
                    SELECT array_agg(part.oid) AS oids FROM part) AS family
CROSS JOIN LATERAL (SELECT coalesce(max(own.attgenerated::text), '') AS generated
                    FROM pg_attribute AS own
                    WHERE own.attrelid = ANY (family.oids) AND own.attname = a.attname) AS computed
LEFT JOIN pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
LEFT JOIN pg_collation AS co ON co.oid = a.attcollation
LEFT JOIN pg_namespace AS cn ON cn.oid = co.collnamespace
WHERE a.attrelid = ANY (%(tables)s::oid[]) AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attrelid, a.attnum
