"""`make demo`, as a newcomer runs it, and the README's picture of it."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

PARTS = ("blocks", "demo", "flows", "multischema", "prefect.toml", "prefect.yaml")


def _shape(line: str) -> str:
    """Return a line without what differs from run to run: times, sizes and seconds."""
    return re.sub(r"\s+", " ", re.sub(r"\d\d:\d\d:\d\d|[\d,.]+ (?:[kMG]?B|s)\b|\d+\.\d\d\b", "#", line)).strip()


@pytest.mark.slow
def test_the_demo_prints_what_the_readme_shows_and_can_be_run_again(tmp_path: Path) -> None:
    copy = tmp_path / "project"
    copy.mkdir()
    for part in PARTS:
        if (ROOT / part).is_dir():
            shutil.copytree(ROOT / part, copy / part, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / part, copy / part)
    printed = []
    for _ in range(2):
        run = subprocess.run(
            [sys.executable, "-m", "demo"], cwd=copy, capture_output=True, text=True, timeout=300, check=False
        )
        assert run.returncode == 0, run.stdout + run.stderr
        assert run.stderr == ""
        assert "Traceback" not in run.stdout
        printed.append([_shape(line) for line in run.stdout.splitlines()])
    picture = (ROOT / "README.md").read_text().split("$ make demo\n", 1)[1].split("```", 1)[0]
    for line in picture.splitlines():
        if line not in ("", "…"):
            assert _shape(line) in printed[0], line
    assert "origin rdvs: kept from the last demo" in printed[1]
    report = [line for line in printed[0] if line.startswith("published rdvs for")]
    assert report
    assert report == [line for line in printed[1] if line.startswith("published rdvs for")]
    assert {path.name for path in copy.iterdir()} == {*PARTS, ".demo"}
    assert not list((copy / ".demo").glob("*/data/postmaster.pid"))
