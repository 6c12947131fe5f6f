"""A table is published with the rows that the origin's own SELECT gives of it, whoever inherits from it, or not at all."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from multischema.errors import CheckError, EtlError
from tests.conftest import PROGRAMS, Place
from tests.support.gates import GATED_ORIGIN, GATED_RULES, gate_in_copy
from tests.support.runs import Running

METRICS = """
CREATE SCHEMA chunks;
CREATE TABLE metrics (id int PRIMARY KEY, at date NOT NULL, name text, value numeric);
CREATE INDEX by_date ON metrics (at);
CREATE TABLE chunks.c1 (PRIMARY KEY (id)) INHERITS (metrics);
CREATE TABLE chunks.c2 (note text) INHERITS (metrics);
INSERT INTO chunks.c1 SELECT n, '2024-01-01', 'Marie', n FROM generate_series(1, 100) AS n;
INSERT INTO chunks.c2 SELECT n, '2024-02-01', 'Jean', n, 'x' FROM generate_series(101, 150) AS n;
INSERT INTO metrics VALUES (0, '2023-01-01', 'Luc', 0);
"""
RULES = "tables: [{table_name: metrics, anonymized_column_names: [name], non_anonymized_column_names: [at, value]}%s]"
TRUNCATED = "tables: [{table_name: metrics, truncated: true}%s]"
COUNT = "SELECT count(*), count(DISTINCT name), sum(value) FROM shop.metrics"
SYSTEM = [name for name in PROGRAMS if name.startswith("system")]


@pytest.fixture(autouse=True)
def clients(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have client programs that are as new as the servers."""
    monkeypatch.setenv("PATH", str(PROGRAMS["18"]), prepend=":")


def refused(place: Place, rules: str, **changes: str) -> list[str]:
    """Return the problems of a run that is refused before anything is made."""
    with pytest.raises(CheckError) as raised:
        place.run(rules, **changes)
    assert place.schemas() == set()
    return list(raised.value.problems)


def test_rows_of_children_in_other_schemas_are_published_with_the_table_of_the_origin_schema(place: Place) -> None:
    place.in_origin(METRICS)
    published = place.run(RULES % "")
    assert place.read(COUNT) == [(151, 151, sum(range(151)))]
    assert published.plan.warnings == (
        "metrics has the rows of chunks.c2, without column note, which only this child has",
        "primary key metrics_pkey of metrics is built as a plain index: rows of children may repeat its keys",
    )
    assert place.read("SELECT indexname FROM pg_indexes WHERE schemaname = 'shop' ORDER BY 1") == [
        ("by_date",),
        ("metrics_pkey",),
    ]
    (plan,) = published.plan.copied
    assert plan.bytes > 3 * 8192


def test_keys_of_a_parent_that_its_children_do_not_have_are_built_as_plain_indexes(place: Place) -> None:
    place.in_origin(
        """
        CREATE SCHEMA far;
        CREATE TABLE people (id int PRIMARY KEY, email text UNIQUE, city text UNIQUE);
        CREATE TABLE far.people () INHERITS (people);
        CREATE TABLE pets (id int PRIMARY KEY, owner_id int REFERENCES people);
        INSERT INTO people VALUES (1, 'marie@example.org', 'Lyon');
        INSERT INTO far.people VALUES (1, 'marie@example.org', 'Lyon');
        INSERT INTO pets VALUES (1, 1);
        """
    )
    people = "{table_name: people, anonymized_column_names: [email], non_anonymized_column_names: [city]}"
    published = place.run(f"tables: [{people}, {{table_name: pets}}]")
    assert published.plan.told().warnings == (
        *(
            f"{kind} {name} of people is built as a plain index: rows of children may repeat its keys"
            for kind, name in (
                ("unique constraint", "people_city_key"),
                ("unique constraint", "people_email_key"),
                ("primary key", "people_pkey"),
            )
        ),
        "foreign key pets_owner_id_fkey of pets left out: people has no such key any more",
    )
    assert published.indexed.warnings == ()
    assert place.read("SELECT id, email, city FROM shop.people") == [(1, "email_anonymise_1@exemple.fr", "Lyon")] * 2
    assert place.read("SELECT indexname::text FROM pg_indexes WHERE tablename = 'people' ORDER BY 1") == [
        ("people_city_key",),
        ("people_email_key",),
        ("people_pkey",),
    ]


