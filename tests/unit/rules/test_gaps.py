"""Rules against a catalog: every gap at once, a snippet that closes them, and what is only a warning."""

import re
from collections.abc import Iterable
from dataclasses import replace

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from multischema.catalog.tables import Catalog, ForeignKey
from multischema.errors import CheckError, RulesError
from multischema.findings import Finding
from multischema.rules import file, unknown
from multischema.rules.file import parse
from multischema.rules.following import effective
from multischema.rules.gaps import Gaps, compare
from multischema.words import escaped
from tests.support.findings import texts
from tests.support.origins import catalog, column, foreign_key, table
from tests.support.snippets import pasted

ID = column("id", "integer", not_null=True)
USERS = table("users", ID, column("name"), column("email"), column("city"), key=["id"])
RDVS = table(
    "rdvs",
    ID,
    column("user_id", "integer"),
    column("starts_at", "date"),
    column("notes"),
    key=["id"],
    foreign_keys=[foreign_key("rdvs", "user_id", "users")],
)
VERSIONS = table("versions", ID, column("item"), key=["id"])
ORIGIN = catalog(USERS, RDVS, VERSIONS)


def found(text: str) -> Gaps:
    """Return the findings of these rules about ORIGIN."""
    return compare(parse(text), ORIGIN)


def told(findings: Gaps) -> tuple[tuple[str, ...], tuple[str, ...], str]:
    """Return what there is to tell of findings."""
    return texts(findings.problems), texts(findings.warnings), findings.snippet


GAPS = """
tables:
  - table_name: users
    anonymized_column_names: [name]
    non_anonymized_column_names: [city]
  - table_name: rdvs
    non_anonymized_column_names: []
"""


def test_all_gaps_are_told_at_once_table_by_table_and_keys_need_no_rule() -> None:
    assert found(GAPS).problems == (
        "missing rule for column users.email",
        "missing rule for column rdvs.starts_at",
        "missing rule for column rdvs.notes",
        "missing rules for table versions",
    )


def test_a_column_that_is_no_key_lacks_a_rule_where_an_entry_has_a_name_and_nothing_else() -> None:
    text = "tables: [{table_name: users}, {table_name: rdvs, truncated: false}, {table_name: versions, truncated: on}]"
    findings = found(text)

    assert findings.problems == (
        *(f"missing rule for column users.{name}" for name in ("name", "email", "city")),
        *(f"missing rule for column rdvs.{name}" for name in ("starts_at", "notes")),
    )
    assert found(pasted(text, findings.snippet)).problems == ()


def test_the_snippet_has_only_what_is_missing_each_part_below_a_comment_that_says_where_it_goes() -> None:
    text = """
tables:
  - table_name: users
    # who they are
    anonymized_column_names:
      - name
      - nam
    non_anonymized_column_names:
      - city
  - table_name: rdvs
    non_anonymized_column_names:
"""
    assert (
        found(text).snippet
        == """# at the end of tables:
  - table_name: versions
    anonymized_column_names:
      # decide:
      - item
    non_anonymized_column_names:
# in the entry of rdvs, after line 10:
    anonymized_column_names:
      # decide:
      - starts_at
      - notes
# in the entry of users, after line 5:
      # decide:
      - email
"""
    )
    assert told(found(pasted(text, found(text).snippet)))[::2] == ((), "")


def test_three_missing_columns_are_a_handful_of_lines_however_long_the_entry_is() -> None:
    listed = "".join(f"  - c{number}\n" for number in range(500))
    wide = table("wide", *(column(f"c{number}") for number in range(503)))
    rules = f"tables:\n- table_name: wide\n  anonymized_column_names:\n{listed}"
    snippet = compare(parse(rules), catalog(wide)).snippet
    assert snippet == "# in the entry of wide, after line 3:\n  # decide:\n  - c500\n  - c501\n  - c502\n"


