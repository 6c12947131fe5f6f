"""What the scan says of what it counted: errors, warnings and notes, reasons, and what a sample proves."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest

from multischema.plan.record import Record, newly_clear
from multischema.plan.scan import KINDS, Counted, Scanned, judge, proof, reasons
from multischema.plan.tables import TablePlan, plan_table
from multischema.rules.file import parse
from multischema.scan.detectors import DETECTORS, OWN_DATA
from tests.support.origins import catalog, column, table

RULES = """
tables:
  - table_name: users
    anonymized_column_names: [name]
    non_anonymized_column_names:
      - phone
      - notes
    clear_because:
      phone: numéro public du territoire
  - table_name: versions
    truncated: true
"""
ORIGIN = catalog(
    table("users", column("id", "integer"), column("name"), column("phone"), column("notes"), key=["id"]),
    table("versions", column("id", "integer"), column("item"), key=["id"]),
)


def plans() -> dict[str, TablePlan]:
    """Return the plans of the tables of ORIGIN."""
    rules = parse(RULES)
    return {its.name: plan_table(its, rules.tables.get(its.name), ORIGIN, frozenset()) for its in ORIGIN.tables}


def levels(hits: Mapping[tuple[str, str], int], values: int = 50_000, new: Sequence[str] = ("notes", "phone")) -> list[str]:
    """Return what is said of hits in columns of users that have so many values: each with its level."""
    counted = Counted("users", values, values={name: values for name, _ in hits}, hits=hits)
    return [f"{finding.level} {finding.code}" for finding in judge(plans()["users"], counted, new)]


@pytest.mark.parametrize(
    ("hits", "values", "newly", "before"),
    [
        (50_000, 50_000, "error", "warning"),  # the column is that
        (25_000, 50_000, "error", "warning"),
        (50, 50_000, "error", "warning"),  # free text holds it
        (49, 50_000, "note", "note"),
        (1, 50_000, "note", "note"),
        (2, 3, "error", "warning"),  # a small table
        (2, 2_000, "error", "warning"),
        (1, 1, "warning", "warning"),  # one value alone may be chance
        (1, 1_000, "warning", "warning"),
        (1, 1_001, "note", "note"),
    ],
)
def test_the_share_of_the_values_and_whether_the_column_is_newly_clear_make_the_level(
    hits: int, values: int, newly: str, before: str
) -> None:
    found = {("notes", "email"): hits}
    assert levels(found, values) == [f"{newly} scan-email"]
    assert levels(found, values, new=()) == [f"{before} scan-email"]


def test_one_masked_value_of_the_row_or_one_postal_address_may_be_chance() -> None:
    assert levels({("notes", "own-data"): 1}, 1) == ["note scan-own-data"]
    assert levels({("notes", "postal-address"): 1}, 1) == ["note scan-postal-address"]
    assert levels({("notes", "own-data"): 2}, 2) == ["error scan-own-data"]


def test_a_name_is_no_more_than_a_note_and_says_nothing_that_the_values_say() -> None:
    counted = Counted("users", 9, named={"notes": "health", "phone": "contact", "name": "name"})
    (found,) = judge(plans()["users"], counted, ["notes"])
    todo = "anonymize it, or give the reason why it is clear in clear_because"
    assert found == f"rules: line 7: users.notes is published as it is, and its name or comment hints at health; {todo}"
    assert (found.level, found.code) == ("note", "scan-name")
    assert judge(plans()["users"], counted, []) == []  # it was clear before
    both = replace(counted, values={"notes": 9}, hits={("notes", "email"): 9})
    assert [its.code for its in judge(plans()["users"], both, ["notes"])] == ["scan-email"]


def test_a_postal_address_only_warns() -> None:
    assert levels({("notes", "postal-address"): 50_000}) == ["warning scan-postal-address"]
    assert levels({("notes", "postal-address"): 10}) == ["note scan-postal-address"]


def test_a_column_with_a_reason_has_no_finding_and_its_reason_is_listed() -> None:
    assert levels({("phone", "phone"): 50_000, ("notes", "phone"): 0}) == []
    assert reasons([*plans().values()]) == ["reason for users.phone: numéro public du territoire"]


def test_each_detector_has_its_finding_and_the_worst_come_first() -> None:
    found = {("notes", "phone"): 3, ("notes", "email"): 50, ("notes", "postal-address"): 90, ("notes", "nir"): 1}
    assert levels(found) == ["error scan-email", "warning scan-postal-address", "note scan-nir", "note scan-phone"]


def test_a_finding_says_where_what_and_how_much_and_never_more() -> None:
    counted = Counted(
        "users", 50_000, values={"notes": 40_000}, hits={("notes", "email"): 400, ("notes", "own-data"): 30_000}
    )
    few, most = judge(plans()["users"], counted, ["notes"])
    todo = "anonymize it, or give the reason why it is clear in clear_because"
    assert few == (
        f"rules: line 7: users.notes is published as it is, and 400 of 40,000 values hold an e-mail address; {todo}"
    )
    assert most == (
        "rules: line 7: users.notes is published as it is, and most of it is masked values of the same row "
        f"(30,000 of 40,000 values); {todo}"
    )
    assert (few.side, few.table, few.column, few.object, few.line) == ("rules", "users", "notes", "users.notes", 7)
    (one,) = judge(plans()["users"], Counted("users", 9_000, values={"notes": 9_000}, hits={("notes", "email"): 1}), [])
    assert "and 1 of 9,000 values holds an e-mail address" in one


def test_an_unfinished_table_is_a_warning_beside_what_was_found_and_says_how_to_give_it_time() -> None:
    counted = Counted("users", 50_000, values={"notes": 5}, hits={("notes", "email"): 5}, unfinished="out of time")
    found, unfinished = judge(plans()["users"], counted, ["notes"])
    assert (found.code, unfinished.level, unfinished.code) == ("scan-email", "warning", "scan-unfinished")
    assert "did not finish table users: out of time" in unfinished
    assert "--timeout" in unfinished


def test_masked_columns_and_truncated_tables_are_not_clear() -> None:
    clear = {name: [column.name for column in its.clear] for name, its in plans().items()}
    assert clear == {"users": ["id", "phone", "notes"], "versions": []}
    assert levels({("name", "email"): 50_000}) == []


def test_a_sample_is_told_as_what_it_proves() -> None:
    looked = [Counted("users", 50_000), Counted("rdvs", 60_000), Counted("few", 7, whole=True)]
    assert (
        proof(looked) == "what a sample of 50,000 rows does not show is, with 95 % confidence, in at most 1 of 16,666 rows"
    )
    assert proof([Counted("few", 7, whole=True), Counted("users", 9, unfinished="out of time"), Counted("empty", 0)]) == ""


def test_a_scan_is_summed_up_in_a_line() -> None:
    counted = Counted("users", 1_000, whole=True, values={"notes": 1_000, "id": 1_000}, hits={("notes", "email"): 1_000})
    found = tuple(judge(plans()["users"], counted, []))
    assert Scanned((counted,), found, 0.31).headline() == "2 clear columns of 1 table, 1,000 rows, 0.3 s: 1 warning"
    assert Scanned((counted,), (), 0.31).headline() == "2 clear columns of 1 table, 1,000 rows, 0.3 s: nothing found"
    assert Scanned(why="the scan is off").headline() == "nothing looked into: the scan is off"


def test_the_details_of_a_scan_are_its_notes_and_what_its_samples_prove() -> None:
    counted = Counted("users", 50_000, values={"notes": 50_000}, hits={("notes", "email"): 1, ("notes", "phone"): 50_000})
    found = tuple(judge(plans()["users"], counted, []))
    assert Scanned((counted,), found).details() == [found[1], proof([counted])]


@pytest.mark.parametrize(
    ("before", "published", "new"),
    [
        (None, {}, ["id", "phone", "notes"]),  # a first run
        (None, {"users": ["id", "phone", "notes"]}, ["id", "phone", "notes"]),  # a stranger's schema
        (Record(copied={"users": ["name"]}), {"users": ["id", "name", "phone", "notes"]}, []),
        (Record(copied={"users": ["name", "notes"]}), {"users": ["id", "name", "phone", "notes"]}, ["notes"]),
        (Record(copied={"users": ["name"]}), {"users": ["id", "name", "phone"]}, ["notes"]),  # a new column
        (Record(copied={"rdvs": []}), {"rdvs": ["id"]}, ["id", "phone", "notes"]),  # a new table
        (Record(truncated={"users": []}), {"users": ["id", "name", "phone", "notes"]}, ["id", "phone", "notes"]),
        (
            Record(copied={"users": ["name"]}, unscanned={"users": ["phone"]}),
            {"users": ["id", "name", "phone", "notes"]},
            ["phone"],
        ),
        (Record(copied={"users": []}, adopted=True), {"users": ["id", "phone", "notes"]}, ["id", "phone", "notes"]),
    ],
)
def test_a_column_is_newly_clear_if_the_last_run_hid_it_or_did_not_publish_it(
    before: Record | None, published: dict[str, list[str]], new: list[str]
) -> None:
    found = newly_clear(before, list(plans().values()), published)
    assert {name: list(columns) for name, columns in found.items()} == ({"users": new} if new else {})


def test_every_detector_has_its_words_and_a_code_of_its_own() -> None:
    assert KINDS.keys() == {OWN_DATA, *(detector.name for detector in DETECTORS)}
    codes = [kind.code for kind in KINDS.values()]
    assert len(set(codes)) == len(codes)
    assert all(code.startswith("scan-") for code in codes)
