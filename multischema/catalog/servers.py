"""What a run must know of a server and of its own role there, and of the target before it writes."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Server:
    """A server, its database, and what the session's role may do there.

    The rights to the schema in question are None where there is no such schema. `address` is host and port, `started` when
    the first process began; `system` tells a server from all others, None where its owner keeps that to himself.
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
        """Return where a statement is to run: URLs may be swapped, and who pastes it must see on which server it is."""
        return f"in database {self.database} on {self.address}"


@dataclass(frozen=True)
class Target:
    """Whose the published schema is, and who the reader is.

    `reader_powers` are roles that the reader is a member of and that could read more, `reader_attributes` its own such.
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
    reader_may_log_in: bool
    reader_expired: bool
    reader_may_connect: bool
