"""Warnings that the rules expect: known by code and object, and never more than that."""

import pytest

from multischema.findings import Finding, note, problem
from multischema.rules import expected
from multischema.rules.expected import EVENTS, OF_CHECK, OF_ORIGIN, OF_RUN, STATES, Told, misfits, past, told
from multischema.rules.file import Expected

KEY = Finding("index-not-unique", "index a of t is built as a plain index", table="t", object="a")
VIEW = Finding("relation-not-read", "not read: view v", table="v")
KNOWN = Expected("index-not-unique", "a", 7)


def test_an_expected_warning_is_named_in_one_line_and_no_longer_shown() -> None:
    found = told([KEY, VIEW], [KNOWN])
    assert found == Told(warnings=(VIEW,), expected=(KEY,))
    assert found.expected_line() == "1 expected warning: index-not-unique a"
    both = told([KEY, VIEW], [KNOWN, Expected("relation-not-read", "v")])
    assert both.warnings == ()
    assert both.expected_line() == "2 expected warnings: index-not-unique a, relation-not-read v"
    assert told([KEY, VIEW], []).expected_line() == ""


@pytest.mark.parametrize(
    "other",
    [
        Finding("index-not-unique", "of another", table="t", object="b"),
        Finding("index-not-unique", "of its table", table="a2"),
        Finding("index-invalid-in-origin", "of another kind", table="t", object="a"),
        Finding("index-not-unique", "in another case", table="t", object="A"),
    ],
    ids=str,
)
def test_a_warning_of_another_object_or_code_is_never_hidden(other: Finding) -> None:
    assert told([KEY, other], [KNOWN]).warnings == (other,)


@pytest.mark.parametrize("name", ["*", "a*", "", ".*"])
def test_nothing_stands_for_several_objects(name: str) -> None:
    assert told([KEY], [Expected("index-not-unique", name)]).warnings == (KEY,)


def test_problems_and_notes_are_never_expected() -> None:
    wrong = problem("index-not-unique", "wrong", object="a")
    worth = note("index-not-unique", "worth knowing", object="a")
    assert told([wrong, worth], [KNOWN]) == Told(notes=(worth,))


@pytest.mark.parametrize("code", sorted(EVENTS))
def test_a_warning_of_what_happened_is_shown_though_it_is_expected(code: str) -> None:
    once, named = Finding(code, "users.email", table="users", column="email"), Expected(code, "users.email", 3)
    assert told([once], [named]).warnings == (once,)
    (misfit,) = misfits([named])
    assert misfit == (f"rules: line 3: expected_warnings: {code} says what happened, and is shown all the same; take it out")
    assert (misfit.code, misfit.level, misfit.object) == ("expected-warning-is-an-event", "warning", "users.email")


def test_a_code_that_no_warning_has_is_told_with_its_neighbour() -> None:
    assert misfits([KNOWN]) == []
    assert misfits([Expected("index-not-uniqe", "a", 4), Expected("nothing like it", "b", 5)]) == [
        "rules: line 4: expected_warnings: no warning has the code index-not-uniqe (did you mean index-not-unique?); take "
        "the code from the warning, or take it out",
        "rules: line 5: expected_warnings: no warning has the code nothing like it; take the code from the warning, or take "
        "it out",
    ]


def test_an_expected_warning_that_is_not_given_any_more_is_noted() -> None:
    assert past([KNOWN], [KEY], OF_ORIGIN) == []
    (stale,) = past([KNOWN], [VIEW], OF_ORIGIN)
    assert stale == "rules: line 7: expected_warnings: nothing warns of a with index-not-unique any more; take it out"
    assert (stale.level, stale.code, stale.line) == ("note", "expected-warning-not-given", 7)


def test_a_warning_that_this_check_can_not_give_is_not_noted_as_past() -> None:
    assert past([Expected("few-pseudonyms", "users.email"), Expected("no-collation", "french")], [], OF_ORIGIN) == []
    assert past([Expected("index-not-unique", "a")], [], OF_CHECK) == []


def test_each_code_says_when_it_is_given_once() -> None:
    groups = (OF_ORIGIN, OF_CHECK, OF_RUN, EVENTS)
    assert sum(map(len, groups)) == len(STATES | EVENTS)
    assert expected.STATES.isdisjoint(EVENTS)
