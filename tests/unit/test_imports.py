"""The boundaries of the design, kept by reading the code: imports go one way, pure modules do no I/O, no f-string makes SQL.

etl -> stages, blocks -> pipeline -> doors -> pure: a module imports to the right of its own place only.
"""

import ast
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts): path
    for package in ("multischema", "flows", "blocks", "demo")
    for path in sorted((ROOT / package).rglob("*.py"))
}
# Each door owns one outside thing; what composes doors, the pipeline, is no door. All other modules of multischema are pure.
DOORS = ("multischema.postgres", "multischema.download", "multischema.shell")
PIPELINE = ("multischema.pipeline", "multischema.checking", "multischema.dumping", "multischema.doors")
OUTSIDE = ("prefect", "flows", "blocks", "demo", "tests")
INPUT_AND_OUTPUT = (
    *("asyncio", "ctypes", "fileinput", "glob", "http", "importlib", "io", "logging", "multiprocessing", "os", "pathlib"),
    *("random", "secrets", "shutil", "signal", "socket", "sqlite3", "ssl", "subprocess", "sys", "tempfile", "threading"),
    *("time", "urllib", "dotenv", "psycopg", "pydantic", "requests", "rich", "urllib3"),
)
BUILTINS = ("open", "print", "input", "exec", "eval", "__import__", "breakpoint")
ARE_SQL = ("execute", "executemany", "copy", "SQL", "query")


