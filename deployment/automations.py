"""How automations are set up, and those that end a dead worker's runs, which would stay Running or Pending for ever."""

from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import StateType
from prefect.events.actions import ChangeFlowRunState
from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture

# Our runs send a heartbeat every 30 s (prefect.yaml), those started by hand every 180 s (Prefect's default). The limit is
# longer, because the server itself may be away for a while during a restart or a deploy: as it starts, it ends the runs
# whose limit is over, also those that are alive and could not be heard.
SILENCE = timedelta(minutes=15)
# From Pending, a worker needs seconds to start a run; a host that pulls an image needs some minutes.
START = timedelta(minutes=30)


def of_dead_workers(flows: list[str]) -> list[AutomationCore]:
    """Return the automations that end a dead worker's runs, only for runs of these flows: others may share the server."""
    return [
        _crashed(
            "etl: runs of a dead worker are Crashed",
            "A Running run that sent nothing for 15 minutes: its worker, or its process, was killed.",
            flows,
            after={"prefect.flow-run.heartbeat"},
            within=SILENCE,
        ),
        _crashed(
            "etl: runs that never start are Crashed",
            "A run that a worker took half an hour ago and never started: the worker was killed in between.",
            flows,
            after={f"prefect.flow-run.{state}" for state in ("Pending", "Submitting", "InfrastructurePending")},
            within=START,
        ),
    ]


def set_up(client: SyncPrefectClient, automations: Sequence[AutomationCore]) -> Iterator[str]:
    """Create or update automations; yield what was done to each. One that was switched off stays off."""
    for wanted in automations:
        found = client.read_automations_by_name(wanted.name)
        for extra in found[1:]:
            client.delete_automation(extra.id)
            yield f"automation {wanted.name!r}: removed a duplicate"
        if not found:
            client.create_automation(wanted)
            yield f"automation {wanted.name!r}: created"
        elif _compared(found[0]) == _compared(wanted):
            yield f"automation {wanted.name!r}: unchanged{'' if found[0].enabled else ', switched off'}"
        else:
            client.update_automation(found[0].id, wanted.model_copy(update={"enabled": found[0].enabled}))
            yield f"automation {wanted.name!r}: updated{'' if found[0].enabled else ', switched off'}"


def _crashed(name: str, description: str, flows: list[str], after: set[str], within: timedelta) -> AutomationCore:
    """Return an automation that marks a run as Crashed if nothing follows one of these events for a while.

    The server does not do that to a run that has ended, so a late heartbeat does no harm.
    """
    return AutomationCore(
        name=name,
        description=description,
        trigger=EventTrigger(
            posture=Posture.Proactive,
            match={"prefect.resource.id": "prefect.flow-run.*"},
            match_related={"prefect.resource.role": "flow", "prefect.resource.name": flows},
            for_each={"prefect.resource.id"},
            after=after,
            expect={"prefect.flow-run.*"},
            threshold=1,
            within=within,
        ),
        actions=[ChangeFlowRunState(state=StateType.CRASHED, name="Crashed", message=description, force=False)],
    )


def _compared(automation: AutomationCore) -> dict[str, Any]:
    """Return what two equal automations have in common."""
    plain = automation.model_dump(mode="json", include={"name", "description", "trigger", "actions"})
    for key in ("after", "expect", "for_each"):
        plain["trigger"][key] = sorted(plain["trigger"][key])
    return plain
