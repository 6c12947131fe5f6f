"""A run from end to end, without Prefect."""

from tests.conftest import Place

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
