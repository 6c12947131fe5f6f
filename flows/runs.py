"""The runs that a Prefect server knows: of each app the next one, the one under way, and the last one that failed."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import (
    FlowFilter,
    FlowFilterName,
    FlowRunFilter,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.client.schemas.sorting import FlowRunSort
from prefect.settings import PREFECT_CLIENT_MAX_RETRIES, temporary_settings

from blocks.server import answering

_PATIENCE = 10.0  # seconds for an answer
_PAGE = 200  # runs, the most that a server gives at a time
_FLOW = FlowFilter(name=FlowFilterName(any_=["etl"]))


@dataclass(frozen=True)
class Failure:
    """A run that ended Failed or Crashed: when, and the first line of what its state says."""

    at: datetime
    state: str
    reason: str


@dataclass(frozen=True)
class Runs:
    """What the server knows of the runs that publish one schema; `late` if the next one should have started by now."""

    next_at: datetime | None = None
    late: bool = False
    running_since: datetime | None = None
    completed_at: datetime | None = None
    failure: Failure | None = None


def read_runs() -> Mapping[tuple[str, str], Runs]:
    """Return the runs by app and schema: of each kind the 200 that matter most. Raises EtlError."""
    found: dict[tuple[str, str], Runs] = {}
    # a server that is busy, or away, is no reason to wait for minutes
    with temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 0}), answering():
        with get_client(httpx_settings={"timeout": _PATIENCE}, sync_client=True) as client:
            for run in reversed(_read(client, FlowRunSort.EXPECTED_START_TIME_ASC, StateType.SCHEDULED)):
                is_late = bool(run.state and run.state.name == "Late")
                _put(found, run, next_at=run.expected_start_time, late=is_late)
            for run in _read(client, FlowRunSort.START_TIME_DESC, StateType.RUNNING):
                _put(found, run, running_since=run.start_time)
            for run in reversed(_read(client, FlowRunSort.END_TIME_DESC, StateType.COMPLETED)):
                _put(found, run, completed_at=run.end_time)
            for run in reversed(_read(client, FlowRunSort.END_TIME_DESC, StateType.FAILED, StateType.CRASHED)):
                _put(found, run, failure=_failure(run))
    return found


def _read(client: SyncPrefectClient, sort: FlowRunSort, *states: StateType) -> list[FlowRun]:
    chosen = FlowRunFilter(state=FlowRunFilterState(type=FlowRunFilterStateType(any_=list(states))))
    return client.read_flow_runs(flow_filter=_FLOW, flow_run_filter=chosen, sort=sort, limit=_PAGE)


def _put(found: dict[tuple[str, str], Runs], run: FlowRun, **known: object) -> None:
    """Add what is known of a run that publishes; of several runs, the one that comes last stays."""
    app, schema = run.parameters.get("app"), run.parameters.get("schema")
    if isinstance(app, str) and not run.parameters.get("check"):
        key = (app, schema or app)
        found[key] = replace(found.get(key, Runs()), **known)  # type: ignore[arg-type]


def _failure(run: FlowRun) -> Failure | None:
    at = run.end_time or (run.state.timestamp if run.state else None)
    if not run.state or not at:
        return None
    lines: Iterable[str] = (run.state.message or "").splitlines()
    return Failure(at, run.state.name or "", next((line.strip() for line in lines if line.strip()), ""))
