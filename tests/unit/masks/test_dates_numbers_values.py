"""Masks of dates, numbers and lists of values: what the rules may say, what the record keeps, which shows no more."""

import json
from decimal import Decimal
from typing import Any

import pytest

from multischema.masks.known import KINDS
from multischema.masks.mask import Refined, Unreadable
from multischema.masks.numbers import Bands, Round
from multischema.masks.periods import Period
from multischema.masks.values import Values

HUGE = 10**30


@pytest.mark.parametrize(
    ("kind", "found", "mask", "said"),
    [
        ("period", "year", Period("year"), "period: year"),
        ("bands", [0, 1, 3], Bands((Decimal(0), Decimal(1), Decimal(3))), "bands: 0, 1, 3"),
        ("bands", [Decimal("-1.50"), "2"], Bands((Decimal("-1.5"), Decimal(2))), "bands: -1.5, 2"),
        ("bands", [0.5, HUGE], Bands((Decimal("0.5"), Decimal(HUGE))), f"bands: 0.5, {HUGE}"),
        ("bands", 5, Bands((), Decimal(5)), "bands: 5"),
        ("bands", Decimal("1E+1"), Bands((), Decimal(10)), "bands: 10"),
        ("bands", Decimal("0.0000001"), Bands((), Decimal("0.0000001")), "bands: 0.0000001"),
        ("round", 0, Round(0), "round: 0"),
        ("round", Decimal("10.0"), Round(10), "round: 10"),
        ("values", ["CAF", "l'été"], Values(("CAF", "l'été")), "values: CAF, l'été"),
    ],
)
def test_a_mask_is_read_and_what_the_record_keeps_of_it_is_read_as_the_same(
    kind: str, found: object, mask: Refined, said: str
) -> None:
    assert KINDS[kind].read(found) == mask
    assert KINDS[kind].read(json.loads(json.dumps(mask.written()))) == mask
    assert mask.said() == said


NO_MASKS: dict[str, list[Any]] = {
    "period": [None, "years", "Year", "", 1, ["year"], {}],
    "bands": [
        *[None, [], 0, -5, "five", "", True, {}, "NaN", "Infinity", float("inf"), "1e9999"],
        *[[1, 0], [0, 0], [0, Decimal("0.0")], [0, None], [0, "x"], [[0]], [True], [0, {}]],
    ],
    "round": [None, -1, 11, 1.5, "x", True, [], {}, "NaN"],
    "values": [None, "CAF", [], [""], ["CAF", ""], ["CAF", "CAF"], [1], ["CAF", None], {}],
}


@pytest.mark.parametrize(("kind", "found"), [(kind, found) for kind, several in NO_MASKS.items() for found in several])
def test_what_describes_no_mask_is_refused_with_what_is_wanted(kind: str, found: Any) -> None:
    with pytest.raises(Unreadable, match=r"^want "):
        KINDS[kind].read(found)


@pytest.mark.parametrize(
    ("kind", "wide", "narrow"),
    [
        ("period", "year", "quarter"),
        ("period", "year", "day"),
        ("period", "week", "day"),
        ("bands", [0], [0, 1, 3]),
        ("bands", 10, 5),
        ("bands", "1.5", "0.5"),
        ("round", 0, 1),
        ("values", ["CAF"], ["MSA", "CAF"]),
    ],
)
def test_a_mask_covers_itself_and_those_that_show_more_and_no_other(kind: str, wide: object, narrow: object) -> None:
    one, other = KINDS[kind].read(wide), KINDS[kind].read(narrow)
    assert one.covers(other)
    assert one.covers(one)
    assert not other.covers(one)


