"""Send a trial alert: `python -m deployment.trial`. The Prefect server sends it, by every way that a deploy has set up."""

import argparse
import sys
import time
from collections.abc import Sequence

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.events.filters import EventFilter, EventNameFilter, EventResourceFilter
from prefect.events.schemas.automations import Automation
from prefect.events.schemas.events import Event, ReceivedEvent, Resource

from blocks import urls
from blocks.server import answering
from deployment import alerts
from deployment.answers import without_login
from multischema import command
from multischema.errors import EtlError

PATIENCE = 30.0  # seconds for the server to see the event and to be answered
_ENDS = {"prefect.automation.action.executed", "prefect.automation.action.failed"}
_WAYS = {"call-webhook": "webhook", "send-notification": "email"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status: 0 every way took the alert, 1 one did not, 2 something is missing here."""
    argparse.ArgumentParser(
        prog="python -m deployment.trial",
        description="Have the Prefect server send a trial alert by every way that a deploy set up, and say what came of it.",
        epilog="The environment (or .env) has PREFECT_API_URL and the login, as for every Prefect client.",
    ).parse_args(arguments)
    return command.ended(_try)


def _try() -> None:
    """Send the alert, and print what came of it. Raises EtlError with a line for each way that failed."""
    api = without_login(urls.api_url())
    with answering(api), get_client(sync_client=True) as client:
        client.read_work_pools(limit=1)  # fail here if this is not a Prefect API
        found = client.read_automations_by_name(alerts.TRIAL)
        if not found:
            raise EtlError(f"alerts: none on {api}: set {alerts.WEBHOOK} or {alerts.EMAIL}, then `make deploy`")
        automation = found[0]
        if not automation.enabled:
            raise EtlError(f"automation {automation.name!r}: is switched off; switch it on in the UI")
        before = {event.id for event in _ends(client, automation)}
        event = Event(event=alerts.TRIED, resource=Resource({"prefect.resource.id": alerts.TRIED}))
        client.request("POST", "/events", json=[event.model_dump(mode="json")]).raise_for_status()
        deadline = time.monotonic() + PATIENCE
        ends: list[ReceivedEvent] = []
        while len(ends) < len(automation.actions) and time.monotonic() < deadline:
            time.sleep(0.2)
            ends = [end for end in _ends(client, automation) if end.id not in before]
    problems = []
    for end in ends:
        way, problem = _WAYS[end.payload["action_type"]], _problem(end)
        if problem:
            problems.append(f"alert {way}: {problem}")
        else:
            print(f"alert {way}: sent")
    if len(ends) < len(automation.actions):
        problems.append(
            f"alerts: the server sent {len(ends)} of {len(automation.actions)} within {PATIENCE:g} s; see its log"
        )
    if problems:
        raise EtlError(*problems)


def _ends(client: SyncPrefectClient, automation: Automation) -> list[ReceivedEvent]:
    """Return what came of an automation's actions, the last ones first."""
    wanted = EventFilter(
        event=EventNameFilter(name=sorted(_ENDS)), resource=EventResourceFilter(id=[f"prefect.automation.{automation.id}"])
    )
    return client.read_events(wanted, limit=10).events  # a trial has two at most; the server refuses more than 50


def _problem(end: ReceivedEvent) -> str:
    """Return why an action failed, empty if it did not: the server takes any answer of a webhook for a success."""
    if end.event.endswith(".failed"):
        said = [*str(end.payload.get("notification_log") or "").strip().splitlines(), str(end.payload["reason"])]
        return said[0]
    status = int(end.payload.get("status_code") or 200)
    return "" if 200 <= status < 300 else f"its address answered HTTP {status}"


if __name__ == "__main__":
    sys.exit(main())
