"""Flow runs as Scaleway Serverless Jobs: a real Prefect server, the worker as its users start it, jobs that really run."""

import asyncio
import json
import re
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from prefect.client.orchestration import get_client
from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_URL, temporary_settings
from prefect.states import Crashed, Pending

from deployment.scaleway import ScalewayWorker
from deployment.scaleway.jobs import ScalewayJobConfiguration
from tests.conftest import OWN, Place
from tests.support import servers
from tests.support.scaleway_provider import ENDED, Definition, Provider, Run, provider
from tests.support.servers import AUTH, PATIENCE, PrefectServer, eventually, free_port, in_background, variables

pytestmark = pytest.mark.slow

KEY = "3e1d5c0f-9b2a-4c7d-8e6f-0a1b2c3d4e5f"
FINAL = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")

# A job as short as can be: it says of its flow run what it is told to say, instead of running a flow.
JOB = """
import base64, json, os, pathlib, signal, sys, time, urllib.error, urllib.request

def become(name):
    types = {"AwaitingRetry": "SCHEDULED"}
    body = {"state": {"type": types.get(name, name.upper()), "name": name}, "force": True}
    url = os.environ["PREFECT_API_URL"] + "/flow_runs/" + os.environ["PREFECT__FLOW_RUN_ID"] + "/set_state"
    auth = base64.b64encode(os.environ["PREFECT_API_AUTH_STRING"].encode()).decode()
    headers = {"Content-Type": "application/json", "Authorization": "Basic " + auth}
    for tries_left in reversed(range(10)):
        try:
            urllib.request.urlopen(urllib.request.Request(url, json.dumps(body).encode(), headers), timeout=60).read()
            return
        except urllib.error.HTTPError as error:
            if error.code != 503 or not tries_left:
                raise
            time.sleep(1)

def do(words):
    for word in words:
        if word == "stubborn":
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        elif word.startswith("exit="):
            sys.exit(int(word[5:]))
        elif word.startswith("until="):
            while not pathlib.Path(word[6:]).exists():
                time.sleep(0.05)
        elif word[0].isdigit():
            time.sleep(float(word))
        else:
            become(word)

words = sys.argv[1:]
if "then" in words:
    # the second attempt does what comes after
    first = pathlib.Path("/tmp") / ("attempt-" + os.environ["PREFECT__FLOW_RUN_ID"])
    at = words.index("then")
    if first.exists():
        first.unlink()
        words = words[at + 1:]
    else:
        first.touch()
        words = words[:at]
do(words)
"""

FLOW = """
import pathlib, time
from prefect import flow, get_run_logger, task

@task
def greet(name):
    get_run_logger().info("hello " + name)

@flow
def small(name: str = "nobody", until: str = "/"):
    greet(name)
    while not pathlib.Path(until).exists():
        time.sleep(0.05)
"""


@dataclass(frozen=True)
class Prefect(PrefectServer):
    """A Prefect server with a folder of flows, and what can be asked of it."""

    flows: Path = Path()
    deployments: dict[str, str] = field(default_factory=dict)

    def deploy(self, pool: str, flow: str, entrypoint: str, directory: Path) -> str:
        """Make a deployment on a pool and return its id."""
        key = f"{pool}/{flow}"
        if key not in self.deployments:
            made = self.ask("POST", "flows/", {"name": flow})
            pull = [{"prefect.deployments.steps.set_working_directory": {"directory": str(directory)}}]
            deployment = {
                "name": pool,
                "flow_id": made["id"],
                "work_pool_name": pool,
                "entrypoint": entrypoint,
                "path": ".",
                "pull_steps": pull,
            }
            self.deployments[key] = self.ask("POST", "deployments/", deployment)["id"]
        return self.deployments[key]

    def run(self, deployment: str, job_variables: Mapping[str, Any], parameters: Mapping[str, Any] | None = None) -> str:
        """Schedule a flow run now and return its id."""
        body = {"state": {"type": "SCHEDULED"}, "job_variables": job_variables, "parameters": parameters or {}}
        made: str = self.ask("POST", f"deployments/{deployment}/create_flow_run", body)["id"]
        return made

    def flow_run(self, flow_run: str) -> dict[str, Any]:
        """Return a flow run as it is now."""
        found: dict[str, Any] = self.ask("GET", f"flow_runs/{flow_run}")
        return found

    def wait(self, flow_run: str, *states: str) -> dict[str, Any]:
        """Return a flow run as soon as it is in one of these states, by type or name."""

        def there() -> dict[str, Any] | None:
            found = self.flow_run(flow_run)
            return found if {found["state_type"], found["state_name"]} & set(states) else None

        found: dict[str, Any] = eventually(there)
        return found

    def end(self, flow_run: str) -> tuple[str, str]:
        """Return the type and the message of a flow run's final state."""
        found = self.wait(flow_run, *FINAL)
        return found["state_type"], found["state"]["message"] or ""

    def states_of(self, flow_run: str) -> list[str]:
        """Return the names of the states that a flow run went through."""
        return [state["name"] for state in self.ask("GET", f"flow_run_states/?flow_run_id={flow_run}")]

    def log(self, flow_run: str, wanted: str) -> str:
        """Return the log of a flow run once it has the wanted text: a worker sends it every few seconds."""

        def sent() -> str | None:
            body = {"logs": {"flow_run_id": {"any_": [flow_run]}}, "sort": "TIMESTAMP_ASC", "limit": 200}
            text = "\n".join(line["message"] for line in self.ask("POST", "logs/filter", body))
            return text if wanted in text else None

        found: str = eventually(sent)
        return found

    def cancel(self, flow_run: str) -> None:
        """Cancel a flow run, as the UI does."""
        self.ask("POST", f"flow_runs/{flow_run}/set_state", {"state": {"type": "CANCELLING", "name": "Cancelling"}})


