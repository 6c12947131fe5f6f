"""The origin's catalog as values: what was read from it, before anything is decided."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class FieldOfType:
    """A field of a composite type, with the server's own spelling of its type."""

    name: str
    type_oid: int
    type_text: str


@dataclass(frozen=True)
class Type:
    """A type of the origin. `element` and `base` are the OIDs of an array's element and of a domain's base, or 0."""

    oid: int
    schema: str
    name: str
    kind: str
    element: int
    base: int
    base_text: str
    binary: bool
    first_label: str | None
    fields: tuple[FieldOfType, ...]
    extension: str | None
    delimiter: str = ","  # what parts the items of an array of it
    json_cast: str | None = None  # who made the cast to json that to_jsonb() follows: extension or user
    subtype: int = 0  # of a range or multirange


@dataclass(frozen=True)
class Column:
    """A column of a table; `type_text` is the server's own spelling, with length and precision."""

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
    generated_by: tuple[str, ...] = ()  # functions and operators that not every server has
    identity: bool = False


@dataclass(frozen=True)
class Index:
    """An index; `key_columns` holds None for an expression, `columns` everything that it stands on, predicate included.

    `bytes` is its size in the origin, nothing for one of a partitioned table. `orders_of` are enums by whose order an
    expression or its predicate compares.
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
    definition: str
    orders_of: tuple[str, ...] = ()

    @property
    def is_key(self) -> bool:
        """Tell a primary key or unique constraint from a plain or unique index."""
        return self.unique and self.method == "btree" and self.constraint_kind in ("p", "u")


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
    """A table that inherits from another and is published with it; `extra` are the columns that it has besides."""

    schema: str
    name: str
    extra: tuple[str, ...]


@dataclass(frozen=True)
class Table:
    """A table of the origin schema, or a partitioned root in place of its partitions.

    One that `is_partition` has its root in another schema, and stands for itself. `detaching` are its partitions that are
    half detached: schema and name of what each leaves, then its own. `children` have rows that are read with the table's,
    `kin` are children that are published themselves, `odd` are those of an extension.
    """

    oid: int
    name: str
    kind: str
    is_partition: bool
    comment: str | None
    row_security: bool
    unlogged: bool
    bytes: int
    columns: tuple[Column, ...]
    indexes: tuple[Index, ...]
    foreign_keys: tuple[ForeignKey, ...]
    detaching: tuple[tuple[str, ...], ...] = ()
    children: tuple[Child, ...] = ()
    kin: tuple[str, ...] = ()
    odd: tuple[str, ...] = ()

    def column(self, name: str) -> Column:
        """Return the column of that name. Raises KeyError."""
        for column in self.columns:
            if column.name == name:
                return column
        raise KeyError(name)

    def computed_from(self, hidden: frozenset[str]) -> tuple[str, ...]:
        """Return the columns that are computed from hidden ones; of those that only a child has nobody says they are not."""
        clear = {column.name for column in self.columns} - hidden
        return tuple(
            column.name for column in self.columns if column.generated and not clear.issuperset(column.generated_from)
        )

    @property
    def primary_key(self) -> tuple[str, ...]:
        """Return the names of the primary key's columns, in its order; none where there is no such key."""
        for index in self.indexes:
            if index.constraint_kind == "p":
                return tuple(name for name in index.key_columns if name)
        return ()

    @property
    def key_columns(self) -> frozenset[str]:
        """Return the columns that need no rule: those of the primary key and of foreign keys."""
        return frozenset(self.primary_key).union(*(key.columns for key in self.foreign_keys))


@dataclass(frozen=True)
class Fingerprint:
    """What tells that a table was altered (`structure`), or rewritten or truncated (`files`)."""

    structure: str
    files: str


@dataclass(frozen=True)
class Catalog:
    """The origin schema at one moment; `others` are its views and the like, by name, which are not copied.

    `partitions` are by name with the table that their rows are copied in, and so are foreign tables that inherit from it.
    `keys_of_partitions` are the indexes and foreign keys that only partitions have, by the name of their root.
    """

    schema: str
    tables: tuple[Table, ...]
    types: Mapping[int, Type]
    fingerprints: Mapping[int, Fingerprint]
    others: Mapping[str, str]
    partitions: Mapping[str, str]
    other_schemas: tuple[str, ...]
    keys_of_partitions: Mapping[str, Sequence[str]]


Row = Mapping[str, Any]


