"""What a run records of its masks, and what the next one says of it."""

from dataclasses import replace

import pytest

from multischema.masks.known import KINDS
from multischema.plan import record
from multischema.plan.plan import Plan, make_plan
from multischema.plan.record import Record
from multischema.rules.file import TableRules
from multischema.rules.masks import MaskRule, OnlyWhen
from tests.support.origins import all_rules, catalog, column, masking, table, truncating

ORIGIN = catalog(
    table("users", *map(column, ("id", "email", "city", "status", "state")), key=["id"]),
    table('été "', column("note")),
)


def plan(*rules: TableRules) -> Plan:
    """Return the plan of ORIGIN by these rules."""
    return make_plan(ORIGIN, all_rules(*rules), (), frozenset())


BEFORE = plan(masking("users", "email", "city"), masking('été "', "note"))


def test_the_record_holds_the_masked_columns_of_each_copied_table() -> None:
    found = record.read(record.written(BEFORE, "rdvs", None, ["metabase"]))
    assert found == Record(
        copied={"users": ["city", "email"], 'été "': ["note"]}, app="rdvs", domains=[], readers=["metabase"]
    )
    assert found.tables == {"users", 'été "'}


@pytest.mark.parametrize(
    "comment",
    [
        None,
        "",
        "ours",
        *(f"multi-schema-postgres-etl masked {found}" for found in ("{", "[]", '{"copied": null}', '{"app": ["x"]}')),
        'multi-schema-postgres-etl masked {"copied": {"users": null}}',
        'multi-schema-postgres-etl masked {"truncated": {"users": [1]}}',
        'multi-schema-postgres-etl masked {"readers": "metabase"}',
        *(f'multi-schema-postgres-etl masked {{"masks": {found}}}' for found in ("[]", '{"t": 1}', '{"t": {"c": "year"}}')),
    ],
)
def test_a_comment_of_somebody_else_records_nothing(comment: str | None) -> None:
    assert record.read(comment) is None


def test_records_of_older_and_of_newer_versions_are_ours() -> None:
    older = record.read('multi-schema-postgres-etl masked {"copied": {"users": ["email"]}, "truncated": {"versions": []}}')
    assert older == Record(copied={"users": ["email"]}, truncated={"versions": []}, app="")
    newer = record.read('multi-schema-postgres-etl masked {"copied": {}, "app": "rdvs", "state": 7}')
    assert newer == Record(app="rdvs")


def test_what_lost_its_mask_or_its_rows_is_named() -> None:
    before = record.read(record.written(BEFORE, "rdvs", None, ["metabase"]))
    assert record.warnings(before, BEFORE) == []
    assert record.warnings(None, BEFORE) == []
    assert record.warnings(before, plan(masking("users"), masking('été "', "note"))) == [
        "published as it is, though the last run masked it: users.city",
        "published as it is, though the last run masked it: users.email",
    ]
    assert record.warnings(before, plan(masking("users", "email"), truncating('été "'))) == [
        "published as it is, though the last run masked it: users.city",
        'truncated, though the last run copied it: été "',
    ]


def test_a_reader_of_the_last_run_that_is_none_any_more_is_dismissed() -> None:
    before = record.read(record.written(BEFORE, "rdvs", None, ["metabase", "team", "Équipe"]))
    assert record.dismissed(before, ("metabase", "team", "Équipe", "other")) == []
    assert record.dismissed(before, ("Équipe", "other")) == ["metabase", "team"]
    assert record.dismissed(None, ("metabase",)) == []
    older = record.read('multi-schema-postgres-etl masked {"copied": {}, "app": "rdvs"}')
    assert record.dismissed(older, ("metabase",)) == []


def test_a_mask_that_was_lost_while_the_table_was_truncated_is_named() -> None:
    before = record.read(record.written(BEFORE, "rdvs", None, ["metabase"]))
    truncated = plan(truncating("users"), masking('été "', "note"))
    meanwhile = record.read(record.written(truncated, "rdvs", before, []))
    assert record.warnings(meanwhile, truncated) == []
    once_more = record.read(record.written(truncated, "rdvs", meanwhile, []))
    assert record.warnings(once_more, plan(masking("users", "email"), masking('été "', "note"))) == [
        "published as it is, though the last run masked it: users.city"
    ]


