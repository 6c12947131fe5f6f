"""What must hold before a run reads or writes: versions, rights, the reader. Problems are lines; none means go."""

from collections.abc import Mapping, Sequence
from typing import Any

from psycopg import sql

from multischema import ddl, origin_rights
from multischema.archives import Relative
from multischema.catalog import Catalog, Table
from multischema.masking import plan_table
from multischema.planning import Plan, some
from multischema.rules import Rules

SUPPORTED = range(13, 19)

Row = Mapping[str, Any]

_WITHOUT_DATA = ("function", "procedure", "aggregate", "policy", "rule", "trigger", "table constraint")


def server_problems(side: str, server: Row) -> list[str]:
    """Return what is wrong with a server, on either side."""
    problems = []
    if server["major"] not in SUPPORTED:
        problems.append(f"{side}: Postgres {server['major']} is not supported; want {SUPPORTED[0]} to {SUPPORTED[-1]}")
    return problems


def pooler_problem(side: str, use: str) -> str:
    """Return the line about a transaction pooler."""
    return (
        f"{side}: the URL leads to a pooler (such as PgBouncer in transaction mode), which can't {use}; "
        "use the server's own address and port, or session mode"
    )


def origin_problems(side: str, server: Row, schema: str) -> list[str]:
    """Return why the origin schema can't be read at all."""
    if server["may_use_schema"] is None:
        return [f"{side}: schema {schema} does not exist in database {server['database']}; name another origin schema"]
    if not server["may_use_schema"]:
        return [
            f"{side}: role {server['role']} may not use schema {schema}; "
            + _sql("GRANT USAGE ON SCHEMA {} TO {}", schema, server["role"])
        ]
    return []


def rights_problems(side: str, server: Row, catalog: Catalog, rules: Rules) -> list[str]:
    """Return a line for each table that will be copied and can't be read whole.

    Truncated tables need no right, and no column does that its mask says all of.
    """
    problems = []
    for table in catalog.tables:
        own = rules.tables.get(table.name)
        if own is None or own.truncated:
            continue
        read = plan_table(table, own, catalog, frozenset()).read
        problems += [f"{side}: {line}" for line in _family_problems(table, catalog.schema)]
        unreadable = [column.name for column in table.columns if column.name in read and not column.readable]
        if unreadable:
            whole = len(unreadable) == len(table.columns)
            what = "" if whole else f"column{'s'[: len(unreadable) > 1]} {', '.join(unreadable)} of "
            problems.append(
                f"{side}: role {server['role']} may not SELECT {what}table {table.name}; "
                + origin_rights.select(catalog.schema, table.name, () if whole else unreadable, server["role"]).as_string()
            )
        elif table.detaching:
            problems += [
                f"{side}: partition {names[-1]} of table {table.name} is half detached, and a copy may lack its rows; "
                + _sql("ALTER TABLE {}.{} DETACH PARTITION {}.{} FINALIZE", *names)
                for names in table.detaching
            ]
        elif table.row_security:
            problems.append(
                f"{side}: row security hides rows of table {table.name} from role {server['role']}; "
                + _sql("ALTER ROLE {} BYPASSRLS", server["role"])
                + ", or truncate the table in the rules"
            )
        elif table.unlogged and server["in_recovery"]:
            problems.append(
                f"{side}: the server is a standby, which has no row of the unlogged table {table.name}; use the primary, "
                "or truncate the table in the rules"
            )
    if not catalog.tables:
        problems.append(
            f"{side}: schema {catalog.schema} of database {server['database']} holds no table; name another origin schema"
        )
    return problems


def _family_problems(table: Table, schema: str) -> list[str]:
    """Return why the rows of a table's children can neither be read with its own nor be left to them."""
    problems = [
        f"table {table.name} has rows in table {name}, which inherits from it and is an extension's; "
        + _sql("ALTER TABLE {}.{} NO INHERIT {}.{}", schema, name, schema, table.name)
        + ", or truncate the table in the rules"
        for name in table.odd
    ]
    if table.children and table.kin:
        elsewhere = some([f"{child.schema}.{child.name}" for child in table.children])
        problems.append(
            f"table {table.name} has rows in children that are not published themselves ({elsewhere}) and in others that "
            f"are ({some(table.kin)}); have all or none of them be tables of schema {schema}, or truncate the table in the "
            "rules"
        )
    return problems


def target_problems(server: Row, facts: Row, schema: str, reader: str) -> list[str]:
    """Return why the target can't be published to."""
    problems = []
    if server["encoding"] != "UTF8":
        problems.append(f"target: database {server['database']} is encoded in {server['encoding']}; want UTF8")
    if server["in_recovery"]:
        problems.append("target: the server is a standby, which can't be written; use the primary")
    if not server["may_create_schemas"]:
        problems.append(
            f"target: role {server['role']} may not create schemas in database {server['database']}; "
            + _sql("GRANT CREATE ON DATABASE {} TO {}", server["database"], server["role"])
        )
    reason = ddl.illegal_schema(schema)
    if reason:
        problems.append(f"target: schema {schema!r} can't be published: {reason}")
    elif facts["published_exists"] and not facts["owns_published"]:
        problems.append(
            f"target: schema {schema} belongs to {facts['published_owner']}, not to {server['role']}; "
            + _sql("ALTER SCHEMA {} OWNER TO {}", schema, server["role"])
            + ", or publish under another name"
        )
    return problems + reader_problems(facts, reader)


