"""The worker of the pool `scalingo`: the code of its deployments, runs whose process was killed, what it leaves out."""

import logging
import signal
from pathlib import Path
from uuid import uuid4

import pytest
from prefect.client.schemas.responses import DeploymentResponse

from deployment import worker
from multischema.errors import UsageError
from tests.conftest import ROOT

STEP = "prefect.deployments.steps.set_working_directory"


def deployment(name: str, folder: Path | None, entrypoint: str = "flows/etl.py:etl") -> DeploymentResponse:
    """Return a deployment whose runs start in a folder."""
    steps = [] if folder is None else [{STEP: {"directory": str(folder)}}]
    return DeploymentResponse(name=name, flow_id=uuid4(), pull_steps=steps, entrypoint=entrypoint, labels={})


def test_the_code_is_found_where_a_deployment_says_or_where_it_says_nothing(tmp_path: Path) -> None:
    assert worker.folder_without_code(deployment("rdvs", ROOT)) is None
    assert worker.folder_without_code(deployment("rdvs", None)) is None
    assert worker.folder_without_code(deployment("rdvs", tmp_path, "flows.etl.etl")) is None
    assert worker.folder_without_code(deployment("rdvs", tmp_path)) == str(tmp_path)


def test_a_worker_that_could_run_no_deployment_says_why_on_a_line_for_each_folder(tmp_path: Path) -> None:
    other = tmp_path / "other"
    with pytest.raises(UsageError) as caught:
        worker._check_folders([deployment("rdvs", other), deployment("rdvi", tmp_path), deployment("aei", other)])
    first, second = caught.value.problems
    assert first.startswith(f"etl/rdvi: this machine has no code in {tmp_path} that user ")
    assert second.startswith(f"etl/aei, etl/rdvs: this machine has no code in {other} that user ")
    assert first.endswith(f"want ETL_HOME={ROOT} in the environment of `make deploy`, then deploy again")


def test_a_worker_that_could_run_some_deployments_names_the_others_and_starts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    worker._check_folders([deployment("rdvs", ROOT), deployment("rdvi", tmp_path)])
    assert capsys.readouterr().out.startswith(f"warning: etl/rdvi: this machine has no code in {tmp_path} that user ")
    worker._check_folders([])
    assert capsys.readouterr().out == ""


def note(error: Exception, text: str = "Runner failed to retrieve flow to execute on_%s hooks") -> logging.LogRecord:
    """Return a log record as Prefect makes it where it can't run hooks."""
    found = (type(error), error, None)
    return logging.LogRecord("prefect.flow_runs", logging.WARNING, "runner.py", 1, text, ("crashed",), found)


def test_a_run_that_was_killed_before_it_had_loaded_its_flow_has_no_note_about_hooks() -> None:
    assert not worker._Unhooked().filter(note(FileNotFoundError(2, "No such file", "workspace.json")))


def test_hooks_that_fail_otherwise_are_a_line_without_a_traceback() -> None:
    record = note(RuntimeError("Hook subprocess exited with status code 1."))
    assert worker._Unhooked().filter(record)
    assert record.exc_info is None


def test_other_lines_keep_their_traceback() -> None:
    record = note(FileNotFoundError(2, "No such file"), "something of a %s run")
    assert worker._Unhooked().filter(record)
    assert record.exc_info


@pytest.mark.parametrize(
    ("number", "why"),
    [(signal.SIGKILL, "9: out of memory, or somebody's kill"), (signal.SIGSEGV, "11: somebody's kill, or")],
)
def test_a_killed_run_is_told_with_its_signal_and_what_that_may_mean(number: int, why: str) -> None:
    assert worker.killed(number).startswith(f"the process that ran this run was killed (signal {why}")
