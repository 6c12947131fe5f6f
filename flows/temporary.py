"""The temporary Prefect server of a run that has no other: it must write what it received before it stops."""

import logging
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any
from uuid import UUID

import httpx
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
from prefect.client.schemas.objects import TaskRun
from prefect.client.schemas.sorting import FlowRunSort, TaskRunSort
from prefect.context import refresh_global_settings_context
from prefect.events.worker import EventsWorker
from prefect.logging.handlers import APILogWorker
from prefect.settings import (
    PREFECT_API_URL,
    PREFECT_HOME,
    PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW,
    PREFECT_PROFILES_PATH,
    PREFECT_SERVER_ANALYTICS_ENABLED,
    PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS,
    PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_BATCH_SIZE,
    PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_FLUSH_INTERVAL,
    PREFECT_UI_ENABLED,
    get_current_settings,
    temporary_settings,
)

from blocks import urls
from flows.own_server import GRACE
from multischema.errors import EtlError, UsageError
from multischema.words import size

_FLUSH = 1.0  # seconds between two writes of the server, which takes no less
# the same as in prefect.toml, which Prefect reads in its own folder only; the command runs in any
_DEFAULTS: dict[Any, Any] = {
    PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW: "ignore",
    PREFECT_SERVER_ANALYTICS_ENABLED: False,
    PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS: 90,
    PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_BATCH_SIZE: 100,
}
_CODE = str(Path(__file__).parent.parent)  # the command runs in any folder
_ROOM = 4_000_000  # bytes: the database of a server takes a third of that when it is made
_CAUSE = re.compile(r"^(?:[\w.]+\.)?(\w+(?:Error|Exception): .+)$", re.MULTILINE)  # in a traceback
_LONGEST = 200
_POLL = 0.1
_QUIET = 2 * _FLUSH / _POLL  # polls
_PATIENCE = 60.0
_PAGE = 200
_URL = PREFECT_API_URL.name


@contextmanager
def settled() -> Iterator[None]:
    """Run flows here; a temporary server, if needed, stays silent and has written everything by the end."""
    os.environ.setdefault("DO_NOT_TRACK", "1")  # or Prefect prints a notice on every terminal
    if get_current_settings().api.url:
        _refuse_silence()
        yield
        return
    with temporary_settings(set_defaults=_DEFAULTS), _started(_home()) as url, _reached(url), _finished() as tasks:
        try:
            yield
        except BaseException:
            tasks.clear()  # it may have ended before some of its tasks
            raise
        finally:
            _settle(tasks)


def _refuse_silence() -> None:
    """Raise EtlError if the user's own Prefect server does not answer or refuses the login."""
    with get_client(sync_client=True) as client:
        if client.api_healthcheck():
            raise EtlError(urls.SILENT_SERVER)
        try:
            client.read_work_pools(limit=1)  # the health check needs no login
        except httpx.HTTPStatusError as error:
            raise EtlError(urls.refusal(error.response.status_code)) from None


def _home() -> Path:
    """Return Prefect's home, where the server keeps its database. Raises UsageError if nothing can be written there."""
    home = get_current_settings().home.absolute()
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=home) as probe:
            probe.write(bytes(_ROOM))
    except OSError as error:
        reason = "not a folder" if isinstance(error, FileExistsError) else (error.strerror or type(error).__name__).lower()
        raise UsageError(
            f"{home}: {reason}: the temporary Prefect server can't keep its database there; name in {PREFECT_HOME.name} a "
            f"folder that can be written, with {size(_ROOM)} free"
        ) from None
    return home


@contextmanager
def _started(home: Path) -> Iterator[str]:
    """Start a server and yield the URL of its API once it answers; stop it at the end, and pass on what it complained of.

    It is in a session of its own: a terminal's Ctrl-C goes to every process of a session, and the server must survive the
    run.
    """
    with tempfile.TemporaryFile(dir=home) as complaints:
        process = subprocess.Popen(
            [sys.executable, "-c", "from flows.own_server import serve; serve()"],
            env=_environment(home, os.environ),
            cwd=_empty(home),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=complaints,
            start_new_session=True,
        )
        assert process.stdin
        assert process.stdout
        answered = False
        try:
            url = _answering(process.stdout, complaints, home)
            answered = True
            yield url
        finally:
            process.stdin.close()
            with suppress(subprocess.TimeoutExpired):
                process.wait(2 * GRACE)
            process.kill()
            process.wait()
            process.stdout.close()
            if answered:
                sys.stderr.write(_read(complaints))


def _empty(home: Path) -> Path:
    """Return a folder for the server to run in: it would read the .env and the prefect.toml of the user's."""
    folder = home / "temporary-server"
    folder.mkdir(exist_ok=True)
    return folder


