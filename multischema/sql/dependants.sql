-- The views and materialized views outside the published schema that stand on it, straight or on one another. Only rows of
-- the catalog are read: what prints a definition waits for the locks of another run that creates it again.
-- Temporary views of other sessions end with these, and keep the old schema until then; so does a view that calls a temporary
-- function of theirs, wherever it stands.
WITH RECURSIVE
published (oid) AS (SELECT n.oid FROM pg_namespace AS n WHERE n.nspname = %(schema)s),
temporary (classid, oid) AS (
    SELECT d.classid, d.objid
    FROM pg_namespace AS n
    JOIN pg_depend AS d ON d.refclassid = 'pg_namespace'::regclass AND d.refobjid = n.oid
    WHERE pg_is_other_temp_schema(n.oid)
    UNION
    SELECT d.classid, d.objid FROM temporary AS t JOIN pg_depend AS d ON d.refclassid = t.classid AND d.refobjid = t.oid
),
inside (classid, oid) AS (
    SELECT 'pg_class'::regclass::oid, c.oid FROM pg_class AS c JOIN published AS p ON p.oid = c.relnamespace
    UNION ALL
    SELECT 'pg_type'::regclass::oid, t.oid FROM pg_type AS t JOIN published AS p ON p.oid = t.typnamespace
    UNION ALL
    SELECT 'pg_proc'::regclass::oid, f.oid FROM pg_proc AS f JOIN published AS p ON p.oid = f.pronamespace
),
-- what each view refers to: an object, its relation (its own, or of its row type), and a column number
refers (view, classid, oid, relation, number) AS MATERIALIZED (
    SELECT r.ev_class, d.refclassid, d.refobjid,
           CASE d.refclassid WHEN 'pg_class'::regclass THEN d.refobjid
                             WHEN 'pg_type'::regclass THEN coalesce(element.typrelid, t.typrelid) END,
           d.refobjsubid
    FROM pg_rewrite AS r
    JOIN pg_class AS c ON c.oid = r.ev_class AND c.relkind IN ('v', 'm')
    JOIN pg_depend AS d ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid AND d.refobjid <> r.ev_class
    LEFT JOIN pg_type AS t ON d.refclassid = 'pg_type'::regclass AND t.oid = d.refobjid
    LEFT JOIN pg_type AS element ON element.typarray = t.oid
    WHERE c.relnamespace <> (SELECT p.oid FROM published AS p)
      AND NOT EXISTS (SELECT FROM temporary AS t WHERE t.classid = 'pg_rewrite'::regclass AND t.oid = r.oid)
),
standing (oid) AS (
    SELECT f.view FROM refers AS f JOIN inside AS i ON i.classid = f.classid AND i.oid = f.oid
    UNION
    SELECT f.view FROM standing AS s JOIN refers AS f ON f.relation = s.oid
)
SELECT c.oid::int8 AS oid,
       CASE c.relkind WHEN 'm' THEN 'materialized view' ELSE 'view' END AS kind,
       n.nspname::text AS schema,
       c.relname::text AS name,
       format('%%I.%%I', n.nspname, c.relname) AS shown,
       owner.rolname::text AS owner,
       owner.rolsuper AS owner_is_superuser,
       -- dropping it takes its owner's rights; giving it back, the right to become its owner, who must be able to create there
       pg_has_role(owner.oid, 'USAGE')
           AND CASE WHEN current_setting('server_version_num')::int >= 160000 THEN pg_has_role(owner.oid, 'SET') ELSE true END
           AS may_replace,
       has_schema_privilege(owner.oid, n.oid, 'CREATE')
           OR (SELECT own.rolsuper FROM pg_roles AS own WHERE own.rolname = current_user) AS may_create,
       ARRAY(SELECT DISTINCT f.relation::int8 FROM refers AS f JOIN standing AS s ON s.oid = f.relation
             WHERE f.view = c.oid ORDER BY 1) AS stands_on,
       ARRAY(SELECT DISTINCT ARRAY[t.relname::text, a.attname::text]
             FROM refers AS f
             JOIN pg_class AS t ON t.oid = f.relation AND t.relnamespace = (SELECT p.oid FROM published AS p)
             LEFT JOIN pg_attribute AS a ON a.attrelid = t.oid AND a.attnum = f.number AND f.number > 0
             WHERE f.view = c.oid ORDER BY 1) AS needs
FROM standing AS s
JOIN pg_class AS c ON c.oid = s.oid
JOIN pg_namespace AS n ON n.oid = c.relnamespace
JOIN pg_roles AS owner ON owner.oid = c.relowner
ORDER BY n.nspname, c.relname
