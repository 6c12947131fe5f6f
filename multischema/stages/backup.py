"""The structure of a backup: what it says is made anew in the raw schema, and no statement of it is run."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import assert_never

import psycopg
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
    Item,
    Key,
    Range,
    Table,
    TypeName,
    Unread,
    is_brought,
)
from multischema.catalog.objects import NotNull, Relation
from multischema.catalog.tokens import Name, code_in
from multischema.errors import DatabaseError
from multischema.findings import Finding
from multischema.plan.plan import no_collation
from multischema.postgres.connecting import Connection
from multischema.postgres.failures import describe, translated
from multischema.postgres.questions import ask
from multischema.statements import backup, building, raw

_NOT_INHERITED = 180000  # the server's version since which a NOT NULL can be the parent's alone


@dataclass(frozen=True)
class Relative:
    """A table or partition that a backup's table has rows in, and that is not restored with it."""

    table: str
    schema: str
    name: str


@dataclass(frozen=True)
class Structure:
    """What a backup's structure came to.

    `warnings` name what was left out, `relatives` what has rows elsewhere, and `uncomputed` the columns, by table and name,
    whose values a dump does not hold and only code of the backup could compute, with that code. `schemas` are the others
    that the backup has tables in.
    """

    warnings: tuple[Finding, ...]
    relatives: tuple[Relative, ...]
    uncomputed: Mapping[tuple[str, str], str]
    schemas: tuple[str, ...] = ()


def names_of(items: Iterable[Item], schema: str) -> list[str]:
    """Return the names of the types and tables that a backup brings into its schema."""
    made = (item for item in items if isinstance(item, Enum | Composite | Range | Domain | Table))
    return sorted({item.name.name for item in made if item.name.schema == schema})


def create(connection: Connection, items: Sequence[Item], schema: str) -> Structure:
    """Make the types and tables of a backup, empty, with their keys and indexes.

    Raises DatabaseError with a line for each table that can't be made.
    """
    with translated("target", "looking up the types of extensions"):
        extensions = ask(connection, Relation, "extension_types")
    making = _Making(connection, schema, types={Name(row.schema, row.name) for row in extensions})
    names = [item.name for item in items if isinstance(item, Key) and item.table.schema == schema]
    making.parents = {parent for item in items if isinstance(item, Table) for parent in item.parents}
    making.renames = building.may_be_of_not_null(names)
    for item in items:
        making.make(item)
    if making.problems:
        raise DatabaseError(*making.problems)
    warnings = (*making.warnings, *_collations_of(items, schema))
    schemas = {item.name.schema for item in items if isinstance(item, Table) and item.name.schema} - {schema}
    return Structure(warnings, tuple(relatives_of(items, schema)), making.uncomputed, tuple(sorted(schemas)))


def _collations_of(items: Iterable[Item], schema: str) -> list[Finding]:
    """Return a warning for each collation that columns of the schema lose."""
    tables = (item for item in items if isinstance(item, Table) and item.name.schema == schema)
    used = (column.collation for table in tables for column in table.columns)
    names = {collation.name for collation in used if collation and not is_brought(collation)}
    return [no_collation(str(name)) for name in sorted(names)]


def relatives_of(items: Iterable[Item], schema: str) -> Iterator[Relative]:
    """Return what stands in other schemas, or is foreign, and has rows of a table of this schema."""
    foreign = set()
    for item in items:
        if isinstance(item, Table):
            if item.is_foreign:
                foreign.add(item.name)
            if item.is_foreign or item.name.schema != schema:
                for parent in item.parents:
                    if parent.schema == schema:
                        yield Relative(parent.name, item.name.schema or "", item.name.name)
        elif (
            isinstance(item, Attach)
            and item.root.schema == schema
            and (item.partition.schema != schema or item.partition in foreign)
        ):
            yield Relative(item.root.name, item.partition.schema or "", item.partition.name)


