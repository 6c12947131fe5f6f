"""The worker of the pool `scalingo`: whether the code of its deployments is where they say."""

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