STYLES = {
    "blocks": "tables:\n  - table_name: users\n    anonymized_column_names:\n      - name\n",
    "no indentation": "tables:\n- table_name: users\n  anonymized_column_names:\n  - name\n",
    "wide": "tables:\n    -   table_name: users\n        anonymized_column_names:\n            -   name\n",
    "list in brackets": "tables:\n- table_name: users\n  anonymized_column_names: [name]\n",
    "list on lines": "tables:\n- table_name: users\n  anonymized_column_names:\n    [\n      name,\n    ]\n",
    "empty list": "tables:\n- table_name: users\n  anonymized_column_names: []\n",
    "no list": "tables:\n- table_name: users\n  anonymized_column_names:  # none\n",
    "no key": "tables:\n- table_name: users  # people\n  non_anonymized_column_names: [city]\n",
    "name last": "tables:\n- masks:\n  table_name: 'users'\n",
    "name on its own line": "tables:\n- table_name:\n    users\n",
    "entry in braces": "tables:\n- {table_name: users}\n",
    "entry in braces with a list": "tables:\n- {table_name: users, anonymized_column_names: [name]}\n",
    "null in braces": "tables:\n- {table_name: users, anonymized_column_names: }\n",
    "null": "tables:\n- table_name: users\n  anonymized_column_names: ~\n",
    "all in brackets": "tables: [{table_name: rdvs}, {table_name: users, anonymized_column_names: [name]}]\n",
    "one in brackets": "tables: [{table_name: users, anonymized_column_names: [name]}]\n",
    "JSON": """{"tables": [\n  {"table_name": "users",\n   "anonymized_column_names": ["name"]}\n]}\n""",
    "comments": "# a\ntables:\n\n# b\n- table_name: users\n  # c\n  anonymized_column_names:\n  # d\n\n  - name # e\n",
    "anchor": "tables:\n- &a\n  table_name: users\n  anonymized_column_names: &n\n  - name\n",
    "anchored item": "tables:\n- table_name: users\n  anonymized_column_names:\n  - &n name\n",
    "alias": "tables:\n- table_name: rdvs\n  anonymized_column_names: &n []\n"
    "- table_name: users\n  anonymized_column_names: *n\n",
    "empty lines at the end": "tables:\n  - table_name: users\n    anonymized_column_names:\n      - name\n\n\n",
    "windows": "tables:\r\n- table_name: users\r\n  anonymized_column_names:\r\n  - name\r\n",
    "no newline at the end": "tables:\n- table_name: users\n  anonymized_column_names:\n  - name",
}


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("loader", ["CSafeLoader", "SafeLoader"])
def test_the_snippet_pasted_where_it_says_closes_every_gap_of_a_file_in_any_style(
    style: str, loader: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file, "_LOADER", getattr(yaml, loader))
    text = STYLES[style]
    gaps = found(text)
    closed = pasted(text, gaps.snippet)

    assert gaps.problems
    assert told(found(closed))[::2] == ((), "")
    assert not [each for each in found(closed).warnings if each.code == "unknown-column"]  # no other table's list has it
    before, after = parse(text).tables["users"], parse(closed).tables["users"]
    assert (before.anonymized <= after.anonymized, before.non_anonymized) == (True, after.non_anonymized)


@pytest.mark.parametrize(
    "name",
    [
        "yes",
        "123",
        "a: b",
        "# c",
        "it's",
        '"q"',
        "- d",
        "é à 日本 👩‍👩‍👧",
        "null",
        "2024-01-01",
        "*x",
        " y ",
        "k" * 63,
        "a\nb",
        "\x1b[31m",
        "a\u2028b",
        "a\u202eb",
        "\t",
    ],
)
def test_the_snippet_parses_whatever_tables_and_columns_are_called(name: str) -> None:
    origin = catalog(table(name, column(name), column(f"{name} 2")))
    gaps = compare(parse("tables: []"), origin)
    assert told(compare(parse(gaps.snippet), origin)) == ((), (), "")
    assert str(CheckError(*gaps.lines("origin shop"))) == f"{escaped(gaps.lines('origin shop')[0])}\n{gaps.snippet[:-1]}"


def test_complete_rules_have_no_finding() -> None:
    complete = """
tables:
  - table_name: users
    anonymized_column_names: [name, email]
    non_anonymized_column_names: [city]
  - table_name: rdvs
    anonymized_column_names: [notes]
    non_anonymized_column_names: [starts_at, user_id]
  - table_name: versions
    truncated: true
"""
    assert told(found(complete)) == ((), (), "")


def test_a_column_in_both_lists_and_rules_ahead_of_the_origin_are_warnings() -> None:
    findings = found("""
tables:
  - table_name: users
    anonymized_column_names: [name, email, phone]
    non_anonymized_column_names: [email, city, fax]
  - table_name: rdvs
    anonymized_column_names: [notes]
    non_anonymized_column_names: [starts_at]
  - table_name: versions
    truncated: true
  - table_name: removed
    truncated: true
""")
    assert findings.problems == ()
    assert findings.warnings == (
        "rules: line 4: users.phone is not in the origin",
        "rules: line 5: users.fax is not in the origin",
        "rules: line 11: table removed is not in the origin",
        "rules: line 4: users.email is in both lists: anonymized",
    )


