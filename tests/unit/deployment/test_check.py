"""What `make check` refuses in prefect.yaml, what a deploy refuses in its environment, and what the file itself says."""

import asyncio
import copy
import datetime
from collections.abc import Callable
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from prefect.cli.deploy._models import DeploymentConfig, PrefectYamlModel, RawScheduleConfig
from prefect.server.schemas.schedules import CronSchedule

from deployment import check, declared
from deployment.server import database_url
from flows.apps import known_apps
from flows.variables import resolved, variables
from multischema.errors import UsageError
from multischema.job import Job
from tests.conftest import ROOT

Content = dict[str, Any]
ENVIRONMENT = {"METABASE_USERNAME": "metabase", "SCALEWAY_JOB_DEFINITION_ID": "7a2e"}


@pytest.fixture
def content() -> Content:
    """Return prefect.yaml for a test to spoil: two of its deployments, and no part that two places share."""
    content: Content = _unshared(declared.read())
    content["deployments"] = [deployment for deployment in content["deployments"] if deployment["name"] in ("rdvs", "aei")]
    for name in list(content["definitions"]["environment"]):
        if name.endswith(("_RDVI", "_RDVSP")) or name.startswith(("RDV_INSERTION_", "RDV_SERVICE_PUBLIC_")):
            del content["definitions"]["environment"][name]
    content["definitions"]["silence"] = {"aei": 770}
    return content


def _unshared(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _unshared(item) for key, item in value.items()}
    return [_unshared(item) for item in value] if isinstance(value, list) else value


def _rdvs(content: Content) -> Content:
    return next(deployment for deployment in content["deployments"] if deployment["name"] == "rdvs")


def _only(content: Content) -> str:
    (problem,) = check.problems(content)
    return problem


def test_the_file_is_without_fault() -> None:
    assert check.problems(declared.read()) == []
    assert check.problems(declared.read(), ENVIRONMENT) == []


def test_the_command_says_what_it_finds_and_that_it_did(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "prefect.yaml"
    file.write_text((ROOT / "prefect.yaml").read_text())
    assert check.main([str(file)]) == 0
    assert capsys.readouterr() == ("", "")
    file.write_text((ROOT / "prefect.yaml").read_text().replace("pull:", "pul:"))
    assert check.main([str(file)]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    known = "build, definitions, deployments, name, prefect-version, pull, push"
    assert err == f"error: prefect.yaml: pul is unknown; known are {known}\n"


def test_make_check_runs_it() -> None:
    recipe = (ROOT / "Makefile").read_text().split("\ncheck:", 1)[1].split("\n\n", 1)[0]
    assert "python -m deployment.check\n" in f"{recipe}\n"


TYPOS: dict[str, Callable[[Content], Content]] = {
    "prefect.yaml: ": lambda content: content,
    "deployment rdvs: ": _rdvs,
    "deployment rdvs: work_pool: ": lambda content: _rdvs(content)["work_pool"],
    "deployment rdvs: job_variables: ": lambda content: _rdvs(content)["work_pool"]["job_variables"],
    "deployment rdvs: parameters: ": lambda content: _rdvs(content)["parameters"],
    "deployment rdvs: schedule daily: ": lambda content: _rdvs(content)["schedules"][0],
    "pull: prefect.deployments.steps.set_working_directory: ": lambda content: content["pull"][0][
        "prefect.deployments.steps.set_working_directory"
    ],
}


@pytest.mark.parametrize("where", TYPOS)
def test_a_key_that_prefect_would_ignore_is_refused_at_every_level(content: Content, where: str) -> None:
    TYPOS[where](content)["tagz"] = "x"
    problems = check.problems(content)
    assert any(problem.startswith(f"{where}tagz is unknown; known are ") for problem in problems), problems


def test_known_keys_are_those_of_the_installed_prefect() -> None:
    assert {"name", "parameters", "work_pool", "schedules"} <= set(DeploymentConfig.model_fields)
    assert check._names(DeploymentConfig) == set(DeploymentConfig.model_fields)
    assert check._names(RawScheduleConfig) == set(RawScheduleConfig.model_fields)
    assert "prefect-version" in check._names(PrefectYamlModel)


@pytest.mark.parametrize("key", ["build", "push"])
def test_what_prefect_does_and_the_set_up_does_not_is_refused_for_all(content: Content, key: str) -> None:
    content[key] = []
    assert _only(content) == f"prefect.yaml: {key} does not belong here: the code comes with the image or the slug"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("build", []),
        ("triggers", []),
        ("sla", []),
        ("version", "1"),
        ("flow_name", "etl"),
        ("concurrency_limit", 1),
        ("schedule", {"cron": "0 5 * * *"}),
    ],
)
def test_what_prefect_does_and_the_set_up_does_not_is_refused_for_one(content: Content, key: str, value: Any) -> None:
    _rdvs(content)[key] = value
    assert _only(content).startswith(f"deployment rdvs: {key} does not belong here: ")