def dump_problems(side: str, server: Row, leaves: Sequence[Row]) -> list[str]:
    """Return a line for each table or partition that pg_dump can't read: rights to columns or to a root are too few."""
    return [
        f"{side}: partition {row['schema']}.{row['name']} is a foreign table, of which pg_dump reads no row; use mode stream"
        for row in leaves
        if row["elsewhere"]
    ] + [
        f"{side}: role {server['role']} may not SELECT all of table {row['schema']}.{row['name']}, as pg_dump must; "
        + _sql("GRANT SELECT ON TABLE {}.{} TO {}", row["schema"], row["name"], server["role"])
        + ", or use mode stream"
        for row in leaves
        if not row["readable"]
    ]


def backup_problems(file: str, plan: Plan, relatives: Sequence[Relative]) -> list[str]:
    """Return a line for each table or partition with rows of a copied table that a backup has and that is not restored."""
    copied = {table.name for table in plan.copied}
    return [
        f"dump {file}: table {each.table} has rows in {each.schema}.{each.name}, which is not restored with it; use mode "
        "stream, or truncate the table in the rules"
        for each in sorted(relatives, key=lambda each: (each.table, each.schema, each.name))
        if each.table in copied
    ]


def raw_problems(server: Row, schema: str) -> list[str]:
    """Return why raw tables can't be made in a schema of the target that is there."""
    if server["may_fill_schema"] is not False:
        return []
    return [
        f"target: role {server['role']} may not create tables in schema {schema}, which mode dump fills with raw data; "
        + _sql("GRANT USAGE, CREATE ON SCHEMA {} TO {}", schema, server["role"])
    ]


def reader_problems(facts: Row, reader: str) -> list[str]:
    """Return why the reader is absent or could read more than what is published."""
    if not facts["reader_exists"]:
        return [f"target: the reader {reader} does not exist; create the role, or name the one that Metabase connects as"]
    if facts["reader_is_superuser"]:
        return [f"target: the reader {reader} is a superuser, who reads everything; use a role without rights of its own"]
    if facts["reader_is_self"]:
        return [f"target: the reader {reader} is the ETL's own role; use a role of its own for Metabase"]
    if facts["reader_powers"]:
        return [
            f"target: the reader {reader} is too powerful: it is a member of {', '.join(facts['reader_powers'])}, "
            "itself or through another role; revoke that"
        ]
    return []


def stranger_problems(schema: str, strangers: Sequence[Row]) -> list[str]:
    """Return a line for each object of others that stands in or on the published schema, and that no run creates again."""
    return [_stranger_problem(schema, row) for row in strangers]


def may_go(stranger: Row) -> bool:
    """Tell whether a run that is told to may drop it: this role's to drop, and nothing that holds data of others."""
    return bool(stranger["owned"]) and stranger["type"] in _WITHOUT_DATA


def lacking_problems(lacking: Sequence[Row], columns: Mapping[str, str], major: int) -> list[str]:
    """Return a line for each published type that the target's version does not have."""
    return [
        f"target: Postgres {major} has no type {row['name']}, which column {columns[row['name']]} needs; "
        "use a newer target, or truncate the table in the rules"
        for row in lacking
        if row["what"] == "type"
    ]


def xml_problems(columns: Sequence[str]) -> list[str]:
    """Return a line for each column of documents, where the target can read none."""
    return [
        f"target: this server was built without libxml, which column {column} needs; use another server, "
        "mask the column if it may be NULL, or truncate the table in the rules"
        for column in columns
    ]


def exposed_problems(rights: Sequence[Row], reader: str) -> list[str]:
    """Return a line for each thing besides published schemas that the reader could read (invariant 5)."""
    return [
        f"target: the reader {reader} could read {row['what']} {row['name']}, which is not published; revoke it, or drop it"
        for row in rights
    ]


def stranger_title(row: Row) -> str:
    """Return how messages name it."""
    return f"{row['kind']} {row['name']}".strip()


def _stranger_problem(schema: str, row: Row) -> str:
    what = stranger_title(row)
    if row["place"] == "in":
        return f"target: {what} of role {row['owner']} stands in schema {schema}, which each run replaces; move it elsewhere"
    if row["place"] == "at":
        return (
            f"target: {what} has row security, which the new one would not have; disable it, and give others a view of it "
            "in another schema"
        )
    remedy = "drop it, and create it again after the run"
    option = ", or use drop_dependants (--drop-dependants), which drops it" if may_go(row) else ""
    return f"target: {what} stands on schema {schema} and would stay with the old one; {remedy}{option}"


def _sql(statement: str, *names: str) -> str:
    """Return a statement that is ready to paste."""
    return sql.SQL(statement).format(*map(sql.Identifier, names)).as_string()
