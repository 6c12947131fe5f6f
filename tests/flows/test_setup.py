"""`make deploy` on a real Prefect server: what it creates, that a second one changes nothing, what it says and refuses."""

import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_URL, temporary_settings

from deployment import declared, setup
from flows.variables import variables
from multischema.errors import UsageError
from tests.conftest import KEY, OWN
from tests.support.servers import AUTH, PATIENCE, PrefectServer, free_port, prefect_server

pytestmark = pytest.mark.slow

PASSWORD = "s3cret-p4ssword"
SECRETS = {
    "ETL_DB_URL": f"postgresql://etl:{PASSWORD}@target/analytics",
    "RDV_SOLIDARITES_DB_URL": f"postgresql://app:{PASSWORD}@origin/rdvs",
}
ENVIRONMENT = {"METABASE_USERNAME": "metabase", "SCALEWAY_JOB_DEFINITION_ID": "7a2e", **SECRETS}
NO_RDVSP, NO_RDVI, NO_AEI = (f"off: Secret block {app}-db-url is missing" for app in ("rdvsp", "rdvi", "aei"))
MISSING = "runs need it: save it with `python -m blocks.register`, then deploy again"
NO_ALERTS = "alerts: none: set ALERT_WEBHOOK_URL or ALERT_EMAIL"
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
    for variable in server.ask("POST", "variables/filter", {}):
        server.ask("DELETE", f"variables/{variable['id']}")


def _state(server: PrefectServer) -> dict[str, Any]:
    """Return all that a set-up could change, with ids and times of change."""
    kinds = ("work_pools", "deployments", "automations", "flows", "variables")
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
        *(f"Secret block {app}-db-url: missing; {MISSING}" for app in ("rdvsp", "rdvi", "aei")),
        "deployment etl/rdvsp: created",
        f"schedule etl/rdvsp/weekdays: created, 30 4 * * 1-5, Europe/Paris, {NO_RDVSP}",
        "deployment etl/rdvi: created",
        f"schedule etl/rdvi/weekdays: created, 0 5 * * 1-5, Europe/Paris, {NO_RDVI}",
        "deployment etl/rdvs: created",
        "schedule etl/rdvs/daily: created, 30 5 * * *, Europe/Paris, on",
        "deployment etl/aei: created",
        f"schedule etl/aei/monthly: created, 5 4 1 * *, Europe/Paris, {NO_AEI}",
        f"automation '{WORKERS}': created",
        f"automation '{PENDING}': created",
        NO_ALERTS,
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
        "variables": 1,
        "blocks": 2,
    }
    assert len(second) == len(first)
    assert _without(second, ": unchanged", ": missing; ") == [NO_ALERTS]


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


def test_a_set_up_saves_the_key_of_pseudonyms_once_and_replaces_none(set_up: SetUp) -> None:
    block = "Secret block etl-pseudonym-key: "
    assert f"{block}created from ETL_PSEUDONYM_KEY" in set_up(ETL_PSEUDONYM_KEY=KEY.hex())
    assert f"{block}unchanged" in set_up(ETL_PSEUDONYM_KEY=KEY.hex())
    with pytest.raises(UsageError, match="the Secret block etl-pseudonym-key holds another key than ETL_PSEUDONYM_KEY"):
        set_up(ETL_PSEUDONYM_KEY="ab" * 32, ETL_DB_URL=f"postgresql://etl:{PASSWORD}@other/analytics")
    assert "Secret block etl-db-url: unchanged" in set_up(), "the error says that nothing was saved"
    with pytest.raises(UsageError, match="variable ETL_PSEUDONYM_KEY holds no key: want 64 hexadecimal digits"):
        set_up(ETL_PSEUDONYM_KEY="ab")


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
    values, _ = variables(content, ENVIRONMENT)
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
    # `prefect deploy` looks for no Secret block
    assert _without(set_up(), ": unchanged", ": missing; ", NO_ALERTS, NO_RDVSP, NO_RDVI, NO_AEI) == []


