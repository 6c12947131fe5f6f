"""The path that a deployment's run is given as rules: who starts it may not have it read any file of the worker's."""

from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from prefect import State
from prefect.client.orchestration import get_client
from prefect.flow_engine import run_flow

from flows.etl import etl
from tests.conftest import ROOT
from tests.flows.conftest import Shop

pytestmark = pytest.mark.slow

ORIGIN = "CREATE TABLE users (id integer PRIMARY KEY, name text);"
RULES = "tables: [{table_name: users, anonymized_column_names: [name]}]"
REFUSED = "outside the folders that a deployment may read rules from"


@pytest.fixture
def deployment(shop: Shop) -> UUID:
    """Return a deployment of the flow."""
    with get_client(sync_client=True) as client:
        flow = client.create_flow_from_name("etl")
        return client.create_deployment(flow, shop.app)


def run(shop: Shop, deployment: UUID, **changes: Any) -> State[Any]:
    """Run the deployment here, as a worker does; return the last state."""
    with get_client(sync_client=True) as client:
        parameters = {**shop.parameters(RULES), **changes}
        flow_run = client.create_flow_run_from_deployment(deployment, parameters=parameters)
    state: State[Any] = run_flow(etl, flow_run=flow_run, parameters=flow_run.parameters, return_type="state")  # type: ignore[arg-type, assignment]
    return state


@pytest.mark.parametrize("place_of_secrets", ["elsewhere", "a link in the folder"])
def test_a_run_of_a_deployment_reads_no_file_outside_its_folders(
    shop: Shop, deployment: UUID, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place_of_secrets: str
) -> None:
    secret, folder = tmp_path / "pgpass", tmp_path / "folder"
    secret.write_text("localhost:5432:db:etl:hush-7391")
    folder.mkdir()
    (folder / "rules.yml").symlink_to(secret)
    monkeypatch.setenv("RULES_FOLDER", str(folder))
    state = run(shop, deployment, rules=str(secret if place_of_secrets == "elsewhere" else folder / "rules.yml"))
    assert state.is_failed()
    assert REFUSED in (state.message or "")
    assert "hush" not in shop.server.database()


def test_a_run_of_a_deployment_reads_the_folder_that_is_configured_and_that_of_the_code(
    shop: Shop, deployment: UUID, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.place.in_origin(ORIGIN)
    monkeypatch.delenv("RULES_FOLDER", raising=False)
    assert REFUSED in (run(shop, deployment).message or "")
    assert "missing rule for column users.name" in (run(shop, deployment, rules=f"{ROOT}/demo/rdvi.yml").message or "")
    monkeypatch.setenv("RULES_FOLDER", str(tmp_path))
    assert run(shop, deployment).is_completed()


def test_a_person_may_have_any_file_read(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.place.in_origin(ORIGIN)
    monkeypatch.setenv("RULES_FOLDER", str(ROOT))
    assert shop.command(rules=RULES).wait() == 0