def parts_of(oid: int, types: Mapping[int, Type], *, bounds: bool = False) -> Iterator[Type]:
    """Return what a type is made of, then the type: elements, bases, fields; with `bounds` also what ranges are of."""
    type_ = types[oid]
    for part in (type_.element, type_.base, type_.subtype if bounds else 0, *(field.type_oid for field in type_.fields)):
        if part:
            yield from parts_of(part, types, bounds=bounds)
    yield type_


def fields_of(oid: int, types: Mapping[int, Type], *, bounds: bool = False) -> Iterator[Type]:
    """Return the types that stand in composite types which a type is made of."""
    for type_ in parts_of(oid, types):
        for field in type_.fields:
            yield from parts_of(field.type_oid, types, bounds=bounds)


def assemble(
    schema: str,
    tables: Sequence[Row],
    columns: Sequence[Row],
    types: Sequence[Row],
    indexes: Sequence[Row],
    foreign_keys: Sequence[Row],
    left_out: Sequence[Row],
    fingerprints: Mapping[int, Fingerprint],
    definitions: Mapping[int, str],
) -> Catalog:
    """Build the catalog from the rows of the queries of the same names in `sql/`; `definitions` are of indexes, whole."""
    keys_of_partitions: defaultdict[str, list[str]] = defaultdict(list)
    for row in left_out:
        if row["what"] == "index":
            keys_of_partitions[row["kind"]].append(row["name"])
    names = {row["name"] for row in tables}
    defined = [_defined(row, definitions[row["oid"]]) for row in indexes]
    columns_of, indexes_of, foreign_keys_of = _by_table(columns), _by_table(defined), _by_table(foreign_keys)
    return Catalog(
        schema=schema,
        tables=tuple(
            Table(
                **_related(row),
                columns=tuple(Column(**values) for values in columns_of[row["oid"]]),
                indexes=tuple(Index(table=row["name"], **values) for values in indexes_of[row["oid"]]),
                foreign_keys=tuple(ForeignKey(table=row["name"], **values) for values in foreign_keys_of[row["oid"]]),
            )
            for row in tables
        ),
        types={row["oid"]: Type(**{**row, "fields": tuple(FieldOfType(*f) for f in row["fields"])}) for row in types},
        fingerprints=fingerprints,
        others={row["name"]: row["kind"] for row in left_out if row["what"] == "relation"},
        # a root inside another root's family is no table of its own, as a rule
        partitions={row["name"]: row["kind"] for row in left_out if row["what"] == "partition" and row["kind"] in names}
        | {name: row["name"] for row in tables for within, name, _ in row["children"] if within == schema},
        other_schemas=tuple(row["name"] for row in left_out if row["what"] == "schema"),
        keys_of_partitions=dict(keys_of_partitions),
    )


def changes(
    plan: Catalog, snapshot: Mapping[int, Fingerprint], after: Mapping[int, Fingerprint], copied: Sequence[int]
) -> list[str]:
    """Return a line for each copied table altered since the plan, or rewritten or truncated since the snapshot."""
    names = {table.oid: table.name for table in plan.tables}
    lines = []
    for oid in copied:
        if oid not in after:
            lines.append(f"{names[oid]} was dropped")
        elif after[oid].structure != plan.fingerprints[oid].structure:
            lines.append(f"{names[oid]} was altered")
        elif oid not in snapshot or after[oid].files != snapshot[oid].files:
            lines.append(f"{names[oid]} was rewritten or truncated")
    return lines


def _related(row: Row) -> Row:
    """Return the row of a table with its partitions and children as values."""
    return {
        **row,
        "detaching": tuple(map(tuple, row["detaching"])),
        "children": tuple(Child(schema, name, tuple(extra)) for schema, name, extra in row["children"]),
        "kin": tuple(row["kin"]),
        "odd": tuple(row["odd"]),
    }


def _defined(index: Row, definition: str) -> Row:
    """Return the row of an index with its definition, cut after the table's name."""
    head = next(head for head in index["heads"] if definition.startswith(head))
    kept = {name: value for name, value in index.items() if name not in ("oid", "heads")}
    return {**kept, "definition": definition.removeprefix(head)}


def _by_table(rows: Sequence[Row]) -> Mapping[int, list[dict[str, Any]]]:
    grouped: defaultdict[int, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        values = {name: tuple(value) if isinstance(value, list) else value for name, value in row.items()}
        del values["table_oid"]
        grouped[row["table_oid"]].append(values)
    return grouped
