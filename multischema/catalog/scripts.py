"""What scripts of pg_restore say: their statements, read word by word into the values of `catalog/backup.py`."""

import codecs
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from multischema.catalog.backup import (
    Attach,
    Column,
    Comment,
    Composite,
    Copy,
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
)
from multischema.catalog.tokens import Name, Statement, Token
from multischema.errors import DumpError

_ENCODING = re.compile(rb"^SET client_encoding = '(\w+)';$", re.MULTILINE)
_CODECS = {
    **{"UTF8": "utf-8", "SQL_ASCII": "utf-8", "KOI8R": "koi8-r", "KOI8U": "koi8-u"},
    **{
        f"LATIN{number}": f"iso8859-{part}"
        for number, part in zip(range(1, 11), (1, 2, 3, 4, 9, 10, 13, 14, 15, 16), strict=True)
    },
}
# Statements of ALTER TABLE that change nothing about what is published
_OF_NO_MATTER = ("owner", "replica", "cluster", "set", "enable", "disable", "force", "no")
_BEHIND_DEFAULT = ("not", "constraint", "check", "collate", "options")
_LONG_TYPES = {
    "double": ("precision",),
    "character": ("varying",),
    "bit": ("varying",),
    "timestamp": ("with", "without", "time", "zone"),
    "time": ("with", "without", "time", "zone"),
    "interval": ("year", "month", "day", "hour", "minute", "second", "to"),
}


class _NotUnderstoodError(Exception):
    """A statement is not one that pg_dump writes, as far as is known here."""


@dataclass
class _Reader:
    """Reads the words of a statement from left to right."""

    tokens: Statement
    place: int = 0

    @property
    def rest(self) -> Statement:
        return self.tokens[self.place :]

    @property
    def at_end(self) -> bool:
        return self.place >= len(self.tokens)

    def peek(self, ahead: int = 0) -> Token:
        place = self.place + ahead
        return self.tokens[place] if place < len(self.tokens) else Token("sign", "")

    def take(self) -> Token:
        token = self.peek()
        if self.at_end:
            raise _NotUnderstoodError
        self.place += 1
        return token

    def skip(self, *words: str) -> bool:
        """Take these words where they stand next; tell whether they did."""
        if all(self.peek(ahead).is_word(word) for ahead, word in enumerate(words)):
            self.place += len(words)
            return True
        return False

    def want(self, *words: str) -> None:
        if not self.skip(*words):
            raise _NotUnderstoodError

    def skip_sign(self, sign: str) -> bool:
        if self.peek().is_sign(sign):
            self.place += 1
            return True
        return False

    def want_sign(self, sign: str) -> None:
        if not self.skip_sign(sign):
            raise _NotUnderstoodError

    def name(self) -> str:
        token = self.take()
        if not token.is_name:
            raise _NotUnderstoodError
        return token.value

    def full_name(self) -> Name:
        first = self.name()
        return Name(first, self.name()) if self.skip_sign(".") else Name(None, first)

    def text(self) -> str:
        token = self.take()
        if token.kind != "text":
            raise _NotUnderstoodError
        return token.value

    def enclosed(self) -> Statement:
        """Take what stands in parentheses, and return it without them."""
        self.want_sign("(")
        begin, depth = self.place, 1
        while depth:
            token = self.take()
            depth += token.is_sign("(", "[") - token.is_sign(")", "]")
        return self.tokens[begin : self.place - 1]

    def default(self) -> Statement:
        """Take the expression of a default, up to the clause behind it.

        What NULL and NOT mean else stands in parentheses, as Postgres writes it, or within CASE and END.
        """
        begin, depth = self.place, 0
        while not self.at_end and not (depth == 0 and self.peek().is_word(*_BEHIND_DEFAULT)):
            token = self.take()
            depth += token.is_sign("(", "[") + token.is_word("case") - token.is_sign(")", "]") - token.is_word("end")
        return self.tokens[begin : self.place]

    def type(self) -> TypeName:
        words: tuple[str, ...] = ()
        if self.peek(1).is_sign("."):
            name = self.full_name()
        elif self.peek().kind == "quoted":
            name = Name(None, self.name())
        else:
            first = self.name()
            words = (first, *self._words_of(_LONG_TYPES.get(first, ())))
            name = Name(None, " ".join(words))
        limits = self.enclosed() if self.peek().is_sign("(") else ()
        if not all(token.kind == "number" or token.is_name or token.is_sign(",", "-") for token in limits):
            raise _NotUnderstoodError
        after = self._words_of(_LONG_TYPES.get(words[0], ())) if words and limits else ()
        dimensions = 0
        while self.skip_sign("["):
            self.want_sign("]")
            dimensions += 1
        return TypeName(name, words, limits, after, dimensions)

    def _words_of(self, known: Sequence[str]) -> tuple[str, ...]:
        found = []
        while self.peek().is_word(*known) and not (self.peek().is_word("with") and self.peek(1).is_word("options")):
            found.append(self.name())
        return tuple(found)