@dataclass
class Worker:
    """The worker, as its users start it."""

    process: "subprocess.Popen[bytes]"
    output: Path
    pool: str

    @classmethod
    def start(cls, prefect: Prefect, scaleway: Provider, pool: str, *arguments: str, **changes: str) -> "Worker":
        """Start `python -m deployment.scaleway` for a pool, and wait until it looks for flow runs."""
        directory = prefect.home / "workers"
        directory.mkdir(exist_ok=True)
        output = directory / f"{pool}-{len(list(directory.iterdir()))}.out"
        settings = {
            "PREFECT_API_URL": prefect.url,
            "PREFECT_API_AUTH_STRING": AUTH,
            "PREFECT_HOME": str(prefect.home / "worker-home"),
            "PREFECT_WORKER_QUERY_SECONDS": "0.5",
            "PREFECT_WORKER_HEARTBEAT_SECONDS": "2",
            "PREFECT_LOGGING_LEVEL": "DEBUG",
            "PREFECT_LOGGING_TO_API_BATCH_INTERVAL": "0.5",
            "SCW_SECRET_KEY": KEY,
            "SCW_API_URL": scaleway.url,
        }
        with output.open("wb") as file:
            process = subprocess.Popen(
                in_background([sys.executable, "-m", "deployment.scaleway", "--pool", pool, "--name", pool, *arguments]),
                cwd=prefect.flows,  # no .env and no prefect.toml
                env=variables(PYTHONPATH=str(OWN), **{**settings, **changes}),
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
            )
        worker = cls(process, output, pool)
        eventually(lambda: "started!" in worker.said() or process.poll() is not None)
        return worker

    def said(self) -> str:
        """Return what the worker printed so far."""
        return self.output.read_text()

    def kill(self) -> None:
        """Kill it, as a host does that lost its patience."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        """Stop it, as a host does at a redeploy; return its exit status."""
        self.process.terminate()
        return self.process.wait(PATIENCE)


@contextmanager
def prefect_server(home: Path, port: int) -> Iterator[Prefect]:
    """Run a Prefect server with its database in a directory, and the flows beside it."""
    flows = home / "flows"
    flows.mkdir(exist_ok=True)
    (flows / "small.py").write_text(FLOW)
    (flows / "job.py").write_text(JOB)
    # a flow run that a slow worker has not begun in time would go through Late too
    with servers.prefect_server(home, {"PREFECT_SERVER_SERVICES_LATE_RUNS_AFTER_SECONDS": "600"}, port=port) as server:
        yield Prefect(server.url, home, AUTH, flows)


@pytest.fixture(scope="module")
def prefect(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prefect]:
    """Return a Prefect server."""
    with prefect_server(tmp_path_factory.mktemp("prefect"), free_port()) as server:
        yield server


@pytest.fixture(scope="module")
def scaleway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Provider]:
    """Return Scaleway."""
    with provider(tmp_path_factory.mktemp("scaleway"), KEY) as server:
        yield server


@pytest.fixture(autouse=True)
def at_its_best(scaleway: Provider) -> Iterator[None]:
    """Have Scaleway work again after a test that it did not work for."""
    yield
    scaleway.heal()
    scaleway.places.set()
    scaleway.allowed, scaleway.key, scaleway.quota = True, KEY, 400


@pytest.fixture(scope="module")
def shared_worker(prefect: Prefect, scaleway: Provider) -> Iterator[Worker]:
    """Return the worker of all tests that don't kill theirs."""
    worker = Worker.start(prefect, scaleway, "shared")
    yield worker
    worker.kill()


