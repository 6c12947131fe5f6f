"""Texts of another server that stand in our statements: what they must look like, whatever that server says.

A superuser of the origin, or who answers in its place, may say anything for a definition, an expression or a type. A
statement takes them from here only. What an honest server writes passes, with names that every server has.
"""

import re
from collections.abc import Iterator, Sequence
from itertools import accumulate, pairwise

from psycopg import sql

from multischema.errors import DatabaseError

# As pg_get_indexdef() and pg_get_expr() write: no comment, no dollar quotes, no semicolon, no Unicode escapes.
_TOKENS = re.compile(
    r"""(?P<space>[ \t\n]+)|(?P<text>E'(?:[^'\\]|''|\\.)*'|B?'(?:[^']|'')*')|(?P<quoted>"(?:[^"]|"")+")"""
    r"""|(?P<word>[^\W\d][\w$]*)|(?P<number>\d+(?:\.\d+)?(?:[Ee][+-]?\d+)?)"""
    r"""|(?P<sign>::|[().,:[\]])|(?P<operator>[-+*/<>=~!@\#%^&|`?]+)""",
    re.DOTALL,
)
_TYPE = re.compile(
    r"""(?:"char"|[a-z][a-z0-9_ ]*)(?:\(-?\d+(?:,-?\d+)?\))?(?:\ with(?:out)?\ time\ zone)?(?:\[\])*""", re.VERBOSE
)
_UNREADABLE = "is none that Postgres writes"


def is_type(spelling: str) -> bool:
    """Tell whether a type is spelled as format_type() spells those of pg_catalog."""
    return _TYPE.fullmatch(spelling) is not None


def type_(spelling: str) -> sql.SQL:
    """Return a type's spelling for a statement. Raises DatabaseError for anything but one."""
    if not is_type(spelling):
        raise DatabaseError(f"origin: {spelling[:100]!r} is said to be a type, and is no spelling of one")
    return sql.SQL(spelling)


def refused_index(definition: str, table: str) -> str | None:
    """Return why a definition, cut after the table's name, can't be built in another database, None where it can."""
    if not re.match(r"USING \w+ \(", definition):
        return _UNREADABLE
    return refused_expression(definition, table)


def refused_expression(text: str, table: str) -> str | None:
    """Return why an expression must not be computed in another database, None where it may.

    Code of others runs there by a name with a schema only: sessions find what pg_catalog brings, and nothing else. Of that
    an index and a generated column take what is immutable, no query and no aggregate: the server sees to it.
    """
    tokens = list(_tokens(text))
    if "".join(value for _, value in tokens) != text or not _is_balanced(tokens) or not _is_plain(tokens):
        return _UNREADABLE
    name = next(_foreign_names([token for token in tokens if token[0] != "space"], table), None)
    return f"names {name}, which Postgres does not bring" if name else None


_Tokens = Sequence[tuple[str, str]]


def _tokens(text: str) -> Iterator[tuple[str, str]]:
    """Give kind and text of each token, up to what is none."""
    place = 0
    while match := _TOKENS.match(text, place):
        yield str(match.lastgroup), match[0]
        place = match.end()


def _is_balanced(tokens: _Tokens) -> bool:
    """Tell whether an expression ends where its parentheses do, and not before."""
    signs = [value for kind, value in tokens if kind == "sign"]
    depths = list(accumulate((value in ("(", "[")) - (value in (")", "]")) for value in signs))
    return not depths or (min(depths) >= 0 and depths[-1] == 0)


def _is_plain(tokens: _Tokens) -> bool:
    """Tell whether the server parts the text as we do: no comment, no prefix of a constant that we don't know.

    Two constants that only white space parts would be one, with the escapes of the first.
    """
    solid = [kind for kind, _ in tokens if kind != "space"]
    return (
        not any(kind == "operator" and ("--" in value or "/*" in value) for kind, value in tokens)
        and not any(
            (first == "word" or value == "&") and kind in ("text", "quoted")
            for (first, value), (kind, _) in pairwise(tokens)
        )
        and not any(pair == ("text", "text") for pair in pairwise(solid))
    )


def _foreign_names(tokens: _Tokens, table: str) -> Iterator[str]:
    """Give each name with a schema that is not pg_catalog; a row is its table's name, and a field follows a parenthesis."""
    ends = [("", ""), *tokens, ("", "")]
    for (kind, before), (_, dot), (_, after) in zip(ends, ends[1:], ends[2:], strict=False):
        if dot == "." and before not in (")", "]"):
            name = before[1:-1].replace('""', '"') if kind == "quoted" else before
            if name != "pg_catalog" and (name, after) != (table, "*"):
                yield f"{name}.{after}"