def read(statements: Iterable[Statement]) -> list[Item]:
    """Return what statements of pg_dump say, in their order. Raises DumpError for one that is not understood."""
    items: list[Item] = []
    for statement in statements:
        reader = _Reader(statement)
        if reader.skip("set", "standard_conforming_strings") and reader.skip_sign("=") and not reader.skip("on"):
            # a backslash in a text would be another character
            raise DumpError("its texts are written with standard_conforming_strings off; make it with that setting on")
        try:
            item = _item(reader)
        except _NotUnderstoodError:
            raise DumpError(f"{_called(statement)} is written as no known pg_dump writes it") from None
        if item is not None:
            items.append(item)
    return items


def read_copy(statement: Statement) -> Copy | None:
    """Return what a COPY statement of pg_dump fills; None for a setting. Raises DumpError for any other statement."""
    reader = _Reader(statement)
    if _is_setting(reader):
        return None
    try:
        reader.want("copy")
        table = reader.full_name()
        columns: list[str] = []
        if reader.peek().is_sign("("):
            for part in _parts(reader.enclosed()):
                columns.append(_Reader(part).name())
                if len(part) != 1:
                    raise _NotUnderstoodError
        reader.want("from", "stdin")
        if not reader.at_end:
            raise _NotUnderstoodError
    except _NotUnderstoodError:
        raise DumpError(f"{_called(statement)} stands where rows should") from None
    return Copy(table, tuple(columns))


def encoding_in(script: bytes) -> str:
    """Return the name that Postgres has for the encoding of a script of pg_restore, which says it first."""
    found = _ENCODING.search(script)
    return found[1].decode() if found else "UTF8"


def codec_of(script: bytes) -> str:
    """Return the name that Python has for it. Raises DumpError where it has none."""
    encoding = encoding_in(script)
    try:
        codec = codecs.lookup(_CODECS.get(encoding) or re.sub("^win", "cp", encoding.lower())).name
        b"x".decode(codec)  # fails for a codec that is of no text
        return codec
    except LookupError:
        raise DumpError(f"its names are in encoding {encoding}, which can't be read here; use mode stream") from None


def decoded(script: bytes) -> str:
    """Return the text of a script of pg_restore. Raises DumpError where it is not in the encoding that it says."""
    try:
        return script.decode(codec_of(script))
    except UnicodeError:
        raise DumpError(f"its names are not in encoding {encoding_in(script)}, which it says; use mode stream") from None


def _is_setting(reader: _Reader) -> bool:
    """Tell what sets up a session, of which ours has no need."""
    return reader.tokens[0].is_word("set") or [token.value for token in reader.tokens[:3]] == ["select", "pg_catalog", "."]


def _called(statement: Statement) -> str:
    """Return the beginning of a statement that names what it makes; none of its texts."""
    words = []
    for token in statement[:8]:
        if not (token.is_name or token.is_sign(".")):
            break
        words.append(token.value)
    return " ".join(words).replace(" . ", ".").replace("\n", " ") or "a statement"


def _item(reader: _Reader) -> Item | None:
    if _is_setting(reader):
        return None
    if reader.skip("comment", "on"):
        return _comment(reader)
    if reader.skip("alter", "foreign", "table"):
        return None  # options of its columns
    if reader.skip("alter", "table"):
        return _altered_table(reader)
    if reader.skip("alter", "index"):
        root = reader.full_name()
        if reader.skip("alter", "column"):
            return None  # statistics
        reader.want("attach", "partition")
        return IndexAttach(root, reader.full_name())
    reader.want("create")
    if reader.skip("type"):
        return _type(reader)
    if reader.skip("domain"):
        return _domain(reader)
    unique = reader.skip("unique")
    if reader.skip("index"):
        name = reader.name()
        reader.want("on")
        only = reader.skip("only")
        return Index(reader.full_name(), name, unique, only, _rest(reader, "using"))
    reader.skip("unlogged")
    is_foreign = reader.skip("foreign")
    reader.want("table")
    return _table(reader, is_foreign)


