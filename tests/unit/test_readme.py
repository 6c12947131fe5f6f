"""What the README says is true, and what LISEZMOI.md says in French: stages, commands, options, errors."""

import ast
import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from blocks.metabase import VARIABLES
from deployment.alerts import EMAIL, SMTP, WEBHOOK
from deployment.scaleway.api import KEY_VARIABLE
from flows.rules.__main__ import COMMANDS
from flows.variables import declared_variables
from multischema.masks.known import KINDS
from tests.conftest import OWN, ROOT

README = (ROOT / "README.md").read_text()
FRENCH = (ROOT / "LISEZMOI.md").read_text()


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
        if name not in ("opened", "refresh", "report_check", "report_refresh", "make_report")
    ]


def _table_after(heading: str, page: str) -> list[str]:
    section = re.split("\n(?:## |\\*\\*)", page.split(heading, 1)[1], maxsplit=1)[0]
    rows = [line for line in section.splitlines() if line.startswith("| ")]
    return [row.split("|")[1].strip() for row in rows[2:]]


@pytest.mark.parametrize(("heading", "page"), [("\n## The stages\n", README), ("\n## Les étapes\n", FRENCH)])
def test_the_stage_table_is_the_flow(heading: str, page: str) -> None:
    assert _table_after(heading, page) == _stages_of_the_flow()


def test_the_table_of_masks_names_every_mask() -> None:
    rows = re.split("\n\n", README.split("| Mask | For | Published |", 1)[1], maxsplit=1)[0].splitlines()[2:]
    named = {kind for row in rows for kind in re.findall(r"`\{?([a-z]+)", row.split("|")[1])}
    assert named == set(KINDS)


def test_the_table_of_commands_for_rules_names_every_command() -> None:
    rows = re.split("\n\n", README.split("| Command | What it does |", 1)[1], maxsplit=1)[0].splitlines()[2:]
    assert [row.split("|")[1].strip(" `") for row in rows] == list(COMMANDS)


def test_every_make_command_is_a_target() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    commands = set(re.findall(r"^\$ make ([a-z-]+)", README, re.MULTILINE))
    assert {"demo", "test", "test-all", "check", "install"} <= commands
    in_french = set(re.findall(r"[$`] ?make ([a-z-]+)", FRENCH))
    assert {"demo", "install", "deploy"} <= in_french
    assert commands | in_french <= targets


def test_every_module_that_is_run_exists() -> None:
    modules = set(re.findall(r"python -m ([a-z_.]+)", README + FRENCH))
    assert {"flows.etl", "flows.rules", "blocks.register", "flows.status"} <= modules
    for module in modules:
        assert importlib.util.find_spec(module), module


def test_the_french_page_shows_what_the_readme_shows_of_the_demo() -> None:
    shown, picture = (page.split("$ make demo\n", 1)[1].split("```", 1)[0].splitlines() for page in (FRENCH, README))
    assert [line for line in shown if line not in picture] == []


def test_every_error_of_the_french_page_is_one_that_the_code_has() -> None:
    code = re.sub(r'"\s+f?"', "", "".join(path.read_text() for path in sorted((ROOT / "multischema").rglob("*.py"))))
    errors = [cell.strip("`") for cell in _table_after("**3. Que dit l'erreur ?**", FRENCH)]
    assert len(errors) >= 6
    assert [error for error in errors if error not in code] == []


def test_every_alert_of_the_french_page_is_one_that_a_deploy_sets() -> None:
    code = (ROOT / "deployment" / "alerts.py").read_text()
    alerts = [cell.strip("`") for cell in _table_after("**2. Que dit l'alerte ?**", FRENCH)]
    assert alerts[0] == "Failed"
    assert [alert for alert in alerts if alert.casefold() not in code.casefold()] == []


def test_every_variable_and_option_of_the_french_page_exists() -> None:
    files = [path for folder in ("flows", "blocks", "deployment") for path in sorted((ROOT / folder).rglob("*.py"))]
    code = "".join(path.read_text() for path in files)
    named = set(re.findall(r"`([A-Z]+(?:_[A-Z]+)+)`", FRENCH))
    assert {"ETL_DB_URL", "ALERT_WEBHOOK_URL"} <= named
    assert [name for name in sorted(named) if f'"{name}"' not in code] == []
    usage = README.split("-m flows.etl --help\n", 1)[1].split("```", 1)[0]
    # Prefect's, and those of flows.rules and blocks.register: test_docs.py looks at those
    others = {"--watch", "--role", "--new-pseudonym-key", "--rotate-pseudonym-key"}
    assert set(re.findall(r"--[a-z][a-z-]+", FRENCH)) - others <= set(re.findall(r"--[a-z][a-z-]+", usage))


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
    for name in re.findall(r"`([a-z_]+/(?:[a-z_.]+)?|[a-z.]+\.(?:yaml|md|toml)|\.env\.example)`", README + FRENCH):
        assert (ROOT / name).exists(), name


def test_every_variable_of_the_command_line_is_documented() -> None:
    modules = ("flows/command_line.py", "flows/apps.py", "blocks/urls.py", "blocks/register.py")
    source = "".join((ROOT / path).read_text() for path in modules)
    variables = set(re.findall(r'"([A-Z]+(?:_[A-Z]+)*_(?:DB_URL|USERNAME|PATH))"', source)) | {"APP"}
    variables |= set(re.findall(r"^ *schema_reader: .*\$([A-Z_]+)", (ROOT / "prefect.yaml").read_text(), re.MULTILINE))
    documented = set(re.findall(r"^([A-Z_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))
    assert variables == documented


def test_every_variable_of_a_deploy_is_in_the_example() -> None:
    content = yaml.safe_load((ROOT / "prefect.yaml").read_text())
    shown = set(re.findall(r"^(?:# )?([A-Z_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))
    assert set(declared_variables(content)) <= shown
    assert {WEBHOOK, EMAIL, SMTP, KEY_VARIABLE, *VARIABLES.values()} <= shown
