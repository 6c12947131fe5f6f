"""The flow as a service: a real Prefect server, `make deploy`, the worker as its host starts it; what becomes of runs."""

import os
import pwd
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import psutil
import pytest
import requests
from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_URL, temporary_settings

from deployment import automations, declared, setup
from tests.conftest import OWN, PASSWORD, TEMPORARY, Place
from tests.flows.conftest import SLOW_RULES, blocked, busy, fill_slow
from tests.flows.test_failures import end_sessions
from tests.flows.test_interruption import COPY, INDEX, SLOW_INDEXES
from tests.support.servers import AUTH, PATIENCE, PrefectServer, eventually, free_port, in_background, prefect_server

pytestmark = pytest.mark.slow

APP = "rdvs"
FINAL = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")
SOON = 25  # seconds on a busy machine for what takes less than ten; what waits for a thread that hangs takes 30 or more
# A worker looks for runs every ten seconds, and a run's log is sent every two: tests are less patient
QUICK = {"PREFECT_WORKER_QUERY_SECONDS": "1", "PREFECT_LOGGING_TO_API_BATCH_INTERVAL": "0.5"}
# The server writes down task runs every five seconds, and looks at schedules every minute
BRISK = {
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_FLUSH_INTERVAL": "1",
    "PREFECT_SERVER_SERVICES_SCHEDULER_LOOP_SECONDS": "2",
}
PIECES = (PASSWORD, "word:/@%", "word%3A%2F%40%25")
NOTHING = {"origin": 0, "target": 0}


@dataclass
class Host:
    """A Prefect server that can be restarted, and the workers of the pool `scalingo`."""

    home: Path
    port: int = field(default_factory=free_port)
    workers: "dict[str, Worker]" = field(default_factory=dict)
    running: ExitStack = field(default_factory=ExitStack)

    def start(self) -> PrefectServer:
        """Start the server, with the data that it had."""
        self.running = ExitStack()
        self.server = self.running.enter_context(prefect_server(self.home, BRISK, port=self.port))
        return self.server

    def stop(self) -> None:
        """Stop the server."""
        self.running.close()

    def worker(self, container: str = "worker-1") -> "Worker":
        """Return the worker of a container, started unless it runs."""
        known = self.workers.get(container)
        if known is None or known.process.poll() is not None:
            self.workers[container] = Worker.start(self.server, container)
        return self.workers[container]


@dataclass
class Worker:
    """The worker of the pool `scalingo`, by the script that its host runs."""

    process: "subprocess.Popen[bytes]"
    output: Path

    @classmethod
    def start(cls, server: PrefectServer, container: str) -> "Worker":
        """Start it, and wait until it looks for runs."""
        worker = cls.launch(server, container)
        eventually(lambda: "started!" in worker.said() or worker.process.poll() is not None)
        assert worker.process.poll() is None, worker.said()
        return worker

    @classmethod
    def launch(
        cls, server: PrefectServer, container: str, *arguments: str, background: bool = False, **changes: str
    ) -> "Worker":
        """Start the script, as it is or as another script does in the background."""
        script = ["bash", str(OWN / "deployment" / "worker.sh"), *arguments]
        output = server.home / f"{container}-{time.monotonic_ns()}.out"
        with output.open("wb") as file:
            process = subprocess.Popen(
                in_background(script) if background else script,
                cwd=server.home,
                env={**server.client, **QUICK, "CONTAINER": container, "RULES_FOLDER": TEMPORARY, **changes},
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                # a shell in the background has its children ignore Ctrl-C
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
            )
        return cls(process, output)

    def said(self) -> str:
        """Return what the worker and its runs printed so far."""
        return self.output.read_text()

    def runs(self) -> list[psutil.Process]:
        """Return the processes of its runs."""
        return psutil.Process(self.process.pid).children(recursive=True)

    def stop(self) -> float:
        """Tell it to stop, as a host does at a deploy; return the seconds that it took."""
        started = time.monotonic()
        self.process.terminate()
        self.process.wait(PATIENCE)
        return time.monotonic() - started

    def kill(self, processes: list[psutil.Process] | None = None) -> None:
        """Kill it and its runs at once, as a host does that has no memory left."""
        processes = [*(processes or []), *(self.runs() if self.process.poll() is None else [])]
        self.process.kill()
        self.process.wait()
        for process in processes:
            with suppress(psutil.NoSuchProcess):
                process.kill()


