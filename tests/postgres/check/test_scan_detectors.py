"""What the scan counts in columns of the origin that are published as they are, on real servers."""

import time
from collections.abc import Callable, Sequence

import psycopg
import pytest
import yaml
from psycopg import sql
from psycopg.pq import TransactionStatus

from multischema.postgres.connecting import connect
from tests.conftest import PROGRAMS, Place
from tests.support.scans import counted, prepared


def nir(number: str) -> str:
    """Return a social security number with its key."""
    digits = number.replace(" ", "").upper().replace("2A", "19").replace("2B", "18")
    return f"{number} {97 - int(digits) % 97:02}"


FOUND = [
    ("email", "écrire à Marie.Dupont+rdv@courriel.cd62.fr svp"),
    ("email", '{"contact": "rené.lévy@free.fr"}'),
    ("email", "https://app.fr/confirm?email=marie%40free.fr"),
    ("email", "<mailto:o'brien@gmail.com>"),
    ("email", "noreply@cd62.fr, puis MARIE@FREE.FR"),
    ("phone", "rappeler au 06 12 34 56 78 demain"),
    ("phone", "tel.0612345678"),
    ("phone", "+33 (0)6.12.34.56.78"),
    ("phone", "0033612345678"),
    ("phone", "01-23-45-67-89"),
    ("phone", "0692 123 456"),
    ("phone", "06 12345678 ou 07.98.76.54.32."),
    ("nir", nir("NIR 1 85 05 78 006 084".removeprefix("NIR "))),
    ("nir", nir("2850578006084").replace(" ", "")),
    ("nir", f"n° {nir('1850 52A0060 84'.replace(' ', ''))}"),
    ("nir", nir("1 85 05 2b 006 084")),
    ("nir", f"({nir('2 99 12 971 05 123')})"),
    ("iban", "IBAN FR76 3000 6000 0112 3456 7890 189 BIC AGRIFRPP"),
    ("iban", "FR7630006000011234567890189"),
    ("iban", "DE89370400440532013000"),
    ("iban", "BE68 5390 0754 7034 BNPA"),
    ("card", "carte 4111 1111 1111 1111 exp 12/27"),
    ("card", "378282246310005"),
    ("card", "6011-5776-3171-1174"),
    ("ip-address", "from 81.56.12.200:443"),
    ("ip-address", "http://81.56.12.200/x"),
    ("ip-address", "2a01:e0a:1b2:3c40::1"),
    ("postal-address", "habite au 12 bis, rue de la Paix - 75002 PARIS"),
    ("postal-address", "3 allée des Tilleuls\n62000 Arras"),
]
NOTHING = [
    "no-reply@cd62.fr",
    "ne-pas-repondre@cd62.fr",
    "email_anonymise_12@exemple.fr marie@example.org x@mail.example.com",
    "logo@2x.png git@github.com:org/app.git @marie package@1.2.3 a@b",
    "2024-01-02 03:04:05.123456+00 01/02/2024 10:15 01-02-2024 10:15:00 01.02.2024 10:15",
    "48.0123456789 2.0512345678",
    "6f0612345678ab a0612345678 20612345678 061234567",
    "0f8fad5b-d9cb-469f-a165-70867728950e 01234567-0123-0123-0123-012345678901",
    "185057800608400 1850578006084",
    "FR7630006000011234567890188 fr7630006000011234567890189 XX7630006000011234567890189",
    "4111 1111 1111 1112 4111111111111111234",
    "10.1.2.30 192.168.1.12 127.0.0.1 172.16.30.4 169.254.1.12 203.0.113.12 224.0.0.251 100.64.10.12",
    "Chrome/120.0.0.0 v12.34.56.78 1.2.3.4 8.8.8.8 12.34.56 1.3.6.1.4.1.311.21 256.12.12.12",
    "fe80::1 ::1 2001:db8::12 std::vector 12:34:56 Ada::Cafe 00:1a:2b:3c:4d:5e",
    "12 rue de la Paix, 3 places libres, 2 avenues",
    "il reste 75002 places rue de la Paix",
]


