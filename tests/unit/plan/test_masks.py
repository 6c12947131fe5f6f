"""What replaces a value, what may stand in a mask, and how verify knows a mask from anything else."""

from typing import Any

import pytest

from multischema.catalog.flat import flatten
from multischema.catalog.tables import Column
from multischema.masks.whole import Whole, choose_whole
from multischema.plan.tables import plan_table, row_key, too_wide
from multischema.rules.file import TableRules
from multischema.statements.reading import select
from tests.support.origins import TYPES, catalog, column, masking, planned, table, truncating

NEVER = {"not_null": True}


@pytest.mark.parametrize(
    ("name", "spelling", "values", "mask"),
    [
        ("name", "text", {}, Whole("text")),
        ("name", "character varying(10)", {"default": "'Lyon'::character varying"}, Whole("text")),
        ("name", "citext", NEVER, Whole("text")),
        ("email", "text", {}, Whole("email")),
        ("work_EMAIL_2", "citext", NEVER, Whole("email")),
        ("emails", "text[]", {}, Whole("constant", "{valeur anonymisée}")),
        ("tags", "character varying(9)[]", {"default": "'{Lyon}'::text[]"}, Whole("constant", "{valeur anonymisée}")),
        ("email", "jsonb", {"default": "'[]'::jsonb"}, Whole("constant", "{}")),
        ("email", "integer", {}, Whole("null")),
        ("level", "integer", {"default": "7"}, Whole("constant", "7")),
        ("level", "integer", {"default": "7", **NEVER}, Whole("constant", "7")),
        ("level", "integer", {"default": "nextval('levels'::regclass)"}, Whole("null")),
        ("level", "integer", {"default": "nextval('levels'::regclass)", **NEVER}, Whole("constant", "0")),
        ("born_on", "date", NEVER, Whole("constant", "1970-01-01")),
        ("created_at", "timestamp with time zone", {"default": "now()"}, Whole("null")),
        ("status", "status", NEVER, Whole("constant", "new")),
        ("status", "status", {"default": "'closed'::status"}, Whole("constant", "closed")),
        ("home", "address", {"default": "'(a,b)'::address"}, Whole("null")),
        ("home", "address", NEVER, Whole("constant", "{}")),
        ("numbers", "integer[]", NEVER, Whole("constant", "{}")),
    ],
)
def test_the_mask_follows_the_published_type_the_name_and_the_default(
    name: str, spelling: str, values: dict[str, Any], mask: Whole
) -> None:
    masked = column(name, spelling, **values)
    assert choose_whole(masked, flatten(masked.type_oid, spelling, TYPES)) == mask


@pytest.mark.parametrize(
    ("masked", "expression", "violation"),
    [
        (
            column("name"),
            """CASE WHEN "name"::text <> '' THEN ('[valeur unique anonymisée ' || concat("id") || ']')::text END""",
            """"name" IS NOT NULL AND "name" <> '[valeur unique anonymisée ' || concat("id") || ']'""",
        ),
        (
            column("name", "character varying(10)", not_null=True),
            """('[valeur unique anonymisée ' || concat("id") || ']')::character varying""",
            """"name" IS NOT NULL AND "name" <> '[valeur unique anonymisée ' || concat("id") || ']'""",
        ),
        (
            column("email", not_null=True),
            """('email_anonymise_' || concat("id") || '@exemple.fr')::text""",
            """"email" IS NOT NULL AND "email" <> 'email_anonymise_' || concat("id") || '@exemple.fr'""",
        ),
        (
            column("tags", "text[]"),
            """CASE WHEN cardinality("tags") > 0 THEN ('{valeur anonymisée}')::text[] END""",
            """"tags" IS NOT NULL AND concat("tags") <> (SELECT concat('{valeur anonymisée}'::text[]))""",
        ),
        (
            column("data", "jsonb"),
            """CASE WHEN "data" IS NOT NULL THEN ('{}')::jsonb END""",
            """"data" IS NOT NULL AND concat("data") <> (SELECT concat('{}'::jsonb))""",
        ),
        (column("born_on", "date"), "NULL::date", '"born_on" IS NOT NULL'),
        (
            column("born_on", "date", not_null=True),
            "('1970-01-01')::date",
            """"born_on" IS NOT NULL AND concat("born_on") <> (SELECT concat('1970-01-01'::date))""",
        ),
        (
            column("it's", "status", default="'it''s'::status"),
            """CASE WHEN "it's" IS NOT NULL THEN ('it''s')::text END""",
            """"it's" IS NOT NULL AND concat("it's") <> (SELECT concat('it''s'::text))""",
        ),
    ],
)
def test_the_origin_computes_the_mask_and_verify_asks_for_nothing_else(
    masked: Column, expression: str, violation: str
) -> None:
    plan = planned(table("users", column("id", "integer", not_null=True), masked, key=["id"]), masked.name)
    (found,) = plan.masked
    assert found.expression.as_string(None) == expression
    assert found.violation
    assert found.violation.as_string(None) == violation