# by kind of mask, pairs of what the rules say of it: the first shows less than the second
STRICTER: dict[str, list[tuple[object, object]]] = {
    "period": [("year", "quarter"), ("year", "day"), ("quarter", "month"), ("month", "day"), ("week", "day")],
    "department": [],
    "bands": [([0, 3], [0, 1, 3]), (10, 5)],
    "round": [(0, 1), (1, 3)],
    "network": [],
    "domain": [(None, ["cd62.fr"]), (["cd62.fr"], ["cd62.fr", "cd93.fr"])],
    "values": [(["CAF"], ["CAF", "MSA"])],
    "keys": [(["theme"], ["theme", "locale"])],
    "pseudonym": [],
}
# pairs of which each shows what the other does not
OTHERWISE: dict[str, list[tuple[object, object]]] = {
    "period": [("week", "month"), ("year", "week")],
    "department": [],
    "bands": [([0, 3], [0, 5]), (5, 3), (5, [0, 1, 3])],
    "round": [],
    "network": [],
    "domain": [(["cd62.fr"], ["cd93.fr"])],
    "values": [(["CAF"], ["MSA"])],
    "keys": [(["theme"], ["locale"])],
    "pseudonym": [("person_email", "person_phone")],
}
# a mask of each kind
MASKS: dict[str, object] = {
    "period": "year",
    "department": None,
    "bands": [0, 1, 3],
    "round": 1,
    "network": None,
    "domain": ["cd62.fr"],
    "values": ["CAF", "MSA"],
    "keys": ["theme", "locale"],
    "pseudonym": "person_email",
}
STATUS = OnlyWhen("status", ("closed",))
TRIED = [(kind, *pair) for kind, pairs in STRICTER.items() for pair in pairs]
CROSSED = [(kind, *pair) for kind, pairs in OTHERWISE.items() for pair in pairs]


def of(kind: str, value: object, only_when: OnlyWhen | None = None) -> MaskRule:
    """Return the rule of a mask."""
    return MaskRule(KINDS[kind].read(value), only_when)


def masked(rule: MaskRule | None) -> Plan:
    """Return a plan in which users.city is masked so, wholly without a rule."""
    users = replace(masking("users", "city"), masks={"city": rule} if rule else {})
    return plan(users, masking('été "', "note"))


def after(was: Plan) -> Record | None:
    """Return the record of a run."""
    return record.read(record.written(was, "rdvs", None, []))


def told(was: MaskRule | None, now: MaskRule | None) -> tuple[str, bool]:
    """Return what the run after another says of a column's mask, and whether a refresh would leave too much behind."""
    before = after(masked(was))
    lines = record.warnings(before, masked(now))
    assert len(lines) <= 1
    others = record.masked_otherwise(before, masked(now))
    assert others in ([], ["users.city"])
    return "".join(lines), bool(others)


def test_each_mask_is_tried() -> None:
    assert STRICTER.keys() == OTHERWISE.keys() == MASKS.keys() == KINDS.keys()


@pytest.mark.parametrize("kind", MASKS)
def test_the_record_holds_each_mask_and_gives_it_back(kind: str) -> None:
    for rule in (of(kind, MASKS[kind]), of(kind, MASKS[kind], STATUS), MaskRule(None, STATUS)):
        found = after(masked(rule))
        assert found
        assert found.masks == {"users": {"city": rule.written()}}
        assert found.mask("users", "city").rule == rule
        assert told(rule, rule) == ("", False)


@pytest.mark.parametrize("kind", MASKS)
def test_each_mask_is_weaker_than_a_whole_one(kind: str) -> None:
    rule = of(kind, MASKS[kind])
    assert told(None, rule) == (f"masked less than by the last run: users.city (wholly, now {rule.said()})", False)
    assert told(rule, None) == ("", True)


@pytest.mark.parametrize(("kind", "less", "more"), TRIED)
def test_a_mask_that_became_weaker_is_named_and_a_stricter_one_leaves_nothing_behind(
    kind: str, less: object, more: object
) -> None:
    strict, weak = of(kind, less), of(kind, more)
    weaker = f"masked less than by the last run: users.city ({strict.said()}, now {weak.said()})"
    assert told(strict, weak) == (weaker, False)
    assert told(weak, strict) == ("", True)


@pytest.mark.parametrize(("kind", "one", "other"), CROSSED)
def test_masks_that_show_different_things_are_named_and_leave_nothing_behind(kind: str, one: object, other: object) -> None:
    for was, now in ((of(kind, one), of(kind, other)), (of(kind, other), of(kind, one))):
        assert told(was, now) == (
            f"masked otherwise than by the last run: users.city ({was.said()}, now {now.said()})",
            True,
        )


def test_masks_of_different_kinds_show_different_things() -> None:
    rules = [of(kind, value) for kind, value in MASKS.items()]
    assert all(told(was, now)[0].startswith("masked otherwise") for was in rules for now in rules if was != now)
    assert all(told(was, now)[1] for was in rules for now in rules if was != now)


