"""Sentry, where SENTRY_DSN names one: why runs failed, and whether the nightly ones started and ended.

What is sent is on a list: an error's class, our own one-line message, and the file, line and function of each frame; app,
run, stage, release and environment. A message that is not ours may quote a row, and is left out. Nothing of the process
is patched: no log line, no variable, no SQL, no argument, no request gets into an event by itself.
"""

import inspect
import os
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial, wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from prefect.context import FlowRunContext

from flows.apps import App, known_apps
from flows.stages import log
from multischema.errors import EtlError

if TYPE_CHECKING:  # without SENTRY_DSN it is not imported
    from sentry_sdk import Client
    from sentry_sdk.types import Event

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")

VARIABLE = "SENTRY_DSN"
PATIENCE = 2.0  # seconds for what is still to be sent when a run ends
_MARGIN = 30  # minutes that a scheduled run may start late
_LONGEST_SLUG = 50
_CODE = Path(__file__).parent.parent
_SENT = ("event_id", "timestamp", "platform", "level", "release", "environment", "tags", "exception", "sdk")
_SENT_OF_CHECKINS = ("type", "monitor_slug", "check_in_id", "status", "duration", "monitor_config")


def told(flow: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """Tell Sentry of a flow's runs, if there is one; `app` is a parameter of the flow."""

    @wraps(flow)
    def run(*arguments: Arguments.args, **named: Arguments.kwargs) -> Result:
        if not os.environ.get(VARIABLE, "").strip():
            return flow(*arguments, **named)
        with watched(inspect.signature(flow).bind(*arguments, **named).arguments["app"]):
            return flow(*arguments, **named)

    return run


@contextmanager
def watched(app: str) -> Iterator[None]:
    """Tell Sentry how the run inside ends, and when it starts if its schedule started it.

    A run that is killed tells nothing more, and Sentry reports it once its time limit is over. Whatever becomes of Sentry,
    the run goes on, and waits no longer than PATIENCE at its end.
    """
    client = _client(os.environ[VARIABLE])
    if not client:
        yield
        return
    monitor = _monitor(app)
    begun = _check_in(client, "in_progress", **monitor) if monitor else None
    try:
        yield
    except Exception as error:
        _quietly(partial(_capture, client, error, app))
        if monitor and begun:
            _check_in(client, "error", check_in_id=begun, **monitor)
        raise
    else:
        if monitor and begun:
            _check_in(client, "ok", check_in_id=begun, **monitor)
    finally:
        # a run that is stopped does not check out: whoever takes it over does
        _quietly(partial(client.close, timeout=PATIENCE))


def event_of(error: Exception, app: str) -> "Event":
    """Return what Sentry is told of an error that ended a run of an app."""
    running = FlowRunContext.get()
    tags = {
        "app": app,
        "stage": getattr(error, "stage", None),
        "run": str(running.flow_run.id) if running and running.flow_run else None,
    }
    frames = [
        {
            "filename": _place(frame.filename),
            "lineno": frame.lineno,
            "function": frame.name,
            "in_app": _is_ours(frame.filename),
        }
        for frame in traceback.StackSummary.extract(traceback.walk_tb(error.__traceback__), lookup_lines=False)
    ]
    message = str(error) if isinstance(error, EtlError) else ""
    told = {
        "type": type(error).__name__,
        "module": type(error).__module__,
        "value": message,
        "stacktrace": {"frames": frames},
    }
    return {
        "level": "error",
        "exception": {"values": [told]},
        "tags": {name: value for name, value in tags.items() if value},
    }


def _client(dsn: str) -> "Client | None":
    """Return a client that sends what it is given and no more, None with a warning if there can't be one."""
    try:
        from sentry_sdk import Client
        from sentry_sdk.utils import BadDsn, Dsn
    except ImportError:
        log().warning(f"{VARIABLE} is set, and sentry-sdk is not installed: install it, as requirements.txt has it")
        return None
    try:
        Dsn(dsn.strip())
    except (BadDsn, ValueError):  # whose messages quote it
        log().warning(f"{VARIABLE} is not what Sentry gives: want https://key@host/number; Sentry is told nothing")
        return None
    return _quietly(
        partial(
            Client,
            dsn=dsn.strip(),
            before_send=_listed,
            default_integrations=False,
            auto_enabling_integrations=False,
            auto_session_tracking=False,
            attach_stacktrace=False,
            include_local_variables=False,
            include_source_context=False,
            max_breadcrumbs=0,
            send_client_reports=False,
            server_name="",
            shutdown_timeout=PATIENCE,
            spotlight=False,
            traces_sample_rate=None,
        )
    )


def _listed(event: "Event", _hint: Mapping[str, Any]) -> "Event":
    """Return what of an event is on the list, whatever the SDK has put into it."""
    names = _SENT + (_SENT_OF_CHECKINS if event.get("type") == "check_in" else ())
    return {name: event[name] for name in names if name in event}  # type: ignore[literal-required, return-value]


def _capture(client: "Client", error: Exception, app: str) -> None:
    client.capture_event(event_of(error, app))


def _monitor(app: str) -> dict[str, Any] | None:
    """Return the monitor of an app's scheduled runs, None for a run that somebody started."""
    running = FlowRunContext.get()
    if not running or not running.flow_run or not running.flow_run.auto_scheduled:
        return None
    with suppress(EtlError):
        return {"monitor_slug": f"etl-nightly-{app}"[:_LONGEST_SLUG], "monitor_config": _config(known_apps().get(app))}
    return None


def _config(app: App | None) -> dict[str, Any] | None:
    """Return what prefect.yaml says of the runs, None if no single schedule says it: then Sentry's own settings apply."""
    if not app or len(app.schedules) != 1:
        return None
    (schedule,) = app.schedules
    return {
        "schedule": {"type": "crontab", "value": schedule.cron},
        "timezone": schedule.timezone,
        "checkin_margin": _MARGIN,
        "max_runtime": app.time_limit,
        "failure_issue_threshold": 1,
        "recovery_threshold": 1,
    }


def _check_in(client: "Client", status: str, **known: Any) -> str | None:
    """Send a check-in; return its id."""

    def send() -> str | None:
        from sentry_sdk import new_scope
        from sentry_sdk.crons import capture_checkin

        with new_scope() as scope:
            scope.set_client(client)
            return capture_checkin(status=status, **known)

    return _quietly(send)


def _quietly(send: Callable[[], Result]) -> Result | None:
    """Do it; a failure is a warning."""
    try:
        return send()
    except Exception as error:
        log().warning(f"Sentry was not told: {type(error).__name__}")
        return None


def _is_ours(file: str) -> bool:
    return Path(file).is_relative_to(_CODE) and "site-packages" not in file


def _place(file: str) -> str:
    """Return a file's name from the folder of the code, or of the packages, on."""
    if _is_ours(file):
        return str(Path(file).relative_to(_CODE))
    return file.rpartition("site-packages/")[2].rpartition("/lib/")[2]