@dataclass
class Shop:
    """The app `rdvs` with databases of its own, deployed by the code of `make deploy`."""

    host: Host
    place: Place
    rules: str
    home: str = str(OWN)

    @property
    def server(self) -> PrefectServer:
        """Return the Prefect server."""
        return self.host.server

    @property
    def environment(self) -> dict[str, str]:
        """Return what an operator sets for `make deploy`."""
        return {
            "METABASE_USERNAME": self.place.reader,
            "SCALEWAY_JOB_DEFINITION_ID": "none",
            "ETL_HOME": self.home,
            "ETL_DB_URL": self.place.target_url,
            "RDV_SOLIDARITES_DB_URL": self.place.origin_url,
            **{f"ETL_SCHEDULE_{app}": "false" for app in ("RDVS", "RDVSP", "RDVI", "AEI")},
        }

    def deploy(self, **changes: Any) -> list[str]:
        """Bring the server to what prefect.yaml says, with rules from a file; changes are the deployment's."""
        content = declared.read()
        (rdvs,) = [deployment for deployment in content["deployments"] if deployment["name"] == APP]
        rdvs["parameters"] = {**rdvs["parameters"], "rules": self.rules, "jobs": 2}
        rdvs.update(changes)
        if "schedules" in changes:
            del content["definitions"]["environment"]["ETL_SCHEDULE_RDVS"]
        with temporary_settings({PREFECT_API_URL: self.server.url, PREFECT_API_AUTH_STRING: AUTH}):
            return list(setup.set_up(content, self.environment))

    def command(self, *arguments: str) -> "subprocess.Popen[str]":
        """Start `prefect deployment run etl/rdvs`."""
        return subprocess.Popen(
            [sys.executable, "-m", "prefect", "deployment", "run", f"etl/{APP}", *arguments],
            cwd=self.server.home,
            env=self.server.client,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    @property
    def deployment(self) -> dict[str, Any]:
        """Return the deployment as the server has it."""
        found: dict[str, Any] = self.server.ask("GET", f"deployments/name/etl/{APP}")
        return found

    def run(self, **parameters: Any) -> dict[str, Any]:
        """Run it now, as the form of the UI does, and return the flow run."""
        body = {"parameters": parameters, "state": {"type": "SCHEDULED"}}
        made: dict[str, Any] = self.server.ask("POST", f"deployments/{self.deployment['id']}/create_flow_run", body)
        return made

    def now(self, run: dict[str, Any]) -> dict[str, Any]:
        """Return a flow run as it is now."""
        found: dict[str, Any] = self.server.ask("GET", f"flow_runs/{run['id']}")
        return found

    def wait(self, run: dict[str, Any], *states: str) -> dict[str, Any]:
        """Return a flow run as soon as it is in one of these states, by type or name, else final."""

        def there() -> dict[str, Any] | None:
            found = self.now(run)
            return found if {found["state_type"], found["state_name"]} & set(states or FINAL) else None

        found: dict[str, Any] = eventually(there)
        return found

    def under_way(self, run: dict[str, Any]) -> set[str]:
        """Return the names of a run's tasks that have not ended."""
        return {name for name, task in self.server.tasks(run).items() if task["state_type"] not in FINAL}

    def cancel(self, run: dict[str, Any]) -> None:
        """Cancel a flow run, as the UI does."""
        body = {"state": {"type": "CANCELLING", "name": "Cancelling"}}
        self.server.ask("POST", f"flow_runs/{run['id']}/set_state", body)

    def users(self) -> int:
        """Return how many users the reader sees."""
        ((users,),) = self.place.read(f"SELECT count(*) FROM {APP}.users")
        return int(users)


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """Return a Prefect server and its workers."""
    host = Host(tmp_path_factory.mktemp("prefect"))
    host.start()
    yield host
    for worker in host.workers.values():
        worker.kill()
    host.stop()


@pytest.fixture
def shop(host: Host, place: Place) -> Iterator[Shop]:
    """Return an app that is deployed, was published yesterday, and has a worker."""
    fill_slow(place, rows=3)
    place.run(SLOW_RULES, app=APP, schema=APP)
    place.in_origin("INSERT INTO users (name, mood) VALUES ('Marie', 'bad')")
    shop = Shop(host, place, place.rules(SLOW_RULES))
    shop.deploy()
    host.worker()
    yield shop
    for container in host.workers.keys() - {"worker-1"}:
        host.workers.pop(container).kill()
    for run in shop.server.ask("POST", "flow_runs/filter", {"flow_runs": {"state": {"type": {"not_any_": FINAL}}}}):
        shop.server.ask("POST", f"flow_runs/{run['id']}/set_state", {"state": {"type": "CANCELLED"}, "force": True})


def long(shop: Shop, side: str) -> None:
    """Have the next run take long: to copy, or to build an index."""
    if side == "origin":
        shop.place.in_origin("INSERT INTO users (name, mood) SELECT 'Marie', 'bad' FROM generate_series(1, 5000)")
    else:
        shop.place.in_target(SLOW_INDEXES, superuser=True)


def short(shop: Shop, side: str) -> None:
    """Have the next run be short, with five users."""
    if side == "origin":
        shop.place.in_origin("DELETE FROM users WHERE id > 4")
    else:
        shop.place.in_target("DROP EVENT TRIGGER slow", superuser=True)
    shop.place.in_origin("INSERT INTO users (name, mood) VALUES ('Marie', 'bad')")


def test_a_deployment_that_is_run_and_watched_publishes(shop: Shop) -> None:
    command = shop.command("--watch")
    output, _ = command.communicate(timeout=PATIENCE)
    assert command.returncode == 0, output
    assert shop.users() == 4
    run = shop.server.runs(APP)[0]
    assert (run["state_name"], run["work_pool_name"]) == ("Completed", "scalingo")
    assert run["state"]["message"].startswith(f"published {APP} for {shop.place.reader}: 2 tables, 104 rows, ")
    assert shop.server.artifact(f"{APP}-report")["data"]


@pytest.mark.alone
@pytest.mark.parametrize(("side", "statement"), [COPY, INDEX], ids=["copy", "index"])
def test_a_cancelled_run_ends_soon_and_leaves_nothing(side: str, statement: str, shop: Shop) -> None:
    long(shop, side)
    run = shop.run()
    eventually(lambda: busy(shop.place, side, statement))
    processes = shop.host.worker().runs()
    assert processes
    started = time.monotonic()
    shop.cancel(run)
    shop.wait(run, "CANCELLED")
    seconds = time.monotonic() - started
    print(f"cancelled in {seconds:.1f} s")
    assert not [process for process in processes if process.is_running()]
    assert shop.place.sessions() == NOTHING
    assert shop.place.locks() == 0
    assert shop.place.schemas() == {APP}
    assert shop.users() == 3
    assert seconds < SOON
    eventually(lambda: not shop.under_way(run), 3 * PATIENCE)
    print({name: (task["state_name"], task["state"]["message"]) for name, task in shop.server.tasks(run).items()})


@pytest.mark.alone
@pytest.mark.parametrize(("side", "statement"), [COPY, INDEX], ids=["copy", "index"])
def test_a_worker_that_is_told_to_stop_hands_its_run_to_the_next(side: str, statement: str, shop: Shop) -> None:
    long(shop, side)
    run = shop.run()
    eventually(lambda: busy(shop.place, side, statement))
    worker = shop.host.worker()
    processes = worker.runs()
    seconds = worker.stop()
    print(f"stopped in {seconds:.1f} s", shop.server.states(run, "flow"))
    assert not [process for process in processes if process.is_running()]
    assert shop.now(run)["state_name"] == "AwaitingRetry"
    assert shop.place.sessions() == NOTHING
    assert shop.place.locks() == 0
    assert shop.place.schemas() == {APP}
    assert shop.users() == 3
    assert seconds < SOON
    short(shop, side)
    shop.host.worker()
    assert shop.wait(run)["state_name"] == "Completed"
    assert shop.users() == 5


def rows(shop: Shop, number: int) -> None:
    """Have the origin hold that many users; each takes a fiftieth of a second to copy."""
    shop.place.in_origin(f"INSERT INTO users (name, mood) SELECT 'Marie', 'bad' FROM generate_series(1, {number} - 4)")


WRONG: list[dict[str, Any]] = [
    {"jobs": 99},
    {"jobs": "many"},
    {"app": "RDVS!"},
    {"reader": ""},
    {"lock_wait": -1},
    {"rules": None},
    {"mode": "fast"},
    {"keep_dump": "perhaps"},
]


def test_wrong_parameters_are_refused_before_a_run_is_made(shop: Shop) -> None:
    before = shop.server.ask("POST", "flow_runs/count", {})
    deployment = shop.deployment["id"]
    for parameters in WRONG:
        body = {"parameters": parameters, "state": {"type": "SCHEDULED"}}
        answer = shop.server.answer("POST", f"deployments/{deployment}/create_flow_run", body)
        assert answer.status_code == 409, parameters
        assert f"Validation failed for field '{next(iter(parameters))}'" in answer.json()["detail"]
    assert shop.server.ask("POST", "flow_runs/count", {}) == before


@pytest.mark.alone
def test_a_scheduled_run_starts_at_its_time(shop: Shop) -> None:
    # a busy server may take longer than that to see a schedule: then its next time counts
    anchor = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=8)
    schedule = {"slug": "soon", "interval": 40, "anchor_date": anchor.isoformat(), "timezone": "Europe/Paris"}
    told = shop.deploy(schedules=[schedule])
    assert [line for line in told if line.startswith("schedule etl/rdvs/soon: created")]
    of_schedule = {
        "flow_runs": {
            "deployment_id": {"any_": [shop.deployment["id"]]},
            "expected_start_time": {"after_": (anchor - timedelta(seconds=1)).isoformat()},
        },
        "sort": "EXPECTED_START_TIME_ASC",
        "limit": 1,
    }
    (run,) = eventually(lambda: shop.server.ask("POST", "flow_runs/filter", of_schedule))
    assert run["auto_scheduled"]
    due = datetime.fromisoformat(run["expected_start_time"])
    assert (due - anchor).total_seconds() % 40 == 0
    ended = shop.wait(run)
    assert ended["state_name"] == "Completed"
    late = (datetime.fromisoformat(ended["start_time"]) - due).total_seconds()
    assert -1 < late < SOON
    assert ended["name"] == f"{APP} {due.astimezone(ZoneInfo('Europe/Paris')):%Y-%m-%d %H:%M}"
    assert shop.users() == 4
    shop.deploy()  # the schedule goes, and the runs that it has made