def test_a_natural_key_without_a_rule_is_a_warning_and_with_one_is_not() -> None:
    countries = table("countries", column("code", "character varying(2)"), key=["code"])
    regions = table(
        "regions",
        column("id", "bigint"),
        column("number", "numeric"),
        column("country", "citext"),
        key=["id", "number"],
        foreign_keys=[foreign_key("regions", "country", "countries", "code")],
    )
    silent = parse(
        "tables: [{table_name: countries, non_anonymized_column_names: []}, "
        "{table_name: regions, non_anonymized_column_names: []}]"
    )
    assert texts(compare(silent, catalog(countries, regions)).warnings) == (
        "countries.code is a key without a rule, of type character varying(2): copied as it is",
        "regions.country is a key without a rule, of type citext: copied as it is",
        "regions.number is a key without a rule, of type numeric: copied as it is",
    )
    outspoken = parse(
        "tables: [{table_name: countries, anonymized_column_names: [code]}, "
        "{table_name: regions, non_anonymized_column_names: [number, country]}]"
    )
    assert told(compare(outspoken, catalog(countries, regions))) == (
        (),
        ("regions.country is published as it is, though it refers to countries.code, which is anonymized",),
        "",
    )


def test_of_very_many_names_that_the_origin_does_not_have_a_few_are_told_and_how_many_more() -> None:
    tables = [{"table_name": f"t{number}", "truncated": True} for number in range(3_900)]
    columns = [f"c{number:04}" for number in range(3_900)]
    users = {"table_name": "users", "anonymized_column_names": columns, "non_anonymized_column_names": ["name", *columns]}
    rules = parse(yaml.safe_dump({"tables": [*tables, users]}))
    warnings = texts(compare(rules, catalog(table("users", column("name")))).warnings)
    assert warnings == (
        *(f"users.c000{number} is not in the origin" for number in range(10)),
        "3,890 more columns of users are not in the origin",
        *(f"table t{number} is not in the origin" for number in range(10)),
        "3,890 more tables are not in the origin",
    )


def test_a_name_that_is_longer_than_any_of_postgres_is_cut_and_in_no_snippet() -> None:
    long = "é" * 100_000
    findings = found(
        yaml.safe_dump({"tables": [{"table_name": name, "anonymized_column_names": [long]} for name in ("users", long)]})
    )
    cut = "é" * 30 + "…"
    assert texts(findings.warnings) == (f"users.{cut} is not in the origin", f"table {cut} is not in the origin")
    assert len(findings.snippet) < 1000
    whole = "é" * 31 + "e"  # 63 bytes
    warnings = found(f"tables: [{{table_name: {whole}, truncated: true}}]").warnings
    assert texts(warnings) == (f"table {whole} is not in the origin",)


CASES = table(
    "cases",
    ID,
    column("ssn", "bigint"),
    column("city"),
    key=["id"],
    foreign_keys=[
        foreign_key("cases", "ssn", "users", "ssn"),
        foreign_key("cases", "city", "users", "city", schema="other"),
    ],
)
PROFILES = table(
    "profiles",
    column("ssn", "bigint", not_null=True),
    column("note"),
    key=["ssn"],
    foreign_keys=[foreign_key("profiles", "ssn", "cases", "ssn")],
)
NOTES = table("notes", column("profile", "bigint"), foreign_keys=[foreign_key("notes", "profile", "profiles", "ssn")])
WITH_SSN = table(
    "users", ID, column("ssn", "bigint"), column("city"), column("twice", "bigint", generated_from=("ssn",)), key=["id"]
)
LAWSUITS = catalog(NOTES, PROFILES, CASES, WITH_SSN)
OF_USERS = "tables:\n- {table_name: users, anonymized_column_names: [ssn, city], non_anonymized_column_names: [twice]}\n"
OF_PROFILES = "- {table_name: profiles, anonymized_column_names: [note]}\n"
OF_NOTES = "- {table_name: notes, anonymized_column_names: []}\n"


def followed(text: str, origin: Catalog = LAWSUITS) -> tuple[dict[str, list[str]], tuple[str, ...]]:
    """Return the columns that a run anonymizes, by table, and the warnings."""
    findings = compare(parse(text), origin)
    assert findings.problems == ()
    assert effective(findings.rules, origin) == findings.rules
    return {name: sorted(rules.anonymized) for name, rules in findings.rules.tables.items()}, texts(findings.warnings)


