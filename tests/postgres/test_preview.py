"""`python -m flows.rules preview`: rows of a table as a run would publish them, and nothing of what it masks."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import psycopg
import pytest
from psycopg import sql

from flows.rules import preview
from multischema import pipeline
from multischema.plan.plan import make_plan
from multischema.postgres.connecting import connect
from multischema.postgres.questions import read_catalog
from multischema.rules.file import parse
from multischema.rules.gaps import compare
from multischema.stages import preview as stage
from multischema.statements import reading
from tests.conftest import KEY, PASSWORD, Place
from tests.support.pooler import pooled

ORIGIN = r"""
CREATE TYPE mood AS ENUM ('calm', 'odd');
CREATE TABLE users (
    id serial PRIMARY KEY, name varchar(10) NOT NULL, mail text, born date, city text, mood mood, tags text[],
    status text, note text, loud text GENERATED ALWAYS AS (upper(name)) STORED
);
INSERT INTO users (name, mail, born, city, mood, tags, status, note) VALUES
    ('Marie', 'marie@exemple.example', '1980-02-03', E'Ly\non\x1b[31m\u202e', 'odd', '{a,"b c"}', 'open', 'seen'),
    ('Paul', NULL, NULL, '', NULL, NULL, 'closed', 'secret'), ('Anne', '', '1990-05-06', 'NULL', 'calm', '{}', NULL, 'hid');
CREATE TABLE "Odd "" näme" (who text NOT NULL, long text);
INSERT INTO "Odd "" näme" VALUES ('Marie', repeat('é', 100000));
CREATE TABLE visits (id integer NOT NULL, who text NOT NULL) PARTITION BY RANGE (id);
CREATE TABLE visits_2026 PARTITION OF visits DEFAULT;
INSERT INTO visits VALUES (1, 'Marie');
CREATE TABLE versions (id integer PRIMARY KEY, object text);
CREATE TABLE empty (id integer PRIMARY KEY);
CREATE TABLE undecided (id integer PRIMARY KEY, secret text);
CREATE VIEW admins AS SELECT * FROM users;
"""
RULES = r"""
tables:
  - table_name: users
    anonymized_column_names: [name, mail, born, note, loud]
    non_anonymized_column_names: [city, mood, tags, status]
    masks:
      mail: {pseudonym: person_email}
      born: {period: year}
      note: {only_when: {status: [closed]}}
    k_anonymity: {columns: [born, city]}
  - {table_name: 'Odd " näme', anonymized_column_names: [who], non_anonymized_column_names: [long]}
  - {table_name: visits, anonymized_column_names: [who], non_anonymized_column_names: [id]}
  - {table_name: versions, truncated: true}
  - {table_name: empty}