def test_a_second_run_waits_for_the_worker_and_then_runs(shop: Shop) -> None:
    with blocked(shop.place) as release:
        runs = [shop.run(), shop.run()]
        eventually(lambda: busy(shop.place, *COPY))
        assert sorted(shop.now(run)["state_type"] for run in runs) == ["RUNNING", "SCHEDULED"]
        release()
    ended = sorted((shop.wait(run) for run in runs), key=lambda run: str(run["start_time"]))
    assert [run["state_name"] for run in ended] == ["Completed", "Completed"]
    assert ended[0]["end_time"] <= ended[1]["start_time"]


@pytest.mark.alone
def test_a_worker_that_is_told_to_stop_as_a_run_starts_hands_it_to_the_next(shop: Shop) -> None:
    run = shop.run()
    shop.wait(run, "PENDING")
    worker = shop.host.worker()
    assert worker.stop() < SOON
    assert shop.now(run)["state_name"] == "AwaitingRetry"
    assert shop.place.sessions() == NOTHING
    assert shop.users() == 3
    shop.host.worker()
    assert shop.wait(run)["state_name"] == "Completed"
    assert shop.users() == 4


@pytest.mark.alone
def test_a_run_that_does_not_end_when_its_worker_is_told_to_stop_is_killed_and_handed_to_the_next(shop: Shop) -> None:
    with blocked(shop.place):
        run = shop.run()
        eventually(lambda: busy(shop.place, *COPY))
        worker = shop.host.worker()
        processes = worker.runs()
        for process in processes:
            process.suspend()
        assert worker.stop() < 30
        assert not [process for process in processes if process.is_running()]
        assert shop.now(run)["state_name"] == "AwaitingRetry"
    assert shop.users() == 3


