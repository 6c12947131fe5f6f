"""The format of the rules: what is accepted, and what each error says."""

import re
import time
from collections.abc import Sequence
from typing import Any

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from multischema.errors import RulesError
from multischema.findings import Finding
from multischema.rules import file
from multischema.rules.file import Rules, TableRules, parse

TABLE_KEYS = "table_name, truncated, anonymized_column_names, non_anonymized_column_names, clear_because, masks, k_anonymity"

# Shaped like the files that teams keep in their repositories.
REAL_FILE = """\
# Ce fichier décrit les données à anonymiser
tables:
  - table_name: versions
    truncated: true

  - table_name: users
    anonymized_column_names:
      - first_name
      - email
      - birth_date
    non_anonymized_column_names:
      - created_at
      - status
  - table_name: agent_roles
    anonymized_column_names: []
    non_anonymized_column_names:
      - access_level
  - table_name: agents_rdvs
    non_anonymized_column_names: [created_at, updated_at]
  - table_name: receipts
    anonymized_column_names:
      - error_message
      - error_message
    non_anonymized_column_names:
      - error_message
      - channel
"""


# the locked PyYAML has both; one that was built without libyaml has the second only
@pytest.fixture(params=["CSafeLoader", pytest.param("SafeLoader", marks=pytest.mark.slow)], autouse=True)
def loader(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file, "_LOADER", getattr(yaml, request.param))


def problems(text: str | bytes) -> list[str]:
    """Return the lines of the error that the text must be."""
    with pytest.raises(RulesError) as caught:
        parse(text)
    assert str(caught.value).splitlines() == list(caught.value.problems)
    return list(caught.value.problems)


def problem(text: str | bytes) -> str:
    """Return the one line of the error that the text must be."""
    lines = problems(text)
    assert len(lines) == 1, lines
    return lines[0]


def table(text: str) -> TableRules:
    """Return the rules of the one table in the text."""
    (only,) = parse(text).tables.values()
    return only


# What is accepted.


def test_a_file_of_the_kind_that_teams_have_is_read_whole_and_in_its_order() -> None:
    parsed = parse(REAL_FILE)

    assert list(parsed.tables) == ["versions", "users", "agent_roles", "agents_rdvs", "receipts"]
    assert parsed.tables["versions"] == TableRules("versions", True, frozenset(), frozenset())
    assert parsed.tables["users"] == TableRules(
        "users", False, frozenset({"first_name", "email", "birth_date"}), frozenset({"created_at", "status"})
    )
    assert parsed.tables["agent_roles"].anonymized == frozenset()


def test_bytes_read_like_text_with_or_without_a_byte_order_mark() -> None:
    assert (
        parse(REAL_FILE.encode()) == parse(REAL_FILE.encode("utf-8-sig")) == parse("\ufeff" + REAL_FILE) == parse(REAL_FILE)
    )


def test_a_column_may_be_in_both_lists_or_twice_in_one() -> None:
    receipts = parse(REAL_FILE).tables["receipts"]

    assert receipts.anonymized == frozenset({"error_message"})
    assert receipts.non_anonymized == frozenset({"error_message", "channel"})


@pytest.mark.parametrize("key", ["anonymized_column_names", "non_anonymized_column_names"])
@pytest.mark.parametrize("value", ["", " ~", " null", " []"])
def test_a_list_key_without_a_value_is_an_empty_list(key: str, value: str) -> None:
    assert table(f"tables:\n  - table_name: a\n    {key}:{value}\n") == TableRules("a", False, frozenset(), frozenset())


def test_a_file_may_have_no_tables_yet() -> None:
    assert parse("tables:\n") == parse("tables: []") == Rules({})


@pytest.mark.parametrize(
    ("value", "truncated"), [("true", True), ("yes", True), ("On", True), ("false", False), ("", False)]
)
def test_truncated_is_a_boolean_of_yaml(value: str, truncated: bool) -> None:
    text = f"tables:\n  - table_name: a\n    truncated: {value}\n    non_anonymized_column_names: []\n"

    assert table(text).truncated is truncated


def test_truncated_false_goes_with_column_lists() -> None:
    users = table("tables: [{table_name: a, truncated: false, anonymized_column_names: [email]}]")

    assert users == TableRules("a", False, frozenset({"email"}), frozenset())


