"""Publishing: readers see the old schema or the new one, whatever else goes on, and a run that fails changes nothing."""

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from psycopg import sql
from psycopg.errors import InsufficientPrivilege

from multischema import pipeline
from multischema.errors import CheckError, ConnectionLost, DatabaseError, EtlError, VerifyError
from multischema.job import Job
from multischema.postgres import dropping, locks
from multischema.stages import anonymize as anonymizing
from multischema.stages import check as checking
from multischema.stages import index as indexing
from multischema.stages import publish as publishing
from multischema.stages import run
from multischema.stages import verify as verifying
from multischema.stages.run import Run
from multischema.statements import publishing as transaction
from tests.conftest import Place
from tests.support.gates import eventually, gate_at

# every row of both tables carries the number of the run that published it
ORIGIN = """
CREATE TABLE orders (id int PRIMARY KEY, run int, name text);
CREATE TABLE items (id int PRIMARY KEY, run int, order_id int REFERENCES orders);
INSERT INTO orders SELECT n, 1, 'Marie' FROM generate_series(1, 500) AS n;
INSERT INTO items SELECT n, 1, n FROM generate_series(1, 500) AS n;
"""
RULES = """
tables:
  - {table_name: orders, anonymized_column_names: [name], non_anonymized_column_names: [run]}
  - {table_name: items, non_anonymized_column_names: [run]}
"""
RUN_OF_ORDERS = "SELECT min(run), max(run), count(*) FROM shop.orders"
RUN_OF_ITEMS = "SELECT min(run), max(run), count(*) FROM shop.items"


def published(place: Place) -> Place:
    """Publish run 1."""
    place.in_origin(ORIGIN)
    place.run(RULES)
    return place


def publish_run(place: Place, number: int) -> list[str]:
    """Have both tables carry this number, publish them, and return the run's warnings."""
    place.in_origin(f"BEGIN; UPDATE orders SET run = {number}; UPDATE items SET run = {number}; COMMIT")
    return list(place.run(RULES).warnings)


@contextmanager
def reader(place: Place, **options: Any) -> Iterator[psycopg.Connection[Any]]:
    """Give a session of the reader."""
    with psycopg.connect(place.reader_url, autocommit=True, **options) as connection:
        yield connection


# A statement looks the names of its tables up one after the other: one that reads two tables may find the old run's first,
# and the new run's second, if the publication's commit falls into the microseconds between. No lock but one that readers
# would wait for rules that out; so what is promised, and tested, is a statement's view of each table.


def test_readers_who_query_all_the_time_see_whole_tables_of_one_run_and_never_an_error(place: Place) -> None:
    published(place)
    ended = threading.Event()
    seen: list[Counter[Any]] = []

    def query(statement: str, **options: Any) -> None:
        found: Counter[Any] = Counter()
        seen.append(found)
        with reader(place, **options) as connection:
            while not ended.wait(0.005):
                try:
                    found[connection.execute(statement.encode()).fetchall()[0]] += 1
                except psycopg.Error as error:
                    found[str(error)] += 1

    queries: list[tuple[str, dict[str, Any]]] = [
        (RUN_OF_ORDERS, {"prepare_threshold": None}),
        (RUN_OF_ITEMS, {"prepare_threshold": 0}),  # prepared once, planned again after each publication
    ]
    threads = [threading.Thread(target=query, args=(statement,), kwargs=options) for statement, options in queries]
    for thread in threads:
        thread.start()
    for number in range(2, 8):
        publish_run(place, number)
    ended.set()
    for thread in threads:
        thread.join()

    for found in seen:
        assert set(found) <= {(number, number, 500) for number in range(1, 8)}
        assert len(found) > 2
    assert place.read(RUN_OF_ORDERS) == [(7, 7, 500)]