def test_two_deployments_of_one_name_are_refused(content: Content) -> None:
    content["deployments"].append(copy.deepcopy(_rdvs(content)))
    assert _only(content) == "deployment rdvs: there are 2 of that name"


def test_two_schedules_of_one_slug_are_refused(content: Content) -> None:
    _rdvs(content)["schedules"].append({"slug": "daily", "cron": "0 6 * * *", "timezone": "Europe/Paris"})
    assert _only(content) == "deployment rdvs: schedule daily: there are 2 of that name"


def test_one_slug_in_two_deployments_is_fine(content: Content) -> None:
    content["deployments"][-1]["schedules"][0]["slug"] = "daily"
    assert check.problems(content) == []


def test_a_deployment_without_a_name_is_refused(content: Content) -> None:
    del _rdvs(content)["name"]
    assert _only(content) == "a deployment without a name: want the app's"


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"slug": None}, "schedule ?: want a slug, so that a later deploy recognizes it"),
        ({"timezone": None}, "schedule daily: want a timezone; without one it is UTC"),
        ({"timezone": "Europe/Pariss"}, "schedule daily: timezone: "),
        ({"cron": "30 25 * * *"}, "schedule daily: cron: "),
        ({"interval": 60}, "schedule daily: Exactly one of "),
        ({"cron": None}, "schedule daily: Exactly one of "),
        ({"active": "perhaps"}, "schedule daily: active: found 'perhaps', want true or false"),
    ],
)
def test_a_schedule_that_is_none_is_refused(content: Content, change: Content, problem: str) -> None:
    _rdvs(content)["schedules"][0] |= {"active": True, **change}
    del content["definitions"]["environment"]["ETL_SCHEDULE_RDVS"]
    assert _only(content).startswith(f"deployment rdvs: {problem}")


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"jobs": 99}, "parameters.jobs: want maximum 32"),
        ({"jobs": "four"}, "parameters.jobs: want type integer"),
        ({"app": "Rdvs"}, "parameters.app: want pattern "),
        ({"rules": ""}, "parameters.rules: want minLength 1"),
    ],
)
def test_a_parameter_that_the_flow_would_refuse_is_refused(content: Content, change: Content, problem: str) -> None:
    _rdvs(content)["parameters"] |= change
    assert _only(content).startswith(f"deployment rdvs: {problem}")


def test_a_missing_parameter_is_refused(content: Content) -> None:
    del _rdvs(content)["parameters"]["rules"]
    assert _only(content) == "deployment rdvs: parameters: 'rules' is a required property"


def test_a_job_variable_that_the_work_pool_wants_is_missed(content: Content) -> None:
    aei = content["deployments"][-1]
    del aei["work_pool"]["job_variables"]["job_definition_id"]
    del content["definitions"]["environment"]["SCALEWAY_JOB_DEFINITION_ID"]
    assert _only(content) == "deployment aei: job_variables: 'job_definition_id' is a required property"


def test_a_work_pool_that_nobody_sets_up_is_refused(content: Content) -> None:
    _rdvs(content)["work_pool"]["name"] = "scalingoo"
    assert _only(content).startswith("deployment rdvs: work_pool: found scalingoo, want one of scaleway, scalingo")


@pytest.mark.parametrize("entrypoint", ["flows/elt.py:etl", "flows/etl.py:elt", "flows/etl.py"])
def test_an_entrypoint_without_a_flow_is_refused(content: Content, entrypoint: str) -> None:
    _rdvs(content)["entrypoint"] = entrypoint
    assert _only(content).startswith(f"deployment rdvs: entrypoint {entrypoint}: can't be loaded: ")


SECRETS: dict[str, Callable[[Content, str], None]] = {
    "parameters.reader": lambda content, text: _rdvs(content)["parameters"].update(reader=text),
    "parameters.rules": lambda content, text: _rdvs(content)["parameters"].update(rules=text),
    "job_variables.env.ORIGIN": lambda content, text: _rdvs(content)["work_pool"]["job_variables"]["env"].update(
        ORIGIN=text
    ),
}


