"""`make deploy` on a real Prefect server: what it creates, that a second one changes nothing, what it says and refuses."""

import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_URL, temporary_settings

from deployment import declared, setup
from multischema.errors import UsageError
from tests.conftest import OWN
from tests.support.servers import AUTH, PATIENCE, PrefectServer, free_port, prefect_server

pytestmark = pytest.mark.slow

PASSWORD = "s3cret-p4ssword"
SECRETS = {
    "ETL_DB_URL": f"postgresql://etl:{PASSWORD}@target/analytics",
    "RDV_SOLIDARITES_DB_URL": f"postgresql://app:{PASSWORD}@origin/rdvs",
}
ENVIRONMENT = {"METABASE_USERNAME": "metabase", "SCALEWAY_JOB_DEFINITION_ID": "7a2e", **SECRETS}
WORKERS, PENDING = "etl: runs of a dead worker are Crashed", "etl: runs that never start are Crashed"
APPS = ("rdvsp", "rdvi", "rdvs", "aei")

SetUp = Callable[..., list[str]]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrefectServer]:
    """Return a Prefect server."""
    with prefect_server(tmp_path_factory.mktemp("prefect")) as started:
        yield started


@pytest.fixture
def set_up(server: PrefectServer) -> Iterator[SetUp]:
    """Return a function that sets up the server, which has nothing of ours yet, and returns what was said."""
    _clear(server)

    def run(content: dict[str, Any] | None = None, /, **environment: str) -> list[str]:
        return list(setup.set_up(content or _declared(), {**ENVIRONMENT, **environment}))

    with temporary_settings({PREFECT_API_URL: server.url, PREFECT_API_AUTH_STRING: AUTH}):
        yield run


def _declared() -> dict[str, Any]:
    """Return prefect.yaml with the deployments of APPS: whoever adds one breaks no test."""
    content = declared.read()
    return {**content, "deployments": [each for each in content["deployments"] if each["name"] in APPS]}


def _clear(server: PrefectServer) -> None:
    for deployment in server.ask("POST", "deployments/filter", {}):
        server.ask("DELETE", f"deployments/{deployment['id']}")
    for pool in server.ask("POST", "work_pools/filter", {}):
        server.ask("DELETE", f"work_pools/{pool['name']}")
    for automation in server.ask("POST", "automations/filter", {}):
        server.ask("DELETE", f"automations/{automation['id']}")
    for block in server.ask("POST", "block_documents/filter", {}):
        server.ask("DELETE", f"block_documents/{block['id']}")


def _state(server: PrefectServer) -> dict[str, Any]:
    """Return all that a set-up could change, with ids and times of change."""
    kinds = ("work_pools", "deployments", "automations", "flows")
    state = {kind: {item["id"]: item for item in server.ask("POST", f"{kind}/filter", {})} for kind in kinds}
    blocks = server.ask("POST", "block_documents/filter", {"include_secrets": True})
    return {**state, "blocks": {item["id"]: item for item in blocks}}


def _deployment(server: PrefectServer, app: str) -> dict[str, Any]:
    found: dict[str, Any] = server.ask("GET", f"deployments/name/etl/{app}")
    return found


def _automation(server: PrefectServer, name: str) -> dict[str, Any]:
    (found,) = [item for item in server.ask("POST", "automations/filter", {}) if item["name"] == name]
    return dict(found)


def _editable(automation: dict[str, Any]) -> dict[str, Any]:
    """Return an automation as the server takes it back."""
    return {key: automation[key] for key in ("name", "description", "enabled", "trigger", "actions")}


def _without(lines: Sequence[str], *ends: str) -> list[str]:
    return [line for line in lines if not any(end in line for end in ends)]