@pytest.mark.slow
def test_rows_of_children_in_other_schemas_are_refused_in_mode_dump(place: Place) -> None:
    place.in_origin(METRICS)
    assert refused(place, RULES % "", mode="dump") == [
        "origin shop: table metrics has rows in chunks.c1, which inherits from it; use mode stream"
    ]


def test_no_right_to_a_child_is_needed_that_is_read_through_its_parent(place: Place) -> None:
    place.in_origin(METRICS)
    place.in_origin(
        "REASSIGN OWNED BY " + place.app + " TO postgres; GRANT SELECT ON metrics TO " + place.app, superuser=True
    )
    place.run(RULES % "")
    assert place.read(COUNT) == [(151, 151, sum(range(151)))]


def test_children_of_children_are_read_once_wherever_the_generations_stand(place: Place) -> None:
    place.in_origin(
        METRICS
        + """
        CREATE SCHEMA deep;
        -- of both: one row is one row
        CREATE TABLE deep.both () INHERITS (chunks.c1, chunks.c2);
        INSERT INTO deep.both VALUES (200, '2024-03-01', 'Ève', 200, 'x');
        -- a child that is published, and whose own child is not
        CREATE TABLE visits (id int, name text);
        CREATE TABLE stays (nights int) INHERITS (visits);
        CREATE TABLE deep.stays () INHERITS (stays);
        INSERT INTO visits VALUES (1, 'Marie');
        INSERT INTO stays VALUES (2, 'Jean', 3);
        INSERT INTO deep.stays VALUES (3, 'Luc', 4);
        """
    )
    visits = ", {table_name: visits, anonymized_column_names: [name], non_anonymized_column_names: [id]}"
    stays = ", {table_name: stays, anonymized_column_names: [name], non_anonymized_column_names: [id, nights]}"
    place.run(RULES % (visits + stays))
    assert place.read(COUNT) == [(152, 152, sum(range(151)) + 200)]
    assert place.read("SELECT id FROM shop.visits") == [(1,)]
    assert place.read("SELECT id, nights FROM shop.stays ORDER BY id") == [(2, 3), (3, 4)]


def test_a_family_of_which_some_children_are_published_and_some_are_not_is_refused(place: Place) -> None:
    place.in_origin(METRICS + "CREATE TABLE here () INHERITS (metrics); CREATE TABLE below () INHERITS (chunks.c1);")
    child = ", {table_name: %s, anonymized_column_names: [name], non_anonymized_column_names: [id, at, value]}"
    rules = child % "here" + child % "below"
    assert refused(place, RULES % rules) == [
        "origin shop: table metrics has rows in children that are not published themselves (chunks.c1, chunks.c2) and in "
        "others that are (below, here); move all or none of them into schema public, or truncate the table in the rules"
    ]
    place.run(TRUNCATED % rules)
    assert place.read("SELECT count(*) FROM shop.metrics") == [(0,)]


def test_a_column_that_a_child_may_leave_null_is_published_without_not_null(make_place: Callable[..., Place]) -> None:
    place = make_place("16", "18")
    place.in_origin(METRICS + "ALTER TABLE chunks.c1 ALTER at DROP NOT NULL; UPDATE chunks.c1 SET at = NULL WHERE id = 7;")
    place.run(RULES % "")
    assert place.read("SELECT id FROM shop.metrics WHERE at IS NULL") == [(7,)]


