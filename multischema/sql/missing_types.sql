-- The origin's types and collations that the target lacks.
SELECT 'type' AS what, wanted.name AS name FROM unnest(%(types)s::text[]) AS wanted (name)
WHERE to_regtype(wanted.name) IS NULL
UNION ALL
SELECT 'collation', wanted.name FROM unnest(%(collations)s::text[]) AS wanted (name)
WHERE NOT EXISTS (SELECT FROM pg_collation AS c JOIN pg_namespace AS n ON n.oid = c.collnamespace
                  WHERE n.nspname = 'pg_catalog' AND c.collname = wanted.name
                    AND c.collencoding IN (-1, pg_char_to_encoding(getdatabaseencoding())))
