"""`draft --add`: what a rules file lacks goes between its lines, which all stay."""

import json
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from multischema.catalog.tables import Catalog
from multischema.errors import RulesError
from multischema.guesses import read_guesses
from multischema.rules.adding import Added, add_missing
from multischema.rules.file import parse
from multischema.rules.gaps import compare
from tests.support.origins import catalog, column, foreign_key, table

ORIGIN = catalog(
    table("users", column("id", "integer"), column("email"), column("status"), column("note, [x]"), key=["id"]),
    table("versions", column("item_type"), column("item_id", "integer"), column("event")),
    table("visits", column("id", "integer"), column("place"), key=["id"]),
)
LISTED = "  anonymized_column_names:\n  - email\n  - note, [x]\n"
VISITS = "- table_name: visits\n  anonymized_column_names: [place]\n- table_name: versions\n  truncated: true\n"


def added(text: str, origin: Catalog = ORIGIN) -> Added:
    """Return the file with what it lacks."""
    return add_missing(text.encode(), origin, read_guesses())


def test_columns_go_under_the_lists_in_their_own_style_and_comments_stay_where_they_are() -> None:
    text = (
        "# ours\ntables:\n  - table_name: visits  # the busy one\n    anonymized_column_names: [ place ]\n\n"
        "  - table_name: users\n    non_anonymized_column_names:\n        - 'status' # an enum\n        # so far\n"
        "    # the end\n\n"
        "  - {table_name: versions, truncated: true}\n# bye\n"
    )
    assert added(text) == Added(
        text.replace(
            "        # so far\n",
            "        # so far\n    anonymized_column_names:\n      - email  # decide\n      - note, [x]  # decide\n",
        ),
        (),
        ("users.email", "users.note, [x]"),
    )


@pytest.mark.parametrize(
    ("lists", "expected"),
    [
        (
            "  anonymized_column_names:\n  - email # mail\n",
            "  anonymized_column_names:\n  - email # mail\n  - note, [x]  # decide\n"
            "  non_anonymized_column_names:\n    - status  # decide\n",
        ),
        (
            "  anonymized_column_names:\n  -   email\n  non_anonymized_column_names:\n  - status\n",
            "  anonymized_column_names:\n  -   email\n  -   note, [x]  # decide\n"
            "  non_anonymized_column_names:\n  - status\n",
        ),
        (
            "  anonymized_column_names: [email] # mail\n  non_anonymized_column_names: []\n",
            '  anonymized_column_names: [email, "note, [x]"] # mail  # decide: "note, [x]"\n'
            "  non_anonymized_column_names: [status]  # decide: status\n",
        ),
        (
            "  anonymized_column_names: [\n    email, # mail\n  ]\n  non_anonymized_column_names: [status]\n",
            '  anonymized_column_names: [\n    email, "note, [x]", # mail\n  ]  # decide: "note, [x]"\n'
            "  non_anonymized_column_names: [status]\n",
        ),
        (
            "  anonymized_column_names: # none yet\n  non_anonymized_column_names: ~ # none\n",
            "  anonymized_column_names: # none yet\n    - email  # decide\n    - note, [x]  # decide\n"
            "  non_anonymized_column_names: [status] # none  # decide: status\n",
        ),
        (
            "  masks: {}\n  # the end\n",
            "  masks: {}\n  anonymized_column_names:\n    - email  # decide\n    - note, [x]  # decide\n"
            "  non_anonymized_column_names:\n    - status  # decide\n  # the end\n",
        ),
        (
            "  anonymized_column_names:\n  - |-\n    email\n  - note, [x]\n"
            "  non_anonymized_column_names:\n  - >-\n    state\n",
            "  anonymized_column_names:\n  - |-\n    email\n  - note, [x]\n"
            "  non_anonymized_column_names:\n  - >-\n    state\n"
            "  - status  # decide\n",
        ),
        (
            "  anonymized_column_names: &all [email, 'note, [x]', status]\n  non_anonymized_column_names: *all\n",
            "  anonymized_column_names: &all [email, 'note, [x]', status]\n  non_anonymized_column_names: *all\n",
        ),
    ],
)
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("start", ["", "\ufeff", "# 😀 été\n---\n"])
def test_each_style_of_a_list_is_added_to(lists: str, expected: str, newline: str, start: str) -> None:
    head = f"{start}tables:\n{VISITS}- table_name: users\n"
    assert added((head + lists).replace("\n", newline)).text == (head + expected).replace("\n", newline)