def test_a_child_that_is_truncated_while_its_parent_is_copied_fails_the_run(place: Place) -> None:
    place.in_origin(GATED_ORIGIN + METRICS)
    with gate_in_copy(place) as gate:
        run = Running(
            place, text=f"tables:{GATED_RULES}" + "  - " + (RULES % "").removeprefix("tables: [").removesuffix("]")
        )
        gate.reached()
        with psycopg.connect(place.origin_url, autocommit=True) as connection:
            connection.execute("TRUNCATE chunks.c2")
        gate.open()
        result = run.ended()
    assert isinstance(result, EtlError)
    assert "table metrics was rewritten or truncated while it was copied" in str(result)
    assert place.schemas() == set()


@pytest.mark.parametrize("origin", SYSTEM)
def test_a_foreign_table_that_inherits_is_read_with_its_parent(origin: str, make_place: Callable[..., Place]) -> None:
    place = make_place(origin, "18")
    rows = place.origin_server.directory / "rows"
    rows.write_text("1\tMarie\n2\tJean\n3\tLuc\n")
    place.in_origin(
        f"""
        CREATE EXTENSION file_fdw;
        CREATE SERVER files FOREIGN DATA WRAPPER file_fdw;
        CREATE TABLE metrics (id int, name text);
        CREATE FOREIGN TABLE far () INHERITS (metrics) SERVER files OPTIONS (filename '{rows}');
        GRANT SELECT ON metrics TO {place.app};
        GRANT pg_read_server_files TO {place.app};
        """,
        superuser=True,
    )
    rules = "tables: [{table_name: metrics, anonymized_column_names: [name], non_anonymized_column_names: [id]}]"
    published = place.run(rules)
    assert place.read("SELECT id FROM shop.metrics ORDER BY id") == [(1,), (2,), (3,)]
    assert published.plan.warnings == ()
    # as a partition's, its rules may not be stricter than those that are followed
    stricter = rules.replace("]}]", "]}, {table_name: far, anonymized_column_names: [id]}]")
    with pytest.raises(
        CheckError, match="partition far has rules that anonymize id, but it follows those of metrics, which do not"
    ):
        place.run(stricter)
    with pytest.raises(CheckError, match=r"table metrics has rows in public\.far"):
        place.run(rules, mode="dump")


def test_a_child_of_an_extension_in_the_origin_schema_is_refused_by_name(place: Place) -> None:
    place.in_origin("CREATE TABLE metrics (id int, name text); CREATE TABLE own () INHERITS (metrics);")
    place.in_origin("ALTER EXTENSION plpgsql ADD TABLE own", superuser=True)
    rules = "tables: [{table_name: metrics, anonymized_column_names: [name], non_anonymized_column_names: [id]}]"
    assert refused(place, rules) == [
        "origin shop: table metrics has rows in table own, which inherits from it and belongs to an extension; "
        "stop the inheritance, or truncate the table in the rules"
    ]


def test_schemas_of_which_all_tables_are_read_are_not_told_of_as_not_read(place: Place) -> None:
    place.in_origin(
        METRICS
        + """
        CREATE SCHEMA parts;
        CREATE TABLE visits (id int) PARTITION BY LIST (id);
        CREATE TABLE parts.first PARTITION OF visits FOR VALUES IN (1);
        CREATE TABLE parts.rest PARTITION OF visits DEFAULT PARTITION BY LIST (id);
        CREATE TABLE parts.second PARTITION OF parts.rest DEFAULT;
        CREATE SCHEMA other;
        CREATE TABLE other.alone (id int);
        """
    )
    published = place.run(RULES % ", {table_name: visits, non_anonymized_column_names: [id]}")
    assert published.plan.warnings[0] == "not read: the origin's other schema other"


