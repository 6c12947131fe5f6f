"""What the README says is true: its stages, its commands, its options."""

import ast
import importlib.util
import re
import subprocess
import sys
from pathlib import Path

from tests.conftest import OWN, ROOT

README = (ROOT / "README.md").read_text()


def _stages_of_the_flow() -> list[str]:
    tree = ast.parse((ROOT / "flows" / "etl.py").read_text())
    calls = [
        (node.lineno, node.col_offset, node.func.attr)
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id == "stages"
    ]
    return [
        name.replace("_", " ")
        for _, _, name in sorted(calls)
        if name not in ("opened", "refresh", "report_refresh", "make_report")
    ]


def _table_after(heading: str) -> list[str]:
    section = README.split(heading, 1)[1].split("\n## ", 1)[0]
    rows = [line for line in section.splitlines() if line.startswith("| ")]
    return [row.split("|")[1].strip() for row in rows[2:]]


def test_the_stage_table_is_the_flow() -> None:
    assert _table_after("\n## The stages\n") == _stages_of_the_flow()


def test_every_make_command_is_a_target() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    commands = set(re.findall(r"^\$ make ([a-z-]+)", README, re.MULTILINE))
    assert {"demo", "test", "test-all", "check", "install"} <= commands
    assert commands <= targets


def test_every_module_that_is_run_exists() -> None:
    modules = set(re.findall(r"python -m ([a-z_.]+)", README))
    assert {"flows.etl", "flows.rules_draft", "blocks.register"} <= modules
    for module in modules:
        assert importlib.util.find_spec(module), module


def test_the_usage_is_what_the_command_prints(tmp_path: Path) -> None:
    run = subprocess.run(
        [sys.executable, "-m", "flows.etl", "--help"],
        cwd=OWN,
        env={"COLUMNS": "80", "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    shown = README.split("-m flows.etl --help\n", 1)[1].split("```", 1)[0]
    assert run.stdout.startswith(shown)
    assert run.stderr == ""


def test_every_file_and_folder_that_is_named_exists() -> None:
    for name in re.findall(r"`([a-z_]+/(?:[a-z_.]+)?|[a-z.]+\.(?:yaml|md|toml)|\.env\.example)`", README):
        assert (ROOT / name).exists(), name


def test_every_variable_of_the_command_line_is_documented() -> None:
    source = "".join((ROOT / path).read_text() for path in ("flows/command_line.py", "blocks/urls.py", "blocks/register.py"))
    variables = set(re.findall(r'"([A-Z]+(?:_[A-Z]+)*_(?:DB_URL|USERNAME|PATH))"', source)) | {"APP"}
    variables |= set(re.findall(r"^ *schema_reader: .*\$([A-Z_]+)", (ROOT / "prefect.yaml").read_text(), re.MULTILINE))
    documented = set(re.findall(r"^([A-Z_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))
    assert variables == documented
