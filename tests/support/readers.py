"""Readers in tests: a role that is the reader or a schema reader, so that a test looks at both."""

from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

from tests.conftest import PASSWORD, Place

KINDS = ("reader", "schema_reader")


@dataclass(frozen=True)
class Watched:
    """A role that a run takes for a reader of a kind."""

    place: Place
    kind: str
    role: str

    @property
    def quoted(self) -> str:
        """Return the role's name as SQL has it."""
        return sql.Identifier(self.role).as_string()

    @property
    def options(self) -> dict[str, Any]:
        """Return the changes of a job that make the role a reader of this kind."""
        return self.named(self.role)

    @property
    def instead(self) -> str:
        """Return what messages say to do with a reader that is no role to read as."""
        if self.kind == "reader":
            return "name the one that Metabase connects as"
        return "take it off schema_reader (--schema-reader)"

    def named(self, role: str) -> dict[str, Any]:
        """Return the changes of a job that make another role a reader of this kind."""
        return {self.kind: role if self.kind == "reader" else (role,)}

    def read(self, query: str) -> list[tuple[Any, ...]]:
        """Return the rows of a query in the target, as the role."""
        return read_as(self.place, self.role, query)


def watched(place: Place, kind: str) -> Watched:
    """Return the place's reader, or a schema reader that is made."""
    return Watched(place, kind, place.reader if kind == "reader" else make_role(place, f'Équipe "{place.number}" - RDV'))


def make_role(place: Place, role: str, options: str = "LOGIN") -> str:
    """Make a role of the target with these options, and return its name."""
    statement = sql.SQL("CREATE ROLE {} PASSWORD {}").format(sql.Identifier(role), sql.Literal(PASSWORD))
    place.in_target(f"{statement.as_string()} {options}", superuser=True)
    return role


def read_as(place: Place, role: str, query: str) -> list[tuple[Any, ...]]:
    """Return the rows of a query in the target, as a role."""
    with psycopg.connect(place.target_server.url(place.name, role, PASSWORD), autocommit=True) as connection:
        return connection.execute(query.encode()).fetchall()
