"""Raw tables: where `dump` mode restores the origin's rows before they are masked. Statements, as values.

They have the flattened types that the published ones have, so that the target needs no extension, and nothing else: no key,
no index, no default. A masked column is text unless its mask looks into the value: the target need not read what it hides,
and its version may not be able to. Two things are made besides: a composite type gets a stand-in with flattened fields, as
to_jsonb() must know its fields; a generated column is computed again, as pg_dump leaves it out.
"""

import json
from collections.abc import Iterable, Mapping, Sequence

from psycopg import sql

from multischema.catalog import foreign
from multischema.catalog.flat import flatten, is_array_of_arrays, is_hstore
from multischema.catalog.tables import Catalog, Column, Table, Type, fields_of, parts_of
from multischema.findings import Finding, problem
from multischema.masks.mask import Mask
from multischema.plan.plan import Plan
from multischema.plan.tables import TablePlan
from multischema.statements import building, grants

# A domain that says: what stands in this schema is a run's. Its comment is the name of the run's sessions.
MARKER = "etl_raw_data"
# Autovacuum would copy the commonest names into pg_statistic, which is in the WAL, and in each backup made of it.
_NO_STATISTICS = sql.SQL("autovacuum_enabled = false")


def problems(side: str, plan: Plan, locales: Sequence[str]) -> list[Finding]:
    """Return a problem for each column that a dump can't bring over; `locales` are those of origin and target."""
    types = plan.catalog.types
    lines = []

    def refuse(code: str, what: str, table: Table, column: str = "") -> None:
        lines.append(problem(code, what, "use mode stream", side=side, table=table.name, column=column))

    for table, published in _copied(plan):
        if table.name == MARKER:
            refuse("dump-of-marker", f"table {MARKER} has the name of what marks raw data", table)
        if table.is_partition:
            # what pg_dump has of it would go into its root
            refuse("dump-of-partition", f"table {table.name} is a partition of a table in another schema", table)
        if table.children:
            child = table.children[0]
            elsewhere = f"table {table.name} has rows in {child.schema}.{child.name}, which inherits from it"
            refuse("dump-of-children", elsewhere, table)
        for column in table.columns:
            fields = list(fields_of(column.type_oid, types))
            followed = next((type_.name for type_ in fields if type_.json_cast == "extension"), None)
            if followed:  # the origin's to_jsonb() asks the extension; there is none in the target
                composite = f"column {table.name}.{column.name} is of a composite type with {followed} in it"
                refuse("dump-of-composite", composite, table, column.name)
            if flatten(column.type_oid, column.type_text, types).conversion == "items":
                unparted = f"column {table.name}.{column.name} is an array whose items no comma parts"
                refuse("dump-of-array", unparted, table, column.name)
            if any(is_array_of_arrays(type_, types) for type_ in fields):
                nested = f"column {table.name}.{column.name} is of a composite type with arrays of arrays"
                refuse("dump-of-array", nested, table, column.name)
            if _is_computed(column, published) and (reason := _is_computed_otherwise(column, table, types, locales)):
                refuse("dump-of-computed-column", reason, table, column.name)
    return lines


def field_types(catalog: Catalog) -> dict[str, str]:
    """Return the types of the fields that stand-ins of composite types have, each with a column that needs it."""
    return {
        flatten(field.type_oid, field.type_text, catalog.types).spelling: f"{table.name}.{column.name}"
        for table in catalog.tables
        for column in table.columns
        for type_ in parts_of(column.type_oid, catalog.types)
        for field in type_.fields
    }


def mark(schema: str, application: str, made: Iterable[str]) -> list[sql.Composed]:
    """Return the statements that make the marker, with the names of what the run makes; nothing of it is made before."""
    comment = f"{application}\n{json.dumps(sorted(made))}"
    return [
        building.create_domain(schema, MARKER),
        sql.SQL("COMMENT ON DOMAIN {} IS {}").format(sql.Identifier(schema, MARKER), sql.Literal(comment)),
    ]


def names(plan: Plan) -> list[str]:
    """Return the names of the types and tables that a run makes in a raw schema."""
    used = (column.type_oid for table, _ in _copied(plan) for column in table.columns)
    types = {part for oid in used for part in parts_of(oid, plan.catalog.types) if part.kind == "c"}
    return [*(_stand_in_name(type_) for type_ in types), *(table.name for table in plan.copied)]


def create_schema(schema: str) -> sql.Composed:
    """Return the statement that makes a raw schema."""
    return sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(schema))