def columns(place: Place, type_: str, values: Sequence[str]) -> dict[int, dict[str, int]]:
    """Return what each detector finds in columns with one value each."""
    names = ", ".join(f"its_{number} {type_}" for number in range(len(values)))
    quoted = ", ".join("'" + value.replace("'", "''") + "'" for value in values)
    place.in_origin(f"CREATE TABLE people ({names}); INSERT INTO people VALUES ({quoted})")
    found = counted(place)
    assert found.unfinished == ""
    assert found.values == {f"its_{number}": 1 for number in range(len(values))}
    return {
        number: {detector: hits for (column, detector), hits in found.hits.items() if column == f"its_{number}"}
        for number in range(len(values))
    }


@pytest.mark.parametrize("origin", ["16", "18"])
def test_each_kind_is_found_in_a_text(make_place: Callable[..., Place], origin: str) -> None:
    found = columns(make_place(origin), "text", [value for _, value in FOUND])
    assert {FOUND[number]: hits for number, hits in found.items()} == {case: {case[0]: 1} for case in FOUND}


def test_what_only_looks_like_personal_data_is_not_counted(place: Place) -> None:
    found = columns(place, "text", NOTHING)
    assert {NOTHING[number]: hits for number, hits in found.items() if hits} == {}


def test_other_types_than_text_are_looked_into_as_they_are_published(place: Place) -> None:
    place.in_origin(
        """
        CREATE DOMAIN contact AS varchar(80);
        CREATE TYPE owner AS (name text, phone text);
        CREATE TABLE people (d contact, c char(60), v varchar(40)[], j json, b jsonb, o owner, p bigint, n numeric,
                             i inet, r cidr, s bytea, f boolean, u uuid, e text, w inet);
        INSERT INTO people VALUES ('marie@free.fr', 'marie@free.fr', '{x,marie@free.fr}', '{"a": "marie@free.fr"}',
            '{"a": ["marie@free.fr"]}', ('M', '0612345678'), 612345678, 185057800608491,
            '81.56.12.200', '81.56.12.0/24', 'marie@free.fr', true, gen_random_uuid(), '', '10.0.0.12');
        """
    )
    found = counted(place)
    assert found.unfinished == ""
    assert found.hits == {
        ("d", "email"): 1,
        ("c", "email"): 1,
        ("v", "email"): 1,
        ("j", "email"): 1,
        ("b", "email"): 1,
        ("o", "phone"): 1,
        ("p", "phone"): 1,
        ("n", "nir"): 1,
        ("i", "ip-address"): 1,
    }
    assert "s" not in found.values
    assert found.values["e"] == 0
    assert (found.rows, found.whole) == (1, True)


def test_a_masked_value_of_the_same_row_is_found_in_clear_columns(place: Place) -> None:
    place.in_origin(
        """
        CREATE TABLE people (id serial PRIMARY KEY, name text, email text, born date, phone bigint, tags text[], short text,
                             notes text, search text, login text, birth text, call text, payload jsonb, labels text[],
                             city text, state text);
        INSERT INTO people (name, email, born, phone, tags, short, notes, search, login, birth, call, payload, labels,
                            city, state)
        SELECT ' Névé' || i || ' ', 'marie.' || i || '@free.fr', date '1985-03-12' + i, 612345000 + i, ARRAY['tuteur' || i],
               'zoé', 'a vu NÉVÉ' || i || '.', 'x' || i, 'marie.' || i, to_char(date '1985-03-12' + i, 'DD/MM/YYYY'),
               'tel 0' || 612345000 + i, jsonb_build_object('who', 'Névé' || i), ARRAY['le tuteur' || i], 'zoé', 'open'
        FROM generate_series(1001, 1500) AS i;
        """
    )
    found = counted(place, masked=["name", "email", "born", "phone", "tags", "short"])
    assert {key: hits for key, hits in found.hits.items() if key[1] == "own-data"} == {
        (column, "own-data"): 500 for column in ("notes", "login", "birth", "call", "payload", "labels")
    }


