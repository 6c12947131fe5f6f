"""What tests of runs on real servers share."""

from pathlib import Path

import pytest

from multischema.plan import refresh
from tests.conftest import PROGRAMS, Place
from tests.support import readers
from tests.support.readers import Watched


@pytest.fixture
def private(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Have the newest pg_dump and pg_restore come first on the PATH; return the folder where dumps lie."""
    monkeypatch.setenv("PATH", str(PROGRAMS["18"]), prepend=":")
    directory = tmp_path / "temporary"
    directory.mkdir()
    monkeypatch.setenv("TMPDIR", str(directory))
    monkeypatch.setattr("tempfile.tempdir", None)
    return directory


@pytest.fixture(params=readers.KINDS)
def watched(request: pytest.FixtureRequest, place: Place) -> Watched:
    """Return a role that is a reader of the place: the one that Metabase would have, then a schema reader."""
    return readers.watched(place, request.param)


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let any tables and windows be refreshed, however much they are of the bytes: only a doubt makes a run full."""
    monkeypatch.setattr(refresh, "WHOLE_SHARE", 2.0)
    monkeypatch.setattr(refresh, "WINDOW_SHARE", 2.0)
