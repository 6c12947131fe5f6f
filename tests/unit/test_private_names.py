"""What Prefect does not promise and we use all the same: an upgrade that takes a name away fails here, by that name."""

import ast
import inspect
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import prefect
import pytest

from tests.conftest import ROOT

FILES = [path for folder in ("blocks", "deployment", "flows") for path in sorted((ROOT / folder).rglob("*.py"))]
# module, class or function -> the members that we call, override or read, and why
NAMES = {
    "prefect.cli.deploy._models:DeploymentConfig": ["model_fields"],  # the keys of prefect.yaml that Prefect knows
    "prefect.cli.deploy._models:PrefectYamlModel": ["model_fields"],
    "prefect.cli.deploy._models:RawScheduleConfig": ["model_fields"],
    "prefect.cli.deploy._models:WorkPoolConfig": ["model_fields"],
    "prefect.events.worker:EventsWorker": ["drain_all"],  # the last task runs are told before a temporary server stops
    "prefect.logging.handlers:PrefectConsoleHandler": [],  # taken away where a terminal shows our lines
    "prefect.server.api.server:create_app": [],  # what the temporary server of a command serves
    "prefect.utilities.annotations:opaque": [],  # arguments that are not searched for results of tasks
    "prefect.utilities.callables:ParameterSchema": ["model_dump_for_openapi"],
    "prefect.utilities.callables:parameter_schema": [],
    "prefect.utilities.importtools:import_object": [],  # whether a pull step is there
    "prefect.utilities.schema_tools.validation:validate": [],
    "prefect.utilities.templating:find_placeholders": [],
    "prefect.utilities.templating:Placeholder": ["_fields"],
    "prefect.utilities.templating:PlaceholderType": ["ENV_VAR", "BLOCK_DOCUMENT"],
    "prefect.workers.base:BaseWorker": [
        *("_propose_crashed_state", "_release_limit_slot", "_limiter", "_logger", "_runs_task_group"),
        *("_submitting_flow_run_ids", "_work_pool", "limiter", "is_setup", "sync_with_backend", "get_and_submit_flow_runs"),
    ],
    "prefect.workers.base:BaseJobConfiguration": ["_base_flow_run_command"],
    "prefect.workers.process:ProcessWorker": ["__dispatch_key__"],
}
# files whose log lines a terminal leaves out
SOURCES = ["flow_engine.py", "task_engine.py"]
# what we know a log line of Prefect's by
WORDS = {
    "prefect.flow_engine": "Finished in state",
    "prefect.task_engine": "Finished in state",
    "prefect.runner._workspace_hook_runner": "Runner failed to retrieve flow",
}


def private(source: str) -> Iterator[str]:
    """Give what a module imports from a module of Prefect's that has an underscore in front, or in front of the name."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "prefect":
            for alias in node.names:
                if any(part.startswith("_") for part in f"{node.module}.{alias.name}".split(".")):
                    yield f"{node.module}:{alias.name}"


@pytest.mark.parametrize("name", NAMES)
def test_a_name_that_prefect_does_not_promise_is_there(name: str) -> None:
    module, _, attribute = name.partition(":")
    found = getattr(import_module(module), attribute)
    source = inspect.getsource(import_module(module))
    # what an instance has is found in the source of its class
    missing = [member for member in NAMES[name] if not hasattr(found, member) and f"self.{member}" not in source]
    assert missing == []


@pytest.mark.parametrize("source", SOURCES)
def test_a_file_whose_lines_a_terminal_leaves_out_is_there(source: str) -> None:
    assert (Path(prefect.__file__).parent / source).is_file()


@pytest.mark.parametrize("module", WORDS)
def test_a_line_is_known_by_words_that_prefect_still_says(module: str) -> None:
    assert WORDS[module] in inspect.getsource(import_module(module))


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_no_other_private_name_is_imported(file: Path) -> None:
    assert set(private(file.read_text())) <= NAMES.keys()


def test_a_private_import_would_be_found() -> None:
    assert list(private("from prefect._internal import x\nfrom prefect.a import _y, z")) == [
        "prefect._internal:x",
        "prefect.a:_y",
    ]
    assert list(private("from prefect import flow\nfrom os import _exit")) == []