def test_a_mask_for_fewer_rows_is_weaker() -> None:
    year, closed = of("period", "year"), of("period", "year", STATUS)
    more = of("period", "year", OnlyWhen("status", ("closed", "open")))
    assert told(year, closed) == (
        "masked less than by the last run: users.city (period: year, now period: year; only when status is closed)",
        False,
    )
    assert told(closed, year) == ("", True)
    assert told(more, closed)[0].startswith("masked less than by the last run: users.city (period: year; only when status ")
    assert told(more, closed)[1] is False
    assert told(closed, more) == ("", True)
    wholly = MaskRule(None, STATUS)
    assert told(None, wholly)[0] == "masked less than by the last run: users.city (wholly, now only when status is closed)"
    assert told(wholly, None) == ("", True)
    assert told(wholly, closed)[0].startswith("masked less than by the last run")
    assert told(closed, wholly) == ("", True)
    elsewhere = MaskRule(None, OnlyWhen("state", ("closed",)))
    for was, now in ((wholly, elsewhere), (wholly, year), (year, wholly)):
        assert told(was, now)[0].startswith("masked otherwise")
        assert told(was, now)[1]


def test_many_columns_make_a_line_each_and_long_rules_no_long_one() -> None:
    names = [f"c{number}" for number in range(5)]
    origin = catalog(table("users", column("id", "integer"), *map(column, names), key=["id"]))
    values = OnlyWhen("id", tuple(map(str, range(100))))

    def planned(rule: MaskRule | None) -> Plan:
        users = replace(masking("users", *names), masks=dict.fromkeys(names, rule) if rule else {})
        return make_plan(origin, all_rules(users), (), frozenset())

    found = record.warnings(after(planned(None)), planned(MaskRule(None, values)))
    assert [(line.code, line.object) for line in found] == [("column-masked-less", f"users.{name}") for name in names]
    assert found[0].startswith("masked less than by the last run: users.c0 (wholly, now only when id is 0, 1, 2, ")
    assert found[0].endswith("…)")
    assert len(found[0]) < 200


def test_a_comment_of_rules_without_masks_is_what_it_always_was() -> None:
    assert record.written(BEFORE, "rdvs", None, ["metabase"]) == (
        'multi-schema-postgres-etl masked {"copied": {"users": ["city", "email"], "été \\"": ["note"]}, "truncated": {}, '
        '"app": "rdvs", "domains": [], "adopted": false, "readers": ["metabase"]}'
    )


def test_a_mask_of_a_newer_version_may_show_anything() -> None:
    newer = Record(copied={"users": ["city"], 'été "': ["note"]}, masks={"users": {"city": {"noise": 7}}})
    assert record.warnings(newer, masked(None)) == []
    assert record.masked_otherwise(newer, masked(None)) == ["users.city"]
    assert record.warnings(newer, masked(of("period", "year"))) == [
        "masked otherwise than by the last run: users.city (by a mask that this version does not know, now period: year)"
    ]
    assert record.masked_otherwise(newer, masked(of("period", "year"))) == ["users.city"]


def test_an_older_comment_has_whole_masks() -> None:
    older = record.read('multi-schema-postgres-etl masked {"copied": {"users": ["city"], "été \\"": ["note"]}}')
    assert record.masked_otherwise(older, masked(None)) == []
    assert record.warnings(older, masked(of("period", "year"))) == [
        "masked less than by the last run: users.city (wholly, now period: year)"
    ]


def test_a_mask_that_became_weaker_while_the_table_was_truncated_is_named() -> None:
    truncated = plan(truncating("users"), masking('été "', "note"))
    before = after(masked(of("period", "year")))
    meanwhile = record.read(record.written(truncated, "rdvs", before, []))
    assert meanwhile
    assert meanwhile.masks == {"users": {"city": {"period": "year"}}}
    once_more = record.read(record.written(truncated, "rdvs", meanwhile, []))
    assert record.warnings(once_more, masked(of("period", "month"))) == [
        "masked less than by the last run: users.city (period: year, now period: month)"
    ]


def test_a_column_without_its_mask_is_named_once_and_one_that_is_newly_masked_not_at_all() -> None:
    bare = plan(masking("users"), masking('été "', "note"))
    before = after(masked(of("period", "year")))
    assert record.warnings(before, bare) == ["published as it is, though the last run masked it: users.city"]
    assert record.masked_otherwise(before, bare) == []
    assert record.warnings(after(bare), masked(of("period", "year"))) == []
    assert record.masked_otherwise(after(bare), masked(of("period", "year"))) == []  # newly_masked has it