def create_types(plan: Plan, schema: str) -> list[tuple[str, sql.Composed]]:
    """Return the stand-ins of composite types, each with its name and after those that it is made of."""
    types = plan.catalog.types
    used = (column.type_oid for table, _ in _copied(plan) for column in table.columns)
    composites: dict[int, Type] = {}
    for oid in used:
        composites |= {type_.oid: type_ for type_ in parts_of(oid, types) if type_.kind == "c"}
    return [
        (
            _stand_in_name(type_),
            sql.SQL("CREATE TYPE {} AS ({})").format(
                _stand_in(type_, schema),
                sql.SQL(", ").join(
                    sql.SQL("{} {}").format(
                        sql.Identifier(field.name), _spelling(field.type_oid, field.type_text, types, schema)
                    )
                    for field in type_.fields
                ),
            ),
        )
        for type_ in composites.values()
    ]


def create_tables(plan: Plan, schema: str) -> list[tuple[str, sql.Composed]]:
    """Return each copied table's name and the statement that makes its raw table."""
    return [
        (
            table.name,
            sql.SQL("CREATE UNLOGGED TABLE {} ({}) WITH ({})").format(
                sql.Identifier(schema, table.name),
                sql.SQL(", ").join(
                    _column(column, published.mask(column.name), plan.catalog.types, schema)
                    for column in table.columns
                    if not column.generated or _is_computed(column, published)
                ),
                _NO_STATISTICS,
            ),
        )
        for table, published in _copied(plan)
    ]


def keep(schema: str, table: str) -> sql.Composed:
    """Return the statement that keeps others from dropping, renaming or altering a table until the transaction ends."""
    return sql.SQL("LOCK TABLE {} IN ROW EXCLUSIVE MODE").format(sql.Identifier(schema, table))


def hide_type(schema: str, name: str) -> sql.Composed:
    """Return the statement that lets nobody else build on a type or a table's rows, and so keep them from being dropped."""
    return sql.SQL("REVOKE ALL ON TYPE {} FROM PUBLIC").format(sql.Identifier(schema, name))


def copy_in(schema: str, table: str, columns: Sequence[str], encoding: str) -> sql.Composed:
    """Return the COPY that takes the lines of a dump."""
    return sql.SQL("COPY {} {} FROM STDIN (ENCODING {})").format(
        sql.Identifier(schema, table),
        sql.SQL("({})").format(sql.SQL(", ").join(map(sql.Identifier, columns))) if columns else sql.SQL(""),
        sql.Literal(encoding),
    )


def drop(kind: str, identity: str) -> sql.Composed:
    """Return the statement that drops what pg_identify_object() names so; never what others built on it."""
    # an aggregate that takes any row has another spelling for DROP AGGREGATE than its identity
    kind = "ROUTINE" if kind in ("FUNCTION", "PROCEDURE", "AGGREGATE") else kind
    return sql.SQL("DROP {} {}").format(sql.SQL(kind), sql.SQL(identity))


def drop_index(identity: str) -> sql.Composed:
    """Return the statement that drops an index, as the server spells it, with the keys of partitions that belong to it."""
    return sql.SQL("DROP INDEX {} CASCADE").format(sql.SQL(identity))


def as_text(schema: str, table: str, column: str) -> sql.Composed:
    """Return the statement that has a column take the text of documents, whatever is in it."""
    return sql.SQL("ALTER TABLE {} ALTER COLUMN {} TYPE text").format(sql.Identifier(schema, table), sql.Identifier(column))


def documents(plan: Plan) -> list[tuple[str, str]]:
    """Return the tables and columns of XML whose rows are copied."""
    return [
        (table.name, column.name)
        for table, _ in _copied(plan)
        for column in table.columns
        if plan.catalog.types[column.type_oid].name == "xml" and not column.generated
    ]


def truncate(tables: Sequence[sql.Composable]) -> sql.Composed:
    """Return the statement that takes all rows from tables."""
    return sql.SQL("TRUNCATE {}").format(sql.SQL(", ").join(tables))


def share(tables: Sequence[sql.Composable]) -> sql.Composed:
    """Return the statement that keeps tables, which are read and filled, from being dropped until the transaction ends."""
    return sql.SQL("LOCK TABLE ONLY {} IN ACCESS SHARE MODE").format(sql.SQL(", ONLY ").join(tables))


def unlogged(table: str) -> sql.Composed:
    """Return the statement that keeps a table's rows out of the WAL; the table as the server spells it."""
    return sql.SQL("ALTER TABLE {} SET UNLOGGED").format(sql.SQL(table))