@pytest.mark.parametrize("isolation", ["READ COMMITTED", "REPEATABLE READ"])
def test_each_statement_of_a_transaction_that_a_publication_overtakes_reads_whole_tables(
    isolation: str, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    published(place)
    impatient(monkeypatch)
    with reader(place) as connection:
        connection.execute(sql.SQL("BEGIN TRANSACTION ISOLATION LEVEL {}").format(sql.SQL(isolation)))
        assert connection.execute(RUN_OF_ORDERS).fetchall() == [(1, 1, 500)]
        publish_run(place, 2)
        # Names lead to tables anew in each statement, and the rows are frozen: they are seen by older snapshots too. What a
        # transaction does not get is one run for all its statements: only a statement does.
        assert connection.execute(RUN_OF_ITEMS).fetchall() == [(2, 2, 500)]
        assert connection.execute(RUN_OF_ORDERS).fetchall() == [(2, 2, 500)]
        join = "SELECT DISTINCT o.run, i.run FROM shop.orders AS o JOIN shop.items AS i ON i.order_id = o.id"
        assert connection.execute(join).fetchall() == [(2, 2)]
        connection.execute("COMMIT")


def test_publishing_alone_waits_for_the_disk(place: Place) -> None:
    place.in_target(
        """
        CREATE TABLE public.seen (tag text, setting text);
        CREATE FUNCTION public.see() RETURNS event_trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
        BEGIN
            INSERT INTO public.seen VALUES (tg_tag, current_setting('synchronous_commit'));
        END $$;
        CREATE EVENT TRIGGER see ON ddl_command_end EXECUTE FUNCTION public.see();
        """,
        superuser=True,
    )
    try:
        published(place)
    finally:
        place.in_target("DROP EVENT TRIGGER see", superuser=True)
    seen = dict(place.read("SELECT tag, string_agg(DISTINCT setting, ' ') FROM public.seen GROUP BY tag", as_="superuser"))
    assert seen["ALTER SCHEMA"] == "on"
    assert {seen[tag] for tag in ("CREATE SCHEMA", "CREATE TABLE", "CREATE INDEX", "ALTER TABLE")} == {"off"}


def test_a_query_that_began_before_reads_the_old_run_to_its_end_and_publishing_does_not_wait_for_it(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    published(place)
    impatient(monkeypatch)
    with reader(place) as connection, connection.transaction():
        with connection.cursor("dashboard") as cursor:
            cursor.itersize = 10
            cursor.execute("SELECT o.run, i.run FROM shop.orders AS o JOIN shop.items AS i ON i.order_id = o.id")
            assert cursor.fetchmany(5) == [(1, 1)] * 5
            publish_run(place, 2)
            assert place.read(RUN_OF_ORDERS) == [(2, 2, 500)]
            assert cursor.fetchall() == [(1, 1)] * 495


def stays(old: str, place: Place, connection: psycopg.Connection[Any]) -> str:
    """Return the warning of an old schema that a session of the reader's keeps."""
    pid = connection.info.backend_pid
    return (
        f"schema {old} stays: session {pid} of role {place.reader} keeps it; the next run tries again, or end it "
        f"{place.in_its_target}: SELECT pg_terminate_backend({pid})"
    )


def test_an_old_schema_that_a_query_holds_is_hidden_and_a_later_run_drops_it(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    published(place)
    impatient(monkeypatch)
    with reader(place) as connection, connection.transaction():
        connection.execute(RUN_OF_ORDERS)
        warnings = publish_run(place, 2)
        (old,) = place.schemas() - {"shop"}
        assert old.startswith("etl_old_shop_")
        assert stays(old, place, connection) in warnings
        assert place.sessions() == {"origin": 0, "target": 0}
        with pytest.raises(InsufficientPrivilege):
            place.read(f"SELECT * FROM {old}.orders")
        # it is still held: the next run publishes none the less, and now there are two
        publish_run(place, 3)
        assert old in place.schemas()
    publish_run(place, 4)
    assert place.schemas() == {"shop"}
    assert place.read(RUN_OF_ITEMS) == [(4, 4, 500)]


def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have runs give up an old schema that is in use after a moment."""
    monkeypatch.setattr(dropping, "_PATIENCE", 0.2)
    monkeypatch.setattr(locks, "_PATIENT_LOCK_TIMEOUT", "100ms")


def test_dropping_a_schema_leaves_the_session_its_lock_timeout(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.in_origin(ORIGIN)
    found = []
    swap = publishing.swap

    def look(connection: psycopg.Connection[dict[str, Any]], *others: Any) -> publishing.Publication:
        found.append(connection.execute("SHOW lock_timeout").fetchall())
        return swap(connection, *others)

    monkeypatch.setattr(publishing, "swap", look)
    place.in_target("CREATE SCHEMA etl_staging_shop_0123abcd")
    place.run(RULES)
    assert found == [[{"lock_timeout": "5min"}]]


def test_the_first_publication_needs_no_schema_before_it(place: Place) -> None:
    published(place)
    assert place.read(RUN_OF_ORDERS) == [(1, 1, 500)]
    assert place.schemas() == {"shop"}


def test_grants_to_others_pass_from_the_old_schema_to_the_new_one(place: Place) -> None:
    published(place)
    guest, friend = f"guest {place.number}", f"friend_{place.number}"
    place.in_target(
        f"""
        CREATE ROLE "{guest}";
        CREATE ROLE {friend};
        GRANT USAGE ON SCHEMA shop TO {place.reader} WITH GRANT OPTION;
        GRANT USAGE ON SCHEMA shop TO "{guest}", PUBLIC;
        SET ROLE {place.reader};
        GRANT USAGE ON SCHEMA shop TO {friend};
        """,
        superuser=True,
    )
    with reader(place) as connection, connection.transaction():
        connection.execute(RUN_OF_ORDERS)
        with pytest.MonkeyPatch.context() as patched:
            impatient(patched)
            warnings = publish_run(place, 2)
        old = next(name for name in place.schemas() if name != "shop")
        kept = stays(old, place, connection)
        rights = f"SELECT nspname, nspacl::text[] FROM pg_namespace WHERE nspname IN ('shop', '{old}') ORDER BY 1"
        assert place.read(rights) == [
            (old, [f"{place.etl}=UC/{place.etl}"]),
            (
                "shop",
                [
                    f"{place.etl}=UC/{place.etl}",
                    f"{place.reader}=U*/{place.etl}",
                    f"{friend}=U/{place.etl}",
                    f'"{guest}"=U/{place.etl}',
                    f"=U/{place.etl}",
                ],
            ),
        ]
    assert warnings == [kept]
    assert publish_run(place, 3) == []


def test_a_view_made_between_check_and_publish_stops_the_run(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    published(place)
    view = "CREATE VIEW public.latest AS SELECT * FROM shop.orders"
    for stage in ("verify", "publish"):
        with monkeypatch.context() as patched:
            before(patched, stage, lambda job: place.in_target(view, superuser=True))
            with pytest.raises(VerifyError, match=r"view public\.latest"):
                publish_run(place, 2)
        assert place.read("SELECT min(run), max(run), count(*) FROM public.latest", as_="superuser") == [(1, 1, 500)]
        assert place.schemas() == {"shop"}
        with pytest.raises(CheckError, match=r"view public\.latest"):
            publish_run(place, 2)
        place.in_target("DROP VIEW public.latest", superuser=True)
    publish_run(place, 3)


def test_a_published_schema_that_someone_drops_meanwhile_is_published_anew(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    published(place)
    before(monkeypatch, "publish", lambda job: place.in_target("DROP SCHEMA shop CASCADE"))
    publish_run(place, 2)
    assert place.read(RUN_OF_ORDERS) == [(2, 2, 500)]


def before(monkeypatch: pytest.MonkeyPatch, stage: str, act: Callable[[Job], None]) -> None:
    """Have something happen right before a stage."""
    work = getattr(pipeline, stage)

    def act_then_work(run: Run, *others: Any) -> Any:
        act(run.job)
        return work(run, *others)

    monkeypatch.setattr(pipeline, stage, act_then_work)


# A run that fails leaves the published schema as it was, and nothing else.


def untouched(place: Place) -> None:
    """See that run 1 is published, and that nothing is left of a later run: no schema, no session, no lock."""
    assert place.read(RUN_OF_ORDERS) == [(1, 1, 500)]
    assert place.read(RUN_OF_ITEMS) == [(1, 1, 500)]
    assert place.schemas() == {"shop"}
    eventually(lambda: place.sessions() == {"origin": 0, "target": 0}, "no session")
    assert advisory_locks(place) == []


def advisory_locks(place: Place) -> list[tuple[Any, ...]]:
    """Return the locks of apps that are held in the target."""
    return place.read(
        "SELECT pid FROM pg_locks WHERE locktype = 'advisory' "
        "AND database = (SELECT oid FROM pg_database WHERE datname = current_database())",
        as_="superuser",
    )


FAILURES: dict[str, Callable[[pytest.MonkeyPatch], None]] = {
    "check": lambda patched: failing(patched, checking, "_check_origin"),
    "anonymize, before the first table": lambda patched: failing(patched, run, "export_snapshot"),
    "anonymize, after the last table": lambda patched: failing(patched, anonymizing, "refuse_changes"),
    "copy": lambda patched: failing(patched, anonymizing, "copy_table"),
    "index": lambda patched: failing(patched, indexing, "build_index"),
    "index, foreign keys": lambda patched: failing(patched, indexing, "build_keys"),
    "index, statistics": lambda patched: failing(patched, indexing, "analyze"),
    "verify, tables": lambda patched: failing(patched, verifying, "verify_table"),
    "verify, rights": lambda patched: failing(patched, verifying.reader, "verify_rights"),
    "publish": lambda patched: failing(patched, pipeline, "publish"),
    "publish, after its last statement": lambda patched: failing_at_last_statement(patched),
}


def failing(patched: pytest.MonkeyPatch, module: Any, name: str) -> None:
    """Have a function fail, as a mistake of ours would make it."""

    def fail(*arguments: Any, **more: Any) -> None:
        raise RuntimeError(f"made to fail: {name}")

    patched.setattr(module, name, fail)


def failing_at_last_statement(patched: pytest.MonkeyPatch) -> None:
    """Have the publishing transaction fail when all is done but its commit."""
    statements = transaction.publish

    def then_fail(*arguments: Any) -> Iterator[Any]:
        yield from statements(*arguments)
        raise RuntimeError("made to fail: publish")

    patched.setattr(transaction, "publish", then_fail)


def test_a_run_that_fails_in_any_stage_leaves_the_old_schema_as_it_was(place: Place) -> None:
    published(place)
    for stage, fail in FAILURES.items():
        with pytest.MonkeyPatch.context() as patched:
            fail(patched)
            with pytest.raises(RuntimeError, match="made to fail"):
                publish_run(place, 2)
        try:
            untouched(place)
        except AssertionError as error:
            raise AssertionError(f"after a failure in {stage}") from error
    publish_run(place, 3)
    assert place.read(RUN_OF_ORDERS) == [(3, 3, 500)]


@pytest.mark.parametrize(
    ("tag", "doing"),
    [
        ("CREATE SCHEMA", "creating schema"),
        ("CREATE TABLE", "creating table"),
        ("CREATE INDEX", "building index"),
        ("ALTER TABLE", "adding key"),
        ("ALTER SCHEMA", "publishing schema shop"),
        ("GRANT", "publishing schema shop"),
    ],
)
def test_a_statement_that_the_target_cuts_fails_the_run_in_one_line_and_changes_nothing(
    tag: str, doing: str, place: Place
) -> None:
    published(place)
    failed: list[BaseException] = []

    def run() -> None:
        try:
            publish_run(place, 2)
        except EtlError as error:
            failed.append(error)

    with gate_at(place, tag) as gate:
        thread = threading.Thread(target=run)
        thread.start()
        place.in_target(f"SELECT pg_terminate_backend({gate.reached()})", superuser=True)
        thread.join()

    (error,) = failed
    assert isinstance(error, ConnectionLost)
    assert str(error).startswith(f"target: {doing}")
    assert "\n" not in str(error)
    untouched(place)


def test_a_statement_that_the_target_refuses_fails_the_run_and_changes_nothing(place: Place) -> None:
    published(place)
    for tag in ("CREATE SCHEMA", "CREATE TABLE", "ALTER TABLE", "ALTER SCHEMA", "GRANT", "COMMENT"):
        place.in_origin("COMMENT ON TABLE orders IS 'what was ordered'")
        place.in_target(
            f"""
            CREATE OR REPLACE FUNCTION public.refuse() RETURNS event_trigger LANGUAGE plpgsql AS
                $$BEGIN RAISE EXCEPTION 'no' USING ERRCODE = 'disk_full'; END$$;
            CREATE EVENT TRIGGER refuse ON ddl_command_end WHEN TAG IN ('{tag}') EXECUTE FUNCTION public.refuse();
            """,
            superuser=True,
        )
        with pytest.raises(DatabaseError, match=r"^target: .* failed: "):
            publish_run(place, 2)
        place.in_target("DROP EVENT TRIGGER refuse", superuser=True)
        untouched(place)


def test_what_can_not_be_dropped_fails_no_run_that_has_published(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    published(place)
    impatient(monkeypatch)

    def build_on_it(job: Job) -> None:
        (old,) = (name for name in place.schemas() if name.startswith("etl_old_shop_"))
        place.in_target(f"CREATE VIEW public.late AS SELECT * FROM {old}.orders", superuser=True)

    before(monkeypatch, "clean", build_on_it)
    warnings = publish_run(place, 2)
    assert any(
        warning.endswith("stays: rule _RETURN on view public.late keeps it; the next run tries again")
        for warning in warnings
    )
    assert place.read(RUN_OF_ORDERS) == [(2, 2, 500)]
    assert place.read("SELECT count(*) FROM public.late", as_="superuser") == [(500,)]


def test_a_run_whose_cleaning_fails_has_published(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    published(place)
    with monkeypatch.context() as patched:
        failing(patched, pipeline, "clean")
        with pytest.raises(RuntimeError):
            publish_run(place, 2)
    assert place.read(RUN_OF_ORDERS) == [(2, 2, 500)]
    publish_run(place, 3)
    assert place.schemas() == {"shop"}


@pytest.mark.slow
def test_a_thousand_tables_are_published_and_dropped_with_the_locks_that_a_server_has(place: Place) -> None:
    names = [f"t{n}" for n in range(1000)]
    place.in_origin(
        "DO $$ BEGIN FOR n IN 0..999 LOOP "
        "EXECUTE format('CREATE TABLE t%s (id int PRIMARY KEY, a int)', n); END LOOP; END $$"
    )
    rules = "tables:\n" + "".join(f"  - {{table_name: {name}, non_anonymized_column_names: [a]}}\n" for name in names)
    place.run(rules)
    place.run(rules)
    assert place.schemas() == {"shop"}
    assert place.read("SELECT count(*) FROM pg_tables WHERE schemaname = 'shop'") == [(1000,)]