def _environment(home: Path, given: Mapping[str, str]) -> dict[str, str]:
    """Return the variables of the server: none of Prefect's but our own.

    The user's may be those of a server to keep: its login, its database, its path.
    """
    kept = {name: value for name, value in given.items() if not name.upper().startswith("PREFECT_")}
    settings = {**_DEFAULTS, PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_FLUSH_INTERVAL: _FLUSH, PREFECT_UI_ENABLED: False}
    return {
        **kept,
        "PYTHONPATH": os.pathsep.join(filter(None, (_CODE, given.get("PYTHONPATH", "")))),
        PREFECT_HOME.name: str(home),
        PREFECT_PROFILES_PATH.name: str(home / "no-profiles.toml"),
        **{setting.name: str(value) for setting, value in settings.items()},
    }


def _answering(port: IO[bytes], complaints: IO[bytes], home: Path) -> str:
    """Return the URL of the server's API once it answers. Raises EtlError."""
    url = f"http://127.0.0.1:{port.readline().decode().strip()}/api"
    patience = PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS.value()
    try:
        httpx.get(f"{url}/health", timeout=patience, trust_env=False).raise_for_status()
    except httpx.TimeoutException:
        raise EtlError(
            f"the temporary Prefect server did not start within {patience} s; start again, or name a server of your own "
            f"in {_URL}"
        ) from None
    except (httpx.HTTPError, httpx.InvalidURL):
        causes = _CAUSE.findall(_read(complaints))
        raise EtlError(
            f"the temporary Prefect server, which keeps its database in {home}, did not start"
            f"{f': {causes[-1][:_LONGEST]}' if causes else ''}; name another folder in {PREFECT_HOME.name}, or a server of "
            f"your own in {_URL}"
        ) from None
    return url


def _read(complaints: IO[bytes]) -> str:
    """Return what the server printed."""
    complaints.seek(0)
    return complaints.read().decode(errors="replace")


@contextmanager
def _reached(url: str) -> Iterator[None]:
    """Have this process use the server; Prefect's own threads see no settings but the global ones."""
    os.environ[_URL] = url
    refresh_global_settings_context()
    try:
        with temporary_settings({PREFECT_API_URL: url}):
            yield
    finally:
        del os.environ[_URL]
        refresh_global_settings_context()


class _Finished(logging.Filter):
    """Remember the task runs that this process has finished."""

    def __init__(self) -> None:
        super().__init__()
        self.tasks: set[UUID] = set()

    def filter(self, record: logging.LogRecord) -> bool:
        if record.getMessage().startswith("Finished in state") and (task := getattr(record, "task_run_id", None)):
            self.tasks.add(UUID(str(task)))
        return True


@contextmanager
def _finished() -> Iterator[set[UUID]]:
    """Yield the task runs that finish meanwhile, as Prefect logs them."""
    logger, seen = logging.getLogger("prefect.task_runs"), _Finished()
    logger.addFilter(seen)
    try:
        yield seen.tasks
    finally:
        logger.removeFilter(seen)


def _settle(tasks: set[UUID]) -> None:
    """Wait until the last flow run's task runs are recorded; a server that stops sooner loses them.

    If it is not known which `tasks` those are, wait until no more arrive.
    """
    EventsWorker.drain_all(timeout=_PATIENCE, at_exit=False)  # what has not been sent yet
    APILogWorker.drain_all(timeout=_PATIENCE, at_exit=False)
    deadline = time.monotonic() + _PATIENCE
    with get_client(sync_client=True) as client:
        flow_runs = client.read_flow_runs(sort=FlowRunSort.START_TIME_DESC, limit=1)
        chosen = FlowRunFilter(id=FlowRunFilterId(any_=[run.id for run in flow_runs]))
        seen, quiet = -1, 0
        while quiet < _QUIET and time.monotonic() < deadline:
            runs = _task_runs(client, chosen)
            final = {run.id for run in runs if run.state and run.state.is_final()}
            if tasks and len(final) == len(runs) and final >= tasks:
                return
            quiet = quiet + 1 if len(final) == len(runs) == seen else 0
            seen = len(runs)
            time.sleep(_POLL)


def _task_runs(client: SyncPrefectClient, flow_runs: FlowRunFilter) -> list[TaskRun]:
    found: list[TaskRun] = []
    while True:
        page = client.read_task_runs(flow_run_filter=flow_runs, sort=TaskRunSort.ID_DESC, limit=_PAGE, offset=len(found))
        found += page
        if len(page) < _PAGE:
            return found