@pytest.mark.parametrize("origin", [name for name in PROGRAMS if name.startswith("system")])  # of those here, it has ICU
def test_masked_texts_whose_collation_does_not_let_them_be_searched_are_found(
    make_place: Callable[..., Place], origin: str
) -> None:
    place = make_place(origin)
    place.in_origin(
        """
        CREATE COLLATION any_case (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
        CREATE DOMAIN word AS text COLLATE any_case;
        CREATE TABLE people (email word, tags text[] COLLATE any_case, note text, who word);
        INSERT INTO people VALUES ('marie.durand@free.fr', '{tuteur,voisine}', 'login marie.durand', 'la VOISINE')
        """
    )
    found = counted(place, masked=["email", "tags"])
    assert (found.unfinished, found.hits) == ("", {("note", "own-data"): 1, ("who", "own-data"): 1})


def test_letters_with_accents_are_found_in_any_case(place: Place) -> None:
    place.in_origin(
        """
        CREATE TABLE people (name text, note text);
        INSERT INTO people VALUES ('Élodée', 'ÉLODÉE'), ('ÉLODÉE', 'vu élodée'), ('élodée', 'vu Élodée'), ('JOSÉ', 'José.'),
                                  ('MARIE', 'marie'), ('Zoëline', 'rien')
        """
    )
    assert counted(place, masked=["name"]).hits == {("note", "own-data"): 5}


def test_what_another_row_s_masked_values_would_be_found_in_too_is_chance(place: Place) -> None:
    place.in_origin(
        """
        CREATE TABLE people (city text, flag text, town text, label text, note text);
        INSERT INTO people SELECT c.city, 'true', c.town, '{"active": true}',
                                  CASE WHEN i % 10 = 0 THEN 'à ' || c.city || i END
        FROM generate_series(1, 3000) AS i,
             LATERAL (SELECT 'ville' || i * 7 % 13 AS city, 'ville' || i * 11 % 17 AS town) AS c
        """
    )
    found = counted(place, masked=["city", "flag"])
    assert set(found.hits) == {("note", "own-data")}


def test_a_value_that_a_mask_shows_in_its_row_is_no_own_data_there(place: Place) -> None:
    place.in_origin(
        """
        CREATE TABLE people (name text, state text, note text);
        INSERT INTO people SELECT 'Anastasie' || i, CASE WHEN i % 2 = 0 THEN 'open' ELSE 'closed' END, 'vu Anastasie' || i
        FROM generate_series(1, 200) AS i
        """
    )
    rules = """
tables:
  - table_name: people
    anonymized_column_names: [name]
    non_anonymized_column_names: [state, note]
    masks: {name: {only_when: {state: [closed]}}}
"""
    assert counted(place, rules=rules).hits == {("note", "own-data"): 100}


@pytest.mark.slow
@pytest.mark.parametrize("origin", ["16", "18"])
def test_one_value_of_each_kind_among_a_million_rows_finds_its_column(make_place: Callable[..., Place], origin: str) -> None:
    place = make_place(origin)
    kinds = dict(FOUND)
    names = [f"its_{number}" for number in range(len(kinds))]
    planted = ", ".join("'" + value.replace("'", "''") + "'" for value in kinds.values())
    place.in_origin(
        f"""
        CREATE TABLE people (name text, note text, {", ".join(f"{name} text" for name in names)});
        INSERT INTO people SELECT 'Anastasie' || i, 'vu' FROM generate_series(1, 500000) AS i;
        INSERT INTO people VALUES ('Hildegarde', 'vu Hildegarde', {planted});
        INSERT INTO people SELECT 'Anastasie' || i, 'vu' FROM generate_series(1, 500000) AS i;
        """
    )
    found = counted(place, masked=["name"])
    expected = dict.fromkeys(zip(names, kinds, strict=True), 1)
    assert found.hits == {**expected, ("note", "own-data"): 1}
    assert (found.rows, found.whole) == (1_000_001, True)


