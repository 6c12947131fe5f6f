"""`docs/rules.schema.json`: an editor accepts the rules that the parser accepts, as far as a schema can say."""

import copy
import json
import re
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft7Validator  # type: ignore[import-untyped]

from multischema.errors import RulesError
from multischema.masks.known import KINDS
from multischema.masks.mask import Unreadable
from multischema.masks.periods import UNITS
from multischema.rules import file, refining
from tests.conftest import ROOT

FILE = ROOT / "docs" / "rules.schema.json"
SCHEMA = json.loads(FILE.read_text())
VALIDATOR = Draft7Validator(SCHEMA)
TABLE = SCHEMA["definitions"]["table"]["properties"]
WORDS, MASKS = (part.get("enum") or part["properties"] for part in SCHEMA["definitions"]["mask"]["anyOf"])
GATE = SCHEMA["definitions"]["k_anonymity"]["properties"]
# The parser's problems that a schema can't say: they compare one place of the file with another, or numbers in a list
UNSAID = re.compile(
    "another entry on line|not listed as anonymized|is listed as anonymized; want it in one of the two"
    "|per: .* is one of its columns"
    r"|bands: found a list \(\[.*, .*\]\); want a list of ascending lower bounds"
)
RULES = [*sorted((ROOT / "demo").glob("*.yml")), *sorted((ROOT / "tests" / "cases").glob("*/rules.yml"))]


def problems(text: str) -> list[str]:
    """Return what the parser says of rules."""
    try:
        file.parse(text)
    except RulesError as error:
        return list(error.problems)
    return []


def unfit(text: str) -> list[str]:
    """Return what the schema says of rules, which are read as the parser reads YAML."""
    return [error.message for error in VALIDATOR.iter_errors(yaml.load(text, yaml.CSafeLoader))]


def test_the_schema_is_one_of_draft_7_which_all_editors_read() -> None:
    Draft7Validator.check_schema(SCHEMA)
    assert SCHEMA["$schema"] == "http://json-schema.org/draft-07/schema#"


def test_it_has_the_keys_and_masks_of_the_parser_and_no_other() -> None:
    assert set(SCHEMA["properties"]) == set(file.RULES_KEYS)
    assert set(SCHEMA["properties"]["expected_warnings"]["items"]["properties"]) == set(file.EXPECTED_KEYS)
    assert set(TABLE) == set(file.TABLE_KEYS)
    assert set(MASKS) == {*KINDS, "only_when"}
    assert set(WORDS) == {kind for kind in KINDS if takes_nothing(kind)}
    assert tuple(MASKS["period"]["enum"]) == UNITS
    assert set(GATE) == set(refining.K_ANONYMITY_KEYS)
    assert (GATE["k"]["minimum"], GATE["k"]["maximum"]) == (refining.LEAST_K, refining.GREATEST_K)
    assert GATE["columns"]["maxItems"] == refining.MOST_COMBINED


def takes_nothing(kind: str) -> bool:
    """Tell whether a mask is a word alone."""
    try:
        KINDS[kind].read(None)
    except Unreadable:
        return False
    return True