def test_tables_go_behind_the_last_one_as_a_draft_writes_them() -> None:
    text = (
        "tables:\n    - table_name: users\n      truncated: true\n\n    # a place\n"
        "    - {table_name: visits, truncated: true}"
    )
    assert added(text).text == text + (
        "\n\n    # decide: guessed from names and types\n    # made by PaperTrail\n"
        "    - table_name: versions\n      truncated: true"
    )


@pytest.mark.parametrize("empty", ["tables:", "tables: []", "tables:   ~"])
def test_a_file_without_a_table_gets_them_all(empty: str) -> None:
    assert added(f"{empty} # all\n").text.startswith("tables: # all\n  # decide: guessed from names and types\n")


def test_a_file_in_brackets_stays_on_its_line() -> None:
    text = "{tables: [{table_name: users, anonymized_column_names: [email]}]}\n"
    assert added(text).text == (
        '{tables: [{table_name: users, anonymized_column_names: [email, "note, [x]"], '
        "non_anonymized_column_names: [status]}, "
        "{table_name: versions, truncated: true}, {table_name: visits, anonymized_column_names: [place]}]}"
        '  # decide: "note, [x]"  # decide: status  # decide: versions, visits\n'
    )


def test_a_key_of_a_new_table_that_refers_to_a_masked_column_is_listed() -> None:
    lines = table("lines", column("number", "bigint"), key=["number"])
    calls = table(
        *("calls", column("id", "integer"), column("caller", "bigint")),
        key=["id"],
        foreign_keys=[foreign_key("calls", "caller", "lines", "number")],
    )
    grown = added("tables: [{table_name: lines, anonymized_column_names: [number]}]", catalog(lines, calls))
    assert "{table_name: calls, anonymized_column_names: [caller]}" in grown.text


def test_tables_go_behind_the_columns_that_the_last_one_gets_below_its_comments() -> None:
    text = f"tables:\n- table_name: versions\n  truncated: true\n- table_name: users\n{LISTED}    # below\n# end\n"
    assert added(text).text == text.replace(
        "# end\n",
        "  non_anonymized_column_names:\n    - status  # decide\n# decide: guessed from names and types\n"
        "- table_name: visits\n  anonymized_column_names:\n    - place\n  non_anonymized_column_names:\n# end\n",
    )


def test_a_misspelt_column_stays_and_the_right_one_is_added() -> None:
    text = f"tables:\n{VISITS}- table_name: users\n  anonymized_column_names: [emial, 'note, [x]']\n"
    assert "[emial, 'note, [x]', email]" in added(text).text


def test_a_file_that_lacks_nothing_stays_as_it_is() -> None:
    text = f"tables:\n{VISITS}- table_name: users\n  truncated: true\n"
    assert added(text) == Added(text, (), ())


@pytest.mark.parametrize(
    "lists",
    [
        "  anonymized_column_names: *a\n",
        "  anonymized_column_names: [email, *b]\n",
        "  anonymized_column_names:\n  - email\n  - *b\n",
        "  anonymized_column_names:\n  -\n    email\n",
        "  anonymized_column_names: &shared [email]\n- table_name: gone\n  anonymized_column_names: *shared\n",
    ],
)
def test_a_list_that_has_no_place_of_its_own_is_refused_by_name(lists: str) -> None:
    text = (
        "tables:\n- table_name: visits\n  anonymized_column_names: &a\n  - &b place\n"
        f"- table_name: versions\n  truncated: true\n- table_name: users\n{lists}"
    )
    with pytest.raises(
        RulesError, match=r"^rules: table (users|gone): can't be added to, .*; write its lists out, or add by"
    ):
        added(text)


# Any style of a file: names that need quotes, lists in lines or in brackets, comments anywhere, line ends of any system.

NAMES = [
    "a",
    "b-c",
    "yes",
    "12",
    "é à",
    "x: y",
    "#",
    "[z]",
    "it's",
    'say "a"',
    "null",
    "a,b",
    "- d",
    "emoji😀",
    "\\n",
    " pad ",
]
comment = st.sampled_from(["", " # c", "  # [x]: 'y"])