@pytest.mark.alone
def test_a_host_that_tells_every_process_to_stop_leaves_nothing_that_the_next_run_does_not_clean(shop: Shop) -> None:
    long(shop, "origin")
    run = shop.run()
    eventually(lambda: busy(shop.place, *COPY))
    worker = shop.host.worker()
    processes = worker.runs()
    for process in processes:
        process.terminate()
    assert worker.stop() < SOON
    assert not [process for process in processes if process.is_running()]
    assert shop.now(run)["state_name"] == "AwaitingRetry"
    assert shop.users() == 3
    short(shop, "origin")
    shop.host.worker()
    assert shop.wait(run)["state_name"] == "Completed"
    eventually(lambda: shop.place.sessions() == NOTHING)
    assert shop.place.schemas() == {APP}
    assert shop.users() == 5


def test_a_run_whose_process_is_killed_is_crashed_at_once(shop: Shop) -> None:
    with blocked(shop.place):
        run = shop.run()
        eventually(lambda: busy(shop.place, *COPY))
        for process in shop.host.worker().runs():
            process.kill()
        assert shop.wait(run)["state_name"] == "Crashed"
    assert "SIGKILL" in shop.now(run)["state"]["message"]
    assert shop.users() == 3
    logs = [entry["message"] for entry in shop.server.logs(run, "the process that ran this run was killed (signal 9: ")]
    assert not [message for message in logs if "Traceback" in message or "workspace.json" in message]
    # the worker looks every 30 seconds for what ended a minute ago
    eventually(lambda: not shop.under_way(run), 3 * PATIENCE)
    assert shop.server.tasks(run)["copy users"]["state"]["message"] == "It ended with its run."


