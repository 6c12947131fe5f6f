"""What is published of a value is what the origin's own server writes of it, in either mode, whatever users define."""

import re
from collections.abc import Callable

import pytest
from psycopg import sql

from multischema.catalog.flat import convert, flatten
from multischema.errors import CheckError
from tests.conftest import PROGRAMS, Place
from tests.support.origins import TYPES, oid

pytestmark = pytest.mark.slow

# Each function tells something else than the type's own output function does.
CASTS = """
CREATE TYPE mood AS ENUM ('good', 'it''s, "bad"');
CREATE DOMAIN feeling AS mood;
CREATE TYPE moods AS RANGE (subtype = mood);
CREATE TYPE told AS (mood mood);
CREATE DOMAIN small AS integer;
CREATE FUNCTION lie(mood) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT 'LIE' $$;
CREATE FUNCTION lie(mood[]) RETURNS text[] LANGUAGE sql IMMUTABLE AS $$ SELECT '{LIE}'::text[] $$;
CREATE FUNCTION lie(moods) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT 'LIE' $$;
CREATE FUNCTION lie(moods[]) RETURNS text[] LANGUAGE sql IMMUTABLE AS $$ SELECT '{LIE}'::text[] $$;
CREATE FUNCTION lie(feeling[]) RETURNS text[] LANGUAGE sql IMMUTABLE AS $$ SELECT '{LIE}'::text[] $$;
CREATE FUNCTION lie(small[]) RETURNS integer[] LANGUAGE sql IMMUTABLE AS $$ SELECT '{666}'::integer[] $$;
CREATE FUNCTION lie(told) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT 'LIE' $$;
CREATE FUNCTION lie(told[]) RETURNS jsonb[] LANGUAGE sql IMMUTABLE AS $$ SELECT '{"\\"LIE\\""}'::jsonb[] $$;
CREATE FUNCTION jsonlie(told) RETURNS json LANGUAGE sql IMMUTABLE AS $$ SELECT json '"LIE"' $$;
CREATE FUNCTION jsonblie(told) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$ SELECT jsonb '"LIE"' $$;
CREATE FUNCTION jsonlie(told[]) RETURNS json LANGUAGE sql IMMUTABLE AS $$ SELECT json '"LIE"' $$;
CREATE FUNCTION jsonblie(mood) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$ SELECT jsonb '"LIE"' $$;
CREATE CAST (mood AS text) WITH FUNCTION lie(mood) AS IMPLICIT;
CREATE CAST (mood AS jsonb) WITH FUNCTION jsonblie(mood);
CREATE CAST (mood[] AS text[]) WITH FUNCTION lie(mood[]);
CREATE CAST (moods AS text) WITH FUNCTION lie(moods) AS ASSIGNMENT;
CREATE CAST (moods[] AS text[]) WITH FUNCTION lie(moods[]);
CREATE CAST (feeling[] AS text[]) WITH FUNCTION lie(feeling[]);
CREATE CAST (small[] AS integer[]) WITH FUNCTION lie(small[]);
CREATE CAST (told AS text) WITH FUNCTION lie(told);
CREATE CAST (told AS json) WITH FUNCTION jsonlie(told);
CREATE CAST (told AS jsonb) WITH FUNCTION jsonblie(told);
CREATE CAST (told[] AS jsonb[]) WITH FUNCTION lie(told[]);
CREATE CAST (told[] AS json) WITH FUNCTION jsonlie(told[]);
CREATE TABLE users (
    id serial PRIMARY KEY, name text, mood mood, moods mood[], feeling feeling, feelings feeling[], span moods,
    spans moods[], told told, tolds told[], small small[]
);
INSERT INTO users (name, mood, moods, feeling, feelings, span, spans, told, tolds, small)
SELECT 'Marie', m, ARRAY[m, NULL], m, ARRAY[m::feeling], moods(m, m, '[]'), ARRAY[moods(m, m, '[]')], ROW(m)::told,
       ARRAY[ROW(m)::told], ARRAY[7::small]
FROM unnest('{good,"it''s, \\"bad\\""}'::mood[]) AS m;
INSERT INTO users DEFAULT VALUES;
"""
COLUMNS = "mood, moods, feeling, feelings, span, spans, told, tolds, small"
CLEAR = "tables: [{table_name: users, anonymized_column_names: [name], non_anonymized_column_names: [%s]}]"
MODES = ["stream", "dump"]
BAD = 'it\'s, "bad"'


