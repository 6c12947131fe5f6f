"""Golden cases: an origin, its rules, and all that the reader sees of it once it is published.

A case is a directory of `tests/cases`: `origin.sql`, `rules.yml`, `expected.txt` (see `seen` in `tests/support/cases.py`),
and `warnings.txt` where the report has any. Nothing records what is expected: it follows from the rules. A case runs on
every pair of servers whose origin has what `origin.sql` asks for: `-- needs: 15` is a major version, `-- needs extension:
citext` an extension among the server's files, which is then there, `-- needs extension in target: xml2` one that must be
among the target's. `-- origin schema: …` is where the tables stand, if not in public. Then rows of every case are changed,
by statements that any schema allows: a refresh publishes what a full run does.
"""

from collections.abc import Callable

import pytest

from multischema.errors import CheckError
from tests.conftest import Place
from tests.support.cases import Case, runs, seen, warned
from tests.support.changes import change_rows

NO_REFRESHES = {
    "comments": "nothing changed in 0 rows",  # there is nothing to change
    # a row refers to nothing: its key is not enforced in the origin, and is in a target before 18
    "not_null_not_valid": "full: the target refused what came in: ForeignKeyViolation",
}


@pytest.mark.parametrize(("case", "origin", "target"), runs())
def test_the_reader_sees_what_the_case_expects_a_second_run_changes_nothing_and_a_refresh_is_a_full_run(
    case: Case, origin: str, target: str, make_place: Callable[..., Place], tiny: None
) -> None:
    place = make_place(origin, target)
    for extension in case.extensions:
        place.in_origin(f"CREATE EXTENSION {extension}", superuser=True)
    place.in_origin(case.text("origin.sql"))
    for _ in range(2):
        published = place.run(case.text("rules.yml"), origin_schema=case.origin_schema)
        assert seen(place) == case.text("expected.txt").splitlines()
        assert warned(published) == case.text("warnings.txt").splitlines()
    assert place.schemas() == {"shop"}
    change_rows(place)
    published = place.run(case.text("rules.yml"), origin_schema=case.origin_schema, refresh="auto")
    assert published.choice.line().startswith(NO_REFRESHES.get(case.directory.name, "refresh: "))
    refreshed = seen(place, ordered=False)
    place.run(case.text("rules.yml"), origin_schema=case.origin_schema)
    assert refreshed == seen(place, ordered=False)


@pytest.mark.parametrize(("name", "definition"), [("name", "text"), ("email", "text"), ("names", "text[]")])
def test_the_widest_masks_that_the_check_accepts_fit_into_a_page_and_one_more_is_refused_by_name(
    place: Place, name: str, definition: str
) -> None:
    def make(columns: int) -> str:
        names = [f"{name}_{number}" for number in range(columns)]
        definitions = ", ".join(f"{column} {definition} DEFAULT '{{Marie}}'" for column in names)
        place.in_origin(f"CREATE TABLE wide (id integer PRIMARY KEY, {definitions}); INSERT INTO wide VALUES (1);")
        return f"tables:\n  - table_name: wide\n    anonymized_column_names: [{', '.join(names)}]\n"

    place.run(make(448))
    assert place.read("SELECT count(*) FROM shop.wide") == [(1,)]
    place.in_origin("DROP TABLE wide")
    with pytest.raises(CheckError, match="table wide: 449 masked columns"):
        place.run(make(449))
