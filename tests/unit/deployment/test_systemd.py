"""The units of docs/one-machine.md: what systemd says of them, and that they fit the code and the page."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from deployment import worker
from tests.conftest import ROOT

UNITS = sorted((ROOT / "deployment" / "systemd").glob("*.service"))
PAGE = (ROOT / "docs" / "one-machine.md").read_text()
CODE = "/opt/multi-schema-postgres-etl"
each_unit = pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)


def settings(unit: Path) -> dict[str, list[str]]:
    """Return the values of each setting of a unit."""
    found: dict[str, list[str]] = {}
    for line in unit.read_text().splitlines():
        if line and not line.startswith(("#", "[")):
            name, _, value = line.partition("=")
            found.setdefault(name, []).append(value)
    return found


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="no systemd")
@each_unit
def test_systemd_finds_nothing_wrong(unit: Path, tmp_path: Path) -> None:
    text = unit.read_text().replace(f"{CODE}/.venv/bin/python", sys.executable).replace(CODE, str(ROOT))
    (tmp_path / unit.name).write_text(text)
    run = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", tmp_path / unit.name],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (run.stdout, run.stderr, run.returncode) == ("", "", 0)


@each_unit
def test_a_unit_starts_again_whatever_ended_it_and_never_gives_up(unit: Path) -> None:
    found = settings(unit)
    assert (found["Restart"], found["StartLimitIntervalSec"]) == (["always"], ["0"])
    assert found["WantedBy"] == ["multi-user.target"]


@each_unit
def test_a_unit_has_time_to_stop(unit: Path) -> None:
    found = settings(unit)
    assert "KillSignal" not in found  # SIGTERM, which both take
    assert found["KillMode"] == ["mixed"]
    (patience,) = map(float, found["TimeoutStopSec"])
    assert patience > worker.PARTING + worker.LAST


@each_unit
def test_a_unit_writes_only_where_systemd_lets_it(unit: Path) -> None:
    found = settings(unit)
    assert found["User"] == ["etl"]
    assert (found["ProtectSystem"], found["PrivateTmp"]) == (["strict"], ["true"])
    environment = dict(value.split("=", 1) for value in found["Environment"])
    assert environment.pop("PREFECT_HOME").startswith(f"/var/lib/{found['StateDirectory'][0]}/")
    assert environment in ({}, {"TMPDIR": "/var/tmp"})


@each_unit
def test_a_unit_starts_what_the_code_has(unit: Path) -> None:
    found = settings(unit)
    assert found["WorkingDirectory"] == [CODE]
    (start,) = found["ExecStart"]
    if module := re.fullmatch(rf"{CODE}/\.venv/bin/python -m (\S+)", start):
        assert (ROOT / f"{module[1].replace('.', '/')}.py").is_file()
    else:
        assert (ROOT / start.removeprefix("/usr/bin/bash ")).is_file()


@each_unit
def test_the_page_installs_each_unit_and_makes_what_it_reads_for_nobody_else(unit: Path) -> None:
    assert re.search(rf"\$ sudo cp .*deployment/systemd/{unit.name}.* /etc/systemd/system/\n", PAGE)
    assert f"systemctl enable --now {unit.stem}\n" in PAGE
    (file,) = settings(unit)["EnvironmentFile"]
    assert re.search(rf"\$ sudo install .*-m 0600 /dev/null {re.escape(file.removeprefix(f'{CODE}/'))}\n", PAGE)


def test_the_page_deploys_the_folder_that_the_worker_works_in() -> None:
    assert re.findall(r"^ *ETL_HOME=(.*)$", PAGE, re.MULTILINE) == [CODE]
