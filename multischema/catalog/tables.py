"""The origin's catalog as values, as read, before anything is decided."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self, TypeVar


@dataclass(frozen=True)
class FieldOfType:
    """A field of a composite type, with the server's own spelling of its type."""

    name: str
    type_oid: int
    type_text: str


@dataclass(frozen=True)
class Type:
    """A type of the origin. `element` and `base` are the OIDs of an array's element and a domain's base, or 0.

    `labels` are those of an enum, in its order, or the first alone.
    """

    oid: int
    schema: str
    name: str
    kind: str
    element: int
    base: int
    base_text: str
    binary: bool
    labels: tuple[str, ...]
    fields: tuple[FieldOfType, ...]
    extension: str | None
    delimiter: str = ","  # separates the items of its arrays
    json_cast: str | None = None  # who made the cast to json that to_jsonb() follows: extension or user
    subtype: int = 0  # of a range or multirange

    @classmethod
    def of(cls, fields: Sequence[Sequence[Any]], **row: Any) -> Self:
        """Return a type from its row, in which a field is an array."""
        return cls(fields=tuple(FieldOfType(*field) for field in fields), **row)


@dataclass(frozen=True)
class Column:
    """A column of a table; `type_text` is the server's own spelling, with length and precision."""

    table: str
    name: str
    type_oid: int
    type_text: str
    not_null: bool
    default: str | None
    generated: str
    generation: str | None
    generated_from: tuple[str, ...]
    collation_schema: str | None
    collation_name: str | None
    comment: str | None
    readable: bool
    generated_by: tuple[str, ...] = ()  # functions and operators that are not built in
    identity: bool = False


@dataclass(frozen=True)
class Index:
    """An index; `key_columns` has None for an expression, `columns` is everything it depends on, predicate included.

    `bytes` is its size in the origin, nothing for one of a partitioned table. `orders_of` are enums by whose order an
    expression or its predicate compares. `definition` is what stands behind the table's name, and `heads` are what the
    server may write before it.
    """

    table: str
    name: str
    unique: bool
    valid: bool
    bytes: int
    method: str
    constraint_kind: str
    key_columns: tuple[str | None, ...]
    columns: tuple[str, ...]
    definition: str = ""
    orders_of: tuple[str, ...] = ()
    oid: int = 0
    heads: tuple[str, ...] = ()

    @property
    def is_key(self) -> bool:
        """Tell whether it is a primary key or unique constraint, not a plain or unique index."""
        return self.unique and self.method == "btree" and self.constraint_kind in ("p", "u")

    def defined(self, whole: str) -> Self:
        """Return the index with its definition, cut after the table's name."""
        head = next((head for head in self.heads if whole.startswith(head)), whole)
        return replace(self, definition=whole.removeprefix(head))


@dataclass(frozen=True)
class ForeignKey:
    """A foreign key of a table."""

    table: str
    name: str
    columns: tuple[str, ...]
    referenced_schema: str
    referenced_table: str
    referenced_columns: tuple[str, ...]


@dataclass(frozen=True)
class Child:
    """A table that inherits from another and is published with it; `extra` lists its additional columns."""

    schema: str
    name: str
    extra: tuple[str, ...]


@dataclass(frozen=True)
class Table:
    """A table of the origin schema, or a partitioned root in place of its partitions.

    One that `is_partition` has its root in another schema, and is published by itself. `detaching` lists its half-detached
    partitions: schema and name of the table that each leaves, then its own. Rows of `children` are read with the table's,
    `kin` are children published as tables of their own, `odd` are children that belong to an extension. `is_heap` means that
    all its rows have an xmin, `shows_xmin` and `shows_ctid` that the role may read the number of their writer and their
    place. Its own rows, without those of others, fill `pages`.
    """

    oid: int
    name: str
    kind: str
    is_partition: bool
    comment: str | None
    row_security: bool
    unlogged: bool
    bytes: int
    columns: tuple[Column, ...] = ()
    indexes: tuple[Index, ...] = ()
    foreign_keys: tuple[ForeignKey, ...] = ()
    detaching: tuple[tuple[str, ...], ...] = ()
    children: tuple[Child, ...] = ()
    kin: tuple[str, ...] = ()
    odd: tuple[str, ...] = ()
    is_heap: bool = True
    pages: int = 0
    shows_xmin: bool = True
    shows_ctid: bool = True

    @classmethod
    def of(cls, children: Sequence[Sequence[Any]], **row: Any) -> Self:
        """Return a table from its row, in which a child is an array, without columns and keys."""
        return cls(children=tuple(Child(*child) for child in children), **row)

    def column(self, name: str) -> Column:
        """Return the column of that name. Raises KeyError."""
        for column in self.columns:
            if column.name == name:
                return column
        raise KeyError(name)

    def computed_from(self, hidden: frozenset[str]) -> tuple[str, ...]:
        """Return the columns computed from hidden ones; columns that only a child has count as hidden."""
        clear = {column.name for column in self.columns} - hidden
        return tuple(
            column.name for column in self.columns if column.generated and not clear.issuperset(column.generated_from)
        )

    @property
    def primary_key(self) -> tuple[str, ...]:
        """Return the primary key's columns in order, none if there is no primary key."""
        for index in self.indexes:
            if index.constraint_kind == "p":
                return tuple(name for name in index.key_columns if name)
        return ()

    @property
    def key_columns(self) -> frozenset[str]:
        """Return the columns that need no rule: those of the primary key and of foreign keys."""
        return frozenset(self.primary_key).union(*(key.columns for key in self.foreign_keys))


