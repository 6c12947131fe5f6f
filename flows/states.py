"""What people see of a run in Prefect's lists: its name, its tags, and the message of its last state."""

from collections.abc import Callable
from contextlib import suppress
from datetime import tzinfo
from functools import wraps
from typing import Any, Literal, ParamSpec, TypeVar, cast
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from prefect import State
from prefect.client.orchestration import get_client
from prefect.logging import get_run_logger
from prefect.runtime import flow_run
from prefect.states import Completed, Failed

from flows.apps import known_apps
from flows.logs import TOLD_ELSEWHERE
from multischema.errors import EtlError, UsageError
from multischema.report import Checked, Report

Arguments = ParamSpec("Arguments")
Ending = TypeVar("Ending", bound=Report | Checked)
KINDS = {"refresh", "full"}


def run_name() -> str:
    """Return the name of the run that begins: its app, and when it was due, on the clock of the app's schedule.

    Prefect names a scheduled run at random, and asks for its name when it starts.
    """
    app = flow_run.parameters["app"]
    return f"{app} {flow_run.scheduled_start_time.astimezone(_clock(app)):%Y-%m-%d %H:%M}"


def _clock(app: str) -> tzinfo | None:
    """Return the time zone of the app's schedules in prefect.yaml; None, which means this machine's, unless there is one."""
    with suppress(UsageError, KeyError, ValueError, TypeError, ZoneInfoNotFoundError):
        (zone,) = {schedule.timezone for schedule in known_apps()[app].schedules}
        return ZoneInfo(zone)
    return None


def told(work: Callable[Arguments, Ending]) -> Callable[Arguments, Ending]:
    """Have the flow's last state say how the run ended: what it did, or the line that says why it failed.

    Prefect takes a state that a flow returns as the run's own. Callers get its data: the report, or the error, raised.
    """

    @wraps(work)
    def ended(*arguments: Arguments.args, **named: Arguments.kwargs) -> State[Any]:
        try:
            made = work(*arguments, **named)
        except Exception as error:
            # the line of an error of ours, unless a task has said it; of any other the traceback, for whoever may read logs
            get_run_logger().error("the run failed", exc_info=error, extra=TOLD_ELSEWHERE)
            return Failed(message=_why(error), data=error)
        # alerts wait for Completed: a check publishes nothing
        name = "Checked" if isinstance(made, Checked) else "Completed"
        return Completed(name=name, message=made.headline(), data=made)

    return cast(Callable[Arguments, Ending], ended)


def _why(error: Exception) -> str:
    """Return the line that says why a run failed; it has no text of a library, which may quote a row: alerts pass it on."""
    return str(error) if isinstance(error, EtlError) else f"{type(error).__name__}: unexpected; see the run's log"


def tag(kind: Literal["refresh", "full"]) -> None:
    """Give the run the tag `refresh` or `full`; the tags that it has stay."""
    # for people only: no run fails because the server did not take it
    with suppress(Exception), get_client(sync_client=True) as client:
        tags = set(client.read_flow_run(flow_run.id).tags) - KINDS | {kind}
        client.update_flow_run(flow_run.id, tags=sorted(tags))