def test_the_environment_is_what_a_later_set_up_brings(server: PrefectServer, set_up: SetUp) -> None:
    aei = {"APP": "aei", "ORIGIN_DB_URL": f"postgresql://app:{PASSWORD}@origin/aei"}
    set_up(**aei)
    before = _state(server)
    lines = set_up(METABASE_USERNAME="looker", ETL_HOME="/srv/etl", ETL_SCHEDULE_RDVS="false", **aei)
    assert _without(lines, ": unchanged", ": missing; ", NO_ALERTS) == [
        "deployment etl/rdvsp: updated job variables, parameters, pull steps",
        "deployment etl/rdvi: updated job variables, parameters, pull steps",
        "deployment etl/rdvs: updated job variables, parameters, pull steps",
        "schedule etl/rdvs/daily: updated, 30 5 * * *, Europe/Paris, off",
        "deployment etl/aei: updated job variables, parameters, pull steps",
    ]
    after = _state(server)
    assert {kind: set(items) for kind, items in after.items()} == {kind: set(items) for kind, items in before.items()}
    rdvs, aei = _deployment(server, "rdvs"), _deployment(server, "aei")
    assert rdvs["parameters"]["reader"] == "looker"
    assert rdvs["pull_steps"][0]["prefect.deployments.steps.set_working_directory"] == {"directory": "/srv/etl"}
    assert [schedule["active"] for schedule in rdvs["schedules"] + aei["schedules"]] == [False, True]
    assert rdvs["schedules"][0]["id"] == before["deployments"][rdvs["id"]]["schedules"][0]["id"]


def test_a_variable_that_may_stay_unset_names_schema_readers_once_it_is_set_and_nobody_before(
    server: PrefectServer, set_up: SetUp
) -> None:
    set_up()
    assert [_deployment(server, app)["parameters"].get("schema_reader") for app in APPS] == [[""], [""], [""], None]
    lines = set_up(RDV_INSERTION_SCHEMA_READER_USERNAME="rdvi_team, Équipe")
    assert _without(lines, ": unchanged", ": missing; ", NO_ALERTS) == ["deployment etl/rdvi: updated parameters"]
    assert _deployment(server, "rdvi")["parameters"]["schema_reader"] == ["rdvi_team, Équipe"]
    assert _without(set_up(), ": unchanged", ": missing; ", NO_ALERTS) == ["deployment etl/rdvi: updated parameters"]
    assert _deployment(server, "rdvi")["parameters"]["schema_reader"] == [""]


def test_a_schedule_that_the_file_has_no_more_is_removed(server: PrefectServer, set_up: SetUp) -> None:
    set_up()
    rdvs = _deployment(server, "rdvs")
    by_hand = {"schedule": {"cron": "0 12 * * *"}, "active": True}
    server.ask("POST", f"deployments/{rdvs['id']}/schedules", [by_hand])
    content = _declared()
    (rdvi,) = [deployment for deployment in content["deployments"] if deployment["name"] == "rdvi"]
    del rdvi["schedules"]
    del content["definitions"]["environment"]["ETL_SCHEDULE_RDVI"]
    lines = _without(set_up(content), ": unchanged", ": missing; ", NO_ALERTS)
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
    by_hand = {"active": True, "schedule": {"cron": "0 12 * * *"}}
    server.ask("PATCH", f"deployments/{rdvs['id']}/schedules/{rdvs['schedules'][0]['id']}", by_hand)
    server.ask(
        "PATCH",
        "work_pools/scalingo",
        {"base_job_template": {"job_configuration": {"command": "true"}, "variables": {"type": "object"}}},
    )
    automation["trigger"]["within"] = 60
    server.ask("PUT", f"automations/{automation['id']}", _editable(automation))
    assert _without(set_up(), ": unchanged", ": missing; ", NO_ALERTS) == [
        "work pool scalingo: updated its base job template",
        "deployment etl/rdvs: updated parameters, tags",
        "schedule etl/rdvs/daily: updated, 30 5 * * *, Europe/Paris, on",
        f"automation '{WORKERS}': updated",
    ]
    assert _without(set_up(), ": unchanged", ": missing; ", NO_ALERTS) == []
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
    assert "deployment etl/rdvs: updated parameters, paused in the UI, left" in lines
    assert _deployment(server, "rdvs")["paused"]
    assert not _automation(server, WORKERS)["enabled"]


