"""Check `prefect.yaml`: `python -m deployment.check`, in `make check`. It needs no server and no environment.

Prefect is lax: it silently drops unknown keys, turns a missing environment variable into an empty text, and stores a secret
in a parameter in clear. Here each of these is an error with a line of its own. The known names come from Prefect's own
models, so they follow the pinned version.
"""

import argparse
import inspect
import math
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import prefect
from prefect.cli.deploy._models import DeploymentConfig, PrefectYamlModel, RawScheduleConfig, WorkPoolConfig
from prefect.client.schemas.actions import DeploymentScheduleCreate
from prefect.client.schemas.schedules import CronSchedule, IntervalSchedule, RRuleSchedule
from prefect.utilities.importtools import import_object
from prefect.utilities.schema_tools.validation import validate
from prefect.utilities.templating import PlaceholderType, find_placeholders
from pydantic import BaseModel, TypeAdapter, ValidationError

from deployment import declared, pools
from flows.variables import declared_variables, resolved, variable, variables
from multischema import command
from multischema.errors import EtlError, UsageError
from multischema.words import suggestion

# keys that Prefect reads and `make deploy` does not
_NOT_DONE = {
    "build": "the code comes with the image or the slug",
    "push": "the code comes with the image or the slug",
    "triggers": "automations stand in deployment/automations.py",
    "sla": "it exists on Prefect Cloud only",
    "schedule": "want `schedules`, a list",
    "version": "the commit says it",
    "version_type": "the commit says it",
    "flow_name": "the flow says it",
    "concurrency_limit": "its lease can kill a healthy run; the app's lock in the target already makes a second run wait",
}
_STEP_KEYS = {"id", "requires"}
_ANYTHING = "1"  # a name, a number and a boolean