def test_a_first_set_up_creates_everything_and_says_so(server: PrefectServer, set_up: SetUp) -> None:
    assert set_up() == [
        "work pool scaleway: created, type scaleway",
        "work pool scalingo: created, type process",
        "Secret block etl-db-url: created from ETL_DB_URL",
        "Secret block rdvs-db-url: created from RDV_SOLIDARITES_DB_URL",
        "Secret block rdvsp-db-url: missing; runs fail without it: save it with `python -m blocks.register`",
        "Secret block rdvi-db-url: missing; runs fail without it: save it with `python -m blocks.register`",
        "Secret block aei-db-url: missing; runs fail without it: save it with `python -m blocks.register`",
        "deployment etl/rdvsp: created",
        "schedule etl/rdvsp/weekdays: created, 30 4 * * 1-5, Europe/Paris, on",
        "deployment etl/rdvi: created",
        "schedule etl/rdvi/weekdays: created, 0 5 * * 1-5, Europe/Paris, on",
        "deployment etl/rdvs: created",
        "schedule etl/rdvs/daily: created, 30 5 * * *, Europe/Paris, on",
        "deployment etl/aei: created",
        "schedule etl/aei/monthly: created, 5 4 1 * *, Europe/Paris, on",
        f"automation '{WORKERS}': created",
        f"automation '{PENDING}': created",
    ]
    rdvs = _deployment(server, "rdvs")
    assert rdvs["parameters"]["app"] == "rdvs"
    assert rdvs["parameters"]["reader"] == "metabase"
    assert rdvs["work_pool_name"] == "scalingo"
    assert rdvs["entrypoint"] == "flows/etl.py:etl"
    assert rdvs["pull_steps"] == [{"prefect.deployments.steps.set_working_directory": {"directory": "/app"}}]
    assert rdvs["job_variables"]["env"] == {"PYTHONPATH": "/app", "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30"}
    assert rdvs["enforce_parameter_schema"]
    assert _deployment(server, "aei")["job_variables"]["job_definition_id"] == "7a2e"
    assert {item["type"] for item in _state(server)["work_pools"].values()} == {"process", "scaleway"}
    due = {"deployment_ids": [rdvs["id"]], "scheduled_before": datetime.now(UTC).isoformat()}
    assert server.ask("POST", "deployments/get_scheduled_flow_runs", due) == []


def test_a_second_set_up_changes_nothing(server: PrefectServer, set_up: SetUp) -> None:
    first = set_up()
    before = _state(server)
    second = set_up()
    assert _state(server) == before
    assert {kind: len(items) for kind, items in before.items()} == {
        "work_pools": 2,
        "deployments": 4,
        "automations": 2,
        "flows": 1,
        "blocks": 2,
    }
    assert len(second) == len(first)
    assert _without(second, ": unchanged", ": missing; ") == []


def test_the_command_does_it_and_never_says_a_secret(server: PrefectServer, set_up: SetUp) -> None:
    outputs = []
    for _ in range(2):
        run = _command({**server.client, **ENVIRONMENT})
        assert (run.returncode, run.stderr) == (0, "")
        outputs.append(run.stdout)
    assert "deployment etl/rdvs: created\n" in outputs[0]
    assert "deployment etl/rdvs: unchanged\n" in outputs[1]
    assert PASSWORD not in "".join(outputs)
    assert "unchanged" in "\n".join(set_up())


def _command(environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "deployment.setup"],
        cwd=OWN,
        env=environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def test_what_prefect_deploy_makes_of_the_file_is_the_same(server: PrefectServer, set_up: SetUp) -> None:
    set_up()
    content = _declared()
    values, _ = declared.variables(content, ENVIRONMENT)
    for app in APPS:
        server.ask("DELETE", f"deployments/{_deployment(server, app)['id']}")
    deploy = subprocess.run(
        [sys.executable, "-m", "prefect", "--no-prompt", "deploy", *(f"--name={app}" for app in APPS)],
        cwd=OWN,
        env={**server.client, **values},
        capture_output=True,
        text=True,
        timeout=2 * PATIENCE,
        check=False,
    )
    assert deploy.returncode == 0, deploy.stdout + deploy.stderr
    assert _without(set_up(), ": unchanged", ": missing; ") == []


def test_the_environment_is_what_a_later_set_up_brings(server: PrefectServer, set_up: SetUp) -> None:
    set_up()
    before = _state(server)
    lines = set_up(METABASE_USERNAME="looker", ETL_HOME="/srv/etl", ETL_SCHEDULE_RDVS="false")
    assert _without(lines, ": unchanged", ": missing; ") == [
        "deployment etl/rdvsp: updated job variables, parameters, pull steps",
        "deployment etl/rdvi: updated job variables, parameters, pull steps",
        "deployment etl/rdvs: updated job variables, parameters, pull steps",
        "schedule etl/rdvs/daily: updated, 30 5 * * *, Europe/Paris, off",
        "deployment etl/aei: updated job variables, parameters, pull steps",
    ]
    after = _state(server)
    assert {kind: set(items) for kind, items in after.items()} == {kind: set(items) for kind, items in before.items()}
    rdvs, rdvi = _deployment(server, "rdvs"), _deployment(server, "rdvi")
    assert rdvs["parameters"]["reader"] == "looker"
    assert rdvs["pull_steps"][0]["prefect.deployments.steps.set_working_directory"] == {"directory": "/srv/etl"}
    assert [schedule["active"] for schedule in rdvs["schedules"] + rdvi["schedules"]] == [False, True]
    assert rdvs["schedules"][0]["id"] == before["deployments"][rdvs["id"]]["schedules"][0]["id"]


