"""Answers to the questions about a target's schemas, rights and objects, a class for each."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from psycopg import sql


@dataclass(frozen=True)
class Schema:
    """A schema: its name, whether the run's own role owns it, and its comment, where we keep our record."""

    name: str
    own: bool
    comment: str | None


@dataclass(frozen=True)
class Frequencies:
    """About how many different values a column has, 0 if nothing is known."""

    table: str
    column: str
    number: int


@dataclass(frozen=True)
class RawSchema:
    """A schema with a run's raw data; `made` names what the run made there, None if the run did not record it."""

    schema: str
    application: str
    made: Sequence[str] | None


@dataclass(frozen=True)
class Member:
    """An object in a schema, kind and name as DROP takes them: `own` if this role owns it, `owned` if it may drop it."""

    kind: str
    name: str
    owner: str
    own: bool
    owned: bool
    is_marker: bool
    made: bool


@dataclass(frozen=True)
class RawKey:
    """A constraint or an index of a raw table, or the table itself, as `what` says; `table` in the server's spelling."""

    place: int
    what: str
    table: str
    name: str
    identity: str | None


@dataclass(frozen=True)
class RawTable:
    """A table of this role's in a raw schema, `table` as the server spells it; `guest` would show its rows to others."""

    name: str
    table: str
    oid: int
    guest: str | None


@dataclass(frozen=True)
class RecordedObject:
    """A foreign key, table or domain, as `what` says, in a schema to be dropped."""

    what: str
    table: str
    name: str


@dataclass(frozen=True)
class Holder:
    """Who keeps a schema, or its lock: a session, a prepared transaction, a temporary object, or what stands on it.

    `name` is that of the transaction, of the temporary schema, or of the object. A server before 16 does not tell whose a
    temporary schema is, and a crash leaves one that is nobody's: then there is no `pid`.
    """

    what: str
    pid: int | None
    role: str | None
    name: str | None

    @property
    def title(self) -> str:
        """Return how messages name it."""
        if self.what == "prepared":
            return f"prepared transaction {self.name} of role {self.role}"
        if self.what == "object":
            return str(self.name)
        session = f"session {self.pid} of role {self.role}" if self.pid else f"a session of role {self.role}"
        return session if self.what == "session" else f"what {session} made in its temporary schema {self.name}"

    @property
    def remedy(self) -> str:
        """Return the statement that has it let go, and nothing where there is none to paste."""
        if self.what == "prepared":
            return sql.SQL("ROLLBACK PREPARED {}").format(sql.Literal(self.name)).as_string()
        return f"SELECT pg_terminate_backend({self.pid})" if self.pid else ""


@dataclass(frozen=True)
class MadeTable:
    """The state of a table that the run made; `guest` is a trigger or rule that somebody put on it.

    `refused` are the readers that may not read it.
    """

    name: str
    row_security: bool
    guest: str | None
    other_owner: str | None
    refused: tuple[str, ...]


@dataclass(frozen=True)
class EventTrigger:
    """An event trigger that a run's statements may fire, and its function."""

    name: str
    function: str


@dataclass(frozen=True)
class Stranger:
    """An object that no run made in the published schema (place: in) or depending on it (on), or row security (at)."""

    place: str
    kind: str
    name: str
    owner: str | None
    type: str | None
    identity: str | None
    of_schema: str | None
    of_table: str | None
    constraint_name: str | None
    owned: bool
    recorded: bool

    @property
    def title(self) -> str:
        """Return its name in messages."""
        return f"{self.kind} {self.name}".strip()


@dataclass(frozen=True)
class Readable:
    """What a reader could read and is not published: a schema or a table; or one that is `owned`, or `maintained`."""

    reader: str
    what: str
    name: str


@dataclass(frozen=True)
class TableGrant:
    """A raw table, as the server spells it, and a role with grants on it; PUBLIC is None."""

    table: str
    role: str | None


@dataclass(frozen=True)
class Privilege:
    """A privilege on a relation, or on a column of it; PUBLIC is None."""

    relation: str
    column: str | None
    role: str | None
    is_owner: bool
    privilege: str
    grantable: bool


@dataclass(frozen=True)
class SchemaPrivilege:
    """A privilege on a schema; PUBLIC is None."""

    role: str | None
    privilege: str
    grantable: bool


@dataclass(frozen=True)
class DefaultPrivilege:
    """A default privilege on the objects of a kind that a role creates in a schema; PUBLIC is None."""

    creator: str
    is_own: bool
    may_grant: bool
    kind: str
    role: str | None
    privilege: str
    grantable: bool


@dataclass(frozen=True)
class Leaf:
    """What holds rows: a plain table or a partition; one that is `elsewhere` is a foreign table."""

    schema: str
    name: str
    readable: bool
    elsewhere: bool
    row_security: bool


@dataclass(frozen=True)
class Relation:
    """A relation or a type by its schema and name."""

    schema: str
    name: str


@dataclass(frozen=True)
class Size:
    """The bytes of a table with its indexes, None where it was dropped meanwhile."""

    name: str
    bytes: int | None


@dataclass(frozen=True)
class TableColumns:
    """A table and the names of its columns."""

    name: str
    columns: tuple[str, ...]


@dataclass(frozen=True)
class MissingType:
    """A type or a collation that a server has not; `what` says which."""

    what: str
    name: str


@dataclass(frozen=True)
class NotNull:
    """A constraint with the name that the server chose; `table` is as the server spells it."""

    table: str
    name: str
    oid: int


@dataclass(frozen=True)
class IndexDefinition:
    """An index by its OID, and what creates it."""

    oid: int
    definition: str


@dataclass(frozen=True)
class PublishedTable:
    """A table of a published schema; `shape` changes with its columns and comments, `parts` are its indexes and keys.

    `plain` are the indexes among them that are not unique.
    """

    name: str
    oid: int
    shape: str
    parts: tuple[str, ...]
    plain: tuple[str, ...]


@dataclass(frozen=True)
class StatePlace:
    """The place where runs keep what they must remember: whether it exists and is our own, and shared with nobody."""

    exists: bool
    own: bool
    has_table: bool
    is_shared: bool


@dataclass(frozen=True)
class Kept:
    """What the last run of a published schema kept."""

    schema: str
    state: str


@dataclass(frozen=True)
class HistoryPlace:
    """The place of the history of runs: its owner, whether that is this role and a run made it, the columns of its tables.

    `strange` are relations of these names that are no tables of this role's; `guests` is what others put on the tables,
    `writers` who may write there too.
    """

    exists: bool
    owner: str | None
    is_owned: bool
    is_marked: bool
    runs: tuple[str, ...]
    tables: tuple[str, ...]
    strange: tuple[str, ...]
    guests: tuple[str, ...]
    writers: tuple[str, ...]
    is_readable: bool


@dataclass(frozen=True)
class RecordedRun:
    """The last run that the history has of a published schema; `is_there` tells whether the schema still exists.

    `snapshot_at` is by the origin's clock, None for a backup that does not tell when it was made.
    """

    app: str
    schema: str
    snapshot_at: datetime | None
    published_at: datetime
    rows: int
    bytes: int
    seconds: float
    kind: str
    version: str
    warnings: int
    is_there: bool

    @property
    def as_of(self) -> datetime:
        """Return as of when the data is, at the latest."""
        return self.snapshot_at or self.published_at


@dataclass(frozen=True)
class MaterializedView:
    """A materialized view of others that holds rows: has it a unique index, and may this role refresh it?"""

    oid: int
    has_key: bool
    may_refresh: bool