@pytest.mark.parametrize("where", SECRETS)
def test_a_url_with_a_password_is_refused_and_not_quoted(content: Content, where: str) -> None:
    SECRETS[where](content, "postgresql://user:s3cret@host/database")
    problem = _only(content)
    assert problem == f"deployment rdvs: {where}: a URL with a password would be stored in clear; save it as a Secret block"


def test_a_secret_that_a_variable_brings_is_refused_at_the_deploy(content: Content) -> None:
    environment = {**ENVIRONMENT, "METABASE_USERNAME": "postgresql://user:s3cret@host/database"}
    assert check.problems(content) == []
    problems = check.problems(content, environment)
    assert len(problems) == len(content["deployments"])
    assert "s3cret" not in "".join(problems)


@pytest.mark.parametrize("where", SECRETS)
def test_a_template_of_a_secret_is_refused(content: Content, where: str) -> None:
    SECRETS[where](content, "{{ prefect.blocks.secret.rdvs-db-url }}")
    assert "{{ prefect.blocks.secret.rdvs-db-url }} would be stored in clear" in _only(content)


def test_a_wrong_value_is_not_quoted(content: Content) -> None:
    _rdvs(content)["parameters"]["app"] = "S3CRET"
    assert "S3CRET" not in _only(content)


@pytest.mark.parametrize("text", ["{{ prefect.variables.reader }}", "{{ reader }}"])
def test_a_template_that_the_set_up_does_not_fill_in_is_refused(content: Content, text: str) -> None:
    _rdvs(content)["parameters"]["reader"] = text
    assert f"{text}: want {{{{ $NAME }}}}" in _only(content)


@pytest.mark.parametrize("text", ["{{ $METABASE USERNAME }}", "{{ $METABASE_USERNAME | lower }}", "{{ $METABASE_USERNAME }"])
def test_a_template_that_prefect_would_leave_as_it_is_is_refused(content: Content, text: str) -> None:
    _rdvs(content)["parameters"]["reader"] = text
    assert "holds braces that are not a template" in _only(content)


def test_a_variable_that_is_not_declared_is_refused(content: Content) -> None:
    _rdvs(content)["parameters"]["reader"] = "{{ $METABASE_USER }}"
    assert _only(content).endswith("METABASE_USER is not declared in definitions.environment")


def test_a_variable_that_is_used_nowhere_is_refused(content: Content) -> None:
    content["definitions"]["environment"]["OLD"] = None
    assert _only(content) == "definitions.environment: OLD is used nowhere"


@pytest.mark.parametrize(("limit", "unit"), [("silence", "hours"), ("time_limit", "minutes")])
def test_a_limit_of_an_app_that_there_is_not_is_refused(content: Content, limit: str, unit: str) -> None:
    content["definitions"][limit] = {"rdvz": 26}
    assert _only(content) == f"definitions.{limit}: there is no app rdvz (did you mean rdvs?)"
    content["definitions"][limit] = {"shop": 26}
    assert _only(content) == f"definitions.{limit}: there is no app shop"
    content["definitions"][limit] = ["rdvs"]
    assert _only(content) == f"definitions.{limit}: want a mapping of apps to {unit}"


@pytest.mark.parametrize("value", [0, -1, "26", True, None, float("inf"), float("nan")])
def test_a_limit_that_is_no_number_above_0_is_refused(content: Content, value: Any) -> None:
    for limit, unit in (("silence", "hours"), ("time_limit", "minutes")):
        content["definitions"][limit] = {"rdvs": value}
        assert _only(content) == f"definitions.{limit}.rdvs: found {value!r}, want {unit}, a number above 0"
        content["definitions"][limit] = {"rdvs": 1.5}
        assert check.problems(content) == []
        content["definitions"][limit] = None
        assert check.problems(content) == []


def test_a_part_of_definitions_that_nothing_reads_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "prefect.yaml"
    parts = "definitions:\n  silense: {rdvs: 26}\n  time_limit: {}\n  paris: &paris {timezone: Europe/Paris}\n"
    file.write_text(f"{parts}  old: &old {{timezone: UTC}}\ndeployments: [{{<<: *paris}}]\n")
    with pytest.raises(UsageError) as raised:
        declared.read(file)
    known = "is unknown, and nothing refers to it; known are environment, silence, time_limit"
    assert str(raised.value).splitlines() == [
        f"prefect.yaml: line 2: definitions.silense {known} (did you mean silence?)",
        f"prefect.yaml: line 5: definitions.old {known}",
    ]


def test_a_file_of_another_prefect_is_refused(content: Content) -> None:
    content["prefect-version"] = "3.8.7"
    assert _only(content).startswith("prefect-version: found 3.8.7, want ")