def test_quotes_make_a_name_of_anything_that_postgres_takes() -> None:
    parsed = table("""tables: [{table_name: "2024", anonymized_column_names: ["yes", 'no', "1", "Prénom usuel", y, n]}]""")

    assert parsed.table == "2024"
    assert parsed.anonymized == frozenset({"yes", "no", "1", "Prénom usuel", "y", "n"})


def test_lists_may_be_shared_by_an_anchor() -> None:
    parsed = parse("""\
tables:
  - table_name: a
    non_anonymized_column_names: &times [created_at, updated_at]
  - table_name: b
    non_anonymized_column_names: *times
""")

    assert parsed.tables["b"].non_anonymized == frozenset({"created_at", "updated_at"})


# What is not rules at all.


@pytest.mark.parametrize("text", ["", "\n\n", "# only a comment\n", "---\n", "\ufeff"])
def test_an_empty_file_is_an_error(text: str) -> None:
    assert problem(text) == "rules: empty; want the key tables, with a list of tables"


@pytest.mark.parametrize(
    "page",
    [
        "<!DOCTYPE html><html><body>404</body></html>",
        "\n\n  <html lang='fr'>: [",
        '\ufeff<?xml version="1.0"?>',
        "<html>é</html>".encode("latin-1"),
    ],
)
def test_a_web_page_is_an_error(page: str | bytes) -> None:
    assert problem(page).startswith("rules: this is a web page, not rules")


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("tables: [", "line 1: not YAML at character 10"),
        ("tables: [\n", "line 2: not YAML at character 1"),
        ("tables:\n\t- a\n", "line 2: not YAML at character 1"),
        ("tables:\n  - a\n b: c\n", "line 3: not YAML at character 2"),
        ("tables: *lists\n", "line 1: not YAML at character 9"),
        ("tables: []\n---\ntables: []\n", "line 2: not YAML at character 1"),
    ],
)
def test_what_is_not_yaml_is_an_error_that_names_the_place(text: str, place: str) -> None:
    assert problem(text).startswith(f"rules: {place}: ")


@pytest.mark.parametrize(
    ("text", "cure"),
    [
        ("domains: [*.departement.fr]\ntables: []\n", "; quote what begins with *"),
        ("tables:\n\t- a\n", "; indent with blanks and no tabs, and quote what begins with @, % or `"),
        ("domains: [@cd62.fr]\n", "; indent with blanks and no tabs, and quote what begins with @, % or `"),
    ],
)
def test_what_people_write_that_is_not_yaml_is_told_with_what_cures_it(text: str, cure: str) -> None:
    assert problem(text).endswith(cure)


def test_a_colon_without_a_blank_is_told_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file, "_LOADER", yaml.CSafeLoader)  # the other one takes it for a part of a name, which is unknown
    assert problem("tables: {bands:[0]}\n").endswith("; a colon wants a blank after it, or quotes around the text")


def test_what_is_not_yaml_is_an_error_that_says_why() -> None:
    assert "expected a single document in the stream, but found another document" in problem("{}\n---\n{}")


def test_an_escape_that_is_no_character_is_an_error() -> None:
    assert "not YAML" in problem('tables: "\\UFFFFFFFF"')


@pytest.mark.parametrize("character", ["\0", "\x1b", "\x7f", "\ufffe"])
def test_a_control_character_is_an_error_that_names_the_place(character: str) -> None:
    assert problem(f"tables:\n- table_name: a{character}") == (
        "rules: line 2: character 16 is a control character; want YAML, which allows none"
    )


@pytest.mark.parametrize("text", ["tables:\n- é".encode("latin-1"), "tables:\n- \ud800"])
def test_what_is_not_utf_8_is_one_error(text: str | bytes) -> None:
    assert problem(text) == "rules: line 2: not UTF-8; save the file as UTF-8"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Not found", "text"),
        ("- a", "a list"),
        ("12", "a number"),
        ("!x {}", "a value with a tag"),
    ],
)
def test_what_is_not_a_mapping_is_an_error(text: str, found: str) -> None:
    assert problem(text) == f"rules: line 1: found {found}; want a mapping with the key tables"


def test_an_error_message_of_a_server_is_an_error() -> None:
    assert problem("404: Not Found") == "rules: line 1: no key tables; want it, with a list of tables"


