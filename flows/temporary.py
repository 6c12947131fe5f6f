"""The temporary Prefect server of a run that has no other: what it was told must be written before it stops."""

import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
from prefect.client.schemas.sorting import FlowRunSort
from prefect.settings import get_current_settings

_POLL = 0.25
_QUIET = 4  # polls
_PATIENCE = 15.0


@contextmanager
def settled() -> Iterator[None]:
    """Run flows here; where that starts a temporary server, it is not heard of, and has written everything at the end."""
    os.environ.setdefault("DO_NOT_TRACK", "1")  # or Prefect prints a notice on every terminal
    logging.getLogger("prefect").addFilter(_is_news)
    try:
        yield
    finally:
        if not get_current_settings().api.url:
            _settle()


def _is_news(record: logging.LogRecord) -> bool:
    return "temporary server" not in record.getMessage()


def _settle() -> None:
    """Wait until the last flow run's task runs are recorded; a server that stops earlier loses them, with a traceback."""
    deadline = time.monotonic() + _PATIENCE
    with get_client(sync_client=True) as client:
        flow_runs = client.read_flow_runs(sort=FlowRunSort.START_TIME_DESC, limit=1)
        chosen = FlowRunFilter(id=FlowRunFilterId(any_=[run.id for run in flow_runs]))
        seen, quiet = -1, 0
        while quiet < _QUIET and time.monotonic() < deadline:
            time.sleep(_POLL)
            runs = client.read_task_runs(flow_run_filter=chosen, limit=200)
            final = sum(1 for run in runs if run.state and run.state.is_final())
            quiet = quiet + 1 if final == len(runs) == seen else 0
            seen = len(runs)
