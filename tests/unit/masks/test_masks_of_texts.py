"""Departments, networks, domains and keys: what the rules may say of them, and what they answer."""

import json

import pytest

from multischema.masks.domains import Domain
from multischema.masks.keys import Keys
from multischema.masks.mask import Refined, Unreadable
from multischema.masks.places import DEPARTMENTS, Department, Network
from multischema.plan.tables import plan_table
from multischema.rules.file import TableRules
from multischema.rules.masks import MaskRule
from tests.support.origins import catalog, column, table


@pytest.mark.parametrize(
    ("kind", "found", "mask", "said"),
    [
        (Department, None, Department(), "department"),
        (Network, None, Network(), "network"),
        (Domain, None, Domain(), "domain"),
        (Domain, [], Domain(), "domain"),
        (Domain, ["cd62.fr", "*.a-b.fr", "cd62.fr"], Domain(("*.a-b.fr", "cd62.fr")), "domain: *.a-b.fr, cd62.fr"),
        (Keys, ["theme"], Keys(("theme",)), "keys: theme"),
        (Keys, ["theme", "it's", "theme", ""], Keys(("theme", "it's", "")), "keys: theme, it's, "),
    ],
)
def test_a_mask_is_read_and_what_it_writes_into_json_is_read_as_the_same(
    kind: type[Refined], found: object, mask: Refined, said: str
) -> None:
    assert kind.read(found) == mask
    assert kind.read(json.loads(json.dumps(mask.written()))) == mask
    assert mask.said() == said


NO_DOMAINS: list[object] = ["cd62.fr", {}, [1], ["CD62.fr"], ["fr"], ["*.fr"], ["*"], ["a.*.fr"], ["a..fr"], ["a@b.fr"]]
NO_KEYS: list[object] = [None, "theme", [], {}, {"theme": 1}, [1], [None], ["theme", ["a"]], ["\0"], ["\ud800"]]


@pytest.mark.parametrize(
    ("kind", "found", "wanted"),
    [
        (Department, "01", "want no value"),
        (Department, [], "want no value"),
        (Network, 16, "want no value"),
        (Network, {}, "want no value"),
        *((Domain, found, r"want domains such as cd62.fr or \*.departement.fr, in lower case") for found in NO_DOMAINS),
        *((Keys, found, "want a list of keys, each as text") for found in NO_KEYS),
    ],
)
def test_what_describes_no_mask_is_refused(kind: type[Refined], found: object, wanted: str) -> None:
    with pytest.raises(Unreadable, match=f"^{wanted}$"):
        kind.read(found)


@pytest.mark.parametrize(
    ("mask", "other", "covers"),
    [
        (Department(), Department(), True),
        (Network(), Network(), True),
        (Domain(), Domain(("cd62.fr",)), True),
        (Domain(("cd62.fr",)), Domain(), False),
        (Domain(("cd62.fr",)), Domain(("cd59.fr", "cd62.fr")), True),
        (Keys(("theme",)), Keys(("locale", "theme")), True),
        (Keys(("theme", "name")), Keys(("theme",)), False),
    ],
)
def test_a_mask_covers_another_that_shows_as_much_or_more(mask: Refined, other: Refined, covers: bool) -> None:
    assert mask.covers(other) == covers


def test_departments_are_those_of_insee_where_somebody_lives() -> None:
    assert len(DEPARTMENTS) == len(set(DEPARTMENTS)) == 96 + 11
    assert {"01", "2A", "2B", "95", "971", "976", "988"} < set(DEPARTMENTS)
    assert {"00", "20", "96", "97", "98", "99", "979", "980", "984", "989"}.isdisjoint(DEPARTMENTS)


@pytest.mark.parametrize(
    ("spelling", "mask", "published"),
    [
        ("text", Department(), ("text", False)),
        ("character varying(5)", Department(), ("character varying", False)),
        ("character varying(45)", Network(), ("character varying", False)),
        ("citext", Domain(), ("text", True)),
        ("jsonb", Keys(("theme",)), ("jsonb", True)),
    ],
)
def test_the_type_stays_without_limit_and_not_null_where_every_value_has_a_mask(
    spelling: str, mask: Refined, published: tuple[str, bool]
) -> None:
    users = table("users", column("value", spelling, not_null=True))
    rules = TableRules("users", False, frozenset(["value"]), frozenset(), {"value": MaskRule(mask)})
    (plan,) = plan_table(users, rules, catalog(users), frozenset()).columns
    assert (plan.type, plan.not_null) == published
