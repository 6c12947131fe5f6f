"""Texts that servers say, in statements: where they stand, and that no session runs several statements for one."""

import ast
from collections.abc import Iterator
from pathlib import Path

from tests.conftest import ROOT

FILES = sorted((ROOT / "multischema").rglob("*.py"))
# the functions that may open a bare connection, or have several statements executed: no text of a server reaches them but
# names and literals
DOORS = {
    "psycopg.connect": {"multischema/postgres/connecting.py connected"},
    "psycopg.Cursor": {"multischema/postgres/connecting.py execute_script"},
    "execute_script": {"multischema/postgres/copying.py _import_snapshot", "multischema/stages/index.py analyze"},
}


def calls(path: Path) -> Iterator[tuple[str, str, ast.Call]]:
    """Give each call of a file with the function that it stands in, and the name that is called."""
    for scope in ast.walk(ast.parse(path.read_text())):
        if isinstance(scope, ast.FunctionDef):
            for node in ast.walk(scope):
                if isinstance(node, ast.Call):
                    yield f"{path.relative_to(ROOT)} {scope.name}", ast.unparse(node.func), node


def test_every_session_refuses_a_text_of_several_statements() -> None:
    found: dict[str, set[str]] = {name: set() for name in DOORS}
    for path in FILES:
        for place, name, _ in calls(path):
            if name in found:
                found[name].add(place)
    assert found == DOORS


# where a text that is no constant of the code becomes SQL, and whose it is
TEXTS = {
    "multischema/catalog/flat.py _of_each_dimension": "names of functions, constants of the code",
    "multischema/catalog/foreign.py type_": "of the origin: a type, which it looks at",
    "multischema/statements/building.py add_foreign_key": "a constant of the code",
    "multischema/statements/history.py complete": "a constant of the code",
    "multischema/statements/reading.py counting_since": "a constant of the code",
    "multischema/postgres/dropping.py drop_members": "of the target: a table, as it spells it",
    "multischema/stages/preconditions.py _remedy": "a message, never executed",
    "multischema/stages/preconditions.py _stranger_problem": "a message, never executed",
    "multischema/stages/raw_schema.py guarded": "of the target: a table, as it spells it",
    "multischema/catalog/tokens.py _spelled_token": "of another server or a backup: a number or a sign, which it looks at",
    "multischema/catalog/tokens.py word_spelled": "of another server or a backup: a word, which it looks at",
}
# texts of the target alone: what it says of its own objects, a statement for each
OF_THE_TARGET = ("multischema/statements/dependants.py", "multischema/statements/grants.py", "multischema/statements/raw.py")


def test_every_text_that_becomes_sql_is_known() -> None:
    found = {
        place
        for path in FILES
        for place, name, call in calls(path)
        if name in ("sql.SQL", "SQL") and not all(_is_constant(argument) for argument in call.args)
    }
    strange = {place for place in found if place not in TEXTS and not place.startswith(OF_THE_TARGET)}
    assert (strange, TEXTS.keys() - found) == (set(), set())


def _is_constant(node: ast.expr) -> bool:
    if isinstance(node, ast.IfExp):
        return _is_constant(node.body) and _is_constant(node.orelse)
    return isinstance(node, ast.Constant)
