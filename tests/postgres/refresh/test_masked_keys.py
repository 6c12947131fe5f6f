"""Keys made of pseudonyms: a refresh finds rows by them, unless values that differ have one pseudonym."""

from collections.abc import Callable
from typing import Any

import pytest

from multischema import pipeline
from multischema.plan.plan import Plan
from multischema.stages import refresh
from multischema.stages.index import Indexed
from multischema.stages.refresh import Brought
from multischema.stages.run import Run
from tests.conftest import Place
from tests.support.cases import seen
from tests.support.refreshes import decided, kept, outcomes, publish_both

ORIGIN = """
CREATE TABLE people (email text PRIMARY KEY, born date, age int);
CREATE TABLE letters (number int, site uuid, email text REFERENCES people, at date, PRIMARY KEY (number, site));
INSERT INTO people SELECT 'U' || n || '@example.org', '1983-02-07', n % 90 FROM generate_series(1, 2000) AS n;
INSERT INTO letters SELECT n, gen_random_uuid(), 'U' || n % 2000 + 1 || '@example.org', '2026-01-01'
FROM generate_series(1, 4000) AS n;
"""
RULES = """
tables:
  - table_name: people
    anonymized_column_names: [email, born]
    non_anonymized_column_names: [age]
    masks:
      email: {pseudonym: person_email}
  - table_name: letters
    anonymized_column_names: [number, site, email]
    non_anonymized_column_names: [at]
    masks:
      number: {pseudonym: letter}
      site: {pseudonym: site}
      email: {pseudonym: person_email}
"""
REPEATED = (
    "primary key people_pkey of people is built as a plain index: some of its values differ only in how they are written, "
    "and have one pseudonym",
    "foreign key letters_email_fkey of letters left out: people has no such key any more",
)


def is_as_after_a_full_run(place: Place) -> bool:
    """Tell whether what a run has just published is what a full run publishes."""
    published = sorted(seen(place))
    place.run(RULES)
    return sorted(seen(place)) == published


@pytest.mark.parametrize("target", ["16", "18"])
def test_a_refresh_finds_the_rows_that_changed_came_and_went_by_their_pseudonyms(
    target: str, make_place: Callable[..., Place]
) -> None:
    place = make_place("16", target)
    place.in_origin(ORIGIN)
    assert place.run(RULES, refresh="auto").indexed.warnings == ()
    state = kept(place)
    assert state
    assert [state["tables"][name]["key"] for name in ("people", "letters")] == [["email"], ["number", "site"]]
    place.in_origin(
        "UPDATE people SET age = 200 WHERE age = 7; UPDATE letters SET number = -number WHERE number <= 3;"
        "DELETE FROM letters WHERE email = 'U11@example.org'; DELETE FROM people WHERE email = 'U11@example.org';"
        "INSERT INTO people VALUES ('new@example.org', NULL, 5)"
    )
    found = place.run(RULES, refresh="auto")
    assert decided(found) == "letters: 3 in, 5 out; people: 24 in, 24 out"
    assert is_as_after_a_full_run(place)


def test_an_index_whose_pseudonyms_repeat_is_a_plain_one_and_tells_no_rows_apart(place: Place, tiny: None) -> None:
    place.in_origin(ORIGIN + "INSERT INTO people VALUES ('u7@example.org ', '1990-04-05', 3);")
    for _ in range(2):
        assert place.run(RULES).indexed.warnings == REPEATED
    state = kept(place)
    assert state
    assert [state["tables"][name]["key"] for name in ("people", "letters")] == [[], ["number", "site"]]
    assert [state["tables"][name]["parts"] for name in ("people", "letters")] == [[], ["letters_pkey"]]
    assert place.run(RULES, refresh="auto").choice.line() == (
        "nothing changed in 6,001 rows of 2 tables: the origin's server wrote nothing"
    )
    place.in_origin("UPDATE letters SET at = NULL WHERE number < 4; UPDATE people SET age = 1 WHERE born = '1990-04-05'")
    whole = "people: 2,001 in, 2,001 out; whole: it has no key whose columns are published as they are"
    assert decided(place.run(RULES, refresh="auto")) == f"letters: 3 in, 3 out; {whole}"
    assert is_as_after_a_full_run(place)


