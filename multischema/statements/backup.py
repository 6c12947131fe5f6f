"""What a backup's structure becomes in the raw schema: types and bare tables, their keys and indexes while they are empty.

Nothing of the backup's own text is in a statement. Each is composed of what `catalog/backup.py` read: names, which are
quoted, texts, which are literals, numbers, and words and signs of the few kinds that a definition is made of.
"""

from collections.abc import Collection, Iterable, Sequence

from psycopg import sql

from multischema.catalog.backup import (
    Attach,
    Column,
    Comment,
    Composite,
    Domain,
    Enum,
    Index,
    IndexAttach,
    Key,
    Range,
    Table,
    TypeName,
    columns_in,
    is_brought,
)
from multischema.catalog.tokens import Name, respelled, word_spelled


def create_enum(type_: Enum) -> sql.Composed:
    """Return the statement that makes a type of labels."""
    return sql.SQL("CREATE TYPE {} AS ENUM ({})").format(_name(type_.name), _listed(map(sql.Literal, type_.labels)))


def create_composite(type_: Composite) -> sql.Composed:
    """Return the statement that makes a type of fields."""
    fields = [
        sql.SQL("{} {}{}").format(sql.Identifier(field.name), spelled(_type_of(field)), _collated(field.collation))
        for field in type_.fields
    ]
    return sql.SQL("CREATE TYPE {} AS ({})").format(_name(type_.name), _listed(fields))


def create_range(type_: Range) -> sql.Composed:
    """Return the statement that makes a range type; it calls no function but those of its subtype."""
    options = [sql.SQL("subtype = {}").format(spelled(type_.subtype))]
    if type_.multirange:
        options.append(sql.SQL("multirange_type_name = {}").format(_name(type_.multirange)))
    if is_brought(type_.collation):
        options.append(sql.SQL("collation = {}").format(_name(type_.collation)))
    return sql.SQL("CREATE TYPE {} AS RANGE ({})").format(_name(type_.name), _listed(options))


def create_domain(domain: Domain) -> sql.Composed:
    """Return the statement that makes a domain, which takes every value of its base."""
    return sql.SQL("CREATE DOMAIN {} AS {}{}").format(_name(domain.name), spelled(domain.base), _collated(domain.collation))


def create_table(table: Table, stand_ins: Collection[str]) -> sql.Composed:
    """Return the statement that makes a table; of the columns named, the expressions are replaced by NULL."""
    names = [column.name for column in table.columns]
    columns = [_column(column, names, stand_in=column.name in stand_ins) for column in table.columns]
    typed = sql.SQL(" OF {}").format(_name(table.of)) if table.of else sql.SQL("")
    body = sql.SQL("") if table.of and not columns else sql.SQL(" ({})").format(_listed(columns))
    parents = sql.SQL(" INHERITS ({})").format(_listed(map(_name, table.parents))) if table.parents else sql.SQL("")
    key = sql.SQL(" PARTITION BY {}").format(respelled(table.partition_by)) if table.partition_by else sql.SQL("")
    return sql.SQL("CREATE TABLE {}{}{}{}{}").format(_name(table.name), typed, body, parents, key)


def set_not_null(table: Name, column: str) -> sql.Composed:
    """Return the statement that keeps NULL out of a column."""
    return sql.SQL("ALTER TABLE {} ALTER COLUMN {} SET NOT NULL").format(_name(table), sql.Identifier(column))


def attach(item: Attach) -> sql.Composed:
    """Return the statement that makes a table a partition of another."""
    return sql.SQL("ALTER TABLE ONLY {} ATTACH PARTITION {} {}").format(
        _name(item.root), _name(item.partition), respelled(item.bounds)
    )


def add_key(key: Key) -> sql.Composed:
    """Return the statement that adds a key or an exclusion constraint."""
    referenced = (
        sql.SQL(" REFERENCES {} {}").format(_name(key.references), respelled(key.referenced))
        if key.references
        else sql.SQL("")
    )
    # keys of a partitioned table that its partitions share refer to all of them
    only = sql.SQL("" if key.references else "ONLY ")
    return sql.SQL("ALTER TABLE {}{} ADD CONSTRAINT {} {}{}").format(
        only, _name(key.table), sql.Identifier(key.name), respelled(key.definition), referenced
    )


def create_index(index: Index) -> sql.Composed:
    """Return the statement that makes an index."""
    return sql.SQL("CREATE {}INDEX {} ON {}{} {}").format(
        sql.SQL("UNIQUE " if index.unique else ""),
        sql.Identifier(index.name),
        sql.SQL("ONLY " if index.only else ""),
        _name(index.table),
        respelled(index.definition),
    )


def attach_index(item: IndexAttach) -> sql.Composed:
    """Return the statement that makes an index a part of its root's."""
    return sql.SQL("ALTER INDEX {} ATTACH PARTITION {}").format(_name(item.root), _name(item.index))


def comment(item: Comment) -> sql.Composed:
    """Return the statement that comments a table, or a column of it."""
    what = sql.SQL("TABLE" if item.column is None else "COLUMN")
    name = (
        _name(item.table) if item.column is None else sql.SQL("{}.{}").format(_name(item.table), sql.Identifier(item.column))
    )
    return sql.SQL("COMMENT ON {} {} IS {}").format(what, name, sql.Literal(item.text))


def spelled(type_: TypeName) -> sql.Composed:
    """Return a type as SQL."""
    limits = sql.SQL("({})").format(respelled(type_.limits)) if type_.limits else sql.SQL("")
    name = sql.SQL(" ").join(map(word_spelled, type_.words)) if type_.words else _name(type_.name)
    after = sql.SQL("").join(sql.SQL(" {}").format(word_spelled(word)) for word in type_.words_after)
    return sql.SQL("{}{}{}{}").format(name, limits, after, sql.SQL("").join([sql.SQL("[]")] * type_.dimensions))


def _column(column: Column, names: Sequence[str], *, stand_in: bool) -> sql.Composed:
    parts = [sql.Identifier(column.name), spelled(column.type) if column.type else sql.SQL("WITH OPTIONS")]
    if stand_in:
        sources = _listed([*map(sql.Identifier, columns_in(column.generation, names)), sql.SQL("NULL")])
        parts.append(
            sql.SQL("GENERATED ALWAYS AS ((CASE WHEN ROW({}) IS NULL THEN NULL END)::{}) STORED").format(
                sources, spelled(_type_of(column))
            )
        )
        return sql.SQL(" ").join(parts)
    if is_brought(column.collation):
        parts.append(sql.SQL("COLLATE {}").format(_name(column.collation)))
    if column.generation:
        parts.append(sql.SQL("GENERATED ALWAYS AS ({}) STORED").format(respelled(column.generation)))
    elif column.default:
        parts.append(sql.SQL("DEFAULT {}").format(respelled(column.default)))
    if column.not_null:
        parts.append(sql.SQL("NOT NULL NO INHERIT" if column.not_inherited else "NOT NULL"))
    return sql.SQL(" ").join(parts)


def _type_of(column: Column) -> TypeName:
    assert column.type, "a field, and a column that is computed, has a type"
    return column.type


def _collated(collation: Name | None) -> sql.Composable:
    return sql.SQL(" COLLATE {}").format(_name(collation)) if is_brought(collation) else sql.SQL("")


def _name(name: Name | None) -> sql.Identifier:
    assert name
    return sql.Identifier(name.schema, name.name) if name.schema else sql.Identifier(name.name)


def _listed(parts: Iterable[sql.Composable]) -> sql.Composed:
    return sql.SQL(", ").join(parts)