"""
Previewed = Callable[..., tuple[int, str, str]]


@pytest.fixture
def previewed(place: Place, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Previewed:
    """Return a function that runs the command for an app that no prefect.yaml has, with an origin alone."""
    place.in_origin(ORIGIN)
    monkeypatch.chdir(place.path)
    for name in ("ETL_DB_URL", "METABASE_USERNAME", "ETL_PSEUDONYM_KEY"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {"APP": "invented-shop", "ORIGIN_DB_URL": place.origin_url}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("CONFIG_PATH", place.rules(RULES))

    def run(*arguments: str) -> tuple[int, str, str]:
        return preview.main(arguments), *capsys.readouterr()

    return run


def test_a_warning_that_the_rules_expect_is_not_shown(
    place: Place, previewed: Previewed, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = RULES.replace("[city, mood,", "[name, city, mood,")
    monkeypatch.setenv("CONFIG_PATH", place.rules(both))
    _, out, _ = previewed("users")
    assert out.startswith("warning: rules: line 4: users.name is in both lists: anonymized\ntable users: ")
    monkeypatch.setenv(
        "CONFIG_PATH", place.rules(f"{both}expected_warnings: [{{code: in-both-lists, object: users.name}}]\n")
    )
    _, out, _ = previewed("users")
    assert out.startswith("table users: ")


def test_rows_are_shown_as_they_would_be_published_with_what_is_done_to_each_column(previewed: Previewed) -> None:
    status, out, err = previewed("users", "--rows", "2")
    assert (status, err) == (0, "")
    lines = [line.split(maxsplit=1) for line in out.splitlines()]
    assert out.splitlines()[:4] == [
        "table users: 2 rows as published; nothing was written",
        "note: loud is left out: it is computed from a masked column",
        "note: these pseudonyms have a key of this preview alone: they are not those of a run",
        "note: k_anonymity is judged in a run, of all rows",
    ]
    first, second = ({line[0]: line[1] for line in lines[start + 1 : start + 10]} for start in (5, 16))
    done = {name: text.rpartition("  ")[0].strip() for name, text in first.items()}
    assert done == {
        "id": "as it is",
        "name": "masked",
        "mail": "pseudonym: person_email",
        "born": "period: year",
        "city": "as it is",
        "mood": "as it is",
        "tags": "as it is",
        "status": "as it is",
        "note": "masked only when status is closed",
    }
    values = [{name: text.rpartition("  ")[2] for name, text in row.items()} for row in (first, second)]
    assert values[0].pop("mail").startswith("p_")
    assert values[0] == {
        "id": "1",
        "name": "[valeur unique anonymisée 1]",
        "born": "1980-01-01",
        "city": r"Ly\non\x1b[31m\u202e",
        "mood": "odd",
        "tags": '{a,"b c"}',
        "status": "open",
        "note": "seen",
    }
    assert values[1] == {
        "id": "2",
        "name": "[valeur unique anonymisée 2]",
        "mail": "NULL",
        "born": "NULL",
        "city": "''",
        "mood": "NULL",
        "tags": "NULL",
        "status": "closed",
        "note": "[valeur unique anonymisée 2]",
    }
    assert "'NULL'" in previewed("users")[1]


def test_what_is_shown_is_what_a_run_publishes(place: Place, previewed: Previewed) -> None:
    place.in_origin("DROP TABLE undecided; UPDATE users SET city = 'Lyon'")
    assert previewed("users", "--rows", "1000")[0] == 0
    pipeline.run(place.job(), place.rules(RULES.replace("k_anonymity", "#")), *place.databases(), lambda: KEY)
    shown = previewed("users", "--rows", "1000")[1]
    for column in ("name", "born", "note"):
        published = place.read(f"SELECT coalesce({column}::text, 'NULL') FROM shop.users ORDER BY id")
        lines = [line.rpartition("  ")[2] for line in shown.splitlines() if line.startswith(f"  {column} ")]
        assert lines == [value for (value,) in published], column


def test_a_preview_has_a_key_of_its_own_each_time(previewed: Previewed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ETL_PSEUDONYM_KEY", KEY.hex())
    (first, second) = (
        next(line for line in previewed("users", "--rows", "1")[1].splitlines() if line.startswith("  mail"))
        for _ in range(2)
    )
    assert first != second


def test_no_raw_value_of_a_masked_column_leaves_the_origin(previewed: Previewed) -> None:
    out = previewed("users")[1] + previewed("visits")[1] + previewed('Odd " näme')[1]
    assert [raw for raw in ("Marie", "MARIE", "Paul", "marie@", "02-03", "secret") if raw in out] == []


def test_a_long_value_is_cut_in_the_origin_and_a_table_without_a_key_says_so(
    previewed: Previewed, monkeypatch: pytest.MonkeyPatch
) -> None:
    received: list[stage.Rows] = []

    def receiving(*arguments: Any, **named: Any) -> stage.Rows:
        received.append(stage.read_rows(*arguments, **named))
        return received[-1]

    monkeypatch.setattr(preview, "read_rows", receiving)
    status, out, _ = previewed('Odd " näme')
    assert status == 0
    assert "the table has no key that masks can show" in out
    assert out.splitlines()[-1] == f"  long  as it is  {'é' * 119}…"
    assert received == [[("[valeur unique anonymisée 1]", "é" * 121)]]


@pytest.mark.parametrize("name", ["visits_2026", "visits", "public.visits"])
def test_a_partition_stands_for_its_root_and_a_schema_may_be_named(name: str, previewed: Previewed) -> None:
    status, out, _ = previewed(name)
    assert (status, "[valeur unique anonymisée 1]" in out) == (0, True)
    note = "note: visits_2026 is a partition, and is published within visits"
    assert (note in out.splitlines()) == (name == "visits_2026")


def test_tables_without_rows_say_why(previewed: Previewed) -> None:
    assert previewed("versions") == (0, "table versions is truncated: it is published without rows\n", "")
    assert previewed("empty") == (0, "table empty: 0 rows as published; nothing was written\n", "")


def test_only_what_the_rules_lack_of_this_table_is_in_the_way(place: Place, previewed: Previewed) -> None:
    status, out, err = previewed("undecided")
    assert (status, out) == (1, "")
    assert "missing rules for table undecided" in err
    assert "users" not in err
    status, out, err = previewed("users", "--rules", place.rules(RULES.replace("city, mood", "mood")))
    assert (status, out) == (1, "")
    assert "missing rule for column users.city" in err
    assert "undecided" not in err


def test_a_key_follows_the_rules_of_the_table_that_it_refers_to(place: Place, previewed: Previewed) -> None:
    place.in_origin(
        "ALTER TABLE users ADD UNIQUE (name); CREATE TABLE quotes (id integer PRIMARY KEY, by text REFERENCES users (name));"
        "INSERT INTO quotes VALUES (7, 'Marie')"
    )
    rules = place.rules(f"{RULES}  - {{table_name: quotes}}\n")
    out = previewed("quotes", "--rules", rules)[1]
    assert "Marie" not in out
    assert "[valeur unique anonymisée 7]" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["userz"], "origin invented-shop: schema public holds no table userz (did you mean users?); want the name of one"),
        (["visits_2025"], "(did you mean visits_2026?)"),
        (["admins"], "origin invented-shop: admins is a view, which no run publishes; want a table"),
        (["a\n\x1b[31m"], r"schema public holds no table a\n\x1b[31m; want"),
    ],
)
def test_a_name_that_is_no_table_is_named(arguments: list[str], message: str, previewed: Previewed) -> None:
    status, out, err = previewed(*arguments)
    assert (status, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1


@pytest.mark.parametrize("rows", ["0", "1001", "-1", "x", "1e3", ""])
def test_a_number_of_rows_is_from_1_to_1000(rows: str, previewed: Previewed, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        previewed("users", f"--rows={rows}")
    assert ended.value.code == 2
    assert "want a number from 1 to 1000" in capsys.readouterr().err


def test_a_missing_right_names_its_grant(place: Place, previewed: Previewed, monkeypatch: pytest.MonkeyPatch) -> None:
    role = sql.Identifier(f"viewer_{place.number}")
    with psycopg.connect(place.origin_server.url(place.name), autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(role, sql.Literal(PASSWORD)))
        try:
            url = place.origin_server.url(place.name, f"viewer_{place.number}", PASSWORD)
            monkeypatch.setenv("ORIGIN_DB_URL", url)
            status, out, err = previewed("visits")
            assert (status, out) == (1, "")
            grant = err.partition(f"{place.in_its_origin}: ")[2]
            assert grant.startswith('GRANT SELECT ("id") ON TABLE "public"."visits" TO'), err
            place.in_origin(grant, superuser=True)
            assert previewed("visits")[0] == 0
        finally:
            connection.execute(sql.SQL("DROP OWNED BY {}").format(role))
            connection.execute(sql.SQL("DROP ROLE {}").format(role))


@pytest.mark.parametrize("encoding", ["SQL_ASCII", "LATIN1"])
def test_a_database_of_another_encoding_has_its_values_cut_between_characters(
    encoding: str, place: Place, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    place.recode_origin(encoding)
    place.in_origin("CREATE TABLE notes (id integer, note text)")
    with psycopg.connect(place.origin_url, client_encoding="utf8") as connection:
        connection.execute("INSERT INTO notes VALUES (1, %s)", [f"x{'é' * 200}"])
    for name, value in {"APP": "invented-shop", "ORIGIN_DB_URL": place.origin_url}.items():
        monkeypatch.setenv(name, value)
    rules = place.rules("tables: [{table_name: notes, non_anonymized_column_names: [id, note]}]")
    assert preview.main(["notes", "--rules", rules]) == 0
    assert capsys.readouterr().out.splitlines()[-1].endswith(f"  x{'é' * 118}…")


def test_a_pooler_that_drops_the_keys_of_pseudonyms_is_named(
    place: Place, previewed: Previewed, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pooled(place.origin_url, "session", ignored=["options"]) as origin:
        monkeypatch.setenv("ORIGIN_DB_URL", origin)
        status, out, err = previewed("users")
        assert (status, out) == (1, "")
        assert err.startswith(
            "error: origin invented-shop: reading 5 rows of table users failed: unrecognized configuration"
        )
        assert err.endswith(
            "(42704); if the URL leads to a pooler (such as PgBouncer), use the server's own address and port\n"
        )
        assert previewed("visits")[0] == 0


def test_a_preview_that_takes_too_long_gives_up(place: Place, previewed: Previewed, monkeypatch: pytest.MonkeyPatch) -> None:
    place.in_origin("INSERT INTO users (name, mail) SELECT n, n || '@exemple.example' FROM generate_series(10, 2000) AS n")
    monkeypatch.setattr(stage, "TIMEOUT", 0.001)
    status, out, err = previewed("users", "--rows", "1000")
    assert (status, out) == (1, "")
    assert (
        "reading 1000 rows of table users failed: canceling statement due to statement timeout (57014); it took more" in err
    )


def test_a_preview_of_a_huge_table_reads_its_first_rows_alone(place: Place) -> None:
    many = "FROM generate_series(10, 50000) AS n"
    place.in_origin(
        f"""{ORIGIN}; INSERT INTO visits SELECT n, 'x' {many}; INSERT INTO users (name) SELECT n {many};
        INSERT INTO "Odd "" näme" SELECT n {many}; ANALYZE"""
    )
    with connect(place.databases()[0], "test") as connection:
        catalog = read_catalog(connection, "public")
        plan = make_plan(catalog, compare(parse(RULES), catalog).rules, (), frozenset())
        statements = [
            reading.first_rows(table, "public", 5, 120).as_string().removeprefix("COPY (").removesuffix(") TO STDOUT")
            for table in plan.copied
            if table.name not in ("empty", "undecided")
        ]
    with psycopg.connect(place.origin_url, options="-c etl.ipad_person_email=00 -c etl.opad_person_email=00") as connection:
        for statement in statements:
            ((((explained,),)),) = connection.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}".encode()).fetchall()
            scanned = [node for node in nodes(explained["Plan"]) if "Relation Name" in node]
            assert [node["Node Type"] for node in scanned] == ["Seq Scan"]
            assert scanned[0]["Plan Rows"] > 40000
            assert scanned[0]["Actual Rows"] <= 6
    assert len(statements) == 3


def nodes(plan: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Give a node of an execution plan, and all below it."""
    yield plan
    for child in plan.get("Plans", ()):
        yield from nodes(child)
