"""Scaleway's Serverless Jobs on this machine: a server of the HTTP API v1alpha2 that runs the commands of its jobs.

It answers as the provider's public documents say: paths, fields, states, reasons, errors. A job's "container" is its process
and whatever that starts, wherever it hides: every process that has the job run's id in its environment. It ends with its
command.
"""

import json
import re
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import psutil

from demo import alone
from tests.conftest import OWN, TEMPORARY

IMAGE = "rg.fr-par.scw.cloud/etl/etl:latest"
ENDED = ("succeeded", "failed", "interrupted")
REGIONS = ("fr-par", "nl-ams", "pl-waw")
STOP_GRACE = 10.0  # between SIGTERM and SIGKILL
KILL_PATIENCE = 30.0  # until a killed process is gone
_PATH = re.compile(r"^/serverless-jobs/v1alpha2/regions/(?P<region>[^/]+)/(?P<what>job-definitions|job-runs)"
                   r"(?:/(?P<id>[^/]+)(?:/(?P<verb>start|stop))?)?$")  # fmt: skip


@dataclass
class Definition:
    """A job definition; `secrets` are its references to Secret Manager, which no answer shows."""

    id: str
    region: str
    name: str
    image: str = IMAGE
    memory: int = 2048
    storage: int = 10240
    timeout: float = 86400.0
    max_retries: int = 0
    environment: dict[str, str] = field(default_factory=dict)
    secrets: dict[str, str] = field(default_factory=dict)

    def said(self) -> dict[str, Any]:
        """Return the definition as the API shows it."""
        return {
            "id": self.id,
            "name": self.name,
            "project_id": "11111111-1111-4111-8111-111111111111",
            "created_at": "2026-01-01T00:00:00.000000Z",
            "updated_at": "2026-01-01T00:00:00.000000Z",
            "cpu_limit": 1120,
            "memory_limit": self.memory,
            "local_storage_capacity": self.storage,
            "image_uri": self.image,
            "command": "",
            "startup_command": [],
            "args": [],
            "environment_variables": self.environment,
            "job_timeout": f"{self.timeout:g}s",
            "description": "",
            "cron_schedule": None,
            "retry_policy": {"max_retries": self.max_retries},
            "region": self.region,
        }


@dataclass
class Run:
    """A job run, and the process of its command."""

    id: str
    definition: Definition
    command: list[str]
    given: dict[str, str]
    created: str
    state: str = "initialized"
    reason: str | None = None
    exit_code: int | None = None
    error: str = ""
    started: str | None = None
    ended: str | None = None
    process: "subprocess.Popen[bytes] | None" = None
    stopping: threading.Event = field(default_factory=threading.Event)

    def said(self) -> dict[str, Any]:
        """Return the job run as the API shows it."""
        return {
            "id": self.id,
            "job_definition_id": self.definition.id,
            "created_at": self.created,
            "updated_at": _now(),
            "started_at": self.started,
            "terminated_at": self.ended,
            "run_duration": None,
            "state": self.state,
            "reason": self.reason,
            "exit_code": self.exit_code,
            "error_message": self.error,
            "cpu_limit": 1120,
            "memory_limit": self.definition.memory,
            "local_storage_capacity": self.definition.storage,
            "environment_variables": {**self.definition.environment, **self.given},
            "command": "",
            "startup_command": self.command[:1],
            "args": self.command[1:],
            "attempts": 0,
            "region": self.definition.region,
        }

    def processes(self) -> list[psutil.Process]:
        """Return the live processes of the job's container."""
        found = []
        for process in psutil.process_iter():
            try:
                inside = process.environ().get("SCW_SLS_RESOURCE_ID") == self.id
                if inside and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
            except psutil.Error:
                continue
        return found

    def kill(self) -> None:
        """Kill the container, as the kernel does, and wait until nothing of it is left."""
        deadline = time.monotonic() + KILL_PATIENCE
        while (left := self.processes()) and time.monotonic() < deadline:
            for process in left:
                with suppress(psutil.Error):
                    process.kill()
            time.sleep(0.02)