@pytest.mark.parametrize(
    "content",
    [
        "localhost:5432:db:etl:S3cretPw\n",
        "localhost:5432:db:etl:S3cretPw\n# hush\nlocalhost:5433:*:other: hush\n",
        "ETL_DB_URL=postgresql://etl:S3cretPw@localhost/analytics\nAPP=hush\n",
        "export TOKEN='S3cretPw'\nOTHER=\"hush: hush\"\n",
        "hushhush\n",
        "!hushhush\n",
        "!hush!hush\n",
        "!<hush> hush\n",
        "*hush\n",
        "a: *hush\n",
        "a: &hush 1\nb: &hush 2\n",
        "&hush\n",
        "%hush hush\n",
        "%TAG !hush! hush\n---\n",
        "@hush\n",
        "`hush\n",
        "'hush\n",
        "'hush' hush\n",
        '"\\hush"\n',
        '"hush\\xhush"\n',
        "hush: hush: hush\n",
        "hush: |hush\n",
        "[hush, hush\n",
        "{hush\n",
        "[[hush]]: hush\n",
        "2026-01-01\n",
        "0x5ec2e7\n",
        "hush\x07\n",
        "root:x:0:0:hush:/hush:/bin/hush\nhush:x:1:1::/:/hush\n",
        "[default]\naws_secret_access_key = hush\n",
        "[client]\npassword=hush\n",
        "-----BEGIN PRIVATE KEY-----\nhushhush\n-----END PRIVATE KEY-----\n",
        '{"type": "service_account", "private_key": "hush", "hush": 1}\n',
        '["hush", {"hush": "hush"}]\n',
        "production:\n  password: hush\n",
        "hushhush:\n",
        "hush: x\nhush: y\n",
        "services:\n  db:\n    environment: {POSTGRES_PASSWORD: hush}\n",
        "kind: Secret\ndata:\n  hush: aHVzaA==\n---\nkind: Secret\n",
        "hush: !vault |\n  hush\n",
        "tables: hush\n",
        "tables: !hush hush\n",
        "tables: {hush: hush}\n",
        "tables: [hush, 12, !hush hush, [hush], {hush: hush}, {table_name: }, {table_name: [hush], truncated: hush}]\n",
        "tables: [{hush: hush, hush: hush}]\ntables: hush\nhush: hush\n",
        "tables: [{table_name: 2026, hush: hush}]\n",
        "tables: [{table_name: users, truncated: yes}]\nhush: hush\n? [hush]\n",
    ],
)
def test_nothing_is_quoted_of_what_may_be_another_file(content: str) -> None:
    for line in problems(content):
        found = re.search("hush|5ec|2026|S3cret|localhost|5432|root|etl|BEGIN|service|prod|kind|client|default|ETL_", line)
        assert not found, line


def test_a_key_that_may_be_meant_is_told_by_its_line() -> None:
    assert problem("a: b\ntable: []\n") == (
        "rules: line 2: no key tables; want it, with a list of tables (did you mean it on line 2?)"
    )


# What would take too long.


def nested_aliases() -> str:
    levels = [f"l{level}: &l{level} [{', '.join([f'*l{level - 1}'] * 9)}]\n" for level in range(1, 30)]
    return "l0: &l0 [a]\n" + "".join(levels)


def nested_merges() -> str:
    levels = [f"l{level}: &l{level} {{<<: [{', '.join([f'*l{level - 1}'] * 9)}]}}\n" for level in range(1, 30)]
    return "l0: &l0 {a: b}\n" + "".join(levels)


def wide_aliases() -> str:
    columns = ", ".join(f"c{number}" for number in range(1000))
    return f"tables: [&a {{table_name: a, anonymized_column_names: [{columns}]}}{', *a' * 1000}]"


@pytest.mark.alone
@pytest.mark.parametrize("bomb", [nested_aliases, nested_merges, wide_aliases])
def test_aliases_that_multiply_are_an_error_and_soon(bomb: Any) -> None:
    text = bomb()
    started = time.monotonic()

    assert "more than 200000 values, each alias counted as what it stands for" in problem(text)
    assert time.monotonic() - started < 5