def test_a_key_without_a_rule_that_refers_to_an_anonymized_column_is_anonymized_however_far_it_is() -> None:
    assert followed(OF_USERS + "- {table_name: cases, anonymized_column_names: []}\n" + OF_PROFILES + OF_NOTES) == (
        {"users": ["city", "ssn"], "cases": ["ssn"], "profiles": ["note", "ssn"], "notes": ["profile"]},
        (
            "notes.profile is anonymized: it refers to profiles.ssn, which is",
            "profiles.ssn is anonymized: it refers to cases.ssn, which is",
            "cases.city is a key without a rule, of type text: copied as it is",
            "cases.ssn is anonymized: it refers to users.ssn, which is",
        ),
    )


def test_a_key_that_the_rules_publish_stays_as_it_is_with_a_warning_and_so_does_what_refers_to_it() -> None:
    of_cases = "- {table_name: cases, non_anonymized_column_names: [ssn, city]}\n"
    assert followed(OF_USERS + of_cases + OF_PROFILES + OF_NOTES) == (
        {"users": ["city", "ssn"], "cases": [], "profiles": ["note"], "notes": []},
        ("cases.ssn is published as it is, though it refers to users.ssn, which is anonymized",),
    )


def test_a_key_that_the_rules_anonymize_and_a_truncated_table_are_told_nothing_of() -> None:
    of_cases = "- {table_name: cases, anonymized_column_names: [ssn], non_anonymized_column_names: [city]}\n"
    truncated = "- {table_name: profiles, truncated: true}\n"
    assert followed(OF_USERS + of_cases + truncated + "- {table_name: notes, truncated: true}\n") == (
        {"users": ["city", "ssn"], "cases": ["ssn"], "profiles": [], "notes": []},
        (),
    )


def test_a_number_that_refers_to_an_anonymized_one_by_way_of_a_truncated_table_is_anonymized() -> None:
    of_cases = "- {table_name: cases, anonymized_column_names: [ssn], non_anonymized_column_names: [city]}\n"
    truncated = "- {table_name: profiles, truncated: true}\n"
    assert followed(OF_USERS + of_cases + truncated + OF_NOTES) == (
        {"users": ["city", "ssn"], "cases": ["ssn"], "profiles": [], "notes": ["profile"]},
        ("notes.profile is anonymized: it refers to profiles.ssn and so to cases.ssn, which is",),
    )


TOKENS = table(
    "tokens",
    column("token"),
    column("number", "bigint"),
    column("nir", "numeric(15)"),
    column("parent"),
    key=["token"],
    foreign_keys=[foreign_key("tokens", "parent", "tokens", "token")],
)
CALLS = table(
    "calls",
    column("token"),
    column("number", "bigint"),
    column("nir", "bigint"),
    column("parent"),
    column("elsewhere"),
    key=["token"],
    foreign_keys=[
        ForeignKey("calls", "calls_key", ("number", "token"), "public", "tokens", ("number", "token")),
        foreign_key("calls", "nir", "tokens", "nir"),
        foreign_key("calls", "parent", "calls", "token"),
        foreign_key("calls", "elsewhere", "tokens", "token", schema="other"),
    ],
)
RETRIES = table("retries", column("call"), foreign_keys=[foreign_key("retries", "call", "calls_1", "token")])
WITH_TOKENS = catalog(RETRIES, CALLS, TOKENS, partitions={"calls_1": "calls"})
OF_TOKENS = "tables:\n- {table_name: tokens, truncated: true}\n- {table_name: retries, anonymized_column_names: []}\n"


def test_a_natural_key_that_leads_to_a_truncated_table_is_anonymized_and_a_number_is_not() -> None:
    assert followed(OF_TOKENS + "- {table_name: calls, anonymized_column_names: []}\n", WITH_TOKENS) == (
        {"tokens": [], "retries": ["call"], "calls": ["nir", "parent", "token"]},
        (
            "retries.call is anonymized: it refers to calls.token, which is",
            "calls.elsewhere is a key without a rule, of type text: copied as it is",
            "calls.nir is anonymized: it refers to tokens.nir, which is truncated",
            "calls.parent is anonymized: it refers to calls.token, which is",
            "calls.token is anonymized: it refers to tokens.token, which is truncated",
        ),
    )


def test_a_natural_key_towards_a_truncated_table_that_the_rules_publish_stays_as_it_is_with_a_warning() -> None:
    listed = "- {table_name: calls, anonymized_column_names: [nir], non_anonymized_column_names: [token, elsewhere]}\n"
    assert followed(OF_TOKENS + listed, WITH_TOKENS) == (
        {"tokens": [], "retries": [], "calls": ["nir"]},
        (
            "retries.call is a key without a rule, of type text: copied as it is",
            "calls.parent is a key without a rule, of type text: copied as it is",
            "calls.token is published as it is, though it refers to tokens.token, which is truncated",
        ),
    )


