"""What texts of another server must look like before they stand in a statement."""

import pytest

from multischema.catalog import foreign
from multischema.errors import DatabaseError


@pytest.mark.parametrize(
    "definition",
    [
        "USING btree (id)",
        'USING btree (lower(email::text) varchar_pattern_ops DESC NULLS LAST, "Odd ""name") INCLUDE (city)',
        'USING btree (city COLLATE "C", a COLLATE pg_catalog."default") NULLS NOT DISTINCT WHERE age > \'-1\'::integer',
        "USING gin (data jsonb_path_ops) WITH (fastupdate='true')",
        "USING gist (period, room WITH =) WHERE NOT cancelled",
        "USING btree ((data ->> 'a; -- /* b'::text), ((home).street), (tags[1:2]), (a || E'\\\\'::text || ''''::text))",
        "USING btree (id) WHERE users.* IS NOT NULL AND b = B'101'::\"bit\" AND r = 1.5",
        "USING btree (date(ts AT TIME ZONE 'UTC'::text)) WHERE status = ANY (ARRAY['a'::status, 'b'::status])",
    ],
)
def test_a_definition_as_postgres_writes_it_passes(definition: str) -> None:
    assert foreign.refused_index(definition) is None


@pytest.mark.parametrize(
    "text",
    [
        "1; SELECT 2",
        "f(1)) STORED, more int DEFAULT (1",
        "(1",
        "1) + (1",
        "1 /* */",
        "$$'$$",
        "$1",
        "'a",
        '"a',
        "1 \\g",
    ],
)
def test_what_postgres_does_not_write_is_refused(text: str) -> None:
    assert foreign.refused_expression(text) == "is none that Postgres writes"


@pytest.mark.parametrize(
    ("text", "sent"),
    [
        ("'a' 'b'", "'a' 'b'"),
        ("1 -- more", "1"),
        ("E'a'\n'\\'", "'a'  E'\\\\'"),
        ("U&'\\0041'", "u &  E'\\\\0041'"),
        ('U&"a"', 'u & "a"'),
        ("n'a'", "n 'a'"),
        ("a\u00a0+ 1", "a + 1"),
        ("PG_CATALOG.f(a)", "pg_catalog . f ( a )"),
        ("lower(b) || 'c'::text", "lower ( b ) || 'c' :: text"),
    ],
)
def test_what_is_sent_is_spelled_by_us(text: str, sent: str) -> None:
    assert foreign.refused_expression(text) is None
    assert foreign.expression(text).as_string() == sent


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("public.f(a)", "public.f"),
        ('"Odd".f(a)', "Odd.f"),
        ("a OPERATOR(public.+) b", "public.+"),
        ("a::public.odd", "public.odd"),
        ("a::users.odd", "users.odd"),
        ("users.f(a)", "users.f"),
        ("public . f(a)", "public.f"),
        ("analytics.pg_catalog.f(a)", "analytics.pg_catalog"),
        ("(a).f + b.c", "b.c"),
    ],
)
def test_a_name_with_a_schema_is_named_and_refused(text: str, name: str) -> None:
    assert foreign.refused_expression(text) == f"names {name}, which Postgres does not bring"


@pytest.mark.parametrize(
    "spelling",
    [
        *("text", '"char"', "character varying(20)", "numeric(10,2)", "numeric(3,-2)", "bit varying(5)[]", "txid_snapshot"),
        *("interval day to second(3)", "timestamp(3) without time zone", "time with time zone[]", "int4range"),
    ],
)
def test_a_type_as_postgres_spells_it_passes(spelling: str) -> None:
    assert foreign.type_(spelling).as_string() == spelling


@pytest.mark.parametrize(
    "spelling", ["", "text; SELECT 1", "public.odd", '"public"."odd"', "text)", "text, b text", "text -- ", "text\n"]
)
def test_what_is_no_spelling_of_a_type_is_refused_by_name(spelling: str) -> None:
    with pytest.raises(DatabaseError, match="is said to be a type, and is no spelling of one"):
        foreign.type_(spelling)
