"""Masks and k_anonymity against a catalog: what does not fit is a problem, a line each, before a row is read."""

from dataclasses import replace

import pytest
import yaml

from multischema.masks.known import KINDS
from multischema.masks.periods import Period
from multischema.rules.file import parse
from multischema.rules.gaps import Gaps, compare
from multischema.rules.masks import MaskRule, OnlyWhen
from multischema.rules.writing import entry
from tests.support.findings import texts
from tests.support.masks import Echo
from tests.support.origins import catalog, column, foreign_key, table

USERS = table(
    "users",
    column("id", "bigint", not_null=True),
    column("name"),
    column("born", "date"),
    column("seen", "timestamp with time zone"),
    column("children", "positive"),
    column("tags", "text[]"),
    column("state", "status"),
    column("kind", "character varying(10)"),
    column("letter", "character(3)"),
    column("nick", "citext"),
    column("active", "boolean"),
    column("team", "uuid"),
    column("weight", "numeric"),
    column("loud", generated_from=("name",)),
    key=["id"],
)
LISTS = {
    "anonymized_column_names": ["name", "born", "seen", "children", "tags"],
    "non_anonymized_column_names": ["state", "kind", "letter", "nick", "active", "team", "weight", "loud"],
}
ORIGIN = catalog(USERS)