def test_without_a_key_masks_are_numbered_and_verify_asks_for_the_number() -> None:
    (name,) = planned(table("users", column("name")), "name").columns
    assert "concat(row_number() OVER ())" in name.expression.as_string(None)
    assert name.violation
    assert name.violation.as_string(None) == r""" "name" !~  E'^\\[valeur unique anonymisée [0-9]+\\]$'""".lstrip()


ID, NUMBER, LOCALE = column("id", "integer"), column("number", "uuid"), column("locale")


@pytest.mark.parametrize(
    ("columns", "primary_key", "anonymized", "expected"),
    [
        ([ID, NUMBER], ["id"], [], ("id",)),
        ([ID, NUMBER], ["number"], [], ("id",)),
        ([ID, NUMBER], [], [], ("id",)),
        ([ID, NUMBER], ["number"], ["id"], ("number",)),
        ([ID, NUMBER], ["id"], ["id"], ()),
        ([ID, NUMBER], ["number", "id"], ["id"], ()),
        ([NUMBER, column("rdv_id", "bigint")], ["rdv_id", "number"], [], ("rdv_id", "number")),
        ([NUMBER, LOCALE], ["number", "locale"], [], ()),
        ([column("id", "text"), NUMBER], ["number"], [], ("number",)),
        ([column("id", "text")], ["id"], [], ()),
        ([column("ID", "integer")], [], [], ()),
        ([NUMBER], [], [], ()),
        ([], [], [], ()),
    ],
)
def test_a_mask_holds_the_id_or_the_primary_key_but_never_text_nor_what_is_masked(
    columns: list[Column], primary_key: list[str], anonymized: list[str], expected: tuple[str, ...]
) -> None:
    keyed = table("users", *columns, key=primary_key)
    flats = {c.name: flatten(c.type_oid, c.type_text, TYPES) for c in columns}
    assert row_key(keyed, flats, frozenset(anonymized)) == expected


def test_the_parts_of_a_key_are_joined_in_its_order_and_a_part_that_may_be_null_is_empty() -> None:
    keyed = table("users", NUMBER, column("rdv_id", "bigint", not_null=True), LOCALE, key=["rdv_id", "number"])
    (locale,) = planned(keyed, "locale").masked
    assert """concat("rdv_id") || '-' || concat("number")""" in locale.expression.as_string(None)


def test_a_column_computed_from_a_masked_one_is_left_out_and_is_no_key_of_masks() -> None:
    cards = table(
        "cards",
        column("number"),
        column("id", "integer", generated_from=("number",)),
        column("city"),
        column("upper_city", generated_from=("city",)),
        key=["id"],
    )
    plan = planned(cards, "number")
    assert (plan.unpublished, plan.key, [c.name for c in plan.columns]) == (("id",), (), ["number", "city", "upper_city"])


def test_a_column_in_both_lists_is_masked() -> None:
    both = TableRules("users", False, frozenset(["name"]), frozenset(["name"]))
    users = table("users", column("name"))
    assert [c.name for c in plan_table(users, both, catalog(users), frozenset()).masked] == ["name"]


def test_what_is_not_masked_keeps_type_not_null_comment_and_collation_where_the_target_has_it() -> None:
    collated = {"collation_schema": "pg_catalog", "collation_name": "C"}
    users = table(
        "users",
        column("city", "character varying(10)", not_null=True, comment="ville", **collated),
        column("other", **{**collated, "collation_name": "fr-x-icu"}),
        column("own", **{**collated, "collation_schema": "public"}),
        column("status", "status", **collated),
    )
    city, other, own, status = planned(users, collations=["C"]).columns
    assert (city.type, city.not_null, city.comment, city.collation) == ("character varying(10)", True, "ville", "C")
    assert city.violation is None
    assert (other.collation, own.collation, status.collation) == (None, None, None)


@pytest.mark.parametrize(("kind", "only"), [("r", "ONLY "), ("p", "")])
def test_columns_are_selected_by_name_from_the_table_itself_or_from_all_its_partitions(kind: str, only: str) -> None:
    plan = planned(table("my table", column("id", "integer"), column("size", "small"), kind=kind))
    assert select(plan, "pub lic").as_string(None) == f'SELECT "id", "size"::integer FROM {only}"pub lic"."my table"'


def test_a_truncated_table_has_all_its_columns_and_no_mask() -> None:
    versions = table("versions", column("id", "integer"), column("email"))
    plan = plan_table(versions, truncating("versions"), catalog(versions), frozenset())
    assert (plan.truncated, plan.masked, len(plan.columns)) == (True, (), 2)


def test_six_hundred_masked_texts_are_too_wide_for_a_page_and_as_many_dates_are_not() -> None:
    names = [f"c{number}" for number in range(600)]
    assert too_wide(planned(table("t", *(column(name) for name in names)), *names))
    assert too_wide(planned(table("t", *(column(name, "text[]") for name in names)), *names))
    assert not too_wide(planned(table("t", *(column(name, "date") for name in names)), *names))
    assert not too_wide(planned(table("t", *(column(name) for name in names)), *names[:400]))


def test_rules_of_an_absent_table_mask_nothing() -> None:
    users = table("users", column("name"))
    assert plan_table(users, None, catalog(users), frozenset()).masked == ()
    assert plan_table(users, masking("users"), catalog(users), frozenset()).masked == ()
