"""A mask for some rows: it asks the same of the origin's column and of the published one, and looks at each row once."""

import pytest
from psycopg import sql

from multischema.catalog.flat import flatten
from multischema.masks.mask import Refined
from multischema.masks.only_when import condition
from multischema.masks.values import Values
from multischema.plan.tables import ColumnPlan, plan_table
from multischema.rules.file import TableRules
from multischema.rules.masks import MaskRule, OnlyWhen
from tests.support.origins import TYPES, catalog, column, oid, table

ONLY_WHEN = OnlyWhen("status", ("closed", "it's"))
HOLDS = """("status" IS NULL OR concat("status") COLLATE "C" IN ('closed', 'it''s'))"""


def planned(
    name: str, spelling: str, mask: Refined | None = None, *, raw: bool = False, not_null: bool = False
) -> ColumnPlan:
    """Return the plan of a column that is masked where an enum says so."""
    masked = column(name, spelling, not_null=not_null)
    users = table("users", column("id", "integer", not_null=True), masked, column("status", "status"), key=["id"])
    rules = TableRules("users", False, frozenset({name}), frozenset({"status"}), masks={name: MaskRule(mask, ONLY_WHEN)})
    (found,) = plan_table(users, rules, catalog(users), frozenset(), raw=raw).masked
    return found


@pytest.mark.parametrize(
    ("spelling", "text"),
    [
        ("status", 'concat("other")'),
        ("citext", 'concat("other")'),
        ("boolean", 'concat("other")'),
        ("positive", 'concat("other")'),
        ("text", '"other"::text'),
        ("character(5)", '"other"::text'),  # without the blanks at its end
        ("postcode", '"other"::text'),
    ],
)
def test_the_condition_compares_the_text_of_a_value_by_its_bytes_and_holds_for_null(spelling: str, text: str) -> None:
    found = condition(sql.Identifier("other"), flatten(oid(spelling), spelling, TYPES), ["a", "b"])
    assert found.as_string() == f"""("other" IS NULL OR {text} COLLATE "C" IN ('a', 'b'))"""


@pytest.mark.parametrize(
    ("name", "spelling", "mask", "expression", "violation"),
    [
        (
            *("name", "character varying(10)", None),
            """CASE WHEN "name"::text <> '' THEN ('[valeur unique anonymisée ' || concat("id") || ']')::character varying """
            'END ELSE ("name")::character varying',
            """"name" IS NOT NULL AND "name" <> '[valeur unique anonymisée ' || concat("id") || ']'""",
        ),
        (
            *("fund", "status", Values(("CAF",))),
            """CASE WHEN "fund" IS NOT NULL THEN CASE WHEN concat("fund") COLLATE "C" IN ('CAF') THEN concat("fund") """
            """ELSE '[autre]' END END ELSE (CASE WHEN "fund" IS NOT NULL THEN concat("fund") END)::text""",
            """"fund" IS NOT NULL AND ("fund" COLLATE "C" IN ('CAF', '[autre]')) IS NOT TRUE""",
        ),
        ("data", "address", None, 'NULL::jsonb ELSE (to_jsonb("data"))::jsonb', '"data" IS NOT NULL'),
    ],
)
def test_a_row_is_masked_where_the_condition_holds_and_as_it_is_elsewhere(
    name: str, spelling: str, mask: Refined | None, expression: str, violation: str
) -> None:
    found = planned(name, spelling, mask)
    assert found.violation
    assert found.expression.as_string() == f"CASE WHEN {HOLDS} THEN {expression} END"
    assert found.violation.as_string() == f"{HOLDS} AND ({violation})"


def test_a_column_of_which_some_rows_stay_is_read_and_searched_and_looked_at_like_a_clear_one() -> None:
    found = planned("name", "text", not_null=True)
    assert found.mask
    assert found.is_read
    assert found.shows_values
    assert found.not_null
    assert (found.mask.is_searchable, found.mask.needs_type, found.mask.is_keyed) == (True, True, True)
    assert not found.mask.is_unique(key_is_unique=True)  # a clear value may be a masked one's text
    assert not found.mask.joins(found.mask)
    assert found.mask.writes_documents("xml")
    assert planned("score", "integer", not_null=True).mask.constant == "0"  # type: ignore[union-attr]


def test_a_raw_table_holds_the_value_that_stays() -> None:
    assert planned("kind", "status", raw=True).expression.as_string().endswith('ELSE ("kind")::text END')
    assert (
        planned("kind", "status")
        .expression.as_string()
        .endswith("""ELSE (CASE WHEN "kind" IS NOT NULL THEN concat("kind") END)::text END""")
    )
