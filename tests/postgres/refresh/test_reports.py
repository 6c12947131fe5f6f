"""What made other tools that follow xmin, or apply changes, publish wrong rows: after reports of their users."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from demo.servers import Server
from multischema.catalog.position import Position
from multischema.errors import OriginChanged
from multischema.stages import refresh
from tests.conftest import PAIRS, Place
from tests.support.cases import seen

COPY_ALL = refresh.copy_all
USERS = """
CREATE TABLE users (id int PRIMARY KEY, age int);
INSERT INTO users SELECT n, n FROM generate_series(1, 200) AS n;
"""
USERS_RULES = "tables:\n  - table_name: users\n    non_anonymized_column_names: [age]\n"
# more inside one transaction than a snapshot lists
HUNDRED = """
DO $$ BEGIN
    FOR n IN 1 .. 100 LOOP
        BEGIN
            UPDATE users SET age = -n WHERE id = n;
        EXCEPTION WHEN unique_violation THEN NULL;
        END;
    END LOOP;
END $$
"""


@pytest.mark.parametrize("bound", ["xmin", "xmax"])
def test_a_transaction_that_is_open_at_a_run_is_in_the_next_window_and_would_be_missed_behind_its_xmax(
    bound: str, place: Place, tiny: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if bound == "xmax":
        monkeypatch.setattr(Position, "lower", property(lambda position: position.xmax))
    place.in_origin(USERS)
    with psycopg.connect(place.origin_url) as open_:
        open_.execute(HUNDRED)
        place.in_origin("UPDATE users SET age = 0 WHERE id = 200")  # by a later transaction, which ends before it
        place.run(USERS_RULES, refresh="auto")
        open_.commit()
    line = place.run(USERS_RULES, refresh="auto").choice.line()
    refreshed = seen(place, ordered=False)
    place.run(USERS_RULES)
    if bound == "xmin":
        assert line == "refresh: 101 of 200 rows in 1 of 1 table"
        assert refreshed == seen(place, ordered=False)
    else:
        assert line == "nothing changed in 200 rows of 1 table"
        assert refreshed != seen(place, ordered=False)


# Each table is a report.
ORIGIN = """
-- a unique value goes from one row to another
CREATE TABLE handed_on (id int PRIMARY KEY, slug text UNIQUE);
INSERT INTO handed_on VALUES (1, 'a'), (2, 'b'), (3, 'c');
CREATE TABLE swapped (id int PRIMARY KEY, slug text UNIQUE, number int UNIQUE DEFERRABLE);
INSERT INTO swapped VALUES (1, 'a', 1), (2, 'b', 2), (3, 'c', 3);
CREATE TABLE rekeyed (id int PRIMARY KEY, slug text UNIQUE);
INSERT INTO rekeyed VALUES (1, 'a'), (2, 'b'), (3, 'c');
-- there are as many rows as before
CREATE TABLE replaced (id int PRIMARY KEY, age int);
INSERT INTO replaced VALUES (1, 1), (2, 2), (3, 3), (4, 4);
CREATE TABLE shifted (id int PRIMARY KEY, age int);
INSERT INTO shifted SELECT n, n FROM generate_series(1, 50) AS n;
-- keys are equal by one rule, and not by another
CREATE TABLE spelled (word text PRIMARY KEY, age int);
INSERT INTO spelled VALUES ('straße', 1), ('strasse', 2), ('É', 3), ('a', 4), ('_', 5);
CREATE TABLE scaled (amount numeric PRIMARY KEY, number float UNIQUE NOT NULL);
INSERT INTO scaled VALUES (1.0, '-0'), (2, 'NaN'), ('NaN', 1e-300);
CREATE TABLE padded (code char(4), kind varchar(4), PRIMARY KEY (code, kind));
INSERT INTO padded VALUES ('a', 'a'), ('a', 'a '), ('b', '');
CREATE TABLE endless (day date, at timestamptz, PRIMARY KEY (day, at));
INSERT INTO endless VALUES ('infinity', '-infinity'), ('0044-03-15 BC', '0001-01-01 BC'), ('294276-01-01', 'epoch');
CREATE TABLE twice_an_hour (at timestamptz PRIMARY KEY, age int);
INSERT INTO twice_an_hour VALUES ('2026-10-25 02:30+02', 1), ('2026-10-25 02:30+01', 2);
CREATE TABLE lasting (span interval PRIMARY KEY, age int);
INSERT INTO lasting VALUES ('1 month', 1), ('1 day', 2);
-- nothing tells rows apart
CREATE TABLE repeated (age int, note text);
INSERT INTO repeated VALUES (1, 'a'), (1, 'a'), (1, 'a'), (2, NULL), (2, NULL);
CREATE TABLE null_keys (id int UNIQUE, age int);
INSERT INTO null_keys VALUES (NULL, 1), (NULL, 1), (3, 3);
CREATE TABLE partial_key (id int NOT NULL, age int);
CREATE UNIQUE INDEX ON partial_key (id) WHERE age > 1;
INSERT INTO partial_key VALUES (1, 1), (1, 1), (1, 2);
-- a change does not touch large values
CREATE TABLE large (id int PRIMARY KEY, age int, text text);
ALTER TABLE large ALTER text SET STORAGE EXTERNAL;
INSERT INTO large SELECT n, n, repeat(n::text, 9000) FROM generate_series(1, 3) AS n;
CREATE TABLE moved (id int, kind text, age int, PRIMARY KEY (id, kind)) PARTITION BY LIST (kind);
CREATE TABLE moved_a PARTITION OF moved FOR VALUES IN ('a');
CREATE TABLE moved_b PARTITION OF moved DEFAULT;
INSERT INTO moved VALUES (1, 'a', 1), (2, 'a', 2), (3, 'b', 3);
CREATE TABLE emptied (id int PRIMARY KEY);
INSERT INTO emptied VALUES (1), (2);
CREATE TABLE filled (id int PRIMARY KEY);
-- a row is seen by transactions that are older than its own
CREATE TABLE frozen (id int PRIMARY KEY, age int);
INSERT INTO frozen VALUES (1, 1), (2, 2);
-- what shows in a row's header is not what is there
CREATE TABLE undone (id int PRIMARY KEY, age int);
INSERT INTO undone VALUES (1, 1), (2, 2), (3, 3);
CREATE TABLE locked (id int PRIMARY KEY, age int);
INSERT INTO locked VALUES (1, 1), (2, 2), (3, 3);
CREATE TABLE merged (id int PRIMARY KEY, age int);
INSERT INTO merged VALUES (1, 1), (2, 2), (3, 3);
-- rows go before those that refer to them
CREATE TABLE parents (id int PRIMARY KEY);
INSERT INTO parents VALUES (1), (2), (3);
CREATE TABLE children (id int PRIMARY KEY, parent_id int REFERENCES parents ON UPDATE CASCADE ON DELETE CASCADE);
CREATE INDEX ON children (parent_id);
INSERT INTO children VALUES (1, 1), (2, 2), (3, 3);
CREATE TABLE circular (id int PRIMARY KEY, next int REFERENCES circular DEFERRABLE);
CREATE INDEX ON circular (next);
INSERT INTO circular VALUES (1, 2), (2, 3), (3, 1);
"""
CHANGES = """
DELETE FROM handed_on WHERE id = 1;
INSERT INTO handed_on VALUES (4, 'a');
UPDATE swapped SET slug = 'x' WHERE id = 1;
UPDATE swapped SET slug = 'a' WHERE id = 2;
UPDATE swapped SET slug = 'b' WHERE id = 1;
UPDATE swapped SET number = number % 3 + 1;
UPDATE rekeyed SET id = 10 WHERE id = 1;
UPDATE rekeyed SET id = 1 WHERE id = 2;
DELETE FROM replaced WHERE id IN (1, 2);
INSERT INTO replaced VALUES (2, 20), (5, 5);
UPDATE shifted SET id = id + 1000;
UPDATE shifted SET id = id - 999;
UPDATE spelled SET word = 'A' WHERE word = 'a';
UPDATE spelled SET word = 'é' WHERE word = 'É';
INSERT INTO spelled VALUES (U&'e\\0301', 6), ('a', 7), (' a', 8), ('a ', 9), ('', 10);
UPDATE scaled SET amount = 1.000, number = 0 WHERE amount = 1;
UPDATE scaled SET number = 'Infinity' WHERE amount = 'NaN';
UPDATE padded SET code = 'a   ' WHERE kind = 'a ';
UPDATE padded SET kind = '    ' WHERE code = 'b';
UPDATE endless SET at = 'infinity';
INSERT INTO endless VALUES ('-infinity', '0044-03-15 12:00 BC');
UPDATE twice_an_hour SET age = 3 WHERE at = '2026-10-25 00:30Z';
DELETE FROM twice_an_hour WHERE at = '2026-10-25 01:30Z';
UPDATE lasting SET span = '30 days' WHERE age = 1;
UPDATE lasting SET span = '24 hours' WHERE age = 2;
DELETE FROM repeated WHERE ctid = (SELECT min(ctid) FROM repeated);
INSERT INTO repeated VALUES (2, NULL);
UPDATE null_keys SET age = 2 WHERE ctid = (SELECT min(ctid) FROM null_keys);
UPDATE partial_key SET age = 3 WHERE age = 2;
UPDATE large SET age = 0 WHERE id = 2;
UPDATE moved SET kind = 'c' WHERE id = 1;
UPDATE moved SET kind = 'a' WHERE id = 3;
DELETE FROM moved_a WHERE id = 2;
DELETE FROM emptied;
INSERT INTO filled VALUES (1), (2);
BEGIN;
TRUNCATE frozen;
COPY frozen FROM PROGRAM 'echo 1,10; echo 3,3' (FORMAT csv, FREEZE);
COMMIT;
BEGIN;
SAVEPOINT a;
UPDATE undone SET age = 10;
ROLLBACK TO a;
UPDATE undone SET age = 20 WHERE id = 2;
SAVEPOINT b;
DELETE FROM undone;
ROLLBACK TO b;
COMMIT;
BEGIN;
SELECT FROM locked FOR UPDATE;
COMMIT;
BEGIN;
SELECT FROM locked WHERE id = 1 FOR KEY SHARE;
SAVEPOINT a;
UPDATE locked SET age = 10 WHERE id = 1;
COMMIT;
INSERT INTO merged VALUES (1, 10), (4, 4) ON CONFLICT (id) DO UPDATE SET age = excluded.age;
MERGE INTO merged USING (VALUES (2), (3), (5)) AS new (id) ON new.id = merged.id
WHEN MATCHED AND merged.id = 2 THEN DELETE
WHEN MATCHED THEN UPDATE SET age = 30
WHEN NOT MATCHED THEN INSERT VALUES (new.id, 5);
DELETE FROM parents WHERE id = 1;
UPDATE parents SET id = 20 WHERE id = 2;
INSERT INTO parents VALUES (2);
INSERT INTO children VALUES (4, 2);
BEGIN;
SET CONSTRAINTS ALL DEFERRED;
DELETE FROM circular WHERE id = 2;
UPDATE circular SET next = 3 WHERE id = 1;
COMMIT;
"""
# the origin wrote its file anew, or nothing tells its rows apart
WHOLE = {"frozen", "repeated", "null_keys", "partial_key"}


@pytest.mark.parametrize(
    ("origin", "target"), [pytest.param(*pair, marks=pytest.mark.slow if n else ()) for n, pair in enumerate(PAIRS)]
)
def test_what_other_tools_got_wrong_is_published_as_a_full_run_does(
    origin: str, target: str, make_place: Callable[..., Place], tiny: None
) -> None:
    place = make_place(origin, target)
    place.in_origin(ORIGIN)
    place.run(rules := clear(place), refresh="auto")
    place.in_origin(CHANGES, superuser=True)
    published = place.run(rules, refresh="auto")
    assert published.choice.changes
    assert len(published.choice.changes) == len(published.plan.tables)
    assert {change.table.name for change in published.choice.changes if change.whole} == WHOLE
    refreshed = seen(place, ordered=False)
    place.run(rules)
    assert refreshed == seen(place, ordered=False)


def clear(place: Place) -> str:
    """Return rules that publish everything in the origin as it is."""
    with psycopg.connect(place.origin_url) as connection:
        found = connection.execute(
            "SELECT table_name, string_agg(column_name, ', ') FROM information_schema.columns "
            "WHERE table_schema = 'public' GROUP BY 1"
        ).fetchall()
    rules = (f"  - table_name: {table}\n    non_anonymized_column_names: [{columns}]\n" for table, columns in found)
    return "tables:\n" + "".join(rules)


@pytest.mark.parametrize("event", ["VACUUM FULL users", "CLUSTER users USING users_pkey", "TRUNCATE users"])
def test_a_table_that_is_rewritten_between_count_and_copy_ends_the_run_and_the_next_one_is_right(
    event: str, place: Place, tiny: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.in_origin(USERS)
    place.run(USERS_RULES, refresh="auto")
    before = seen(place)
    place.in_origin("DELETE FROM users WHERE id < 50; UPDATE users SET age = 0 WHERE id % 7 = 0")

    def copy_all(*given: Any) -> Any:
        place.in_origin(event)
        return COPY_ALL(*given)

    with monkeypatch.context() as patched:
        patched.setattr(refresh, "copy_all", copy_all)
        with pytest.raises(OriginChanged, match="table users was rewritten or truncated while it was compared; start again"):
            place.run(USERS_RULES, refresh="auto")
    assert seen(place) == before
    assert place.run(USERS_RULES, refresh="auto").choice.line().startswith("refresh: ")
    refreshed = seen(place, ordered=False)
    place.run(USERS_RULES)
    assert refreshed == seen(place, ordered=False)


@pytest.mark.slow
def test_a_prepared_transaction_is_open_until_it_is_committed(
    make_place: Callable[..., Place], start_server: Callable[..., Server], tiny: None
) -> None:
    start_server("16", "preparing", {"max_prepared_transactions": "2"})
    place = make_place(own="preparing")
    place.in_origin(USERS)
    place.in_origin("BEGIN; UPDATE users SET age = 0 WHERE id < 5; PREPARE TRANSACTION 'first'")
    place.in_origin("BEGIN; DELETE FROM users WHERE id = 9; PREPARE TRANSACTION 'second'")
    place.in_origin("UPDATE users SET age = 0 WHERE id = 200")
    place.run(USERS_RULES, refresh="auto")
    place.in_origin("UPDATE users SET age = 1 WHERE id = 200")
    assert place.run(USERS_RULES, refresh="auto").choice.line() == "refresh: 1 of 200 rows in 1 of 1 table"
    place.in_origin("COMMIT PREPARED 'first'")
    place.in_origin("COMMIT PREPARED 'second'")
    assert place.run(USERS_RULES, refresh="auto").choice.line() == "refresh: 5 of 199 rows in 1 of 1 table"
    refreshed = seen(place, ordered=False)
    place.run(USERS_RULES)
    assert refreshed == seen(place, ordered=False)


@pytest.mark.slow
def test_rows_of_the_other_half_of_all_transaction_numbers_are_not_taken_for_new_ones(
    make_place: Callable[..., Place], tiny: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = make_place(own="wrapping")
    place.in_origin(USERS)
    ((written,),) = _read_origin(place, "SELECT DISTINCT xmin::text::int FROM users")
    _hop(place.origin_server, 1_500_000_000)
    _hop(place.origin_server, written + 2**31 - 30)
    place.run(USERS_RULES, refresh="auto")
    # the first and the last place have new rows, so that all rows between them are looked at
    place.in_origin("UPDATE users SET id = 0 WHERE id = 1")
    place.in_origin("VACUUM users")
    place.in_origin("INSERT INTO users VALUES (1000, 0)")
    place.in_origin("INSERT INTO users VALUES (1001, 0)")

    def copy_all(*given: Any) -> Any:
        for _ in range(60):  # between count and copy the old rows come to lie ahead of the server
            _read_origin(place, "SELECT txid_current()")
        return COPY_ALL(*given)

    monkeypatch.setattr(refresh, "copy_all", copy_all)
    assert place.run(USERS_RULES, refresh="auto").choice.line() == "refresh: 3 of 202 rows in 1 of 1 table"
    place.in_origin("UPDATE users SET age = 1 WHERE id = 1000")
    assert place.run(USERS_RULES, refresh="auto").choice.line() == "refresh: 1 of 202 rows in 1 of 1 table"
    refreshed = seen(place, ordered=False)
    place.run(USERS_RULES)
    assert refreshed == seen(place, ordered=False)


def _read_origin(place: Place, query: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(place.origin_url) as connection:
        return connection.execute(query.encode()).fetchall()


def _hop(server: Server, number: int) -> None:
    """Have a server go on with a later transaction number, as if others had been given out meanwhile."""
    with psycopg.connect(server.url(), autocommit=True) as connection:
        connection.execute("ALTER DATABASE template0 ALLOW_CONNECTIONS true")
        names = [name for (name,) in connection.execute("SELECT datname FROM pg_database").fetchall()]
    for name in names:
        with psycopg.connect(server.url(name), autocommit=True) as connection:
            connection.execute("VACUUM FREEZE")
    server.stop()
    owner = server.data.stat()
    command: list[str | Path] = [server.bin / "pg_resetwal", "-x", str(number), "-D", server.data]
    subprocess.run(command, capture_output=True, check=True, user=owner.st_uid, group=owner.st_gid)
    segment = server.data / "pg_xact" / f"{number >> 20:04X}"  # where a server notes which of a million were committed
    segment.write_bytes(bytes(2**18))
    os.chown(segment, owner.st_uid, owner.st_gid)
    server.start()
