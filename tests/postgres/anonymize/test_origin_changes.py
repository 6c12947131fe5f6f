"""The origin while it is copied: rows come from one snapshot, and a table that is changed under the run fails it by name."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from psycopg import sql

from multischema import pipeline
from multischema.errors import DatabaseError, EtlError, OriginChanged
from multischema.job import Job
from multischema.plan.plan import Plan
from multischema.postgres.copying import Snapshot
from multischema.stages import anonymize as anonymizing
from multischema.stages.run import Run
from tests.conftest import Place
from tests.support.gates import GATED_ORIGIN, GATED_RULES, Gate, eventually, gate_in_copy, leave_detaching
from tests.support.runs import rows

TABLES = """
CREATE TABLE users (id int PRIMARY KEY, name text, city text);
INSERT INTO users SELECT n, 'Marie', 'Lyon' FROM generate_series(1, 20) AS n;
CREATE TABLE visits (id int, at date, name text) PARTITION BY RANGE (at);
CREATE TABLE visits_2024 PARTITION OF visits FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
CREATE TABLE visits_2025 PARTITION OF visits FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
INSERT INTO visits SELECT n, date '2024-12-01' + n, 'Marie' FROM generate_series(1, 60) AS n;
CREATE TABLE versions (id int PRIMARY KEY, object text);
INSERT INTO versions VALUES (1, 'x');
"""
ORIGIN = GATED_ORIGIN + TABLES
RULES = f"""
tables:{GATED_RULES}
  - table_name: users
    anonymized_column_names: [name]
    non_anonymized_column_names: [city]
  - table_name: visits
    anonymized_column_names: [name]
    non_anonymized_column_names: [id, at]
  - table_name: versions
    truncated: true
