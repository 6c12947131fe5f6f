"""The published type of each type of an origin, and the literal defaults of its columns."""

import pytest
from psycopg import sql

from multischema.catalog.flat import convert, flatten, literal_default
from tests.support.origins import TYPES, oid


@pytest.mark.parametrize(
    ("spelling", "published", "family", "neutral"),
    [
        ("text", "text", "text", ""),
        ("character varying(10)", "character varying(10)", "text", ""),
        ("character(3)", "character(3)", "text", ""),
        ('"char"', '"char"', "text", ""),
        ("name", "name", "text", ""),
        ("text[]", "text[]", "text array", "{}"),
        ("character varying(10)[]", "character varying(10)[]", "text array", "{}"),
        ("jsonb", "jsonb", "jsonb", "{}"),
        ("jsonb[]", "jsonb[]", "other", "{}"),
        ("json", "json", "other", "{}"),
        ("integer", "integer", "other", "0"),
        ("integer[]", "integer[]", "other", "{}"),
        ("numeric(10,2)", "numeric(10,2)", "other", "0"),
        ("boolean", "boolean", "other", "false"),
        ("date", "date", "other", "1970-01-01"),
        ("uuid", "uuid", "other", "00000000-0000-0000-0000-000000000000"),
        ("bit(3)", "bit(3)", "other", "000"),
        ("bit", "bit", "other", "0"),
        ("tsvector", "tsvector", "other", ""),
        ("int4range", "int4range", "other", "empty"),
    ],
)
def test_a_built_in_type_stays_and_its_values_are_copied_as_they_are(
    spelling: str, published: str, family: str, neutral: str
) -> None:
    flat = flatten(oid(spelling), spelling, TYPES)
    assert (flat.spelling, flat.family, flat.neutral, flat.conversion) == (published, family, neutral, "none")


@pytest.mark.parametrize(
    ("spelling", "published", "family", "neutral", "conversion"),
    [
        ("status", "text", "other", "new", "text"),
        ("status[]", "text[]", "other", "{}", "array"),
        ("address", "jsonb", "other", "{}", "jsonb"),
        ("address[]", "jsonb[]", "other", "{}", "jsonb array"),
        ("citext", "text", "text", "", "text"),
        ("citext[]", "text[]", "text array", "{}", "array"),
        ("public.citext", "text", "other", "new", "text"),
        ("hstore", "jsonb", "other", "{}", "hstore"),
        ("hstore[]", "jsonb[]", "other", "{}", "hstore array"),
        ("ltree", "text", "other", "", "text"),
        ("ltree[]", "text[]", "other", "{}", "array"),
        ("floatrange", "text", "other", "empty", "text"),
        ("floats", "text", "other", "{}", "text"),
        ("regclass", "text", "other", "", "text"),
        ("regclass[]", "text[]", "other", "{}", "array"),
        ("aclitem", "text", "other", "", "text"),
        ("positive", "integer", "other", "0", "base"),
        ("small", "integer", "other", "0", "base"),
        ("small[]", "integer[]", "other", "{}", "array"),
        ("postcode", "character varying(5)", "text", "", "base"),
        ("postcode[]", "character varying(5)[]", "text array", "{}", "array"),
        ("tags", "text[]", "text array", "{}", "base"),
        ("tags[]", "text[]", "other", "{}", "array"),
        ("home", "jsonb", "other", "{}", "jsonb"),
        ("home[]", "jsonb[]", "other", "{}", "jsonb array"),
    ],
)
def test_a_type_of_the_apps_own_becomes_one_that_any_tool_reads(
    spelling: str, published: str, family: str, neutral: str, conversion: str
) -> None:
    flat = flatten(oid(spelling), spelling, TYPES)
    assert (flat.spelling, flat.family, flat.neutral, flat.conversion) == (published, family, neutral, conversion)


@pytest.mark.parametrize("spelling", ["smallint", "integer", "bigint", "uuid", "positive", "small"])
def test_integers_and_uuids_may_stand_in_a_mask_and_so_may_domains_over_them(spelling: str) -> None:
    assert flatten(oid(spelling), spelling, TYPES).is_key


@pytest.mark.parametrize("spelling", ["text", "numeric", "date", "status", "postcode", "integer[]"])
def test_nothing_else_stands_in_a_mask(spelling: str) -> None:
    assert not flatten(oid(spelling), spelling, TYPES).is_key


@pytest.mark.parametrize(
    ("spelling", "unlimited"),
    [
        ("character varying(10)", "character varying"),
        ("character(3)", "text"),
        ('"char"', "text"),
        ("name", "text"),
        ("character varying(10)[]", "character varying[]"),
        ("character(3)[]", "text[]"),
        ("postcode", "character varying"),
        ("citext", "text"),
        ("numeric(10,2)", "numeric(10,2)"),
        ("bit(3)", "bit(3)"),
    ],
)
def test_a_mask_always_fits_into_the_type_without_limits(spelling: str, unlimited: str) -> None:
    assert flatten(oid(spelling), spelling, TYPES).unlimited == unlimited


@pytest.mark.parametrize(
    ("spelling", "expression"),
    [
        ("text", '"c"'),
        ("status", 'CASE WHEN "c" IS NOT NULL THEN concat("c") END'),
        ("status[]", 'CASE WHEN "c" IS NOT NULL THEN concat("c")::text[] END'),
        ("postcode", '"c"::character varying(5)'),
        ("address", 'to_jsonb("c")'),
    ],
)
def test_the_origin_converts_a_value(spelling: str, expression: str) -> None:
    flat = flatten(oid(spelling), spelling, TYPES)
    assert convert(flat, sql.Identifier("c")).as_string(None) == expression


@pytest.mark.parametrize(
    ("expression", "text"),
    [
        ("7", "7"),
        ("'-7'::integer", "-7"),
        ("(-7)", "-7"),
        ("7.50", "7.50"),
        ("true", "true"),
        ("'Lyon'::text", "Lyon"),
        ("'Lyon'::character varying(10)", "Lyon"),
        ("''::text", ""),
        ("'it''s'::text", "it's"),
        (r"'\x00ff'::bytea", r"\x00ff"),
        ("'2020-02-29'::date", "2020-02-29"),
        ("'2020-02-29 12:00:00'::timestamp(3) without time zone", "2020-02-29 12:00:00"),
        ("'12:00:00+01'::time with time zone", "12:00:00+01"),
        ("'1 day'::interval", "1 day"),
        ("B'101'::\"bit\"", "101"),
        ("'{}'::text[]", "{}"),
        ("'{1,2}'::integer[]", "{1,2}"),
        ("ARRAY[]::integer[]", "{}"),
        ("'{\"a\": 1}'::jsonb", '{"a": 1}'),
        ("'new'::status", "new"),
        ("'new'::public.status", "new"),
        ("'new'::\"Odd Status\"", "new"),
        ("'[7,8)'::int4range", "[7,8)"),
    ],
)
def test_a_literal_default_is_known_by_its_text(expression: str, text: str) -> None:
    assert literal_default(expression) == text


@pytest.mark.parametrize(
    "expression",
    [
        None,
        "now()",
        "CURRENT_DATE",
        "CURRENT_USER",
        "nextval('users_id_seq'::regclass)",
        "gen_random_uuid()",
        "('now'::text)::date",
        "('a'::text || 'b'::text)",
        "(1 + 1)",
        "NULL::character varying",
        "ARRAY[1, 2]",
        "ROW('a'::text, 'b'::text)",
        "lower('A'::text)",
    ],
)
def test_a_computed_default_is_no_literal(expression: str | None) -> None:
    assert literal_default(expression) is None
