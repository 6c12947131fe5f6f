"""Keep demo, tests and benchmark away from the user's settings: they only reach servers that they start.

Prefect reads variables, in any case, then `.env`, prefect.toml and pyproject.toml in the working directory, then a profile
in the home directory; our commands read `.env` too; libpq takes from variables what a URL leaves open, such as PGHOSTADDR.
So this removes these variables, and uses a working directory and a Prefect home without the user's files.
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).parent.parent
# the settings of the project's prefect.toml; the user's copy may have more
SETTINGS = {
    "PREFECT_CLI_PROMPT": "false",
    "PREFECT_LOGGING_COLORS": "false",
    "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "90",
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_BATCH_SIZE": "100",
}
_PARTS = ("bench", "blocks", "demo", "deployment", "flows", "multischema", "tests", "prefect.yaml")
_OF_THE_USER = re.compile(
    "PREFECT.*|PG.*|.*_PROXY|ETL_.*|ALERT_.*|SCW_.*|SCALEWAY_.*|SCALINGO_.*|.*DB_URL|DATABASE_URL"
    "|UVICORN_.*|WEB_CONCURRENCY|PORT|APP|CONFIG_PATH|METABASE_.*|SENTRY_.*|.*_SCHEMA_READER_USERNAME|RULES_FOLDER",
    re.IGNORECASE,
)


def enter(folder: Path) -> None:
    """Make this process, and what it starts, work alone in a folder. Call it before importing Prefect."""
    forget(folder)
    os.chdir(folder)


def forget(folder: Path) -> None:
    """Make this process, and what it starts, forget the user's variables; Prefect's home becomes the folder."""
    variables = environment(folder, os.environ)
    for name in os.environ.keys() - variables.keys():
        del os.environ[name]
    os.environ.update(variables)


def environment(folder: Path, given: Mapping[str, str]) -> dict[str, str]:
    """Return the variables for a process that works alone, with the folder as Prefect's home."""
    kept = {name: value for name, value in given.items() if not _OF_THE_USER.fullmatch(name)}
    # its home could hold a profile: `prefect server start` offers to make one
    own = {"PREFECT_HOME": str(folder), "PREFECT_PROFILES_PATH": str(folder / "no-profiles.toml"), "DO_NOT_TRACK": "1"}
    return {**kept, **SETTINGS, **own}


def checkout(folder: Path) -> Path:
    """Link the project's code, and none of the user's files, into a folder, made or made again; return it."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in _PARTS:
        if (ROOT / name).exists():
            (folder / name).unlink(missing_ok=True)  # of an earlier demo: the checkout may have been moved
            (folder / name).symlink_to((ROOT / name).resolve())
    return folder