def test_a_second_attempt_knows_which_index_the_first_one_could_only_build_as_a_plain_one(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    index, attempts = pipeline.index, []

    def twice(run: Run, plan: Plan) -> Indexed:
        attempts.extend([index(run, plan), index(run, plan)])
        return attempts[-1]

    monkeypatch.setattr(pipeline, "index", twice)
    place.in_origin(ORIGIN + "INSERT INTO people VALUES ('u7@example.org ', NULL, 3);")
    place.run(RULES)
    assert [attempt.warnings for attempt in attempts] == [REPEATED, REPEATED]
    assert place.read("SELECT conname FROM pg_constraint WHERE connamespace = 'shop'::regnamespace AND contype <> 'n'") == [
        ("letters_pkey",)
    ]


ACCOUNTS = """
CREATE TABLE accounts (id int PRIMARY KEY, email text UNIQUE, age int);
INSERT INTO accounts SELECT n, 'U' || n || '@example.org', n FROM generate_series(1, 2000) AS n;
"""
RULES_OF_ACCOUNTS = """
tables:
  - table_name: accounts
    anonymized_column_names: [email]
    non_anonymized_column_names: [age]
    masks:
      email: {pseudonym: person_email}
"""


def test_a_refresh_whose_pseudonyms_repeat_makes_the_run_full_and_the_next_one_is_a_refresh_again(place: Place) -> None:
    place.in_origin(ACCOUNTS)
    place.run(RULES_OF_ACCOUNTS)
    place.in_origin("INSERT INTO accounts VALUES (3000, ' u7@example.org', 1)")
    found = place.run(RULES_OF_ACCOUNTS, refresh="auto")
    assert found.choice.line().startswith("full: the target refused what came in: UniqueViolation")
    assert "example.org" not in found.choice.line()
    assert [line[:78] for line in found.indexed.warnings] == [
        "unique constraint accounts_email_key of accounts is built as a plain index: so"
    ]
    place.in_origin("INSERT INTO accounts VALUES (3001, ' U7@example.org', 1); DELETE FROM accounts WHERE id = 9")
    assert decided(place.run(RULES_OF_ACCOUNTS, refresh="auto")) == "accounts: 1 in, 1 out"


PEOPLE = """
CREATE TABLE people (email text PRIMARY KEY, age int);
INSERT INTO people SELECT 'U' || n || '@example.org', n FROM generate_series(1, 2000) AS n;
"""
RULES_OF_PEOPLE = RULES_OF_ACCOUNTS.replace("accounts", "people")
REPEAT = "INSERT INTO people VALUES ('u1@example.org', 1)"


def test_a_row_with_the_pseudonym_of_another_does_not_replace_it_while_a_third_one_stays(place: Place) -> None:
    place.in_origin(PEOPLE)
    publish_both(place, RULES_OF_PEOPLE)
    place.in_origin(f"{REPEAT}; DELETE FROM people WHERE age = 2")

    def off(patch: pytest.MonkeyPatch) -> None:
        patch.setattr(refresh, "_refuse_repeating", lambda *arguments: None)

    assert outcomes(place, RULES_OF_PEOPLE, off) == ("full: rows of people have the same masked key", False)


def test_a_row_with_the_pseudonym_of_another_makes_the_run_full(place: Place) -> None:
    place.in_origin(PEOPLE)
    place.run(RULES_OF_PEOPLE)
    place.in_origin(REPEAT)
    assert place.run(RULES_OF_PEOPLE, refresh="auto").choice.line() == (
        "full: the published table people lacks rows that the last run published, or rows of the origin have the same "
        "masked key"
    )
    assert place.schemas() == {"shop"}


def test_keys_of_integers_and_uuids_which_are_written_in_one_way_are_not_read_anew(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    brought, bring = [], refresh._bring

    def remembering(*arguments: Any) -> Brought:
        brought.append(bring(*arguments))
        return brought[-1]

    monkeypatch.setattr(refresh, "_bring", remembering)
    place.in_origin(ORIGIN)
    place.run(RULES)
    for changed, keys in (("letters", False), ("people", True)):
        place.in_origin(f"UPDATE {changed} SET email = email WHERE email = 'U7@example.org'")
        assert decided(place.run(RULES, refresh="auto")).startswith(f"{changed}: ")
        assert bool(brought.pop().keys) is keys
