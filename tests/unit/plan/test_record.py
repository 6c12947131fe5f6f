"""What a run records of its masks, and what the next one says of it."""

import pytest

from multischema.plan import record
from multischema.plan.plan import Plan, make_plan
from multischema.plan.record import Record
from multischema.rules.file import TableRules
from tests.support.origins import all_rules, catalog, column, masking, table, truncating

ORIGIN = catalog(
    table("users", column("id", "integer"), column("email"), column("city"), key=["id"]),
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
        "published as they are, though the last run masked them: users.city, users.email"
    ]
    assert record.warnings(before, plan(masking("users", "email"), truncating('été "'))) == [
        "published as they are, though the last run masked them: users.city",
        'truncated, though the last run copied them: été "',
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
        "published as they are, though the last run masked them: users.city"
    ]
