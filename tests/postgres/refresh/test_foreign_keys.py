"""Foreign keys in a refresh: parents that go with their children, circles, orphans in the origin, keys without an index."""

from collections.abc import Callable

import pytest

from tests.conftest import PAIRS, Place
from tests.support import ledger

ORIGIN = """
CREATE TABLE people (id int PRIMARY KEY, boss_id int, team_id int, name text);
CREATE TABLE teams (id int PRIMARY KEY, lead_id int, name text, UNIQUE (name));
ALTER TABLE people ADD FOREIGN KEY (boss_id) REFERENCES people ON DELETE SET NULL;
ALTER TABLE people ADD FOREIGN KEY (team_id) REFERENCES teams ON UPDATE CASCADE DEFERRABLE;
ALTER TABLE teams ADD FOREIGN KEY (lead_id) REFERENCES people;
CREATE TABLE visits (
    id int PRIMARY KEY, person_id int NOT NULL REFERENCES people ON DELETE CASCADE,
    team text REFERENCES teams (name)
);
CREATE INDEX ON people (boss_id);
CREATE INDEX ON people (team_id);
CREATE INDEX ON teams (lead_id);
CREATE INDEX ON visits (person_id);
CREATE INDEX ON visits (team);
INSERT INTO teams SELECT n, NULL, 'team ' || n FROM generate_series(1, 200) AS n;
INSERT INTO people SELECT n, nullif(n / 2, 0), n % 200 + 1, 'Marie' FROM generate_series(1, 2000) AS n;
UPDATE teams SET lead_id = id + 1000;
INSERT INTO visits SELECT n, n % 2000 + 1, 'team ' || n % 200 + 1 FROM generate_series(1, 6000) AS n;
"""
RULES = """
tables:
  - {table_name: people, anonymized_column_names: [name]}
  - {table_name: teams, non_anonymized_column_names: [name]}
  - {table_name: visits, non_anonymized_column_names: [team]}
"""
CHANGES = {
    "parents go with their children": (
        "DELETE FROM visits WHERE person_id IN (1900, 1901); DELETE FROM people WHERE id IN (1900, 1901)"
    ),
    "a parent's key moves, and its children follow": "UPDATE teams SET id = 900 WHERE id = 7",
    "a parent is another row of the same key": (
        "UPDATE people SET boss_id = NULL WHERE boss_id = 1; UPDATE people SET team_id = NULL WHERE id = 1;"
        "DELETE FROM visits WHERE person_id = 1; DELETE FROM people WHERE id = 1; INSERT INTO people VALUES (1, 1, 1, 'Eve')"
    ),
    "parents swap unique values that children refer to": (
        "UPDATE visits SET team = NULL WHERE team IN ('team 8', 'team 9'); UPDATE teams SET name = 'x' WHERE id = 8;"
        "UPDATE teams SET name = 'team 8' WHERE id = 9; UPDATE teams SET name = 'team 9' WHERE id = 8;"
        "UPDATE visits SET team = 'team 8' WHERE id % 200 = 7"
    ),
    "a row comes to refer to itself, and two to each other": (
        "UPDATE people SET boss_id = id WHERE id = 3; UPDATE people SET boss_id = 5 WHERE id = 4;"
        "UPDATE people SET boss_id = 4 WHERE id = 5; UPDATE teams SET lead_id = 3 WHERE id = 3"
    ),
    "parents come with their children": (
        "INSERT INTO people VALUES (5000, 5000, NULL, 'Eve'); INSERT INTO teams VALUES (500, 5000, 'new');"
        "UPDATE people SET team_id = 500 WHERE id = 5000; INSERT INTO visits VALUES (9000, 5000, 'new')"
    ),
}


@pytest.fixture(params=PAIRS[:2], ids=lambda pair: f"target {pair[1]}")
def shop(request: pytest.FixtureRequest, make_place: Callable[..., Place]) -> Place:
    """Return a place where people, teams and visits are published."""
    return ledger.publish(make_place(*request.param), origin=ORIGIN, rules=RULES)


def test_rows_that_refer_to_one_another_are_refreshed_whatever_becomes_of_them(shop: Place) -> None:
    for change in CHANGES.values():
        shop.in_origin(change)  # in one transaction
        done = shop.run(RULES, refresh="auto")
        assert done.choice.line().startswith("refresh: "), (change, done.choice.line())
    ledger.as_a_full_run_would(shop, RULES)


ORPHANS = {
    "loaded without triggers": "SET session_replication_role = replica; INSERT INTO visits VALUES (9999, 77777, NULL)",
    "left by a parent that went": "SET session_replication_role = replica; DELETE FROM people WHERE id = 1999",
    "older than their key": (
        "ALTER TABLE visits DROP CONSTRAINT visits_person_id_fkey; INSERT INTO visits VALUES (9999, 77777, NULL);"
        "ALTER TABLE visits ADD CONSTRAINT visits_person_id_fkey FOREIGN KEY (person_id) REFERENCES people NOT VALID"
    ),
}


@pytest.mark.parametrize("orphans", ORPHANS)
def test_orphans_of_the_origin_fail_no_run(orphans: str, shop: Place) -> None:
    shop.in_origin(ORPHANS[orphans], superuser=True)
    enforced = shop.target_server.major < 18
    for number in range(2):
        done = shop.run(RULES, refresh="auto")
        line = done.choice.line()
        if number:
            assert line.startswith("nothing changed"), line
        elif enforced:
            assert line.startswith("full: the target refused what came in: ForeignKeyViolation (23503)"), line
            assert line.endswith("(visits_person_id_fkey of visits)"), line
        else:
            assert line.startswith("refresh: "), line
    shop.in_origin("UPDATE visits SET team = team WHERE id = 4; UPDATE people SET name = 'Eve' WHERE id = 7")
    assert shop.run(RULES, refresh="auto").choice.line().startswith("refresh: ")
    ledger.as_a_full_run_would(shop, RULES)


def test_parents_that_go_are_not_looked_for_in_children_without_an_index_where_the_server_would(
    make_place: Callable[..., Place],
) -> None:
    bare = ORIGIN.replace("CREATE INDEX ON visits (person_id);", "")
    place = ledger.publish(make_place("18", "16"), origin=bare, rules=RULES)
    place.in_origin(CHANGES["parents go with their children"].replace("(1900, 1901)", "(1900, 1901, 1902, 1903, 1904)"))
    done = ledger.refresh(place, RULES)
    assert (
        done.choice.line() == "full: 5 rows of people are gone, and visits, which refers to it, has no index to find them by"
    )
    place.in_origin("DELETE FROM visits WHERE person_id = 1950; DELETE FROM people WHERE id = 1950")
    assert ledger.refresh(place, RULES).choice.line().startswith("refresh: ")
