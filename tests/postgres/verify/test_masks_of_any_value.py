"""Whatever the value: its mask is what arithmetic says, each server verifies it, and it is its own mask.

What is expected is computed here from what the mask promises, by none of its code. `--examples 1000` tries more, other ones
each time.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import ROUND_DOWN, ROUND_HALF_UP, Context, Decimal
from fractions import Fraction
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from psycopg import sql

from demo.servers import Server
from multischema.catalog.flat import Flat
from multischema.masks.mask import Masked, Refined
from multischema.masks.numbers import Bands, Round
from multischema.masks.periods import UNITS, Period
from multischema.masks.values import Values
from tests.conftest import PROGRAMS

pytestmark = pytest.mark.slow

PARIS = ZoneInfo("Europe/Paris")
EXACT = Context(prec=500)
BITS = {"smallint": 16, "integer": 32, "bigint": 64}
# the settings that a run's sessions have
SETTINGS = "-c search_path=pg_catalog -c TimeZone=UTC -c DateStyle=ISO -c extra_float_digits=1 -c client_encoding=UTF8"


@dataclass(frozen=True)
class Trial:
    """A mask, the type of its column, values as Postgres reads them, and what each must become."""

    mask: Refined
    type: str
    values: Sequence[str]
    expected: Callable[[str], str | None]


@pytest.fixture
def servers(start_server: Callable[..., Server]) -> Iterator[Sequence[psycopg.Connection[Any]]]:
    """Return a connection to a server of each version."""
    with ExitStack() as stack:
        yield [
            stack.enter_context(psycopg.connect(start_server(name).url(), autocommit=True, options=SETTINGS))
            for name in PROGRAMS
            if int(name.rpartition("-")[2]) >= 14  # before, numeric has no infinity
        ]


def column(type_: str) -> Masked:
    """Return a nullable column of a type, as masks get it."""
    family = "text" if type_ == "text" else "other"
    return Masked(sql.Identifier("value"), Flat(type_, family, "none", ""), type_, False, sql.SQL(""), True)


def ask(connection: psycopg.Connection[Any], asked: sql.Composable, values: Sequence[str | None], type_: str) -> list[Any]:
    """Return what an expression says of values, in their order."""
    query = sql.SQL(
        "SELECT {} FROM (SELECT row, value::{} FROM unnest({}::text[]) WITH ORDINALITY AS v (value, row)) AS v ORDER BY row"
    ).format(asked, sql.SQL(type_), sql.Literal(list(values)))
    return [found for (found,) in connection.execute(query).fetchall()]


def check(servers: Sequence[psycopg.Connection[Any]], trial: Trial) -> None:
    """Mask values on each server, and look at them on each as a target does."""
    masked = column(trial.type)
    published = trial.mask.expression(masked)
    as_text = sql.SQL("({})::{}::text").format(published, sql.SQL(trial.type))  # a table has the type's limits
    wanted = ask(servers[0], sql.SQL("value::text"), [trial.expected(value) for value in trial.values], trial.type)
    for origin in servers:
        found = ask(origin, as_text, trial.values, trial.type)
        assert found == wanted
    for target in servers:
        assert not any(ask(target, trial.mask.violation(masked), wanted, trial.type))
        assert ask(target, as_text, wanted, trial.type) == wanted


# What masks promise.


def start(day: date, unit: str) -> date:
    """Return the first day of the period that a day is in."""
    if unit == "week":
        return day - timedelta(days=day.weekday())
    month = {"year": 1, "quarter": (day.month - 1) // 3 * 3 + 1}.get(unit, day.month)
    return day if unit == "day" else date(day.year, month, 1)


def band(value: Decimal, bounds: Sequence[Decimal], size: Decimal, least: Decimal | None) -> Decimal | None:
    """Return the greatest lower bound, as the type can hold it."""
    if not value.is_finite():
        return None if value.is_nan() or size or value < 0 else bounds[-1]
    if not size:
        return max((bound for bound in bounds if bound <= value), default=None)
    times = Fraction(value) // Fraction(size)
    bound = EXACT.multiply(Decimal(times), size)
    return None if least is not None and bound < least else bound


def plain(number: Decimal | None) -> str | None:
    """Return a number without zeros at its end, None for none."""
    if number is None:
        return None
    text = format(number, "f")
    return (text.rstrip("0").rstrip(".") if "." in text else text) if number else "0"


# Trials.


def near(*numbers: int, least: int, greatest: int) -> st.SearchStrategy[int]:
    """Return whole numbers, many of them near some."""
    steps = st.tuples(st.sampled_from(numbers), st.integers(-9, 9)).map(sum)
    return (steps | st.integers(least, greatest)).filter(lambda number: least <= number <= greatest)


@st.composite
def periods(draw: st.DrawFn) -> Trial:
    """Give dates and times of the calendar that Python has too."""
    unit = draw(st.sampled_from(UNITS))
    type_ = draw(st.sampled_from(["date", "timestamp without time zone", "timestamp with time zone"]))

    def expected(value: str) -> str:
        at = datetime.fromisoformat(value)
        if at.tzinfo is None:
            return start(at.date(), unit).isoformat()
        day = start(at.astimezone(PARIS).date(), unit)
        return datetime.combine(day, time(), PARIS).astimezone(UTC).isoformat()

    if type_ == "date":
        values: st.SearchStrategy[Any] = st.dates(date(2, 1, 1))
    elif type_.endswith("without time zone"):
        values = st.datetimes(datetime(2, 1, 1))
    else:  # before, servers may know other histories of Paris than Python does
        values = st.datetimes(datetime(1950, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC))
    return Trial(Period(unit), type_, [each.isoformat() for each in draw(st.lists(values, min_size=1))], expected)


@st.composite
def bands_of_integers(draw: st.DrawFn) -> Trial:
    """Give whole numbers of each type, often near its ends."""
    type_ = draw(st.sampled_from(sorted(BITS)))
    least, greatest = -(2 ** (BITS[type_] - 1)), 2 ** (BITS[type_] - 1) - 1
    numbers = near(least, 0, greatest, least=least, greatest=greatest)
    if draw(st.booleans()):
        mask = Bands.read(draw(near(1, greatest, least=1, greatest=greatest)))
    else:
        mask = Bands.read(sorted(draw(st.sets(numbers, min_size=1, max_size=5))))
    values = draw(st.lists(numbers, min_size=1))
    return Trial(
        mask,
        type_,
        [str(value) for value in values],
        lambda v: plain(band(Decimal(v), mask.bounds, mask.size, Decimal(least))),
    )


DECIMALS = st.decimals(-10_000, 10_000, places=4, allow_nan=False)
SHORT = st.decimals("-999.99", "999.99", places=2, allow_nan=False)
LONG = st.decimals(allow_nan=False, allow_infinity=False).filter(lambda number: abs(number.adjusted()) < 80)


@st.composite
def bands_of_numerics(draw: st.DrawFn) -> Trial:
    """Give numbers with and without limits, and what is no number."""
    limited = draw(st.booleans())
    numbers = SHORT if limited else DECIMALS | LONG
    if draw(st.booleans()):
        mask = Bands.read(draw((SHORT if limited else DECIMALS).filter(lambda number: number > 0)))
    else:
        mask = Bands.read(sorted(draw(st.sets(SHORT, min_size=1, max_size=5))))
    odd = [Decimal("NaN")] + ([] if limited else [Decimal("Infinity"), Decimal("-Infinity")])
    values = draw(st.lists(numbers | st.sampled_from(odd), min_size=1))
    least = Decimal("-999.99") if limited else None
    return Trial(
        mask,
        "numeric(5,2)" if limited else "numeric",
        [str(value) for value in values],
        lambda v: plain(band(Decimal(v), mask.bounds, mask.size, least)),
    )


@st.composite
def rounded_numerics(draw: st.DrawFn) -> Trial:
    """Give numbers that are rounded half away from zero, or towards zero where the result does not fit."""
    limited = draw(st.booleans())
    decimals = draw(st.integers(0, 1 if limited else 10))
    values = draw(st.lists(SHORT if limited else DECIMALS | LONG | st.just(Decimal("NaN")), min_size=1))

    def expected(value: str) -> str:
        number, place = Decimal(value), Decimal((0, (1,), -decimals))
        if not number.is_finite():
            return value
        rounded = number.quantize(place, ROUND_HALF_UP, EXACT)
        if limited and abs(rounded) >= 1000:
            rounded = number.quantize(place, ROUND_DOWN, EXACT)
        return format(rounded, "f")

    return Trial(Round(decimals), "numeric(5,2)" if limited else "numeric", [str(value) for value in values], expected)


@st.composite
def listed(draw: st.DrawFn) -> Trial:
    """Give texts, some of them listed."""
    texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=5)
    values = draw(st.lists(texts | st.sampled_from(["CAF", "caf", "CAF ", "é", "e\u0301"]), min_size=1, unique=True))
    shown = draw(st.lists(st.sampled_from(values) | st.sampled_from(["CAF", "é"]), min_size=1, unique=True))
    mask = Values.read([text for text in shown if text] or ["MSA"])
    return Trial(mask, "text", values, lambda v: (v if v in mask.values else "[autre]") if v else None)


@pytest.mark.parametrize(
    "trials",
    [periods(), bands_of_integers(), bands_of_numerics(), rounded_numerics(), listed()],
    ids=["periods", "bands of integers", "bands of numerics", "rounded numerics", "values"],
)
def test_a_mask_is_what_arithmetic_says_on_each_server_and_is_its_own_mask(
    servers: Sequence[psycopg.Connection[Any]], trials: st.SearchStrategy[Trial], pytestconfig: pytest.Config
) -> None:
    tried(lambda trial: check(servers, trial), trials, pytestconfig)


@st.composite
def floats(draw: st.DrawFn) -> Trial:
    """Give floats, of which the expected value is not asked for."""
    type_ = draw(st.sampled_from(["real", "double precision"]))
    of_type = partial(st.floats, width=32 if type_ == "real" else 64)
    numbers = of_type() | of_type(min_value=-1000, max_value=1000)
    return Trial(
        Round(draw(st.integers(0, 10))), type_, [repr(number) for number in draw(st.lists(numbers, min_size=1))], str
    )


def check_floats(servers: Sequence[psycopg.Connection[Any]], trial: Trial) -> None:
    """Round floats, and see that each is near its value, has no more decimals, and is taken by each server."""
    assert isinstance(trial.mask, Round)
    masked = column(trial.type)
    as_text = sql.SQL("({})::text").format(trial.mask.expression(masked))
    held = ask(servers[0], sql.SQL("value::float8"), trial.values, trial.type)
    found = ask(servers[0], as_text, trial.values, trial.type)
    for value, text in zip(held, found, strict=True):
        number = float(text)
        if not math.isfinite(value):
            assert text == {math.inf: "Infinity", -math.inf: "-Infinity"}.get(value, "NaN")
            continue
        assert text != "-0"
        # a float32 is as near as its 24 bits let it be
        accuracy = abs(Fraction(value)) / 10 ** (7 if trial.type == "real" else 14)
        assert abs(Fraction(number) - Fraction(value)) <= Fraction(1, 2 * 10**trial.mask.decimals) + accuracy
        if abs(value) < 1e6:
            assert -Decimal(text).as_tuple().exponent <= max(trial.mask.decimals, 0)  # type: ignore[operator]
    for server in servers:
        assert ask(server, as_text, trial.values, trial.type) == found
        assert not any(ask(server, trial.mask.violation(masked), found, trial.type))
        assert ask(server, as_text, found, trial.type) == found


def test_a_rounded_float_is_near_its_value_on_each_server_and_is_its_own_mask(
    servers: Sequence[psycopg.Connection[Any]], pytestconfig: pytest.Config
) -> None:
    tried(lambda trial: check_floats(servers, trial), floats(), pytestconfig)


def tried(check: Callable[[Trial], None], trials: st.SearchStrategy[Trial], pytestconfig: pytest.Config) -> None:
    """Check trials: always the same ones, unless the command line asks for more."""
    examples = pytestconfig.getoption("examples")

    @settings(
        max_examples=examples or 100,
        derandomize=not examples,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=[phase for phase in Phase if phase is not Phase.explain],
        print_blob=True,
    )
    @given(trials)
    def holds(trial: Trial) -> None:
        check(trial)

    holds()
