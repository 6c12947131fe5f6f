"""`dump` mode publishes what `stream` does, from the same data; raw data is in `public` of the target meanwhile, and gone after."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from multischema.errors import CheckError
from tests.conftest import PROGRAMS, Place
from tests.postgres.test_cases import Case, runs, seen

# What a dump can't bring over.
REFUSED = {
    "partitions_computing": "partitions of visits compute column town each in its own way; use mode stream",
    "partition_of_another_schema": "table visits_default is a partition of a table in another schema; use mode stream",
}


@pytest.fixture(autouse=True)
def client_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the newest pg_dump and pg_restore come first on the PATH."""
    monkeypatch.setenv("PATH", str(PROGRAMS["18"]), prepend=":")


@pytest.mark.parametrize(("case", "origin", "target"), runs())
def test_a_dump_publishes_what_a_stream_does(
    case: Case, origin: str, target: str, make_place: Callable[..., Place]
) -> None:
    place = make_place(origin, target)
    for extension in case.extensions:
        place.in_origin(f"CREATE EXTENSION {extension}", superuser=True)
    place.in_origin(case.text("origin.sql"))
    if case.directory.name in REFUSED:
        with pytest.raises(CheckError) as failed:
            place.run(case.text("rules.yml"), origin_schema=case.origin_schema, mode="dump")
        assert failed.value.problems == (f"origin shop: {REFUSED[case.directory.name]}",)
        return
    published = place.run(case.text("rules.yml"), origin_schema=case.origin_schema, mode="dump")
    assert seen(place) == case.text("expected.txt").splitlines()
    assert [*published.plan.warnings, *published.indexed.warnings, *published.warnings] == case.text("warnings.txt").splitlines()
    assert place.schemas() == {"shop"}
