"""The boundaries of the design, kept by reading the code: each folder has one rule, and arrows run down only.

flows, blocks -> pipeline -> stages -> postgres, dumps, download -> statements -> scan -> plan -> rules -> masks -> catalog
-> words, findings, errors
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
# The rule of each folder of multischema: what of ours it may import beside itself. The pure ones do no I/O.
ROOT_MODULES = ("multischema.words", "multischema.findings", "multischema.errors")
PURE = {
    "catalog": (),
    "masks": ("catalog",),
    "rules": ("catalog", "masks"),
    "plan": ("catalog", "masks", "rules"),
    "scan": ("catalog", "masks", "rules", "plan"),
    "statements": ("catalog", "masks", "rules", "plan", "scan"),
}
# A door owns one outside thing: sessions know no program, programs no session, and neither knows a stage.
DOORS = {
    "dumps": ("catalog",),
    "postgres": (*PURE,),
}
ABOVE = {"stages": (*PURE, *DOORS)}
FOLDERS = {**PURE, **DOORS, **ABOVE}
PURE_MODULES = (*ROOT_MODULES, "multischema.job", "multischema.report")
DOOR_MODULES = ("multischema.download", "multischema.guesses", "multischema.metabase")
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


def folder_of(name: str) -> str | None:
    """Return the folder of multischema that a module is in."""
    parts = name.split(".")
    return parts[1] if parts[0] == "multischema" and len(parts) > 1 and parts[1] in FOLDERS else None


def is_pure(module: str) -> bool:
    """Tell a module that decides from one that does."""
    return folder_of(module) in PURE or is_in(module, *PURE_MODULES)


def forbidden(module: str, name: str) -> str | None:
    """Return why a module may not import a name, None where it may."""
    if name.startswith("."):
        return "imports are absolute"
    if is_in(module, "multischema") and is_in(name, *OUTSIDE):
        return "multischema is plain Python: no Prefect, no flow, no block, no demo, no test"
    if is_in(name, "multischema") and (reason := _upwards(module, name)):
        return reason
    if is_pure(module) and is_in(name, *INPUT_AND_OUTPUT) and not is_in(name, "psycopg.sql"):
        return "a pure module does no I/O"
    if is_in(module, "blocks") and is_in(name, "flows"):
        return "blocks know no flow"
    if not is_in(module, "demo") and is_in(name, "demo", "tests"):
        return "the product knows neither the demo nor the tests"
    return None


def _upwards(module: str, name: str) -> str | None:
    """Return why a module of multischema may not import another, by the rule of its folder."""
    own, other = folder_of(module), folder_of(name)
    if is_in(module, *ROOT_MODULES) and not is_in(name, *ROOT_MODULES):
        return "words, findings and errors stand on nothing of ours"
    if own and is_in(name, "multischema.pipeline"):
        return "arrows run down only"
    if own and other and own != other and other not in FOLDERS[own]:
        return f"{own} may import {', '.join(FOLDERS[own]) or 'no other folder'}"
    if is_in(module, *DOOR_MODULES) and other not in (None, "rules"):
        return "a door imports no other door"
    if own in PURE and is_in(name, *DOOR_MODULES, "multischema.report"):
        return "a pure module imports no door"
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


def test_the_flow_stands_at_the_top_and_nothing_but_the_installed_command_and_the_demo_imports_it() -> None:
    importers = {
        module
        for module, path in MODULES.items()
        if any(is_in(name, "flows.etl") for name in imports(ast.parse(path.read_text())))
    }
    assert {module for module in importers if not is_in(module, "demo")} == {"flows.installed"}


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("multischema.pipeline", "import prefect.artifacts"),
        ("multischema.postgres.new", "def f():\n    from flows import stages"),
        ("multischema.plan.new", "from multischema import download"),
        ("multischema.plan.new", "from multischema.postgres.questions import query"),
        ("multischema.plan.new", "from multischema.statements import building"),
        ("multischema.catalog.new", "from multischema.rules.file import Rules"),
        ("multischema.rules.new", "from multischema.plan.plan import Plan"),
        ("multischema.plan.new", "import multischema.pipeline"),
        ("multischema.stages.new", "import multischema.pipeline"),
        ("multischema.plan.new", "import psycopg"),
        ("multischema.plan.new", "from multischema.scan import detectors"),
        ("multischema.scan.new", "from multischema.statements import scanning"),
        ("multischema.statements.new", "from psycopg import errors"),
        ("multischema.rules.new", "from pathlib import Path"),
        ("multischema.rules.new", "from .file import Rules"),
        ("multischema.words", "from multischema.job import Job"),
        ("multischema.postgres.new", "from multischema.dumps.programs import run_command"),
        ("multischema.dumps.new", "from multischema.postgres.sessions import Sessions"),
        ("multischema.postgres.new", "from multischema.stages.run import Run"),
        ("multischema.download", "from multischema.stages.run import Run"),
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
            "from multischema import download\nfrom multischema.stages.check import check\nimport time",
        ),
        ("multischema.plan.new", "from psycopg import sql\nfrom psycopg.sql import SQL\nimport re"),
        ("multischema.postgres.new", "from multischema.postgres.questions import query\nimport psycopg"),
        ("multischema.stages.new", "from multischema.postgres import locks\nfrom multischema.dumps import archives"),
        ("multischema.statements.new", "from multischema.plan.plan import Plan\nfrom multischema.job import Job"),
        ("flows.stages", "import prefect\nfrom blocks import urls\nfrom multischema import pipeline"),
    ],
)
def test_what_the_design_allows_is_no_crossing(module: str, source: str) -> None:
    assert crossings(module, source) == []


def test_a_pure_module_that_opens_a_file_would_be_found() -> None:
    assert builtins("multischema.plan.new", "open('x')") == ["multischema.plan.new calls open(): a pure module does no I/O"]
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
    assert len(made_sql("multischema.plan.new", source)) == 1


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
    assert made_sql("multischema.plan.new", source) == []


@pytest.mark.parametrize("file", sorted((ROOT / "multischema" / "sql").glob("*.sql")), ids=lambda file: file.name)
def test_a_question_has_no_character_that_a_database_of_another_encoding_lacks(file: Path) -> None:
    assert file.read_text().isascii()