def unanalyzed(table: str) -> sql.Composed:
    """Return the statement that keeps a table's commonest values out of the statistics, which are in the WAL."""
    return sql.SQL("ALTER TABLE {} SET ({})").format(sql.SQL(table), _NO_STATISTICS)


def hide(tables: Sequence[tuple[str, str | None]]) -> list[sql.Composed]:
    """Return the statements that take tables, as the server spells them, from roles; PUBLIC is None."""
    return [
        sql.SQL("REVOKE ALL ON TABLE {} FROM {} CASCADE").format(sql.SQL(table), grants.grantee(role))
        for table, role in tables
    ]


def drop_constraint(table: str, name: str) -> sql.Composed:
    """Return the statement that drops a key; the table as the server spells it."""
    return sql.SQL("ALTER TABLE {} DROP CONSTRAINT {}").format(sql.SQL(table), sql.Identifier(name))


def rename_not_null(table: str, name: str, oid: int) -> sql.Composed:
    """Return the statement that gives a NOT NULL a name which no key has; the table as the server spells it."""
    return sql.SQL("ALTER TABLE {} RENAME CONSTRAINT {} TO {}").format(
        sql.SQL(table), sql.Identifier(name), sql.Identifier(f"etl_not_null_{oid}")
    )


def _copied(plan: Plan) -> Sequence[tuple[Table, TablePlan]]:
    """Return the origin's tables whose rows are copied, each with the plan of the published one."""
    published = {table.name: table for table in plan.copied}
    return [(table, published[table.name]) for table in plan.catalog.tables if table.name in published]


def _is_computed(column: Column, published: TablePlan) -> bool:
    """Tell a generated column that is published; one that is left out is not computed."""
    return bool(column.generated) and column.name in published.names


def _is_computed_otherwise(column: Column, table: Table, types: Mapping[int, Type], locales: Sequence[str]) -> str | None:
    """Return why the target, on flattened types, may compute another value than the origin did; None where it can't."""
    name = f"{table.name}.{column.name}"
    if column.generation is None:
        return f"partitions of {table.name} compute column {column.name} each in its own way"
    if column.generated_by:
        return f"column {name} is computed by {', '.join(column.generated_by)}, which the target lacks"
    if reason := foreign.refused_expression(column.generation):
        return f"column {name} is computed by an expression that {reason}"
    used = [column, *(table.column(source) for source in column.generated_from)]
    flats = [flatten(c.type_oid, c.type_text, types) for c in used]
    for source, flat in zip(used, flats, strict=True):
        if flat.conversion != "none":
            what = f"{table.name}.{source.name} of type {source.type_text}"
            return f"column {name} is computed from {what}, which is {flat.spelling} in the target"
    if len({*locales}) > 1 and any(flat.family.startswith("text") for flat in flats):
        return f"column {name} is computed from text, and origin and target have other locales ({' / '.join(locales)})"
    return None


def _column(column: Column, mask: Mask | None, types: Mapping[int, Type], schema: str) -> sql.Composed:
    spelling = _spelling(column.type_oid, column.type_text, types, schema)
    name = sql.Identifier(column.name)
    is_text = flatten(column.type_oid, column.type_text, types).family.startswith("text")
    if mask and not mask.needs_type and not column.generated and not is_text:
        return sql.SQL("{} text").format(name)
    if column.generated:
        expression = foreign.expression(column.generation or "NULL")
        return sql.SQL("{} {} GENERATED ALWAYS AS ({}) STORED").format(name, spelling, expression)
    return sql.SQL("{} {}").format(name, spelling)


def _spelling(oid: int, text: str, types: Mapping[int, Type], schema: str) -> sql.Composable:
    """Return the type of a raw column: it reads what the origin's type writes as text."""
    type_ = types[oid]
    if type_.kind == "d":
        return _spelling(type_.base, type_.base_text, types, schema)
    if type_.kind == "c":
        return _stand_in(type_, schema)
    if is_hstore(type_) or type_.name == "xml":  # a server without libxml reads none; the bytes are the same
        return sql.SQL("text")
    if type_.element:
        flat = flatten(oid, text, types)
        if flat.spelling != "jsonb[]" or flat.conversion == "none":
            return foreign.type_(flat.spelling)
        return sql.SQL("{}[]").format(_spelling(type_.element, text.removesuffix("[]"), types, schema))
    return foreign.type_(flatten(oid, text, types).spelling)


def _stand_in(type_: Type, schema: str) -> sql.Identifier:
    return sql.Identifier(schema, _stand_in_name(type_))


def _stand_in_name(type_: Type) -> str:
    return f"etl_type_{type_.oid}"
