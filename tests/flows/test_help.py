"""Every command of the project, asked for its help or misspelt, says so and does nothing else."""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from flows.command_line import parser
from flows.etl import etl
from flows.rules import __main__ as rules
from tests.conftest import ROOT
from tests.support.foreign import Foreign, listening

OWN_ENVIRONMENT = {"PATH": "/usr/bin:/bin"}
FOLDERS = ("bench", "blocks", "demo", "deployment", "flows", "multischema")


def modules() -> list[str]:
    """Return what `python -m` runs: modules with a block for that, and packages with a file for it."""
    files = [file for folder in FOLDERS for file in sorted((ROOT / folder).rglob("*.py"))]
    found = [file.relative_to(ROOT) for file in files if "__name__ ==" in file.read_text() or file.name == "__main__.py"]
    return [".".join(file.with_suffix("").parts).removesuffix(".__main__") for file in found]


def scripts() -> list[str]:
    """Return the scripts that an operator, or a host, starts."""
    return [str(file.relative_to(ROOT)) for folder in FOLDERS for file in sorted((ROOT / folder).rglob("*.sh"))]


@pytest.fixture(scope="module")
def foreign() -> Iterator[Foreign]:
    """Return a server that nobody is to call."""
    with listening() as found:
        yield found


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Return a copy of the project's code."""
    for name in (*FOLDERS, "tests"):
        shutil.copytree(ROOT / name, tmp_path / "project" / name, ignore=shutil.ignore_patterns("__pycache__", "cases"))
    for name in ("prefect.toml", "prefect.yaml", "pyproject.toml", "requirements.txt"):
        shutil.copy(ROOT / name, tmp_path / "project" / name)
    return tmp_path / "project"


def test_all_commands_are_found() -> None:
    named = (ROOT / "README.md").read_text() + "".join(page.read_text() for page in (ROOT / "docs").glob("*.md"))
    known = {"prefect", "pytest", "pip", "venv"}
    assert set(re.findall(r"python3? -m ([a-z_.]+[a-z])", named)) - known <= set(modules())
    assert {"blocks.register", "deployment.setup", "deployment.scaleway", "demo", "bench"} <= set(modules())
    assert scripts() == ["deployment/worker.sh"]


@pytest.mark.slow
@pytest.mark.parametrize("command", [*modules(), *scripts()])
def test_a_command_that_is_asked_for_help_or_misspelt_does_nothing(command: str, foreign: Foreign, checkout: Path) -> None:
    (checkout.parent / "home").mkdir()
    environment = foreign.everywhere(checkout, checkout.parent / "home")
    for name in ("SCW_SECRET_KEY", "SCALEWAY_JOB_DEFINITION_ID"):
        environment[name] = "hush"
    before = files(checkout.parent)
    start = ["bash", command] if command.endswith(".sh") else [sys.executable, "-m", command]
    for arguments, status in ((["--help"], 0), (["-h"], 0), (["--no-such-option", *["nonsense"] * 9], 2)):
        said = subprocess.run(
            [*start, *arguments],
            cwd=checkout,
            env={"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin", **environment},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        told, other = (said.stdout, said.stderr) if status == 0 else (said.stderr, said.stdout)
        assert (said.returncode, other) == (status, ""), (arguments, said.stdout, said.stderr)
        assert told.startswith("usage: ")
        assert "hush" not in told
    assert foreign.calls == []
    assert files(checkout.parent) == before


@pytest.mark.slow
@pytest.mark.parametrize("command", [name for name in modules() if name.startswith("flows.")])
@pytest.mark.parametrize("width", [80, 120])
def test_a_help_fits_into_a_terminal(command: str, width: int) -> None:
    asked = [[sys.executable, "-m", command, "--help"]]
    if command == "flows.rules":
        asked += [[sys.executable, "-m", command, name, "--help"] for name in there(rules.COMMANDS)]
    for start in asked:
        said = subprocess.run(
            start, cwd=ROOT, env={**OWN_ENVIRONMENT, "COLUMNS": str(width)}, capture_output=True, text=True, check=True
        )
        assert [line for line in said.stdout.splitlines() if len(line) > width] == [], start


def test_no_command_for_rules_imports_prefect() -> None:
    code = f"""import sys
from contextlib import suppress
from flows.rules.__main__ import main
from flows.installed import main as installed
for name in {there(rules.COMMANDS)}:
    with suppress(SystemExit):
        main([name, "--help"])
    sys.argv = ["multischema-etl", "rules", name, "--help"]
    with suppress(SystemExit):
        installed()
print([name for name in sys.modules if name.partition(".")[0] == "prefect"])"""
    said = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=OWN_ENVIRONMENT, capture_output=True, text=True, check=True
    )
    assert said.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    ("module", "known_as"),
    [("flows.rules_draft", "python -m flows.rules draft"), ("flows.grants", "python -m flows.rules rights")],
)
def test_an_old_spelling_says_the_new_one(module: str, known_as: str) -> None:
    said = subprocess.run(
        [sys.executable, "-m", module, "--help"], cwd=ROOT, env=OWN_ENVIRONMENT, capture_output=True, text=True, check=True
    )
    assert f"This is an old spelling of `{known_as}`, and works as before." in " ".join(said.stdout.split())


def test_the_old_spelling_of_a_check_says_the_new_one_for_whoever_asks_and_not_in_the_form() -> None:
    for prog, known_as in (("python -m flows.etl", "python -m flows.rules check"), ("etl", "etl rules check")):
        assert f"an old spelling of `{known_as}`, which works as before" in " ".join(parser(etl, prog).format_help().split())
    assert "old spelling" not in etl.parameters.properties["check"]["description"]


def test_the_commands_for_rules_name_options_alike_and_say_their_exit_status(capsys: pytest.CaptureFixture[str]) -> None:
    metavars: dict[str, set[str]] = {}
    for name in rules.COMMANDS:
        with pytest.raises(SystemExit):
            rules.main([name, "--help"])
        said = " ".join(capsys.readouterr().out.split())
        assert re.search(r"Exit status: 0, (or )?1 if .* 2 for a usage error\.", said), name
        for option, metavar in re.findall(r"\[(--[a-z-]+) ([A-Z_]+)\]", said):
            metavars.setdefault(option, set()).add(metavar)
    assert metavars["--app"] == metavars["--origin-schema"] == {"NAME"}
    assert {option: of_it for option, of_it in metavars.items() if len(of_it) > 1} == {}


def there(names: Iterable[str]) -> list[str]:
    """Return the commands for rules that have a module."""
    return [name for name in names if find_spec(f"flows.rules.{name}")]


def files(folder: Path) -> set[Path]:
    """Return all that a folder holds, but what Python makes of what it imports."""
    return {path for path in folder.rglob("*") if "__pycache__" not in path.parts}
