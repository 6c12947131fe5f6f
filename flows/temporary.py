"""The temporary Prefect server of a run that has no other: it must write what it received before it stops."""

import contextvars
import logging
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
from prefect.client.schemas.objects import TaskRun
from prefect.client.schemas.sorting import FlowRunSort, TaskRunSort
from prefect.events.worker import EventsWorker
from prefect.settings import (
    PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW,
    PREFECT_SERVER_ANALYTICS_ENABLED,
    PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS,
    PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_BATCH_SIZE,
    PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_FLUSH_INTERVAL,
    get_current_settings,
    temporary_settings,
)

from blocks import urls
from multischema.errors import EtlError

_FLUSH = 1.0  # seconds between two writes of the server
# the same as in prefect.toml, which Prefect reads in its own folder only; the command runs in any
_DEFAULTS = {
    PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW: "ignore",
    PREFECT_SERVER_ANALYTICS_ENABLED: False,
    PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS: 90,
    PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_BATCH_SIZE: 100,
}
_POLL = 0.25
_QUIET = 2 * _FLUSH / _POLL  # polls
_PATIENCE = 60.0
_PAGE = 200


@contextmanager
def settled() -> Iterator[None]:
    """Run flows here; a temporary server, if needed, stays silent and has written everything by the end."""
    os.environ.setdefault("DO_NOT_TRACK", "1")  # or Prefect prints a notice on every terminal
    logging.getLogger("prefect").addFilter(_is_news)
    if get_current_settings().api.url:
        _refuse_silence()
        yield
        return
    with temporary_settings({PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_FLUSH_INTERVAL: _FLUSH}, set_defaults=_DEFAULTS):
        _start()
        try:
            yield
        finally:
            _settle()


def _refuse_silence() -> None:
    """Raise EtlError if the user's own Prefect server does not answer or refuses the login."""
    with get_client(sync_client=True) as client:
        if client.api_healthcheck():
            raise EtlError(urls.SILENT_SERVER)
        try:
            client.read_work_pools(limit=1)  # the health check needs no login
        except httpx.HTTPStatusError as error:
            raise EtlError(urls.refusal(error.response.status_code)) from None


def _start() -> None:
    """Start the server deaf to the terminal's Ctrl-C, which goes to every process: it must survive the run.

    A process inherits the signals that the thread which starts it blocks.
    """
    from prefect.server.api.server import SubprocessASGIServer  # half of all imports, needed only without a server

    failures: list[Exception] = []

    def start() -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            SubprocessASGIServer().start()
        except Exception as error:
            failures.append(error)

    thread = threading.Thread(target=contextvars.copy_context().run, args=(start,), daemon=True)
    thread.start()
    thread.join()
    if failures:
        raise failures[0]


def _is_news(record: logging.LogRecord) -> bool:
    return "temporary server" not in record.getMessage()


def _settle() -> None:
    """Wait until the last flow run's task runs are recorded; a server that stops sooner loses them, with a traceback."""
    EventsWorker.drain_all(timeout=_PATIENCE, at_exit=False)  # what has not been sent yet
    deadline = time.monotonic() + _PATIENCE
    with get_client(sync_client=True) as client:
        flow_runs = client.read_flow_runs(sort=FlowRunSort.START_TIME_DESC, limit=1)
        chosen = FlowRunFilter(id=FlowRunFilterId(any_=[run.id for run in flow_runs]))
        seen, quiet = -1, 0
        while quiet < _QUIET and time.monotonic() < deadline:
            time.sleep(_POLL)
            runs = _task_runs(client, chosen)
            final = sum(1 for run in runs if run.state and run.state.is_final())
            quiet = quiet + 1 if final == len(runs) == seen else 0
            seen = len(runs)


def _task_runs(client: SyncPrefectClient, flow_runs: FlowRunFilter) -> list[TaskRun]:
    found: list[TaskRun] = []
    while True:
        page = client.read_task_runs(flow_run_filter=flow_runs, sort=TaskRunSort.ID_DESC, limit=_PAGE, offset=len(found))
        found += page
        if len(page) < _PAGE:
            return found
