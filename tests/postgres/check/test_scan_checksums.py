"""Checksums as servers compute them, against others written from their definitions; and what is random, which has few."""

import random
import string
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from psycopg import sql

from multischema.postgres.connecting import connect
from multischema.postgres.database import Database
from multischema.postgres.questions import value_of
from multischema.scan.detectors import AT, DETECTORS, DIGITS, NUMBERED

DETECTOR = {detector.name: detector for detector in DETECTORS}


@pytest.fixture(scope="module", params=["16", "18"])
def session(request: pytest.FixtureRequest, start_server: Callable[..., Any]) -> Iterator[psycopg.Connection[Any]]:
    """Return a session of a server."""
    with connect(Database("origin", "shop", start_server(request.param).url()), "test") as connection:
        yield connection


def finds(session: psycopg.Connection[Any], name: str, *texts: str) -> int:
    """Return in how many texts a detector finds what it looks for."""
    text = sql.SQL('its.value COLLATE "C"')
    gates = {gate: sql.SQL("{} ~ {}").format(text, sql.Literal(gate)) for gate in (AT, NUMBERED, DIGITS)}
    return value_of(
        session,
        int,
        sql.SQL("SELECT count(*) FILTER (WHERE {}) FROM unnest({}::text[]) AS its (value)").format(
            DETECTOR[name].condition("text", text, gates), sql.Literal(list(texts))
        ),
    )


def is_card(number: str) -> bool:
    """Tell whether the digits meet Luhn's sum, as its author wrote it: every second one doubled, from the right."""
    total = 0
    for place, digit in enumerate(reversed(number)):
        total += sum(map(int, str(int(digit) * (2 if place % 2 else 1))))
    return total % 10 == 0


def is_iban(text: str) -> bool:
    """Tell whether the rest by 97 of an IBAN is 1, its letters as numbers of two digits."""
    return int("".join(str(int(sign, 36)) for sign in text[4:] + text[:4])) % 97 == 1


@given(st.from_regex(r"4[0-9]{15}", fullmatch=True))
@settings(max_examples=100, deadline=None)
def test_a_card_number_has_luhns_sum(session: psycopg.Connection[Any], number: str) -> None:
    completed = next(number[:-1] + digit for digit in string.digits if is_card(number[:-1] + digit))
    assert finds(session, "card", number) == is_card(number)
    assert finds(session, "card", f"{completed[:4]} {completed[4:8]}-{completed[8:12]} {completed[12:]}") == 1


@given(st.from_regex(r"(FR[0-9]{12}[A-Z0-9]{11}[0-9]{2}|DE[0-9]{20}|GB[0-9]{2}[A-Z]{4}[0-9]{14})", fullmatch=True))
@settings(max_examples=100, deadline=None)
def test_an_iban_has_its_rest(session: psycopg.Connection[Any], text: str) -> None:
    key = 98 - int("".join(str(int(sign, 36)) for sign in f"{text[4:]}{text[:2]}00")) % 97
    completed = f"{text[:2]}{key:02}{text[4:]}"
    assert is_iban(completed)
    grouped = " ".join(completed[place : place + 4] for place in range(0, len(completed), 4))
    expected = sum(is_iban(found.replace(" ", "")) for found in (text, completed, grouped))
    assert finds(session, "iban", text, completed, grouped) == expected


@given(st.from_regex(r"[12][0-9]{2}(0[1-9]|1[0-2])([0-9]{2}|2[AB])[0-9]{6}", fullmatch=True), st.integers(0, 99))
@settings(max_examples=100, deadline=None)
def test_a_nir_has_its_key(session: psycopg.Connection[Any], number: str, other: int) -> None:
    # as INSEE has it: 2A and 2B count as 20 minus one, and minus two, million times ten thousand
    value = int(number.replace("A", "0").replace("B", "0"))
    value -= 1_000_000 if "A" in number else 2_000_000 if "B" in number else 0
    key = 97 - value % 97
    assert finds(session, "nir", f"{number}{key:02}", f"{number} {key:02}") == 2
    assert finds(session, "nir", f"{number}{other:02}") == (other == key)


def test_what_is_random_seldom_looks_personal(session: psycopg.Connection[Any]) -> None:
    chance = random.Random(20)
    number, size = 5_000, 40
    kinds = {
        "hex": ["".join(chance.choices("0123456789abcdef", k=size)) for _ in range(number)],
        "base64": ["".join(chance.choices(string.ascii_letters + string.digits + "+/", k=size)) for _ in range(number)],
        "uuids": [str(uuid.UUID(int=chance.getrandbits(128), version=4)) for _ in range(number)],
        "numbers": [str(chance.randrange(10 ** chance.randrange(1, 9))) for _ in range(number)],
        "decimals": [f"{chance.uniform(-180, 180):.10f}" for _ in range(number)],
        "timestamps": [
            datetime.fromtimestamp(chance.randrange(2**31), UTC).strftime(form)
            for form in ("%Y-%m-%d %H:%M:%S", "%d/%m/%Y %H:%M", "%d-%m-%Y %H:%M:%S", "%Y%m%d%H%M%S", "%d.%m.%Y %H.%M")
            for _ in range(number // 5)
        ],
        "urls": [
            f"https://app.fr/{chance.randrange(10**6)}/{chance.getrandbits(64):x}?page={chance.randrange(99)}"
            for _ in range(number)
        ],
    }
    false = {
        (kind, name): found for kind, texts in kinds.items() for name in DETECTOR if (found := finds(session, name, *texts))
    }
    assert {key: found for key, found in false.items() if found > number / 1000} == {}
