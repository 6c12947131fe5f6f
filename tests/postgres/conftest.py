"""What tests of runs on real servers share."""

from pathlib import Path

import pytest

from tests.conftest import PROGRAMS


@pytest.fixture
def private(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Have the newest pg_dump and pg_restore come first on the PATH; return the folder where dumps lie."""
    monkeypatch.setenv("PATH", str(PROGRAMS["18"]), prepend=":")
    directory = tmp_path / "temporary"
    directory.mkdir()
    monkeypatch.setenv("TMPDIR", str(directory))
    monkeypatch.setattr("tempfile.tempdir", None)
    return directory
