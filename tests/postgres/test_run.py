"""A run from end to end, without Prefect."""

from multischema.pipeline import Published
from tests.conftest import Place
from tests.support.gates import GATED_ORIGIN, GATED_RULES, gate_in_copy
from tests.support.runs import Running

ORIGIN = """
CREATE TABLE users (id serial PRIMARY KEY, name text, city text);
INSERT INTO users (name, city) VALUES ('Marie', 'Lyon'), ('', 'Brest'), (NULL, 'Nice');
"""
RULES = """
tables:
  - table_name: users
    anonymized_column_names: [name]
    non_anonymized_column_names: [city]
"""


def test_the_reader_sees_masked_rows_of_the_published_schema(place: Place) -> None:
    place.in_origin(ORIGIN)
    place.run(RULES)
    assert place.read("SELECT * FROM shop.users ORDER BY id") == [
        (1, "[valeur unique anonymisée 1]", "Lyon"),
        (2, None, "Brest"),
        (3, None, "Nice"),
    ]
    assert place.schemas() == {"shop"}
    assert place.sessions() == {"origin": 0, "target": 0}


def test_a_second_run_on_unchanged_data_changes_nothing_that_a_reader_sees(place: Place) -> None:
    place.in_origin(ORIGIN)
    place.run(RULES)
    before = place.read("SELECT * FROM shop.users ORDER BY id")
    place.run(RULES)
    assert place.read("SELECT * FROM shop.users ORDER BY id") == before
    assert place.schemas() == {"shop"}


def test_autovacuum_keeps_off_each_table_until_its_indexes_are_built_and_its_statistics_gathered(place: Place) -> None:
    place.in_origin(ORIGIN + GATED_ORIGIN + "CREATE TABLE visits (id serial PRIMARY KEY); CREATE TABLE bare ();")
    rules = RULES + GATED_RULES + "  - {table_name: bare, non_anonymized_column_names: []}\n"
    tables = """
        SELECT relname, reloptions, relnamespace::regnamespace::text ~ '^etl_staging_shop' FROM pg_class
        WHERE relnamespace::regnamespace::text ~ 'shop' AND relkind = 'r' ORDER BY relname
    """
    with gate_in_copy(place) as gate:
        run = Running(place, text=rules + "  - {table_name: visits, truncated: true}\n")
        gate.reached()
        off = ["autovacuum_enabled=false"]
        names = ["bare", "gated", "users", "visits"]
        assert place.read(tables, as_="superuser") == [(name, off, True) for name in names]
        gate.open()
        assert isinstance(run.ended(), Published), run.result
    assert place.read(tables, as_="superuser") == [(name, None, False) for name in names]
    analyzed = "SELECT count(*) FROM pg_stat_user_tables WHERE schemaname = 'shop' AND analyze_count = 1"
    assert place.read(analyzed, as_="superuser") == [(4,)]