@pytest.mark.alone
@pytest.mark.parametrize("text", ["[" * 100_000, "{a: " * 100_000, "- " * 100_000, "? " * 100_000])
def test_deep_nesting_is_an_error_and_soon(text: str) -> None:
    started = time.monotonic()

    assert "nested more than 20 levels deep; want 7" in problem(text)
    assert time.monotonic() - started < 5


def test_an_alias_to_what_holds_it_is_no_endless_loop() -> None:
    assert "line 1: tables[0]: found a list" in problem("tables: &a [*a]")


# What is wrong in a mapping.


def test_an_unknown_key_is_an_error_that_suggests_the_known_one() -> None:
    text = "tables:\n  - table_name: users\n    anonymised_column_names: [email]\n"

    assert problem(text) == (
        f"rules: line 3: table users: unknown key 'anonymised_column_names'; want {TABLE_KEYS} "
        "(did you mean anonymized_column_names?)"
    )


def test_an_unknown_key_that_resembles_none_is_an_error_without_a_suggestion() -> None:
    text = "tables:\n  - {table_name: users, truncated: true, 12: x, [a]: b}\n"

    assert problems(text) == [
        f"rules: line 2: table users: unknown key '12'; want {TABLE_KEYS}",
        f"rules: line 2: table users: unknown key (a list); want {TABLE_KEYS}",
    ]


def test_an_unknown_key_beside_tables_is_an_error() -> None:
    assert (
        problem("tables: []\ntable: []")
        == "rules: line 2: unknown key; want tables, domains, expected_warnings (did you mean tables?)"
    )


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("start", ["", "\ufeff", "---\n", "# é 👩‍👩‍👧\n\n"])
def test_a_line_is_counted_as_an_editor_does(newline: str, start: str) -> None:
    text = f"{start}tables:\n- table_name: users\n  # a\n\n  anonymized_column_names: [a]\n  truncate: true\n"
    lines = text.split("\n")
    assert problem(text.replace("\n", newline)).startswith(
        f"rules: line {lines.index('  truncate: true') + 1}: table users: "
    )


def test_a_merge_key_is_an_unknown_key() -> None:
    text = "tables: [&a {table_name: a, truncated: true}, {<<: *a, table_name: b, truncated: true}]"

    assert problem(text).startswith("rules: line 1: table b: unknown key '<<'; want ")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("tables: []\ntables: []\n", "rules: line 2: duplicate key 'tables', the first is on line 1; want one"),
        (
            "tables:\n  - truncated: true\n    table_name: a\n    truncated: true\n",
            "rules: line 4: table a: duplicate key 'truncated', the first is on line 2; want one",
        ),
    ],
)
def test_a_duplicate_key_is_an_error_that_names_both_lines(text: str, expected: str) -> None:
    assert problem(text) == expected


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("tables:\n- {table_name: a, truncated: on}\n- table_name: a\n  anonymized_column_names: [b]\n", 3),
        ("tables:\n- {table_name: a, truncated: on}\n- # b\n  truncated: on\n  table_name: 'a'\n", 4),
        ("tables:\n- &a {table_name: a, truncated: on}\n- *a\n", 2),
    ],
)
def test_a_duplicate_table_is_an_error_that_names_it(text: str, line: int) -> None:
    assert problem(text) == f"rules: line {line}: table a: another entry, the first is on line 2; want one"


def test_two_tables_on_one_line_are_compared_too() -> None:
    assert "table a: another entry" in problem("tables: [{table_name: a, truncated: on}, {table_name: a, truncated: on}]")


def test_a_table_without_a_name_is_an_error_that_names_its_place() -> None:
    text = "tables:\n  - {table_name: a, truncated: true}\n  - truncated: true\n"

    assert problem(text) == "rules: line 3: tables[1]: no table_name; want the table's name"


def test_a_table_both_truncated_and_with_columns_is_an_error_that_names_it() -> None:
    text = "tables: [{table_name: a, truncated: true, anonymized_column_names: [b], non_anonymized_column_names: [c]}]"

    assert problem(text) == "rules: line 1: table a: truncated, and rules for its columns too (2); want one or the other"


def test_a_truncated_table_may_have_lists_without_a_column() -> None:
    assert table("tables: [{table_name: a, truncated: true, anonymized_column_names: []}]").truncated


