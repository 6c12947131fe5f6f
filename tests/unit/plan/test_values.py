"""Which values of the origin would mean something else for the target, decided from the catalog, settings and versions."""

from dataclasses import replace

import pytest

from multischema.catalog.tables import FieldOfType, Type
from multischema.masks.numbers import Bands, Round
from multischema.plan.plan import Plan, make_plan
from multischema.plan.values import CAPABILITIES, cast_problems, guarded, has_money, masked_constants, money_problems
from multischema.rules.file import Rules, TableRules
from multischema.rules.masks import MaskRule, OnlyWhen
from tests.support.origins import TYPES, catalog, column, oid, table

# numeric is the type of the tests' catalog that has both a default and values that older servers lack
MONEY = {oid("numeric"): replace(TYPES[oid("numeric")], name="money")}


def plan(
    *columns: str,
    masked: str = "",
    types: dict[int, Type] | None = None,
    default: str | None = None,
    rule: MaskRule | None = None,
) -> Plan:
    """Return the plan of a table with these columns, each of the type that its name spells; one may be masked by a rule."""
    users = table(
        "users",
        *(column(name, name, default=default if name == masked else None, not_null=name == masked) for name in columns),
    )
    listed = TableRules(
        "users",
        truncated=False,
        anonymized=frozenset({masked} - {""}),
        non_anonymized=frozenset(columns),
        masks={masked: rule} if rule else {},
    )
    found = catalog(users, types={**TYPES, **(types or {})})
    return make_plan(found, Rules({"users": listed}), (), frozenset())


@pytest.mark.parametrize("digits", [0, 1, 3])
def test_money_of_other_decimals_than_two_is_refused_where_an_amount_is_shown(digits: int) -> None:
    shown = plan("numeric", "numeric[]", "text", types=MONEY)
    assert has_money(shown.catalog)
    assert [line.split(" holds")[0] for line in money_problems("origin shop", shown, digits)] == [
        "origin shop: column users.numeric",
        "origin shop: column users.numeric[]",
    ]
    assert len(money_problems("origin shop", plan("numeric", masked="numeric", types=MONEY, default="7"), digits)) == 1


def test_money_of_a_backup_is_refused_where_an_amount_is_a_rows_own() -> None:
    (line,) = money_problems("backup shop", plan("numeric", "text", types=MONEY), None)
    assert line.startswith("backup shop: column users.numeric holds money, and a backup does not say which")
    assert money_problems("backup shop", plan("numeric", masked="numeric", types=MONEY, default="7"), None) == []


def test_money_that_shows_no_amount_or_has_cents_is_not_refused() -> None:
    assert money_problems("origin shop", plan("numeric", types=MONEY), 2) == []
    assert money_problems("origin shop", plan("numeric", masked="numeric", types=MONEY), 0) == []
    assert not has_money(plan("numeric").catalog)


@pytest.mark.parametrize(("origin", "target"), [(18, 13), (14, 13)])
def test_values_that_are_newer_than_the_target_are_guarded(origin: int, target: int) -> None:
    (users,) = guarded(plan("numeric", "numeric[]", "integer", "text"), origin, target, in_text=False).tables
    assert [guard.column for guard in users.guards] == ["numeric", "numeric[]"]
    assert users.guards[0].what == "infinity, which Postgres 13 can't hold (14 can)"


@pytest.mark.parametrize(("origin", "target"), [(13, 13), (13, 18), (14, 14), (18, 14), (18, 18)])
def test_a_target_that_reads_all_values_needs_no_guard(origin: int, target: int) -> None:
    (users,) = guarded(plan("numeric", "numeric[]", "integer", "text"), origin, target, in_text=True).tables
    assert users.guards == ()


def test_a_masked_column_needs_no_guard() -> None:
    (users,) = guarded(plan("numeric", "text", masked="numeric"), 18, 13, in_text=True).tables
    assert users.guards == ()


def test_a_column_of_which_some_rows_stay_as_they_are_is_looked_at_like_a_clear_one() -> None:
    some = MaskRule(None, OnlyWhen("text", ("a",)))
    (users,) = guarded(plan("numeric", "text", masked="numeric", rule=some), 18, 13, in_text=False).tables
    assert [guard.column for guard in users.guards] == ["numeric"]
    shown = plan("numeric", "text", masked="numeric", rule=some, types=MONEY)
    assert len(money_problems("backup shop", shown, None)) == 1
    address = {oid("address"): replace(TYPES[oid("address")], fields=(FieldOfType("it", oid("citext"), "citext"),))}
    address[oid("citext")] = replace(TYPES[oid("citext")], json_cast="user")
    composite = plan("address", "text", masked="address", rule=some, types=address)
    assert len(cast_problems("origin shop", composite)) == 1
    constants = masked_constants(plan("numeric", "text", masked="numeric", rule=some, default="7"))
    assert constants == {("numeric", "7"): "users.numeric"}


def test_a_mask_that_keeps_infinity_is_guarded_and_others_where_a_raw_table_holds_the_value() -> None:
    for mask, in_text, guards in (
        (Round(1), False, 1),
        (Round(1), True, 1),
        (Bands.read(5), False, 0),
        (Bands.read(5), True, 1),
    ):
        listed = plan("numeric", "text", masked="numeric", rule=MaskRule(mask))
        (users,) = guarded(listed, 18, 13, in_text=in_text).tables
        assert len(users.guards) == guards


def test_a_character_is_guarded_only_where_it_goes_through_a_dump() -> None:
    for in_text in (False, True):
        (users,) = guarded(plan('"char"'), 18, 15, in_text=in_text).tables
        assert len(users.guards) == in_text


def test_each_capability_is_of_a_supported_version() -> None:
    assert {c.type: c.since for c in CAPABILITIES} == {"numeric": 14, "interval": 17, "jsonpath": 17, "char": 16}


def test_constants_of_masks_are_told_with_a_column_that_gets_them() -> None:
    assert masked_constants(plan("numeric", "text", masked="numeric", default="7")) == {("numeric", "7"): "users.numeric"}


def test_only_a_users_cast_to_json_is_refused() -> None:
    address = TYPES[oid("address")]
    for maker, refused in (("user", 1), ("extension", 0), (None, 0)):
        status = replace(TYPES[oid("status")], json_cast=maker)
        home = replace(address, fields=(FieldOfType("status", status.oid, "status"),))
        found = plan("address", "status", types={status.oid: status, address.oid: home})
        assert len(cast_problems("origin shop", found)) == refused
