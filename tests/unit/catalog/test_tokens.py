"""The words of a script, read as Postgres reads them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from multischema.catalog.tokens import Token, respelled, statements_of
from multischema.errors import DumpError

_TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
_TOKENS = st.one_of(
    st.builds(Token, st.just("text"), _TEXTS),
    st.builds(Token, st.just("quoted"), _TEXTS.filter(bool)),
    st.builds(Token, st.just("bits"), st.from_regex(r"[bx][0-9a-f]{0,8}", fullmatch=True)),
    st.builds(Token, st.just("word"), st.from_regex(r"[a-z_][a-z0-9_]{0,8}", fullmatch=True)),
    st.builds(Token, st.just("number"), st.from_regex(r"[0-9]{1,5}(\.[0-9]{1,3})?(e[+-]?[0-9]{1,2})?", fullmatch=True)),
    st.builds(Token, st.just("sign"), st.sampled_from(["::", "(", ")", "[", "]", ",", ".", ":", "<=", "->>", "||", "?|"])),
)


@given(st.lists(_TOKENS, min_size=1))
def test_what_is_respelled_reads_as_the_same_words(tokens: list[Token]) -> None:
    script = respelled(tuple(tokens)).as_string() + ";"
    assert statements_of(script) == [tuple(tokens)]


@given(st.text())
def test_any_text_is_read_or_refused(script: str) -> None:
    try:
        statements = statements_of(script)
    except DumpError:
        return
    assert all(statements)


@pytest.mark.parametrize(
    ("script", "values"),
    [
        (r"COMMENT ON TABLE a.b IS 'x;'';--\';", ["comment", "on", "table", "a", ".", "b", "is", "x;';--\\"]),
        (r"SELECT E'a\\b\'c\n\t''\101';", ["select", "a\\b'c\n\t'A"]),
        ('A "B;--""c" Été;', ["a", 'B;--"c', "Été"]),
        ("-- one; '\na;", ["a"]),
        ("\\restrict aB3\na;\\unrestrict aB3\n", ["a"]),
        ("x::y[1:2] <= -1.5e-3;", ["x", "::", "y", "[", "1", ":", "2", "]", "<=", "-", "1.5e-3"]),
    ],
)
def test_a_statement_ends_where_postgres_ends_it(script: str, values: list[str]) -> None:
    (statement,) = statements_of(script)
    assert [token.value for token in statement] == values


@pytest.mark.parametrize(
    "script",
    [
        "a",
        "'a;",
        '"a;',
        "E'a\\';",
        "$$a$$;",
        "a /* b */;",
        "a \\! ls\n;",
        r"E'\u0000';",
        r"E'\ud800';",
        r"E'\U00110000';",
        r"E'\xe9';",
    ],
)
def test_what_pg_dump_never_writes_is_refused(script: str) -> None:
    with pytest.raises(DumpError):
        statements_of(script)
