"""What every mask answers: what it publishes, how verify knows it, and what it does to keys, rights and widths.

A mask is one class; nobody else looks at its kind. Those that the rules' `masks` name depend on the value alone and keep
some of it; those of README's table (`whole.py`) keep nothing but whether there is a value.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass

from psycopg import sql

from multischema.catalog import foreign
from multischema.catalog.flat import Flat, as_text
from multischema.catalog.tables import Type

# Of a text, in bytes: a longer one is no code and no address. Patterns and btrim() fail on one of 256 MB.
LONGEST = 500


class Unreadable(Exception):
    """The rules describe no mask; the text says what was found, what is wanted."""


@dataclass(frozen=True)
class Masked:
    """A masked column: its name, its published type and that of its mask, and the key of its row as text.

    Without a key the `key` is a row number, which verify can't know. `not_null` is the origin's.
    """

    name: sql.Composable
    flat: Flat
    type: str
    not_null: bool
    key: sql.Composable
    has_key: bool

    @property
    def value(self) -> sql.Composable:
        """Compose the value, of a type that Postgres brings: text for texts and enums, a domain's base type."""
        if self.flat.conversion == "text":
            return as_text(self.name)
        if self.flat.family == "text":
            return sql.SQL("{}::text").format(self.name)  # its own cast strips the trailing blanks of char(n)
        if self.flat.conversion == "base":
            return sql.SQL("{}::{}").format(self.name, foreign.type_(self.flat.spelling))
        return self.name

    @property
    def present(self) -> sql.Composable:
        """Compose the condition that there is a value: an empty text is none."""
        if self.flat.family == "text":
            return sql.SQL("{} <> ''").format(self.value)
        if self.flat.family == "text array":
            return sql.SQL("cardinality({}) > 0").format(self.name)
        return sql.SQL("{} IS NOT NULL").format(self.name)


class Mask(ABC):
    """What replaces the values of a column. NULL stays NULL, and an empty text of a nullable column becomes NULL.

    The defaults are those of a mask that keeps some of the value.
    """

    @property
    def is_keyed(self) -> bool:
        """Tell whether masked values contain the row's key, and so differ with it."""
        return False

    @property
    def is_searchable(self) -> bool:
        """Tell whether anybody can search by masked values."""
        return True

    @property
    def is_lossy(self) -> bool:
        """Tell whether it makes different values equal on purpose: then it fits no unique column."""
        return True

    @property
    def identifies(self) -> bool:
        """Tell whether equal masked values mean equal values, so that a key of masked values still tells rows apart."""
        return False

    @property
    def shows_values(self) -> bool:
        """Tell whether it publishes some values as they are, which must mean the same in the target."""
        return False

    @property
    def hidden_where(self) -> sql.Composable | None:
        """Return the condition of the rows whose values it hides, None if it hides those of all."""
        return None

    @property
    def domain(self) -> str:
        """Return the pseudonym domain whose key it needs, or nothing."""
        return ""

    @property
    def constant(self) -> str | None:
        """Return the one masked value, None if values differ or are NULL."""
        return None

    @property
    def width(self) -> int:
        """Return the bytes that a masked value leaves in its row once it is moved out of line; 0 for a small one."""
        return 0

    @property
    def needs_type(self) -> bool:
        """Tell whether it computes with the value, which a raw table must then hold in its type."""
        return True

    @property
    def keeps_not_null(self) -> bool:
        """Tell whether a value always has a masked one."""
        return True

    def joins(self, other: "Mask | None") -> bool:  # noqa: ARG002
        """Tell whether a masked column still refers to the right rows of another."""
        return False

    def is_unique(self, *, key_is_unique: bool) -> bool:  # noqa: ARG002
        """Tell whether all masked values are distinct, as NULLs are, where the values are."""
        return False

    def reads_value(self, *, not_null: bool) -> bool:  # noqa: ARG002
        """Tell whether the origin must read the column."""
        return True

    def writes_documents(self, type_: str) -> bool:  # noqa: ARG002
        """Tell whether a masked value of a document type, or an array of it, holds a document."""
        return False

    def type_of(self, flat: Flat) -> str:
        """Return the published type."""
        return flat.unlimited

    @abstractmethod
    def expression(self, column: Masked) -> sql.Composable:
        """Compose the masked value, from what the origin has."""

    @abstractmethod
    def violation(self, column: Masked) -> sql.Composable:
        """Compose the condition that holds for a staging row with anything but a masked value or NULL."""


class Refined(Mask):
    """A mask that the rules' `masks` name: of one row's value it keeps what its class says."""

    kind: str  # its key in the rules file
    fits: tuple[str, ...]  # the types that it takes, by the names of `type_name`
    choices: tuple[str, ...] = ()  # the words that it takes, where it takes one of few
    keeps_apart = False  # whether different values have different masked ones: only then it fits a unique column

    @property
    def is_lossy(self) -> bool:
        """Tell whether it makes different values equal on purpose."""
        return not self.keeps_apart

    @property
    def identifies(self) -> bool:
        """Tell whether equal masked values mean equal values."""
        return self.keeps_apart

    @classmethod
    @abstractmethod
    def read(cls, found: object) -> "Refined":
        """Return the mask that the rules describe with text, int, Decimal, list or dict. Raises Unreadable."""

    @abstractmethod
    def written(self) -> object:
        """Return what `read` takes, as JSON can hold it: the record keeps it."""

    @abstractmethod
    def published(self, column: Masked) -> sql.Composable:
        """Compose the masked value of a value that is there."""

    @abstractmethod
    def proof(self, column: Masked) -> sql.Composable:
        """Compose the condition that a published value which is not NULL meets if it is masked, from the target alone."""

    @abstractmethod
    def covers(self, other: "Refined") -> bool:
        """Tell whether it surely shows no more than another mask of its class."""

    def misfit(self, type_: str, spelling: str) -> str | None:  # noqa: ARG002
        """Return why it can't take a type that it fits, as the server spells it, such as numeric(5,2); None if it can."""
        return None

    def hides_nothing(self, type_: str, spelling: str) -> str | None:  # noqa: ARG002
        """Return why it publishes all values of a type as they are; None if it does not."""
        return None

    def said(self) -> str:
        """Return it in words, for reports: the rules' own."""
        found = self.written()
        if found is None:
            return self.kind
        return f"{self.kind}: {', '.join(map(str, found)) if isinstance(found, list) else found}"

    def expression(self, column: Masked) -> sql.Composable:
        """Compose the masked value."""
        if column.not_null:
            return self.published(column)
        return sql.SQL("CASE WHEN {} THEN {} END").format(column.present, self.published(column))

    def violation(self, column: Masked) -> sql.Composable:
        """Compose the condition that holds for a staging row with anything but a masked value or NULL."""
        return sql.SQL("{} IS NOT NULL AND ({}) IS NOT TRUE").format(column.name, self.proof(column))


def type_name(oid: int, types: Mapping[int, Type]) -> str:
    """Return the type that a mask sees: `text`, `enum`, or the name of another that Postgres brings, such as `int8`; or ''.

    A domain is what it stands on.
    """
    type_ = types[oid]
    if type_.kind == "d":
        return type_name(type_.base, types)
    if type_.kind == "e":
        return "enum"
    if type_.name in ("varchar", "text", "bpchar", "char", "name", "citext") and (
        type_.schema == "pg_catalog" or type_.extension == "citext"
    ):
        return "text"
    return type_.name if type_.schema == "pg_catalog" and not type_.element else ""