def _pause(server: PrefectServer, app: str) -> None:
    """Switch the schedule of an app off, as somebody does in the UI."""
    deployment = _deployment(server, app)
    server.ask("PATCH", f"deployments/{deployment['id']}/schedules/{deployment['schedules'][0]['id']}", {"active": False})


def _schedule(lines: Sequence[str], app: str = "rdvs") -> str:
    """Return what was said about the schedule of an app, after its times."""
    (line,) = [line for line in lines if line.startswith(f"schedule etl/{app}/")]
    return line.rpartition(" Europe/Paris, ")[2]


def _is_on(server: PrefectServer, app: str = "rdvs") -> bool:
    (schedule,) = _deployment(server, app)["schedules"]
    return bool(schedule["active"])


def test_a_schedule_that_somebody_paused_stays_paused_until_the_environment_switches_it(
    server: PrefectServer, set_up: SetUp
) -> None:
    set_up()
    _pause(server, "rdvs")
    for _ in range(2):
        assert _schedule(set_up(METABASE_USERNAME="looker")) == "paused in the UI, left"
        assert not _is_on(server)
    assert _schedule(set_up(ETL_SCHEDULE_RDVS="false")) == "off"
    assert not _is_on(server)
    assert _schedule(set_up()) == "on"
    assert _is_on(server)


def test_a_paused_schedule_at_another_time_stays_paused(server: PrefectServer, set_up: SetUp) -> None:
    set_up()
    _pause(server, "rdvs")
    content = _declared()
    (rdvs,) = [deployment for deployment in content["deployments"] if deployment["name"] == "rdvs"]
    rdvs["schedules"][0]["cron"] = "45 3 * * *"
    assert "schedule etl/rdvs/daily: updated, 45 3 * * *, Europe/Paris, paused in the UI, left" in set_up(content)
    assert not _is_on(server)
    assert "schedule etl/rdvs/daily: unchanged, 45 3 * * *, Europe/Paris, paused in the UI, left" in set_up(content)


def test_a_schedule_that_somebody_switched_on_again_is_on(server: PrefectServer, set_up: SetUp) -> None:
    set_up()
    _pause(server, "rdvs")
    set_up()
    rdvs = _deployment(server, "rdvs")
    server.ask("PATCH", f"deployments/{rdvs['id']}/schedules/{rdvs['schedules'][0]['id']}", {"active": True})
    assert _schedule(set_up()) == "on"
    _pause(server, "rdvs")
    assert _schedule(set_up()) == "paused in the UI, left"


def test_a_pause_from_before_deploys_remembered_what_they_did_is_left(server: PrefectServer, set_up: SetUp) -> None:
    set_up()
    (variable,) = server.ask("POST", "variables/filter", {})
    server.ask("DELETE", f"variables/{variable['id']}")
    _pause(server, "rdvs")
    assert _schedule(set_up()) == "paused in the UI, left"


def test_an_app_runs_on_its_schedule_once_its_secret_block_is_there(server: PrefectServer, set_up: SetUp) -> None:
    assert _schedule(set_up(), "rdvi") == NO_RDVI
    assert not _is_on(server, "rdvi")
    assert _schedule(set_up(), "rdvi") == NO_RDVI
    assert _schedule(set_up(RDV_INSERTION_DB_URL=SECRETS["RDV_SOLIDARITES_DB_URL"]), "rdvi") == "on"
    assert _is_on(server, "rdvi")
    assert _schedule(set_up(), "rdvi") == "on"  # the block is still there


