"""The rows of a table in a dump, as pg_restore prints them: a COPY statement, which is read and not run, and its lines."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO

from multischema.catalog.backup import Copy
from multischema.catalog.scripts import decoded, encoding_in, read_copy
from multischema.catalog.tokens import statements_of
from multischema.dumps.archives import Command
from multischema.dumps.programs import reading
from multischema.errors import DumpError

_CHUNK = 64 * 1024
_HEAD = 1 << 20  # bytes in which the statement must end: 1,600 columns have names of 63 characters
_BEGIN = b" FROM stdin;\n"
_END = b"\n\\.\n"
_TRIES = 100
_MISPLACED = "rows are not where pg_dump puts them; make it without --inserts"


@dataclass(frozen=True)
class Rows:
    """The rows of one table: what the dump calls it and its columns, their encoding, and the lines in chunks."""

    copy: Copy
    encoding: str
    lines: Iterator[bytes]


@contextmanager
def read_rows(
    command: Command, complaints: IO[bytes], name: str, on_start: Callable[[int], None] = lambda group: None
) -> Iterator[Rows]:
    """Read the rows that a command prints; `name` is the dump's, for messages. Raises DumpError where they are not whole.

    They are whole once the context ends without an error: what takes them must not be committed before.
    """
    with reading(command, complaints, name, on_start) as printed:
        try:
            head, rest = _head(printed)
            copies = [copy for statement in statements_of(decoded(head)) if (copy := read_copy(statement))]
            if len(copies) != 1:
                raise DumpError(_MISPLACED)
        except DumpError as error:
            raise DumpError(f"dump {name}: {error}") from None
        yield Rows(copies[0], encoding_in(head), _lines(printed, rest, name))


def _head(printed: IO[bytes]) -> tuple[bytes, bytes]:
    """Return all up to the end of the COPY statement, and what was read besides."""
    text, place, tries = b"", 0, 0
    while chunk := printed.read(_CHUNK):
        text += chunk
        while (found := text.find(_BEGIN, place)) >= 0:
            place = found + len(_BEGIN)
            tries += 1  # a name may hold the same words; who has many of such names is up to something
            if tries > _TRIES:
                raise DumpError(_MISPLACED)
            if _is_whole(text[:place]):
                return text[:place], text[place:]
        if b"\nINSERT INTO " in text:
            raise DumpError("it holds rows as INSERT statements, which are code; make it without --inserts")
        if len(text) > _HEAD:
            break
        place = max(place, len(text) - len(_BEGIN))
    else:
        raise EOFError(_MISPLACED)
    raise DumpError(_MISPLACED)


def _is_whole(text: bytes) -> bool:
    """Tell whether a text ends where a statement does, and not within a name that looks like it."""
    try:
        statements_of(text.decode(errors="surrogateescape"))
    except DumpError:
        return False
    return True


def _lines(printed: IO[bytes], rest: bytes, name: str) -> Iterator[bytes]:
    r"""Yield the lines up to the one that ends them, `\.`; nothing but settings may stand behind it."""
    kept = b"\n" + rest  # the line that ends the rows may be the first
    begun = 1
    while (end := kept.find(_END)) < 0:
        if len(kept) > begun + len(_END):
            yield kept[begun : 1 - len(_END)]
            kept, begun = kept[1 - len(_END) :], 0
        chunk = printed.read(_CHUNK)
        if not chunk:
            raise EOFError("its rows have no end; want a whole dump")
        kept += chunk
    if end + 1 > begun:
        yield kept[begun : end + 1]
    behind = kept[end + len(_END) :] + printed.read(_HEAD)
    if printed.read(1) or not _is_setting_up(behind):
        raise DumpError(f"dump {name}: statements stand behind the rows of a table")


def _is_setting_up(text: bytes) -> bool:
    """Tell a text without any statement but settings."""
    try:
        statements = statements_of(text.decode(errors="surrogateescape"))
    except DumpError:
        return False
    return all(statement[0].is_word("set", "select") for statement in statements)
