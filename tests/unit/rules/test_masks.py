"""Rules of masks: whatever a file says is recalled from the record, and from the entry that is pasted, as it was read."""

import json
from collections.abc import Sequence
from contextlib import suppress
from decimal import Decimal

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from multischema.errors import RulesError
from multischema.masks.known import KINDS
from multischema.masks.mask import Refined, Unreadable
from multischema.rules.file import TableRules, parse
from multischema.rules.masks import KAnonymity, MaskRule, OnlyWhen, recalled
from multischema.rules.writing import entry

TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8)
NUMBERS = st.integers(-(10**12), 10**12) | st.decimals(-1000, 1000, places=3)
PLAIN = st.none() | TEXTS | NUMBERS | st.lists(TEXTS | NUMBERS, max_size=4)
# what masks are likely to take: each must be able to read some
TAKEN = (
    st.none()
    | st.sampled_from(["year", "week", "person_email", "phone", ["cd62.fr"], ["*.gouv.fr", "a.fr"], [0, Decimal("1.50"), 3]])
    | st.integers(0, 5)
    | st.lists(st.integers(0, 100), min_size=1, max_size=4, unique=True).map(sorted)
    | st.lists(st.text("abcé ,:#'\"\\[]{}\n", min_size=1, max_size=6), min_size=1, max_size=3, unique=True)
)
GATES = st.builds(
    KAnonymity,
    st.lists(TEXTS.filter(bool), min_size=1, max_size=3, unique=True).map(tuple),
    st.integers(2, 1000),
    st.sampled_from(["", "id per"]),
    st.sampled_from(["refuse", "warn"]),
)


def read(kind: str, value: object) -> Refined | None:
    """Return the mask that a value describes, None if it describes none."""
    with suppress(Unreadable):
        return KINDS[kind].read(value)
    return None


@st.composite
def masks(draw: st.DrawFn) -> MaskRule:
    """Return any mask that a file can describe."""
    kind = draw(st.sampled_from(sorted(KINDS)))
    mask = draw(st.none() | TAKEN.map(lambda value: read(kind, value)).filter(bool))
    if draw(st.booleans()) and mask:
        return MaskRule(mask)
    if draw(st.booleans()):
        values = draw(st.lists(st.sampled_from("tf"), min_size=1, max_size=2, unique=True))
        return MaskRule(mask, OnlyWhen("other one", tuple(values), are_booleans=True))
    values = draw(st.lists(TEXTS, min_size=1, max_size=3, unique=True))
    return MaskRule(mask, OnlyWhen(draw(TEXTS.filter(bool)), tuple(values)))


@pytest.mark.parametrize("kind", sorted(KINDS))
@settings(max_examples=200, deadline=None)
@given(st.data())
def test_a_mask_reads_or_refuses_whatever_a_file_can_say_and_says_it_again(kind: str, data: st.DataObject) -> None:
    mask = read(kind, data.draw(PLAIN | TAKEN | st.just({})))
    if mask:
        assert KINDS[kind].read(json.loads(json.dumps(mask.written()))) == mask


@settings(max_examples=200, deadline=None)
@given(masks())
def test_a_rule_is_recalled_from_what_the_record_keeps_of_it(rule: MaskRule) -> None:
    assert recalled(json.loads(json.dumps(rule.written()))) == rule
    assert rule.covers(rule)


@settings(max_examples=200, deadline=None)
@given(masks(), masks(), GATES | st.none())
def test_an_entry_to_paste_says_all_that_the_file_said(one: MaskRule, other: MaskRule, gate: KAnonymity | None) -> None:
    rules = TableRules("a: b", False, frozenset({"é #", "yes"}), frozenset({"c"}), {"é #": one, "yes": other}, gate)
    domains = [rule.mask.written() for rule in (one, other) if rule.mask and rule.mask.kind == "domain"]
    top = f"domains: {json.dumps(domains[0] or [])}\n" if domains else ""
    if domains[1:] and domains[0] != domains[1]:
        return  # the domains are those of the file
    assert parse(f"{top}tables:\n{entry('a: b', rules, ())}").tables == {"a: b": rules}


@pytest.mark.parametrize(
    "found", [{"period": "decade"}, {"nothing": 1}, {"only_when": {"a": ["b"], "c": ["d"]}}, {"period": {}}]
)
def test_what_a_newer_version_wrote_is_recalled_as_nothing(found: dict[str, object]) -> None:
    assert recalled(found) is None


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | TEXTS | st.dates() | st.sampled_from(["year", "a", "b"])
DOCUMENTS = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from([*KINDS, "only_when", "a"]), inner, max_size=3)
    ),
)


@settings(max_examples=300, deadline=None)
@given(DOCUMENTS, DOCUMENTS, DOCUMENTS)
def test_any_masks_are_rules_or_a_rules_error(mask: object, gate: object, domains: object) -> None:
    table = {"table_name": "t", "anonymized_column_names": ["a"], "masks": {"a": mask}, "k_anonymity": gate}
    text = yaml.safe_dump({"tables": [table], "domains": domains}, allow_unicode=True)
    lines: Sequence[str] = ()
    try:
        parse(text)
    except RulesError as error:
        lines = error.problems
    assert all(line and line.splitlines() == [line] for line in lines)
