"""Each mask of dates, numbers and lists of values, and of some rows, broken on purpose: verify refuses what comes of it."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from psycopg import sql

from multischema.errors import VerifyError
from multischema.masks import periods
from multischema.masks.mask import Mask, Masked
from multischema.masks.numbers import Bands, Round
from multischema.masks.only_when import OnlyWhen
from multischema.masks.periods import Period
from multischema.masks.values import Values
from tests.conftest import Place

ORIGIN = """
CREATE TYPE mood AS ENUM ('calm', 'odd');
CREATE TABLE people (
    id serial PRIMARY KEY, born date, seen_on timestamp NOT NULL, seen_at timestamptz,
    children integer NOT NULL, rooms smallint, income numeric, rent numeric(8,2),
    latitude double precision, height numeric(5,2), weight real, home point,
    fund text, mood mood, kind text, name text, score integer
);
INSERT INTO people
    (born, seen_on, seen_at, children, rooms, income, rent, latitude, height, weight, home, fund, mood, kind, name, score)
VALUES
    ('1980-02-03', '2024-05-06 07:08', '2024-05-06 07:08+00', 2, 3, 1234.5, 1234.56, 48.856, 1.83, 71.25, '(48.856,2.352)',
     'CAF', 'odd', 'private', 'Marie', 7),
    ('1990-01-01', '2024-05-01', '2024-05-05 22:00+00', 1, 5, 1000, 1000, 48.9, 1.8, 71.5, '(48.86,2.35)',
     'msa', 'calm', 'public', 'Paul', 8),
    ('1991-12-31', '2024-06-01 00:00:01', '2023-12-31 23:00+00', 5, 6, 1000.00, 999.99, 2.35, 1.75, 80, '(48.86,2.351)',
     'Marie', 'odd', NULL, 'Ana', 9),
    (NULL, '2024-07-01', NULL, 3, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 'public', NULL, NULL);
"""
RULES = """
tables:
  - table_name: people
    non_anonymized_column_names: [kind]
    anonymized_column_names:
      [born, seen_on, seen_at, children, rooms, income, rent, latitude, height, weight, home, fund, mood, name, score]
    masks:
      born: {period: year}
      seen_on: {period: month}
      seen_at: {period: day}
      children: {bands: [0, 1, 3]}
      rooms: {bands: 5}
      income: {bands: 500}
      rent: {bands: 500}
      latitude: {round: 1}
      height: {round: 1}
      weight: {round: 1}
      home: {round: 2}
      fund: {values: [CAF]}
      mood: {values: [calm]}
      name: {only_when: {kind: [private]}}
      score: {bands: 5, only_when: {kind: [private]}}
"""
Broken = Callable[[Any, Masked], sql.Composable]


def as_it_is(mask: Mask, column: Masked) -> sql.Composable:
    return column.value


def clear(mask: OnlyWhen, column: Masked) -> sql.Composable:
    return mask.clear


def with_zeros(mask: Bands, column: Masked) -> sql.Composable:
    """Return the lower bound with as many decimals as the value has."""
    return sql.SQL("(({value} - mod({value}, {size})))::{type}").format(
        value=column.value, size=sql.Literal(mask.size or 1), type=sql.SQL(column.type)
    )


@pytest.mark.parametrize(
    ("mask", "method", "broken", "rows"),
    [
        (Period, "published", as_it_is, {"born": 2, "seen_on": 2, "seen_at": 1}),
        (Bands, "published", as_it_is, {"children": 2, "rooms": 2, "income": 2, "rent": 2, "score": 2}),
        (Bands, "published", with_zeros, {"children": 2, "income": 2}),
        (Round, "published", as_it_is, {"latitude": 2, "height": 2, "weight": 1, "home": 2}),
        (Values, "published", as_it_is, {"fund": 2, "mood": 2}),
        (OnlyWhen, "expression", clear, {"name": 2, "score": 2}),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) or callable(value) else None,
)
def test_values_that_come_unmasked_are_refused_by_column_and_number_of_rows(
    place: Place,
    monkeypatch: pytest.MonkeyPatch,
    mask: type[Mask],
    method: str,
    broken: Broken,
    rows: Mapping[str, int],
) -> None:
    place.in_origin(ORIGIN)
    place.run(RULES)
    before = place.read("SELECT * FROM shop.people ORDER BY id")
    monkeypatch.setattr(mask, method, broken)
    with pytest.raises(VerifyError) as refused:
        place.run(RULES)
    assert sorted(refused.value.problems) == sorted(
        f"target: column people.{column} holds {number} rows that are not masked" for column, number in rows.items()
    )
    assert place.read("SELECT * FROM shop.people ORDER BY id") == before
    assert place.schemas() == {"shop"}


def test_days_of_another_time_zone_are_refused(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.in_origin(ORIGIN)
    start = Period._start

    def elsewhere(mask: Period, value: sql.Composable, spelling: str) -> sql.Composable:
        with monkeypatch.context() as patched:
            patched.setattr(periods, "_ZONE", "Asia/Tokyo")
            return start(mask, value, spelling)

    def published(mask: Period, column: Masked) -> sql.Composable:
        return elsewhere(mask, column.value, column.flat.spelling)

    monkeypatch.setattr(Period, "published", published)
    with pytest.raises(VerifyError) as refused:
        place.run(RULES)
    assert refused.value.problems == ("target: column people.seen_at holds 3 rows that are not masked",)


def test_rows_are_masked_by_what_the_other_column_holds_in_them(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.in_origin(ORIGIN)
    expression = OnlyWhen.expression

    def of_others(mask: OnlyWhen, column: Masked) -> sql.Composable:
        wrong = OnlyWhen(mask.mask, sql.SQL("({} IS NOT NULL AND NOT {})").format(column.name, mask.condition), mask.clear)
        return expression(wrong, column)

    monkeypatch.setattr(OnlyWhen, "expression", of_others)
    with pytest.raises(VerifyError) as refused:
        place.run(RULES)
    assert refused.value.problems == (
        "target: column people.name holds 2 rows that are not masked",
        "target: column people.score holds 2 rows that are not masked",
    )
