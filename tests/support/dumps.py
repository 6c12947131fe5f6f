"""What tests of mode dump share: an origin, its backups, raw data that is looked for, and what a run may leave."""

import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from multischema import pipeline
from tests.conftest import PROGRAMS, Place
from tests.support.clients import left_in

MEMBERS = """
SELECT c.relname FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace WHERE n.nspname = 'public'
UNION ALL SELECT t.typname FROM pg_type AS t JOIN pg_namespace AS n ON n.oid = t.typnamespace WHERE n.nspname = 'public'
"""


def backup(place: Place, file: Path, *options: str) -> Path:
    """Dump the origin as its owner does."""
    subprocess.run(
        [PROGRAMS["18"] / "pg_dump", f"--file={file}", *options, "--dbname", place.origin_url],
        check=True,
        capture_output=True,
    )
    return file


ORIGIN = """
CREATE TABLE users (id int PRIMARY KEY, name text, run int);
INSERT INTO users SELECT n, 'Marie', 1 FROM generate_series(1, 20) AS n;
CREATE TABLE secrets (id int PRIMARY KEY, name text);
INSERT INTO secrets VALUES (1, 'Marie');
CREATE INDEX by_run ON users (run);
"""
RULES = """
tables:
  - table_name: users
    anonymized_column_names: [name]
    non_anonymized_column_names: [run]
  - table_name: secrets
    truncated: true
"""


def published(place: Place) -> Place:
    """Publish run 1 in mode dump, and have the origin hold what would be run 2."""
    place.in_origin(ORIGIN)
    place.run(RULES, mode="dump")
    place.in_origin("UPDATE users SET run = 2")
    return place


def run_of_users(place: Place) -> int:
    """Return which run is published."""
    ((low, high, count, raw),) = place.read(
        "SELECT min(run), max(run), count(*), count(*) FILTER (WHERE name LIKE '%Marie%') FROM shop.users"
    )
    assert (low, count, raw) == (high, 20, 0)
    return int(low)


def nothing_left(place: Place, private: Path) -> None:
    """Find nothing of any run's but what is published."""
    assert place.schemas() == {"shop"}
    assert place.read(MEMBERS, as_="superuser") == []
    assert left_in(private) == []


def in_stage(monkeypatch: pytest.MonkeyPatch, stage: str, look: Callable[[], object]) -> None:
    """Have a look at what there is as a stage begins."""
    work = getattr(pipeline, stage)

    def look_then_work(*arguments: Any, **more: Any) -> Any:
        look()
        return work(*arguments, **more)

    monkeypatch.setattr(pipeline, stage, look_then_work)


def in_tar_gz(file: Path, packed: Path) -> Path:
    """Pack a dump as the host's `backups-download` gives it."""
    with tarfile.open(packed, "w:gz") as archive:
        archive.add(file, arcname="backup/20260101_app.pgsql")
    return packed


def cut(file: Path, share: float) -> None:
    """Keep the first part of a file."""
    content = file.read_bytes()
    file.write_bytes(content[: int(len(content) * share)])


WITH_EXTENSIONS = [name for name in PROGRAMS if name.startswith("system")]
