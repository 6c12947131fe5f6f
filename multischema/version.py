"""The version of this tool, which pyproject.toml says."""

import tomllib
from importlib import metadata
from pathlib import Path

_NAME = "multi-schema-postgres-etl"
# the demo links the code alone into its own folder
_PROJECT = Path(__file__).resolve().parent.parent / "pyproject.toml"


def read() -> str:
    """Return the version: a checkout and the image have the file, what pip installed has its metadata, else it is unknown.

    Beside installed packages, the file may be another project's.
    """
    try:
        project = tomllib.loads(_PROJECT.read_text()).get("project", {}) if _PROJECT.is_file() else {}
        return str(project["version"]) if project.get("name") == _NAME else metadata.version(_NAME)
    except Exception:  # no version is worth a run
        return "unknown"


# as the process starts: an upgrade may change the file while a run goes on with the code from before
VERSION = read()
