"""The codes of findings: docs/findings.md has each of them, and the rules can expect each warning that says what is so."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator

from multischema.rules.expected import EVENTS, STATES
from tests.conftest import ROOT
from tests.unit.test_imports import MODULES

MAKERS = {"Finding": "warning", "problem": "error", "note": "note"}
_CODE = re.compile("[a-z]+(-[a-z0-9]+)*")
_ROW = re.compile(r"^\| `([^`]+)` \| (warning|error|note|error or warning) \| .+ \| .+ \|$", re.MULTILINE)


def made(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """Give the code and the level of each finding that a module makes, itself or by a function that takes its code first."""
    functions = {node.name: node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    makers = {name: {level} for name, level in MAKERS.items()}
    makers |= {name: levels for name, node in functions.items() if _first(node) == "code" and (levels := _levels(node))}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            for level in makers.get(_name(node), ()):
                if isinstance(code := node.args[0].value, str) and code:
                    yield code, level


def _first(function: ast.FunctionDef) -> str:
    names = [argument.arg for argument in function.args.args if argument.arg != "self"]
    return names[0] if names else ""


def _levels(function: ast.FunctionDef) -> set[str]:
    return {MAKERS[name] for node in ast.walk(function) if isinstance(node, ast.Call) and (name := _name(node)) in MAKERS}


def _name(call: ast.Call) -> str:
    return str(getattr(call.func, "id", getattr(call.func, "attr", "")))


def in_code() -> dict[str, set[str]]:
    """Return the levels of each code that multischema and the flow make findings with."""
    found: defaultdict[str, set[str]] = defaultdict(set)
    for name, path in MODULES.items():
        if name != "multischema.findings" and not name.startswith("demo"):
            for code, level in made(ast.parse(path.read_text())):
                found[code].add(level)
    return found


def test_every_code_is_of_words_in_lower_case() -> None:
    assert [code for code in in_code() if not _CODE.fullmatch(code)] == []


def test_each_code_is_explained_with_its_level_and_nothing_else_is() -> None:
    rows = _ROW.findall((ROOT / "docs" / "findings.md").read_text())
    assert len(rows) == len(dict(rows))
    explained = {code: set(levels.split(" or ")) for code, levels in rows}
    found = in_code()
    assert {code: sorted(found[code]) for code in sorted(found.keys() - explained.keys())} == {}, "without a row"
    assert sorted(explained.keys() - found.keys()) == [], "rows of no finding"
    assert explained == found


def test_the_rules_know_of_each_warning_whether_it_can_be_expected() -> None:
    warnings = {code for code, levels in in_code().items() if "warning" in levels}
    assert sorted(warnings - STATES - EVENTS) == [], "neither a state nor an event"
    assert sorted((STATES | EVENTS) - warnings) == [], "of no warning"


def test_a_code_is_found_through_a_function_that_takes_it_first() -> None:
    source = (
        'def refuse(code, what):\n    return problem(code, what)\nrefuse("a-b", "x")\nFinding("c", "y")\nother("d", "z")'
    )
    assert sorted(made(ast.parse(source))) == [("a-b", "error"), ("c", "warning")]
