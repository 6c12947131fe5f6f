"""The deployments and schedules that `prefect.yaml` declares: a deploy changes only what differs on the server.

`prefect deploy --all` gives the same result, but rewrites everything each time, with the commit as a version, and leaves
schedules on the server that the file no longer has.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from uuid import UUID

from prefect import Flow
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import DeploymentScheduleCreate, DeploymentUpdate, VariableCreate, VariableUpdate
from prefect.client.schemas.filters import FlowFilter, FlowFilterName
from prefect.client.schemas.objects import DeploymentSchedule
from prefect.exceptions import ObjectNotFound
from pydantic import BaseModel

from deployment import declared
from deployment.check import made

_COMPARED = ("schedule", "active", "parameters")
# the Prefect variable that remembers which schedules a deploy left on: one that is off now was paused by somebody since
REMEMBERED = "etl_schedules"


def set_up(
    client: SyncPrefectClient,
    deployments: Sequence[Mapping[str, Any]],
    pull: Sequence[Mapping[str, Any]],
    off: Mapping[str, str],
) -> Iterator[str]:
    """Create or update the deployments; yield what was done to each and to each of its schedules.

    :param off: why the schedules of a deployment stay off, by its name.
    """
    variable = client.read_variable_by_name(REMEMBERED)
    remembered = dict(variable.value) if variable and isinstance(variable.value, dict) else {}
    if variable is None:
        client.create_variable(VariableCreate(name=REMEMBERED, value=remembered))
    for deployment in deployments:
        before = dict(remembered)
        try:
            yield from _set_up(client, deployment, pull, off.get(deployment["name"], ""), remembered)
        finally:  # a deploy that breaks must not take what it switched for somebody's pause, or the other way round
            if remembered != before:
                client.update_variable(VariableUpdate(name=REMEMBERED, value=remembered))
    names = {(declared.flow(deployment["entrypoint"]).name, deployment["name"]) for deployment in deployments}
    for flow in sorted({flow for flow, _ in names}):
        for found in client.read_deployments(flow_filter=FlowFilter(name=FlowFilterName(any_=[flow]))):
            if (flow, found.name) not in names:
                name = f"{flow}/{found.name}"
                yield (
                    f"deployment {name}: not in prefect.yaml, left as it is; `prefect deployment delete {name}` removes it"
                )


def _set_up(
    client: SyncPrefectClient,
    deployment: Mapping[str, Any],
    pull: Sequence[Mapping[str, Any]],
    off: str,
    remembered: dict[str, Any],
) -> Iterator[str]:
    """Create or update a deployment and its schedules; remember which of these are to be on."""
    flow = declared.flow(deployment["entrypoint"])
    name = f"{flow.name}/{deployment['name']}"
    fields = _fields(deployment, flow, pull)
    declared_schedules = [made(schedule) for schedule in deployment.get("schedules") or []]
    try:
        found = client.read_deployment_by_name(name)
    except ObjectNotFound:
        schedules = [_switched(schedule, off) for schedule in declared_schedules]
        client.create_deployment(client.create_flow_from_name(flow.name), deployment["name"], schedules=schedules, **fields)
        remembered.update({f"{name}/{schedule.slug}": bool(schedule.active) for schedule in schedules})
        yield f"deployment {name}: created"
        yield from (f"schedule {name}/{schedule.slug}: created, {_told(schedule, off)}" for schedule in schedules)
        return
    changed = {field: value for field, value in fields.items() if _plain(getattr(found, field)) != _plain(value)}
    if changed:
        client.update_deployment(found.id, DeploymentUpdate(**changed))
    paused = ", paused in the UI, left" if found.paused and "paused" not in fields else ""
    yield f"deployment {name}: {f'updated {_listed(changed)}' if changed else 'unchanged'}{paused}"
    yield from _set_up_schedules(client, name, found.id, declared_schedules, found.schedules, off, remembered)


def _fields(deployment: Mapping[str, Any], flow: Flow[Any, Any], pull: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return what the server should know about a deployment, without what an operator does in the UI, such as a pause."""
    work_pool = deployment["work_pool"]
    fields = {
        "description": deployment.get("description") or flow.description,
        "tags": deployment.get("tags") or [],
        "parameters": deployment.get("parameters") or {},
        "parameter_openapi_schema": declared.parameters_of(deployment["entrypoint"]).model_dump(exclude_unset=True),
        "enforce_parameter_schema": deployment.get("enforce_parameter_schema", True),
        "entrypoint": deployment["entrypoint"],
        "pull_steps": list(pull),
        "work_pool_name": work_pool["name"],
        "job_variables": work_pool.get("job_variables") or {},
    }
    if work_pool.get("work_queue_name"):
        fields["work_queue_name"] = work_pool["work_queue_name"]
    if deployment.get("paused") is not None:
        fields["paused"] = deployment["paused"]
    return fields


def _set_up_schedules(
    client: SyncPrefectClient,
    name: str,
    deployment: UUID,
    wanted: Sequence[DeploymentScheduleCreate],
    found: Sequence[DeploymentSchedule],
    off: str,
    remembered: dict[str, Any],
) -> Iterator[str]:
    """Remove schedules that the file does not have; create or update the others, matched by slug.

    A schedule that somebody paused since the last deploy stays off, until a deploy switches it off by the file and a later
    one on: that its app lacks something in between changes nothing.
    """
    slugs = {schedule.slug for schedule in wanted}
    kept = {schedule.slug: schedule for schedule in found if schedule.slug in slugs}
    for stale in found:
        if kept.get(stale.slug) is not stale and stale.id:
            client.delete_deployment_schedule(deployment, stale.id)
            yield f"schedule {name}/{stale.slug or stale.id}: removed, prefect.yaml does not have it"
    for schedule in wanted:
        known, key = kept.get(schedule.slug), f"{name}/{schedule.slug}"
        # a schedule from before there was this memory was on, unless its variable said false
        paused = bool(known and schedule.active and not known.active and remembered.get(key, True))
        to_be_on = bool(schedule.active and (paused or not off))
        why = off or ("paused in the UI, left" if paused else "")
        schedule = _switched(schedule, why)
        if known is None or known.id is None:
            client.create_deployment_schedules(deployment, [schedule])
            done = "created"
        elif all(_plain(getattr(known, field)) == _plain(getattr(schedule, field)) for field in _COMPARED):
            done = "unchanged"
        else:
            client.update_deployment_schedule(
                deployment, known.id, active=schedule.active, schedule=schedule.schedule, parameters=schedule.parameters
            )
            done = "updated"
        remembered[key] = to_be_on
        yield f"schedule {name}/{schedule.slug}: {done}, {_told(schedule, why)}"


def _switched(schedule: DeploymentScheduleCreate, off: str) -> DeploymentScheduleCreate:
    """Return a schedule, off if there is a reason."""
    return schedule.model_copy(update={"active": False}) if off else schedule


def _told(schedule: DeploymentScheduleCreate, off: str) -> str:
    """Return when a schedule starts runs, for people, and why not if it is off for a reason."""
    when = schedule.schedule.model_dump(mode="json", exclude_defaults=True)
    return f"{', '.join(str(value) for value in when.values())}, {'on' if schedule.active else off or 'off'}"


def _listed(changed: Mapping[str, Any]) -> str:
    return ", ".join(field.replace("_", " ") for field in sorted(changed))


def _plain(value: Any) -> Any:
    """Return a value as JSON, so that what was sent compares with what came back."""
    return json.loads(json.dumps(value.model_dump(mode="json") if isinstance(value, BaseModel) else value))
