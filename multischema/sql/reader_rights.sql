-- What each reader could read of the ETL's besides published schemas: staging and old schemas, and tables in public or in a raw schema;
-- what it owns around raw data, and what it may MAINTAIN; itself, or as one of its `roles`, which it is a member of and can SET ROLE to.
-- The right to a schema is read from the row that holds its name:
-- has_schema_privilege() shows the present, where another app's staging schema may have been published meanwhile.
WITH named AS MATERIALIZED (
    SELECT n.name AS reader, n.place, ARRAY(SELECT r.oid FROM pg_roles AS r WHERE pg_has_role(reader.oid, r.oid, 'MEMBER')) AS roles
    FROM unnest(%(readers)s::text[]) WITH ORDINALITY AS n (name, place)
    JOIN pg_roles AS reader ON reader.rolname = n.name
)
SELECT named.reader, found.what, found.name
FROM named
CROSS JOIN LATERAL (
    SELECT 'schema' AS what, n.nspname::text AS name
    FROM pg_namespace AS n
    WHERE n.nspname ~ %(hidden)s
      -- one of such a name that holds nothing of this role's is a stranger's
      AND (pg_get_userbyid(n.nspowner) = current_user
           OR EXISTS (SELECT FROM pg_class AS c WHERE c.relnamespace = n.oid AND pg_get_userbyid(c.relowner) = current_user))
      AND (n.nspowner = ANY (named.roles)
           OR EXISTS (SELECT FROM aclexplode(n.nspacl) AS acl
                      WHERE acl.privilege_type = 'USAGE' AND (acl.grantee = 0 OR acl.grantee = ANY (named.roles))))
    UNION ALL
    SELECT 'table', format('%%I.%%I', n.nspname, c.relname)
    FROM pg_class AS c
    JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE n.nspname = ANY (%(raw)s::text[]) AND c.relkind IN ('r', 'p', 'm', 'f', 'v')
      AND c.relowner = (SELECT oid FROM pg_roles WHERE rolname = current_user)
      AND EXISTS (SELECT FROM unnest(named.roles) AS who (oid) WHERE has_schema_privilege(who.oid, n.oid, 'USAGE'))
      AND EXISTS (SELECT FROM unnest(named.roles) AS who (oid) WHERE has_any_column_privilege(who.oid, c.oid, 'SELECT'))
      AND NOT EXISTS (SELECT FROM pg_depend AS d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
    UNION ALL
    -- who owns a schema may drop what others have in it, and make other things of the same names
    SELECT 'owned', format('schema %%I', n.nspname)
    FROM pg_namespace AS n
    WHERE n.nspname = ANY (%(raw)s::text[]) AND n.nspowner = ANY (named.roles)
    UNION ALL
    -- who may MAINTAIN a table may lock it, or rebuild it, as long as they like (servers before 17 know no such right)
    SELECT 'maintained', format('%%I.%%I', n.nspname, c.relname)
    FROM pg_class AS c
    JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE c.relowner = (SELECT oid FROM pg_roles WHERE rolname = current_user)
      AND EXISTS (SELECT FROM aclexplode(c.relacl) AS acl
                  WHERE acl.privilege_type = 'MAINTAIN' AND (acl.grantee = 0 OR acl.grantee = ANY (named.roles)))
      AND NOT EXISTS (SELECT FROM pg_depend AS d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
) AS found
ORDER BY named.place, found.what, found.name