@pytest.mark.parametrize("rules", RULES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_rules_of_ours_fit(rules: Any) -> None:
    text = rules.read_text()
    assert problems(text) == []
    assert unfit(text) == []


def test_rules_that_the_pages_show_fit() -> None:
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    shown = [block for page in pages for block in re.findall(r"```yaml\n(.*?)```", page.read_text(), re.DOTALL)]
    whole = [block for block in shown if re.search("^tables:", block, re.MULTILINE)]
    assert len(whole) >= 2
    for block in whole:
        assert problems(block) == []
        assert unfit(block) == []
    url = re.search(r"^# yaml-language-server: \$schema=https://\S+/main/(\S+)$", "\n".join(whole), re.MULTILINE)
    assert url
    assert ROOT / url[1] == FILE


def test_its_examples_fit_where_they_stand_and_each_description_is_short() -> None:
    for part in parts(SCHEMA):
        validator = VALIDATOR.evolve(schema=part)
        assert [example for example in part.get("examples", ()) if not validator.is_valid(example)] == []
        assert len(part.get("description", "")) <= 140
    for where in (SCHEMA["properties"], TABLE, MASKS, GATE):
        assert [name for name, of in where.items() if not ("description" in of or "$ref" in of)] == []


def parts(schema: Any) -> Iterator[dict[str, Any]]:
    """Give a schema and all that it consists of."""
    if isinstance(schema, dict):
        yield schema
        for value in schema.values():
            yield from parts(value)
    if isinstance(schema, list):
        for value in schema:
            yield from parts(value)


@pytest.mark.parametrize(
    "comment",
    [
        "# yaml-language-server: $schema=https://raw.githubusercontent.com/o/r/main/docs/rules.schema.json",
        "# $schema: https://raw.githubusercontent.com/o/r/main/docs/rules.schema.json",
        "---\n# yaml-language-server: $schema=./rules.schema.json",
    ],
)
def test_the_line_that_tells_an_editor_of_the_schema_is_none_of_the_rules(comment: str) -> None:
    assert problems(f"{comment}\ntables: [{{table_name: users}}]") == []


COLUMNS = ("id", "name", "birth_date", "yes", "1", "a b", "été")
WRITTEN = (
    *("", " ", "yes", "on", "null", "~", "1", "010", "0", "0.5", "11", "1e3", "\0", "a\nb", "é", "#", "x" * 41, "1a", "A"),
    *("cd62.fr", "*.Cd62.fr", "a@b.fr", "fr", "-.fr", "a..fr", "a." * 126 + "fr", "refuse", "warn", "year", "decade"),
    *("department", "network", "domain", "period", "only_when", "person_email"),
)
COUNTED = (-3, -0.5, 0, 0.5, 1, 2, 2.25, 5, 10, 11, 32, 1000, 1001, 10**30)
NAMES, TEXTS, NUMBERS = st.sampled_from(COLUMNS), st.sampled_from(WRITTEN), st.sampled_from(COUNTED)
SCALARS = st.none() | st.booleans() | NUMBERS | TEXTS
JUNK = st.recursive(
    SCALARS,
    lambda values: st.lists(values, max_size=3) | st.dictionaries(TEXTS | NAMES, values, max_size=2),
    max_leaves=4,
)
REASONS = st.sampled_from(["public", "an office's", "1"])
VALUES = st.lists(TEXTS.filter(lambda text: "\0" not in text) | st.just(7), min_size=1)
ONLY_WHEN = st.fixed_dictionaries({"only_when": st.dictionaries(NAMES, VALUES, min_size=1, max_size=1)})
REFINED = st.one_of(
    *(st.just({word: None}) for word in WORDS),
    st.fixed_dictionaries({"period": st.sampled_from(UNITS)}),
    st.fixed_dictionaries({"bands": st.sampled_from([5, 0.5, [0], [-1, 0.5, 3], "2.5", ["0", 1]])}),
    st.fixed_dictionaries({"round": st.sampled_from([0, 10, "3"])}),
    st.fixed_dictionaries({"values": st.sampled_from([["a"], ["a", "1", "yes"]])}),
    st.fixed_dictionaries({"keys": st.sampled_from([["a"], ["", "a", "a"]])}),
    st.fixed_dictionaries({"pseudonym": st.sampled_from(["person_email", "a"])}),
)
MASK = st.one_of(
    st.sampled_from(sorted(WORDS)), REFINED, ONLY_WHEN, st.builds(lambda mask, when: {**mask, **when}, REFINED, ONLY_WHEN)
)
GATES = st.fixed_dictionaries(
    {"columns": st.lists(NAMES, min_size=1, max_size=3, unique=True)},
    optional={
        "k": st.sampled_from([2, 5, 1000]),
        "per": st.just("person"),
        "on_breach": st.sampled_from(["refuse", "warn"]),
    },
)


@st.composite
def tables(draw: st.DrawFn) -> dict[str, Any]:
    """Make a table's entry that the parser accepts."""
    name = draw(NAMES)
    if draw(st.booleans()):
        return {"table_name": name, "truncated": True, **draw(st.sampled_from([{}, {"masks": None}, {"clear_because": {}}]))}
    masks = draw(st.dictionaries(NAMES, MASK, max_size=2))
    reasons = draw(st.dictionaries(NAMES.filter(lambda column: column not in masks), REASONS, max_size=1))
    anonymized = [*masks, *draw(st.lists(NAMES.filter(lambda column: column not in reasons), max_size=2))]
    entry = {"table_name": name, "anonymized_column_names": anonymized or None, "masks": masks, "clear_because": reasons}
    more = {
        "truncated": st.sampled_from([False, None]),
        "k_anonymity": GATES,
        "non_anonymized_column_names": st.lists(NAMES),
    }
    return {**entry, **draw(st.fixed_dictionaries({}, optional=more))}


DOCUMENTS = st.fixed_dictionaries(
    {"tables": st.none() | st.lists(tables(), max_size=3, unique_by=lambda table: str(table["table_name"]))},
    optional={
        "domains": st.none() | st.lists(st.sampled_from(["cd62.fr", "*.Departement.fr"])),
        "expected_warnings": st.none() | st.lists(st.fixed_dictionaries({"code": REASONS, "object": NAMES}), max_size=2),
    },
)


@st.composite
def broken(draw: st.DrawFn) -> Any:
    """Make a document of which one or two places are something else."""
    document = copy.deepcopy(draw(DOCUMENTS))
    for _ in range(draw(st.integers(1, 2))):
        at = draw(st.sampled_from([(None, None), *places(document)]))
        document = changed(
            document, at, draw(JUNK), draw(st.sampled_from(["set", "drop", "add"])), draw(st.sampled_from(KEYS))
        )
    return document


KEYS = [
    *file.RULES_KEYS,
    *file.TABLE_KEYS,
    *file.EXPECTED_KEYS,
    *refining.K_ANONYMITY_KEYS,
    *KINDS,
    "only_when",
    "other",
    "",
]


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Give each container of a document with each of its keys or indexes."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield value, key
        yield from places(item)


def changed(document: Any, at: tuple[Any, Any], junk: Any, how: str, other: str) -> Any:
    """Return a document with a value replaced or taken out, or with a key that it did not have."""
    container, key = at
    if container is None:
        return junk
    if how == "drop":
        del container[key]
    elif how == "add" and isinstance(container, dict):
        container[other] = junk
    else:
        container[key] = junk
    return document


def written(document: Any) -> str:
    """Return a document as YAML, without anchors."""
    return yaml.safe_dump(json.loads(json.dumps(document)), allow_unicode=True)


def agreed(text: str) -> None:
    """Assert that rules fit the schema if the parser accepts them, but for what no schema can say."""
    found = problems(text)
    if unfit(text):
        assert found, text
    else:
        assert [problem for problem in found if not UNSAID.search(problem)] == [], text


FAST = settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@FAST
@given(DOCUMENTS)
def test_the_schema_accepts_what_the_parser_accepts(document: Any) -> None:
    text = written(document)
    assert problems(text) == []
    assert unfit(text) == []


@FAST
@given(broken())
def test_what_one_of_the_two_refuses_the_other_refuses(document: Any) -> None:
    agreed(written(document))


def anything() -> Iterator[Any]:
    """Give values of all kinds: scalars, lists of one, of two, and of one twice, mappings with these."""
    scalars = (None, True, False, *COUNTED, *WRITTEN)
    lists = [[], ["a", "a"], [1, 1], *([one] for one in scalars), [True, "a"]]
    yield from (*scalars, *lists, *map(list, pairwise(COUNTED)), [str(number) for number in range(33)])
    yield from ({}, {"name": "a"}, {"name": None}, *({"name": value} for value in lists), *({key: ["a"]} for key in WRITTEN))
    yield {"name": ["a"], "id": ["a"]}


def entries(value: Any) -> Iterator[dict[str, Any]]:
    """Give entries of a table that have a value in one of all places, and nothing else that is wrong."""
    for mask in ({kind: value} for kind in (*KINDS, "only_when", "other")):
        yield {"anonymized_column_names": ["id"], "masks": {"id": mask}}
        yield {"anonymized_column_names": ["id"], "masks": {"id": {"period": "year", **mask}}}
    yield {"anonymized_column_names": ["id"], "masks": {"id": value}}
    yield from ({"k_anonymity": {"columns": ["id"], key: value}} for key in (*refining.K_ANONYMITY_KEYS, "other"))
    yield from ({key: value} for key in (*file.TABLE_KEYS, "other"))
    yield from ({"truncated": True, key: value} for key in file.TABLE_KEYS)


@pytest.mark.slow
def test_a_value_in_any_place_is_accepted_by_both_or_by_none() -> None:
    for value in anything():
        for entry in entries(value):
            agreed(json.dumps({"tables": [{"table_name": "users", **entry}]}, ensure_ascii=False))
        for key in (*file.RULES_KEYS, "other"):
            agreed(json.dumps({"tables": [], key: value}, ensure_ascii=False))
        for key in file.EXPECTED_KEYS:
            agreed(json.dumps({"tables": [], "expected_warnings": [{"code": "a", "object": "b", key: value}]}))
