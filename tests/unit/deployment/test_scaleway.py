"""The door to Scaleway, against a server that answers as Scaleway does, and what is decided without asking anybody."""

import asyncio
import json
import os
import re
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.exceptions import InfrastructureNotAvailable, InfrastructureNotFound
from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_KEY, PREFECT_API_URL, PREFECT_HOME, temporary_settings
from prefect.workers.base import BaseWorker
from pydantic import SecretStr

from deployment.scaleway import ScalewayWorker
from deployment.scaleway.api import Denied, JobRun, Jobs, NotFound, ScalewayError, Unanswered
from deployment.scaleway.following import backoff
from deployment.scaleway.jobs import REASONS, Place, ScalewayJobConfiguration, explanation, is_starting, starting, verdict
from multischema.errors import UsageError
from tests.conftest import ROOT
from tests.support.scaleway_provider import IMAGE, Provider, provider
from tests.support.servers import eventually

SLOW = pytest.mark.slow
KEY = "3e1d5c0f-9b2a-4c7d-8e6f-0a1b2c3d4e5f"
REGION = "fr-par"


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no proxy of the machine come between."""
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def scaleway(tmp_path: Path) -> Iterator[Provider]:
    with provider(tmp_path / "scaleway", KEY) as server:
        yield server


@pytest.fixture
def jobs(scaleway: Provider) -> Jobs:
    return Jobs(SecretStr(KEY), scaleway.url)


def ended(jobs: Jobs, run: JobRun) -> JobRun:
    """Return a job run once it has ended."""

    def look() -> JobRun | None:
        found = jobs.run(REGION, run.id)
        return found if found.ended else None

    found: JobRun = eventually(look)
    return found


# The door.


def test_a_job_is_started_seen_found_and_stopped(scaleway: Provider, jobs: Jobs) -> None:
    made = scaleway.define("etl", memory=512)
    definition = jobs.definition(REGION, made.id)
    assert (definition.name, definition.image, definition.max_retries) == ("etl", IMAGE, 0)
    scaleway.places.clear()
    run = jobs.start(REGION, made.id, ["sleep", "600"], {"MARK": "one"})
    other = jobs.start(REGION, made.id, ["sleep", "600"], {"MARK": "two"})
    found = jobs.find(REGION, made.id, "MARK", "one")
    assert found
    assert found.id == run.id != other.id
    assert jobs.find(REGION, made.id, "MARK", "three") is None
    assert scaleway.runs[run.id].command == ["sleep", "600"]
    jobs.stop(REGION, run.id)
    seen = ended(jobs, run)
    assert (seen.state, seen.reason, seen.memory) == ("interrupted", "cancellation", 512)
    assert seen.created


REFUSALS: list[tuple[int, Mapping[str, Any] | None, type[ScalewayError], str]] = [
    (
        400,
        {"type": "invalid_arguments", "details": [{"argument_name": "args"}]},
        ScalewayError,
        "refused (400 invalid_arguments",
    ),
    (401, {"type": "denied_authentication", "reason": "expired"}, Denied, "SCW_SECRET_KEY"),
    (403, {"type": "permissions_denied", "message": "no"}, Denied, "ServerlessJobsFullAccess"),
    (403, {"type": "quotas_exceeded", "message": "no"}, ScalewayError, "refused (403 quotas_exceeded"),
    (404, {"type": "not_found", "resource": "job_run"}, NotFound, "does not have it (404 not_found, resource job_run)"),
    (412, {"type": "precondition_failed", "help_message": "no"}, ScalewayError, "refused (412 precondition_failed"),
    (302, None, ScalewayError, "refused (302)"),
    (408, None, Unanswered, "answered 408"),
    (409, {"type": "transient_state", "current_state": "x"}, Unanswered, "answered 409 transient_state, current_state x"),
    (429, {"type": "too_many_requests"}, Unanswered, "answered 429"),
    (500, {"type": "internal"}, Unanswered, "answered 500 internal"),
    (503, None, Unanswered, "answered 503"),
    (200, None, Unanswered, "can't be understood"),
    (200, {}, Unanswered, "can't be understood"),
    (200, {"job_runs": []}, Unanswered, "can't be understood"),
]


@pytest.fixture
def answering() -> Iterator[Callable[..., tuple[Jobs, list[dict[str, str]]]]]:
    """Return a function that gives a door to a server with one answer for everything, and the headers it was sent."""
    servers = []

    def make(status: int, said: Mapping[str, Any] | None, **headers: str) -> tuple[Jobs, list[dict[str, str]]]:
        sent: list[dict[str, str]] = []

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                sent.append(dict(self.headers))
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name.replace("_", "-"), value)
                self.end_headers()
                self.wfile.write(json.dumps(said).encode() if said is not None else b"<html>")

            do_POST = do_GET

            def log_message(self, format: str, *args: object) -> None:
                pass

        server = HTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}).start()
        servers.append(server)
        return Jobs(SecretStr(KEY), f"http://127.0.0.1:{server.server_port}"), sent

    yield make
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize(("status", "said", "kind", "wanted"), REFUSALS)
def test_a_refusal_is_one_line_and_of_the_kind_that_says_whether_to_ask_again(
    answering: Callable[..., Any], status: int, said: Mapping[str, Any] | None, kind: type[ScalewayError], wanted: str
) -> None:
    jobs, _ = answering(status, said)
    with pytest.raises(ScalewayError) as caught:
        jobs.start(REGION, "abc", ["true"], {})
    assert type(caught.value) is kind
    assert wanted in str(caught.value)
    assert str(caught.value).startswith("start of job definition abc in fr-par: ")
    assert "\n" not in str(caught.value)
    assert caught.value.transient is (kind is Unanswered)


@pytest.mark.parametrize(
    ("status", "unsure"), [(200, True), (408, True), (500, True), (502, True), (504, True), (409, False), (429, False)]
)
def test_a_start_may_have_been_done_unless_scaleway_says_that_it_was_not(
    answering: Callable[..., Any], status: int, unsure: bool
) -> None:
    jobs, _ = answering(status, None)
    with pytest.raises(Unanswered) as caught:
        jobs.start(REGION, "abc", ["true"], {})
    assert caught.value.unsure is unsure
    with pytest.raises(Unanswered) as caught:
        jobs.run(REGION, "abc")
    assert caught.value.unsure is False


def test_a_start_that_never_left_was_not_done_and_one_that_left_may_have_been(scaleway: Provider, jobs: Jobs) -> None:
    definition = scaleway.define()
    scaleway.fail("start")
    with pytest.raises(Unanswered) as caught:
        jobs.start(REGION, definition.id, ["true"], {})
    assert caught.value.unsure is True
    with pytest.raises(Unanswered) as caught:
        Jobs(SecretStr(KEY), "http://127.0.0.1:1").start(REGION, definition.id, ["true"], {})
    assert caught.value.unsure is False


def test_the_wait_that_an_answer_asks_for_is_known(answering: Callable[..., Any]) -> None:
    for text, wanted in (("7", 7.0), ("99999", 300.0), ("tomorrow", 0.0)):
        jobs, _ = answering(429, None, Retry_After=text)
        with pytest.raises(Unanswered) as caught:
            jobs.run(REGION, "abc")
        assert caught.value.wait == wanted


def test_the_key_does_not_follow_a_redirect(answering: Callable[..., Any]) -> None:
    elsewhere, sent_elsewhere = answering(200, {})
    jobs, sent = answering(307, None, Location=elsewhere._url)
    with pytest.raises(ScalewayError):
        jobs.run(REGION, "abc")
    assert sent[0]["X-Auth-Token"] == KEY
    assert sent_elsewhere == []


def test_an_id_is_one_part_of_the_path_whatever_is_in_it(scaleway: Provider, jobs: Jobs) -> None:
    with pytest.raises(ScalewayError, match="must be a UUID"):
        jobs.run(REGION, "../job-definitions?x")


@pytest.mark.parametrize("key", [f"{KEY}\nX-Other: {KEY}", f"{KEY} {KEY}", f"é{KEY}"])
def test_a_key_that_is_none_is_refused_without_being_told(key: str) -> None:
    with pytest.raises(UsageError) as caught:
        Jobs(SecretStr(key))
    assert KEY not in str(caught.value)


def test_a_key_with_a_newline_at_its_end_is_that_key(scaleway: Provider) -> None:
    definition = scaleway.define()
    jobs = Jobs.from_environment({"SCW_SECRET_KEY": f" {KEY}\n", "SCW_API_URL": scaleway.url})
    assert jobs.definition(REGION, definition.id).id == definition.id


def test_the_key_is_sent_over_https_alone() -> None:
    with pytest.raises(UsageError, match="not an https URL"):
        Jobs(SecretStr(KEY), "http://api.scaleway.com")


def test_the_key_is_in_no_representation_and_in_no_error(answering: Callable[..., Any]) -> None:
    jobs, _ = answering(401, {"type": "denied_authentication", "message": f"key {KEY}\nis not known"})
    assert KEY not in repr(jobs) + str(vars(jobs))
    with pytest.raises(Denied) as caught:
        jobs.run(REGION, "abc")
    assert "key … is not known" in str(caught.value)
    assert KEY not in str(caught.value) + repr(caught.value)
    assert KEY not in repr(ScalewayWorker(work_pool_name="scaleway", name="x"))


# What a job is given.


def _prepared(**values: Any) -> ScalewayJobConfiguration:
    configuration = ScalewayJobConfiguration(job_definition_id="abc", **values)
    settings = {
        PREFECT_API_URL: "https://prefect.example.org/api",
        PREFECT_API_KEY: "hidden-key",
        PREFECT_API_AUTH_STRING: "admin:hidden-password",
        PREFECT_HOME: "/somewhere",
    }
    with temporary_settings(settings):
        configuration.prepare_for_flow_run(FlowRun(flow_id=uuid.uuid4()), worker_name="w")
    return configuration


def test_a_job_gets_the_api_url_and_its_flow_run_and_none_of_the_worker_s_secrets() -> None:
    environment = _prepared(env={"A": "1", "B": None}).environment()
    assert environment["PREFECT_API_URL"] == "https://prefect.example.org/api"
    assert environment["A"] == "1"
    assert "PREFECT__FLOW_RUN_ID" in environment
    assert "hidden" not in str(environment)
    assert not {"PREFECT_HOME", "PREFECT_API_KEY", "PREFECT_API_AUTH_STRING", "B"} & set(environment)


def test_a_work_pool_may_give_another_api_url_than_the_worker_s() -> None:
    environment = _prepared(env={"PREFECT_API_URL": "https://elsewhere.example.org/api"}).environment()
    assert environment["PREFECT_API_URL"] == "https://elsewhere.example.org/api"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PREFECT_API_KEY", "hidden"),
        ("PREFECT_API_AUTH_STRING", "admin:hidden"),
        ("SCW_SECRET_KEY", "hidden"),
        ("ORIGIN_DB_URL", "postgresql://app:hidden@host:5432/app?sslmode=require"),
        ("ORIGIN_DB_URL", "postgresql://app:hid[den@host/app"),
        ("DSN", "host=db user=app password=hidden"),
    ],
)
def test_a_secret_in_the_variables_is_refused_and_not_told(name: str, value: str) -> None:
    with pytest.raises(UsageError) as caught:
        _prepared(env={name: value}).environment()
    assert name in str(caught.value)
    assert "hid" not in str(caught.value)


def test_a_variable_that_scaleway_keeps_for_itself_is_refused() -> None:
    with pytest.raises(UsageError, match="SCW_SLS_REGION"):
        _prepared(env={"SCW_SLS_REGION": "x"}).environment()


def test_the_command_is_that_of_prefect_unless_another_is_given() -> None:
    assert _prepared().argv() == ["tini", "--", "prefect", "flow-run", "execute"]
    assert _prepared(command=" ").argv() == _prepared().argv()
    assert _prepared(command="sh -c 'echo a b'").argv() == ["sh", "-c", "echo a b"]
    with pytest.raises(UsageError, match="command can't be read"):
        _prepared(command="sh -c 'echo").argv()


def test_a_job_definition_may_be_named_as_terraform_names_it() -> None:
    assert ScalewayJobConfiguration(job_definition_id="abc").definition() == "abc"
    assert ScalewayJobConfiguration(job_definition_id="nl-ams/abc", region="nl-ams").definition() == "abc"
    with pytest.raises(UsageError, match="want nl-ams"):
        ScalewayJobConfiguration(job_definition_id="nl-ams/abc").definition()
    for none in (None, "", "fr-par/"):
        with pytest.raises(UsageError, match="set job_definition_id"):
            ScalewayJobConfiguration(job_definition_id=none).definition()


def test_a_work_pool_asks_for_described_variables_and_for_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SCW_SECRET_KEY", raising=False)
    template = ScalewayWorker.get_default_base_job_template()
    properties = template["variables"]["properties"]
    assert list(properties)[:2] == ["region", "job_definition_id"]
    assert properties["region"]["enum"] == ["fr-par", "nl-ams", "pl-waw"]
    assert template["variables"]["required"] == ["job_definition_id"]
    assert all(variable.get("description") for variable in properties.values())
    assert {name: f"{{{{ {name} }}}}" for name in properties} == template["job_configuration"]
    assert set(properties) <= set(ScalewayJobConfiguration.model_fields)
    for name, variable in properties.items():
        if variable.get("default") is not None:
            assert ScalewayJobConfiguration.model_fields[name].default == variable["default"]
    assert not re.search("key|password|token", str(template), re.IGNORECASE)


# What its end means.


def test_a_place_is_read_as_it_was_written_and_nothing_else_is() -> None:
    place = Place("fr-par", "abc")
    assert Place.read(str(place)) == place
    for other in (None, "", "1234", "host:1234", "scaleway:fr-par", "scaleway:fr-par:", starting("worker")):
        assert Place.read(other) is None
    assert is_starting(starting("worker"))
    assert not is_starting(str(place))
    assert not is_starting(None)


def test_every_reason_of_the_api_is_explained() -> None:
    documented = {
        "invalid_request", "timeout", "cancellation", "technical_error", "image_not_found", "invalid_image",
        "memory_usage_exceeded", "storage_usage_exceeded", "exited_with_error", "secret_disabled", "secret_not_found",
        "quota_exceeded",
    }  # fmt: skip
    assert set(REASONS) == documented
    for reason in documented:
        said = explanation(Place("fr-par", "abc"), JobRun("abc", "failed", reason, exit_code=3, memory=512, storage=1000))
        assert said.startswith(f"Scaleway job run abc in fr-par failed: {reason}: ")
        assert "{" not in said


@pytest.mark.parametrize(
    ("job", "wanted"),
    [
        (JobRun("abc", "failed", "memory_usage_exceeded", memory=512), "its 512 MiB of memory; raise memory_limit"),
        (JobRun("abc", "failed", "storage_usage_exceeded", storage=1000), "its 1000 MiB of disk"),
        (JobRun("abc", "failed", "exited_with_error", exit_code=127, error="no prefect"), "exit code 127 (no prefect)"),
        (JobRun("abc", "failed", "exited_with_error"), "exit code ?"),
        (JobRun("abc", "failed"), "failed: unknown_reason: Scaleway gives no reason"),
        (JobRun("abc", "failed", "brand_new"), "failed: brand_new: Scaleway gives no reason"),
        (JobRun("abc", "interrupted"), "interrupted: cancellation: it was stopped"),
        (None, "does not have it any more"),
    ],
)
def test_an_end_is_explained_with_the_figures_of_the_job(job: JobRun | None, wanted: str) -> None:
    assert wanted in explanation(Place("fr-par", "abc"), job)


@pytest.mark.parametrize("state", list(StateType))
@pytest.mark.parametrize("job", [JobRun("a", "failed"), JobRun("a", "succeeded"), JobRun("a", "interrupted"), None])
def test_only_a_flow_run_that_has_no_end_is_given_one(state: StateType, job: JobRun | None) -> None:
    said = verdict(state, job, "why")
    wanted = {StateType.PENDING: "Crashed", StateType.RUNNING: "Crashed", StateType.CANCELLING: "Cancelled"}
    assert (said.state if said else None) == wanted.get(state)
    assert said is None or "why" in said.message


def test_looks_grow_rarer_while_they_fail_but_not_without_end() -> None:
    assert [backoff(10, failures) for failures in range(5)] == [10, 20, 40, 60, 60]
    assert backoff(0.2, 10**6) == 60
    assert backoff(300, 3) == 300
    assert backoff(10, 0, wait=120) == 120


# To stop a job.


def _kill(pid: str, scaleway: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCW_SECRET_KEY", KEY)
    monkeypatch.setenv("SCW_API_URL", scaleway.url)
    worker = ScalewayWorker(work_pool_name="scaleway", name="w")
    asyncio.run(worker.kill_infrastructure(pid, ScalewayJobConfiguration()))


def test_prefect_can_have_a_job_stopped_though_scaleway_hesitates(
    scaleway: Provider, jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deployment.scaleway.worker.backoff", lambda base, failures: 0.01)
    run = jobs.start(REGION, scaleway.define().id, ["sleep", "600"], {})
    scaleway.fail("stop", 503, times=2)
    _kill(f"scaleway:fr-par:{run.id}", scaleway, monkeypatch)
    seen = ended(jobs, run)
    assert seen.state == "interrupted"
    stops = scaleway.asked.count("stop")
    _kill(f"scaleway:fr-par:{run.id}", scaleway, monkeypatch)
    assert scaleway.asked.count("stop") == stops


def test_what_can_t_be_stopped_is_told_as_prefect_wants_it(scaleway: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    for pid in (f"scaleway:fr-par:{uuid.uuid4()}", starting("w")):
        with pytest.raises(InfrastructureNotFound):
            _kill(pid, scaleway, monkeypatch)
    with pytest.raises(InfrastructureNotAvailable, match="1234 is no Scaleway job run"):
        _kill("1234", scaleway, monkeypatch)
    scaleway.allowed = False
    with pytest.raises(InfrastructureNotAvailable, match="lacks a permission"):
        _kill(f"scaleway:fr-par:{uuid.uuid4()}", scaleway, monkeypatch)


# The command.


def _command(directory: Path, *arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "deployment.scaleway", *arguments],
        cwd=directory,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "PREFECT_HOME": str(directory), **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("environment", "wanted"),
    [
        ({"PREFECT_API_URL": "http://127.0.0.1:1/api"}, "missing variable SCW_SECRET_KEY"),
        pytest.param(
            {"PREFECT_API_URL": "http://127.0.0.1:1/api", "SCW_SECRET_KEY": " "},
            "missing variable SCW_SECRET_KEY",
            marks=SLOW,
        ),
        pytest.param({"SCW_SECRET_KEY": KEY}, "missing variable PREFECT_API_URL", marks=SLOW),
        pytest.param(
            {"SCW_SECRET_KEY": KEY, "SCW_API_URL": "http://api.scaleway.com"},
            "SCW_API_URL is not an https URL",
            marks=SLOW,
        ),
    ],
)
def test_a_worker_without_what_it_needs_says_so_in_one_line(
    tmp_path: Path, environment: dict[str, str], wanted: str
) -> None:
    run = _command(tmp_path, **environment)
    assert run.returncode == 2
    assert run.stderr.startswith(f"error: {wanted}")
    assert run.stderr.count("\n") == 1
    assert run.stdout == ""
    assert KEY not in run.stderr


def test_the_command_reads_a_env_file(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(f"SCW_SECRET_KEY={KEY}\n")
    assert "PREFECT_API_URL" in _command(tmp_path).stderr


def test_the_worker_s_type_is_known_once_it_is_imported() -> None:
    assert BaseWorker.get_worker_class_from_type("scaleway") is ScalewayWorker
