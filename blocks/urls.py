"""Database URLs: one Secret block per app and one for the target. A URL holds a password: it is never a parameter."""

import re
from collections.abc import Collection
from typing import Any

from multischema.environment import mended
from multischema.errors import UsageError

TARGET = "etl-db-url"
TARGET_VARIABLE = "ETL_DB_URL"
OTHER_ORIGIN_VARIABLE = "ORIGIN_DB_URL"
ORIGIN_VARIABLES = {
    "rdvs": "RDV_SOLIDARITES_DB_URL",
    "rdvsp": "RDV_SERVICE_PUBLIC_DB_URL",
    "rdvi": "RDV_INSERTION_DB_URL",
}
APP_NAME = r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$"

SERVER = "the Prefect server of PREFECT_API_URL"
SILENT_SERVER = f"{SERVER} does not answer; start it, or unset the variable"

_given: dict[str, str] = {}


def origin_block(app: str) -> str:
    """Return the name of the block with an app's database URL. Raises UsageError if no block can have that name."""
    if not re.fullmatch(APP_NAME, app):
        raise UsageError(f"app {app!r}: want a name of lowercase letters, digits and dashes")
    return f"{app}-db-url"


def origin_variable(app: str) -> str:
    """Return the environment variable with an app's database URL."""
    return ORIGIN_VARIABLES.get(app, OTHER_ORIGIN_VARIABLE)


def foreign_origin(app: str, owner: str | None) -> str | None:
    """Return why an app may not read ORIGIN_DB_URL, or None: it belongs to `owner`, the app that APP names."""
    if origin_variable(app) != OTHER_ORIGIN_VARIABLE or owner in (None, "", app, *ORIGIN_VARIABLES):
        return None
    return f"{OTHER_ORIGIN_VARIABLE} belongs to APP={owner}, not to {app}"


def api_url() -> str:
    """Return the URL of the Prefect server's API. Raises UsageError if there is none."""
    from prefect.settings import get_current_settings  # as below

    url = get_current_settings().api.url
    if not url:
        raise UsageError("missing variable PREFECT_API_URL: want the URL of the Prefect server, https://…/api")
    return url


def refusal(status: int, server: str = SERVER) -> str:
    """Return what to do when the Prefect server answers with this HTTP status."""
    if status in (401, 403):
        found = "refused the login"
        wanted = "want PREFECT_API_AUTH_STRING as on the server, or for Prefect Cloud PREFECT_API_KEY"
    elif status in (404, 405):
        found, wanted = "no Prefect API answers", "want a URL that ends in /api"
    else:
        found, wanted = "refused", "its log says more"
    return f"{server}: {found} (HTTP {status}); {wanted}"


def give(urls: dict[str, str]) -> None:
    """Make this process use these URLs, by block name, instead of blocks: the command line reads its environment."""
    _given.update(urls)


def given() -> Collection[str]:
    """Return the blocks that this process uses others for; none in a process that has them all from Prefect."""
    return _given.keys()


def find(block: str) -> str | None:
    """Return the URL that a block holds, None if there is no such block."""
    try:
        return load(block)
    except UsageError:
        return None


def held(block: str) -> Any:
    """Return what a block holds, as JSON if it is any, None if there is no such block."""
    if block in _given:
        return _given[block]
    from prefect.blocks.system import Secret  # takes seconds, and most commands have their URLs from the environment

    try:
        secret: Any = Secret.load(block)
        return secret.get()
    except ValueError:
        return None


def load(block: str) -> str:
    """Return the URL that a block holds. Raises UsageError if there is no such block or it is empty."""
    value = held(block)
    if value is None:
        raise UsageError(
            f"there is no Secret block {block}: save it with `python -m blocks.register`, or in Prefect's UI under Blocks"
        )
    url = mended(value) if isinstance(value, str) else ""  # Prefect's form keeps the line's end that a paste brings
    if not url:
        raise UsageError(f"the Secret block {block} holds no URL; want postgresql://user:password@host:port/database")
    return url
