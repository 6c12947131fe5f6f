"""What the structure of a backup says, read word by word: types, tables, keys, indexes and comments, as values.

No statement of a backup is executed. What is read here is composed anew, of names, texts, numbers and the words below; what
would be code (functions, casts, checks, rules, defaults that compute) is not read at all, and what needs it is named.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from multischema.catalog.tokens import Name, Statement, Token


@dataclass(frozen=True)
class TypeName:
    """A type as a column has it: its name or the words of it, limits such as (10,2), and the dimensions of an array."""

    name: Name
    words: tuple[str, ...] = ()
    limits: tuple[Token, ...] = ()
    words_after: tuple[str, ...] = ()
    dimensions: int = 0


@dataclass(frozen=True)
class Column:
    """A column of a table: `default` is a literal, `generation` the expression that computes it, as words.

    Where its NOT NULL is `not_inherited`, rows of children may have none.
    """

    name: str
    type: TypeName | None = None
    collation: Name | None = None
    not_null: bool = False
    not_inherited: bool = False
    default: Statement = ()
    generation: Statement = ()


@dataclass(frozen=True)
class Enum:
    """A type whose values are labels."""

    name: Name
    labels: tuple[str, ...]


@dataclass(frozen=True)
class Composite:
    """A type of fields."""

    name: Name
    fields: tuple[Column, ...]


@dataclass(frozen=True)
class Range:
    """A range type, without the functions that it may call."""

    name: Name
    subtype: TypeName
    multirange: Name | None = None
    collation: Name | None = None


@dataclass(frozen=True)
class Domain:
    """A domain, without its checks, its default and its NOT NULL."""

    name: Name
    base: TypeName
    collation: Name | None = None


@dataclass(frozen=True)
class Table:
    """A table; `partition_by` are the words of its partition key, `of` the type of a typed table."""

    name: Name
    columns: tuple[Column, ...]
    parents: tuple[Name, ...] = ()
    partition_by: Statement = ()
    of: Name | None = None
    not_null: tuple[str, ...] = ()
    is_foreign: bool = False


@dataclass(frozen=True)
class Attach:
    """A partition of a table, with the words of its bounds."""

    root: Name
    partition: Name
    bounds: Statement


@dataclass(frozen=True)
class Key:
    """A key or exclusion constraint; `definition` are the words behind its name, `references` the table of a foreign key."""

    table: Name
    name: str
    definition: Statement
    references: Name | None = None
    referenced: Statement = ()


@dataclass(frozen=True)
class Index:
    """An index; `definition` are the words from USING on."""

    table: Name
    name: str
    unique: bool
    only: bool
    definition: Statement


@dataclass(frozen=True)
class IndexAttach:
    """An index of a partition that belongs to its root's."""

    root: Name
    index: Name


@dataclass(frozen=True)
class Comment:
    """A comment on a table, or on a column of it."""

    table: Name
    column: str | None
    text: str


@dataclass(frozen=True)
class Unread:
    """A type or a table that can't be made without code of the backup, and why."""

    what: str
    name: Name
    reason: str


@dataclass(frozen=True)
class Copy:
    """What the rows of a dump are for: a table and its columns; none are named where it has none."""

    table: Name
    columns: tuple[str, ...]


Item = Enum | Composite | Range | Domain | Table | Attach | Key | Index | IndexAttach | Comment | Unread


def is_brought(collation: Name | None) -> bool:
    """Tell a collation that Postgres brings; others are the database's own, and are not made."""
    return collation is not None and collation.schema in (None, "pg_catalog")


def columns_in(tokens: Statement, columns: Iterable[str]) -> list[str]:
    """Return the columns whose names stand in an expression."""
    named = {token.value for token in tokens if token.is_name}
    return [column for column in columns if column in named]
