"""The tool's version: the one of pyproject.toml, in a checkout, and without it what pip installed."""

import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest

from multischema import version
from tests.conftest import OWN, ROOT


def test_a_checkout_has_the_version_of_its_project() -> None:
    assert version.VERSION == version.read() == tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]


def test_code_that_is_linked_into_another_folder_has_the_version_of_its_project() -> None:
    look = "from multischema.version import VERSION; print(VERSION)"
    said = subprocess.run([sys.executable, "-c", look], cwd=OWN, capture_output=True, text=True, check=True)
    assert said.stdout == f"{version.VERSION}\n"


def test_beside_what_pip_installed_the_file_of_another_project_does_not_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = tmp_path / "pyproject.toml"
    monkeypatch.setattr(version, "_PROJECT", project)
    monkeypatch.setattr(metadata, "version", lambda name: f"installed {name}")
    assert version.read() == "installed multi-schema-postgres-etl"
    project.write_text("[project]\nname = 'other'\nversion = '9'")
    assert version.read() == "installed multi-schema-postgres-etl"


def test_code_that_was_copied_without_its_project_has_an_unknown_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(version, "_PROJECT", tmp_path / "pyproject.toml")
    monkeypatch.setattr(version, "_NAME", "no-such-project")
    assert version.read() == "unknown"


@pytest.mark.parametrize(
    "content",
    [
        b"[project",
        b"[project]\nname = 'multi-schema-postgres-etl'",
        b"project = 'multi-schema-postgres-etl'",
        "[project]\nname = 'é'".encode("latin-1"),
    ],
)
def test_a_project_that_can_not_be_read_costs_no_run(
    content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = tmp_path / "pyproject.toml"
    project.write_bytes(content)
    monkeypatch.setattr(version, "_PROJECT", project)
    assert version.read() == "unknown"