@dataclass
class Case:
    """A definition, a pool and a worker: what a test needs to run something as a job."""

    prefect: Prefect
    scaleway: Provider
    definition: Definition
    pool: str
    worker: Worker | None = None

    def variables(self, **changes: Any) -> dict[str, Any]:
        """Return job variables that make the worker quick."""
        quick = {"poll_seconds": 0.5, "cancel_grace": 2, "job_definition_id": self.definition.id}
        return {**quick, **changes}

    def job(self, words: str, **changes: Any) -> str:
        """Schedule a flow run whose job does what these words say; return the flow run's id."""
        deployment = self.prefect.deploy(self.pool, "fake", "none.py:none", self.prefect.flows)
        command = f"python {self.prefect.flows / 'job.py'} {words}"
        return self.prefect.run(deployment, self.variables(command=command, **changes))

    def small(self, changes: Mapping[str, Any] | None = None, **parameters: Any) -> str:
        """Schedule a run of the small flow, as a real one: by `prefect flow-run execute`."""
        deployment = self.prefect.deploy(self.pool, "small", "small.py:small", self.prefect.flows)
        return self.prefect.run(deployment, self.variables(**(changes or {})), parameters)

    def fail(self, what: str, status: int = 0, times: int = 1, **how: Any) -> None:
        """Have the next requests about this definition go wrong; what others ask for does not."""
        self.scaleway.fail(what, status, times, of=self.definition, **how)

    def started(self, number: int = 1) -> Run:
        """Return the job run of that number once it runs its command."""

        def there() -> Run | None:
            runs = self.scaleway.runs_of(self.definition)
            return runs[number - 1] if len(runs) >= number and runs[number - 1].state == "running" else None

        found: Run = eventually(there)
        return found

    def made(self, number: int = 1) -> Run:
        """Return the job run of that number once there is one, whatever its state."""
        eventually(lambda: len(self.scaleway.runs_of(self.definition)) >= number)
        return self.scaleway.runs_of(self.definition)[number - 1]

    def placed(self, flow_run: str) -> None:
        """Wait until Prefect knows which job run a flow run runs in: it can be Running before."""
        eventually(lambda: (self.prefect.flow_run(flow_run)["infrastructure_pid"] or "").startswith("scaleway:fr-par:"))

    def ended(self, run: Run) -> str:
        """Return the state of a job run once it has ended; no process of it is left then."""
        eventually(lambda: run.state in ENDED)
        assert not run.processes()
        return run.state

    def start_worker(self, *arguments: str, **changes: str) -> Worker:
        """Start the worker of this case's pool."""
        self.worker = Worker.start(self.prefect, self.scaleway, self.pool, *arguments, **changes)
        return self.worker


@pytest.fixture
def make_case(prefect: Prefect, scaleway: Provider) -> Iterator[Callable[[str], Case]]:
    """Return a function that makes a case on a pool."""
    made: list[Case] = []

    def make(pool: str) -> Case:
        definition = scaleway.define(secrets={"PREFECT_API_AUTH_STRING": AUTH})
        made.append(Case(prefect, scaleway, definition, pool))
        return made[-1]

    yield make
    for case in made:
        if case.worker:
            case.worker.kill()
        for run in scaleway.runs_of(case.definition):
            run.stopping.set()


@pytest.fixture
def case(shared_worker: Worker, make_case: Callable[[str], Case]) -> Case:
    """Return a case with the worker of all tests."""
    return make_case(shared_worker.pool)


@pytest.fixture
def own(make_case: Callable[[str], Case]) -> Case:
    """Return a case with a pool of its own, made as the set-up makes it, whose worker the test starts and ends."""
    case = make_case(f"own-{uuid.uuid4().hex[:8]}")
    pool = {"name": case.pool, "type": "scaleway", "base_job_template": ScalewayWorker.get_default_base_job_template()}
    case.prefect.ask("POST", "work_pools/", pool)
    return case


# From the start to the end.


def test_a_flow_run_goes_from_scheduled_to_completed(case: Case) -> None:
    flow_run = case.small(name="Marie")
    assert case.prefect.end(flow_run)[0] == "COMPLETED"
    assert case.prefect.states_of(flow_run) == ["Scheduled", "Pending", "Submitting", "Running", "Completed"]
    (run,) = case.scaleway.runs_of(case.definition)
    assert run.command == ["tini", "--", "prefect", "flow-run", "execute"]
    assert case.prefect.flow_run(flow_run)["infrastructure_pid"] == f"scaleway:fr-par:{run.id}"
    assert case.ended(run) == "succeeded"
    log = case.prefect.log(flow_run, f"{run.id} in fr-par: succeeded")
    assert "hello Marie" in log
    assert f"started Scaleway job run {run.id} of job definition etl in fr-par" in log


def test_a_job_is_given_what_it_needs_and_no_secret(case: Case) -> None:
    flow_run = case.job("Running Completed", env={"SHOWN": "yes"})
    assert case.prefect.end(flow_run)[0] == "COMPLETED"
    given = case.made().given
    assert given["PREFECT__FLOW_RUN_ID"] == flow_run
    assert given["PREFECT_API_URL"] == case.prefect.url
    assert given["SHOWN"] == "yes"
    settings = {name for name in given if not name.startswith("PREFECT__")}
    assert settings == {"PREFECT_API_URL", "PREFECT_LOGGING_LEVEL", "SHOWN"}


def test_a_slow_start_is_waited_for(case: Case) -> None:
    case.scaleway.places.clear()
    flow_run = case.job("Running Completed")
    case.prefect.log(flow_run, ": queued")
    assert case.prefect.flow_run(flow_run)["state_type"] == "PENDING"
    case.scaleway.places.set()
    assert case.prefect.end(flow_run)[0] == "COMPLETED"
    assert len(case.scaleway.runs_of(case.definition)) == 1