def problems(content: Mapping[str, Any], environment: Mapping[str, str] | None = None) -> list[str]:
    """Return what is wrong with the file, a line each.

    :param environment: the values of a deploy. Without it, variables without a default count as set.
    """
    shape = [*_unknown("", content, {*_names(PrefectYamlModel), "definitions"}), *_shape(content)]
    if shape:
        return shape
    if environment is None:
        values = {name: default or _ANYTHING for name, default in declared_variables(content).items()}
    else:
        values, _ = variables(content, environment)
    return list(
        dict.fromkeys(
            [
                *_top(content),
                *_templates(content),
                *_limits(content),
                *_twice("deployment", [deployment.get("name") for deployment in content["deployments"]]),
                *(problem for deployment in content["deployments"] for problem in _deployment(resolved(deployment, values))),
            ]
        )
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Check the given file, by default prefect.yaml; return the exit status: 1 if it is wrong, 2 if it can't be read."""
    parser = argparse.ArgumentParser(prog="python -m deployment.check", description="Check what `make deploy` would read.")
    parser.add_argument("file", nargs="?", type=Path, default=declared.FILE, help="what is checked (default: prefect.yaml)")
    file = parser.parse_args(arguments).file
    return command.ended(lambda: _check(file), variables=False)


def _check(file: Path) -> None:
    """Check a file. Raises EtlError with everything that is wrong with it, UsageError if it can't be read."""
    if found := problems(declared.read(file)):
        raise EtlError(*found)


def _shape(content: Mapping[str, Any]) -> Iterator[str]:
    """Find values of the wrong type for Prefect; with any of these, the rest can't be checked."""
    deployments = content.get("deployments")
    if not deployments or not _are_mappings(deployments):
        yield "prefect.yaml: want `deployments`, a list with a mapping per app"
        return
    for deployment in deployments:
        if not _are_mappings(deployment.get("schedules") or []):
            yield f"deployment {deployment.get('name')}: want `schedules`, a list of mappings"
    # pydantic's message about a schedule names every possible type.
    rest = [{key: value for key, value in deployment.items() if key != "schedules"} for deployment in deployments]
    try:
        PrefectYamlModel.model_validate({**content, "deployments": rest})
    except ValidationError as error:
        yield from _lines("", error)


def _top(content: Mapping[str, Any]) -> Iterator[str]:
    """Find problems in the parts that all deployments share."""
    if content.get("prefect-version") not in (None, prefect.__version__):
        yield f"prefect-version: found {content['prefect-version']}, want {prefect.__version__}, which is installed"
    yield from _not_done("", content)
    if not content.get("pull"):
        yield "pull: missing; Prefect would take the folder that the deploy runs in, which a worker does not have"
    for step in content.get("pull") or []:
        yield from _step(step)


def _limits(content: Mapping[str, Any]) -> Iterator[str]:
    """Find limits of apps that there are not, and limits that are none."""
    apps = [(deployment.get("parameters") or {}).get("app") for deployment in content["deployments"]]
    for limit, unit in (("silence", "hours"), ("time_limit", "minutes")):
        found = (content.get("definitions") or {}).get(limit)
        if found is not None and not isinstance(found, dict):
            yield f"definitions.{limit}: want a mapping of apps to {unit}"
            continue
        for app, value in (found or {}).items():
            if app not in apps:
                yield f"definitions.{limit}: there is no app {app}{suggestion(str(app), filter(None, apps))}"
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
                yield f"definitions.{limit}.{app}: found {value!r}, want {unit}, a number above 0"


def _deployment(deployment: dict[str, Any]) -> Iterator[str]:
    """Find problems in one deployment, its variables replaced."""
    name = deployment.get("name")
    where = f"deployment {name}: "
    if not isinstance(name, str) or not name:
        yield "a deployment without a name: want the app's"
        return
    yield from _unknown(where, deployment, _names(DeploymentConfig))
    yield from _not_done(where, deployment)
    if deployment.get("pull") is not None:
        yield f"{where}pull: want it once, for all deployments"
    yield from _parameters(where, deployment)
    yield from _work_pool(where, deployment.get("work_pool"))
    schedules = deployment.get("schedules") or []
    for schedule in schedules:
        yield from _schedule(where, schedule)
    yield from _twice(f"{where}schedule", [schedule.get("slug") for schedule in schedules])


def _parameters(where: str, deployment: Mapping[str, Any]) -> Iterator[str]:
    """Find parameters that the flow would refuse, and secrets that would be stored and shown in clear."""
    parameters = deployment.get("parameters") or {}
    yield from _secrets(f"{where}parameters", parameters)
    try:
        schema = declared.parameters_of(deployment.get("entrypoint") or "").model_dump_for_openapi()
    except UsageError as error:
        yield f"{where}{error}"
        return
    yield from _unknown(f"{where}parameters: ", parameters, schema["properties"])
    yield from _invalid(f"{where}parameters", parameters, schema)


def _work_pool(where: str, work_pool: Any) -> Iterator[str]:
    """Find work pools that nobody sets up, and job variables that their workers would ignore."""
    work_pool = work_pool or {}
    yield from _unknown(f"{where}work_pool: ", work_pool, _names(WorkPoolConfig))
    if work_pool.get("name") not in pools.WORKERS:
        known = ", ".join(sorted(pools.WORKERS))
        yield f"{where}work_pool: found {work_pool.get('name')}, want one of {known} (deployment/pools.py)"
        return
    job_variables = work_pool.get("job_variables") or {}
    schema = pools.template(work_pool["name"])["variables"]
    yield from _unknown(f"{where}job_variables: ", job_variables, schema["properties"])
    yield from _secrets(f"{where}job_variables", job_variables)
    yield from _invalid(f"{where}job_variables", job_variables, schema)


def _schedule(where: str, schedule: Mapping[str, Any]) -> Iterator[str]:
    """Find what is wrong with a schedule."""
    slug = schedule.get("slug")
    where = f"{where}schedule {slug or '?'}: "
    unknown = list(_unknown(where, schedule, _names(RawScheduleConfig)))
    yield from unknown
    if unknown:
        return
    if not slug:
        yield f"{where}want a slug, so that a later deploy recognizes it"
    if not schedule.get("timezone"):
        yield f"{where}want a timezone; without one it is UTC"
    try:
        TypeAdapter(bool).validate_python(schedule.get("active", True))
    except ValidationError:
        yield f"{where}active: found {schedule['active']!r}, want true or false"
        return
    try:
        RawScheduleConfig.model_validate(schedule)
        made(schedule)
    except ValidationError as error:
        yield from _lines(where, error)
    except ValueError as error:
        yield f"{where}{error}"


def made(schedule: Mapping[str, Any]) -> DeploymentScheduleCreate:
    """Return a schedule of the file as Prefect's API takes it. Raises ValueError if it is invalid."""
    details = {key: schedule[key] for key in ("timezone", "anchor_date", "day_or") if schedule.get(key) is not None}
    when: CronSchedule | IntervalSchedule | RRuleSchedule
    if schedule.get("cron"):
        when = CronSchedule(cron=schedule["cron"], **details)
    elif schedule.get("interval"):
        when = IntervalSchedule(interval=schedule["interval"], **details)
    else:
        when = RRuleSchedule(rrule=schedule["rrule"], **details)
    return DeploymentScheduleCreate(
        schedule=when,
        active=schedule.get("active", True),
        slug=schedule.get("slug"),
        parameters=schedule.get("parameters") or {},
    )


def _step(step: Mapping[str, Any]) -> Iterator[str]:
    """Find pull steps that do not exist, and inputs that they do not take."""
    for name, inputs in step.items():
        try:
            function = import_object(name)
        except (ImportError, AttributeError, ValueError):
            yield f"pull: there is no step {name}"
            continue
        yield from _unknown(f"pull: {name}: ", inputs or {}, {*inspect.signature(function).parameters, *_STEP_KEYS})


def _templates(content: Mapping[str, Any]) -> Iterator[str]:
    """Find templates that would not do what their writer meant."""
    names = declared_variables(content)
    used = set()
    for where, text in _texts("", {key: value for key, value in content.items() if key != "definitions"}):
        rest = text
        for placeholder in find_placeholders(text):
            rest = rest.replace(placeholder.full_match, "")
            name = variable(placeholder)
            used.add(name)
            if placeholder.type is PlaceholderType.BLOCK_DOCUMENT and where.startswith("pull"):
                continue  # the worker fills it in
            if placeholder.type is PlaceholderType.BLOCK_DOCUMENT:
                yield f"{where}: {placeholder.full_match} would be stored in clear; pass the name of a Secret block instead"
            elif name is None:
                yield f"{where}: {placeholder.full_match}: want {{{{ $NAME }}}}, which `make deploy` fills in"
            elif name not in names:
                yield f"{where}: {name} is not declared in definitions.environment"
        if "{{" in rest or "}}" in rest:
            yield f"{where}: {text!r} holds braces that are not a template and would stay as they are; want {{{{ $NAME }}}}"
    for name in names.keys() - used:
        yield f"definitions.environment: {name} is used nowhere"


def _invalid(where: str, value: dict[str, Any], schema: dict[str, Any]) -> Iterator[str]:
    """Find what a schema does not allow. The validator's messages quote the value, maybe a misplaced secret: ours don't."""
    for finding in validate(value, schema):
        path = "".join(f".{part}" for part in finding.path)
        quotes_nothing = finding.validator == "required"
        wanted = finding.message if quotes_nothing else f"want {finding.validator} {finding.validator_value}"
        yield f"{where}{path}: {wanted}"


def _secrets(where: str, value: Any) -> Iterator[str]:
    """Find URLs with a password, which would be stored and shown in clear. No message quotes one."""
    for path, text in _texts(where, value):
        try:
            password = urlsplit(text).password
        except ValueError:
            password = None
        if password:
            yield f"{path}: a URL with a password would be stored in clear; save it as a Secret block"


def _texts(where: str, value: Any) -> Iterator[tuple[str, str]]:
    """Yield every text in a part of the file, with its path."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _texts(f"{where}.{key}".lstrip("."), item)
    elif isinstance(value, list):
        for item in value:
            label = item.get("name") or item.get("slug") if isinstance(item, dict) else None
            yield from _texts(f"{where}.{label}" if isinstance(label, str) else where, item)
    elif isinstance(value, str):
        yield where, value


def _are_mappings(items: Any) -> bool:
    return isinstance(items, list) and all(isinstance(item, dict) for item in items)


def _names(model: type[BaseModel]) -> set[str]:
    """Return the keys that one of Prefect's models reads."""
    return {field.alias or name for name, field in model.model_fields.items()}


def _unknown(where: str, found: Mapping[str, Any], known: Iterable[str]) -> Iterator[str]:
    """Find keys that would be ignored."""
    for key in found:
        if key not in set(known):
            yield f"{where or 'prefect.yaml: '}{key} is unknown; known are {', '.join(sorted(known))}"


def _not_done(where: str, found: Mapping[str, Any]) -> Iterator[str]:
    """Find keys that Prefect reads and `make deploy` does not."""
    for key in _NOT_DONE.keys() & found.keys():
        yield f"{where or 'prefect.yaml: '}{key} does not belong here: {_NOT_DONE[key]}"


def _twice(kind: str, names: Iterable[Any]) -> Iterator[str]:
    """Find duplicate names: the last one would win."""
    for name, times in Counter(name for name in names if name).items():
        if times > 1:
            yield f"{kind} {name}: there are {times} of that name"


def _lines(where: str, error: ValidationError) -> Iterator[str]:
    """Yield pydantic's findings, a line each, without the value."""
    for finding in error.errors(include_input=False):
        path = ".".join(map(str, finding["loc"]))
        yield f"{where or 'prefect.yaml: '}{path and path + ': '}{finding['msg'].removeprefix('Value error, ')}"


if __name__ == "__main__":
    sys.exit(main())
