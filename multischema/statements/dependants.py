"""Views and materialized views that others built on the published schema: each publication creates them again.

A view is bound to tables, not to their names: it would stay with the old schema and keep it from being dropped. So the
publishing transaction drops it and creates it again from its catalog entries. Everything here is a value.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from psycopg import sql

from multischema.catalog.objects import Stranger
from multischema.catalog.servers import Server
from multischema.findings import Finding, problem
from multischema.words import plural

REMEDY = "change it, or use drop_dependants (--drop-dependants), which drops it"


@dataclass(frozen=True)
class Column:
    """The properties of a view's column; `settings` is what ALTER COLUMN … SET takes, in SQL."""

    name: str
    comment: str | None
    default: str | None
    options: Sequence[str]
    settings: Sequence[str]


@dataclass(frozen=True)
class Part:
    """An index, extended statistics, a rule or a trigger of a view, as Postgres prints it, and what that leaves out.

    `statistics` is the statistics target, `clustered` marks the index that a materialized view is clustered on.
    """

    kind: str
    schema: str
    name: str
    definition: str
    comment: str | None
    statistics: int | None
    clustered: bool


@dataclass(frozen=True)
class Dependant:
    """A view or a materialized view; `needs` lists the published tables that it reads, each with a column or None."""

    oid: int
    kind: str
    schema: str
    name: str
    shown: str
    owner: str
    owner_is_superuser: bool
    may_replace: bool
    may_create: bool
    stands_on: tuple[int, ...]
    needs: tuple[tuple[str, str | None], ...]

    @property
    def title(self) -> str:
        """Return its name in messages."""
        return f"{self.kind} {self.shown}"

    @property
    def identifier(self) -> sql.Identifier:
        """Return its qualified name."""
        return sql.Identifier(self.schema, self.name)


@dataclass(frozen=True)
class Definition:
    """Everything needed to create a dependant."""

    oid: int
    query: str
    options: tuple[str, ...]
    method: str | None
    populated: bool
    comment: str | None
    columns: tuple[Column, ...]
    parts: tuple[Part, ...]

    @classmethod
    def of(cls, columns: Sequence[Sequence[Any]], parts: Sequence[Sequence[Any]], **row: Any) -> Self:
        """Return a definition from its row, in which columns and parts are arrays."""
        return cls(columns=tuple(Column(*column) for column in columns), parts=tuple(Part(*part) for part in parts), **row)


def in_order(dependants: Sequence[Dependant]) -> tuple[Dependant, ...]:
    """Return the dependants, each after those that it stands on."""
    found = list(dependants)
    ordered: list[Dependant] = []
    while found:
        left = {dependant.oid for dependant in found}
        # views that read one another (nothing can read them) come last, and the server says what is wrong
        free = [dependant for dependant in found if left.isdisjoint(dependant.stands_on)] or found
        ordered += free
        found = [dependant for dependant in found if dependant not in free]
    return tuple(ordered)


def rights_problems(dependants: Sequence[Dependant], schema: str, server: Server) -> list[Finding]:
    """Return a problem for each dependant that this role can't drop or recreate, with the statement that fixes it."""
    role = server.role
    options = sql.SQL(" WITH INHERIT TRUE, SET TRUE" if server.major >= 16 else "")
    lines = []
    for dependant in dependants:
        what, owner, own = sql.SQL(dependant.kind.upper()), sql.Identifier(dependant.owner), sql.Identifier(role)
        if not dependant.may_replace and dependant.owner_is_superuser:
            remedy = sql.SQL("ALTER {} {} OWNER TO {}").format(what, dependant.identifier, own)
        elif not dependant.may_replace:
            remedy = sql.SQL("GRANT {} TO {}{}").format(owner, own, options)
        elif not dependant.may_create:
            remedy = sql.SQL("GRANT CREATE ON SCHEMA {} TO {}").format(sql.Identifier(dependant.schema), owner)
        else:
            continue
        lines.append(
            problem(
                "view-not-recreatable",
                f"{dependant.title} of role {dependant.owner} depends on schema {schema}, and role {role} may not recreate "
                "it for that role",
                f"{server.place}: {remedy.as_string()}",
                side="target",
                object=dependant.shown,
            )
        )
    return lines


def missing(dependant: Dependant, columns: Mapping[str, Collection[str]]) -> str | None:
    """Return the tables and columns that a dependant reads and that are no longer published, or None.

    `columns` has the columns of each table that is published now.
    """
    tables = sorted({table for table, _ in dependant.needs if table not in columns})
    lacking = [
        f"{table}.{column}"
        for table, column in dependant.needs
        if column and table in columns and column not in columns[table]
    ]
    lists = (("table", tables), ("column", lacking))
    gone = " and ".join(f"{plural(len(names), noun)} {', '.join(names)}" for noun, names in lists if names)
    return gone or None


def missing_problems(dependants: Sequence[Dependant], schema: str, columns: Mapping[str, Collection[str]]) -> list[Finding]:
    """Return a problem for each dependant that can't be recreated because something that it reads is no longer published."""
    gone = [(dependant, missing(dependant, columns)) for dependant in dependants]
    return [
        problem(
            "view-reads-what-is-gone",
            f"{dependant.title} of role {dependant.owner} reads {what} of schema {schema}, which is gone",
            REMEDY,
            side="target",
            object=dependant.shown,
        )
        for dependant, what in gone
        if what
    ]