def test_truncated_tables_that_refer_to_each_other_hide_what_refers_to_them() -> None:
    first = table("first", column("token"), key=["token"], foreign_keys=[foreign_key("first", "token", "second", "token")])
    second = table("second", column("token"), key=["token"], foreign_keys=[foreign_key("second", "token", "first", "token")])
    calls = table("calls", column("token"), foreign_keys=[foreign_key("calls", "token", "first", "token")])
    text = "tables: [{table_name: first, truncated: true}, {table_name: second, truncated: true}, {table_name: calls}]"
    text = text.replace("{table_name: calls}", "{table_name: calls, anonymized_column_names: []}")
    assert followed(text, catalog(calls, first, second)) == (
        {"first": [], "second": [], "calls": ["token"]},
        ("calls.token is anonymized: it refers to first.token, which is truncated",),
    )


def test_keys_towards_what_is_computed_from_a_masked_column_and_towards_a_partition_are_followed_too() -> None:
    twins = table("twins", column("twice", "bigint"), foreign_keys=[foreign_key("twins", "twice", "users", "twice")])
    trips = table("trips", column("ssn", "bigint"), foreign_keys=[foreign_key("trips", "ssn", "users_1", "ssn")])
    of_twins = "- {table_name: twins, anonymized_column_names: []}\n- {table_name: trips, anonymized_column_names: []}\n"
    assert followed(OF_USERS + of_twins, catalog(twins, trips, WITH_SSN, partitions={"users_1": "users"})) == (
        {"users": ["city", "ssn"], "twins": ["twice"], "trips": ["ssn"]},
        (
            "twins.twice is anonymized: it refers to users.twice, which is",
            "trips.ssn is anonymized: it refers to users.ssn, which is",
        ),
    )


def test_of_a_key_of_two_columns_the_one_that_refers_to_an_anonymized_one_is_anonymized() -> None:
    key = ForeignKey("cases", "cases_key", ("user_id", "ssn"), "public", "users", ("id", "ssn"))
    cases = table("cases", column("ssn", "bigint"), column("user_id", "integer"), foreign_keys=[key])
    of_cases = "- {table_name: cases, anonymized_column_names: []}\n"
    assert followed(OF_USERS + of_cases, catalog(cases, WITH_SSN))[0]["cases"] == ["ssn"]


def test_tables_that_refer_to_themselves_and_to_each_other_come_to_an_end() -> None:
    first = table(
        "first",
        ID,
        column("second", "bigint"),
        column("boss", "integer"),
        key=["id"],
        foreign_keys=[foreign_key("first", "second", "second"), foreign_key("first", "boss", "first")],
    )
    second = table("second", ID, key=["id"], foreign_keys=[foreign_key("second", "id", "first", "second")])
    text = (
        "tables: [{table_name: first, anonymized_column_names: [second]}, {table_name: second, anonymized_column_names: []}]"
    )
    assert followed(text, catalog(first, second)) == (
        {"first": ["second"], "second": ["id"]},
        ("second.id is anonymized: it refers to first.second, which is",),
    )


VISITS = catalog(
    table("visits", ID, column("name"), column("city"), column("loud", generated_from=("name",)), key=["id"], kind="p"),
    partitions={"visits_1": "visits", "visits_2": "visits"},
)
OF_VISITS = "tables:\n- {table_name: visits, anonymized_column_names: [%s], non_anonymized_column_names: [%s]}\n"


def test_a_partition_with_stricter_rules_than_its_root_is_a_problem_that_names_both() -> None:
    text = (
        OF_VISITS % ("", "name, city, loud") + "- {table_name: visits_1, anonymized_column_names: [city, name, gone]}\n"
        "- {table_name: visits_2, truncated: true}\n"
    )
    findings = compare(parse(text), VISITS)
    assert texts(findings.problems) == (
        "partition visits_1 has rules that anonymize city, name, but it follows those of visits, which do not; "
        "anonymize that in visits too, or take it out of the entry for visits_1",
        "partition visits_2 has rules that truncate it, but it follows those of visits, which do not; "
        "truncate visits too, or take it out of the entry for visits_2",
    )
    assert (
        findings.snippet
        == "# in the entry of visits, after the [ of anonymized_column_names on line 2, to decide:\ncity, name,\n"
    )
    assert len(compare(parse(pasted(text, findings.snippet)), VISITS).problems) == 1  # that of visits_2