def test_a_schedule_that_the_file_has_no_more_is_removed(server: PrefectServer, set_up: SetUp) -> None:
    set_up()
    rdvs = _deployment(server, "rdvs")
    by_hand = {"schedule": {"cron": "0 12 * * *"}, "active": True}
    server.ask("POST", f"deployments/{rdvs['id']}/schedules", [by_hand])
    content = _declared()
    (rdvi,) = [deployment for deployment in content["deployments"] if deployment["name"] == "rdvi"]
    del rdvi["schedules"]
    del content["definitions"]["environment"]["ETL_SCHEDULE_RDVI"]
    lines = _without(set_up(content), ": unchanged", ": missing; ")
    assert len(lines) == 2
    assert lines[0] == "schedule etl/rdvi/weekdays: removed, prefect.yaml does not have it"
    assert lines[1].startswith("schedule etl/rdvs/")
    assert lines[1].endswith(": removed, prefect.yaml does not have it")
    assert _deployment(server, "rdvi")["schedules"] == []
    assert [schedule["slug"] for schedule in _deployment(server, "rdvs")["schedules"]] == ["daily"]


def test_a_schedule_at_another_time_keeps_its_identity(server: PrefectServer, set_up: SetUp) -> None:
    set_up()
    (before,) = _deployment(server, "rdvs")["schedules"]
    content = _declared()
    (rdvs,) = [deployment for deployment in content["deployments"] if deployment["name"] == "rdvs"]
    rdvs["schedules"][0]["cron"] = "45 3 * * *"
    assert "schedule etl/rdvs/daily: updated, 45 3 * * *, Europe/Paris, on" in set_up(content)
    (after,) = _deployment(server, "rdvs")["schedules"]
    assert after["id"] == before["id"]
    assert after["schedule"]["cron"] == "45 3 * * *"


def test_what_was_changed_on_the_server_becomes_what_the_file_says(server: PrefectServer, set_up: SetUp) -> None:
    set_up()
    rdvs, automation = _deployment(server, "rdvs"), _automation(server, WORKERS)
    server.ask("PATCH", f"deployments/{rdvs['id']}", {"parameters": {"app": "rdvi"}, "tags": ["mine"]})
    server.ask("PATCH", f"deployments/{rdvs['id']}/schedules/{rdvs['schedules'][0]['id']}", {"active": False})
    server.ask(
        "PATCH",
        "work_pools/scalingo",
        {"base_job_template": {"job_configuration": {"command": "true"}, "variables": {"type": "object"}}},
    )
    automation["trigger"]["within"] = 60
    server.ask("PUT", f"automations/{automation['id']}", _editable(automation))
    assert _without(set_up(), ": unchanged", ": missing; ") == [
        "work pool scalingo: updated its base job template",
        "deployment etl/rdvs: updated parameters, tags",
        "schedule etl/rdvs/daily: updated, 30 5 * * *, Europe/Paris, on",
        f"automation '{WORKERS}': updated",
    ]
    assert _without(set_up(), ": unchanged", ": missing; ") == []
    assert _deployment(server, "rdvs")["parameters"]["app"] == "rdvs"


def test_what_an_operator_stopped_stays_stopped(server: PrefectServer, set_up: SetUp) -> None:
    set_up()
    server.ask("PATCH", f"deployments/{_deployment(server, 'rdvs')['id']}", {"paused": True})
    server.ask("PATCH", "work_pools/scalingo", {"is_paused": True, "concurrency_limit": 1})
    server.ask("PATCH", f"automations/{_automation(server, WORKERS)['id']}", {"enabled": False})
    lines = set_up(METABASE_USERNAME="looker")
    assert f"automation '{WORKERS}': unchanged, switched off" in lines
    pool = server.ask("GET", "work_pools/scalingo")
    assert (pool["is_paused"], pool["concurrency_limit"]) == (True, 1)
    assert _deployment(server, "rdvs")["paused"]
    assert not _automation(server, WORKERS)["enabled"]


def test_a_second_automation_of_a_name_is_removed(server: PrefectServer, set_up: SetUp) -> None:
    set_up()
    twin = _editable(_automation(server, WORKERS))
    del twin["trigger"]["id"]
    server.ask("POST", "automations/", twin)
    assert f"automation '{WORKERS}': removed a duplicate" in set_up()
    assert _automation(server, WORKERS)["name"] == WORKERS


