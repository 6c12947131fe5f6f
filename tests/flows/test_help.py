"""Every command of the project, asked for its help or misspelt, says so and does nothing else."""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.support.foreign import Foreign, listening

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


def files(folder: Path) -> set[Path]:
    """Return all that a folder holds, but what Python makes of what it imports."""
    return {path for path in folder.rglob("*") if "__pycache__" not in path.parts}