def test_a_run_whose_process_is_killed_before_it_has_loaded_the_flow_says_so_in_one_line(shop: Shop) -> None:
    run = shop.run()
    for process in eventually(shop.host.worker().runs):
        process.kill()
    assert shop.wait(run)["state_name"] == "Crashed"
    logs = [entry["message"] for entry in shop.server.logs(run, "the process that ran this run was killed (signal 9: ")]
    assert not [message for message in logs if "Traceback" in message or "workspace.json" in message]


def test_a_run_whose_worker_alone_is_killed_ends_by_itself(shop: Shop) -> None:
    with blocked(shop.place) as release:
        run = shop.run()
        eventually(lambda: busy(shop.place, *COPY))
        processes = shop.host.worker().runs()
        shop.host.worker().process.kill()
        release()
        # nobody takes what it prints any more
        assert shop.wait(run)["state_name"] == "Crashed"
    eventually(lambda: not [process for process in processes if process.is_running()])
    assert shop.place.sessions() == NOTHING
    assert shop.place.schemas() == {APP}
    assert shop.users() == 3


def is_awaited(server: PrefectServer, run: dict[str, Any]) -> bool:
    """Tell whether the server waits for a run's next heartbeat; it misses one that comes while its SQLite is busy."""
    awaited = (
        "SELECT 1 FROM automation_bucket AS b JOIN automation AS a ON a.id = b.automation_id "
        "WHERE a.name = 'etl: runs of a dead worker are Crashed' AND b.bucketing_key LIKE ?"
    )
    with closing(sqlite3.connect(server.home / "prefect.db", timeout=PATIENCE)) as connection:
        return connection.execute(awaited, [f"%{run['id']}%"]).fetchone() is not None


