"""What a run must know about a server and its own role there, and about the target before it writes."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Server:
    """A server, its database, and what the session's role may do there.

    The rights on the schema are None if it does not exist. `address` is host and port, `started` when the first process
    began; `system` identifies the server among all others, None if the role may not read that. `patience` is how long a
    standby bears a statement that is in the way of its replication, None if it never cancels one for that, or is none.
    `connections` is how many the role may have at a time if nobody else has any, None if it has no limit.
    """

    major: int
    encoding: str
    database: str
    database_oid: int
    started: str
    locale: str
    role: str
    in_recovery: bool
    may_create_schemas: bool
    may_use_schema: bool | None
    may_fill_schema: bool | None
    address: str
    system: str | None = None
    patience: str | None = None
    connections: int | None = None

    @property
    def place(self) -> str:
        """Return where a statement must run: URLs may be swapped, so whoever pastes it must see the server."""
        return f"in database {self.database} on {self.address}"


@dataclass(frozen=True)
class Target:
    """Whether the published schema exists, who owns it, and its comment."""

    published_exists: bool
    owns_published: bool
    published_owner: str | None
    published_comment: str | None


@dataclass(frozen=True)
class Reader:
    """Who a reader is: the one that Metabase connects as (`is_first`), or a schema reader.

    `powers` are roles that it is a member of and that could read more, `attributes` its own such; `watches` are those that
    show it other sessions, or let it end them. `follows_first` is the first reader where this one is a member of it.
    """

    name: str
    is_first: bool
    exists: bool
    is_superuser: bool
    is_self: bool
    powers: tuple[str, ...]
    attributes: tuple[str, ...]
    owns_database: bool
    watches: tuple[str, ...]
    may_log_in: bool
    may_have_no_session: bool
    expired: bool
    may_connect: bool
    follows_first: str | None
