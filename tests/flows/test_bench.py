"""The benchmarks: that every way of copying, and every mask, has its line, at a size that measures nothing."""

import re
import subprocess
import sys

import pytest

from multischema.masks.known import KINDS
from tests.conftest import ROOT


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "setting"),
    [
        (["--size", "0.005", "--dominating", "0.5"], "42 tables, 200 indexes, 53 foreign keys"),
        (["--tables", "20", "--delay", "1", "--ways", "stream", "floor", "predecessor"], "20 tables, 60 indexes"),
    ],
)
def test_every_way_of_copying_has_its_line_in_the_table(options: list[str], setting: str) -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "bench", "--rounds", "1", *options], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    shown = {line.split("|")[1].strip() for line in ran.stdout.splitlines() if re.match(r"\| [^|]+ \| [0-9.]+ ", line)}
    every = {"stream", "floor", "raw", "dump", "predecessor", "stream, useful indexes", "stream, the flow", "dump, the flow"}
    assert shown == (set(options[options.index("--ways") + 1 :]) if "--ways" in options else every)
    assert ran.stdout.startswith(setting)
    assert "copy phase of bare pipes: " in ran.stdout


@pytest.mark.slow
def test_every_mask_has_its_line_in_the_table() -> None:
    command = [sys.executable, "-m", "bench.masks", "--rows", "1000", "--rounds", "1"]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    measured = {line.split("|")[1].strip() for line in ran.stdout.splitlines() if re.match(r"\| [^|]+ \| [0-9.]+ ", line)}
    assert measured == {"6 of 30 columns", *(f"{kind}, alone" for kind in KINDS)}