@pytest.mark.parametrize(
    ("root", "partition"),
    [
        (OF_VISITS % ("name", "city, loud"), "anonymized_column_names: [name, loud]"),
        (OF_VISITS % ("name, city", "loud"), "non_anonymized_column_names: [name, city]"),
        ("tables:\n- {table_name: visits, truncated: true}\n", "truncated: true"),
        ("tables:\n- {table_name: visits, truncated: true}\n", "anonymized_column_names: [name]"),
    ],
)
def test_a_partition_whose_rules_are_not_stricter_than_its_root_s_is_accepted_in_silence(root: str, partition: str) -> None:
    assert told(compare(parse(f"{root}- {{table_name: visits_1, {partition}}}\n"), VISITS)) == ((), (), "")


def test_a_partition_is_not_compared_with_a_root_that_has_no_rules_yet() -> None:
    findings = compare(parse("tables: [{table_name: visits_1, truncated: true}]"), VISITS)
    assert findings.problems == ("missing rules for table visits",)


def test_partitions_and_views_need_no_entry_and_may_have_one() -> None:
    events = catalog(
        table("events", ID, key=["id"], kind="p"), partitions={"events_2024": "events"}, others={"everyone": "view"}
    )
    without = "tables:\n- {table_name: events, non_anonymized_column_names: []}\n"
    assert told(compare(parse(without), events)) == ((), (), "")
    with_both = (
        without + "- {table_name: events_2024, non_anonymized_column_names: []}\n- {table_name: everyone, truncated: true}\n"
    )
    assert told(compare(parse(with_both), events)) == ((), (), "")


# Where it is.


def test_every_gap_and_warning_has_a_code_its_table_and_column_and_the_line_of_the_file() -> None:
    findings = found("""
tables:
  - table_name: users
    anonymized_column_names:
      - name
      - emial
    non_anonymized_column_names: [city, name]
    masks:
      name: {period: year}
  - table_name: vesions
    truncated: true
""")
    assert [
        (each.code, each.level, each.side, each.object, each.line) for each in (*findings.problems, *findings.warnings)
    ] == [
        ("column-without-rule", "error", "", "users.email", 3),
        ("mask-type", "error", "rules", "users.name", 9),
        ("table-without-rules", "error", "", "rdvs", 0),
        ("table-without-rules", "error", "", "versions", 0),
        ("unknown-column", "warning", "rules", "users.emial", 6),
        ("unknown-table", "warning", "rules", "vesions", 10),
        ("in-both-lists", "warning", "rules", "users.name", 5),
    ]


def test_what_a_check_that_fails_says_ends_with_warnings_and_the_snippet() -> None:
    text = "tables:\n- table_name: users\n  anonymized_column_names: [name, emial, city]\n  masks: {name: {period: day}}\n"
    missing, unfit, *lines = found(text).lines("origin shop")
    assert (missing, unfit.partition(",")[0]) == (
        "origin shop: missing rule for column users.email",
        "rules: line 4: users.name is of type text",
    )
    assert lines[:3] == [
        "origin shop: missing rules for table rdvs",
        "origin shop: missing rules for table versions",
        "rules: line 3: users.emial is not in the origin; did you mean email?",
    ]
    assert lines[-2:] == ["# in the entry of users, after the [ of anonymized_column_names on line 3, to decide:", "email,"]


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        # one that lacks a rule before one that comes closer
        ("users, anonymized_column_names: [name, cityy]", "users.cityy is not in the origin; did you mean city?"),
        ("users, anonymized_column_names: [emails, email]", "users.emails is not in the origin; did you mean email?"),
        ("users, anonymized_column_names: [EMAIL]", "users.EMAIL is not in the origin; did you mean email?"),
        ("users, anonymized_column_names: ['E-Mail']", "users.E-Mail is not in the origin; did you mean email?"),
        ("users, anonymized_column_names: [users.email]", "users.users.email is not in the origin; did you mean email?"),
        ("users, anonymized_column_names: ['émail ']", "users.'émail ' is not in the origin; did you mean email?"),
        ("""users, anonymized_column_names: ['"email"']""", 'users."email" is not in the origin; did you mean email?'),
        ("users, anonymized_column_names: [eMail]", "users.eMail is not in the origin; did you mean email?"),
        ("users, anonymized_column_names: [emial, email]", "users.emial is not in the origin; did you mean email?"),
        # in another table, where it waits for a rule, or nowhere else
        (
            "users, anonymized_column_names: [starts_at]",
            "users.starts_at is not in the origin; did you mean rdvs.starts_at?",
        ),
        ("users, clear_because: {starts_at: public}", "users.starts_at is not in the origin; did you mean rdvs.starts_at?"),
        ("users, anonymized_column_names: [zzzzz]", "users.zzzzz is not in the origin"),
        # tables
        ("user, truncated: true", "table user is not in the origin; did you mean users?"),
        ("Users, truncated: true", "table Users is not in the origin; did you mean users?"),
        ("public.users, truncated: true", "table public.users is not in the origin; did you mean users?"),
        ("zzzzz, truncated: true", "table zzzzz is not in the origin"),
    ],
)
def test_a_misspelt_name_is_told_with_its_neighbour(rules: str, expected: str) -> None:
    unknown = [each for each in found(f"tables: [{{table_name: {rules}}}]").warnings if each.code.startswith("unknown-")]
    assert texts(unknown) == (expected,)


