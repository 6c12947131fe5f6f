"""Texts of another server that stand in our statements: what they must look like, whatever that server says.

A superuser of the origin, or who answers in its place, may say anything for a definition, an expression or a type. A
statement takes them from here only. What an honest server writes passes, with names that every server has.
"""

import re
from itertools import accumulate

from psycopg import sql

from multischema.catalog.tokens import Statement, code_in, respelled, words_of
from multischema.errors import DatabaseError, DumpError

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


def refused_index(definition: str) -> str | None:
    """Return why a definition, cut after the table's name, can't be built in another database, None where it can."""
    if not re.match(r"USING \w+ \(", definition):
        return _UNREADABLE
    return refused_expression(definition)


def refused_expression(text: str) -> str | None:
    """Return why an expression must not be computed in another database, None where it may.

    Code of others runs there by a name with a schema only: sessions find what pg_catalog brings, and nothing else. Of that
    an index and a generated column take what is immutable, no query and no aggregate: the server sees to it.
    """
    try:
        words = words_of(text)
    except DumpError:
        return _UNREADABLE
    if not _is_balanced(words):
        return _UNREADABLE
    code = code_in(words)
    return f"names {code}, which Postgres does not bring" if code else None


def expression(text: str) -> sql.Composed:
    """Return an expression or a definition as words that we spell. Raises DumpError where it is none."""
    return respelled(words_of(text))


def _is_balanced(words: Statement) -> bool:
    """Tell whether an expression ends where its parentheses do, and not before."""
    depths = list(accumulate(word.is_sign("(", "[") - word.is_sign(")", "]") for word in words))
    return not depths or (min(depths) >= 0 and depths[-1] == 0)