@pytest.mark.slow
def test_an_app_is_published_through_a_job(case: Case, place: Place) -> None:
    place.in_origin("CREATE TABLE users (id serial PRIMARY KEY, name text); INSERT INTO users (name) VALUES ('Marie')")
    rules = place.rules("tables:\n  - table_name: users\n    anonymized_column_names: [name]\n")
    app = f"shop-{place.number}"
    code = (
        "import json, os; from prefect.blocks.system import Secret\n"
        "for name, url in json.loads(os.environ['URLS']).items(): Secret(value=url).save(name)"
    )
    urls = json.dumps({f"{app}-db-url": place.origin_url, "etl-db-url": place.target_url})
    subprocess.run([sys.executable, "-c", code], env={**case.prefect.client, "URLS": urls}, check=True)
    deployment = case.prefect.deploy(case.pool, "etl", "flows/etl.py:etl", OWN)
    parameters = {"app": app, "rules": rules, "reader": place.reader, "jobs": 2}
    flow_run = case.prefect.run(deployment, case.variables(), parameters)
    assert case.prefect.end(flow_run)[0] == "COMPLETED", case.prefect.log(flow_run, "")
    assert case.prefect.states_of(flow_run) == ["Scheduled", "Pending", "Submitting", "Running", "Completed"]
    assert place.read(f'SELECT id, name FROM "{app}".users') == [(1, "[valeur unique anonymisée 1]")]
    assert case.ended(case.made()) == "succeeded"


# Cancelled.


@pytest.mark.slow
def test_a_cancelled_flow_run_ends_by_itself_and_leaves_no_process(case: Case) -> None:
    flow_run = case.small({"cancel_grace": PATIENCE}, until="/never")
    case.prefect.wait(flow_run, "RUNNING")
    run = case.started()
    case.prefect.log(flow_run, "hello")
    case.prefect.cancel(flow_run)
    assert case.prefect.end(flow_run)[0] == "CANCELLED"
    assert case.ended(run) == "succeeded"
    assert f"stopping Scaleway job run {run.id}" not in case.prefect.log(flow_run, f"{run.id} in fr-par: succeeded")


def test_a_flow_run_that_is_cancelled_while_its_job_waits_never_runs(case: Case) -> None:
    case.scaleway.places.clear()
    flow_run = case.job("Running 600")
    run = case.made()
    case.prefect.log(flow_run, ": queued")
    case.prefect.cancel(flow_run)
    state, message = case.prefect.end(flow_run)
    assert state == "CANCELLED"
    assert run.id in message
    assert case.ended(run) == "interrupted"
    assert run.process is None


@pytest.mark.parametrize("state", ["Cancelling", "Cancelled"])
def test_a_job_that_does_not_end_when_its_flow_run_is_cancelled_is_stopped(case: Case, state: str) -> None:
    flow_run = case.job("Running 600")
    case.prefect.wait(flow_run, "RUNNING")
    run = case.started()
    case.fail("stop", 503, times=2)
    body = {"state": {"type": state.upper(), "name": state}, "force": state == "Cancelled"}
    case.prefect.ask("POST", f"flow_runs/{flow_run}/set_state", body)
    assert case.ended(run) == "interrupted"
    assert case.prefect.end(flow_run)[0] == "CANCELLED"
    case.prefect.log(flow_run, f"stopping Scaleway job run {run.id}: its flow run is cancelled")


def test_a_flow_run_that_is_cancelled_before_its_job_could_be_started_starts_none(case: Case, shared_worker: Worker) -> None:
    case.fail("start", 503, times=1000)
    flow_run = case.job("Running 600")
    case.prefect.log(flow_run, "asking again")
    case.prefect.cancel(flow_run)
    assert case.prefect.end(flow_run) == ("CANCELLED", "cancelled before a job was started")
    case.scaleway.heal()
    eventually(lambda: f"no Scaleway job is started: flow run {flow_run}" in shared_worker.said())
    assert case.scaleway.runs_of(case.definition) == []


def test_a_flow_run_that_is_deleted_before_its_job_could_be_started_starts_none(case: Case, shared_worker: Worker) -> None:
    case.fail("start", 503, times=1000)
    flow_run = case.job("Running 600")
    case.prefect.log(flow_run, "asking again")
    case.prefect.ask("DELETE", f"flow_runs/{flow_run}")
    eventually(lambda: f"flow run {flow_run} was deleted" in shared_worker.said())
    assert case.scaleway.runs_of(case.definition) == []


# A job that fails says why.


def _exceed_memory(case: Case) -> None:
    case.scaleway.exceed_memory(case.started())


def _stop_by_hand(case: Case) -> None:
    case.scaleway.stop(case.started())


def _take_image_away(case: Case) -> None:
    case.scaleway.images.discard(case.definition.image)