def test_a_database_without_a_table_is_not_told_as_many_misspelt_names() -> None:
    assert compare(parse("tables: [{table_name: users, truncated: true}]"), catalog()).warnings == ()


def test_a_column_that_waits_for_a_rule_is_the_neighbour_before_one_that_has_a_rule_and_comes_closer() -> None:
    users = catalog(table("users", column("phone_number"), column("phone_numbers")))
    rules = "tables: [{table_name: users, anonymized_column_names: [%s, phone_numbrs]}]"
    for listed, other in (("phone_numbers", "phone_number"), ("phone_number", "phone_numbers")):
        (warning,) = compare(parse(rules % listed), users).warnings
        assert warning.todo == f"did you mean {other}?"


def test_a_column_that_many_tables_have_is_no_neighbour() -> None:
    origin = catalog(table("a", column("x")), table("b", column("created_on")), table("c", column("created_on")))
    listed = "tables: [{table_name: a, anonymized_column_names: [x, created_on]}, %s, %s]"
    entries = [f"{{table_name: {name}, anonymized_column_names: [created_on]}}" for name in "bc"]
    assert texts(compare(parse(listed % tuple(entries)), origin).warnings) == ("a.created_on is not in the origin",)


def test_among_many_names_those_that_resemble_another_are_told_first_in_the_file_s_order() -> None:
    listed = ", ".join(f"x{number}" for number in range(30))
    findings = found(f"tables: [{{table_name: users, anonymized_column_names: [{listed}, emial, city, name]}}]")
    assert [each.what for each in findings.warnings if each.todo] == ["users.emial is not in the origin"]


def test_names_in_the_entry_of_a_partition_are_looked_at_too_and_a_view_is_told_as_such() -> None:
    events = catalog(
        table("events", ID, column("kind"), key=["id"], kind="p"),
        partitions={"events_1": "events"},
        others={"everyone": "materialized view"},
    )
    findings = compare(
        parse("""
tables:
- {table_name: events, anonymized_column_names: [kind]}
- {table_name: everyone, truncated: true}
- table_name: events_1
  anonymized_column_names: [kind]
  masks: {kind: {only_when: {knd: [a]}}}
  k_anonymity: {columns: [ide], per: kindd}
"""),
        events,
    )
    assert [each.split("; did")[1] for each in findings.warnings] == [
        " you mean id?",
        " you mean kind?",
        " you mean kind?",
    ]
    assert findings.notes == ("rules: line 4: everyone is a materialized view, which is not published; take its entry out",)


def test_an_entry_with_a_name_and_nothing_else_is_told_what_it_means() -> None:
    agents = table("agents", ID, column("email"), key=["id"])
    visits = table(
        "visits",
        column("agent", "integer"),
        column("email"),
        key=["agent"],
        foreign_keys=[foreign_key("visits", "email", "agents", "email")],
    )
    text = "tables:\n- {table_name: agents, anonymized_column_names: [email]}\n- table_name: visits\n"
    assert compare(parse(text), catalog(agents, visits)).notes == (
        "rules: line 3: table visits lists no column, as all are keys; copied as they are: agent; "
        "anonymized, as they refer to anonymized columns: email; "
        "a key that comes to refer to an anonymized column will be anonymized; list it to decide otherwise",
    )
    assert compare(parse(text), catalog(agents, replace(visits, columns=visits.columns[:1]))).notes == (
        "rules: line 3: table visits lists no column, as all are keys; copied as they are: agent; "
        "a key that comes to refer to an anonymized column will be anonymized; list it to decide otherwise",
    )
    assert found("tables: [{table_name: users}]").notes == ()
    assert compare(parse("tables: [{table_name: agents}]"), catalog(table("agents"))).notes == ()


