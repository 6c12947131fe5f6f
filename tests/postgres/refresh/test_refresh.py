"""A refresh publishes what a full run would, and only brings what changed."""

from tests.conftest import Place
from tests.support.cases import seen

ORIGIN = """
CREATE TABLE users (id int PRIMARY KEY, email text NOT NULL, name text, slug text UNIQUE, age int);
CREATE TABLE visits (id bigint PRIMARY KEY, user_id int REFERENCES users, at timestamptz);
INSERT INTO users SELECT n, 'u' || n || '@example.org', 'Marie', 's' || n, n % 90 FROM generate_series(1, 2000) AS n;
INSERT INTO visits SELECT n, n % 2000 + 1, '2026-01-01' FROM generate_series(1, 4000) AS n;
"""
RULES = """
tables:
  - table_name: users
    anonymized_column_names: [email, name]
    non_anonymized_column_names: [slug, age]
  - table_name: visits
    non_anonymized_column_names: [at]
"""


def test_a_refresh_brings_what_was_inserted_updated_and_deleted(place: Place) -> None:
    place.in_origin(ORIGIN)
    first = place.run(RULES, refresh="auto")
    assert first.choice.line() == "full: nothing is published yet"
    place.in_origin(
        "UPDATE users SET age = 200 WHERE id <= 10; DELETE FROM visits WHERE user_id = 11; DELETE FROM users WHERE id = 11;"
        "INSERT INTO users VALUES (5000, 'x@example.org', NULL, 's11', 5)"
    )
    second = place.run(RULES, refresh="auto")
    assert second.choice.line() == "refresh: 11 of 5,998 rows in 2 of 2 tables"
    published = sorted(seen(place))
    place.run(RULES, refresh="full")
    assert sorted(seen(place)) == published