def _rest(reader: _Reader, first: str) -> Statement:
    if not reader.peek().is_word(first):
        raise _NotUnderstoodError
    rest = reader.rest
    reader.place = len(reader.tokens)
    return rest


def _comment(reader: _Reader) -> Comment | None:
    if reader.skip("table") or reader.skip("column"):
        parts = [reader.name()]
    else:
        return None
    is_column = reader.tokens[2].is_word("column")
    while reader.skip_sign("."):
        parts.append(reader.name())
    if len(parts) != 2 + is_column:
        raise _NotUnderstoodError
    reader.want("is")
    if reader.skip("null"):
        return None
    return Comment(Name(parts[0], parts[1]), parts[2] if is_column else None, reader.text())


def _altered_table(reader: _Reader) -> Item | None:
    reader.skip("only")
    table = reader.full_name()
    if reader.skip("attach", "partition"):
        partition = reader.full_name()
        bounds = reader.rest
        if not (reader.skip("default") or reader.skip("for", "values")):
            raise _NotUnderstoodError
        return Attach(table, partition, bounds)
    if reader.skip("add", "constraint"):
        return _key(reader, table)
    if reader.skip("alter"):
        reader.skip("column")
        reader.name()
        if not reader.peek().is_word("set", "add"):
            raise _NotUnderstoodError
        return None  # statistics, storage, a default that was made apart, an identity's sequence
    if reader.peek().is_word(*_OF_NO_MATTER):
        return None
    raise _NotUnderstoodError


def _key(reader: _Reader, table: Name) -> Key | None:
    name = reader.name()
    if reader.peek().is_word("check", "not"):
        return None
    if reader.peek().is_word("foreign"):
        begin = reader.place
        reader.want("foreign", "key")
        reader.enclosed()
        columns = reader.tokens[begin : reader.place]
        reader.want("references")
        return Key(table, name, columns, reader.full_name(), reader.rest)
    if not reader.peek().is_word("primary", "unique", "exclude"):
        raise _NotUnderstoodError
    return Key(table, name, reader.rest)


def _type(reader: _Reader) -> Item | None:
    name = reader.full_name()
    if reader.at_end:
        return None  # its definition comes later
    if not reader.skip("as"):
        return Unread("type", name, "it is a base type, whose functions are code")
    if reader.skip("enum"):
        inside = reader.enclosed()
        if any(token.kind != "text" for token in inside[::2]) or not all(token.is_sign(",") for token in inside[1::2]):
            raise _NotUnderstoodError
        return Enum(name, tuple(token.value for token in inside[::2]))
    if reader.skip("range"):
        return _range(name, reader.enclosed())
    return Composite(name, tuple(_column(part) for part in _parts(reader.enclosed())))


def _range(name: Name, inside: Statement) -> Item:
    options: dict[str, _Reader] = {}
    for part in _parts(inside):
        if len(part) < 3 or not part[0].is_name or not part[1].is_sign("="):
            raise _NotUnderstoodError
        options[part[0].value] = _Reader(part[2:])
    if "subtype" not in options:
        raise _NotUnderstoodError
    if "subtype_opclass" in options:
        opclass = options["subtype_opclass"].full_name()
        if opclass.schema not in (None, "pg_catalog"):
            return Unread("type", name, f"operator class {opclass} orders its values, which is code")
    multirange = options["multirange_type_name"].full_name() if "multirange_type_name" in options else None
    collation = options["collation"].full_name() if "collation" in options else None
    return Range(name, options["subtype"].type(), multirange, collation)