def test_a_reason_for_what_is_not_clear_is_a_warning() -> None:
    text = """
tables:
- table_name: users
  anonymized_column_names: [ssn]
  non_anonymized_column_names: [city]
  clear_because: {twice: a, city: b}
- table_name: cases
  clear_because:
    ssn: c
    id: d
- {table_name: profiles, clear_because: {note: e}}
- {table_name: notes, truncated: true}
"""
    warnings = [each for each in compare(parse(text), LAWSUITS).warnings if each.code == "unused-reason"]
    assert warnings == [
        "rules: line 11: profiles.note has a reason in clear_because, but no rule; list it in non_anonymized_column_names",
        "rules: line 9: cases.ssn has a reason in clear_because, but is not published as it is; "
        "list it in non_anonymized_column_names, or take it out of clear_because",
        "rules: line 6: users.twice has a reason in clear_because, but is not published as it is; "
        "list it in non_anonymized_column_names, or take it out of clear_because",
    ]


NAMES = st.sampled_from(
    ["id", "name", "nam", "email", "Email", "city", "starts_at", "a\nb", "é", "", "x" * 70, "\x1b[31m", "1"]
)
ENTRIES = st.fixed_dictionaries(
    {"table_name": st.sampled_from(["users", "user", "rdvs", "versions", "v\nw"])},
    optional={
        "truncated": st.booleans(),
        "anonymized_column_names": st.lists(NAMES),
        "non_anonymized_column_names": st.lists(NAMES),
        "clear_because": st.dictionaries(NAMES, NAMES),
        "masks": st.dictionaries(NAMES, st.sampled_from(["domain", {"period": "day"}, {"only_when": {"nam": ["a"]}}, 1])),
        "k_anonymity": st.fixed_dictionaries({"columns": st.lists(NAMES)}, optional={"k": st.integers(0, 9), "per": NAMES}),
    },
)


@settings(max_examples=500, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(ENTRIES, max_size=4), st.booleans())
def test_whatever_the_rules_are_each_finding_is_a_line_with_a_code_and_a_line_of_the_file(
    entries: list[dict[str, object]], in_brackets: bool
) -> None:
    named_first = [{"table_name": entry["table_name"], **entry} for entry in entries]
    text = yaml.safe_dump({"tables": named_first}, allow_unicode=True, default_flow_style=in_brackets, sort_keys=False)
    told: tuple[str, ...] = ()
    try:
        gaps = found(text)
        told = (*gaps.problems, *gaps.warnings, *gaps.notes)
        if not any(each.side for each in gaps.problems) and not any("clear_because" in entry for entry in entries):
            assert found(pasted(text, gaps.snippet)).problems == ()
    except RulesError as error:
        told = tuple(error.problems)
    for each in told:
        assert isinstance(each, Finding)
        assert re.fullmatch("[a-z]+(-[a-z]+)*", each.code)
        assert each.line in range(len(text.split("\n")) + 1)
        assert "\n" not in escaped(each)


def test_a_column_with_a_reason_and_no_rule_is_not_pasted_among_the_anonymized_where_it_would_be_refused() -> None:
    text = "tables:\n- table_name: users\n  clear_because: {city: public}\n  anonymized_column_names:\n  - name\n"
    findings = found(text)
    pasted_in = found(pasted(text, findings.snippet))
    assert "missing rule for column users.city" in findings.problems
    assert pasted_in.problems == ("missing rule for column users.city",)
    assert texts(pasted_in.warnings) == (
        "users.city has a reason in clear_because, but no rule; list it in non_anonymized_column_names",
    )


def test_names_that_a_hostile_file_has_by_the_thousand_are_compared_with_few(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[str] = []

    def nearest(name: str, wanted: Iterable[str]) -> str:
        compared.append(name)
        return ""

    monkeypatch.setattr(unknown, "nearest", nearest)
    monkeypatch.setattr(unknown, "MOST_COMPARED", 1000)
    tables = [table(f"t{number}", *(column(f"c{n}") for n in range(10))) for number in range(50)]
    entries = [
        {"table_name": each.name, "anonymized_column_names": [f"d{number}" for number in range(500)]} for each in tables
    ]
    rules = parse(yaml.safe_dump({"tables": entries}))

    warnings = compare(rules, catalog(*tables)).warnings
    assert len(compared) == 2 * 100  # 100 names with 10 columns each: those without a rule, then all
    assert len(warnings) == 50 * 11


def test_tables_that_the_origin_lacks_leave_names_of_columns_to_compare(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unknown, "MOST_COMPARED", 100)
    tables = [table(f"t{number}", column("city")) for number in range(10)]
    gone = [{"table_name": f"gone{number}", "truncated": True} for number in range(10)]
    entries = [*gone, {"table_name": "t0", "anonymized_column_names": ["citty"]}]
    warnings = compare(parse(yaml.safe_dump({"tables": entries})), catalog(*tables)).warnings
    assert [(found.object, found.todo) for found in warnings if found.code == "unknown-column"] == [
        ("t0.citty", "did you mean city?")
    ]