def without(dependant: Dependant, gone: Collection[int], columns: Mapping[str, Collection[str]]) -> str | None:
    """Return why a dependant can't be recreated, with others `gone` and these columns published, or None."""
    lacking = missing(dependant, columns)
    if lacking:
        return f"it reads {lacking}, which is gone"
    return "it depends on one that was dropped" if set(gone).intersection(dependant.stands_on) else None


def hold(dependant: Dependant) -> sql.Composed:
    """Return the statement that locks a dependant and nothing else: LOCK TABLE would lock all that a view reads."""
    return _alter(dependant, sql.SQL("OWNER TO {}").format(sql.Identifier(dependant.owner)))


def drop(dependant: Dependant) -> sql.Composed:
    """Return the statement that drops a dependant; RESTRICT, so that nobody else's objects go with it."""
    return sql.SQL("DROP {} {}").format(sql.SQL(dependant.kind.upper()), dependant.identifier)


def create(dependant: Dependant, definition: Definition) -> list[sql.Composed]:
    """Return the statements that recreate a dependant with everything but privileges and rows.

    It gets its owner before any part of it can run: expressions of others must not run with the ETL's rights.
    """
    is_view = dependant.kind == "view"
    statements = [
        sql.SQL("CREATE {} {}{}{} AS {}{}").format(
            sql.SQL(dependant.kind.upper()),
            dependant.identifier,
            sql.SQL(" USING {}").format(sql.Identifier(definition.method)) if definition.method else sql.SQL(""),
            sql.SQL(" WITH {}").format(_options(definition.options)) if definition.options else sql.SQL(""),
            sql.SQL(definition.query),
            sql.SQL("" if is_view else " WITH NO DATA"),
        ),
        hold(dependant),
        *_comment(sql.SQL(dependant.kind.upper()), dependant.identifier, definition.comment),
    ]
    for column in definition.columns:
        name = sql.Identifier(column.name)
        whole = sql.Identifier(dependant.schema, dependant.name, column.name)
        statements += _comment(sql.SQL("COLUMN"), whole, column.comment)
        if column.default is not None:
            statements.append(
                _alter(dependant, sql.SQL("ALTER COLUMN {} SET DEFAULT {}").format(name, sql.SQL(column.default)))
            )
        settings = [_options(column.options)] if column.options else []
        settings += [sql.Composed([sql.SQL(setting)]) for setting in column.settings]
        statements += [_alter(dependant, sql.SQL("ALTER COLUMN {} SET {}").format(name, setting)) for setting in settings]
    for part in definition.parts:
        statements.append(sql.Composed([sql.SQL(part.definition)]))
        if part.kind == "STATISTICS":
            name = sql.Identifier(part.schema, part.name)
            statements.append(sql.SQL("ALTER STATISTICS {} OWNER TO {}").format(name, sql.Identifier(dependant.owner)))
            if part.statistics is not None:
                target = sql.Literal(part.statistics)
                statements.append(sql.SQL("ALTER STATISTICS {} SET STATISTICS {}").format(name, target))
        if part.clustered:
            statements.append(_alter(dependant, sql.SQL("CLUSTER ON {}").format(sql.Identifier(part.name))))
        statements += _comment(sql.SQL(part.kind), _named(part, dependant), part.comment)
    return statements


def fill(dependant: Dependant, definition: Definition) -> list[sql.Composed]:
    """Return the statements that fill a dependant if it was filled before; they run with its owner's rights."""
    if dependant.kind == "view" or not definition.populated:
        return []
    return [
        sql.SQL("REFRESH MATERIALIZED VIEW {}").format(dependant.identifier),
        sql.SQL("ANALYZE {}").format(dependant.identifier),
    ]


def drop_stranger(stranger: Stranger) -> sql.Composed:
    """Return the statement that drops any other object that depends on the published schema."""
    if stranger.of_schema and stranger.of_table and stranger.constraint_name and stranger.type == "table constraint":
        return sql.SQL("ALTER TABLE {} DROP CONSTRAINT {}").format(
            sql.Identifier(stranger.of_schema, stranger.of_table), sql.Identifier(stranger.constraint_name)
        )
    return sql.SQL("DROP {} {}").format(sql.SQL((stranger.type or "").upper()), sql.SQL(stranger.identity or ""))


def _alter(dependant: Dependant, change: sql.Composed) -> sql.Composed:
    return sql.SQL("ALTER {} {} {}").format(sql.SQL(dependant.kind.upper()), dependant.identifier, change)


def _options(options: Sequence[str]) -> sql.Composed:
    """Compose the options that the catalog keeps as `name=value`; a toast table's is `toast.name`."""
    pairs = (option.partition("=") for option in options)
    return sql.SQL("({})").format(
        sql.SQL(", ").join(
            sql.SQL("{} = {}").format(sql.Identifier(*name.split(".")), sql.Literal(value)) for name, _, value in pairs
        )
    )


def _comment(kind: sql.SQL, name: sql.Composable, comment: str | None) -> list[sql.Composed]:
    return [sql.SQL("COMMENT ON {} {} IS {}").format(kind, name, sql.Literal(comment))] if comment else []


def _named(part: Part, dependant: Dependant) -> sql.Composable:
    if part.kind in ("RULE", "TRIGGER"):
        return sql.SQL("{} ON {}").format(sql.Identifier(part.name), dependant.identifier)
    return sql.Identifier(part.schema, part.name)
