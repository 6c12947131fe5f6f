"""The words of SQL as pg_dump writes it: where a statement ends is known by reading it, not by what its lines look like."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from multischema.errors import DumpError

_PATTERN = re.compile(
    r"""(?P<space>\s+|--[^\n]*)
      | (?P<escaped>[eE]'[^'\\]*(?:(?:\\.|'')[^'\\]*)*')
      | (?P<bits>[bBxX]'[0-9a-fA-F]*')
      | (?P<text>'[^']*(?:''[^']*)*')
      | (?P<quoted>"[^"]*(?:""[^"]*)*")
      | (?P<word>[^\W\d]\w*(?:\$\w*)*)
      | (?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)
      | (?P<sign>::|[-+*/<>=~!@\#%^&|`?]+|[()\[\],;:.])""",
    re.VERBOSE | re.DOTALL,
)
_ESCAPE = re.compile(r"\\(?:([0-7]{1,3})|x([0-9a-fA-F]{1,2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|(.))|''", re.DOTALL)
_LETTERS = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_META = re.compile(r"\\(?:un)?restrict [0-9A-Za-z]*(?:\n|$)")


@dataclass(frozen=True)
class Token:
    """A word of SQL: an unquoted one in lower case, a name in quotes, a text, bits, a number, or a sign."""

    kind: Literal["word", "quoted", "text", "bits", "number", "sign"]
    value: str

    @property
    def is_name(self) -> bool:
        """Tell what can be a name."""
        return self.kind in ("word", "quoted")

    def is_word(self, *words: str) -> bool:
        """Tell whether it is one of these unquoted words, in lower case."""
        return self.kind == "word" and self.value in words

    def is_sign(self, *signs: str) -> bool:
        """Tell whether it is one of these signs."""
        return self.kind == "sign" and self.value in signs


Statement = tuple[Token, ...]


def statements_of(script: str) -> list[Statement]:
    """Return the statements of a script, without the semicolons. Raises DumpError where a character has no place in SQL.

    The script must be written with standard_conforming_strings on. What pg_dump since 2025 writes for psql around it,
    `\\restrict`, is no statement.
    """
    found: list[Statement] = []
    current: list[Token] = []
    for token in _tokens(script):
        if token.is_sign(";"):
            found.append(tuple(current))
            current = []
        else:
            current.append(token)
    if current:
        raise DumpError("a statement has no end")
    return [statement for statement in found if statement]


def _tokens(script: str) -> Iterator[Token]:
    place, begins = 0, True
    while place < len(script):
        if begins and (meta := _META.match(script, place)):
            place = meta.end()
            continue
        match = _PATTERN.match(script, place)
        if not match:
            raise DumpError(f"line {script.count(chr(10), 0, place) + 1} holds what is no SQL of pg_dump")
        place = match.end()
        if match.lastgroup != "space":
            yield (token := _token(match))
            begins = token.is_sign(";")


def _token(match: re.Match[str]) -> Token:
    text = match[0]
    if match["escaped"]:
        return Token("text", _ESCAPE.sub(_unescaped, text[2:-1]))
    if match["text"]:
        return Token("text", text[1:-1].replace("''", "'"))
    if match["bits"]:
        return Token("bits", text[0].lower() + text[2:-1])
    if match["quoted"]:
        return Token("quoted", text[1:-1].replace('""', '"'))
    if match["word"]:
        # as Postgres does: no other letter has another case for it in UTF-8
        return Token("word", re.sub("[A-Z]+", lambda upper: upper[0].lower(), text))
    if "--" in text or "/*" in text:
        raise DumpError("a comment stands where pg_dump writes none")
    return Token("number" if match["number"] else "sign", text)


def _unescaped(match: re.Match[str]) -> str:
    octal, hexadecimal, short, long, character = match.groups()
    if octal or hexadecimal:
        code = int(octal, 8) if octal else int(hexadecimal, 16)
        if code not in range(1, 128):
            raise DumpError("a text holds a byte of a character by its number")
        return chr(code)
    if short or long:
        return chr(int(short or long, 16))
    return "'" if character is None else _LETTERS.get(character, character)
