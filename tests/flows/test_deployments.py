"""The deployments of `prefect.yaml`: one per app, with parameters that the flow takes and that hold no secret."""

from typing import Any

import pytest
import yaml
from prefect.flows import load_flow_from_entrypoint
from prefect.utilities.schema_tools import validate

from blocks import urls
from flows.apps import known_apps
from flows.etl import etl
from tests.conftest import ROOT

FILE = ROOT / "prefect.yaml"
DEPLOYMENTS: list[dict[str, Any]] = yaml.safe_load(FILE.read_text())["deployments"]


@pytest.mark.parametrize("deployment", DEPLOYMENTS, ids=lambda deployment: deployment["name"])
def test_the_parameters_of_a_deployment_are_ones_that_the_flow_takes(deployment: dict[str, Any]) -> None:
    parameters = {**deployment["parameters"], "reader": "metabase"}
    assert deployment["parameters"]["reader"] == "{{ $METABASE_USERNAME }}"
    assert validate(parameters, etl.parameters.model_dump_for_openapi(), raise_on_error=False) == []
    assert set(etl.validate_parameters(parameters)) >= set(parameters)


@pytest.mark.parametrize("deployment", DEPLOYMENTS, ids=lambda deployment: deployment["name"])
def test_a_deployment_is_named_after_its_app_and_names_the_flow(
    deployment: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    assert deployment["parameters"]["app"] == deployment["name"]
    assert deployment["entrypoint"] == "flows/etl.py:etl"
    assert load_flow_from_entrypoint(deployment["entrypoint"]).name == "etl"


def test_the_known_apps_are_the_deployments_each_once() -> None:
    assert list(known_apps()) == [deployment["name"] for deployment in DEPLOYMENTS]
    assert set(urls.ORIGIN_VARIABLES) <= set(known_apps())


def test_the_file_holds_no_secret_and_fetches_none_into_parameters() -> None:
    text = FILE.read_text()
    assert "prefect.blocks" not in text  # in parameters it would be stored and shown in clear
    assert "postgres://" not in text
    assert "postgresql://" not in text
    assert "DB_URL" not in text
