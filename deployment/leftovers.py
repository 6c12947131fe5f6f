"""The task runs of flow runs that have ended: a process that was killed told nobody how its tasks did.

Prefect 3 ends the flow run then, through its worker or an automation, and leaves its task runs Running for ever.
"""

import logging
from datetime import UTC, datetime, timedelta

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.filters import (
    FlowFilter,
    FlowFilterName,
    FlowRunFilter,
    FlowRunFilterEndTime,
    FlowRunFilterState,
    FlowRunFilterStateType,
    TaskRunFilter,
    TaskRunFilterState,
    TaskRunFilterStateType,
)
from prefect.client.schemas.objects import TERMINAL_STATES, StateType
from prefect.states import Crashed

_log = logging.getLogger(__name__)
FLOW = "etl"
GRACE = timedelta(minutes=1)  # the server writes down what a task did some seconds after it did
_PAGE = 200


async def end_tasks(client: PrefectClient, grace: timedelta = GRACE) -> int:
    """End the task runs of flow runs that ended this long ago; return how many there were.

    Never raises: it is for people who look at lists, and called in a worker's heartbeat, which must go on.
    """
    try:
        return await _end_tasks(client, grace)
    except Exception as error:  # httpx's, or pydantic's of a server that is newer; the next time will do
        _log.debug("the tasks of runs that ended are left as they are (%s)", type(error).__name__)
        return 0


async def _end_tasks(client: PrefectClient, grace: timedelta) -> int:
    ended = FlowRunFilter(
        state=FlowRunFilterState(type=FlowRunFilterStateType(any_=sorted(TERMINAL_STATES))),
        end_time=FlowRunFilterEndTime.model_validate({"before_": datetime.now(UTC) - grace}),
    )
    under_way = TaskRunFilterState(type=TaskRunFilterStateType(any_=sorted(set(StateType) - TERMINAL_STATES)))
    found = await client.read_task_runs(
        flow_filter=FlowFilter(name=FlowFilterName(any_=[FLOW])),
        flow_run_filter=ended,
        task_run_filter=TaskRunFilter(state=under_way),
        limit=_PAGE,  # the next look sees the rest
    )
    for task in found:
        await client.set_task_run_state(task.id, Crashed(message="It ended with its run."), force=True)
    return len(found)