def test_a_new_password_is_saved_and_a_secret_that_is_not_given_is_kept(server: PrefectServer, set_up: SetUp) -> None:
    set_up()
    lines = set_up(ETL_DB_URL="postgresql://etl:other@target/analytics", RDV_SOLIDARITES_DB_URL="")
    secrets = [line for line in lines if line.startswith("Secret block ")]
    assert secrets[0] == "Secret block etl-db-url: updated from ETL_DB_URL"
    assert not [line for line in secrets if "rdvs-db-url" in line]
    blocks = {
        item["name"]: item["data"]["value"]
        for item in server.ask("POST", "block_documents/filter", {"include_secrets": True})
    }
    assert blocks == {
        "etl-db-url": "postgresql://etl:other@target/analytics",
        "rdvs-db-url": SECRETS["RDV_SOLIDARITES_DB_URL"],
    }


def test_an_app_that_the_file_has_no_more_is_told_and_left(server: PrefectServer, set_up: SetUp) -> None:
    set_up()
    content = _declared()
    content["deployments"] = [deployment for deployment in content["deployments"] if deployment["name"] != "rdvi"]
    for variable in ("ETL_SCHEDULE_RDVI", "RDV_INSERTION_SCHEMA_READER_USERNAME"):
        del content["definitions"]["environment"][variable]
    told = "deployment etl/rdvi: not in prefect.yaml, left as it is; `prefect deployment delete etl/rdvi` removes it"
    assert told in set_up(content)
    assert _deployment(server, "rdvi")["schedules"]


def test_a_pool_of_another_type_stops_the_set_up_in_one_line(server: PrefectServer, set_up: SetUp) -> None:
    server.ask("POST", "work_pools/", {"name": "scalingo", "type": "docker"})
    with pytest.raises(UsageError, match=r"^work pool scalingo: found type docker, want process, "):
        set_up()
    assert _state(server)["deployments"] == {}


def test_a_file_with_a_fault_changes_nothing(server: PrefectServer, set_up: SetUp) -> None:
    content = _declared()
    content["deployments"][-1]["parameters"]["jobs"] = 99
    before = _state(server)
    with pytest.raises(UsageError, match=r"^deployment aei: parameters.jobs: want maximum 32$"):
        set_up(content)
    assert _state(server) == before


def test_a_schedule_switch_that_is_none_changes_nothing(server: PrefectServer, set_up: SetUp) -> None:
    before = _state(server)
    with pytest.raises(UsageError, match=r"^deployment rdvs: schedule daily: active: found 'nope', want true or false$"):
        set_up(ETL_SCHEDULE_RDVS="nope")
    assert _state(server) == before


def test_every_missing_variable_is_named(server: PrefectServer) -> None:
    run = _command({name: value for name, value in server.client.items() if name != "PREFECT_API_URL"})
    assert (run.returncode, run.stdout) == (2, "")
    assert run.stderr.splitlines() == [
        "error: missing variable METABASE_USERNAME: prefect.yaml has no default for it",
        "error: missing variable SCALEWAY_JOB_DEFINITION_ID: prefect.yaml has no default for it",
        "error: missing variable PREFECT_API_URL: want the URL of the Prefect server, https://…/api",
    ]


@pytest.mark.parametrize(
    ("url", "auth", "status", "problem"),
    [
        ("{server}/api", "admin:wrong", 2, "refused the login (HTTP 401); want PREFECT_API_AUTH_STRING as on the server"),
        ("{server}/api", None, 2, "refused the login (HTTP 401); want PREFECT_API_AUTH_STRING as on the server"),
        ("{server}", AUTH, 1, "no Prefect API answers (HTTP 404); want a URL that ends in /api"),
        ("http://127.0.0.1:{port}/api", AUTH, 1, "can't be reached: [Errno 111] Connection refused"),
        (f"http://user:{PASSWORD}@nowhere.invalid/api", AUTH, 1, "can't be reached: [Errno -2]"),
    ],
)
def test_a_server_that_does_not_answer_as_it_should_is_one_line(
    server: PrefectServer,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    url: str,
    auth: str | None,
    status: int,
    problem: str,
) -> None:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    place = url.format(server=server.url.removesuffix("/api"), port=free_port())
    with temporary_settings({PREFECT_API_URL: place, PREFECT_API_AUTH_STRING: auth}):
        assert setup.main([]) == status
    out, err = capsys.readouterr()
    (line,) = err.splitlines()
    assert line.startswith("error: Prefect server http://")
    assert problem in line
    assert PASSWORD not in out + err
    assert out == ""