def test_a_sample_reads_pages_from_all_over_a_table(place: Place) -> None:
    place.in_origin(
        """
        CREATE TABLE people (id int, note text);
        INSERT INTO people SELECT i, CASE WHEN i > 150000 THEN 'marie@free.fr' ELSE 'rien' END
        FROM generate_series(1, 200000) AS i
        """
    )
    for _ in range(2):  # never counted by the server, then analyzed
        found = counted(place, sample=20_000)
        assert not found.whole
        assert 5_000 < found.rows <= 40_000
        assert 0.1 < found.hits["note", "email"] / found.rows < 0.45
        place.in_origin("ANALYZE people")
    assert counted(place, sample=150_000).whole


def test_partitions_children_and_a_condition_are_read_as_a_run_reads_them(place: Place) -> None:
    place.in_origin(
        """
        CREATE TABLE people (id int, note text) PARTITION BY RANGE (id);
        CREATE TABLE people_1 PARTITION OF people FOR VALUES FROM (0) TO (100000);
        CREATE TABLE people_2 PARTITION OF people FOR VALUES FROM (100000) TO (300000);
        INSERT INTO people SELECT i, 'marie@free.fr' FROM generate_series(1, 200000) AS i;
        CREATE TABLE parent (note text);
        CREATE TABLE child () INHERITS (parent);
        INSERT INTO child VALUES ('marie@free.fr');
        """
    )
    assert counted(place).rows == 200_000
    assert 5_000 < counted(place, sample=20_000).rows <= 40_000
    assert counted(place, "parent").rows == 0
    some = counted(place, condition=sql.SQL("id <= 10 OR id > 199990"), sample=1000)
    assert (some.rows, some.whole, some.hits) == (20, True, {("note", "email"): 20})
    assert counted(place, condition=sql.SQL("id > 10"), sample=1000).whole is False


def test_a_thousand_columns_take_several_statements(place: Place) -> None:
    columns_ = [f"c{number}" for number in range(1000)]
    place.in_origin(
        f"CREATE TABLE people ({', '.join(f'{name} text' for name in columns_)}); INSERT INTO people (c7, c999) "
        "VALUES ('marie@free.fr', '0612345678')"
    )
    found = counted(place)
    assert found.hits == {("c7", "email"): 1, ("c999", "phone"): 1}
    assert len(found.values) == 1000