@pytest.fixture(autouse=True)
def clients(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have client programs that are as new as the servers."""
    monkeypatch.setenv("PATH", str(PROGRAMS["18"]), prepend=":")


@pytest.mark.parametrize("mode", MODES)
def test_no_cast_that_a_user_defined_is_followed(mode: str, place: Place) -> None:
    place.in_origin(CASTS)
    place.run(CLEAR % COLUMNS, mode=mode)
    quoted = '"it\'s, ""bad"""'
    assert place.read(f"SELECT name, {COLUMNS} FROM shop.users ORDER BY id") == [
        (
            "[valeur unique anonymisée 1]",
            *("good", ["good", None], "good", ["good"], "[good,good]", ["[good,good]"], {"mood": "good"}),
            *([{"mood": "good"}], [7]),
        ),
        (
            "[valeur unique anonymisée 2]",
            *(BAD, [BAD, None], BAD, [BAD], f"[{quoted},{quoted}]", [f"[{quoted},{quoted}]"], {"mood": BAD}),
            *([{"mood": BAD}], [7]),
        ),
        (None,) * 10,
    ]


# to_jsonb() follows a cast to json of any type in a composite one that Postgres does not bring
NESTED = {
    "told": "told",
    "told[]": "an array",
    "home": "a domain",
    "nested": "a type in a type",
    "listed": "an array in a type",
    "felt": "a domain in a type",
    "spanned": "a range in a type",
}


@pytest.mark.parametrize("type_", NESTED)
def test_a_cast_to_json_within_a_composite_type_is_refused_by_name_and_mode_dump_publishes_the_label(
    type_: str, place: Place
) -> None:
    place.in_origin(
        f"""
        CREATE TYPE mood AS ENUM ('good');
        CREATE TYPE moods AS RANGE (subtype = mood);
        CREATE DOMAIN feeling AS mood;
        CREATE TYPE told AS (mood mood);
        CREATE DOMAIN home AS told;
        CREATE TYPE nested AS (told told);
        CREATE TYPE listed AS (moods mood[]);
        CREATE TYPE felt AS (feeling feeling);
        CREATE TYPE spanned AS (span moods);
        CREATE FUNCTION lie(mood) RETURNS json LANGUAGE sql AS $$ SELECT json '"LIE"' $$;
        CREATE FUNCTION lie(moods) RETURNS json LANGUAGE sql AS $$ SELECT json '"LIE"' $$;
        CREATE CAST (mood AS json) WITH FUNCTION lie(mood) AS ASSIGNMENT;
        CREATE CAST (moods AS json) WITH FUNCTION lie(moods) AS ASSIGNMENT;
        CREATE TABLE users (id serial PRIMARY KEY, name text, odd {type_});
        INSERT INTO users (odd) VALUES (NULL);
        """
    )
    lied = "moods" if type_ == "spanned" else "mood"
    with pytest.raises(CheckError) as refused:
        place.run(CLEAR % "odd")
    assert list(refused.value.problems) == [
        f"origin shop: column users.odd is of a composite type that contains {lied}, and mode stream would publish what a "
        f"user's cast from {lied} to json returns; use mode dump, anonymize the column, or drop that cast"
    ]
    # what a mask leaves of it is no value
    place.run("tables: [{table_name: users, anonymized_column_names: [name, odd]}]")


def test_a_dump_publishes_the_labels_of_a_composite_type_though_a_user_defined_a_cast_to_json(place: Place) -> None:
    place.in_origin(
        """
        CREATE TYPE mood AS ENUM ('good');
        CREATE TYPE told AS (mood mood);
        CREATE FUNCTION lie(mood) RETURNS json LANGUAGE sql AS $$ SELECT json '"LIE"' $$;
        CREATE CAST (mood AS json) WITH FUNCTION lie(mood);
        CREATE TABLE users (id serial PRIMARY KEY, name text, told told);
        INSERT INTO users (told) VALUES (ROW('good'));
        """
    )
    place.run(CLEAR % "told", mode="dump")
    assert place.read("SELECT told FROM shop.users") == [({"mood": "good"},)]


def test_a_cast_of_integers_to_text_that_a_superuser_defined_is_in_no_mask(place: Place) -> None:
    place.in_origin(
        """
        CREATE FUNCTION lie(integer) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT 'LIE' $$;
        CREATE CAST (integer AS text) WITH FUNCTION lie(integer) AS IMPLICIT;
        """,
        superuser=True,
    )
    place.in_origin("CREATE TABLE users (id serial PRIMARY KEY, name text); INSERT INTO users (name) VALUES ('Marie')")
    place.run("tables: [{table_name: users, anonymized_column_names: [name]}]")
    assert place.read("SELECT name FROM shop.users") == [("[valeur unique anonymisée 1]",)]


SHAPES = """
CREATE TYPE pair AS (a int, b text);
CREATE DOMAIN tags AS text[];
CREATE TYPE mood AS ENUM ('good', 'a"b');
CREATE DOMAIN small AS integer;
CREATE DOMAIN document AS jsonb;
CREATE TABLE users (
    id int PRIMARY KEY, name text, pairs pair[], tags tags[], moods mood[], small small[], documents document[], plain int[]
);
INSERT INTO users VALUES
(1, NULL, ARRAY[ROW(1, 'a')::pair, NULL], '{"{a,b}",NULL}', '{good,NULL}', '{1,NULL}', '{"{}",NULL}', '{1}'),
(2, NULL, ARRAY[ARRAY[ROW(1, 'q"\\')::pair, ROW(NULL, NULL)::pair], ARRAY[NULL, ROW(2, 'x{,}')::pair]],
 '[2:3]={"{a,b}",NULL}', ARRAY[ARRAY['good'::mood], ARRAY['a"b'::mood]], '{{1,2}}',
 ARRAY[ARRAY['{"a": 1}'::document], ARRAY[NULL::document]], '{{1,2},{3,4}}'),
(3, NULL, '[2:3]={"(1,a)",NULL}', '{}', '[2:3]={good,NULL}', '[-1:0]={1,NULL}', '[0:0]={"[]"}', '[5:5]={1}'),
(4, NULL, '[1:1][0:1][3:4]={{{"(1,a)","(2,b)"},{NULL,"(4,d)"}}}', NULL, '{{{good}}}', '{}', '{}', '{}'),
(5, NULL, '{}', NULL, NULL, NULL, NULL, NULL),
(6, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
"""


@pytest.mark.parametrize("mode", MODES)
def test_an_array_keeps_its_dimensions_and_its_bounds(mode: str, place: Place) -> None:
    names = ("pairs", "tags", "moods", "small", "documents", "plain")
    place.in_origin(SHAPES)
    place.run(CLEAR % ", ".join(names), mode=mode)
    first, none = {"a": 1, "b": "a"}, {"a": None, "b": None}
    odd = [[{"a": 1, "b": 'q"\\'}, none], [None, {"a": 2, "b": "x{,}"}]]
    deep = [[[first, {"a": 2, "b": "b"}], [None, {"a": 4, "b": "d"}]]]
    assert place.read(f"SELECT {', '.join(names)} FROM shop.users ORDER BY id") == [
        ([first, None], ["{a,b}", None], ["good", None], [1, None], [{}, None], [1]),
        (odd, ["{a,b}", None], [["good"], ['a"b']], [[1, 2]], [[{"a": 1}], [None]], [[1, 2], [3, 4]]),
        ([first, None], [], ["good", None], [1, None], [[]], [1]),
        (deep, None, [[["good"]]], [], [], []),
        ([], None, None, None, None, None),
        (None,) * 6,
    ]
    shapes = ", ".join(f"array_dims({name})" for name in names)
    assert place.read(f"SELECT {shapes} FROM shop.users ORDER BY id") == [
        ("[1:2]", "[1:2]", "[1:2]", "[1:2]", "[1:2]", "[1:1]"),
        ("[1:2][1:2]", "[2:3]", "[1:2][1:1]", "[1:1][1:2]", "[1:2][1:1]", "[1:2][1:2]"),
        ("[2:3]", None, "[2:3]", "[-1:0]", "[0:0]", "[5:5]"),
        ("[1:1][0:1][3:4]", None, "[1:1][1:1][1:1]", None, None, None),
        (None,) * 6,
        (None,) * 6,
    ]


SYSTEM = [name for name in PROGRAMS if name.startswith("system")]


@pytest.mark.parametrize("origin", SYSTEM)
@pytest.mark.parametrize("mode", MODES)
def test_an_array_of_hstore_keeps_its_dimensions_and_its_bounds(
    mode: str, origin: str, make_place: Callable[..., Place]
) -> None:
    place = make_place(origin, "18")
    place.in_origin("CREATE EXTENSION hstore", superuser=True)
    place.in_origin(
        """
        CREATE TABLE users (id int PRIMARY KEY, name text, traits hstore[]);
        INSERT INTO users VALUES
        (1, NULL, ARRAY[ARRAY['a=>1'::hstore, NULL], ARRAY['b=>"x, \\"y"'::hstore, ''::hstore]]),
        (2, NULL, '[0:1]={a=>1,NULL}');
        """
    )
    place.run(CLEAR % "traits", mode=mode)
    assert place.read("SELECT traits::text FROM shop.users ORDER BY id") == [
        ('{{"{\\"a\\": \\"1\\"}",NULL},{"{\\"b\\": \\"x, \\\\\\"y\\"}","{}"}}',),
        ('[0:1]={"{\\"a\\": \\"1\\"}",NULL}',),
    ]


def test_items_that_no_comma_parts_are_read_one_by_one_and_refused_in_a_dump(place: Place) -> None:
    place.in_origin(
        """
        CREATE TYPE place;
        CREATE FUNCTION place_in(cstring) RETURNS place LANGUAGE internal IMMUTABLE STRICT AS 'textin';
        CREATE FUNCTION place_out(place) RETURNS cstring LANGUAGE internal IMMUTABLE STRICT AS 'textout';
        CREATE TYPE place (INPUT = place_in, OUTPUT = place_out, DELIMITER = ':');
        """,
        superuser=True,
    )
    place.in_origin(
        """
        CREATE TABLE users (id int PRIMARY KEY, name text, places place[]);
        INSERT INTO users VALUES (1, NULL, '{"a, b":NULL}');
        INSERT INTO users VALUES (2, NULL, '[0:1][1:1]={{a}:{"{"}}'), (3, NULL, '{}'), (4, NULL, NULL);
        """
    )
    with pytest.raises(CheckError) as refused:
        place.run(CLEAR % "places", mode="dump")
    assert list(refused.value.problems) == [
        "origin shop: column users.places is an array whose items no comma parts; use mode stream"
    ]
    place.run(CLEAR % "places")
    assert place.read("SELECT places, array_dims(places) FROM shop.users ORDER BY id") == [
        (["a, b", None], "[1:2]"),
        ([["a"], ["{"]], "[0:1][1:1]"),
        ([], None),
        (None, None),
    ]


@pytest.mark.parametrize("mode", MODES)
def test_a_column_may_have_any_name_that_is_made_up_in_an_expression(mode: str, make_place: Callable[..., Place]) -> None:
    place = make_place("18", "16")
    composed = [convert(flatten(oid(name), name, TYPES), sql.SQL(""), raw=True) for name in ("address[]", "hstore[]")]
    words = {word for text in composed for word in re.findall(r"[a-z]\w*", text.as_string())}
    names = sorted((words - {"id"}) | {"d", "users", "address"})
    assert {"item", "value", "pair", "piece", "place", "shape", "text", "array_length"} <= {*names}
    quoted = [f'"{name}"' for name in names]
    place.in_origin(
        f"""
        CREATE TYPE address AS (city text, waits interval);
        CREATE TABLE users (id int PRIMARY KEY, {", ".join(f"{name} address[]" for name in quoted)});
        INSERT INTO users SELECT n, {", ".join("a" for _ in names)}
        FROM (VALUES (1, '{{"(Lyon,)",NULL}}'::address[]), (2, '[2:3]={{"(Lyon,)",NULL}}'), (3, '{{{{"(Lyon,)",NULL}}}}'),
                     (4, '{{}}'), (5, NULL)) AS rows (n, a);
        """
    )
    place.run(f"tables: [{{table_name: users, non_anonymized_column_names: [{', '.join(quoted)}]}}]", mode=mode)
    lyon = r'{"{\"city\": \"Lyon\", \"waits\": null}",NULL}'
    wanted = [lyon, "[2:3]=" + lyon, "{" + lyon + "}", "{}", None]
    for name in quoted:
        assert place.read(f"SELECT {name}::text FROM shop.users ORDER BY id") == [(text,) for text in wanted], name