@pytest.mark.parametrize(
    ("kind", "one", "other"),
    [
        ("period", "year", "week"),  # a week may tell in which of two years a day is
        ("period", "week", "month"),
        ("bands", [0, 5], [0, 6]),
        ("bands", 10, 4),
        ("bands", [0, 5, 10], 5),
        ("values", ["CAF"], ["MSA"]),
    ],
)
def test_a_mask_that_shows_something_else_covers_none(kind: str, one: object, other: object) -> None:
    assert not KINDS[kind].read(one).covers(KINDS[kind].read(other))
    assert not KINDS[kind].read(other).covers(KINDS[kind].read(one))


@pytest.mark.parametrize(
    ("mask", "type_", "spelling", "misfit"),
    [
        (Bands.read([0, 32767]), "int2", "smallint", None),
        (Bands.read([0, 32768]), "int2", "smallint", "32768 is no smallint; want whole numbers from -32768 to 32767"),
        (Bands.read([-32768]), "int2", "smallint", None),
        (Bands.read([-32769, 0]), "int2", "smallint", "-32769 is no smallint; want whole numbers from -32768 to 32767"),
        (Bands.read(40000), "int2", "smallint", "40000 is no smallint; want whole numbers from -32768 to 32767"),
        (Bands.read([0, "0.5"]), "int4", "integer", "0.5 is no integer; want whole numbers from -2147483648 to 2147483647"),
        (
            Bands.read("2.5"),
            "int8",
            "bigint",
            "2.5 is no bigint; want whole numbers from -9223372036854775808 to 9223372036854775807",
        ),
        (Bands.read(2**63 - 1), "int8", "bigint", None),
        (Bands.read(HUGE), "numeric", "numeric", None),
        (Bands.read(["-999.99", "999.99"]), "numeric", "numeric(5,2)", None),
        (Bands.read([0, 1000]), "numeric", "numeric(5,2)", "1000 is no numeric(5,2); want numbers that a value can be"),
        (Bands.read("0.125"), "numeric", "numeric(5,2)", "0.125 is no numeric(5,2); want numbers that a value can be"),
        (Bands.read(100), "numeric", "numeric(3,-2)", None),
        (Bands.read(50), "numeric", "numeric(3,-2)", "50 is no numeric(3,-2); want numbers that a value can be"),
    ],
)
def test_a_mask_that_does_not_fit_into_its_type_is_refused_with_the_reason(
    mask: Refined, type_: str, spelling: str, misfit: str | None
) -> None:
    assert type_ in mask.fits
    assert mask.misfit(type_, spelling) == misfit


@pytest.mark.parametrize(
    ("mask", "type_", "spelling", "reason"),
    [
        (Period("day"), "date", "date", "a date is a day; use year, quarter, month or week"),
        (Period("day"), "timestamp", "timestamp without time zone", None),
        (Period("week"), "date", "date", None),
        (Round(1), "numeric", "numeric(5,2)", None),
        (Round(2), "numeric", "numeric(5,2)", "it has no more than 2 decimals; use fewer"),
        (Round(0), "numeric", "numeric(3,-2)", "it has no more than 0 decimals; use fewer"),
        (Round(10), "numeric", "numeric", None),
        (Round(10), "float8", "double precision", None),
        (Bands.read(1), "int4", "integer", "each number is a band; use wider ones"),
        (Bands.read(2), "int4", "integer", None),
        (Bands.read("0.01"), "numeric", "numeric(5,2)", "each number is a band; use wider ones"),
        (Bands.read(1), "numeric", "numeric", None),
        (Bands.read([1]), "int4", "integer", None),
    ],
)
def test_a_mask_that_hides_nothing_of_its_type_says_why(
    mask: Refined, type_: str, spelling: str, reason: str | None
) -> None:
    assert mask.hides_nothing(type_, spelling) == reason


def test_a_column_of_bands_may_be_null_and_the_others_keep_their_not_null() -> None:
    masks = [Period("year"), Bands.read(5), Bands.read([0]), Round(1), Values(("CAF",))]
    assert [mask.keeps_not_null for mask in masks] == [True, False, False, True, True]
