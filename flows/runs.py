"""The runs that a Prefect server knows: of each app the next one, the one under way, and the last one that failed."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import (
    FlowFilter,
    FlowFilterName,
    FlowRunFilter,
    FlowRunFilterDeploymentId,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.client.schemas.responses import DeploymentResponse
from prefect.client.schemas.sorting import FlowRunSort
from prefect.settings import PREFECT_CLIENT_MAX_RETRIES, temporary_settings

from blocks.server import answering

_PATIENCE = 10.0  # seconds for an answer
_PAGE = 200  # the most that a server gives at a time
_NEVER = datetime.min.replace(tzinfo=UTC)
_FLOW = FlowFilter(name=FlowFilterName(any_=["etl"]))


@dataclass(frozen=True)
class Failure:
    """A run that ended Failed or Crashed: when, and the first line of what its state says."""

    at: datetime
    state: str
    reason: str


@dataclass(frozen=True)
class Runs:
    """What the server knows of the runs that publish one schema; `late` if the next one should have started by now.

    `scheduled` tells whether a schedule starts them, None if no deployment publishes that schema.
    """

    next_at: datetime | None = None
    late: bool = False
    running_since: datetime | None = None
    completed_at: datetime | None = None
    failure: Failure | None = None
    scheduled: bool | None = None


def read_runs() -> Mapping[tuple[str, str], Runs]:
    """Return the runs by app and schema: of each kind those that matter most of each deployment. Raises EtlError."""
    found: dict[tuple[str, str], Runs] = {}
    # a server that is busy, or away, is no reason to wait for minutes
    with temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 0}), answering():
        with get_client(httpx_settings={"timeout": _PATIENCE}, sync_client=True) as client:
            deployments = client.read_deployments(flow_filter=_FLOW, limit=_PAGE)
            for deployment in sorted(deployments, key=is_scheduled):
                _put(found, deployment, scheduled=is_scheduled(deployment))
            read = partial(_read, client, [deployment.id for deployment in deployments])
            for run in reversed(read(FlowRunSort.EXPECTED_START_TIME_ASC, _expected, StateType.SCHEDULED)):
                is_late = bool(run.state and run.state.name == "Late")
                _put(found, run, next_at=run.expected_start_time, late=is_late)
            for run in reversed(read(FlowRunSort.START_TIME_DESC, _started, StateType.RUNNING)):
                _put(found, run, running_since=run.start_time)
            for run in read(FlowRunSort.END_TIME_DESC, _ended, StateType.COMPLETED):
                _put(found, run, completed_at=run.end_time)
            for run in read(FlowRunSort.END_TIME_DESC, _ended, StateType.FAILED, StateType.CRASHED):
                _put(found, run, failure=_failure(run))
    return found


def is_scheduled(deployment: DeploymentResponse) -> bool:
    """Return whether a schedule starts runs of a deployment: one that is paused has none, whatever its schedules say."""
    return not deployment.paused and any(schedule.active for schedule in deployment.schedules)


def _read(
    client: SyncPrefectClient,
    deployments: Iterable[UUID],
    sort: FlowRunSort,
    moment: Callable[[FlowRun], datetime],
    *states: StateType,
) -> list[FlowRun]:
    """Return runs, the oldest first: the first ones in this order over all, and of each deployment.

    An app that runs hourly has more of them than a page, before the next one of an app that runs once a month.
    """
    among = [None, *(FlowRunFilterDeploymentId(any_=[deployment]) for deployment in deployments)]
    chosen = FlowRunFilterState(type=FlowRunFilterStateType(any_=list(states)))
    pages = [
        client.read_flow_runs(
            flow_filter=_FLOW, flow_run_filter=FlowRunFilter(state=chosen, deployment_id=one), sort=sort, limit=_PAGE
        )
        for one in among
    ]
    return sorted((run for page in pages for run in page), key=moment)


def _expected(run: FlowRun) -> datetime:
    return run.expected_start_time or _NEVER


def _started(run: FlowRun) -> datetime:
    return run.start_time or _NEVER


def _ended(run: FlowRun) -> datetime:
    return run.end_time or (run.state.timestamp if run.state else _NEVER)


def _put(found: dict[tuple[str, str], Runs], what: FlowRun | DeploymentResponse, **known: object) -> None:
    """Add what is known of a run or a deployment that publishes; of several, the one that comes last stays."""
    app, schema = what.parameters.get("app"), what.parameters.get("schema")
    if isinstance(app, str) and not what.parameters.get("check"):
        key = (app, schema or app)
        found[key] = replace(found.get(key, Runs()), **known)  # type: ignore[arg-type]


def _failure(run: FlowRun) -> Failure | None:
    if not run.state:
        return None
    lines: Iterable[str] = (run.state.message or "").splitlines()
    return Failure(_ended(run), run.state.name or "", next((line.strip() for line in lines if line.strip()), ""))
