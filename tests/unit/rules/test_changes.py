"""What a change of the rules publishes or hides: whatever weakens them is found, and nothing else is called weaker."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from multischema.masks.domains import Domain
from multischema.masks.mask import Refined
from multischema.masks.numbers import Bands, Round
from multischema.masks.periods import Period
from multischema.masks.places import Department
from multischema.masks.pseudonyms import Pseudonym
from multischema.rules.changes import CODES, changes, is_weaker, summary
from multischema.rules.file import Rules, TableRules, parse
from multischema.rules.masks import KAnonymity, MaskRule, OnlyWhen

OLD = """
tables:
  - table_name: users
    anonymized_column_names: [name, city, born]
    non_anonymized_column_names: [status, created_at]
    masks: {born: {period: year}}
    k_anonymity: {columns: [born], k: 5, per: id}
  - {table_name: logs, truncated: true}
  - {table_name: visits, non_anonymized_column_names: [at]}
"""


def found(old: str, new: str) -> list[str]:
    """Return the changes as lines, each with its level."""
    return [f"{change.level}: {change}" for change in changes(parse(old), parse(new))]


def changed(before: str, after: str) -> list[str]:
    """Return the changes where one text of the file is replaced by another."""
    assert before in OLD
    return found(OLD, OLD.replace(before, after))


def test_a_column_that_was_anonymized_and_becomes_clear_is_found_with_its_line() -> None:
    new = OLD.replace("[name, city, born]", "[name, born]").replace("[status,", "[status, city,")
    assert found(OLD, new) == ["warning: rules: line 5: published as it is now: users.city (was anonymized)"]


def test_a_column_that_was_clear_and_shows_a_part_is_no_longer_clear() -> None:
    new = OLD.replace("[name,", "[name, created_at,").replace("born: ", "created_at: {period: month}, born: ")
    assert found(OLD, new) == [
        "note: rules: line 4: anonymized now: users.created_at (period: month; was published as it is)"
    ]


@pytest.mark.parametrize(
    ("before", "after", "wanted"),
    [
        (
            "[status,",
            "[nickname, status,",
            "warning: rules: line 5: published as it is now: users.nickname (was not listed)",
        ),
        ("[name,", "[name, email,", "note: rules: line 4: anonymized now: users.email (was not listed)"),
        ("[name,", "[name, status,", "note: rules: line 4: anonymized now: users.status (was published as it is)"),
        ("year", "month", "warning: rules: line 4: shows more: users.born (period: month; was period: year)"),
        (
            "{period: year}",
            "department",
            "warning: rules: line 4: shows something else: users.born (department; was period: year)",
        ),
        ("born: {period: year}", "", "note: rules: line 4: shows less: users.born (was period: year)"),
        (
            "born: ",
            "name: department, born: ",
            "warning: rules: line 4: shows more: users.name (department; was anonymized wholly)",
        ),
        (
            "{period: year}",
            "{period: year, only_when: {status: [closed]}}",
            "warning: rules: line 4: shows more: users.born (period: year; only when status is closed; was period: year)",
        ),
        (
            "[name, city,",
            "[name,",
            "warning: rules: line 3: no longer listed: users.city (was anonymized); a key is then published as it is, and a "
            "run stops for any other column that the origin has",
        ),
        (
            "[status, created_at]",
            "[status]",
            "note: rules: line 3: no longer listed: users.created_at (was published as it is); a key is then published as "
            "it is, and a run stops for any other column that the origin has",
        ),
        ("logs, truncated: true", "logs", "warning: rules: line 8: rows and keys published now: logs (was truncated)"),
        (
            "visits, non_anonymized_column_names: [at]",
            "visits, truncated: true",
            "note: rules: line 9: truncated now: visits (published at as it is)",
        ),
        ("}\n  - {table_name: visits", "}\n  - {table_name: more}\n  - {table_name: visits", "had no entry"),
        ("}\n  - {table_name: visits", "}\n  - {table_name: more, truncated: true}\n  - {table_name: visits", "note: "),
        ("  - {table_name: logs, truncated: true}\n", "", "note: rules: no entry any more: logs; a run stops for a table"),
        (
            "k: 5",
            "k: 3",
            "warning: rules: line 3: k_anonymity of users asks less (3 id for each born, else refuse; was 5 id for each "
            "born, else refuse)",
        ),
        ("k: 5, per: id", "k: 5", "warning: "),
        ("k: 5, per: id", "k: 5, per: id, on_breach: warn", "warning: "),
        ("per: id", "per: name", "asks something else"),
        ("columns: [born]", "columns: [born, city]", "note: rules: line 3: k_anonymity of users asks more"),
        ("    k_anonymity: {columns: [born], k: 5, per: id}\n", "", "asks less (none; was 5 id for each born, else refuse)"),
    ],
)
def test_a_change_is_named_with_what_was_before(before: str, after: str, wanted: str) -> None:
    (line,) = changed(before, after)
    assert wanted in line


def test_the_domains_of_the_file_matter_where_a_mask_shows_them() -> None:
    masked = OLD.replace("born: {period: year}", "name: domain")
    assert found(OLD, f"{OLD}domains: [cd62.fr]\n") == []
    assert found(masked, f"{masked}domains: [cd62.fr]\n") == [
        "warning: rules: line 4: shows more: users.name (domain: cd62.fr; was domain)"
    ]


def test_reasons_and_expected_warnings_are_told_and_are_not_weaker() -> None:
    new = OLD.replace("    masks:", "    clear_because: {status: a code}\n    masks:")
    new += "expected_warnings: [{code: unused-rule, object: users.old}]\n"
    assert found(OLD, new) == [
        "note: rules: line 5: clear because 'a code': users.status (was without a reason)",
        "note: rules: line 11: a warning is silenced: unused-rule of users.old",
    ]
    assert found(new, OLD) == [
        "note: rules: line 5: clear without a reason now: users.status (was 'a code')",
        "note: rules: a warning shows again: unused-rule of users.old",
    ]


def test_a_reason_that_goes_with_its_column_is_no_change_of_its_own() -> None:
    old = OLD.replace("    masks:", "    clear_because: {status: a code}\n    masks:")
    hidden = OLD.replace("[name,", "[name, status,").replace("[status, created_at]", "[created_at]")
    assert [change.code for change in changes(parse(old), parse(hidden))] == ["column-hidden"]


def test_order_comments_and_style_are_no_difference() -> None:
    new = """
    # written otherwise
    tables:
      - {table_name: visits, non_anonymized_column_names: ["at"]}
      - table_name: logs
        truncated: yes
      - table_name: users
        k_anonymity: {per: id, columns: [born]}
        non_anonymized_column_names: [created_at, status]
        masks:
          born:
            period: year
        anonymized_column_names: [born, city, name]
    """
    assert found(OLD, new) == []
    assert summary([]) == "no difference in what is published"


def test_a_table_begins_with_what_becomes_visible_and_the_summary_counts() -> None:
    new = OLD.replace("[name, city, born]", "[status, name, born]").replace("[status, created_at]", "[created_at, city]")
    told = changes(parse(OLD), parse(new.replace("logs, truncated: true", "logs, non_anonymized_column_names: [a, b]")))
    assert [change.code for change in told] == [
        *("column-published", "column-hidden", "table-published", "column-published", "column-published"),
    ]
    assert summary(told) == "1 table becomes visible, 3 columns become visible, 1 column hidden"


# Whatever the rules say: nothing differs from itself, and what is weaker one way is stronger the other.

MASKS: list[Refined] = [
    *(
        Period("year"),
        Period("month"),
        Period("week"),
        Department(),
        Round(1),
        Round(3),
        Bands((Decimal(0), Decimal(3))),
        Bands((Decimal(3),)),
    ),
    *(Pseudonym("a"), Pseudonym("b"), Domain(), Domain(("cd62.fr",))),
]
WHEN = st.builds(OnlyWhen, st.sampled_from("ab"), st.sampled_from([("x",), ("x", "y"), ("y",)]))
MASK_RULES = st.builds(MaskRule, st.sampled_from(MASKS), st.none() | WHEN) | st.builds(MaskRule, st.none(), WHEN)
GATES = st.none() | st.builds(
    KAnonymity,
    st.sampled_from([("a",), ("a", "b"), ("b",)]),
    st.sampled_from([3, 5]),
    st.sampled_from(["", "x", "y"]),
    st.sampled_from(["refuse", "warn"]),
)
COLUMNS = st.sampled_from("abc")


@st.composite
def tables(draw: st.DrawFn, name: str) -> TableRules:
    """Make the rules of a table that is not truncated."""
    anonymized = draw(st.frozensets(COLUMNS))
    masks = draw(st.dictionaries(st.sampled_from(sorted(anonymized)), MASK_RULES)) if anonymized else {}
    return TableRules(name, False, anonymized, draw(st.frozensets(COLUMNS)), masks, draw(GATES))


@st.composite
def rules(draw: st.DrawFn) -> Rules:
    """Make rules of up to two tables."""
    names = draw(st.sets(st.sampled_from(["t", "u"])))
    truncated = TableRules("", True, frozenset(), frozenset())
    return Rules({name: draw(tables(name) | st.just(replace(truncated, table=name))) for name in sorted(names)})


def published(given: Rules) -> set[str]:
    """Return the names of the tables whose rows are published."""
    return {name for name, table in given.tables.items() if not table.truncated}


def places(old: Rules, new: Rules, *, weaker: bool) -> set[tuple[str, str]]:
    """Return where something shows more, or less, in tables that are published before and after."""
    both = published(old) & published(new)
    kinds = ("otherwise", "unlisted", "stronger", "hidden") if not weaker else ()
    return {
        (change.table, change.column)
        for change in changes(old, new)
        if change.table in both
        if is_weaker(change) == weaker or any(kind in change.code for kind in kinds)
    }


@given(rules())
def test_nothing_differs_from_itself(given: Rules) -> None:
    assert changes(given, given) == []


@given(rules(), rules())
def test_what_is_weaker_one_way_is_stronger_or_other_the_other_way(old: Rules, new: Rules) -> None:
    assert places(old, new, weaker=True) <= places(new, old, weaker=False)
    assert {change.code for change in changes(old, new)} <= {*CODES}
    weaker_tables = {change.table for change in changes(old, new) if change.code == "table-published"}
    assert weaker_tables == published(new) - published(old)
    assert {change.table for change in changes(old, new) if change.code == "table-hidden"} == published(old) - published(new)


@given(rules(), tables("t"), st.data())
def test_whatever_weakening_is_planted_is_found(others: Rules, table: TableRules, data: st.DataObject) -> None:
    anonymized = table.anonymized | {"d"}
    masks = {**table.masks, "d": MaskRule(Period("year"))}
    gate = KAnonymity(("a", "b"), 5, "x")
    old = replace(table, anonymized=anonymized, masks=masks, k_anonymity=gate, non_anonymized=table.non_anonymized | {"e"})
    planted: dict[str, dict[str, Any]] = {
        "column-published": {
            "anonymized": anonymized - {"d"},
            "masks": table.masks,
            "non_anonymized": old.non_anonymized | {"d"},
        },
        "column-unlisted": {"anonymized": anonymized - {"d"}, "masks": table.masks},
        "mask-weaker": {"masks": {**masks, "d": MaskRule(Period("month"))}},
        "mask-otherwise": {"masks": {**masks, "d": MaskRule(Department())}},
        "k-anonymity-weaker": {"k_anonymity": data.draw(st.sampled_from([None, replace(gate, k=4), replace(gate, per="")]))},
    }
    code = data.draw(st.sampled_from(sorted(planted)))
    new = replace(old, **planted[code])
    before, after = (Rules({**others.tables, "t": each}) for each in (old, new))
    (change,) = changes(before, after)
    assert (change.code, change.table, is_weaker(change)) == (code, "t", True)
    assert change.column == ("" if "anonymity" in code else "d")


def test_a_truncated_table_that_is_published_again_is_weaker_and_says_which_columns() -> None:
    old, new = (
        parse(f"tables: [{{table_name: t, {rule}}}]") for rule in ("truncated: true", "non_anonymized_column_names: [a]")
    )
    assert [(change.code, change.column, is_weaker(change)) for change in changes(old, new)] == [
        ("table-published", "", True),
        ("column-published", "a", True),
    ]
