"""The known apps: the deployments of `prefect.yaml`, the one place for an app's parameters."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from flows.variables import resolved, unresolved, variables
from multischema.errors import UsageError
from multischema.job import role_names

_FILE = Path(__file__).parent.parent / "prefect.yaml"

READER_VARIABLE = "METABASE_USERNAME"

# what applies to an app that prefect.yaml does not name in `definitions`
SILENCE = 26
TIME_LIMIT = 180

# the parameters of a deployment that an App has a field for; the reader is the environment's
_KNOWN = ("app", "rules", "schema", "origin_schema", "reader", "schema_reader")


@dataclass(frozen=True)
class Schedule:
    """When runs of an app start: a cron expression and its time zone."""

    cron: str
    timezone: str


@dataclass(frozen=True)
class App:
    """What `prefect.yaml` says about an app."""

    name: str
    rules: str
    schema: str | None = None
    origin_schema: str | None = None
    schema_reader: tuple[str, ...] = ()  # with the variables that are filled in
    work_pool: str | None = None  # where its runs are
    silence: int = SILENCE  # hours after which something is wrong if nothing new was published
    time_limit: int = TIME_LIMIT  # minutes that a run may take
    schedules: tuple[Schedule, ...] = ()
    definitions: Mapping[str, Any] = field(default_factory=dict)  # of the file, with the variables and their defaults
    others: Mapping[str, Any] = field(default_factory=dict)  # the other parameters of its runs, such as report_schema

    def other_parameters(self, environment: Mapping[str, str]) -> dict[str, Any]:
        """Return the parameters of the app's runs that have no field here, variables filled in as by a deploy."""
        values, _ = variables({"definitions": self.definitions}, environment)
        return dict(resolved(self.others, values))

    def schema_readers(self, environment: Mapping[str, str]) -> list[str]:
        """Return the app's schema readers, variables filled in as by a deploy. Raises UsageError for one without a value."""
        values, _ = variables({"definitions": self.definitions}, environment)
        texts = resolved(list(self.schema_reader), values)
        if missing := unresolved(texts):
            raise UsageError(*(f"missing variable {name}: prefect.yaml has no default for it" for name in missing))
        return list(role_names(texts))


def known_apps() -> dict[str, App]:
    """Return the apps by name, none if the file is not installed. Raises UsageError if it can't be read."""
    if not _FILE.exists():
        return {}
    try:
        content = yaml.safe_load(_FILE.read_text())
        return {app.name: app for app in map(partial(_app, content.get("definitions") or {}), content["deployments"])}
    except (OSError, yaml.YAMLError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(
            f"prefect.yaml can't be read: {type(error).__name__}; want deployments with parameters app, rules"
        ) from None


def _app(definitions: Mapping[str, Any], deployment: Mapping[str, Any]) -> App:
    parameters = deployment["parameters"]
    name = parameters["app"]
    return App(
        name,
        parameters["rules"],
        schema=parameters.get("schema"),
        origin_schema=parameters.get("origin_schema"),
        schema_reader=tuple(parameters.get("schema_reader") or ()),
        work_pool=(deployment.get("work_pool") or {}).get("name"),
        silence=(definitions.get("silence") or {}).get(name, SILENCE),
        time_limit=(definitions.get("time_limit") or {}).get(name, TIME_LIMIT),
        schedules=tuple(
            Schedule(schedule["cron"], schedule.get("timezone", "UTC"))
            for schedule in deployment.get("schedules") or ()
            if "cron" in schedule
        ),
        definitions=definitions,
        others={key: value for key, value in parameters.items() if key not in _KNOWN},
    )
