"""Columns with few different pseudonyms are warned of: how often each one occurs may tell whose it is."""

import pytest

from tests.conftest import Place
from tests.support import ledger

ORIGIN = """
CREATE TABLE people (id int PRIMARY KEY, email text, town text, nothing text);
CREATE TABLE visits (id int PRIMARY KEY, guest text, host uuid, number int);
CREATE TABLE none (id int PRIMARY KEY, guest text);
CREATE TABLE truncated (id int PRIMARY KEY, guest text);
INSERT INTO people SELECT n, 'p' || n || '@exemple.org', 'town ' || n % 40, NULL FROM generate_series(1, 3000) AS n;
INSERT INTO visits SELECT n, 'p' || n % 1500 || '@exemple.org', md5((n % 999)::text)::uuid, n
FROM generate_series(1, 3000) AS n;
INSERT INTO truncated VALUES (1, 'Marie');
"""
RULES = """
tables:
  - table_name: people
    anonymized_column_names: [email, town, nothing]
    masks:
      email: {pseudonym: person_email}
      town: {pseudonym: town}
      nothing: {pseudonym: person_email}
  - table_name: visits
    anonymized_column_names: [guest, host, number]
    masks:
      guest: {pseudonym: person_email}
      host: {pseudonym: host}
  - table_name: none
    anonymized_column_names: [guest]
    masks: {guest: {pseudonym: person_email}}
  - table_name: truncated
    truncated: true
"""
LINE = (
    "{} has about {} pseudonyms: of fewer than 1,000, how often each one occurs may tell whose it is; mask it wholly unless "
    "somebody needs it"
)


def test_columns_with_few_pseudonyms_are_named_with_their_number(place: Place) -> None:
    place.in_origin(ORIGIN)
    assert set(place.run(RULES).warnings) == {LINE.format("people.town", 40), LINE.format("visits.host", 999)}


def test_a_small_table_has_few_pseudonyms_even_if_they_all_differ(place: Place) -> None:
    place.in_origin(ORIGIN + "DELETE FROM people WHERE id > 500; DELETE FROM visits")
    assert set(place.run(RULES).warnings) == {LINE.format("people.town", 40), LINE.format("people.email", 500)}


@pytest.mark.usefixtures("tiny")
def test_a_refresh_says_nothing_of_it(place: Place) -> None:
    place.in_origin(ORIGIN)
    place.run(RULES, refresh="auto")
    place.in_origin("UPDATE people SET town = 'town' WHERE id = 1")
    done = ledger.refresh(place, RULES)
    assert done.refreshed
    assert done.warnings == ()


@pytest.mark.slow
def test_of_a_large_table_the_number_is_an_estimate(place: Place) -> None:
    place.in_origin(
        ORIGIN + "INSERT INTO people SELECT n, 'p' || n || '@exemple.org', 'town ' || n % 700, NULL "
        "FROM generate_series(3001, 200000) AS n"
    )
    lines = [line for line in place.run(RULES).warnings if line.startswith("people.")]
    assert len(lines) == 1
    assert 600 < int(lines[0].split()[3]) < 800
