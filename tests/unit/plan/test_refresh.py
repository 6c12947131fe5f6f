"""When a run may bring only what changed, and of which tables: decided from what the last run recorded."""

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from multischema.catalog.objects import PublishedTable
from multischema.catalog.position import RESTARTED
from multischema.catalog.tables import Catalog, Fingerprint
from multischema.job import Job
from multischema.plan import refresh, state
from multischema.plan.plan import Plan, make_plan
from multischema.plan.refresh import Change, Choice, Counted, Part
from multischema.plan.state import Signatures, State
from multischema.rules.gaps import compare
from multischema.rules.masks import KAnonymity, MaskRule, OnlyWhen
from multischema.statements import signatures
from tests.support.origins import all_rules, catalog, column, foreign_key, index, masking, table, truncating
from tests.unit.catalog.test_position import BEFORE

NOW = datetime(2026, 1, 8, tzinfo=UTC)
JOB = Job("shop", "shop", "public", "metabase", 2, 5, "0123abcd")
ID = column("id", "integer", not_null=True)
ORIGIN = catalog(
    table(
        "users", column("id", "integer", not_null=True), column("name"), column("city"), key=["id"], oid=1, bytes=6_000_000
    ),
    table("visits", column("id", "integer", not_null=True), column("at", "date"), key=["id"], oid=2, bytes=3_000_000),
    table("words", column("word"), oid=3, bytes=1_000_000),
    table("versions", ID, key=["id"], oid=4),
)
RULES = all_rules(masking("users", "name"), masking("visits"), masking("words"), truncating("versions"))
TOUCHED = "somebody changed the published table users"


def planned(origin: Catalog = ORIGIN) -> Plan:
    """Return the plan of an origin."""
    return make_plan(origin, RULES, compare(RULES, origin).warnings, frozenset())


def signed(plan: Plan) -> Signatures:
    """Return what stands for the statements of a run on a target of version 18."""
    return signatures.of_run(JOB, plan, 18, {"TimeZone": "UTC"})


def published(plan: Plan) -> list[PublishedTable]:
    """Return the published tables of a plan, as a target would have them."""
    names = {t.name: tuple(sorted(i.name for i in plan.keys.indexes if i.table == t.name)) for t in plan.tables}
    return [PublishedTable(t.name, 100 + t.oid, "shape", names[t.name], ()) for t in plan.tables]


def recorded(plan: Plan | None = None) -> State:
    """Return what a run of the plan would record."""
    plan = plan or planned()
    tables = state.of_tables(
        plan, signed(plan), plan.catalog.fingerprints, dict.fromkeys(("users", "visits", "words"), 100), published(plan)
    )
    return State(signed(plan).job, BEFORE, NOW - timedelta(days=1), "asked for", tables)


def doubt(known: State, plan: Plan | None = None, **changes: Any) -> str | None:
    """Return why the plan is a full run after what is known."""
    plan = plan or planned()
    given = {"published": published(plan), "now": NOW, "full_every": 7, "pseudonym_key": "", **changes}
    return refresh.doubts(known, signed(plan), plan, **given)


def counts(**found: tuple[int, int, int]) -> dict[str, Counted]:
    """Return the counts of all copied tables: rows, rows in the window, published rows; unchanged ones have 100."""
    return {
        name: Counted(rows, window, None, None, there)
        for name, (rows, window, there) in {**dict.fromkeys(("users", "visits", "words"), (100, 0, 100)), **found}.items()
    }


def chosen(counted: Mapping[str, Counted], reasons: Mapping[str, str] | None = None) -> Choice:
    """Return what the run after the recorded one does."""
    return refresh.choose(planned(), recorded(), counted, reasons or {})


def test_the_same_plan_over_the_same_published_tables_is_no_doubt() -> None:
    assert doubt(recorded()) is None


def test_a_record_survives_being_written_down_and_nothing_else_is_one() -> None:
    known = replace(recorded(), pseudonym_key="one")
    assert state.read(known.written()) == known
    older = json.loads(known.written())
    del older["pseudonym_key"]
    for its in older["tables"].values():
        del its["k_anonymity"]
    assert state.read(json.dumps(older)) == recorded()
    for other in (None, "", "{}", "[]", "null", '{"job": 1}', known.written().replace('"oid"', '"old"')):
        assert state.read(other) is None


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"now": NOW + timedelta(days=6)}, "the last full run was 7 days ago"),
        ({"full_every": 1}, "the last full run was 1 day ago"),
        ({"published": published(planned())[1:]}, "somebody changed the published table users"),
        ({"published": [replace(row, oid=7) for row in published(planned())]}, "somebody changed the published table users"),
        (
            {"published": [replace(row, shape="x") for row in published(planned())]},
            "somebody changed the published table users",
        ),
        (
            {"published": [replace(row, parts=()) for row in published(planned())]},
            "somebody changed the published table users",
        ),
    ],
)
def test_what_is_published_and_when_may_make_a_run_full(changed: dict[str, Any], reason: str) -> None:
    assert doubt(recorded(), **changed) == reason


