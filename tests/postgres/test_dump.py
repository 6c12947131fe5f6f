"""`dump` mode publishes what `stream` does; raw data is in `public` of the target meanwhile, and gone after."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from multischema.errors import CheckError
from tests.conftest import PROGRAMS, Place
from tests.postgres.test_cases import Case, available, runs, seen

# What a dump can't bring over.
REFUSED = {
    "partitions_computing": "partitions of visits compute column town each in its own way; use mode stream",
    "partition_of_another_schema": "table visits_default is a partition of a table in another schema; use mode stream",
}
# Its rows come from several partitions at a time, in any order.
UNORDERED = ("partitions",)
MEMBERS = """
SELECT c.relname FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace WHERE n.nspname = 'public'
UNION ALL SELECT t.typname FROM pg_type AS t JOIN pg_namespace AS n ON n.oid = t.typnamespace WHERE n.nspname = 'public'
"""


@pytest.fixture(autouse=True)
def private(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Have the newest pg_dump and pg_restore come first on the PATH; return the folder where dumps lie."""
    monkeypatch.setenv("PATH", str(PROGRAMS["18"]), prepend=":")
    directory = tmp_path / "temporary"
    directory.mkdir()
    monkeypatch.setenv("TMPDIR", str(directory))
    monkeypatch.setattr("tempfile.tempdir", None)
    return directory


def lines(place: Place, case: Case) -> tuple[list[str], list[str]]:
    """Return what the reader sees of a case, and what is expected."""
    found, expected = seen(place), case.text("expected.txt").splitlines()
    if case.directory.name in UNORDERED:
        return [_sorted(line) for line in found], [_sorted(line) for line in expected]
    return found, expected


def _sorted(line: str) -> str:
    column, _, values = line.partition(": ")
    return f"{column}: {' | '.join(sorted(values.split(' | ')))}"


def prepared(case: Case, origin: str, target: str, make_place: Callable[..., Place]) -> Place:
    """Return a place with the origin of a case."""
    place = make_place(origin, target)
    for extension in case.extensions:
        place.in_origin(f"CREATE EXTENSION {extension}", superuser=True)
    place.in_origin(case.text("origin.sql"))
    return place


def backup(place: Place, file: Path, *options: str) -> Path:
    """Dump the origin as its owner does."""
    subprocess.run(
        [PROGRAMS["18"] / "pg_dump", f"--file={file}", *options, "--dbname", place.origin_url],
        check=True,
        capture_output=True,
    )
    return file


@pytest.mark.parametrize(("case", "origin", "target"), runs())
def test_a_dump_publishes_what_a_stream_does(
    case: Case, origin: str, target: str, make_place: Callable[..., Place], private: Path
) -> None:
    place = prepared(case, origin, target, make_place)
    if case.directory.name in REFUSED:
        with pytest.raises(CheckError) as failed:
            place.run(case.text("rules.yml"), origin_schema=case.origin_schema, mode="dump")
        assert failed.value.problems == (f"origin shop: {REFUSED[case.directory.name]}",)
        return
    published = place.run(case.text("rules.yml"), origin_schema=case.origin_schema, mode="dump")
    found, expected = lines(place, case)
    assert found == expected
    assert [*published.plan.warnings, *published.indexed.warnings, *published.warnings] == case.text(
        "warnings.txt"
    ).splitlines()
    assert place.schemas() == {"shop"}
    assert place.read(MEMBERS, as_="superuser") == []
    assert list(private.iterdir()) == []


@pytest.mark.parametrize(("case", "origin", "target"), runs())
def test_a_backup_publishes_what_a_stream_does(
    case: Case, origin: str, target: str, make_place: Callable[..., Place], tmp_path: Path, private: Path
) -> None:
    if not available(target).issuperset(case.extensions):
        pytest.skip("to do")
    place = prepared(case, origin, target, make_place)
    file = backup(place, tmp_path / "backup", "--format=custom")
    for extension in case.extensions:
        place.in_target(f"CREATE EXTENSION {extension}", superuser=True)
    place.run(case.text("rules.yml"), origin_schema=case.origin_schema, from_dump=str(file), mode="dump")
    found, expected = lines(place, case)
    assert found == expected
    assert place.schemas() == {"shop"}
    assert list(private.iterdir()) == []