def test_a_pause_outlasts_the_time_that_a_secret_block_is_missing(server: PrefectServer, set_up: SetUp) -> None:
    set_up()
    _pause(server, "rdvs")
    (block,) = [each for each in server.ask("POST", "block_documents/filter", {}) if each["name"] == "rdvs-db-url"]
    server.ask("DELETE", f"block_documents/{block['id']}")
    for _ in range(2):
        assert _schedule(set_up(RDV_SOLIDARITES_DB_URL="")) == "off: Secret block rdvs-db-url is missing"
    assert _schedule(set_up()) == "paused in the UI, left"
    assert not _is_on(server)


def test_a_deploy_that_breaks_remembers_what_it_switched(server: PrefectServer, set_up: SetUp) -> None:
    set_up(RDV_SOLIDARITES_DB_URL="")
    lines = setup.set_up(_declared(), ENVIRONMENT)
    assert next(line for line in lines if line.startswith("schedule etl/rdvs/")).endswith(", on")
    lines.close()  # type: ignore[attr-defined]
    _pause(server, "rdvs")
    assert _schedule(set_up()) == "paused in the UI, left"


def test_no_app_runs_on_its_schedule_without_the_target(server: PrefectServer, set_up: SetUp) -> None:
    assert _schedule(set_up(ETL_DB_URL="")) == "off: Secret block etl-db-url is missing"
    assert not _is_on(server)
    assert _schedule(set_up()) == "on"


def test_without_a_job_on_scaleway_its_apps_do_not_run_on_their_schedules(server: PrefectServer, set_up: SetUp) -> None:
    aei = {"APP": "aei", "ORIGIN_DB_URL": f"postgresql://app:{PASSWORD}@origin/aei"}
    for nothing in ("", "none"):
        lines = set_up(SCALEWAY_JOB_DEFINITION_ID=nothing, **aei)
        assert _schedule(lines, "aei") == "off: no job on Scaleway: set SCALEWAY_JOB_DEFINITION_ID"
        assert not _is_on(server, "aei")
    assert _schedule(set_up(**aei), "aei") == "on"


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
    del content["definitions"]["silence"]["rdvi"]
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
        "error: missing variable PREFECT_API_URL: want the URL of the Prefect server, https://…/api",
    ]


@pytest.mark.parametrize(
    ("url", "auth", "status", "problem"),
    [
        ("{server}/api", "admin:wrong", 2, "refused the login (HTTP 401); want PREFECT_API_AUTH_STRING as on the server"),
        ("{server}/api", None, 2, "refused the login (HTTP 401); want PREFECT_API_AUTH_STRING as on the server"),
        ("{server}", AUTH, 1, "no Prefect API answers (HTTP 404); want a URL that ends in /api"),
        ("http://127.0.0.1:{port}/api", AUTH, 1, "does not answer ([Errno 111] Connection refused); start it, or"),
        (f"http://user:{PASSWORD}@nowhere.invalid/api", AUTH, 1, "does not answer ([Errno -2]"),
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


def test_the_metabase_to_tell_is_a_block_that_a_second_set_up_leaves_alone(server: PrefectServer, set_up: SetUp) -> None:
    told = {"METABASE_URL": "https://metabase.example.org", "METABASE_DATABASE_ID": "2", "METABASE_API_KEY": PASSWORD}
    variables = "METABASE_URL, METABASE_DATABASE_ID, METABASE_API_KEY"
    assert f"Secret block metabase-notify: created from {variables}" in set_up(**told)
    before = _state(server)
    assert "Secret block metabase-notify: unchanged" in set_up(**told)
    assert _state(server) == before
    assert f"Secret block metabase-notify: updated from {variables}" in set_up(**{**told, "METABASE_API_KEY": "another"})


def test_half_a_metabase_is_refused_before_anything_is_done(server: PrefectServer, set_up: SetUp) -> None:
    with pytest.raises(UsageError, match="missing variable METABASE_API_KEY"):
        set_up(METABASE_URL="https://metabase.example.org", METABASE_DATABASE_ID="2")
    state = _state(server)
    assert not any(state[kind] for kind in ("work_pools", "deployments", "automations", "blocks"))
