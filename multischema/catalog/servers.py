"""What a run must know about a server and its own role there, and about the target before it writes."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Server:
    """A server, its database, and what the session's role may do there.

    The rights on the schema are None if it does not exist. `address` is host and port, `started` when the first process
    began; `system` identifies the server among all others, None if the role may not read that.
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

    @property
    def place(self) -> str:
        """Return where a statement must run: URLs may be swapped, so whoever pastes it must see the server."""
        return f"in database {self.database} on {self.address}"


@dataclass(frozen=True)
class Target:
    """Who owns the published schema, and who the reader is.

    `reader_powers` are roles that the reader is a member of and that could read more, `reader_attributes` its own such;
    `reader_watches` are those that show it other sessions, or let it end them.
    """

    published_exists: bool
    owns_published: bool
    published_owner: str | None
    published_comment: str | None
    reader_exists: bool
    reader_is_superuser: bool
    reader_is_self: bool
    reader_powers: tuple[str, ...]
    reader_attributes: tuple[str, ...]
    reader_owns_database: bool
    reader_watches: tuple[str, ...]
    reader_may_log_in: bool
    reader_may_have_no_session: bool
    reader_expired: bool
    reader_may_connect: bool
