"""The version of this tool, which pyproject.toml says."""

import tomllib
from functools import cache
from importlib import metadata
from pathlib import Path

_NAME = "multi-schema-postgres-etl"
_PROJECT = Path(__file__).parent.parent / "pyproject.toml"


@cache
def version() -> str:
    """Return the version: a checkout and the image have the file, what pip installed has its metadata, else it is unknown.

    Beside installed packages, the file may be another project's.
    """
    if _PROJECT.is_file():
        project = tomllib.loads(_PROJECT.read_text()).get("project", {})
        if project.get("name") == _NAME:
            return str(project["version"])
    try:
        return metadata.version(_NAME)
    except metadata.PackageNotFoundError:
        return "unknown"
