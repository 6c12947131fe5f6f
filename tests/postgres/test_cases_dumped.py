"""Golden cases in mode dump and from a backup: both publish what a stream does."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from psycopg import sql

from demo import origins
from multischema.errors import CheckError
from tests.conftest import ROOT, Place
from tests.support.cases import Case, runs, seen, warned, whatever_the_order
from tests.support.clients import left_in
from tests.support.dumps import MEMBERS, backup, nothing_left

pytestmark = pytest.mark.usefixtures("private")

QUICK = "masking_text"  # the case that runs in both ways however little time there is

# What a dump can't bring over.
REFUSED = {
    "partitions_computing": "partitions of visits compute column town each in its own way; use mode stream",
    "composites_of_arrays": "column books.page is of a composite type with arrays of arrays; use mode stream",
    "partition_of_another_schema": "table visits_default is a partition of a table in another schema; use mode stream",
}
# A backup has other schemas beside, or types of extensions that the target lacks, or what an older server does not know.
NO_BACKUP = (
    *(
        "extensions",
        "vectors",
        "foreign_keys",
        "masking_defaults",
        "other_schema",
        "partition_of_another_schema",
        "partitions",
    ),
)
# Its rows come from several partitions at a time, in any order.
UNORDERED = ("partitions",)


def lines(place: Place, case: Case) -> tuple[list[str], list[str]]:
    """Return what the reader sees of a case, and what is expected."""
    found, expected = seen(place), case.text("expected.txt").splitlines()
    if case.directory.name in UNORDERED:
        return [whatever_the_order(line) for line in found], [whatever_the_order(line) for line in expected]
    return found, expected


def whole(place: Place) -> tuple[list[str], dict[str, list[tuple[str, ...]]]]:
    """Return what the reader sees, whatever the order of the rows, and the rows of each table."""
    tables = [name for (name,) in place.read("SELECT tablename FROM pg_tables WHERE schemaname = 'shop' ORDER BY 1")]
    query = sql.SQL("SELECT t::text FROM {} AS t")
    rows = {name: sorted(place.read(query.format(sql.Identifier("shop", name)).as_string())) for name in tables}
    assert sum(map(len, rows.values())) > 1000
    return [whatever_the_order(line) for line in seen(place)], rows


def prepared(case: Case, origin: str, target: str, make_place: Callable[..., Place]) -> Place:
    """Return a place with the origin of a case."""
    place = make_place(origin, target)
    for extension in case.extensions:
        place.in_origin(f"CREATE EXTENSION {extension}", superuser=True)
    place.in_origin(case.text("origin.sql"))
    return place


def slow(of_cases: list[Any]) -> list[Any]:
    """Return runs of cases, all but one as slow ones."""
    return [
        pytest.param(*run.values, id=run.id, marks=() if run.values[0].directory.name == QUICK else pytest.mark.slow)
        for run in of_cases
    ]


def dumps() -> list[Any]:
    """Return every case with the first pair of servers that it runs on: streams go on all pairs, and dumps take long."""
    return slow(list({run.values[0]: run for run in reversed(runs())}.values())[::-1])


@pytest.mark.parametrize(("case", "origin", "target"), dumps())
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
    assert warned(published) == case.text("warnings.txt").splitlines()
    assert place.schemas() == {"shop"}
    assert place.read(MEMBERS, as_="superuser") == []
    assert left_in(private) == []


@pytest.mark.parametrize(
    ("case", "origin", "target"),
    slow([run for run in runs() if run.values[0].directory.name not in NO_BACKUP and run.values[1:] == ("16", "18")]),
)
def test_a_backup_publishes_what_a_stream_does(
    case: Case, origin: str, target: str, make_place: Callable[..., Place], tmp_path: Path, private: Path
) -> None:
    place = prepared(case, origin, target, make_place)
    clear_money = {"arrays": "moneys", "types_kept": "a_money"}.get(case.directory.name)
    if clear_money:  # nothing tells in what locale a backup's amounts were written
        place.in_origin(f"ALTER TABLE numbers DROP {clear_money}")
    file = backup(place, tmp_path / "backup", "--format=custom")
    place.run(case.text("rules.yml"), origin_schema=case.origin_schema, mode="dump", from_dump=str(file))
    found, expected = lines(place, case)
    assert found == [line for line in expected if not line.startswith(f"  {clear_money} ")]
    assert place.schemas() == {"shop"}
    assert place.read(MEMBERS, as_="superuser") == []
    assert left_in(private) == []


@pytest.mark.slow
@pytest.mark.parametrize("app", origins.APPS)
def test_the_demo_is_published_alike_from_its_origin_a_dump_and_a_backup(
    app: str, place: Place, tmp_path: Path, private: Path
) -> None:
    origins.create(place.origin_url, app)
    origins.fill(place.origin_url, app, scale=0.1)
    rules = (ROOT / "demo" / f"{app}.yml").read_text()
    place.run(rules)
    streamed = whole(place)
    place.run(rules, mode="dump")
    assert whole(place) == streamed
    file = backup(place, tmp_path / "backup", "--format=directory")
    place.run(rules, mode="dump", from_dump=str(file))
    assert whole(place) == streamed
    nothing_left(place, private)