@pytest.mark.parametrize(
    ("words", "changes", "break_", "wanted"),
    [
        ("Running 600", {"memory": 512}, _exceed_memory, "failed: memory_usage_exceeded: it used more than its 512 MiB"),
        ("Running 600", {"timeout": 3.0}, None, "failed: timeout: it ran for longer than its definition's job_timeout"),
        ("Running exit=3", {}, None, "failed: exited_with_error: its command ended with exit code 3"),
        ("exit=127", {}, None, "its command ended with exit code 127, and the flow never started"),
        ("Running", {"image": "rg.fr-par.scw.cloud/etl/gone:1"}, None, "failed: image_not_found: its image does not exist"),
        ("Running 600", {}, _stop_by_hand, "interrupted: cancellation: it was stopped"),
        ("Running exit=0", {}, None, "succeeded, and the flow did not say how it ended"),
    ],
    ids=["memory", "timeout", "exit code", "never begun", "image", "stopped by hand", "no word"],
)
def test_a_job_that_fails_crashes_its_flow_run_with_the_reason(
    case: Case, words: str, changes: dict[str, Any], break_: Callable[[Case], None] | None, wanted: str
) -> None:
    for name, value in changes.items():
        setattr(case.definition, name, value)
    flow_run = case.job(words)
    if break_:
        case.prefect.wait(flow_run, "RUNNING")
        break_(case)
    state, message = case.prefect.end(flow_run)
    assert state == "CRASHED"
    assert wanted in message
    assert message.startswith(f"Scaleway job run {case.made().id} in fr-par")
    assert "Traceback" not in case.prefect.log(flow_run, message)


def test_a_job_that_takes_longer_than_the_job_variable_timeout_is_stopped(case: Case) -> None:
    flow_run = case.job("Running 600", timeout=3)
    state, message = case.prefect.end(flow_run)
    assert state == "CRASHED"
    assert "timeout: stopped by the worker after 3 seconds" in message
    assert case.ended(case.made()) == "interrupted"


def test_a_flow_run_that_has_ended_keeps_its_state_whatever_becomes_of_its_job(case: Case) -> None:
    flow_run = case.job("Running Completed exit=3")
    log = case.prefect.log(flow_run, "its command ended with exit code 3")
    assert "Traceback" not in log
    assert case.prefect.states_of(flow_run)[-1] == "Completed"


def test_a_job_whose_flow_run_is_deleted_is_followed_to_its_end(case: Case, shared_worker: Worker) -> None:
    flag = case.prefect.home / f"flag-{case.definition.id}"
    flow_run = case.job(f"Running until={flag} exit=3")
    case.prefect.wait(flow_run, "RUNNING")
    run = case.started()
    case.prefect.ask("DELETE", f"flow_runs/{flow_run}")
    flag.touch()
    eventually(lambda: f"{run.id} in fr-par: failed" in shared_worker.said())


def test_a_job_that_scaleway_has_no_more_crashes_its_flow_run(case: Case) -> None:
    flow_run = case.job("Running 600")
    case.prefect.wait(flow_run, "RUNNING")
    run = case.started()
    del case.scaleway.runs[run.id]
    state, message = case.prefect.end(flow_run)
    run.kill()
    assert state == "CRASHED"
    assert "Scaleway does not have it any more" in message


# Refused.


def _unknown_key(case: Case) -> dict[str, Any]:
    case.scaleway.key = str(uuid.uuid4())
    return {}


def _no_permission(case: Case) -> dict[str, Any]:
    case.scaleway.allowed = False
    return {}


def _no_quota(case: Case) -> dict[str, Any]:
    case.scaleway.quota = 0
    return {}


def _no_definition(case: Case) -> dict[str, Any]:
    return {"job_definition_id": "00000000-0000-4000-8000-000000000000"}


def _other_region(case: Case) -> dict[str, Any]:
    return {"job_definition_id": f"pl-waw/{case.definition.id}"}


def _retries(case: Case) -> dict[str, Any]:
    case.definition.max_retries = 2
    return {}


def _secret_shown(case: Case) -> dict[str, Any]:
    return {"env": {"ETL_DB_URL": "postgresql://etl:hidden-password@db:5432/analytics"}}


def _nothing_there(case: Case) -> dict[str, Any]:
    case.fail("start", times=1000)
    return {"start_patience": 2}


@pytest.mark.parametrize(
    ("refuse", "wanted"),
    [
        (_unknown_key, "Scaleway does not accept the secret key (401 denied_authentication"),
        (_no_permission, "the secret key lacks a permission (403 permissions_denied"),
        (_no_quota, "Scaleway refused (403 quotas_exceeded"),
        (_no_definition, "job definition 00000000-0000-4000-8000-000000000000 in fr-par: Scaleway does not have it (404"),
        (_other_region, "the job variable region is fr-par, want pl-waw"),
        (_retries, "retry_policy.max_retries is 2, want 0"),
        (_secret_shown, "variable ETL_DB_URL of the job would show a secret"),
        (_nothing_there, "Scaleway can't be reached (ConnectionError); given up after 2 s"),
    ],
)
def test_a_start_that_is_refused_crashes_the_flow_run_with_one_line(
    case: Case, refuse: Callable[[Case], dict[str, Any]], wanted: str
) -> None:
    flow_run = case.job("Running Completed", **refuse(case))
    state, message = case.prefect.end(flow_run)
    assert state == "CRASHED"
    assert message.startswith("no Scaleway job was started: ")
    assert wanted in message
    log = case.prefect.log(flow_run, wanted)
    assert "Traceback" not in log
    assert "hidden-password" not in log + message
    assert case.scaleway.runs_of(case.definition) == []