def test_an_index_that_somebody_added_to_a_published_table_is_no_doubt() -> None:
    assert doubt(recorded(), published=[replace(r, parts=(*r.parts, "theirs")) for r in published(planned())]) is None


def test_another_job_or_another_plan_makes_a_run_full() -> None:
    assert "parameters" in str(doubt(replace(recorded(), job="other")))
    gone = catalog(*ORIGIN.tables[:2], ORIGIN.tables[3])
    assert doubt(recorded(planned(gone))) == "tables came or went: words"
    users = ORIGIN.tables[0]
    renamed = replace(users, columns=tuple(replace(c, name="town") if c.name == "city" else c for c in users.columns))
    for changed in (renamed, replace(users, comment="people"), replace(users, indexes=())):
        other = catalog(changed, *ORIGIN.tables[1:])
        assert (
            doubt(recorded(), planned(other), published=published(planned()))
            == "columns, keys, indexes or comments of users changed"
        )


def test_another_pseudonym_key_makes_a_run_full_where_both_runs_have_pseudonyms() -> None:
    known = replace(recorded(), pseudonym_key="one")
    assert doubt(known, pseudonym_key="one") is None
    assert doubt(known, pseudonym_key="other") == "the pseudonym key changed since the last run"
    # the rules have no pseudonym any more, or had none: what their columns show now is decided by their masks
    assert doubt(known, pseudonym_key="") is None
    assert doubt(recorded(), pseudonym_key="one") is None


def test_another_rule_of_k_anonymity_makes_a_run_full() -> None:
    def held(rule: KAnonymity | None) -> Plan:
        users = replace(RULES.tables["users"], k_anonymity=rule)
        rules = all_rules(users, *(RULES.tables[name] for name in ("visits", "words", "versions")))
        return make_plan(ORIGIN, rules, (), frozenset())

    five = held(KAnonymity(("city",)))
    assert doubt(recorded(five), five) is None
    for was, now in ((None, KAnonymity(("city",))), (KAnonymity(("city",)), KAnonymity(("city",), k=10))):
        assert doubt(recorded(held(was)), held(now)) == "k_anonymity of users changed"


def test_a_mask_for_some_rows_shows_names_of_the_catalog_in_the_others() -> None:
    things = table("things", ID, column("what", "regclass"), column("status"), key=["id"])
    masked = {"what": MaskRule(None, OnlyWhen("status", ("closed",)))}
    reasons = []
    for rules in (masking("things", "what"), replace(masking("things", "what"), masks=masked)):
        plan = make_plan(catalog(things), all_rules(rules), (), frozenset())
        known = State(
            signed(plan).job,
            BEFORE,
            NOW,
            "",
            state.of_tables(plan, signed(plan), plan.catalog.fingerprints, {}, published(plan)),
        )
        reasons.append(refresh.whole(plan, known, signed(plan), plan.catalog.fingerprints))
    assert reasons == [{}, {"things": "column what shows names of the origin's catalog"}]


def test_a_role_that_may_not_read_xmin_makes_a_run_full() -> None:
    hidden = catalog(
        replace(ORIGIN.tables[0], shows_xmin=False), *ORIGIN.tables[1:3], replace(ORIGIN.tables[3], shows_xmin=False)
    )
    assert doubt(recorded(), planned(hidden)) == (
        "the origin's role may not read xmin of users: grant it with `python -m flows.rules rights`"
    )


def test_what_can_not_be_compared_row_by_row_is_copied_whole() -> None:
    plan, known = planned(), recorded()
    same = plan.catalog.fingerprints
    assert refresh.whole(plan, known, signed(plan), same) == {}
    for changed, reason in (
        (Fingerprint(1, "altered", ""), "it was altered in the origin"),
        (Fingerprint(1, "", "", "types"), "it was altered in the origin"),
        (Fingerprint(9, "", ""), "it was altered in the origin"),
        (Fingerprint(1, "", "files"), "it was truncated or rewritten in the origin"),
    ):
        assert refresh.whole(plan, known, signed(plan), {**same, 1: changed}) == {"users": reason}
    other = replace(signed(plan), read={**signed(plan).read, "users": "other"})
    assert refresh.whole(plan, known, other, same) == {"users": "its masks changed"}
    elsewhere = planned(catalog(replace(ORIGIN.tables[0], is_heap=False), *ORIGIN.tables[1:]))
    assert refresh.whole(elsewhere, known, signed(elsewhere), same) == {"users": "the origin does not keep it as a heap"}


def test_nothing_changed_where_no_row_is_in_the_window_and_the_counts_are_equal() -> None:
    choice = chosen(counts())
    assert choice.changes == ()
    assert choice.line() == "nothing changed in 300 rows of 4 tables"
    still = Choice(rows={"users": 3}, tables=1, written=False)
    assert still.line() == "nothing changed in 3 rows of 1 table: the origin's server wrote nothing"


