"""The known apps: the deployments of `prefect.yaml`, the one place for an app's parameters."""

from dataclasses import dataclass
from pathlib import Path

import yaml

from multischema.errors import UsageError

_FILE = Path(__file__).parent.parent / "prefect.yaml"


@dataclass(frozen=True)
class App:
    """What `prefect.yaml` says about an app."""

    name: str
    rules: str
    schema: str | None = None
    origin_schema: str | None = None


def known_apps() -> dict[str, App]:
    """Return the apps by name, none if the file is not installed. Raises UsageError if it can't be read."""
    if not _FILE.exists():
        return {}
    try:
        deployments = yaml.safe_load(_FILE.read_text())["deployments"]
        parameters = [deployment["parameters"] for deployment in deployments]
        return {
            p["app"]: App(p["app"], p["rules"], schema=p.get("schema"), origin_schema=p.get("origin_schema"))
            for p in parameters
        }
    except (OSError, yaml.YAMLError, KeyError, TypeError) as error:
        raise UsageError(
            f"prefect.yaml can't be read: {type(error).__name__}; want deployments with parameters app, rules"
        ) from None
