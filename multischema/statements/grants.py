"""Privileges of others on the published schema, its tables and their columns: each publication grants them again."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from psycopg import sql

from multischema.catalog.objects import DefaultPrivilege, Privilege, SchemaPrivilege
from multischema.findings import Finding


def grantee(role: str | None) -> sql.Composable:
    """Return a role as GRANT and REVOKE take it; None is PUBLIC."""
    return sql.SQL("PUBLIC") if role is None else sql.Identifier(role)


@dataclass(frozen=True)
class Grant:
    """A privilege of a role (None is PUBLIC) on a relation, or on one column of it."""

    relation: str
    column: str | None
    role: str | None
    privilege: str
    grantable: bool


Held = TypeVar("Held", Privilege, SchemaPrivilege, DefaultPrivilege)


def kept(rows: Iterable[Held], dismissed: Collection[str]) -> list[Held]:
    """Return the privileges of all others than the dismissed roles."""
    return [row for row in rows if row.role not in dismissed]


def read(rows: Iterable[Privilege]) -> list[Grant]:
    """Return privileges as grants."""
    return [Grant(row.relation, row.column, row.role, row.privilege, row.grantable) for row in rows]


def to_tables(
    old: Sequence[Privilege],
    new: Sequence[Privilege],
    columns: Mapping[str, Collection[str]],
    defaults: Sequence[DefaultPrivilege],
    readers: Collection[str],
) -> tuple[list[Grant], list[Finding]]:
    """Return the grants for the new tables, and a warning for each that is lost because its table or column is gone.

    `columns` has the columns of each new table. A table gets exactly the grants of the old one of that name; one that was
    not published before gets what default privileges give.
    """
    held = read(row for row in old if not row.is_owner)
    added = columns.keys() - {row.relation for row in old}
    wanted = [Grant(table, None, reader, "SELECT", False) for table in columns for reader in readers]
    wanted += [grant for grant in held if _is_there(grant, columns)]
    wanted += [grant for grant in read(row for row in new if not row.is_owner) if grant.relation in added]
    wanted += [
        Grant(table, None, row.role, row.privilege, row.grantable)
        for row in defaults
        if row.is_own and row.kind == "TABLES"
        for table in added
    ]
    gone: dict[tuple[str, str], set[str]] = {}
    for grant in held:
        if grant.role not in readers and not _is_there(grant, columns):
            what = grant.relation, (grant.column or "") if grant.relation in columns else ""
            gone.setdefault(what, set()).add(grant.role or "PUBLIC")
    warnings = [
        Finding(
            "rights-ended",
            f"rights of {', '.join(sorted(roles))} to {f'column {table}.{column}' if column else f'table {table}'} ended: "
            "it is not published any more",
            table=table,
            column=column,
        )
        for (table, column), roles in gone.items()
    ]
    return wanted, warnings


def changes(schema: str, wanted: Iterable[Grant], found: Iterable[Grant]) -> list[sql.Composed]:
    """Return the statements that turn the found grants on a schema's relations into the wanted ones."""
    by_place = _strongest(wanted)
    present = _strongest(found)
    excess = [grant for place, grant in present.items() if by_place.get(place) != grant]
    lacking = [grant for place, grant in by_place.items() if present.get(place) != grant]
    return [_statement("REVOKE", schema, grant) for grant in excess] + [
        _statement("GRANT", schema, grant) for grant in lacking
    ]


def to_schema(schema: str, rows: Iterable[SchemaPrivilege]) -> list[sql.Composed]:
    """Return the statements that grant a schema again."""
    return [
        sql.SQL("GRANT {} ON SCHEMA {} TO {}{}").format(
            sql.SQL(row.privilege), sql.Identifier(schema), grantee(row.role), _option(row.grantable)
        )
        for row in rows
    ]


def to_future(schema: str, rows: Iterable[DefaultPrivilege]) -> tuple[list[sql.Composed], list[Finding]]:
    """Return the statements that restore a schema's default privileges, and a warning for those of other roles."""
    statements, lost = [], set()
    for row in rows:
        if not row.may_grant:
            lost.add(row.creator)
            continue
        statements.append(
            sql.SQL("ALTER DEFAULT PRIVILEGES FOR ROLE {} IN SCHEMA {} GRANT {} ON {} TO {}{}").format(
                sql.Identifier(row.creator),
                sql.Identifier(schema),
                sql.SQL(row.privilege),
                sql.SQL(row.kind),
                grantee(row.role),
                _option(row.grantable),
            )
        )
    warnings = [
        Finding(
            "default-privileges-ended",
            f"default privileges of role {role} in schema {schema} ended: only that role may set them",
            object=role,
        )
        for role in sorted(lost)
    ]
    return statements, warnings


def _strongest(grants: Iterable[Grant]) -> dict[tuple[str, str | None, str | None, str], Grant]:
    """Return the grants by relation, column, role and privilege; one with grant option wins over the same without."""
    found: dict[tuple[str, str | None, str | None, str], Grant] = {}
    for grant in grants:
        place = (grant.relation, grant.column, grant.role, grant.privilege)
        if place not in found or grant.grantable:
            found[place] = grant
    return found


def _statement(verb: str, schema: str, grant: Grant) -> sql.Composed:
    column = sql.SQL(" ({})").format(sql.Identifier(grant.column)) if grant.column else sql.SQL("")
    relation = sql.Identifier(schema, grant.relation)
    if verb == "REVOKE":
        return sql.SQL("REVOKE {}{} ON TABLE {} FROM {}").format(
            sql.SQL(grant.privilege), column, relation, grantee(grant.role)
        )
    return sql.SQL("GRANT {}{} ON TABLE {} TO {}{}").format(
        sql.SQL(grant.privilege), column, relation, grantee(grant.role), _option(grant.grantable)
    )


def _is_there(grant: Grant, columns: Mapping[str, Collection[str]]) -> bool:
    """Tell whether the grant's table and column still exist."""
    return grant.relation in columns and (grant.column is None or grant.column in columns[grant.relation])


def _option(grantable: bool) -> sql.SQL:
    return sql.SQL(" WITH GRANT OPTION" if grantable else "")