def test_rows_in_the_window_or_other_counts_are_changes() -> None:
    choice = chosen(counts(users=(100, 3, 100), visits=(99, 0, 100)))
    assert [(c.table.name, c.key, c.incoming, c.whole) for c in choice.changes] == [
        ("users", ("id",), 3, ""),
        ("visits", ("id",), 0, ""),
    ]
    assert choice.line() == "refresh: 3 of 299 rows in 2 of 4 tables"


def test_a_table_without_a_key_that_changed_is_copied_whole_while_it_is_small() -> None:
    (change,) = chosen(counts(words=(101, 1, 100))).changes
    assert (change.incoming, change.whole) == (101, "it has no key whose columns are published as they are")


def test_much_to_copy_makes_a_run_full() -> None:
    assert chosen(counts(users=(100, 40, 100))).full == "24 % of the bytes may have changed since the last run"
    assert chosen(counts(users=(100, 20, 100))).full == ""
    whole = chosen(counts(), {"visits": "its masks changed"})
    assert whole.full == "visits is copied whole: its masks changed"
    assert chosen(counts(), {"words": "its masks changed"}).full == ""


def test_masks_that_are_numbered_by_row_are_computed_for_all_rows() -> None:
    unkeyed = table(
        "words", column("word"), column("code", not_null=True), oid=3, indexes=[index("words", "u", "code", unique=True)]
    )
    origin = catalog(*ORIGIN.tables[:2], unkeyed, ORIGIN.tables[3])
    rules = all_rules(masking("users", "name"), masking("visits"), masking("words", "word"), truncating("versions"))
    plan = make_plan(origin, rules, (), frozenset())
    choice = refresh.choose(plan, recorded(plan), counts(words=(100, 1, 100)), {})
    assert [(change.key, change.whole) for change in choice.changes] == [(("code",), "its masks are numbered by row")]


def test_the_key_of_a_table_is_published_as_it_is_and_has_no_null() -> None:
    columns = (column("id", "integer"), column("code", not_null=True), column("other"), column("name", not_null=True))
    found = (
        index("t", "nullable", "other", unique=True),
        index("t", "partial", "code", unique=True, definition="USING btree (code) WHERE (other IS NULL)"),
        index("t", "expression", None, unique=True),
        index("t", "masked", "name", unique=True),
        index("t", "plain", "code"),
        index("t", "pair", "code", "name", unique=True),
        index("t", "good", "code", unique=True),
    )
    origin = catalog(table("t", *columns, indexes=found))
    plan = make_plan(origin, all_rules(masking("t", "name")), (), frozenset())
    (planned_table,) = plan.tables
    names = {i.name for i in found}
    assert state.key(plan, planned_table, names) == ("code",)
    assert state.key(plan, planned_table, names - {"good"}) == ()


def test_large_tables_are_counted_in_parts_where_the_server_can_read_a_range() -> None:
    sizes = {"users": 2 * refresh.PAGES + 1, "visits": 0, "words": refresh.PAGES}
    parts = refresh.parts(planned(), sizes, 14)
    assert [(p.table.name, p.start, p.end) for p in parts] == [
        ("users", 0, refresh.PAGES),
        ("users", refresh.PAGES, 2 * refresh.PAGES),
        ("users", 2 * refresh.PAGES, None),
        ("visits", 0, None),
        ("words", 0, None),
    ]
    assert len(refresh.parts(planned(), sizes, 13)) == 3
    assert refresh.together([(5, 1, "(0,1)", "(0,1)"), (6, 0, None, None), (7, 2, "(9,1)", "(10,2)")]) == (
        18,
        3,
        "(0,1)",
        "(10,2)",
    )
    assert refresh.together([(5, 0, None, None)]) == (5, 0, None, None)
    assert isinstance(parts[0], Part)


def test_a_table_that_refers_to_another_without_an_index_is_named() -> None:
    tables = (
        table("users", ID, key=["id"]),
        table("a", column("user_id", "integer"), foreign_keys=[foreign_key("a", "user_id", "users")]),
        table(
            "b",
            column("user_id", "integer"),
            foreign_keys=[foreign_key("b", "user_id", "users")],
            indexes=[index("b", "by_user", "user_id")],
        ),
    )
    plan = make_plan(catalog(*tables), all_rules(*map(masking, ("users", "a", "b"))), (), frozenset())
    assert [t.name for t in refresh.unindexed(plan, {"b": ["by_user"]}, "users")] == ["a"]
    assert [t.name for t in refresh.unindexed(plan, {}, "users")] == ["a", "b"]


def test_full_runs_one_after_another_because_another_server_answers_are_warned_of() -> None:
    assert refresh.changing_servers(recorded(), RESTARTED) == []
    assert refresh.changing_servers(replace(recorded(), why="asked for"), "asked for") == []
    (warning,) = refresh.changing_servers(replace(recorded(), why=RESTARTED), RESTARTED)
    assert warning.startswith("this run and the last one were full because another server answered")


def test_a_change_that_is_whole_brings_all_rows() -> None:
    users = planned().tables[0]
    assert Change(users, ("id",), Counted(100, 3, None, None, 90), "its masks changed").incoming == 100
