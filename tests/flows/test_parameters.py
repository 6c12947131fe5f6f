"""The parameters of the flow: what Prefect's UI shows of them, what is refused, and how the flow is loaded elsewhere."""

import json
from typing import Any

import pytest

from flows.etl import etl
from tests.conftest import ROOT
from tests.flows.conftest import Command, Shop

ORIGIN = "CREATE TABLE users (id serial PRIMARY KEY, name text); INSERT INTO users (name) VALUES ('Marie')"
RULES = "tables: [{table_name: users, anonymized_column_names: [name]}]"

# What a worker does: it loads the file, from a directory of its own, then calls the flow with what the server keeps.
LOADED = """
import json, sys
from prefect.flows import load_flow_from_entrypoint
from multischema.errors import EtlError
flow = load_flow_from_entrypoint(sys.argv[1])
good = flow(**json.loads(sys.argv[2]), return_state=True)
bad = flow(**{**json.loads(sys.argv[2]), "rules": "nowhere.yml"}, return_state=True)
error = bad.result(raise_on_failure=False)
print(flow.fn.__module__, good.name, bad.name, isinstance(error, EtlError), error)
"""


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("app", "Bad Name"),
        pytest.param("app", "shop_1", marks=pytest.mark.slow),
        pytest.param("app", "", marks=pytest.mark.slow),
        pytest.param("rules", "", marks=pytest.mark.slow),
        pytest.param("origin_schema", "", marks=pytest.mark.slow),
        pytest.param("reader", "", marks=pytest.mark.slow),
        ("jobs", 0),
        pytest.param("jobs", 33, marks=pytest.mark.slow),
        pytest.param("jobs", "many", marks=pytest.mark.slow),
        pytest.param("lock_wait", -1, marks=pytest.mark.slow),
    ],
)
def test_a_bad_parameter_is_refused_before_anything_runs(name: str, value: Any, shop: Shop) -> None:
    shop.place.in_origin(ORIGIN)
    state = etl(**{**shop.parameters(RULES), name: value}, return_state=True)
    assert state.is_failed()
    assert f"- {name}: " in (state.message or "")
    failed = {"state": {"type": {"any_": ["FAILED"]}}}
    (run,) = shop.server.ask("POST", "flow_runs/filter", {"flow_runs": failed, "sort": "END_TIME_DESC", "limit": 1})
    assert run["parameters"][name] == value
    assert not shop.server.ask("POST", "task_runs/filter", {"flow_runs": {"id": {"any_": [run["id"]]}}})
    assert shop.place.schemas() == set()


def test_every_parameter_is_described_and_bounded_for_the_form_of_the_ui() -> None:
    properties = etl.parameters.properties
    assert list(properties) == [
        *("app", "rules", "refresh", "check", "accept_drop", "schema", "origin_schema", "reader", "schema_reader"),
        *(
            "jobs",
            "lock_wait",
            "full_every",
            "drop_rows",
            "drop_percent",
            "report_schema",
            "scan",
            "strict_scan",
            "indexes",
            "mode",
        ),
        *("from_dump", "adopt", "drop_dependants", "clear_raw", "keep_dump"),
    ]
    # the form of the UI sorts by it
    assert [shown["position"] for shown in properties.values()] == list(range(len(properties)))
    dangerous = [name for name, shown in properties.items() if shown["description"].startswith("Dangerous: ")]
    assert dangerous == list(properties)[-3:] == ["drop_dependants", "clear_raw", "keep_dump"]
    assert all(len(shown["description"]) > 20 for shown in properties.values())
    assert "<app>-db-url" in properties["app"]["description"]
    assert properties["jobs"]["minimum"] == 1
    assert properties["jobs"]["maximum"] == 32
    assert properties["app"]["pattern"]
    assert etl.parameters.required == ["app", "rules"]
    assert [name for name, shown in properties.items() if "type" not in shown] == []  # the form would ask for it first
    assert "Args" not in (etl.description or "Args")


def test_the_description_has_no_line_that_the_ui_would_break() -> None:
    paragraphs = (etl.description or "").split("\n\n")
    assert len(paragraphs) == 3
    assert not [paragraph for paragraph in paragraphs if "\n" in paragraph or not paragraph.endswith(".")]


def test_no_parameter_has_room_for_a_url_of_a_database() -> None:
    assert not [name for name in etl.parameters.properties if "url" in name or "password" in name or "secret" in name]


@pytest.mark.slow
def test_a_worker_loads_and_runs_the_flow_from_another_directory(shop: Shop) -> None:
    shop.place.in_origin(ORIGIN)
    script = shop.directory / "loaded.py"
    script.write_text(LOADED)
    given = [f"{ROOT}/flows/etl.py:etl", json.dumps(shop.parameters(RULES))]
    command = Command.start(shop.directory, "loaded", given, {"PREFECT_API_URL": shop.server.url})
    assert command.wait() == 0, command.text
    line = command.out.splitlines()[-1]
    assert line.startswith("etl Completed Failed True rules: nowhere.yml: "), command.text
    assert "Traceback" not in command.text
    assert shop.read("SELECT name FROM {}.users") == [("[valeur unique anonymisée 1]",)]