def _domain(reader: _Reader) -> Domain:
    name = reader.full_name()
    reader.want("as")
    base = reader.type()
    collation = None
    while not reader.at_end:
        if reader.skip("collate"):
            collation = reader.full_name()
        elif reader.skip("default"):
            reader.default()
        elif reader.skip("constraint"):
            reader.name()
        elif reader.skip("check"):
            reader.enclosed()
        elif reader.skip("not", "null"):
            continue
        else:
            reader.want("null")
    return Domain(name, base, collation)


def _table(reader: _Reader, is_foreign: bool) -> Table:
    name = reader.full_name()
    of = reader.full_name() if reader.skip("of") else None
    parts = _parts(reader.enclosed()) if reader.peek().is_sign("(") else []
    columns, not_null = [], []
    for part in parts:
        inside = _Reader(part)
        if inside.skip("constraint"):
            inside.name()
            if inside.skip("not", "null"):
                column = inside.name()
                not_null += [] if inside.skip("no", "inherit") else [column]
            elif not inside.peek().is_word("check"):
                raise _NotUnderstoodError
        elif not (part[0].is_word("check") and inside.peek(1).is_sign("(")):
            columns.append(_column(part, typed=of is not None))
    parents: tuple[Name, ...] = ()
    partition_by: Statement = ()
    while not reader.at_end:
        if reader.skip("inherits"):
            parents = tuple(_Reader(part).full_name() for part in _parts(reader.enclosed()))
        elif reader.skip("partition", "by"):
            partition_by = (reader.take(), Token("sign", "("), *reader.enclosed(), Token("sign", ")"))
        elif (is_foreign and reader.skip("server")) or reader.skip("using") or reader.skip("tablespace"):
            reader.name()
        elif reader.skip("with") or (is_foreign and reader.skip("options")):
            reader.enclosed()
        else:
            raise _NotUnderstoodError
    return Table(name, tuple(columns), parents, partition_by, of, tuple(not_null), is_foreign)


def _parts(tokens: Statement) -> list[Statement]:
    """Return what commas part, outside of parentheses."""
    parts: list[Statement] = []
    begin, depth = 0, 0
    for place, token in enumerate(tokens):
        depth += token.is_sign("(", "[") - token.is_sign(")", "]")
        if depth == 0 and token.is_sign(","):
            parts.append(tokens[begin:place])
            begin = place + 1
    if tokens:
        parts.append(tokens[begin:])
    if not all(parts):
        raise _NotUnderstoodError
    return parts


def _column(part: Statement, *, typed: bool = False) -> Column:
    reader = _Reader(part)
    name = reader.name()
    type_ = None if typed else reader.type()
    collation: Name | None = None
    not_null = not_inherited = False
    default: Statement = ()
    generation: Statement = ()
    while not reader.at_end:
        if reader.skip("collate"):
            collation = reader.full_name()
        elif reader.skip("default"):
            default = _literal(reader.default())
        elif reader.skip("generated", "always", "as"):
            generation = reader.enclosed()
            if not reader.skip("stored"):
                reader.skip("virtual")  # pg_dump 18 says nothing
        elif reader.skip("constraint"):
            reader.name()
        elif reader.skip("check"):
            reader.enclosed()
            reader.skip("no", "inherit")
        elif reader.skip("not", "null"):
            not_null, not_inherited = True, reader.skip("no", "inherit")
        elif reader.skip("options"):
            reader.enclosed()  # of a foreign table
        else:
            if not (reader.skip("null") or reader.skip("with", "options")):
                raise _NotUnderstoodError
    return Column(name, type_, collation, not_null, not_inherited, default, generation)


def _literal(tokens: Statement) -> Statement:
    """Return the words of a default that is a literal, the type to which it is cast aside; nothing for one that computes."""
    inside = tuple(token for token in tokens if not token.is_sign("(", ")"))
    if [token.value for token in inside[:3]] == ["array", "[", "]"]:
        inside = (Token("text", "{}"), *inside[3:])
        length = 1
    else:
        length = 2 if len(inside) > 1 and inside[0].is_sign("-") and inside[1].kind == "number" else 1
    head, rest = inside[:length], inside[length:]
    if not head or not (head[-1].kind in ("text", "number", "bits") or head[0].is_word("true", "false")):
        return ()
    is_cast = all(token.is_name or token.kind == "number" or token.is_sign(",", ".", "[", "]") for token in rest[1:])
    return head if not rest or (rest[0].is_sign("::") and is_cast) else ()