def imports(tree: ast.AST) -> Iterator[str]:
    """Give the full name of everything that a module imports, wherever in it, such as `multischema.errors.EtlError`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from ("." * node.level + f"{node.module or ''}.{alias.name}" for alias in node.names)


def is_in(name: str, *packages: str) -> bool:
    """Tell whether a name is one of these packages, or in one."""
    return any(name == package or name.startswith(f"{package}.") for package in packages)


def is_pure(module: str) -> bool:
    """Tell a module that decides from one that does."""
    return is_in(module, "multischema") and not is_in(module, *DOORS, *PIPELINE)


def forbidden(module: str, name: str) -> str | None:
    """Return why a module may not import a name, None where it may."""
    if name.startswith("."):
        return "imports are absolute"
    door = next((door for door in DOORS if is_in(module, door)), None)
    if is_in(module, "multischema") and is_in(name, *OUTSIDE):
        return "multischema is plain Python: no Prefect, no flow, no block, no demo, no test"
    if is_pure(module) and is_in(name, *DOORS, *PIPELINE):
        return "a pure module imports no door"
    if is_pure(module) and is_in(name, *INPUT_AND_OUTPUT) and not is_in(name, "psycopg.sql"):
        return "a pure module does no I/O"
    if door and is_in(name, *PIPELINE, *(other for other in DOORS if other != door)):
        return "a door imports no other door"
    if is_in(module, "blocks") and is_in(name, "flows"):
        return "blocks know no flow"
    if not is_in(module, "demo") and is_in(name, "demo", "tests"):
        return "the product knows neither the demo nor the tests"
    return None


def crossings(module: str, source: str) -> list[str]:
    """Return a line for each import of a module that the boundaries forbid."""
    found = ((name, forbidden(module, name)) for name in imports(ast.parse(source)))
    return [f"{module} imports {name}: {reason}" for name, reason in found if reason]


def builtins(module: str, source: str) -> list[str]:
    """Return a line for each built-in function of a pure module that reaches outside."""
    if not is_pure(module):
        return []
    calls = (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call))
    names = (call.func.id for call in calls if isinstance(call.func, ast.Name))
    return [f"{module} calls {name}(): a pure module does no I/O" for name in names if name in BUILTINS]


def made_sql(module: str, source: str) -> list[str]:
    """Return a line for each statement that Python puts together: with an f-string, `%`, `+` or `str.format`."""
    tree = ast.parse(source)
    scopes = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    return sorted({line for scope in (*scopes, tree) for line in _made_in(module, scope)})


def _made_in(module: str, scope: ast.AST) -> Iterator[str]:
    made = {
        target.id
        for node in ast.walk(scope)
        if isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign) and node.value and _is_made(node.value, set())
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
        if isinstance(target, ast.Name) and not isinstance(scope, ast.Module)
    }
    for node in ast.walk(scope):
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if name in ARE_SQL and any(_is_made(argument, made) for argument in node.args):
                yield f"{module}:{node.lineno} puts SQL together for {name}(): compose it with psycopg.sql"


def _is_made(node: ast.AST, names: set[str]) -> bool:
    if isinstance(node, ast.Name):
        return node.id in names
    if isinstance(node, ast.IfExp):
        return _is_made(node.body, names) or _is_made(node.orelse, names)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        on = node.func.value
        plain = isinstance(on, ast.Constant | ast.JoinedStr)
        return (node.func.attr in ("format", "join") and plain) or (
            node.func.attr in ("encode", "strip") and _is_made(on, names)
        )
    if isinstance(node, ast.BinOp):
        return any(
            isinstance(side, ast.Constant | ast.JoinedStr) or _is_made(side, names) for side in (node.left, node.right)
        )
    return isinstance(node, ast.JoinedStr)


@pytest.mark.parametrize("module", MODULES)
@pytest.mark.parametrize("rule", [crossings, builtins, made_sql])
def test_a_module_keeps_within_its_boundaries(module: str, rule: Callable[[str, str], list[str]]) -> None:
    lines = rule(module, MODULES[module].read_text())
    assert not lines, "\n".join(lines)


def test_no_module_imports_itself_through_others() -> None:
    graph = {
        module: {other for name in imports(ast.parse(path.read_text())) for other in MODULES if is_in(name, other)}
        - {module}
        for module, path in MODULES.items()
    }
    left = dict(graph)
    while free := [module for module, needed in left.items() if not needed & left.keys()]:
        for module in free:
            del left[module]
    assert not left, f"these import each other: {', '.join(sorted(left))}"


def test_the_flow_stands_at_the_top_and_nothing_but_the_demo_imports_it() -> None:
    importers = {
        module
        for module, path in MODULES.items()
        if any(is_in(name, "flows.etl") for name in imports(ast.parse(path.read_text())))
    }
    assert {module for module in importers if not is_in(module, "demo")} == set()


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("multischema.pipeline", "import prefect.artifacts"),
        ("multischema.postgres.reads", "def f():\n    from flows import stages"),
        ("multischema.masking", "from multischema import download"),
        ("multischema.masking", "from multischema.postgres.reads import query"),
        ("multischema.masking", "import multischema.pipeline"),
        ("multischema.new", "import psycopg"),
        ("multischema.new", "from psycopg import errors"),
        ("multischema.new", "from pathlib import Path"),
        ("multischema.new", "from .catalog import Table"),
        ("multischema.postgres.copying", "from multischema.download import fetch"),
        ("multischema.download", "from multischema.doors import Doors"),
        ("blocks.urls", "import flows.apps"),
        ("flows.stages", "from tests.conftest import Place"),
    ],
)
def test_a_crossing_would_be_found_and_named(module: str, source: str) -> None:
    (line,) = crossings(module, source)
    assert line.startswith(f"{module} imports ")


@pytest.mark.parametrize(
    ("module", "source"),
    [
        (
            "multischema.pipeline",
            "from multischema import download, ddl\nfrom multischema.postgres import building\nimport time",
        ),
        ("multischema.masking", "from psycopg import sql\nfrom psycopg.sql import SQL\nimport re"),
        ("multischema.postgres.copying", "from multischema.postgres.reads import query\nimport psycopg"),
        ("flows.stages", "import prefect\nfrom blocks import urls\nfrom multischema import pipeline"),
    ],
)
def test_what_the_design_allows_is_no_crossing(module: str, source: str) -> None:
    assert crossings(module, source) == []


def test_a_pure_module_that_opens_a_file_would_be_found() -> None:
    assert builtins("multischema.new", "open('x')") == ["multischema.new calls open(): a pure module does no I/O"]
    assert builtins("multischema.download", "open('x')") == []


@pytest.mark.parametrize(
    "source",
    [
        "c.execute(f'DROP TABLE {x}')",
        "c.execute('DROP TABLE %s' % x)",
        "c.execute('DROP TABLE ' + x)",
        "c.execute('DROP TABLE {}'.format(x))",
        "c.execute(f'DROP TABLE {x}'.encode())",
        "sql.SQL(f'{x}')",
        "SQL('a' if x else f'{x}')",
        "def f():\n    statement = f'DROP TABLE {x}'\n    c.execute(statement)",
        "def f():\n    statement = 'SELECT '\n    statement += f'{x}'\n    c.execute(statement)",
        "with c.copy(f'COPY {x} TO STDOUT'): pass",
    ],
)
def test_sql_put_together_by_python_would_be_found(source: str) -> None:
    assert len(made_sql("multischema.new", source)) == 1


@pytest.mark.parametrize(
    "source",
    [
        "c.execute('SELECT %s', [f'{x}'])",
        "c.execute(sql.SQL('DROP TABLE {}').format(sql.Identifier(x)))",
        "c.execute(ddl.create_table(staging, table))",
        "sql.SQL('' if x else 'ONLY ')",
        "def f():\n    doing = f'copying {x}'\n    c.execute('SELECT 1')",
    ],
)
def test_composed_sql_is_no_finding(source: str) -> None:
    assert made_sql("multischema.new", source) == []


@pytest.mark.parametrize("file", sorted((ROOT / "multischema" / "sql").glob("*.sql")), ids=lambda file: file.name)
def test_a_question_has_no_character_that_a_database_of_another_encoding_lacks(file: Path) -> None:
    assert file.read_text().isascii()