@dataclass
class _Making:
    """What was made of a backup so far; nothing is made of what it does not know."""

    connection: Connection
    schema: str
    types: set[Name]
    tables: set[Name] = field(default_factory=set)
    parents: set[Name] = field(default_factory=set)
    unread: dict[Name, str] = field(default_factory=dict)
    uncomputed: dict[tuple[str, str], str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    warnings: list[Finding] = field(default_factory=list)
    renames: bool = False

    def make(self, item: Item) -> None:
        """Make one thing, where it is of the schema."""
        if isinstance(item, Enum | Composite | Range | Domain | Unread):
            if item.name.schema == self.schema:
                self._make_type(item)
        elif isinstance(item, Table):
            if item.name.schema == self.schema and not item.is_foreign:
                self._make_table(item)
        elif isinstance(item, Attach):
            if item.partition.schema == self.schema and item.partition in self.tables:
                self._attach(item)
        elif isinstance(item, Key | Index):
            if item.table.schema == self.schema:
                self._make_key(item)
        elif isinstance(item, IndexAttach):
            if item.root.schema == item.index.schema == self.schema:
                self._tried(backup.attach_index(item))
        elif isinstance(item, Comment):
            if item.table in self.tables:
                self._tried(backup.comment(item))
        else:
            assert_never(item)

    def _make_type(self, type_: Enum | Composite | Range | Domain | Unread) -> None:
        if isinstance(type_, Unread):
            self.unread[type_.name] = type_.reason
            return
        if isinstance(type_, Enum):
            used, statement = [], backup.create_enum(type_)
        elif isinstance(type_, Composite):
            used, statement = [field.type for field in type_.fields], backup.create_composite(type_)
        elif isinstance(type_, Range):
            used, statement = [type_.subtype], backup.create_range(type_)
        else:
            used, statement = [type_.base], backup.create_domain(type_)
        reason = self._reason(used) or self._tried(statement, raw.hide_type(self.schema, type_.name.name))
        if reason:
            self.unread[type_.name] = reason
        else:
            self.types |= {type_.name, *([type_.multirange] if isinstance(type_, Range) and type_.multirange else [])}

    def _make_table(self, table: Table) -> None:
        reason = next(
            (f"column {c.name}: {why}" for c in table.columns if (why := self._reason([c.type]))),
            self._reason([], table.of) or self._reason_of_kin(table),
        )
        stand_ins = {column.name: code for column in table.columns if (code := code_in(column.generation, self.types))}
        if not reason:
            if self.connection.info.server_version < _NOT_INHERITED:  # rows of children may have NULL there
                kept = table.name not in self.parents
                table = replace(table, columns=tuple(_inherited(column, kept) for column in table.columns))
            statements = [backup.create_table(table, stand_ins), raw.hide_type(self.schema, table.name.name)]
            statements[1:1] = [backup.set_not_null(table.name, column) for column in table.not_null]
            reason = self._tried(*statements)
        if reason:
            self._refuse(f"table {table.name.name}: {reason}")
            return
        self.types.add(table.name)
        self.tables.add(table.name)
        self.uncomputed |= {(table.name.name, column): code for column, code in stand_ins.items()}
        if self.renames:
            self._rename_not_null()

    def _attach(self, item: Attach) -> None:
        if item.root not in self.tables:
            reason: str | None = f"its root {item.root} is not restored"
        elif code := code_in(item.bounds, self.types):
            reason = f"its bounds need {code}, which is code of the backup"
        else:
            reason = self._tried(backup.attach(item))
        if reason:
            self._refuse(f"partition {item.partition.name}: {reason}")

    def _make_key(self, item: Key | Index) -> None:
        words, references = item.definition, None
        if isinstance(item, Key):
            kind = "foreign key" if item.references else "constraint"
            words, references = (*words, *item.referenced), item.references
            statement = backup.add_key(item)
        else:
            kind, statement = "index", backup.create_index(item)
        if references and references not in self.tables:
            reason: str | None = f"table {references} is not restored"
        elif code := code_in(words, self.types):
            reason = f"it needs {code}, which is code of the backup"
        else:
            reason = self._tried(statement)
        if reason:
            what = f"of the backup, left out: {kind} {item.name} of {item.table.name}: {reason}"
            named = f"{item.table.name}.{item.name}"
            self.warnings.append(Finding("backup-key-left-out", what, table=item.table.name, object=named))

    def _reason(self, used: Iterable[TypeName | None], of: Name | None = None) -> str | None:
        """Return why types can't be used: only Postgres' own, a member of an extension, or one made here is safe."""
        for name in [*(type_.name for type_ in used if type_), *([of] if of else [])]:
            if name in self.unread:
                return f"type {name}: {self.unread[name]}"
            if name.schema not in (None, "pg_catalog") and name not in self.types:
                return f"the target has no type {name}; create what is missing, such as the extension that has it"
        return None

    def _reason_of_kin(self, table: Table) -> str | None:
        for parent in table.parents:
            if parent not in self.tables:
                return f"its parent {parent} is not restored"
        if code := code_in(table.partition_by, self.types):
            return f"its partition key needs {code}, which is code of the backup"
        return None

    def _refuse(self, line: str) -> None:
        self.problems.append(f"target: the backup's {line}")

    def _tried(self, *statements: sql.Composed) -> str | None:
        """Execute statements in a transaction, and return why that is not possible. Raises ConnectionLost."""
        try:
            with self.connection.transaction():
                for statement in statements:
                    self.connection.execute(statement)
        except psycopg.Error as error:
            if isinstance(error, psycopg.OperationalError) and error.sqlstate is None:
                with translated("target", "restoring the structure"):
                    raise
            return describe(error)
        return None

    def _rename_not_null(self) -> None:
        """Give way to keys with the names of NOT NULL, before tables are attached to others and names are in families."""
        with translated("target", "restoring the structure"):
            pattern = building.NAME_OF_NOT_NULL
            for row in ask(self.connection, NotNull, "names_of_not_null", schema=self.schema, pattern=pattern):
                self.connection.execute(raw.rename_not_null(row.table, row.name, row.oid))


def _inherited(column: Column, kept: bool) -> Column:
    """Return a column whose NOT NULL children would have too, if it is to be kept."""
    return replace(column, not_null=kept, not_inherited=False) if column.not_inherited else column