def test_a_file_without_pull_is_refused_as_prefect_would_take_the_folder_of_the_deploy(content: Content) -> None:
    del content["pull"]
    content["definitions"]["environment"]["ETL_HOME"] = "/app"
    assert [problem for problem in check.problems(content) if problem.startswith("pull: missing")]


def test_a_pull_step_that_there_is_not_is_refused(content: Content) -> None:
    content["pull"].append({"prefect.deployments.steps.git_clon": {"repository": "x"}})
    assert _only(content) == "pull: there is no step prefect.deployments.steps.git_clon"


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"deployments": None}, "prefect.yaml: "),
        ({"deployments": ["rdvs"]}, "prefect.yaml: want `deployments`, a list with a mapping per app"),
        (
            {"deployments": [{"name": "x", "schedules": {"cron": "0 5 * * *"}}]},
            "deployment x: want `schedules`, a list of mappings",
        ),
        ({"deployments": [{"name": 5}]}, "prefect.yaml: deployments.0.name: "),
        ({"deployments": [{"name": "x", "work_pool": "scalingo"}]}, "prefect.yaml: deployments.0.work_pool: "),
    ],
)
def test_a_part_of_another_type_is_refused(content: Content, change: Content, problem: str) -> None:
    assert any(found.startswith(problem) for found in check.problems({**content, **change}))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("name: a\nname: b\n", "prefect.yaml: line 2: name stands twice in one mapping"),
        ("a:\n  - {b: 1, c: 2,\n     b: 3}\n", "prefect.yaml: line 3: b stands twice in one mapping"),
        ("a: [1\n", "prefect.yaml: is not YAML: "),
        ("- a\n", "prefect.yaml: found list, want a mapping with `deployments`"),
        ("", "prefect.yaml: found NoneType, want a mapping with `deployments`"),
    ],
)
def test_a_file_that_is_none_is_refused_in_one_line(tmp_path: Path, text: str, problem: str) -> None:
    (tmp_path / "prefect.yaml").write_text(text)
    with pytest.raises(UsageError) as raised:
        declared.read(tmp_path / "prefect.yaml")
    assert str(raised.value).startswith(problem)
    assert "\n" not in str(raised.value)


def test_what_overrides_a_merged_key_does_not_stand_twice(tmp_path: Path) -> None:
    (tmp_path / "prefect.yaml").write_text("a: &a {b: 1}\nc: &c {<<: *a, b: 2}\nd: {<<: *c, b: 3}\n")
    assert declared.read(tmp_path / "prefect.yaml")["d"] == {"b": 3}


def test_a_variable_without_a_value_has_its_default_or_is_missing() -> None:
    values, missing = variables(
        declared.read(),
        {
            "METABASE_USERNAME": "",
            "ETL_SCHEDULE_RDVI": "false",
            "RDV_INSERTION_SCHEMA_READER_USERNAME": "a, b",
            "OTHER": "x",
        },
    )
    assert missing == ["METABASE_USERNAME"]
    assert values == {
        "RDV_SOLIDARITES_SCHEMA_READER_USERNAME": "",
        "RDV_SERVICE_PUBLIC_SCHEMA_READER_USERNAME": "",
        "RDV_INSERTION_SCHEMA_READER_USERNAME": "a, b",
        "ETL_HOME": "/app",
        "ETL_SCHEDULE_RDVS": "true",
        "ETL_SCHEDULE_RDVSP": "true",
        "ETL_SCHEDULE_RDVI": "false",
        "ETL_SCHEDULE_AEI": "true",
        "SCALEWAY_JOB_DEFINITION_ID": "none",
    }


def _deployments(**environment: str) -> dict[str, Content]:
    content = declared.read()
    values, _ = variables(content, {**ENVIRONMENT, **environment})
    return {deployment["name"]: resolved(deployment, values) for deployment in content["deployments"]}


def test_the_deployments_are_the_apps_that_the_command_line_knows() -> None:
    deployments = _deployments()
    assert set(deployments) == set(known_apps()) >= {"rdvs", "rdvsp", "rdvi", "aei"}
    for name, app in known_apps().items():
        readers = {"reader": "metabase", **({"schema_reader": [""]} if app.schema_reader else {})}
        assert deployments[name]["parameters"] == {"app": app.name, "rules": app.rules, **readers}


SCHEMA_READERS = {
    "rdvs": "RDV_SOLIDARITES_SCHEMA_READER_USERNAME",
    "rdvsp": "RDV_SERVICE_PUBLIC_SCHEMA_READER_USERNAME",
    "rdvi": "RDV_INSERTION_SCHEMA_READER_USERNAME",
}


