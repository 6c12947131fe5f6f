-- The schemas whose names match a pattern, and whether the run's role owns them.
SELECT nspname::text AS name, pg_has_role(nspowner, 'USAGE') AS owned FROM pg_namespace WHERE nspname ~ %(pattern)s ORDER BY nspname