@dataclass(frozen=True)
class NotCopied:
    """What stands in the origin schema and is no table, or a schema beside it; of a partition the root is the `kind`."""

    what: str
    name: str
    kind: str


@dataclass(frozen=True)
class Fingerprint:
    """Changes if a table is altered (`structure`), rewritten or truncated (`files`), or its `types` are altered."""

    oid: int
    structure: str
    files: str
    types: str = ""


OF_AN_EXTENSION = "member of an extension"  # a kind: what an extension brings is none of the app's


@dataclass(frozen=True)
class Catalog:
    """The origin schema at one moment; `others` maps what is not copied, such as views, to its kind.

    `partitions` maps partitions, and foreign tables that inherit, to the table that their rows are copied into.
    `keys_of_partitions` has the indexes and foreign keys that only partitions have, by root.
    """

    schema: str
    tables: tuple[Table, ...]
    types: Mapping[int, Type]
    fingerprints: Mapping[int, Fingerprint]
    others: Mapping[str, str]
    partitions: Mapping[str, str]
    other_schemas: tuple[str, ...]
    keys_of_partitions: Mapping[str, Sequence[str]]


Part = TypeVar("Part", Column, Index, ForeignKey)


def parts_of(oid: int, types: Mapping[int, Type], *, bounds: bool = False) -> Iterator[Type]:
    """Yield a type's parts, then the type: elements, bases, fields, and with `bounds` the subtypes of ranges."""
    type_ = types[oid]
    for part in (type_.element, type_.base, type_.subtype if bounds else 0, *(field.type_oid for field in type_.fields)):
        if part:
            yield from parts_of(part, types, bounds=bounds)
    yield type_


def fields_of(oid: int, types: Mapping[int, Type], *, bounds: bool = False) -> Iterator[Type]:
    """Yield the types of the fields of composite types inside a type."""
    for type_ in parts_of(oid, types):
        for field in type_.fields:
            yield from parts_of(field.type_oid, types, bounds=bounds)


def assemble(
    schema: str,
    tables: Sequence[Table],
    columns: Sequence[Column],
    types: Sequence[Type],
    indexes: Sequence[Index],
    foreign_keys: Sequence[ForeignKey],
    not_copied: Sequence[NotCopied],
    fingerprints: Mapping[int, Fingerprint],
) -> Catalog:
    """Build the catalog from the rows of the queries of these names in `sql/`; `definitions` has whole index definitions."""
    keys_of_partitions: defaultdict[str, list[str]] = defaultdict(list)
    for each in not_copied:
        if each.what == "index":
            keys_of_partitions[each.kind].append(each.name)
    names = {table.name for table in tables}
    columns_of, indexes_of, foreign_keys_of = _by_table(columns), _by_table(indexes), _by_table(foreign_keys)
    return Catalog(
        schema=schema,
        tables=tuple(
            replace(
                table,
                columns=columns_of[table.name],
                indexes=indexes_of[table.name],
                foreign_keys=foreign_keys_of[table.name],
            )
            for table in tables
        ),
        types={type_.oid: type_ for type_ in types},
        fingerprints=fingerprints,
        others={each.name: each.kind for each in not_copied if each.what == "relation"},
        # a root inside another root's family is no table of its own, as a rule
        partitions={each.name: each.kind for each in not_copied if each.what == "partition" and each.kind in names}
        | {child.name: table.name for table in tables for child in table.children if child.schema == schema},
        other_schemas=tuple(each.name for each in not_copied if each.what == "schema"),
        keys_of_partitions=dict(keys_of_partitions),
    )


def changes(
    plan: Catalog, snapshot: Mapping[int, Fingerprint], after: Mapping[int, Fingerprint], copied: Sequence[int]
) -> list[str]:
    """Return a line per copied table that was altered since the plan, or rewritten or truncated since the snapshot."""
    names = {table.oid: table.name for table in plan.tables}
    lines = []
    for oid in copied:
        if oid not in after:
            lines.append(f"{names[oid]} was dropped")
        elif after[oid].structure != plan.fingerprints[oid].structure:
            lines.append(f"{names[oid]} was altered")
        elif after[oid].types != plan.fingerprints[oid].types:
            lines.append(f"{names[oid]} had a type altered")
        elif oid not in snapshot or after[oid].files != snapshot[oid].files:
            lines.append(f"{names[oid]} was rewritten or truncated")
    return lines


def _by_table(parts: Iterable[Part]) -> Mapping[str, tuple[Part, ...]]:
    """Return columns, indexes or foreign keys by the table that they belong to, in their order."""
    grouped: defaultdict[str, tuple[Part, ...]] = defaultdict(tuple)
    for part in parts:
        grouped[part.table] += (part,)
    return grouped