def test_a_run_of_a_killed_worker_becomes_crashed_and_the_next_one_succeeds(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(automations, "SILENCE", timedelta(seconds=15))
        shop.deploy()
    long(shop, "origin")
    run = shop.run()
    eventually(lambda: busy(shop.place, *COPY))
    eventually(lambda: is_awaited(shop.server, run))
    worker = shop.host.worker()
    worker.kill()
    started = time.monotonic()
    assert shop.now(run)["state_name"] == "Running"
    assert shop.wait(run)["state_name"] == "Crashed"
    print(f"crashed by itself after {time.monotonic() - started:.1f} s")
    assert "its worker, or its process, was killed" in shop.now(run)["state"]["message"]
    assert shop.users() == 3
    shop.deploy()
    short(shop, "origin")
    shop.host.worker()
    assert shop.wait(shop.run())["state_name"] == "Completed"
    assert shop.users() == 5
    assert shop.place.schemas() == {APP}
    assert shop.place.locks() == 0


def test_a_run_goes_on_while_the_server_is_restarted(shop: Shop) -> None:
    with blocked(shop.place) as release:
        run = shop.run()
        eventually(lambda: busy(shop.place, *COPY))
        shop.host.stop()
        assert shop.users() == 3
        # the server is away while the run copies, indexes, verifies and publishes
        release()
        eventually(lambda: shop.users() == 4)
        time.sleep(3)
    shop.host.start()
    assert shop.wait(run)["state_name"] == "Completed"
    assert shop.server.states(run, "flow")[-2:] == ["Running", "Completed"]
    assert shop.server.artifact(f"{APP}-report")["flow_run_id"] == run["id"]


def test_a_task_that_loses_its_connection_is_tried_again_and_the_server_shows_it(shop: Shop) -> None:
    rows(shop, 150)
    run = shop.run()
    eventually(lambda: end_sessions(shop.place, "target", "state = 'active' AND query LIKE 'COPY%%users%%'"))
    assert shop.wait(run)["state_name"] == "Completed"
    tasks = shop.server.tasks(run, f"clean {APP}")
    assert tasks["copy users"]["run_count"] == 2
    assert shop.server.states(tasks["copy users"]) == ["Pending", "Running", "AwaitingRetry", "Retrying", "Completed"]
    assert shop.users() == 150


def test_a_missing_secret_is_one_clear_line(shop: Shop) -> None:
    block = shop.server.ask("GET", f"block_types/slug/secret/block_documents/name/{APP}-db-url")
    shop.server.ask("DELETE", f"block_documents/{block['id']}")
    run = shop.wait(shop.run())
    assert run["state_name"] == "Failed"
    line = "there is no Secret block rdvs-db-url: save it with `python -m blocks.register`, or in Prefect's UI under Blocks"
    assert run["state"]["message"] == line
    logs = [entry["message"] for entry in shop.server.logs(run, "Finished in state Failed")]
    assert not [message for message in logs if "Traceback" in message]


def test_a_missing_pool_is_one_clear_line(shop: Shop) -> None:
    shop.host.worker().stop()
    shop.server.ask("DELETE", "work_pools/scalingo")
    worker = Worker.launch(shop.server, "worker-1")
    assert worker.process.wait(PATIENCE) == 1
    assert worker.said() == f"error: work pool scalingo: not found on {shop.server.url}; `make deploy` creates it\n"
    told = shop.deploy()
    assert "work pool scalingo: created, type process" in told
    assert shop.deployment["work_pool_name"] == "scalingo"


def test_code_that_is_elsewhere_on_the_worker_s_machine_is_one_clear_line(shop: Shop) -> None:
    shop.home = "/nowhere"
    shop.deploy()
    run = shop.wait(shop.run())
    line = (
        f"this machine has no code in /nowhere that user {pwd.getpwuid(os.geteuid()).pw_name} may read; "
        f"want ETL_HOME={OWN} in the environment of `make deploy`, then deploy again"
    )
    assert (run["state_name"], run["state"]["message"]) == ("Crashed", f"etl/{APP}: {line}")
    assert "Traceback" not in shop.host.worker().said()
    shop.host.worker().stop()
    worker = Worker.launch(shop.server, "worker-1")
    assert worker.process.wait(PATIENCE) == 2
    assert worker.said() == f"error: etl/rdvi, etl/rdvs, etl/rdvsp: {line}\n"
    assert shop.users() == 3


def test_a_worker_that_a_script_starts_in_the_background_answers_for_its_health_and_ends_when_told(shop: Shop) -> None:
    port = free_port()
    here = {"PREFECT_WORKER_WEBSERVER_HOST": "127.0.0.1", "PREFECT_WORKER_WEBSERVER_PORT": str(port)}
    worker = Worker.launch(shop.server, "worker-2", "--with-healthcheck", background=True, **here)
    shop.host.workers["worker-2"] = worker
    eventually(lambda: "started!" in worker.said() or worker.process.poll() is not None)
    assert requests.get(f"http://127.0.0.1:{port}/health", timeout=PATIENCE).status_code == 200
    assert worker.stop() < SOON
    assert (worker.process.returncode, worker.said().splitlines()[-1]) == (0, "worker scalingo-worker-2 stopped")


def test_no_password_is_in_the_servers_database_or_in_what_it_answers(shop: Shop) -> None:
    assert shop.wait(shop.run())["state_name"] == "Completed"
    shop.deploy()
    with_secrets = {"include_secrets": True}
    found = {
        kind: shop.server.answer("POST", f"{kind}/filter", {}).text
        for kind in (
            "deployments",
            "flow_runs",
            "task_runs",
            "logs",
            "artifacts",
            "block_documents",
            "work_pools",
            "automations",
        )
    }
    found |= {
        "events": shop.server.answer("POST", "events/filter", {}).text,
        "workers": shop.server.answer("POST", "work_pools/scalingo/workers/filter", {}).text,
        "database": shop.server.database(),
        "worker": shop.host.worker().said(),
    }
    assert not {kind for kind, text in found.items() if any(piece in text for piece in PIECES)}
    # it looked where something could be
    assert not {kind for kind, text in found.items() if not any(name in text for name in ("scalingo", APP, "etl"))}
    secrets = shop.server.answer("POST", "block_documents/filter", with_secrets).text
    assert [piece for piece in PIECES if piece in secrets]
