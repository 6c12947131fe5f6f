"""`make demo`, as a newcomer runs it, and the README's picture of it."""

import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT, TEMPORARY

PARTS = ("blocks", "demo", "flows", "multischema", "prefect.toml", "prefect.yaml")


def _shape(line: str) -> str:
    """Return a line without what differs from run to run: times, sizes, seconds, ports, pseudonyms and sampled rows."""
    varying = r"\bp_[0-9a-f]{32}\b|\d\d:\d\d:\d\d|[\d,.]+ (?:[kMG]?B|s)\b|\d+\.\d\d\b|(?<=127\.0\.0\.1:)\d+"
    sampled = r"(?<=clear columns of \d\d tables, )[\d,]+"
    return re.sub(r"\s+", " ", re.sub(f"{varying}|{sampled}", "#", line)).strip()


@pytest.fixture
def copy() -> Iterator[Path]:
    """Return a folder for the project, not in pytest's: each pytest that starts takes the rights of others from that."""
    directory = Path(tempfile.mkdtemp(prefix="demo-", dir=TEMPORARY))
    yield directory
    shutil.rmtree(directory, ignore_errors=True)


@pytest.mark.slow
def test_the_demo_prints_what_the_readme_shows_and_can_be_run_again(copy: Path) -> None:
    for part in PARTS:
        if (ROOT / part).is_dir():
            shutil.copytree(ROOT / part, copy / part, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / part, copy / part)
    printed = []
    for _ in range(2):
        run = subprocess.run(
            [sys.executable, "-m", "demo"], cwd=copy, capture_output=True, text=True, timeout=900, check=False
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
    assert any(re.match(r"\d+ people are in both apps: ", line) for line in printed[0])
    report = [line for line in printed[0] if line.startswith("published rdvs for")]
    assert report
    # its servers started anew meanwhile: no run may bring what changed only
    assert report == [line for line in printed[1] if line.startswith("published rdvs for")]
    assert {path.name for path in copy.iterdir()} == {*PARTS, ".demo"}
    assert not list((copy / ".demo").glob("*/data/postmaster.pid"))
    key = copy / ".demo" / "pseudonym-key"
    assert key.stat().st_mode & 0o777 == 0o600
    hidden = key.read_bytes().strip()
    assert re.fullmatch(b"[0-9a-f]{64}", hidden)
    files = [path for path in copy.rglob("*") if path.is_file() and path != key]
    assert [
        path for path in files if hidden in path.read_bytes() or bytes.fromhex(hidden.decode()) in path.read_bytes()
    ] == []
    assert hidden.decode() not in "".join(map("".join, printed))