@dataclass
class Fault:
    """How a number of requests go wrong: with a status, or (status 0) without any answer; `after` they were carried out.

    Those `of` a definition name it, or a job run of it; others are left alone.
    """

    what: str
    status: int
    times: int
    of: Definition | None
    after: bool
    headers: Mapping[str, str]


class Provider(ThreadingHTTPServer):
    """Scaleway, on a free port of this machine."""

    daemon_threads = True

    def __init__(self, directory: Path, key: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.directory = directory
        self.key = key
        self.images = {IMAGE}
        self.allowed = True  # whether the key's policy has ServerlessJobsFullAccess
        self.quota = 400
        self.definitions: dict[str, Definition] = {}
        self.runs: dict[str, Run] = {}
        self.asked: list[str] = []
        self.faults: list[Fault] = []
        self.places = threading.Event()  # whether there is a place for a queued job
        self.places.set()
        # The image has tini; what it is for can't be seen here, where no process is a container's first one.
        tini = directory / "tini"
        tini.write_text('#!/bin/sh\nshift\nexec "$@"\n')
        tini.chmod(0o755)
        self._lock = threading.RLock()

    @property
    def url(self) -> str:
        """Return what SCW_API_URL would be."""
        return f"http://127.0.0.1:{self.server_port}"

    def define(self, name: str = "etl", region: str = "fr-par", **changes: Any) -> Definition:
        """Make a job definition, as Terraform does."""
        made = Definition(str(uuid.uuid4()), region, name, **changes)
        self.definitions[made.id] = made
        return made

    def fail(
        self,
        what: str,
        status: int = 0,
        times: int = 1,
        *,
        of: Definition | None = None,
        after: bool = False,
        **headers: str,
    ) -> None:
        """Have the next requests go wrong: `definition`, `start`, `run`, `list`, `stop`, or `` for any of them."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.faults.append(Fault(what, status, times, of, after, named))

    def heal(self) -> None:
        """End all faults."""
        self.faults.clear()

    def runs_of(self, definition: Definition) -> list[Run]:
        """Return the job runs of a definition, the first one first."""
        return [run for run in list(self.runs.values()) if run.definition is definition]

    def exceed_memory(self, run: Run) -> None:
        """Kill a job's container for its memory."""
        run.reason = "memory_usage_exceeded"
        run.kill()

    def start(self, definition: Definition, body: Mapping[str, Any]) -> Run:
        """Start a job run."""
        command = [*(body.get("startup_command") or []), *(body.get("args") or [])]
        given = dict(body.get("environment_variables") or {})
        run = Run(str(uuid.uuid4()), definition, command, given, created=_now())
        with self._lock:
            self.runs[run.id] = run
        threading.Thread(target=self._live, args=(run,), name=f"job {run.id}", daemon=True).start()
        return run

    def stop(self, run: Run) -> None:
        """Have a job run stopped."""
        with self._lock:
            if run.state not in ENDED:
                run.state = "interrupting"
                run.stopping.set()

    def close(self) -> None:
        """Kill what runs."""
        for run in list(self.runs.values()):
            run.stopping.set()
            run.kill()

    def _live(self, run: Run) -> None:
        """Lead a job run through its states."""
        for state in ("initialized", "validated", "queued"):
            self._become(run, state)
            time.sleep(0.02)
        while not (self.places.wait(0.02) or run.stopping.is_set()):
            pass
        if run.stopping.is_set():
            self._end(run, "interrupted", "cancellation")
        elif run.definition.image not in self.images:
            self._end(run, "failed", "image_not_found", error=f"image {run.definition.image} not found")
        else:
            self._execute(run)

    def _execute(self, run: Run) -> None:
        environment = self._environment(run)
        # Scaleway expands variables in the arguments, as Kubernetes does.
        command = [re.sub(r"\$\((\w+)\)", lambda found: environment.get(found[1], found[0]), word) for word in run.command]
        try:
            with open(self.directory / f"{run.id}.log", "wb") as output:
                run.process = subprocess.Popen(
                    command,
                    cwd=OWN,
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
        except OSError as error:
            self._end(run, "failed", "exited_with_error", exit_code=127, error=f"{command[0]}: {error.strerror}")
            return
        run.started = _now()
        self._become(run, "running")
        deadline = time.monotonic() + run.definition.timeout
        while run.process.poll() is None:
            if run.stopping.is_set():
                self._terminate(run)
                self._end(run, "interrupted", "cancellation")
                return
            if time.monotonic() > deadline:
                self._terminate(run)
                self._end(run, "failed", "timeout")
                return
            time.sleep(0.02)
        run.kill()
        if run.reason:
            self._end(run, "failed", run.reason, exit_code=137)
        elif run.process.returncode:
            code = run.process.returncode
            self._end(run, "failed", "exited_with_error", exit_code=128 - code if code < 0 else code)
        else:
            self._end(run, "succeeded", None, exit_code=0)

    def _environment(self, run: Run) -> dict[str, str]:
        own = {
            "PATH": f"{self.directory}:{Path(sys.executable).parent}:/usr/bin:/bin",
            "PYTHONPATH": str(OWN),
            "LANG": "C.UTF-8",
            **alone.SETTINGS,
            "RULES_FOLDER": TEMPORARY,
            "HOME": str(self.directory),
            "PREFECT_HOME": str(self.directory / "home"),
            "SCW_SLS_RESOURCE_ID": run.id,
            "SCW_SLS_PARENT_ID": run.definition.id,
        }
        return {**own, **run.definition.environment, **run.definition.secrets, **run.given}

    def _terminate(self, run: Run) -> None:
        assert run.process
        run.process.send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            run.process.wait(STOP_GRACE)
        run.kill()
        run.process.wait()

    def _become(self, run: Run, state: str) -> None:
        with self._lock:
            if not run.stopping.is_set():
                run.state = state

    def _end(self, run: Run, state: str, reason: str | None, *, exit_code: int | None = None, error: str = "") -> None:
        with self._lock:
            run.reason, run.exit_code, run.error, run.ended = reason, exit_code, error, _now()
            run.state = state


class _Refused(Exception):
    """An error of the API: its status and its body."""

    def __init__(self, status: int, kind: str, **said: Any) -> None:
        super().__init__(kind)
        self.status = status
        self.body = {"type": kind, "message": kind.replace("_", " "), **said}


class _Handler(BaseHTTPRequestHandler):
    """Answer one request."""

    protocol_version = "HTTP/1.1"
    server: Provider

    def do_GET(self) -> None:
        self._answer({})

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        self._answer(json.loads(self.rfile.read(length) or b"{}"))

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""

    def _answer(self, body: dict[str, Any]) -> None:
        parts = urlsplit(self.path)
        found = _PATH.match(parts.path)
        what = _name(found)
        query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        self.server.asked.append(what)
        fault = self._fault(what, self._definition(what, found, query))
        if fault and not fault.after:
            self._go_wrong(fault)
            return
        try:
            self._authenticate()
            if not found or found["region"] not in REGIONS:
                raise _Refused(404, "not_found", resource="route", resource_id=parts.path)
            status, said = 200, self._carry_out(what, found["region"], found["id"], body, query)
        except _Refused as error:
            status, said = error.status, error.body
        if fault:
            self._go_wrong(fault)
        else:
            self._say(status, said, {})

    def _carry_out(
        self, what: str, region: str, identifier: str | None, body: Mapping[str, Any], query: Mapping[str, str]
    ) -> dict[str, Any]:
        server = self.server
        if what == "list":
            runs = [run for run in list(server.runs.values()) if run.definition.id == query.get("job_definition_id")]
            runs.sort(key=lambda run: run.created, reverse=query.get("order_by") == "created_at_desc")
            size = int(query.get("page_size", "20"))
            begin = (int(query.get("page", "1")) - 1) * size
            return {"job_runs": [run.said() for run in runs[begin : begin + size]], "total_count": len(runs)}
        if what in ("definition", "start"):
            definition = server.definitions.get(_uuid(identifier, "job_definition_id"))
            if not definition or definition.region != region:
                raise _Refused(404, "not_found", resource="job_definition", resource_id=identifier)
            if what == "definition":
                return definition.said()
            self._check_start(body)
            return {"job_runs": [server.start(definition, body).said()]}
        run = server.runs.get(_uuid(identifier, "job_run_id"))
        if not run or run.definition.region != region:
            raise _Refused(404, "not_found", resource="job_run", resource_id=identifier)
        if what == "stop":
            server.stop(run)
        return run.said()

    def _check_start(self, body: Mapping[str, Any]) -> None:
        for name, value in (body.get("environment_variables") or {}).items():
            if name.upper().startswith("SCW_SLS") or not isinstance(value, str):
                raise _invalid("environment_variables", "constraint", f"{name} is reserved")
        if sum(run.state not in ENDED for run in list(self.server.runs.values())) >= self.server.quota:
            detail: dict[str, Any] = {"resource": "parallel_jobs", "quota": self.server.quota, "current": self.server.quota}
            raise _Refused(403, "quotas_exceeded", details=[detail])

    def _authenticate(self) -> None:
        key = self.headers.get("X-Auth-Token", "")
        if not re.fullmatch("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", key):
            raise _Refused(401, "denied_authentication", method="api_key", reason="invalid_argument")
        if key != self.server.key:
            raise _Refused(401, "denied_authentication", method="api_key", reason="not_found")
        if not self.server.allowed:
            raise _Refused(403, "permissions_denied", details=[{"resource": "serverless_jobs", "action": "write"}])

    def _definition(self, what: str, found: "re.Match[str] | None", query: Mapping[str, str]) -> Definition | None:
        """Return the definition that a request is about."""
        identifier = found["id"] if found else None
        if what in ("run", "stop"):
            run = self.server.runs.get(identifier or "")
            return run.definition if run else None
        return self.server.definitions.get((query.get("job_definition_id") if what == "list" else identifier) or "")

    def _fault(self, what: str, definition: Definition | None) -> Fault | None:
        for fault in self.server.faults:
            if fault.what in ("", what) and fault.of in (None, definition) and fault.times > 0:
                fault.times -= 1
                return fault
        return None

    def _go_wrong(self, fault: Fault) -> None:
        if fault.status == 0:
            self.close_connection = True
            self.connection.close()
        elif fault.status == 429:
            said = {"type": "too_many_requests", "help_message": "slow down", "limit": {"quota": 1, "window_seconds": 1}}
            self._say(429, said, fault.headers)
        elif fault.status == 200:
            self._say(200, None, fault.headers)
        else:
            self._say(
                fault.status,
                {"type": "internal", "message": "internal error"} if fault.status == 500 else None,
                fault.headers,
            )

    def _say(self, status: int, said: dict[str, Any] | None, headers: Mapping[str, str]) -> None:
        # A gateway in front of the API answers in HTML.
        content = json.dumps(said).encode() if said is not None else b"<html><h1>upstream</h1></html>"
        self.send_response(status)
        self.send_header("Content-Type", "application/json" if said is not None else "text/html")
        self.send_header("Content-Length", str(len(content)))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)


@contextmanager
def provider(directory: Path, key: str) -> Iterator[Provider]:
    """Run Scaleway; whatever its jobs started is gone at the end."""
    directory.mkdir(parents=True, exist_ok=True)
    server = Provider(directory, key)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
        server.close()


def _name(found: "re.Match[str] | None") -> str:
    """Return what a request asks for: a definition, its start, a run, its stop, the list of runs."""
    if not found:
        return "nothing"
    if found["what"] == "job-definitions":
        return "start" if found["verb"] == "start" else "definition"
    return "stop" if found["verb"] == "stop" else "run" if found["id"] else "list"


def _invalid(argument: str, reason: str, help_message: str) -> _Refused:
    detail = {"argument_name": argument, "reason": reason, "help_message": help_message}
    return _Refused(400, "invalid_arguments", details=[detail])


def _uuid(text: str | None, argument: str) -> str:
    try:
        return str(uuid.UUID(text))
    except (TypeError, ValueError):
        raise _invalid(argument, "format", "must be a UUID") from None


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