@pytest.mark.parametrize(
    "more", ["", ", truncated: false", ", truncated: ", ", anonymized_column_names: , non_anonymized_column_names: ~"]
)
def test_an_entry_with_a_name_and_nothing_else_decides_about_no_column(more: str) -> None:
    assert table(f"tables: [{{table_name: a{more}}}]") == TableRules("a", False, frozenset(), frozenset())


# What has a wrong type.


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("tables: {a: b}", "rules: line 1: tables: found a mapping; want a list of tables"),
        ("tables: users", "rules: line 1: tables: found text; want a list of tables"),
        (
            "tables: [users]",
            "rules: line 1: tables[0]: found text; want a mapping with table_name and its rules",
        ),
        ("tables: [~]", "rules: line 1: tables[0]: found nothing; want a mapping with table_name and its rules"),
        (
            "tables: [{table_name: [a], truncated: on}]",
            "rules: line 1: tables[0]: table_name: found a list; want the table's name",
        ),
        (
            "tables: [{table_name: a, truncated: 'true'}]",
            "rules: line 1: table a: truncated: found text ('true'); want true or false",
        ),
        (
            "tables: [{table_name: a, truncated: 1}]",
            "rules: line 1: table a: truncated: found a number ('1'); want true or false",
        ),
        (
            "tables: [{table_name: a, truncated: !!bool maybe}]",
            "rules: line 1: table a: truncated: found a boolean ('maybe'); want true or false",
        ),
        (
            "tables: [{table_name: a, anonymized_column_names: email}]",
            "rules: line 1: table a: anonymized_column_names: found text ('email'); want a list of column names",
        ),
        (
            "tables: [{table_name: a, non_anonymized_column_names: {b: c}}]",
            "rules: line 1: table a: non_anonymized_column_names: found a mapping; want a list of column names",
        ),
    ],
)
def test_a_wrong_type_is_an_error_that_says_what_was_found_and_what_is_wanted(text: str, expected: str) -> None:
    assert problem(text) == expected


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("yes", "a boolean"),
        ("on", "a boolean"),
        ("no", "a boolean"),
        ("12", "a number"),
        ("1.5", "a number"),
        ("2024-01-31", "a date"),
        ("2024-13-45", "a date"),
        ("null", "nothing"),
        ("=", "a special value of YAML's"),
    ],
)
def test_an_unquoted_name_that_yaml_reads_as_something_else_must_be_quoted(name: str, kind: str) -> None:
    column = f"tables:\n- table_name: a\n  anonymized_column_names:\n  - b\n  - {name}\n"
    table_name = f"tables:\n- table_name: {name}\n  truncated: true\n"

    assert problem(column) == (
        f"rules: line 5: table a: anonymized_column_names[1]: found {kind} ('{name}'); want a column name; quote it"
    )
    assert problem(table_name) == (f"rules: line 2: tables[0]: table_name: found {kind}; want the table's name; quote it")


@pytest.mark.parametrize(
    ("item", "found"),
    [
        ("", "nothing"),
        ("email:", "a mapping"),
        ("[a, b]", "a list"),
        ("''", "text ('')"),
        ('"a\\0b"', r"text ('a\x00b')"),
        ("!secret a", "a value tagged '!secret' ('a')"),
        ("!!binary YQ==", "a value tagged 'binary' ('YQ==')"),
    ],
)
def test_what_can_not_be_a_column_name_is_an_error(item: str, found: str) -> None:
    text = f"tables:\n- table_name: a\n  anonymized_column_names:\n  - {item}\n"

    assert problem(text) == f"rules: line 4: table a: anonymized_column_names[0]: found {found}; want a column name"


# All problems at once, none of them long.


def test_all_problems_are_reported_at_once_in_the_order_of_the_file() -> None:
    text = """\
tables:
  - table_name: users
    anonymised_column_names: [a]
  - table_name: agents
    anonymized_column_names: [a, yes]
    non_anonymized_column_names: b
  - truncated: perhaps
"""

    assert [line.split(";")[0] for line in problems(text)] == [
        "rules: line 3: table users: unknown key 'anonymised_column_names'",
        "rules: line 5: table agents: anonymized_column_names[1]: found a boolean ('yes')",
        "rules: line 6: table agents: non_anonymized_column_names: found text ('b')",
        "rules: line 7: tables[2]: no table_name",
        "rules: line 7: tables[2]: truncated: found text",
    ]


