"""The codes of findings: docs/findings.md has each of them, and the rules can expect each warning that says what is so."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence

from multischema.plan.scan import KINDS
from multischema.rules.expected import EVENTS, STATES
from tests.conftest import ROOT
from tests.unit.test_imports import MODULES

MAKERS = {"Finding": "warning", "problem": "error", "note": "note"}
# what a change of the file publishes or hides, which no check says: docs/rules.md has it
OF_NO_CHECK = ("multischema.rules.changes", "flows.rules.diff")
_CODE = re.compile("[a-z]+(-[a-z0-9]+)*")
_ROW = re.compile(r"^\| `([^`]+)` \| ([a-z, ]+) \| .+ \| .+ \|$", re.MULTILINE)


def made(trees: Sequence[ast.AST]) -> Iterator[tuple[str, str]]:
    """Give the code and the level of each finding that modules make, themselves or by a function that takes its code."""
    nodes = [node for tree in trees for node in ast.walk(tree)]
    functions = [node for node in nodes if isinstance(node, ast.FunctionDef)]
    makers: dict[str, set[tuple[int, str]]] = {name: {(0, level)} for name, level in MAKERS.items()}
    known = -1
    while known != (known := sum(map(len, makers.values()))):  # a function may call one that makes it
        for function in functions:
            names = [argument.arg for argument in function.args.args if argument.arg != "self"]
            if "code" in names:
                called = {
                    name for node in ast.walk(function) if isinstance(node, ast.Call) and (name := _name(node)) in makers
                }
                levels = {level for name in called for _, level in makers[name]}
                makers.setdefault(function.name, set()).update((names.index("code"), level) for level in levels)
    for call in nodes:
        if isinstance(call, ast.Call):
            for place, level in makers.get(_name(call), ()):
                code = call.args[place] if len(call.args) > place else None
                if isinstance(code, ast.Constant) and _CODE.fullmatch(str(code.value)):
                    yield str(code.value), level


def _name(call: ast.Call) -> str:
    return str(getattr(call.func, "id", getattr(call.func, "attr", "")))


def in_code() -> dict[str, set[str]]:
    """Return the levels of each code that multischema and the flow make findings of a check or a run with."""
    paths = [path for name, path in MODULES.items() if name not in ("multischema.findings", *OF_NO_CHECK)]
    found: defaultdict[str, set[str]] = defaultdict(set)
    for code, level in made([ast.parse(path.read_text()) for path in paths]):
        found[code].add(level)
    for kind in KINDS.values():  # its counts say of which level what a detector finds is
        found[kind.code] |= {kind.worst, kind.alone, "warning", "note"}
    return found


def test_each_code_is_explained_with_its_level_and_nothing_else_is() -> None:
    rows = _ROW.findall((ROOT / "docs" / "findings.md").read_text())
    assert len(rows) == len(dict(rows))
    explained = {code: set(re.findall("error|warning|note", levels)) for code, levels in rows}
    found = in_code()
    assert {code: sorted(found[code]) for code in sorted(found.keys() - explained.keys())} == {}, "without a row"
    assert sorted(explained.keys() - found.keys()) == [], "rows of no finding"
    assert explained == found


def test_the_rules_know_of_each_warning_whether_it_can_be_expected() -> None:
    warnings = {code for code, levels in in_code().items() if "warning" in levels}
    assert sorted(warnings - STATES - EVENTS) == [], "neither a state nor an event"
    assert sorted((STATES | EVENTS) - warnings) == [], "of no warning"


def test_a_code_is_found_through_functions_of_other_modules_that_take_it() -> None:
    wrappers = (
        "def refuse(code, what):\n    return problem(code, what)\ndef at(self, node, code):\n    return refuse(code, node)"
    )
    source = 'refuse("a-b", "x")\nplace.at(node, "e-f")\nfindings.Finding("c", "y")\nother("d", "z")'
    assert sorted(made([ast.parse(wrappers), ast.parse(source)])) == [("a-b", "error"), ("c", "warning"), ("e-f", "error")]