@pytest.mark.parametrize(
    ("table", "column"),
    [('odd "table"', 'a "b" %s {} \\'), ("text_0", "masked"), ("read", "value"), ("whole", "own"), ("été", "prénom\n")],
)
def test_odd_names_are_read_as_they_are(place: Place, table: str, column: str) -> None:
    names = [sql.Identifier(table), sql.Identifier(column), sql.Identifier("numbered_0")]
    with psycopg.connect(place.origin_url, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE TABLE {} ({} text, {} text)").format(*names))
        connection.execute(sql.SQL("INSERT INTO {} VALUES ('Hildegarde', 'vu Hildegarde, 0612345678')").format(names[0]))
    rules = yaml.safe_dump(
        {"tables": [{"table_name": table, "anonymized_column_names": [column], "non_anonymized_column_names": []}]}
    )
    assert counted(place, table, rules=rules).hits == {("numbered_0", "own-data"): 1, ("numbered_0", "phone"): 1}


HOSTILE = {
    "digits": "repeat('0123456789 ', 20000000)",
    "letters": "repeat('a', 200000000)",
    "at signs": "repeat('a@', 100000000)",
    "labels": "'a@' || repeat('a.', 100000000)",
    "streets": "repeat('12 rue rue 12 ', 10000000)",
    "hex": "repeat('2a01:', 40000000)",
    "unclosed": """repeat('{"a": [', 20000000)""",
    "blanks": "repeat(' ', 200000000)",
}


@pytest.mark.slow
@pytest.mark.parametrize("value", HOSTILE.values(), ids=HOSTILE)
def test_a_text_of_200_mb_delays_the_scan_as_one_that_is_as_long_as_it_looks(place: Place, value: str) -> None:
    place.in_origin(
        f"CREATE TABLE people (name text, note text); INSERT INTO people SELECT repeat('marie', 40000000), {value}"
    )
    began = time.monotonic()
    found = counted(place, masked=["name"], timeout=20.0)
    assert found.unfinished == ""
    huge = time.monotonic() - began
    place.in_origin("CREATE TABLE plain (name text, note text); INSERT INTO plain SELECT 'marie', repeat('bonjour ', 2500)")
    began = time.monotonic()
    counted(place, "plain", masked=["name"])
    assert huge < 20 * (time.monotonic() - began)


def test_escapes_broken_documents_and_other_encodings_stop_nothing(place: Place) -> None:
    for encoding, written in (("LATIN1", "é"), ("SQL_ASCII", "é")):
        place.recode_origin(encoding)
        place.in_origin(
            f"""
            CREATE TABLE people (name text, note text, j json, b jsonb);
            INSERT INTO people VALUES ('Zo{written}lie', 'zo{written}lie 3 all{written}e des Tilleuls 62000 Arras',
                '{{"a": "\\u0000"}}', '{{"a": "\\\\u0000"}}'), ('', '{{"a', NULL, NULL);
            """
        )
        found = counted(place, masked=["name"])
        assert found.unfinished == ""
        assert found.hits == {("note", "own-data"): 1, ("note", "postal-address"): 1}


def test_what_keeps_the_scan_from_a_table_is_said_without_a_value_and_raises_nothing(place: Place) -> None:
    place.in_origin(
        """
        CREATE FUNCTION spelled(text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'secret %', $1; END $$;
        CREATE TABLE people (name text, note text);
        INSERT INTO people SELECT 'Hildegarde', repeat('marie@free.fr ', 1000) FROM generate_series(1, 20000);
        CREATE TABLE hidden (note text);
        """
    )
    raised = counted(place, condition=sql.SQL("public.spelled(note) = 'x'"))
    assert raised.unfinished == "the server refused the statement (P0001)"
    assert counted(place, masked=["name"], timeout=0.05).unfinished == "it takes longer than 0.05 s"
    with connect(place.databases()[0], "multi-schema test") as connection:
        count, count_hidden = prepared(connection, "people"), prepared(connection, "hidden")
        with psycopg.connect(place.origin_url) as locking:
            locking.execute("LOCK TABLE people")
            assert count(timeout=0.3).unfinished in ("it takes longer than 0.3 s", "another session has locked it")
        place.in_origin(f"ALTER TABLE hidden OWNER TO postgres; REVOKE ALL ON hidden FROM {place.app}", superuser=True)
        assert count_hidden().unfinished == "the role may not read all of it"
        assert connection.info.transaction_status == TransactionStatus.IDLE
        connection.close()
        assert count().unfinished == "the connection was lost"


def test_a_masked_column_that_the_role_may_not_read_is_not_searched_for(place: Place) -> None:
    place.in_origin("CREATE TABLE people (name text, note text); INSERT INTO people VALUES ('Hildegarde', '0612345678')")
    place.in_origin(
        f"ALTER TABLE people OWNER TO postgres; REVOKE ALL ON people FROM {place.app}; "
        f"GRANT SELECT (note) ON people TO {place.app}",
        superuser=True,
    )
    found = counted(place, masked=["name"])
    assert (found.unfinished, found.hits) == ("", {("note", "phone"): 1})
