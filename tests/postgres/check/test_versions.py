"""What a server of the target's version can't hold, or reads otherwise, is refused by the column's name, in either mode."""

import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from psycopg.rows import dict_row

from multischema.errors import CheckError, EtlError
from multischema.postgres.connecting import connect
from multischema.postgres.questions import lacking
from multischema.rules.file import parse
from multischema.stages.origin import read_origin
from tests.conftest import PROGRAMS, TEMPORARY, Place

pytestmark = pytest.mark.slow

CLEAR = "tables: [{table_name: users, anonymized_column_names: [name], non_anonymized_column_names: [%s]}]"
MODES = ["stream", "dump"]


@pytest.fixture(autouse=True)
def clients(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have client programs that are as new as the servers."""
    monkeypatch.setenv("PATH", str(PROGRAMS["18"]), prepend=":")


def problems(place: Place, rules: str, **changes: str) -> list[str]:
    """Return the problems of a run that fails and publishes nothing."""
    with pytest.raises(EtlError) as raised:
        place.run(rules, **changes)
    assert place.schemas() == set()
    return list(raised.value.problems)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("type_", "value"),
    [
        ("interval", "'infinity'"),
        ("interval(3)", "'-infinity'"),
        ("interval[]", "'{1 day,-infinity}'"),
        ("interval[]", "'[0:0][1:1]={{infinity}}'"),
        ("wait", "'infinity'"),
        ("wait[]", "'{infinity}'"),
        ("waits", "'{infinity}'"),
    ],
)
def test_an_interval_without_end_is_refused_by_a_target_that_has_none(
    type_: str, value: str, mode: str, make_place: Callable[..., Place]
) -> None:
    place = make_place("18", "16")
    place.in_origin(
        f"""
        CREATE DOMAIN wait AS interval;
        CREATE DOMAIN waits AS interval[];
        CREATE TABLE users (id serial PRIMARY KEY, name text, span {type_}, also interval);
        INSERT INTO users (span) VALUES ({value}), (NULL), ({value});
        """
    )
    assert problems(place, CLEAR % "span, also", mode=mode) == [
        "origin shop: column users.span holds infinity, which Postgres 16 can't hold (17 can); repair 2 rows, "
        "anonymize the column, use another target, or truncate the table in the rules"
    ]
    place.in_origin("DELETE FROM users WHERE span IS NOT NULL")
    place.run(CLEAR % "span, also", mode=mode)
    assert place.read("SELECT id, span FROM shop.users") == [(2, None)]


@pytest.mark.parametrize("mode", MODES)
def test_the_greatest_interval_of_an_older_origin_is_refused_by_a_target_that_takes_it_for_infinity(
    mode: str, place: Place
) -> None:
    place.in_origin(
        """
        CREATE TABLE users (id serial PRIMARY KEY, name text, span interval);
        INSERT INTO users (span) VALUES
        ('178956970 years 7 mons 2147483647 days 2562047788:00:54.775807'),
        ('178956970 years 7 mons 2147483647 days 2562047788:00:54.775806');
        """
    )
    assert problems(place, CLEAR % "span", mode=mode) == [
        "origin shop: column users.span holds a value that is infinity for Postgres 18; repair 1 row, anonymize the column, "
        "use another target, or truncate the table in the rules"
    ]
    place.in_origin("DELETE FROM users WHERE id = 1")
    place.run(CLEAR % "span", mode=mode)
    assert place.read("SELECT isfinite(span) FROM shop.users") == [(True,)]


@pytest.mark.parametrize("mode", MODES)
def test_what_becomes_text_or_json_may_be_without_end(mode: str, make_place: Callable[..., Place]) -> None:
    place = make_place("18", "16")
    place.in_origin(
        """
        CREATE TYPE waits AS RANGE (subtype = interval);
        CREATE TYPE note AS (said text);
        CREATE TABLE users (id serial PRIMARY KEY, name text, span waits, note note);
        INSERT INTO users (span, note) VALUES ('[1 day,infinity]', ROW('infinity'));
        """
    )
    place.run(CLEAR % "span, note", mode=mode)
    assert place.read("SELECT span, note FROM shop.users") == [('["1 day",infinity]', {"said": "infinity"})]


def test_an_interval_without_end_in_a_composite_type_is_published_by_a_stream_and_refused_in_a_dump(
    make_place: Callable[..., Place],
) -> None:
    place = make_place("18", "16")
    place.in_origin(
        """
        CREATE DOMAIN wait AS interval;
        CREATE TYPE waits AS RANGE (subtype = interval);
        CREATE TYPE stay AS (said text, span wait, spans interval[], waits waits);
        CREATE TYPE trip AS (stays stay[]);
        CREATE DOMAIN home AS stay;
        CREATE TABLE users (id serial PRIMARY KEY, name text, stay stay, stays stay[], home home, trip trip);
        INSERT INTO users (stay) VALUES (ROW('infinity', '1 day', '{1 day}', '[1 day,infinity]'));
        """
    )
    clear = CLEAR % "stay, stays, home, trip"
    place.run(clear, mode="dump")
    ordinary = {"said": "infinity", "span": "1 day", "spans": ["1 day"], "waits": '["1 day",infinity]'}
    assert place.read("SELECT stay FROM shop.users") == [(ordinary,)]
    place.in_target("DROP SCHEMA shop CASCADE")
    place.in_origin(
        """
        INSERT INTO users (stay) VALUES (ROW('', 'infinity', NULL, NULL));
        INSERT INTO users (stays) VALUES (ARRAY[NULL, ROW('', NULL, '{-infinity}', NULL)::stay]);
        INSERT INTO users (home) VALUES (ROW('', 'infinity', NULL, NULL));
        INSERT INTO users (trip) VALUES (ROW(ARRAY[ROW('', 'infinity', NULL, NULL)::stay]));
        """
    )
    assert [line.split(" holds infinity")[0] for line in problems(place, clear, mode="dump")] == [
        f"origin shop: column users.{name}" for name in ("stay", "stays", "home", "trip")
    ]
    place.run(clear)
    assert place.read("SELECT stay ->> 'span', trip -> 'stays' -> 0 ->> 'span' FROM shop.users WHERE id IN (2, 5)") == [
        ("infinity", None),
        (None, "infinity"),
    ]


@pytest.mark.parametrize("mode", MODES)
def test_a_masked_value_that_the_target_cannot_read_is_no_matter(mode: str, make_place: Callable[..., Place]) -> None:
    place = make_place("18", "16")
    place.in_origin(
        """
        CREATE TYPE stay AS (span interval);
        CREATE TABLE users (
            id serial PRIMARY KEY, name text, span interval NOT NULL, spans interval[], preset interval DEFAULT '1 day',
            path jsonpath NOT NULL, stay stay, said jsonb, size int NOT NULL GENERATED ALWAYS AS (id + 1) STORED
        );
        INSERT INTO users (span, spans, preset, path, stay, said)
        VALUES ('infinity', '{infinity}', 'infinity', '$.a.bigint()', ROW('infinity'), '{"a": 1}'),
               ('infinity', NULL, NULL, '$', NULL, NULL);
        """
    )
    masked = "name, span, spans, preset, path, stay, said, size"
    place.run(f"tables: [{{table_name: users, anonymized_column_names: [{masked}]}}]", mode=mode)
    assert place.read(
        "SELECT span::text, spans, preset::text, path::text, stay, said, size FROM shop.users ORDER BY id"
    ) == [
        ("00:00:00", None, "1 day", "$", None, {}, 0),
        ("00:00:00", None, None, "$", None, None, 0),
    ]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("type_", "default"), [("interval", "infinity"), ("jsonpath", "$.a.bigint()")])
def test_a_default_that_the_target_cannot_read_is_no_mask_and_is_refused_in_the_check(
    type_: str, default: str, mode: str, make_place: Callable[..., Place]
) -> None:
    place = make_place("18", "16")
    place.in_origin(f"CREATE TABLE users (id serial PRIMARY KEY, name text, span {type_} NOT NULL DEFAULT '{default}')")
    with pytest.raises(CheckError) as raised:
        place.run("tables: [{table_name: users, anonymized_column_names: [name, span]}]", mode=mode)
    assert list(raised.value.problems) == [
        "target: Postgres 16 can't read the default of column users.span, which is its mask; drop the default, use a newer "
        "target, or truncate the table in the rules"
    ]


@pytest.mark.parametrize("mode", MODES)
def test_a_value_without_end_stays_on_a_target_that_has_it(mode: str, make_place: Callable[..., Place]) -> None:
    place = make_place("18", "18")
    place.in_origin(
        """
        CREATE TABLE users (id serial PRIMARY KEY, name text, span interval, masked interval NOT NULL DEFAULT 'infinity');
        INSERT INTO users (span) VALUES ('infinity');
        """
    )
    place.run(
        "tables: [{table_name: users, anonymized_column_names: [name, masked], non_anonymized_column_names: [span]}]",
        mode=mode,
    )
    assert place.read("SELECT span::text, masked::text FROM shop.users") == [("infinity", "infinity")]


METHODS = "bigint,boolean,date,decimal,integer,number,string,time,time_tz,timestamp,timestamp_tz"


@pytest.mark.parametrize("mode", MODES)
def test_a_path_with_a_method_that_the_target_has_not_is_refused_by_column(
    mode: str, make_place: Callable[..., Place]
) -> None:
    place = make_place("18", "16")
    columns = [f"by_{method}" for method in METHODS.split(",")]
    place.in_origin(
        f"""
        CREATE TABLE users (id serial PRIMARY KEY, name text, {" jsonpath, ".join(columns)} jsonpath, paths jsonpath[],
                            old jsonpath);
        INSERT INTO users ({", ".join(columns)})
        VALUES ({", ".join(f"'$ ? (@.b == 1 && @.a.{method}() == 1)'" for method in METHODS.split(","))});
        INSERT INTO users (by_decimal, by_time) VALUES ('$.a.decimal(4,2)', '$.a.time(3)');
        INSERT INTO users (paths) VALUES ('{{$.a,$.a.bigint()}}');
        INSERT INTO users (old) VALUES ('$.a.datetime()'), ('$.bigint.type()'), ('0x1F + 1_000');
        """
    )
    rules = CLEAR % ", ".join([*columns, "paths", "old"])
    assert [line.partition(";")[0] for line in problems(place, rules, mode=mode)] == [
        f"origin shop: column users.{name} holds a path with a method of Postgres 17, which Postgres 16 can't hold (17 can)"
        for name in (*columns, "paths")
    ]
    place.in_origin("DELETE FROM users WHERE old IS NULL")
    place.run(rules, mode=mode)
    assert place.read("SELECT old::text FROM shop.users ORDER BY id") == [
        ('$."a".datetime()',),
        ('$."bigint".type()',),
        ("(31 + 1000)",),
    ]


SYSTEM = [name for name in PROGRAMS if name in ("system-13", "system-14", "system-15")]


@pytest.mark.parametrize("target", SYSTEM)
def test_a_character_beyond_ascii_is_copied_by_a_stream_and_refused_in_a_dump_to_an_older_target(
    target: str, make_place: Callable[..., Place]
) -> None:
    place = make_place("18", target)
    place.in_origin(
        r"""
        CREATE TABLE users (id serial PRIMARY KEY, name text, letter "char", letters "char"[]);
        INSERT INTO users (letter, letters) VALUES ('\351', '{"\\351",a}'), ('\', NULL);
        """
    )
    lines = problems(place, CLEAR % "letter, letters", mode="dump")
    assert [line.partition(", which")[0] for line in lines] == [
        "origin shop: column users.letter holds a character that is not ASCII",
        "origin shop: column users.letters holds a character that is not ASCII",
    ]
    place.run(CLEAR % "letter, letters")
    assert place.read("SELECT ascii(letter::text) FROM shop.users WHERE id = 2") == [(92,)]


# A money amount is a number of the smallest coins of a locale; these two have none, and a thousand to one.
LOCALES = [
    pytest.param(locale, digits, id=locale)
    for locale, digits in (("ja_JP", 0), ("ar_KW", 3))
    if shutil.which("localedef") and Path("/usr/share/i18n/locales", locale).exists()
]


@pytest.fixture
def make_foreign(make_place: Callable[..., Place]) -> Iterator[Callable[[str], Place]]:
    """Return a function that makes a place whose origin, a server of its own, has a locale compiled for it."""
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory(prefix="locales-", dir=TEMPORARY) as folder:

        def make(locale: str) -> Place:
            command = ["localedef", "-i", locale, "-f", "UTF-8", f"{folder}/{locale}.UTF-8"]
            subprocess.run(command, check=True, capture_output=True)
            Path(folder).chmod(0o755)
            patch.setenv("LOCPATH", folder)
            place = make_place("16", "18", Path(folder).name)
            setting = sql.SQL("ALTER DATABASE {} SET lc_monetary = {}").format(
                sql.Identifier(place.name), sql.Literal(f"{locale}.UTF-8")
            )
            with psycopg.connect(place.origin_server.url(), autocommit=True) as connection:
                connection.execute(setting)
            return place

        yield make


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("locale", "digits"), LOCALES)
def test_money_of_other_decimals_than_two_is_refused_wherever_it_is_published(
    locale: str, digits: int, mode: str, make_foreign: Callable[[str], Place]
) -> None:
    place = make_foreign(locale)
    place.in_origin(
        """
        CREATE DOMAIN price AS money;
        CREATE TYPE bill AS (total money);
        CREATE TYPE prices AS RANGE (subtype = money);
        CREATE TABLE users (
            id serial PRIMARY KEY, name text, paid money, paids money[], price price, bill bill, prices prices,
            hidden money NOT NULL, preset money NOT NULL DEFAULT 12345, gone money
        );
        INSERT INTO users (paid, hidden) VALUES (12345, 12345);
        """
    )
    rules = """
tables:
  - table_name: users
    anonymized_column_names: [name, hidden, preset, gone]
    non_anonymized_column_names: [%s]
"""
    found = problems(place, rules % "paid, paids, price, bill, prices", mode=mode)
    origin = place.databases()[0]
    with connect(origin, "test") as connection:
        parsed = parse(rules % "paid, paids, price, bill, prices")
        assert list(read_origin(connection, origin, "public", parsed, dumps=mode == "dump").problems) == found
    assert found == [
        f"origin shop: column users.{name} holds money with {digits} decimals by the database's lc_monetary; it would "
        "be published with 2; make it numeric in the origin, anonymize it, or truncate the table in the rules"
        for name in ("paid", "paids", "price", "bill", "prices", "preset")
    ]
    place.in_origin("ALTER TABLE users ALTER preset DROP DEFAULT, DROP paids, DROP price, DROP bill, DROP prices")
    place.in_origin("ALTER TABLE users ALTER paid TYPE numeric")
    place.run(rules % "paid", mode=mode)
    assert place.read("SELECT paid::int, hidden::numeric::int, gone FROM shop.users") == [(12345, 0, None)]


def test_money_of_two_decimals_is_published(place: Place) -> None:
    place.in_origin(
        "CREATE TABLE users (id serial PRIMARY KEY, name text, paid money); INSERT INTO users (paid) VALUES (7.5)"
    )
    place.run(CLEAR % "paid")
    assert place.read("SELECT paid::numeric FROM shop.users") == [(Decimal("7.50"),)]


# What the origin can't compute


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("text", [r'{"a": "\u0000 MARKER"}', r'{"a": "\ud800 MARKER"}'])
def test_json_in_a_composite_type_that_is_no_jsonb_is_told_with_its_column(text: str, mode: str, place: Place) -> None:
    place.in_origin(
        f"""
        CREATE TYPE note AS (said json);
        CREATE TABLE users (id serial PRIMARY KEY, name text, city text, first note, second note);
        INSERT INTO users (second) VALUES (ROW(json '{text}'));
        """
    )
    (line,) = problems(place, CLEAR % "city, first, second", mode=mode)
    side = "origin shop" if mode == "stream" else "target"
    assert line.startswith(f"{side}: copying users, column second, failed: ")
    assert line.endswith(
        "its message may quote a row, and stands in the server's log only; json in it holds what jsonb can't (\\u0000, or "
        "half a character): repair it in the origin, anonymize the column, or truncate the table in the rules"
    )
    assert "MARKER" not in line


def test_a_type_with_limits_that_the_target_does_not_know_is_one_that_it_lacks(place: Place) -> None:
    # no server of the tests is older than numbers with a negative scale: these limits no server knows
    types = ["integer", "numeric(2,-3)", "numeric(2000)", "numeric(3,2000)[]", "interval(3)", "int8multirange", "absent"]
    with psycopg.connect(place.target_url, autocommit=True, row_factory=dict_row) as connection:
        found = lacking(connection, types, ["C", "absent"])
    assert {(row.what, row.name) for row in found} == {
        ("type", "numeric(2000)"),
        ("type", "numeric(3,2000)[]"),
        ("type", "absent"),
        ("collation", "absent"),
    }