@pytest.mark.parametrize(("app", "variable"), SCHEMA_READERS.items())
@pytest.mark.parametrize(
    ("value", "roles"), [("", ()), ("team", ("team",)), (' Équipe "1" ,, team-2,', ('Équipe "1"', "team-2"))]
)
def test_each_variable_names_the_schema_readers_of_one_app(
    value: str, roles: tuple[str, ...], app: str, variable: str
) -> None:
    deployments = _deployments(**{variable: value})
    assert check.problems(declared.read(), {**ENVIRONMENT, variable: value}) == []
    for name, deployment in deployments.items():
        job = Job.of({"schema": "", "origin_schema": "", "jobs": 1, "lock_wait": 1, **deployment["parameters"]}, "0123abcd")
        assert job.schema_reader == (roles if name == app else ())
        assert job.readers == ("metabase", *job.schema_reader)


def test_any_app_may_name_its_schema_readers_in_the_file_and_a_text_is_no_list(content: Content) -> None:
    aei = next(deployment for deployment in content["deployments"] if deployment["name"] == "aei")
    aei["parameters"]["schema_reader"] = ["aei_team", "aei_analysts"]
    assert check.problems(content) == []
    aei["parameters"]["schema_reader"] = "aei_team"
    assert _only(content) == "deployment aei: parameters.schema_reader: want type array"


def test_each_app_has_its_work_pool() -> None:
    wanted = {"rdvs": "scalingo", "rdvsp": "scalingo", "rdvi": "scalingo", "aei": "scaleway"}
    pools = {name: deployment["work_pool"]["name"] for name, deployment in _deployments().items()}
    assert pools.items() >= wanted.items()


@pytest.mark.parametrize(
    ("app", "starts"),
    [
        # a Thursday, and the night in which summer time ends
        ("rdvsp", ["2026-10-22 04:30", "2026-10-23 04:30", "2026-10-26 04:30"]),
        ("rdvi", ["2026-10-22 05:00", "2026-10-23 05:00", "2026-10-26 05:00"]),
        ("rdvs", ["2026-10-22 05:30", "2026-10-23 05:30", "2026-10-24 05:30", "2026-10-25 05:30", "2026-10-26 05:30"]),
        ("aei", ["2026-11-01 04:05", "2026-12-01 04:05"]),
    ],
)
def test_each_app_starts_when_its_team_wants(app: str, starts: list[str]) -> None:
    (schedule,) = _deployments()[app]["schedules"]
    paris = ZoneInfo("Europe/Paris")
    server = CronSchedule(cron=schedule["cron"], timezone=schedule["timezone"])
    moments = asyncio.run(server.get_dates(len(starts), datetime.datetime(2026, 10, 22, tzinfo=paris)))
    assert [f"{moment.astimezone(paris):%Y-%m-%d %H:%M}" for moment in moments] == starts


@pytest.mark.parametrize("app", ["rdvs", "rdvsp", "rdvi", "aei"])
def test_each_schedule_is_switched_off_by_its_variable_and_by_no_other(app: str) -> None:
    switched = _deployments(**{f"ETL_SCHEDULE_{app.upper()}": "false"})
    scheduled = {name: deployment["schedules"] for name, deployment in switched.items() if "schedules" in deployment}
    active = {name: check.made(schedules[0]).active for name, schedules in scheduled.items()}
    assert active == {name: name != app for name in scheduled}


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ("postgres://u:p@h:5432/d", "postgresql+asyncpg://u:p@h:5432/d"),
        ("postgresql://u:p@h:5432/d?sslmode=prefer", "postgresql+asyncpg://u:p@h:5432/d?ssl=prefer"),
        ("postgres://u:p%40%2F@h/d?sslmode=require", "postgresql+asyncpg://u:p%40%2F@h/d?ssl=require"),
        ("postgresql+asyncpg://u:p@h/d?timeout=5", "postgresql+asyncpg://u:p@h/d?timeout=5"),
    ],
)
def test_a_url_of_a_host_becomes_one_that_prefects_server_takes(given: str, wanted: str) -> None:
    assert database_url("DATABASE_URL", given) == wanted


@pytest.mark.parametrize(
    "given", ["mysql://u:s3cret@h/d", "postgres://u:s3cret@h/d?target=x", "postgres:///d", "postgres://["]
)
def test_a_url_that_prefects_server_would_not_take_is_refused_and_not_quoted(given: str) -> None:
    with pytest.raises(UsageError) as raised:
        database_url("DATABASE_URL", given)
    assert str(raised.value).startswith("DATABASE_URL: want postgresql://")
    assert "s3cret" not in str(raised.value)