@pytest.mark.slow
def test_a_backup_whose_tables_have_rows_elsewhere_is_refused_by_name(place: Place, tmp_path: Path) -> None:
    place.in_origin(
        METRICS
        + """
        CREATE TABLE chunks."odd, (Name" () INHERITS (public.metrics, chunks.c1);
        CREATE TABLE "vis its" (id int) PARTITION BY LIST (id);
        CREATE TABLE chunks.visits_1 PARTITION OF "vis its" DEFAULT;
        CREATE TABLE here () INHERITS (metrics);
        CREATE TABLE alone (id int);
        CREATE TABLE chunks.alone (note text DEFAULT 'INHERITS (public.alone)') INHERITS (chunks.c2);
        """
    )
    file = tmp_path / "backup"
    command = [str(PROGRAMS["18"] / "pg_dump"), "--format=custom", f"--file={file}", "--dbname", place.origin_url]
    subprocess.run(command, check=True)
    rest = (
        ", {table_name: vis its, non_anonymized_column_names: [id]}, {table_name: alone, non_anonymized_column_names: [id]}"
    )
    rest += ", {table_name: here, anonymized_column_names: [name], non_anonymized_column_names: [id, at, value]}"
    with pytest.raises(CheckError) as raised:
        place.run(RULES % rest, mode="dump", from_dump=str(file))
    cure = "which is not restored with it; use mode stream, or truncate the table in the rules"
    assert list(raised.value.problems) == [
        f"dump {file}: table metrics has rows in chunks.c1, {cure}",
        f"dump {file}: table metrics has rows in chunks.c2, {cure}",
        f"dump {file}: table metrics has rows in chunks.odd, (Name, {cure}",
        f"dump {file}: table vis its has rows in chunks.visits_1, {cure}",
    ]
    assert place.schemas() == set()


@pytest.mark.parametrize("origin", [name for name in SYSTEM if int(name.rpartition("-")[2]) < 16])
def test_what_a_child_or_a_partition_computes_from_a_masked_column_is_left_out_though_its_parent_computes_nothing(
    origin: str, make_place: Callable[..., Place]
) -> None:
    place = make_place(origin, "18")
    place.in_origin(
        """
        CREATE SCHEMA chunks;
        CREATE TABLE people (id int PRIMARY KEY, email text, city text, label text, town text, code text);
        CREATE TABLE chunks.c1 (
            secret text, label text GENERATED ALWAYS AS (upper(email)) STORED,
            town text GENERATED ALWAYS AS (upper(city)) STORED, code text GENERATED ALWAYS AS (upper(secret)) STORED
        ) INHERITS (people);
        INSERT INTO people VALUES (1, 'marie@x.org', 'Lyon', 'none', 'Lyon', 'none');
        INSERT INTO chunks.c1 (id, email, city, secret) VALUES (2, 'luc@x.org', 'Brest', 'Luc');
        CREATE TABLE visits (id int, email text, city text, label text, town text) PARTITION BY LIST (id);
        CREATE TABLE visits_1 PARTITION OF visits FOR VALUES IN (1);
        CREATE TABLE visits_2 (id int, email text, city text, label text GENERATED ALWAYS AS (upper(email)) STORED,
                               town text GENERATED ALWAYS AS (upper(city)) STORED);
        ALTER TABLE visits ATTACH PARTITION visits_2 FOR VALUES IN (2);
        INSERT INTO visits VALUES (1, 'marie@x.org', 'Lyon', 'none', 'Lyon');
        INSERT INTO visits (id, email, city) VALUES (2, 'luc@x.org', 'Brest');
        """
    )
    rules = (
        "tables: [{table_name: people, anonymized_column_names: [email], non_anonymized_column_names: [city, label, town, "
        "code]}, "
        "{table_name: visits, anonymized_column_names: [email], non_anonymized_column_names: [id, city, label, town]}]"
    )
    published = place.run(rules)
    assert [warning for warning in published.plan.warnings if "computed" in warning] == [
        "people.label left out: it is computed from a masked column",
        "people.code left out: it is computed from a masked column",
        "visits.label left out: it is computed from a masked column",
    ]
    for table in ("people", "visits"):
        assert place.read(f"SELECT to_jsonb(t) - 'email' FROM shop.{table} AS t ORDER BY id") == [
            ({"id": 1, "city": "Lyon", "town": "Lyon"},),
            ({"id": 2, "city": "Brest", "town": "BREST"},),
        ]
    # pg_dump leaves out what a partition computes, and only some of them do
    with pytest.raises(CheckError, match=r"partitions of visits compute column town each in its own way; use mode stream"):
        place.run(rules, mode="dump")