@pytest.mark.parametrize(
    ("count", "last"), [(20, "rules: line 21: tables[19]"), (21, "rules: … and 1 more"), (51, "rules: … and 31 more")]
)
def test_what_follows_twenty_problems_is_summed_up(count: int, last: str) -> None:
    lines = problems("tables:\n" + "- 1\n" * count)

    assert len(lines) == min(count, 21)
    assert lines[-1].startswith(last)


@pytest.mark.parametrize(
    "text",
    [
        "{long}",
        "{long}: 1",
        "tables: {long}",
        "tables: *{long}",
        "tables: !{long} a",
        "tables: [{{table_name: {long}, truncated: 1}}]",
        "tables: [{{table_name: {long}, {long}: {long}}}]",
        "tables: [{{table_name: {long}, truncated: {long}}}]",
        "tables: [{{table_name: {long}, anonymized_column_names: [!{long} {long}]}}]",
        "tables: [{{table_name: {long}, truncated: on}}, {{table_name: {long}, truncated: on}}]",
    ],
)
def test_no_error_holds_much_of_the_input(text: str) -> None:
    for line in problems(text.format(long="s3cret" * 1000)):
        assert line.count("s3cret") * len("s3cret") <= 150


def test_an_error_is_one_line_even_when_a_name_holds_several() -> None:
    text = 'tables: [{table_name: "a\\n\\e[31mb", truncated: 1}]'

    assert problem(text).startswith(r"rules: line 1: table a\n\x1b[31mb: truncated: found a number")


# Anything at all.

WORDS = [
    *(
        "tables",
        *TABLE_KEYS.split(", "),
        "a",
        "é",
        "yes",
        "1",
        "~",
        "''",
        "=",
        "<<",
        "&a",
        "*a",
        "!x",
        "!!map",
        "!!str",
    ),
    *("- ", ": ", "? ", ", ", "# ", "[", "]", "{", "}", '"', "'", "\\", "|", ">", "%", "---"),
    *("\n", "\n  ", "\n    ", "\t", "\0", "\ufeff"),
]
DOCUMENTS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.dates() | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from([*TABLE_KEYS.split(", "), "tables", "b"]), inner),
)


def returns_or_raises_a_rules_error(text: str | bytes) -> None:
    try:
        assert isinstance(parse(text), Rules)
        return
    except RulesError as error:
        problems: Sequence[str] = error.problems
    lines = re.split("\r\n|[\n\r\x85\u2028\u2029]", text if isinstance(text, str) else text.decode(errors="replace"))
    assert problems
    for found in problems:
        assert isinstance(found, Finding)
        assert found.splitlines() == [found]
        assert re.fullmatch("[a-z]+(-[a-z]+)*", found.code)
        assert (found.side, found.level) == ("rules", "error")
        assert 0 <= found.line <= len(lines), found


@settings(max_examples=1000, deadline=None)
@given(st.text() | st.binary() | st.lists(st.sampled_from(WORDS), max_size=40).map("".join))
@example("tables: !!int x")
@example("tables: [{table_name: !!timestamp x, truncated: !!null x}]")
@example("!!set {a, b}")
@example("%YAML 1." + "9" * 5000 + "\n---\n")
@example("[" + "9" * 5000 + "]")
def test_any_text_is_rules_or_a_rules_error(text: str | bytes) -> None:
    returns_or_raises_a_rules_error(text)


@settings(max_examples=300, deadline=None)
@given(DOCUMENTS, st.booleans())
def test_any_yaml_is_rules_or_a_rules_error(document: object, wrapped: bool) -> None:
    returns_or_raises_a_rules_error(yaml.safe_dump({"tables": [document]} if wrapped else document, allow_unicode=True))


@settings(max_examples=200, deadline=None)
@given(
    st.dictionaries(
        st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1),
        st.sets(st.text("ab", min_size=1)),
    )
)
def test_what_yaml_writes_of_rules_is_read_back_the_same(columns: dict[str, set[str]]) -> None:
    entries = [{"table_name": name, "anonymized_column_names": sorted(names)} for name, names in columns.items()]
    text = yaml.safe_dump({"tables": entries}, sort_keys=False)

    assert parse(text).tables == {
        name: TableRules(name, False, frozenset(names), frozenset()) for name, names in columns.items()
    }