"""


class Running(threading.Thread):
    """A run in a thread of its own; `result` is what it returned or raised."""

    def __init__(self, place: Place, **changes: Any) -> None:
        super().__init__()
        self._place, self._changes = place, changes
        self.result: Any = None
        self.start()

    def run(self) -> None:
        """Do it."""
        try:
            self.result = self._place.run(RULES, **self._changes)
        except EtlError as error:
            self.result = error


@contextmanager
def amid(place: Place, jobs: int) -> Iterator[tuple[Running, Gate]]:
    """Give a run that is amid the copy of `gated`: with one job no other table was read yet, with two all of them were."""
    with gate_in_copy(place) as gate:
        run = Running(place, jobs=jobs)
        gate.reached()
        if jobs > 1:
            eventually(lambda: rows(place, "users") == 20 and rows(place, "visits") == 60, "the small tables are copied")
        yield run, gate
        gate.open()
        run.join()


CHANGED = "origin shop: table {} while it was copied; start again"
# what is done; what the run says when the table was copied before; what it says when it is copied after
CHANGES = [
    ("ALTER TABLE users ADD COLUMN iban text", CHANGED.format("users was altered"), ""),
    # with the snapshot, it reads as empty
    ("TRUNCATE users", CHANGED.format("users was rewritten or truncated"), ""),
    (
        "ALTER TABLE users DROP COLUMN city",
        CHANGED.format("users was altered"),
        'origin shop: copying users failed: column "city" does not exist (42703)',
    ),
    (
        "ALTER TABLE users RENAME COLUMN city TO town",
        CHANGED.format("users was altered"),
        'origin shop: copying users failed: column "city" does not exist (42703)',
    ),
    # the names stay, and what they mean does not
    (
        "ALTER TABLE users RENAME name TO nom; ALTER TABLE users RENAME city TO name; ALTER TABLE users RENAME nom TO city",
        CHANGED.format("users was altered"),
        "",
    ),
    ("VACUUM FULL users", CHANGED.format("users was rewritten or truncated"), ""),
    ("ALTER TABLE users ADD COLUMN a uuid DEFAULT gen_random_uuid()", CHANGED.format("users was altered"), ""),
    (
        "DROP TABLE users",
        CHANGED.format("users was dropped"),
        'origin shop: copying users failed: relation "public.users" does not exist (42P01)',
    ),
    (
        "ALTER TABLE users RENAME TO people",
        CHANGED.format("users was altered"),
        'origin shop: copying users failed: relation "public.users" does not exist (42P01)',
    ),
    (
        "DROP TABLE users; CREATE TABLE users (id int PRIMARY KEY, name text, city text);"
        "INSERT INTO users SELECT n, 'Paul', 'Brest' FROM generate_series(1, 20) AS n",
        CHANGED.format("users was dropped"),
        "",
    ),
    ("ALTER TABLE visits DETACH PARTITION visits_2025", CHANGED.format("visits was altered"), ""),
    ("DROP TABLE visits_2025", CHANGED.format("visits was altered"), ""),
    (
        "CREATE TABLE visits_2026 PARTITION OF visits FOR VALUES FROM ('2026-01-01') TO ('2027-01-01')",
        CHANGED.format("visits was altered"),
        "",
    ),
    ("TRUNCATE visits_2024", CHANGED.format("visits was rewritten or truncated"), ""),
    ("TRUNCATE users, visits", "\n".join(map(CHANGED.format, ("users was …", "visits was …"))), ""),
]


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_table_that_is_altered_or_truncated_while_a_run_copies_fails_it_by_name(jobs: int, place: Place) -> None:
    see_changes(place, jobs, CHANGES[:3])


@pytest.mark.slow
@pytest.mark.parametrize("jobs", [1, 2])
def test_a_table_that_is_changed_in_any_way_while_a_run_copies_fails_it_by_name(jobs: int, place: Place) -> None:
    see_changes(place, jobs, CHANGES[3:])


def see_changes(place: Place, jobs: int, changes: Sequence[tuple[str, str, str]]) -> None:
    """Running once for each change, make it amid the copy, and see the run fail as it should, with nothing left behind."""
    place.in_origin(ORIGIN)
    for change, copied_before, copied_after in changes:
        with amid(place, jobs) as (run, _):
            with psycopg.connect(place.origin_url, autocommit=True) as connection:
                connection.execute("SET lock_timeout = '10s'")
                for statement in change.split(";"):
                    connection.execute(statement.encode())
        expected = copied_before if jobs > 1 or not copied_after else copied_after
        found = str(run.result).replace("was rewritten or truncated", "was …") if "…" in expected else str(run.result)
        assert sorted(found.splitlines()) == sorted(expected.splitlines()), change
        assert isinstance(run.result, OriginChanged if expected == copied_before else DatabaseError), change
        assert place.schemas() == set(), change
        place.in_origin("DROP TABLE IF EXISTS users, people, visits, visits_2024, visits_2025, versions")
        place.in_origin(TABLES)
    assert place.sessions() == {"origin": 0, "target": 0}


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_partition_that_comes_to_be_half_detached_while_a_run_copies_fails_it_by_name(jobs: int, place: Place) -> None:
    place.in_origin(ORIGIN)
    with amid(place, jobs) as (run, _):
        leave_detaching(place, sql.Identifier("visits"), sql.Identifier("visits_2025"))
    assert str(run.result) == CHANGED.format("visits was altered")
    assert place.schemas() == set()


def test_what_does_not_touch_the_rows_of_a_copied_table_does_not_fail_a_run(place: Place) -> None:
    place.in_origin(ORIGIN)
    with amid(place, 1) as (run, _):
        with psycopg.connect(place.origin_url, autocommit=True) as connection:
            for statement in (
                "CREATE TABLE later (id int, secret text)",
                "ALTER TABLE versions ADD COLUMN a int",
                "TRUNCATE versions",
                "CREATE INDEX ON users (name)",
                "VACUUM ANALYZE users",
                "REINDEX TABLE users",
                "COMMENT ON TABLE users IS 'people'",
                "ALTER TABLE users ALTER COLUMN city SET DEFAULT 'Paris'",
                "DELETE FROM users WHERE id > 5",
                "INSERT INTO users VALUES (100, 'Paul', 'Brest')",
                "UPDATE users SET city = 'Nice' WHERE id = 1",
                "DELETE FROM visits",
            ):
                connection.execute(statement.encode())
    assert isinstance(run.result, pipeline.Published), run.result
    assert place.read("SELECT count(*), max(id), min(city), max(city) FROM shop.users") == [(20, 20, "Lyon", "Lyon")]
    assert place.read("SELECT count(*) FROM shop.visits") == [(60,)]
    assert place.read("SELECT to_regclass('shop.later')") == [(None,)]


def test_the_tables_are_compared_after_the_last_row_and_before_the_snapshot_is_released(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.in_origin(ORIGIN.replace("WHEN 900 THEN 'wait'", "WHEN 900 THEN 'go'"))
    holders = (
        "SELECT application_name FROM pg_stat_activity WHERE state = 'idle in transaction' AND datname = current_database()"
    )
    compare = anonymizing.refuse_changes
    seen: list[Any] = []

    def look(run: Run, plan: Plan, snapshot: Snapshot, done: str) -> None:
        seen.append((rows(place, "gated"), rows(place, "users"), rows(place, "visits")))
        compare(run, plan, snapshot, done)
        with psycopg.connect(place.origin_server.url(place.name)) as connection:
            seen.append(connection.execute(holders).fetchall())

    monkeypatch.setattr(anonymizing, "refuse_changes", look)
    job = place.job()
    index = pipeline.index

    def change_then_index(*arguments: Any) -> Any:
        # the snapshot is released: production may do what it wants
        with psycopg.connect(place.origin_server.url(place.name), autocommit=True) as connection:
            eventually(lambda: connection.execute(holders).fetchall() == [], "nobody holds the snapshot")
        seen.append("released")
        place.in_origin("TRUNCATE users, visits; DROP TABLE gated")
        return index(*arguments)

    monkeypatch.setattr(pipeline, "index", change_then_index)
    pipeline.run(job, place.rules(RULES), *place.databases())
    assert seen == [(2000, 20, 60), [(f"multi-schema-postgres-etl shop {job.id}",)], "released"]
    assert place.read("SELECT count(*) FROM shop.users") == [(20,)]


def test_what_happens_between_check_and_snapshot_is_no_change_unless_it_alters_a_table(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.in_origin(ORIGIN.replace("WHEN 900 THEN 'wait'", "WHEN 900 THEN 'go'"))
    filled_anew = "TRUNCATE users, visits; INSERT INTO users VALUES (1, 'Paul', 'Brest')"
    before_snapshot(monkeypatch, lambda: place.in_origin(filled_anew))
    place.run(RULES)
    assert place.read("SELECT * FROM shop.users") == [(1, "[valeur unique anonymisée 1]", "Brest")]
    assert place.read("SELECT count(*) FROM shop.visits") == [(0,)]
    before_snapshot(monkeypatch, lambda: place.in_origin("ALTER TABLE users ADD COLUMN iban text"))
    with pytest.raises(OriginChanged, match="users was altered"):
        place.run(RULES)
    assert place.schemas() == {"shop"}


def test_a_column_that_comes_to_be_computed_from_a_personal_one_fails_the_run(
    make_place: Callable[..., Place], monkeypatch: pytest.MonkeyPatch
) -> None:
    place = make_place("18", "16")
    for kind in ("STORED", "VIRTUAL"):
        place.in_origin(
            f"""
            DROP TABLE IF EXISTS users;
            CREATE TABLE users (
                id int PRIMARY KEY, name text, city text, label text GENERATED ALWAYS AS (upper(city)) {kind}
            );
            INSERT INTO users VALUES (1, 'Marie', 'Lyon');
            """
        )
        with monkeypatch.context() as patched:
            before_snapshot(
                patched, lambda: place.in_origin("ALTER TABLE users ALTER COLUMN label SET EXPRESSION AS (upper(name))")
            )
            with pytest.raises(OriginChanged, match="users was altered"):
                place.run(
                    "tables: [{table_name: users, anonymized_column_names: [name], "
                    "non_anonymized_column_names: [city, label]}]"
                )
        assert place.schemas() == set()


def test_a_partition_that_comes_to_compute_a_column_from_a_personal_one_fails_the_run(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    columns = "(id int, name text, city text, label text GENERATED ALWAYS AS (upper({})) STORED)"
    place.in_origin(
        f"""
        CREATE TABLE users {columns.format("city")} PARTITION BY RANGE (id);
        CREATE TABLE users_1 PARTITION OF users FOR VALUES FROM (0) TO (10);
        INSERT INTO users VALUES (1, 'Marie', 'Lyon');
        """
    )
    swap = f"""
        DROP TABLE users_1;
        CREATE TABLE users_1 {columns.format("name")};
        ALTER TABLE users ATTACH PARTITION users_1 FOR VALUES FROM (0) TO (10);
        INSERT INTO users VALUES (1, 'Marie', 'Lyon');
    """
    rules = "tables: [{table_name: users, anonymized_column_names: [name], non_anonymized_column_names: [id, city, label]}]"
    with monkeypatch.context() as patched:
        before_snapshot(patched, lambda: place.in_origin(swap))
        with pytest.raises(OriginChanged, match="users was altered"):
            place.run(rules)
    # where it was so from the beginning, the column is left out
    published = place.run(rules)
    assert "users.label left out: it is computed from a masked column" in published.plan.warnings
    assert place.read("SELECT * FROM shop.users") == [(1, "[valeur unique anonymisée 1]", "Lyon")]


def before_snapshot(monkeypatch: pytest.MonkeyPatch, act: Callable[[], None]) -> None:
    """Have something happen after the check, before the snapshot is taken."""
    build_staging = anonymizing.build_staging

    def build_then_act(connection: Any, job: Job, plan: Plan) -> None:
        build_staging(connection, job, plan)
        act()

    monkeypatch.setattr(anonymizing, "build_staging", build_then_act)


def test_a_truncation_that_is_under_way_when_the_snapshot_is_taken_is_caught(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.in_origin(ORIGIN.replace("WHEN 900 THEN 'wait'", "WHEN 900 THEN 'go'"))
    truncating = psycopg.connect(place.origin_url)
    before_snapshot(monkeypatch, lambda: truncating.execute("TRUNCATE users").close())
    run = Running(place)
    with psycopg.connect(place.origin_server.url(place.name), autocommit=True) as connection:
        eventually(
            lambda: connection.execute("SELECT count(*) FROM pg_locks WHERE NOT granted").fetchall() == [(1,)],
            "the copy of users waits for the truncation",
        )
    truncating.commit()
    truncating.close()
    run.join()
    assert str(run.result) == CHANGED.format("users was rewritten or truncated")


def test_a_migration_waits_for_no_table_but_the_one_that_is_being_copied(place: Place) -> None:
    place.in_origin(ORIGIN)
    with amid(place, 2) as (run, _):
        locked = (
            "SELECT DISTINCT c.relname::text FROM pg_locks AS l JOIN pg_class AS c ON c.oid = l.relation "
            "JOIN pg_stat_activity AS a USING (pid) WHERE a.application_name LIKE 'multi-schema%' "
            "AND a.datname = current_database() AND c.relnamespace = 'public'::regnamespace ORDER BY 1"
        )
        with psycopg.connect(place.origin_server.url(place.name), autocommit=True) as connection:
            # of a table that is copied, the target's transaction ends first
            only_gated = [("gated",), ("gated_pkey",)]
            eventually(lambda: connection.execute(locked).fetchall() == only_gated, "no table but gated is locked")
        with psycopg.connect(place.origin_url, autocommit=True) as connection:
            connection.execute("SET lock_timeout = '10s'")
            for statement in (
                "ALTER TABLE users ADD COLUMN a int",
                "ALTER TABLE visits ADD COLUMN a int",
                "ALTER TABLE versions ADD COLUMN a int",
                "DROP TABLE visits_2025",
                "CREATE INDEX ON gated (name)",
                "UPDATE gated SET name = 'Paul' WHERE id = 1",
            ):
                connection.execute(statement.encode())
            connection.execute("SET lock_timeout = '200ms'")
            with pytest.raises(psycopg.errors.LockNotAvailable):
                connection.execute("ALTER TABLE gated ADD COLUMN a int")
    assert sorted(str(run.result).splitlines()) == [CHANGED.format(f"{name} was altered") for name in ("users", "visits")]


def test_rows_that_do_not_come_in_fail_the_run(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.in_origin(ORIGIN.replace("WHEN 900 THEN 'wait'", "WHEN 900 THEN 'go'"))
    job = place.job()
    losing = f"""
        CREATE FUNCTION {job.staging}.lose() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
        CREATE TRIGGER lose BEFORE INSERT ON {job.staging}.users FOR EACH ROW WHEN (NEW.id = 7)
            EXECUTE FUNCTION {job.staging}.lose();
    """
    before_snapshot(monkeypatch, lambda: place.in_target(losing))
    with pytest.raises(DatabaseError, match="target: copying users failed: 20 rows left the origin, 19 came in"):
        pipeline.run(job, place.rules(RULES), *place.databases())
    assert "shop" not in place.schemas()
