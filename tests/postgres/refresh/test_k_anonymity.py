"""A refresh judges combinations of the tables that it changed, in its transaction: what too few share is never seen."""

import threading
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from multischema.errors import VerifyError
from multischema.pipeline import Published
from tests.conftest import Place
from tests.support import ledger
from tests.support.gates import PATIENCE
from tests.support.refreshes import decided

pytestmark = pytest.mark.usefixtures("tiny")

ORIGIN = """
CREATE TABLE users (id int PRIMARY KEY, person_id int, born date, post_code text);
CREATE TABLE others (id int PRIMARY KEY, state text);
INSERT INTO users SELECT n, n, make_date(1980 + n % 4, 1 + n % 12, 7), CASE n % 2 WHEN 0 THEN '75' END
FROM generate_series(1, 400) AS n;
INSERT INTO others SELECT n, 'open' FROM generate_series(1, 100) AS n;
"""
RULES = """
tables:
  - table_name: users
    anonymized_column_names: [born]
    non_anonymized_column_names: [person_id, post_code]
    masks:
      born: {{period: year}}
    k_anonymity: {{columns: [born, post_code], per: {per}, on_breach: {on_breach}}}
  - table_name: others
    non_anonymized_column_names: [state]
"""
RARE = "INSERT INTO users VALUES (1001, 1001, '1923-04-05', '97'), (1002, 1002, '1923-04-06', '97')"
LINE = "table users: 1 combination of born, post_code is shared by fewer than 5 different {per} (2 rows); coarsen a mask, "
REFUSED = "target: " + LINE + "take a column out of k_anonymity, or set on_breach: warn"
WARNED = LINE + "or take a column out of k_anonymity"


def rules(per: str = "person_id", on_breach: str = "refuse") -> str:
    """Return rules with this k_anonymity."""
    return RULES.format(per=per, on_breach=on_breach)


def publish(place: Place, text: str, origin: str = ORIGIN) -> None:
    """Publish the origin with a run that remembers what it saw."""
    ledger.publish(place, origin=origin, rules=text)


def refresh(place: Place, text: str) -> Published:
    """Do a run that refreshes, and publishes what a full run would."""
    done = ledger.refresh(place, text)
    assert done.refreshed
    return done


def refused(place: Place, text: str) -> str:
    """Return the line of a refresh that does not publish, which leaves rows, state, history and rights as they were."""
    before = ledger.rows(place), ledger.standing(place)
    with pytest.raises(VerifyError) as failed:
        place.run(text, refresh="auto")
    assert (ledger.rows(place), ledger.standing(place)) == before
    assert place.schemas() == {"shop"}
    assert "1923" not in str(failed.value)
    return str(failed.value)


@pytest.mark.parametrize("per", ["id", "person_id"])
def test_a_refresh_that_brings_a_rare_combination_publishes_nothing_and_the_next_one_works(place: Place, per: str) -> None:
    publish(place, rules(per))
    place.in_origin(f"{RARE}; UPDATE others SET state = 'shut' WHERE id = 1")
    assert refused(place, rules(per)) == REFUSED.format(per=per)
    assert refused(place, rules(per)) == REFUSED.format(per=per)  # and again, for as long as they are there
    place.in_origin(
        "DELETE FROM users WHERE id = 1002; UPDATE users SET born = '1981-01-01', post_code = NULL WHERE id = 1001"
    )
    assert decided(refresh(place, rules(per))) == "others: 1 in, 1 out; users: 1 in, 0 out"


def test_a_combination_that_becomes_rare_as_others_leave_it_is_refused(place: Place) -> None:
    publish(place, rules())
    place.in_origin("DELETE FROM users WHERE born < '1981-01-01' AND post_code = '75' AND id > 8")
    assert refused(place, rules()) == REFUSED.format(per="person_id")
    place.in_origin("UPDATE users SET born = '1981-01-01', post_code = NULL WHERE born < '1981-01-01'")
    assert decided(refresh(place, rules())) == "users: 2 in, 100 out"


def test_rows_in_the_window_are_judged_with_those_that_are_published(place: Place) -> None:
    """A single row comes in: alone it is rare, among the published ones it is not."""
    publish(place, rules())
    place.in_origin("INSERT INTO users VALUES (1001, 1001, '1981-04-05', NULL)")
    assert decided(refresh(place, rules())) == "users: 1 in, 0 out"


def test_a_warning_comes_with_each_change_of_the_table_and_not_without_one(place: Place) -> None:
    text = rules(on_breach="warn")
    place.in_origin(ORIGIN + RARE)
    line = WARNED.format(per="person_id")
    assert place.run(text, refresh="auto").warnings == (line,)
    place.in_origin("UPDATE others SET state = 'shut' WHERE id = 1")
    assert refresh(place, text).warnings == ()
    place.in_origin("UPDATE users SET post_code = '13' WHERE born < '1981-01-01' AND post_code = '75'")
    assert refresh(place, text).warnings == (line,)
    place.in_origin("DELETE FROM users WHERE id > 1000")
    assert refresh(place, text).warnings == ()  # it is healed


def test_a_table_that_a_refresh_takes_whole_is_judged_too(place: Place) -> None:
    publish(place, rules())
    place.in_origin(
        f"TRUNCATE users; INSERT INTO users SELECT n, n, '1980-01-01', '75' FROM generate_series(1, 9) AS n; {RARE}"
    )
    assert refused(place, rules()) == REFUSED.format(per="person_id")
    place.in_origin("DELETE FROM users WHERE id > 1000")
    assert "whole" in decided(refresh(place, rules()))


def test_a_partitioned_table_is_judged_as_one_in_a_refresh(place: Place) -> None:
    parts = ORIGIN.replace("post_code text);", "post_code text) PARTITION BY RANGE (id);", 1).replace(
        "CREATE TABLE others",
        "CREATE TABLE users_1 PARTITION OF users FOR VALUES FROM (0) TO (100);"
        "CREATE TABLE users_2 PARTITION OF users FOR VALUES FROM (100) TO (9999); CREATE TABLE others",
        1,
    )
    publish(place, rules(), parts)
    place.in_origin("INSERT INTO users VALUES (0, 0, '1923-04-05', '97'), (500, 500, '1923-04-05', '97')")
    assert refused(place, rules()) == REFUSED.format(per="person_id")
    place.in_origin("INSERT INTO users SELECT n, n, '1923-04-05', '97' FROM generate_series(501, 503) AS n")
    assert decided(refresh(place, rules())) == "users: 5 in, 0 out"


def test_readers_never_see_a_rare_combination_and_never_wait(place: Place) -> None:
    publish(place, rules())
    stop, began = threading.Event(), threading.Event()

    def read() -> set[tuple[int, ...]]:
        seen = set()
        query = "SELECT count(*), count(*) FILTER (WHERE born < '1980-01-01') FROM shop.users"
        with psycopg.connect(place.reader_url, autocommit=True, options="-c lock_timeout=1ms") as connection:
            while not stop.is_set():
                seen.add(connection.execute(query.encode()).fetchall()[0])
                began.set()
        return seen

    with ThreadPoolExecutor() as executor:
        reading = executor.submit(read)
        try:
            assert began.wait(PATIENCE)
            place.in_origin(RARE)
            for _ in range(3):
                refused(place, rules())
            place.in_origin("UPDATE users SET born = '1980-01-01', post_code = '75' WHERE id > 1000")
            place.run(rules(), refresh="auto")
        finally:
            stop.set()
        assert reading.result(PATIENCE) <= {(400, 0), (402, 0)}
