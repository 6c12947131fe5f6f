"""The temporary Prefect server of a run that has no other: it must write what it received before it stops."""

import logging
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
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
    PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW,
    PREFECT_SERVER_ANALYTICS_ENABLED,
    PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS,
    PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_BATCH_SIZE,
    PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_FLUSH_INTERVAL,
    get_current_settings,
    temporary_settings,
)

from blocks import urls
from flows.own_server import GRACE
from multischema.errors import EtlError

_FLUSH = 1.0  # seconds between two writes of the server, which takes no less
# the same as in prefect.toml, which Prefect reads in its own folder only; the command runs in any
_DEFAULTS = {
    PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW: "ignore",
    PREFECT_SERVER_ANALYTICS_ENABLED: False,
    PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS: 90,
    PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_BATCH_SIZE: 100,
}
_CODE = str(Path(__file__).parent.parent)  # the command runs in any folder
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
    changed = {PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_FLUSH_INTERVAL: _FLUSH}
    with temporary_settings(changed, set_defaults=_DEFAULTS), _started() as url, _reached(url), _finished() as tasks:
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


@contextmanager
def _started() -> Iterator[str]:
    """Start a server and yield the URL of its API once it answers; stop it at the end.

    It is in a session of its own: a terminal's Ctrl-C goes to every process of a session, and the server must survive the
    run.
    """
    settings = get_current_settings()
    process = subprocess.Popen(
        [sys.executable, "-c", "from flows.own_server import serve; serve()"],
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join(filter(None, (_CODE, os.environ.get("PYTHONPATH", "")))),
            "PREFECT_UI_ENABLED": "0",
            **settings.to_environment_variables(exclude_unset=True),
        },
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    assert process.stdin
    assert process.stdout
    try:
        port = process.stdout.readline().decode().strip()
        url = f"http://127.0.0.1:{port}/api"
        patience = PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS.value()
        try:
            httpx.get(f"{url}/health", timeout=patience, trust_env=False).raise_for_status()
        except (httpx.HTTPError, httpx.InvalidURL):
            raise EtlError(
                f"the temporary Prefect server did not start within {patience} s; start again, or name a server of your own "
                f"in {_URL}"
            ) from None
        yield url
    finally:
        process.stdin.close()
        with suppress(subprocess.TimeoutExpired):
            process.wait(2 * GRACE)
        process.kill()
        process.wait()
        process.stdout.close()


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