@pytest.fixture(autouse=True)
def echo(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(KINDS, "echo", Echo)


def found(**rules: object) -> Gaps:
    """Return the findings of rules about USERS that have these keys too."""
    return compare(parse(yaml.safe_dump({"tables": [{"table_name": "users", **LISTS, **rules}]})), ORIGIN)


def problem(**rules: object) -> str:
    """Return the one problem of rules that have these keys too; they are followed without what does not fit."""
    findings = found(**rules)
    (line,) = texts(findings.problems)
    assert not findings.rules.tables["users"].masks
    assert not findings.rules.tables["users"].k_anonymity
    assert findings.snippet == ""
    return line


def only_when(column: str, *values: object, of: str = "born") -> str:
    """Return the one problem of a mask that depends on this column, after the masked column."""
    return problem(masks={of: {"period": "year", "only_when": {column: list(values)}}}).removeprefix(
        f"users.{of}: only_when: "
    )


def fitting(type_: str) -> str:
    """Return the masks that take a type, as messages list them."""
    names = [kind for kind in sorted(KINDS) if type_ in KINDS[kind].fits]
    return " or ".join([", ".join(names[:-1]), names[-1]]) if names[1:] else names[0]


# Masks and types.


def test_masks_that_fit_have_no_finding() -> None:
    masks = {"born": {"period": "year"}, "seen": {"period": "week", "only_when": {"state": ["new"]}}, "name": "echo"}
    findings = found(masks=masks, k_anonymity={"columns": ["born", "state", "name"], "per": "id"})

    assert (findings.problems, findings.warnings) == ((), ())
    assert findings.rules.tables["users"].masks == {
        "born": MaskRule(Period("year")),
        "seen": MaskRule(Period("week"), OnlyWhen("state", ("new",))),
        "name": MaskRule(Echo(None)),
    }
    assert findings.rules.tables["users"].k_anonymity


def test_a_mask_on_a_type_that_it_does_not_take_is_a_problem_that_says_which_masks_would() -> None:
    assert problem(masks={"name": {"period": "year"}}) == (
        "users.name is of type text, which mask period does not take (date, timestamp, timestamptz); "
        f"want {fitting('text')}, or take it out of masks"
    )
    assert problem(masks={"born": "echo"}) == (
        f"users.born is of type date, which mask echo does not take (text, enum, int4); "
        f"want {fitting('date')}, or take it out of masks"
    )
    assert problem(masks={"tags": "echo"}) == (
        "users.tags is of type text[], which mask echo does not take (text, enum, int4); take it out of masks"
    )


def test_a_mask_that_can_not_hold_in_a_type_is_a_problem_that_says_why_and_a_domain_is_what_it_stands_on() -> None:
    assert problem(masks={"children": {"echo": "9"}}) == (
        "users.children is of type positive, which mask echo does not fit: 9 is no integer"
    )
    assert found(masks={"children": {"echo": "1"}}).problems == ()


def test_each_mask_that_does_not_fit_is_told_and_the_others_are_kept() -> None:
    findings = found(masks={"name": {"period": "day"}, "tags": {"period": "day"}, "born": {"period": "month"}})

    assert [line.split(" is ")[0] for line in texts(findings.problems)] == ["users.name", "users.tags"]
    assert findings.rules.tables["users"].masks == {"born": MaskRule(Period("month"))}


def test_a_mask_of_a_column_that_the_origin_does_not_have_is_no_second_warning() -> None:
    rules = {"table_name": "users", **LISTS, "masks": {"gone": {"period": "year"}}}
    rules["anonymized_column_names"] = [*LISTS["anonymized_column_names"], "gone"]
    findings = compare(parse(yaml.safe_dump({"tables": [rules]})), ORIGIN)

    assert (findings.problems, texts(findings.warnings)) == ((), ("users.gone is not in the origin",))


def test_a_mask_of_a_column_that_is_left_out_is_a_warning() -> None:
    rules = {"table_name": "users", **LISTS, "masks": {"loud": "echo"}}
    rules["anonymized_column_names"] = [*LISTS["anonymized_column_names"], "loud"]
    rules["non_anonymized_column_names"] = LISTS["non_anonymized_column_names"][:-1]
    findings = compare(parse(yaml.safe_dump({"tables": [rules]})), ORIGIN)

    assert findings.problems == ()
    assert texts(findings.warnings) == ("users.loud is computed from anonymized columns and left out, its mask with it",)


def test_a_mask_that_hides_nothing_of_its_column_is_a_warning() -> None:
    rules = {"table_name": "users", **LISTS, "masks": {"born": {"period": "day"}}}
    findings = compare(parse(yaml.safe_dump({"tables": [rules]})), ORIGIN)

    assert findings.problems == ()
    assert texts(findings.warnings) == (
        "users.born is of type date, of which mask period hides nothing: a date is a day; use year, quarter, month or week",
    )


def test_values_that_an_enum_does_not_have_are_a_warning() -> None:
    rules = {"table_name": "users", "masks": {"state": {"echo": ["new", "doen", "x"]}}}
    rules["anonymized_column_names"] = [*LISTS["anonymized_column_names"], "state"]
    rules["non_anonymized_column_names"] = LISTS["non_anonymized_column_names"][1:]
    findings = compare(parse(yaml.safe_dump({"tables": [rules]})), ORIGIN)

    assert findings.problems == ()
    assert texts(findings.warnings) == (
        "users.state: its mask shows values doen, x, which its enum does not have (did you mean done?)",
    )


# only_when.


@pytest.mark.parametrize(
    ("column", "values"),
    [
        ("state", ["new", "done"]),
        ("kind", ["a", "1", ""]),
        ("letter", ["a"]),
        ("active", [True, False]),
        ("active", ["t"]),
        ("id", [1, "-2", 0]),
        ("team", ["01234567-89ab-cdef-0123-456789abcdef"]),
    ],
)
def test_only_when_takes_columns_whose_text_says_all_of_them(column: str, values: list[object]) -> None:
    assert found(masks={"born": {"only_when": {column: values}}}).problems == ()


@pytest.mark.parametrize(
    ("column", "value", "expected"),
    [
        ("stat", "a", "users has no column stat (did you mean state?); want a column that is published as it is"),
        ("xyz", "a", "users has no column xyz; want a column that is published as it is"),
        ("name", "a", "name is anonymized; want a column that is published as it is"),
        ("born", "a", "born is anonymized; want a column that is published as it is"),
        ("loud", "a", "loud is computed from anonymized columns and left out; want a column that is published as it is"),
        ("weight", "1", "weight is of type numeric; want text (not citext), an enum, a boolean, an integer or a uuid"),
        ("nick", "a", "nick is of type citext; want text (not citext), an enum, a boolean, an integer or a uuid"),
        ("state", "nwe", "state is of type status, which does not have the value 'nwe' (did you mean new?)"),
        (
            "kind",
            True,
            "kind is of type character varying(10), and true, yes, on and their opposites are booleans; quote them",
        ),
        ("state", False, "state is of type status, and true, yes, on and their opposites are booleans; quote them"),
        (
            "letter",
            "a  ",
            "letter is of type character(3), whose values are compared without the blanks at their end",
        ),
        ("active", "true", "active is of type boolean, which never has the value 'true'; want true and false"),
        ("active", 1, "active is of type boolean, which never has the value '1'; want true and false"),
        ("id", "01", "id is of type bigint, which never has the value '01'; want integers in plain digits"),
        ("id", "x", "id is of type bigint, which never has the value 'x'; want integers in plain digits"),
        (
            "team",
            "01234567-89AB-CDEF-0123-456789ABCDEF",
            "team is of type uuid, which never has the value '01234567-89AB-CDEF-0123-456789ABCDEF'; "
            "want uuids in lower case, with hyphens",
        ),
    ],
)
def test_only_when_that_could_leave_rows_unmasked_is_a_problem(column: str, value: object, expected: str) -> None:
    assert only_when(column, value) == expected


def test_only_when_on_a_key_that_is_anonymized_for_what_it_refers_to_is_a_problem() -> None:
    calls = table("calls", column("user", "bigint"), column("note"), foreign_keys=[foreign_key("calls", "user", "users")])
    rules = parse("""tables:
- {table_name: users, anonymized_column_names: [id]}
- {table_name: calls, anonymized_column_names: [note], masks: {note: {only_when: {user: [1]}}}}
""")
    findings = compare(rules, catalog(table("users", column("id", "bigint"), key=["id"]), calls))

    assert texts(findings.problems) == (
        "calls.note: only_when: user is anonymized; want a column that is published as it is",
    )


# k_anonymity.


@pytest.mark.parametrize(
    ("gate", "expected"),
    [
        ({"columns": ["boorn"]}, "users has no column boorn (did you mean born?); want a column that is published"),
        ({"columns": ["loud"]}, "loud is computed from anonymized columns and left out; want a column that is published"),
        ({"columns": ["name"]}, "name is masked wholly, so there is nothing to combine; give it a mask, or take it out"),
        (
            {"columns": ["state"], "per": "idd"},
            "per: users has no column idd (did you mean id?); "
            "want one published as it is or as a pseudonym, or no per, to count rows",
        ),
        (
            {"columns": ["state"], "per": "name"},
            "per: name is anonymized; want one published as it is or as a pseudonym, or no per, to count rows",
        ),
        (
            {"columns": ["state"], "per": "loud"},
            "per: loud is computed from anonymized columns and left out; "
            "want one published as it is or as a pseudonym, or no per, to count rows",
        ),
    ],
)
def test_k_anonymity_of_columns_that_show_nothing_is_a_problem(gate: object, expected: str) -> None:
    assert problem(k_anonymity=gate) == f"users: k_anonymity: {expected}"


def test_k_anonymity_counts_by_masked_values_only_if_they_tell_apart_in_all_rows() -> None:
    gate = {"columns": ["state"], "per": "name"}
    wanted = "want one published as it is or as a pseudonym, or no per, to count rows"

    assert found(masks={"name": "echo"}, k_anonymity=gate).problems == ()
    for masks in ({"name": {"echo": None, "only_when": {"state": ["new"]}}}, {"name": {"only_when": {"state": ["new"]}}}):
        assert texts(found(masks=masks, k_anonymity=gate).problems) == (
            f"users: k_anonymity: per: name is anonymized; {wanted}",
        )


# What a table's entry says of others.


def test_a_key_that_refers_to_a_column_whose_mask_joins_is_told_what_keeps_the_foreign_key() -> None:
    users = table("users", column("email"), column("born", "date"), key=["email"])
    calls = table(
        "calls",
        column("email"),
        column("day", "date"),
        foreign_keys=[foreign_key("calls", "email", "users", "email"), foreign_key("calls", "day", "users", "born")],
    )
    rules = "tables:\n- {table_name: calls}\n- {table_name: users, anonymized_column_names: [email, born], masks: %s}\n"

    assert texts(compare(parse(rules % "{email: {echo: of}, born: {period: month}}"), catalog(users, calls)).warnings) == (
        "calls.day is anonymized: it refers to users.born, which is",
        "calls.email is anonymized: it refers to users.email, which is; "
        "list it with the mask echo: of too to keep the foreign key",
    )
    partly = rules % "{email: {echo: of, only_when: {born: [x]}}}"
    assert texts(compare(parse(partly.replace("[email, born]", "[email]")), catalog(users, calls)).warnings) == (
        "calls.day is a key without a rule, of type date: copied as it is",
        "calls.email is anonymized: it refers to users.email, which is",
    )


VISITS = catalog(
    table("visits", column("id", "bigint"), column("day", "date"), column("name"), key=["id"], kind="p"),
    partitions={"visits_1": "visits"},
)
MASKED = "{table_name: %s, anonymized_column_names: [day, name], %s}"


def of_visits(root: str, partition: str) -> tuple[str, ...]:
    """Return the problems of a root's and its partition's rules."""
    findings = compare(parse(f"tables:\n- {MASKED % ('visits', root)}\n- {MASKED % ('visits_1', partition)}\n"), VISITS)
    assert (findings.warnings, findings.snippet) == ((), "")
    return texts(findings.problems)


@pytest.mark.parametrize(
    ("root", "partition"),
    [
        ("masks: ", "masks: "),
        ("masks: ", "masks: {day: {period: day}}"),
        ("masks: {day: {period: year}}", "masks: {day: {period: year}}"),
        ("masks: {day: {period: year}}", "masks: {day: {period: month}}"),
        ("masks: {day: {period: year}}", "masks: {day: {period: year, only_when: {id: [1]}}}"),
        ("k_anonymity: {columns: [id]}", "k_anonymity: {columns: [id], k: 5}"),
        ("k_anonymity: {columns: [id]}", "masks: "),
    ],
)
def test_a_partition_whose_masks_show_no_less_than_its_root_s_is_accepted_in_silence(root: str, partition: str) -> None:
    assert of_visits(root, partition) == ()


@pytest.mark.parametrize(
    ("root", "partition", "what"),
    [
        ("masks: {day: {period: month}}", "masks: {day: {period: year}}", "mask day"),
        ("masks: {day: {period: month}}", "masks: ", "mask day"),
        ("masks: {day: {period: month}, name: echo}", "masks: {name: {only_when: {id: [1]}}}", "mask day, name"),
        ("masks: ", "k_anonymity: {columns: [id]}", "set k_anonymity"),
        ("k_anonymity: {columns: [id], k: 3}", "k_anonymity: {columns: [id]}", "set k_anonymity"),
    ],
)
def test_a_partition_that_masks_otherwise_than_its_root_is_a_problem(root: str, partition: str, what: str) -> None:
    assert of_visits(root, partition) == (
        f"partition visits_1 has rules that {what} otherwise than those of visits do, which it follows; "
        "change them in visits, or take it out of the entry for visits_1",
    )


# What is pasted over an entry.


@pytest.mark.parametrize(
    "text", ["yes", "1", "a, b", "é: [", "it's", '"', "#", "", " ", "a\nb", "\x1b\u202e", "x" * 300, "\\"]
)
def test_an_entry_to_paste_keeps_masks_and_k_anonymity_as_they_are(text: str) -> None:
    rules = {
        "masks": {
            "born": {"period": "year", "only_when": {"kind": [text, "b"]}},
            "seen": {"only_when": {"active": [True]}},
            "name": {"echo": [text, 1]},
            "children": "echo",
            "tags": {"echo": text},
        },
        "clear_because": {"state": text or "."},
        "k_anonymity": {"columns": ["born", "state"], "k": 7, "per": "id", "on_breach": "warn"},
    }
    written = {"table_name": "users", **LISTS, **rules, "non_anonymized_column_names": ["state"]}
    (before,) = parse(yaml.safe_dump({"tables": [written]})).tables.values()
    pasted = parse("tables:\n" + entry("users", before, ["kind"])).tables["users"]

    assert pasted == replace(before, anonymized=before.anonymized | {"kind"})


def test_an_entry_to_paste_has_a_line_for_each_mask_and_reason() -> None:
    rules = parse("""
tables:
- table_name: users
  anonymized_column_names: [name, born]
  non_anonymized_column_names: [kind]
  masks: {name: echo, born: {only_when: {"state": ["new", 'b c']}, period: year}}
  k_anonymity: {columns: [born], k: 5}
  clear_because: {kind: "a code: no person's"}
""")

    assert (
        entry("users", rules.tables["users"], ["state"])
        == """  - table_name: users
    anonymized_column_names:
      - born
      - name
      # decide:
      - state
    non_anonymized_column_names:
      - kind
    masks:
      name: echo
      born: {period: year, only_when: {state: [new, "b c"]}}
    clear_because:
      kind: "a code: no person's"
    k_anonymity: {columns: [born]}
"""
    )


def test_an_entry_to_paste_leaves_the_domains_where_they_stand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(KINDS, "domain", Echo)
    monkeypatch.setattr(Echo, "kind", "domain")
    text = "tables: [{table_name: users, anonymized_column_names: [email], masks: {email: domain}}]\ndomains: [cd62.fr]\n"

    assert "      email: domain\n" in entry("users", parse(text).tables["users"], ["name"])
