"""The words of SQL as Postgres and pg_dump write it, read from the text of another server, and spelled anew."""

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Literal

from psycopg import sql

from multischema.errors import DumpError

_PATTERN = re.compile(
    r"""(?P<space>\s+|--[^\n]*)
      | (?P<escaped>[eE]'[^'\\]*(?:(?:\\.|'')[^'\\]*)*')
      | (?P<bits>[bBxX]'[0-9a-fA-F]*')
      | (?P<text>'[^']*(?:''[^']*)*')
      | (?P<quoted>"[^"]*(?:""[^"]*)*")
      | (?P<word>(?![eEbBxX]')[^\W\d]\w*(?:\$\w*)*)
      | (?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)
      | (?P<sign>::|[-+*/<>=~!@\#%^&|`?]+|[()\[\],;:.])""",
    re.VERBOSE | re.DOTALL,
)
_ESCAPE = re.compile(r"\\(?:([0-7]{1,3})|x([0-9a-fA-F]{1,2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|(.))|''", re.DOTALL)
_LETTERS = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_WORD = re.compile(r"[a-z_][a-z0-9_]*")
_NUMBER = re.compile(r"[0-9.]+(?:e[+-]?[0-9]+)?", re.IGNORECASE)
_BITS = re.compile(r"[bx][0-9a-f]*", re.IGNORECASE)
_SIGN = re.compile(r"::|[-+*/<>=~!@#%^&|`?]+|[()\[\],:.]")
_SURROGATES = range(0xD800, 0xE000)
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


@dataclass(frozen=True)
class Name:
    """A name with its schema; None where Postgres' own are meant."""

    schema: str | None
    name: str

    def __str__(self) -> str:
        return f"{self.schema}.{self.name}" if self.schema else self.name


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


def words_of(text: str) -> Statement:
    """Return the words of an expression or a definition. Raises DumpError where it holds anything else, or a semicolon."""
    words = tuple(_tokens(text))
    if any(word.is_sign(";") for word in words):
        raise DumpError("a semicolon stands in an expression")
    return words


def code_in(tokens: Statement, types: Collection[Name] = ()) -> str | None:
    """Return the first name in an expression that is neither Postgres' own nor one of these types: it would be code.

    A session that finds nothing but what Postgres brings takes every name without a schema for Postgres' own.
    """
    for place in range(1, len(tokens) - 1):
        if not tokens[place].is_sign(".") or not tokens[place - 1].is_name:
            continue
        name = Name(tokens[place - 1].value, tokens[place + 1].value)
        is_type = place > 1 and tokens[place - 2].is_sign("::") and name in types
        is_row = tokens[place + 1].is_sign("*") and not (place > 2 and tokens[place - 3].is_word("operator"))  # users.*
        if name.schema != "pg_catalog" and not is_type and not is_row:
            return str(name)
    return None


def respelled(tokens: Statement) -> sql.Composed:
    """Return words of SQL, each spelled by us. Raises ValueError for one that is none."""
    return sql.SQL(" ").join(map(_spelled_token, tokens))


def _spelled_token(token: Token) -> sql.Composable:
    if token.kind == "quoted":
        return sql.Identifier(token.value)
    if token.kind == "text":
        return sql.Literal(token.value)
    if token.kind == "bits" and _BITS.fullmatch(token.value):
        return sql.SQL("{}{}").format(sql.SQL(token.value[0]), sql.Literal(token.value[1:]))
    if token.kind == "word":
        return word_spelled(token.value)
    pattern = _NUMBER if token.kind == "number" else _SIGN
    if not pattern.fullmatch(token.value):
        raise ValueError(token.kind)
    return sql.SQL(token.value)


def word_spelled(word: str) -> sql.Composable:
    """Return a word as it is, a keyword or a name; one of other letters can only be a name."""
    return sql.SQL(word) if _WORD.fullmatch(word) else sql.Identifier(word)


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
        code = int(short or long, 16)
        if code == 0 or code > 0x10FFFF or code in _SURROGATES:
            raise DumpError("a text holds a number that is no character's")
        return chr(code)
    return "'" if character is None else _LETTERS.get(character, character)