def test_a_flow_run_that_has_ended_since_it_was_seen_to_be_left_is_not_scheduled_again(
    own: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCW_SECRET_KEY", KEY)
    monkeypatch.setenv("SCW_API_URL", own.scaleway.url)
    flow_run = own.job("Running Completed")
    worker = ScalewayWorker(work_pool_name=own.pool, name=own.pool)

    async def crash_what_was_seen() -> None:
        async with get_client() as worker._client:
            await worker.client.set_flow_run_state(uuid.UUID(flow_run), Pending())
            seen = await worker.client.read_flow_run(uuid.UUID(flow_run))
            # as a start that was refused, while this worker looks for what it left
            await worker.client.set_flow_run_state(seen.id, Crashed())
            configuration = ScalewayJobConfiguration(job_definition_id=own.definition.id)
            assert await worker._find_started(seen, configuration) is None

    with temporary_settings({PREFECT_API_URL: own.prefect.url, PREFECT_API_AUTH_STRING: AUTH}):
        asyncio.run(crash_what_was_seen())
    assert own.prefect.states_of(flow_run) == ["Scheduled", "Pending", "Crashed"]


def test_a_region_that_is_none_is_refused_before_anything_starts(case: Case) -> None:
    with pytest.raises(AssertionError, match="'us-east-1' is not one of"):
        case.job("Running Completed", region="us-east-1")


# Scaleway does not answer for a while.


@pytest.mark.parametrize("what", ["definition", "start", "run"])
def test_a_request_that_is_not_answered_is_made_again(case: Case, what: str) -> None:
    flag = case.prefect.home / f"flag-{case.definition.id}"
    for status in (0, 429, 502):
        case.fail(what, status, Retry_After="1")
    flow_run = case.job(f"Running until={flag} Completed")
    eventually(lambda: [fault.times for fault in case.scaleway.faults] == [0, 0, 0])
    flag.touch()
    assert case.prefect.end(flow_run)[0] == "COMPLETED"
    assert len(case.scaleway.runs_of(case.definition)) == 1


@pytest.mark.parametrize("status", [0, 504], ids=["silence", "504"])
def test_a_start_that_was_done_but_not_answered_is_not_done_twice(case: Case, status: int) -> None:
    case.scaleway.places.clear()
    case.fail("start", status, after=True)
    flow_run = case.job("Running Completed")
    case.prefect.log(flow_run, "started Scaleway job run")
    case.scaleway.places.set()
    assert case.prefect.end(flow_run)[0] == "COMPLETED"
    assert len(case.scaleway.runs_of(case.definition)) == 1
    assert case.prefect.flow_run(flow_run)["infrastructure_pid"] == f"scaleway:fr-par:{case.made().id}"


def test_a_start_that_was_not_answered_is_not_given_up_when_its_job_is_already_running(
    case: Case, shared_worker: Worker
) -> None:
    flag = case.prefect.home / f"flag-{case.definition.id}"
    case.fail("start", 504, after=True)
    case.fail("list", 504, times=10**6)
    flow_run = case.job(f"Running until={flag} exit=3")
    case.prefect.wait(flow_run, "RUNNING")
    eventually(lambda: f"job runs of job definition {case.definition.id} in fr-par" in shared_worker.said())
    case.scaleway.heal()
    case.prefect.log(flow_run, "started Scaleway job run")
    flag.touch()
    assert "exit code 3" in case.prefect.end(flow_run)[1]


def test_a_flow_run_goes_on_while_scaleway_is_down(case: Case) -> None:
    flow_run = case.job("Running 600")
    case.prefect.wait(flow_run, "RUNNING")
    run = case.started()
    case.scaleway.fail("", times=10**6)
    case.prefect.log(flow_run, "the job goes on, and the worker asks again")
    assert case.prefect.flow_run(flow_run)["state_type"] == "RUNNING"
    case.scaleway.heal()
    case.prefect.log(flow_run, "Scaleway answers again")
    case.scaleway.exceed_memory(run)
    assert "memory_usage_exceeded" in case.prefect.end(flow_run)[1]


def test_a_key_that_is_revoked_while_a_job_runs_is_told_and_the_flow_run_ends_as_it_does(case: Case) -> None:
    flag = case.prefect.home / f"flag-{case.definition.id}"
    flow_run = case.job(f"Running until={flag} Completed")
    case.prefect.wait(flow_run, "RUNNING")
    case.scaleway.key = str(uuid.uuid4())
    log = case.prefect.log(flow_run, "Scaleway does not accept the secret key")
    assert log.count("Scaleway does not accept the secret key") == 1
    flag.touch()
    assert case.prefect.end(flow_run)[0] == "COMPLETED"


# Scheduled again.


def test_a_second_attempt_is_not_crashed_by_the_end_of_the_first_job(case: Case, shared_worker: Worker) -> None:
    flags = [case.prefect.home / f"flag-{number}-{case.definition.id}" for number in (1, 2)]
    flow_run = case.job(f"Running AwaitingRetry until={flags[0]} exit=1 then Running until={flags[1]} Completed")
    first, second = case.made(1), case.started(2)
    case.prefect.wait(flow_run, "RUNNING")
    flags[0].touch()
    eventually(lambda: f"job run {first.id} has ended, its flow run goes on elsewhere" in shared_worker.said())
    flags[1].touch()
    assert case.prefect.end(flow_run)[0] == "COMPLETED"
    assert (case.ended(first), case.ended(second)) == ("failed", "succeeded")
    assert "Crashed" not in case.prefect.states_of(flow_run)


def test_a_flow_run_that_is_being_submitted_elsewhere_is_not_crashed_by_the_end_of_its_last_job(
    case: Case, shared_worker: Worker
) -> None:
    # Pending, and still with the name of this job: what another worker's submission looks like at its begin
    flow_run = case.job("Running Pending exit=1", poll_seconds=3)
    run = case.made()
    # before that Prefect's own word of where it runs could come after ours
    name = case.prefect.flow_run(flow_run)["name"]
    eventually(lambda: f"'{name}' submitted to infrastructure" in shared_worker.said())
    eventually(lambda: f"{run.id} in fr-par: failed" in shared_worker.said())
    case.prefect.ask("PATCH", f"flow_runs/{flow_run}", {"infrastructure_pid": "scaleway:starting:another"})
    eventually(lambda: f"job run {run.id} has ended, its flow run goes on elsewhere" in shared_worker.said())
    assert case.prefect.states_of(flow_run)[-1] == "Pending"


@pytest.mark.slow
def test_a_job_that_scaleway_moves_is_run_again_from_its_start(case: Case) -> None:
    case.definition.environment["PREFECT_FLOW_RUN_EXECUTE_SIGTERM_BEHAVIOR"] = "reschedule"
    flag = case.prefect.home / f"flag-{case.definition.id}"
    flow_run = case.small(until=str(flag))
    case.prefect.wait(flow_run, "RUNNING")
    first = case.started()
    case.prefect.log(flow_run, "hello")
    assert first.process
    first.process.terminate()
    second = case.made(2)
    flag.touch()
    assert case.prefect.end(flow_run)[0] == "COMPLETED"
    assert case.ended(second) == "succeeded"
    assert "Crashed" not in case.prefect.states_of(flow_run)


# The worker ends.


@pytest.mark.slow
def test_a_new_worker_follows_the_jobs_of_one_that_was_killed(own: Case) -> None:
    worker = own.start_worker()
    running, ending = own.job("Running 600"), own.job("Running 600")
    for flow_run in (running, ending):
        own.prefect.wait(flow_run, "RUNNING")
        own.placed(flow_run)
    worker.kill()
    by_flow_run = {run.given["PREFECT__FLOW_RUN_ID"]: run for run in own.scaleway.runs_of(own.definition)}
    own.scaleway.exceed_memory(by_flow_run[ending])
    own.start_worker()
    assert "memory_usage_exceeded" in own.prefect.end(ending)[1]
    own.prefect.log(running, "from here on")
    own.prefect.cancel(running)
    assert own.prefect.end(running)[0] == "CANCELLED"
    assert own.ended(by_flow_run[running]) == "interrupted"
    assert len(own.scaleway.runs_of(own.definition)) == 2


@pytest.mark.slow
def test_a_job_whose_flow_run_was_cancelled_while_there_was_no_worker_is_stopped_by_the_next(own: Case) -> None:
    own.scaleway.places.clear()
    worker = own.start_worker()
    flow_run = own.job("Running 600")
    own.prefect.log(flow_run, ": queued")
    assert worker.stop() == 0
    assert "Traceback" not in worker.said()
    own.prefect.cancel(flow_run)
    own.start_worker()
    assert own.prefect.end(flow_run)[0] == "CANCELLED"
    assert own.ended(own.made()) == "interrupted"
    assert own.made().process is None


@pytest.mark.slow
def test_a_worker_that_is_stopped_before_it_could_start_a_job_gives_the_flow_run_back(own: Case) -> None:
    own.fail("start", 429, times=10**6)
    worker = own.start_worker()
    flow_run = own.job("Running Completed")
    own.prefect.log(flow_run, "asking again")
    assert worker.stop() == 0
    found = own.prefect.wait(flow_run, "SCHEDULED", "Late")
    assert "scheduled again" in found["state"]["message"]
    own.scaleway.heal()
    own.start_worker()
    assert own.prefect.end(flow_run)[0] == "COMPLETED"
    assert len(own.scaleway.runs_of(own.definition)) == 1


@pytest.mark.slow
def test_a_worker_that_is_stopped_while_it_does_not_know_whether_a_job_was_started_starts_no_second_one(own: Case) -> None:
    own.scaleway.places.clear()
    own.fail("start", 504, after=True)
    own.fail("list", 503, times=10**6)
    worker = own.start_worker()
    flow_run = own.job("Running Completed")
    own.prefect.log(flow_run, "job runs of job definition")
    assert worker.stop() == 0
    own.scaleway.heal()
    own.start_worker()
    own.prefect.log(flow_run, "from here on")
    own.scaleway.places.set()
    assert own.prefect.end(flow_run)[0] == "COMPLETED"
    assert len(own.scaleway.runs_of(own.definition)) == 1


@pytest.mark.slow
def test_a_worker_that_is_killed_before_it_could_start_a_job_loses_no_flow_run(own: Case) -> None:
    own.fail("start", 503, times=10**6)
    worker = own.start_worker()
    flow_run = own.job("Running Completed")
    own.prefect.log(flow_run, "asking again")
    worker.kill()
    own.scaleway.heal()
    own.start_worker()
    assert own.prefect.end(flow_run)[0] == "COMPLETED"
    assert len(own.scaleway.runs_of(own.definition)) == 1


@pytest.mark.slow
def test_a_worker_that_is_killed_as_it_starts_a_job_does_not_have_it_started_twice(own: Case) -> None:
    own.scaleway.places.clear()
    worker = own.start_worker()
    flow_run = own.job("Running Completed")
    own.prefect.log(flow_run, ": queued")
    worker.kill()
    # as if it had been killed between Scaleway's answer and its word to Prefect
    own.prefect.ask("PATCH", f"flow_runs/{flow_run}", {"infrastructure_pid": f"scaleway:starting:{own.pool}"})
    own.start_worker()
    own.prefect.log(flow_run, "from here on")
    own.scaleway.places.set()
    assert own.prefect.end(flow_run)[0] == "COMPLETED"
    assert len(own.scaleway.runs_of(own.definition)) == 1
    assert own.prefect.flow_run(flow_run)["infrastructure_pid"] == f"scaleway:fr-par:{own.made().id}"


@pytest.mark.slow
def test_jobs_that_are_taken_up_count_for_the_limit_of_the_worker(own: Case) -> None:
    flag = own.prefect.home / f"flag-{own.definition.id}"
    worker = own.start_worker()
    first = own.job(f"Running until={flag} Completed")
    own.prefect.wait(first, "RUNNING")
    worker.kill()
    worker = own.start_worker("--limit", "1")
    own.prefect.log(first, "from here on")
    second = own.job("Running Completed")
    eventually(lambda: "Flow run limit reached" in worker.said())
    assert own.prefect.flow_run(second)["state_type"] == "SCHEDULED"
    flag.touch()
    assert own.prefect.end(first)[0] == "COMPLETED"
    assert own.prefect.end(second)[0] == "COMPLETED"


@pytest.mark.slow
def test_a_job_is_followed_by_one_worker_while_that_one_lives(own: Case) -> None:
    # it is held for dead after three of its heartbeats, which a busy server may miss
    own.start_worker(PREFECT_WORKER_HEARTBEAT_SECONDS="30")
    flow_run = own.job("Running 600")
    own.prefect.wait(flow_run, "RUNNING")
    other = Worker.start(own.prefect, own.scaleway, own.pool, "--name", "another")
    try:
        eventually(lambda: other.said().count("Worker synchronized") >= 3)
        own.scaleway.stop(own.started())
        assert own.prefect.end(flow_run)[0] == "CRASHED"
        assert "from here on" not in own.prefect.log(flow_run, "it was stopped")
        assert "from here on" not in other.said()
    finally:
        other.kill()


# Prefect ends.


@pytest.mark.slow
def test_a_job_that_fails_while_prefect_is_down_crashes_its_flow_run_once_it_is_up(
    scaleway: Provider, tmp_path: Path
) -> None:
    port = free_port()
    definition = scaleway.define(secrets={"PREFECT_API_AUTH_STRING": AUTH})
    with prefect_server(tmp_path, port) as prefect:
        case = Case(prefect, scaleway, definition, "down")
        # a worker ends once it has asked in vain a number of times
        seldom = {"PREFECT_WORKER_QUERY_SECONDS": "5", "PREFECT_WORKER_HEARTBEAT_SECONDS": "10"}
        worker = Worker.start(prefect, scaleway, "down", **seldom)
        flow_run = case.job("Running 600")
        prefect.wait(flow_run, "RUNNING")
    try:
        scaleway.exceed_memory(case.started())
        assert case.ended(case.made()) == "failed"
        with prefect_server(tmp_path, port) as prefect:
            state, message = prefect.end(flow_run)
            assert state == "CRASHED"
            assert "memory_usage_exceeded" in message
            assert worker.process.poll() is None
    finally:
        worker.kill()


# Secrets.


def test_no_secret_is_in_a_log_a_job_or_the_database_of_prefect(case: Case, shared_worker: Worker) -> None:
    case.scaleway.key = str(uuid.uuid4())
    assert case.prefect.end(case.job("Running Completed"))[0] == "CRASHED"
    case.scaleway.key = KEY
    flow_run = case.job("Running Completed")
    assert case.prefect.end(flow_run)[0] == "COMPLETED"
    case.prefect.log(flow_run, "succeeded")
    password = AUTH.partition(":")[2]
    shown = json.dumps([run.said() for run in list(case.scaleway.runs.values())])
    stored = b"".join(path.read_bytes() for path in case.prefect.home.glob("prefect.db*")).decode("utf-8", "replace")
    for where in (shown, stored, shared_worker.said()):
        assert flow_run in where  # the search finds what is there
        assert KEY not in where
        assert password not in where
    assert "Task exception" not in shared_worker.said()
    # Prefect's client shows the frames of what it tries again
    records = re.split(r"^\d\d:\d\d:\d\d\.\d{3} \| ", shared_worker.said(), flags=re.MULTILINE)
    tried_again = r"DEBUG +\| prefect\.(client - Encountered retryable|utilities\.services\.\w+ - Run of .* failed with)"
    assert [record for record in records if "Traceback" in record and not re.match(tried_again, record)] == []
