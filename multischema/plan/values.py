"""Values of the origin that would change their meaning once published, found by types, settings and versions."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from psycopg import sql

from multischema.catalog.flat import as_text, flatten
from multischema.catalog.tables import Catalog, Column, Table, Type, fields_of, parts_of
from multischema.findings import Finding, problem
from multischema.plan.plan import Plan
from multischema.plan.tables import Guard, TablePlan

MONEY_DIGITS = 2  # what a session with lc_monetary = C, as in all of a run's, reads as cents


@dataclass(frozen=True)
class Capability:
    """Values of a built-in type that servers can read since a major version: older ones read something else, or fail.

    `pattern` matches what the type writes for such a value, and nothing else. With `only_as_text`, their bytes did not
    change, only their text. `before` matches what older servers write for bytes that newer ones read as such a value.
    """

    type: str
    since: int
    what: str
    pattern: str
    only_as_text: bool = False
    before: str | None = None

    def between(self, origin: int, target: int, *, in_text: bool) -> tuple[str, str] | None:
        """Return what the target must not read, and its pattern, or None if it reads everything as the origin does."""
        if target < self.since <= origin and (in_text or not self.only_as_text):
            return f"{self.what}, which Postgres {target} can't hold ({self.since} can)", self.pattern
        if origin < self.since <= target and self.before:
            return f"a value that is {self.what} for Postgres {target}", self.before
        return None


CAPABILITIES = (
    Capability("numeric", 14, "infinity", "Infinity"),
    Capability(
        *("interval", 17, "infinity", "infinity"),
        # the greatest number of months, days and microseconds, or the least
        before=r"-?178956970 years -?[78] mons -?214748364[78] days -?2562047788:00:54\.77580[78]",
    ),
    Capability(
        *("jsonpath", 17, "a path with a method of Postgres 17"),
        # a constant or a name with the same text also matches: in an array's text, quotes tell nothing
        r"\.(bigint|boolean|date|decimal|integer|number|string|time(_tz)?|timestamp(_tz)?)\(",
    ),
    Capability("char", 16, "a character that is not ASCII", r"\\[0-7]{3}", only_as_text=True),
)


def guarded(plan: Plan, origin: int, target: int, *, in_text: bool) -> Plan:
    """Return the plan with guards against values that the target's major version can't hold.

    `in_text` means that values go through a dump. No catalog knows the rows, so a guard asks each table.
    """
    tables = {table.name: table for table in plan.catalog.tables}
    wanted = {c.type: unread for c in CAPABILITIES if (unread := c.between(origin, target, in_text=in_text))}
    return replace(
        plan,
        tables=tuple(
            replace(table, guards=tuple(_guards(table, tables[table.name], plan.catalog.types, wanted, in_text=in_text)))
            for table in plan.tables
        ),
    )


def cast_problems(side: str, plan: Plan) -> list[Finding]:
    """Return a problem for each column that to_jsonb() would publish through a user-defined cast of the origin."""
    return [
        problem(
            "user-cast-to-json",
            f"column {table.name}.{column.name} is of a composite type that contains {type_.name}, and mode stream "
            f"would publish what a user's cast from {type_.name} to json returns",
            "use mode dump, anonymize the column, or drop that cast",
            side=side,
            table=table.name,
            column=column.name,
        )
        for table, column in _clear(plan)
        for type_ in _unique(fields_of(column.type_oid, plan.catalog.types))
        if type_.json_cast == "user"
    ]


def has_money(catalog: Catalog) -> bool:
    """Tell whether any column of the origin holds money, however deep in its type."""
    return any(_is_money(type_) for type_ in catalog.types.values())


def money_problems(side: str, plan: Plan, digits: int | None) -> list[Finding]:
    """Return a problem for each column of money that the run's sessions would read differently from the origin's own.

    An amount is a number of the smallest coin of the origin's lc_monetary, which has `digits` decimals. They are None for
    a backup, which does not say in what locale its amounts were written: 1.235 may be a thousand or one.
    """
    if digits == MONEY_DIGITS:
        return []
    reason, todo = (
        (
            ", and a backup does not say which lc_monetary it was written with",
            "anonymize it, truncate the table in the rules, or use mode stream",
        )
        if digits is None
        else (
            f" with {digits} decimals by the database's lc_monetary; it would be published with {MONEY_DIGITS}",
            "make it numeric in the origin, anonymize it, or truncate the table in the rules",
        )
    )
    masks = {table.name: table for table in plan.copied}
    return [
        problem(
            "money-with-other-decimals",
            f"column {table.name}.{column.name} holds money{reason}",
            todo,
            side=side,
            table=table.name,
            column=column.name,
        )
        for table in plan.catalog.tables
        if table.name in masks
        for column in table.columns
        if any(_is_money(type_) for type_ in parts_of(column.type_oid, plan.catalog.types, bounds=True))
        and _shows_amount(masks[table.name], column, of_default=digits is not None)
    ]


def masked_constants(plan: Plan) -> dict[tuple[str, str], str]:
    """Return the constants that masks put in place of values, each with its type and a column that gets it."""
    return {
        (column.type, constant): f"{table.name}.{column.name}"
        for table in plan.copied
        for column in table.masked
        # the check asks whether the target reads documents
        if column.type not in ("xml", "xml[]")
        if column.mask and (constant := column.mask.constant) is not None
    }


def _clear(plan: Plan) -> Iterator[tuple[Table, Column]]:
    """Yield the columns that are published as they are, in some rows at least."""
    copied = {table.name: table for table in plan.copied}
    for table in plan.catalog.tables:
        if table.name in copied:
            clear = {column.name for column in copied[table.name].columns if column.shows_values}
            yield from ((table, column) for column in table.columns if column.name in clear)


def _guards(
    plan: TablePlan, table: Table, types: Mapping[int, Type], wanted: Mapping[str, tuple[str, str]], *, in_text: bool
) -> Iterator[Guard]:
    # a raw table holds the values that a mask computes with
    looked_at = (c for c in plan.columns if c.shows_values or (in_text and c.mask and c.mask.needs_type))
    for column in (table.column(c.name) for c in looked_at if not plan.truncated):
        spelling = flatten(column.type_oid, column.type_text, types).spelling.removesuffix("[]")
        # every server reads text, and values in jsonb are text, unless they were dumped: then the target converts its own
        if spelling == "text" or (spelling == "jsonb" and not in_text):
            continue
        for name, (what, pattern) in sorted(wanted.items()):
            found = list(_matches(sql.Identifier(column.name), types[column.type_oid], types, name, pattern))
            if found:
                yield Guard(column.name, what, sql.SQL("({})").format(sql.SQL(" OR ").join(found)))


def _matches(
    value: sql.Composable, type_: Type, types: Mapping[int, Type], name: str, pattern: str
) -> Iterator[sql.Composable]:
    """Compose the conditions that find, inside a value, one of the named type whose text matches the pattern.

    A composite type is searched field by field: a text in it could match too.
    """
    if not any(part.name == name and part.schema == "pg_catalog" for part in parts_of(type_.oid, types, bounds=True)):
        return
    if not any(part.fields for part in parts_of(type_.oid, types)):
        if flatten(type_.oid, type_.name, types).spelling != "text":  # the app's own ranges become text
            yield sql.SQL("{} ~ {}").format(as_text(value), sql.Literal(pattern))
    elif type_.kind == "d":
        yield from _matches(value, types[type_.base], types, name, pattern)
    elif type_.element:
        for match in _matches(sql.Identifier("item", "value"), types[type_.element], types, name, pattern):
            yield sql.SQL("EXISTS (SELECT FROM (SELECT unnest({}) AS value) AS item WHERE {})").format(value, match)
    else:
        for field in type_.fields:
            of_field = sql.SQL("({}).{}").format(value, sql.Identifier(field.name))
            yield from _matches(of_field, types[field.type_oid], types, name, pattern)


def _is_money(type_: Type) -> bool:
    return type_.schema == "pg_catalog" and type_.name == "money"


def _shows_amount(plan: TablePlan, column: Column, *, of_default: bool) -> bool:
    """Tell whether an amount is published: the column's own or, if `of_default`, the one in its default."""
    found = next((c for c in plan.columns if c.name == column.name), None)
    if found is None:
        return False
    return found.shows_values or bool(found.mask and of_default and set(found.mask.constant or "").intersection("123456789"))


def _unique(types: Iterator[Type]) -> list[Type]:
    return list({type_.oid: type_ for type_ in types}.values())
