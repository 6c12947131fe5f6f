"""The tool's version: the one of pyproject.toml, in a checkout, and without it what pip installed."""

import tomllib
from importlib import metadata
from pathlib import Path

import pytest

from multischema import version
from tests.conftest import ROOT


@pytest.fixture(autouse=True)
def forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the version be looked up anew."""
    monkeypatch.setattr(version, "version", version.version.__wrapped__)


def test_a_checkout_has_the_version_of_its_project() -> None:
    assert version.version() == tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]


def test_beside_what_pip_installed_the_file_of_another_project_does_not_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = tmp_path / "pyproject.toml"
    monkeypatch.setattr(version, "_PROJECT", project)
    monkeypatch.setattr(metadata, "version", lambda name: f"installed {name}")
    assert version.version() == "installed multi-schema-postgres-etl"
    project.write_text("[project]\nname = 'other'\nversion = '9'")
    assert version.version() == "installed multi-schema-postgres-etl"


def test_code_that_was_copied_without_its_project_has_an_unknown_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(version, "_PROJECT", tmp_path / "pyproject.toml")
    monkeypatch.setattr(version, "_NAME", "no-such-project")
    assert version.version() == "unknown"
