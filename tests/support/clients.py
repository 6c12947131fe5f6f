"""The client programs of Postgres as the tests of dumps have them: another script in place of one, and what runs leave."""

from pathlib import Path

from tests.conftest import PROGRAMS


def program(directory: Path, name: str, script: str) -> Path:
    """Make a program that runs the newest one its own way, to stand first on the PATH; `$real` is the real one."""
    file = directory / name
    file.write_text(f"#!/bin/bash\nreal={PROGRAMS['18'] / name}\n{script}\n")
    file.chmod(0o755)
    return file


def left_in(folder: Path) -> list[str]:
    """Return the names of what runs left in the folder where dumps lie."""
    return [path.name for path in folder.glob("multi-schema-postgres-etl-*")]