def quoted(name: str, style: str) -> str:
    """Return a name in double or single quotes."""
    return json.dumps(name, ensure_ascii=False) if style == '"' else "'" + name.replace("'", "''") + "'"


@st.composite
def listed(draw: st.DrawFn, names: Sequence[str], key: str, indent: str) -> str:
    """Return a list of columns in any style, with its key; nothing may be in none at all."""
    style = draw(st.sampled_from(["lines", "indented", "brackets", "brackets over lines"]))
    items = [quoted(name, draw(st.sampled_from("\"'"))) for name in names]
    if not items:
        return draw(
            st.sampled_from(["", f"{indent}{key}:\n", f"{indent}{key}: []{draw(comment)}\n", f"{indent}{key}: null\n"])
        )
    if style == "brackets":
        return f"{indent}{key}: [{', '.join(items)}{draw(st.sampled_from(['', ',', ' ']))}]{draw(comment)}\n"
    if style == "brackets over lines":
        lines = "".join(f"{indent}    {item},{draw(comment)}\n" for item in items)
        return f"{indent}{key}: [{draw(comment)}\n{lines}{indent}  ]{draw(comment)}\n"
    dash = indent if style == "lines" else f"{indent}    "
    lines = "".join(f"{dash}-{draw(st.sampled_from([' ', '   ']))}{item}{draw(comment)}\n" for item in items)
    return f"{indent}{key}:{draw(comment)}\n{lines}" + draw(
        st.sampled_from(["", f"{dash}# below\n", "\n", f"{indent}# end\n"])
    )


@st.composite
def files(draw: st.DrawFn) -> tuple[str, dict[str, list[str]]]:
    """Return a rules file in any style, and the columns of an origin's tables, of which it may lack some."""
    names = draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=4, unique=True))
    indent, gap = draw(st.sampled_from(["", "  ", "   "])), draw(st.sampled_from(["", "\n", "# next\n"]))
    text, tables = f"{draw(st.sampled_from(['', chr(0xFEFF), '# é😀' + chr(10)]))}tables:{draw(comment)}\n", {}
    for name in names:
        columns = draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=6, unique=True))
        tables[name] = columns
        how = draw(st.sampled_from(["absent", "truncated", "lists", "lists", "lists"]))
        head = f"{gap}{indent}- table_name: {quoted(name, draw(st.sampled_from(chr(34) + chr(39))))}{draw(comment)}\n"
        if how == "truncated":
            text += f"{head}{indent}  truncated: true{draw(comment)}\n"
        elif how == "lists":
            where = [draw(st.sampled_from(["masked", "clear", "missing"])) for _ in columns]
            parts = [
                draw(listed([c for c, w in zip(columns, where, strict=True) if w == kind], key, f"{indent}  "))
                for kind, key in (("masked", "anonymized_column_names"), ("clear", "non_anonymized_column_names"))
            ]
            text += head + "".join(draw(st.permutations(parts)))
    text = text if draw(st.booleans()) else text.removesuffix("\n")
    return text.replace("\n", draw(st.sampled_from(["\n", "\r\n"]))), tables


@given(files())
@settings(max_examples=150, deadline=None)
def test_whatever_a_file_looks_like_every_line_stays_and_nothing_is_missing(
    case: tuple[str, dict[str, list[str]]],
) -> None:
    text, origin = case[0], catalog(*(table(name, *map(column, columns)) for name, columns in case[1].items()))
    before, grown = parse(text), added(text, origin)
    after = parse(grown.text)
    assert compare(after, origin).problems == ()
    for name, rules in before.tables.items():
        assert rules.anonymized <= after.tables[name].anonymized
        assert rules.non_anonymized <= after.tables[name].non_anonymized
    remaining = iter(grown.text.splitlines())
    for line in text.splitlines():  # in the same order; a list in brackets has grown in its line
        assert any(new == line or grew(line, new) for new in remaining), line
    assert ("\r\n" in text) == ("\r\n" in grown.text) or len(text.splitlines()) == 1
    assert added(grown.text, origin) == Added(grown.text, (), ())


def grew(line: str, new: str) -> bool:
    """Tell whether a line is still there but for what was put into it."""
    rest = iter(new)
    line = line.replace("null", "").removesuffix("[]") if line.rstrip().endswith(("null", "[]")) else line
    return all(character in rest for character in line)
