"""The history of runs in the target: what a run writes there, who may read it, and what stands in its way."""

import re
import threading
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from multischema.errors import CheckError, EtlError, VerifyError
from multischema.stages import history
from multischema.version import VERSION
from tests.conftest import ROOT, Place
from tests.support import ledger
from tests.support.gates import PATIENCE
from tests.support.runs import Running, terminate

ORIGIN = """
CREATE TABLE users (id int PRIMARY KEY, name text, born date);
CREATE TABLE visits (id int PRIMARY KEY, place text);
CREATE TABLE versions (id int PRIMARY KEY, item text);
INSERT INTO users SELECT n, 'Marie', '1867-11-07' FROM generate_series(1, 30) AS n;
INSERT INTO visits SELECT n, 'Paris' FROM generate_series(1, 500) AS n;
INSERT INTO versions VALUES (1, 'secret');
"""
RULES = """
tables:
  - table_name: users
    anonymized_column_names: [name, born]
  - table_name: visits
    non_anonymized_column_names: [place]
  - table_name: versions
    truncated: true
"""
RUNS = "SELECT app, schema, kind, rows, warnings, version FROM etl_report.runs ORDER BY id"
TABLES = "SELECT run, name, rows, masked_columns FROM etl_report.tables ORDER BY run, name"
ROWS = [("users", 30, ["name", "born"]), ("versions", 0, []), ("visits", 500, [])]


def published(place: Place, **changes: object) -> Place:
    """Publish the origin once."""
    place.in_origin(ORIGIN)
    place.run(RULES, **changes)
    return place


def test_the_reader_reads_what_a_full_run_published_when(place: Place) -> None:
    before = datetime.now(UTC)
    published(place)
    assert place.read(RUNS) == [("shop", "shop", "full", 530, 0, VERSION)]
    ((run,),) = place.read("SELECT id FROM etl_report.runs")
    assert place.read(TABLES) == [(run, *row) for row in ROWS]
    ((snapshot, at, seconds, size),) = place.read("SELECT snapshot_at, published_at, seconds, bytes FROM etl_report.runs")
    assert before < snapshot < at < datetime.now(UTC)
    assert 0 < seconds < (datetime.now(UTC) - before).total_seconds()
    assert [(size,)] == place.read(
        "SELECT sum(pg_total_relation_size(oid)) FROM pg_class WHERE relkind = 'r' AND relnamespace = 'shop'::regnamespace"
    )


def test_a_refresh_writes_its_tables_and_one_that_found_nothing_changed_its_snapshot_alone(place: Place) -> None:
    published(place, refresh="auto")
    place.in_origin("DELETE FROM visits WHERE id = 1; INSERT INTO users VALUES (31, 'Pierre', NULL)")
    place.run(RULES, refresh="auto")
    place.run(RULES, refresh="auto")
    found = place.read("SELECT id, kind, rows, bytes, snapshot_at FROM etl_report.runs ORDER BY id")
    ((_, kind, *_), refresh, nothing) = found
    assert (kind, refresh[1:3], nothing[1:3]) == ("full", ("refresh", 530), ("refresh", 530))
    assert nothing[3] == refresh[3]
    assert nothing[4] > refresh[4]
    tables = place.read(TABLES)
    assert [row[1:] for row in tables if row[0] == refresh[0]] == [
        ("users", 31, ["name", "born"]),
        ("versions", 0, []),
        ("visits", 499, []),
    ]
    assert nothing[0] not in [row[0] for row in tables]


def test_the_history_of_a_refresh_in_which_only_others_wrote_has_no_tables(place: Place) -> None:
    published(place, refresh="auto")
    place.in_origin("CREATE TABLE other (id int); DROP TABLE other")
    done = place.run(RULES, refresh="auto")
    assert done.refreshed
    assert done.choice.written
    assert place.read("SELECT kind, rows FROM etl_report.runs ORDER BY id") == [("full", 530), ("refresh", 530)]
    assert place.read("SELECT count(DISTINCT run) FROM etl_report.tables") == [(1,)]


def test_a_run_that_fails_writes_no_history(place: Place) -> None:
    published(place)
    found = place.read(RUNS), place.read(TABLES)
    place.in_target(f"CREATE TABLE public.raw (); GRANT SELECT ON public.raw TO {place.reader}")
    with pytest.raises(CheckError):
        place.run(RULES)
    assert (place.read(RUNS), place.read(TABLES)) == found


@pytest.mark.parametrize("refresh", ["full", "auto"])
def test_a_run_whose_session_ends_while_it_writes_the_history_publishes_neither(place: Place, refresh: str) -> None:
    published(place, refresh="auto")
    found = ledger.rows(place), place.read(RUNS), place.read(TABLES)
    place.in_origin("DELETE FROM visits WHERE id = 1")
    with ledger.held(place, "LOCK TABLE etl_report.runs IN SHARE MODE"):
        running = Running(place, text=RULES, refresh=refresh)
        terminate(place.target_server, place.name, ledger.waiting(place, "etl_report.runs"))
        assert isinstance(running.ended(), EtlError)
        assert (ledger.rows(place), place.read(RUNS), place.read(TABLES)) == found
    place.run(RULES, refresh=refresh)
    assert place.read("SELECT count(*) FROM shop.visits") == [(499,)]
    assert [row[2:4] for row in place.read(RUNS)] == [("full", 530), ("full" if refresh == "full" else "refresh", 529)]


def test_the_history_is_kept_for_a_year_whatever_app_it_is_of(place: Place) -> None:
    published(place)
    place.in_target(
        "UPDATE etl_report.runs SET published_at = now() - interval '1 year 1 hour', app = 'gone'; "
        "INSERT INTO etl_report.runs (app, schema, published_at) VALUES ('gone', 'gone', now() - interval '364 days')"
    )
    place.run(RULES)
    assert place.read("SELECT app FROM etl_report.runs ORDER BY id") == [("gone",), ("shop",)]
    assert place.read("SELECT count(DISTINCT run) FROM etl_report.tables") == [(1,)]


def test_old_runs_that_another_run_deletes_already_make_none_wait(place: Place) -> None:
    published(place)
    place.in_target("UPDATE etl_report.runs SET published_at = now() - interval '2 years'")
    with psycopg.connect(place.target_url) as other:
        other.execute("DELETE FROM etl_report.runs")
        running = Running(place, text=RULES)
        running.ended()
    assert place.read(RUNS, as_="etl") == [("shop", "shop", "full", 530, 0, VERSION)]


def test_apps_with_other_readers_share_the_history(place: Place) -> None:
    published(place)
    place.in_target(f"CREATE ROLE second_{place.number} LOGIN", superuser=True)
    place.run(RULES, app="other", schema="other", reader=f"second_{place.number}")
    for reader in (place.reader, f"second_{place.number}"):
        assert place.read(
            f"SELECT has_schema_privilege('{reader}', 'etl_report', 'USAGE'), "
            f"has_table_privilege('{reader}', 'etl_report.runs', 'SELECT'), "
            f"has_table_privilege('{reader}', 'etl_report.tables', 'SELECT'), "
            f"has_table_privilege('{reader}', 'etl_report.runs', 'INSERT')"
        ) == [(True, True, True, False)]


def test_default_privileges_show_the_history_to_nobody_else(place: Place) -> None:
    guest = f"guest_{place.number}"
    place.in_target(
        f"CREATE ROLE {guest}; ALTER DEFAULT PRIVILEGES FOR ROLE {place.etl} GRANT SELECT, UPDATE ON TABLES TO {guest}, "
        f"{place.reader}; ALTER DEFAULT PRIVILEGES FOR ROLE {place.etl} GRANT ALL ON SCHEMAS TO {guest}, {place.reader}",
        superuser=True,
    )
    published(place)
    assert place.read(
        f"SELECT has_schema_privilege('{guest}', 'etl_report', 'USAGE'), "
        f"has_table_privilege('{guest}', 'etl_report.tables', 'SELECT'), "
        f"has_schema_privilege('{place.reader}', 'etl_report', 'CREATE'), "
        f"has_table_privilege('{place.reader}', 'etl_report.tables', 'UPDATE')"
    ) == [(False, False, False, False)]
    assert place.read("SELECT count(*) FROM etl_report.tables") == [(3,)]


def test_a_table_that_is_made_anew_is_shown_to_nobody_else_and_the_others_keep_their_readers(place: Place) -> None:
    published(place)
    guest, analyst = f"guest_{place.number}", f"analyst_{place.number}"
    place.in_target(
        f"CREATE ROLE {guest}; CREATE ROLE {analyst}; GRANT SELECT ON etl_report.runs TO {analyst};"
        f"ALTER DEFAULT PRIVILEGES FOR ROLE {place.etl} GRANT SELECT, INSERT ON TABLES TO {guest};"
        "DROP TABLE etl_report.tables",
        superuser=True,
    )
    place.run(RULES)
    assert [row[1:] for row in place.read(TABLES)] == ROWS
    assert place.read(
        f"SELECT has_table_privilege('{guest}', 'etl_report.tables', 'SELECT, INSERT'), "
        f"has_table_privilege('{analyst}', 'etl_report.runs', 'SELECT')"
    ) == [(False, True)]


@pytest.mark.parametrize("lacking", ["DROP SCHEMA etl_report CASCADE", "DROP TABLE etl_report.tables, etl_report.runs"])
def test_two_apps_make_the_place_at_the_same_time(lacking: str, place: Place) -> None:
    """Each waits where the other has it, and finds it; neither grants while the other does."""
    published(place)
    place.in_target(lacking)
    jobs = [place.job(app=name, schema=name) for name in ("one", "two", "three", "four")]
    start = threading.Barrier(len(jobs))
    found: list[BaseException] = []

    def prepare(number: int) -> None:
        with psycopg.connect(place.target_url, autocommit=True, row_factory=psycopg.rows.dict_row) as connection:
            start.wait(PATIENCE)
            try:
                history.prepare(connection, jobs[number])
            except BaseException as error:
                found.append(error)

    threads = [threading.Thread(target=prepare, args=(number,)) for number in range(len(jobs))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert found == []
    assert place.read(RUNS) == []


def test_views_that_others_built_on_the_history_stay(place: Place) -> None:
    published(place)
    analyst = f"analyst_{place.number}"
    place.in_target(
        f"CREATE ROLE {analyst}; CREATE SCHEMA board AUTHORIZATION {analyst}; GRANT USAGE ON SCHEMA etl_report TO {analyst};"
        f"GRANT SELECT ON etl_report.runs TO {analyst}; GRANT USAGE ON SCHEMA board TO {place.reader}; SET ROLE {analyst};"
        f"CREATE VIEW board.fresh AS SELECT schema, max(snapshot_at), count(*) FROM etl_report.runs GROUP BY 1;"
        f"GRANT SELECT ON board.fresh TO {place.reader}",
        superuser=True,
    )
    oid = place.read("SELECT 'board.fresh'::regclass::oid")
    place.run(RULES)
    assert place.read("SELECT schema, count FROM board.fresh") == [("shop", 2)]
    assert place.read("SELECT 'board.fresh'::regclass::oid") == oid


def test_a_column_or_table_that_the_place_lacks_is_added_and_others_stay(place: Place) -> None:
    """A later version has columns that this one does not know, and adds those that it misses."""
    published(place)
    place.in_target("ALTER TABLE etl_report.runs DROP COLUMN warnings, ADD COLUMN cost int; DROP TABLE etl_report.tables;")
    place.run(RULES)
    assert place.read("SELECT warnings, cost FROM etl_report.runs ORDER BY id") == [(None, None), (0, None)]
    assert [row[1:] for row in place.read(TABLES)] == ROWS
    place.in_target("ALTER TABLE etl_report.runs DROP COLUMN rows; ALTER TABLE etl_report.tables DROP COLUMN rows")
    place.in_origin("DELETE FROM visits WHERE id > 300")
    place.run(RULES)
    assert place.read("SELECT rows FROM etl_report.runs ORDER BY id") == [(None,), (None,), (330,)]


def test_a_history_that_somebody_dropped_begins_anew(place: Place) -> None:
    published(place, refresh="auto")
    place.in_target("DROP SCHEMA etl_report CASCADE")
    assert place.run(RULES, refresh="auto").refreshed
    assert place.read(RUNS) == [("shop", "shop", "refresh", 530, 0, VERSION)]


def test_the_schema_of_the_history_has_the_name_that_the_job_gives(place: Place) -> None:
    published(place, report_schema='how "old"')
    assert place.read('SELECT app FROM "how ""old""".runs') == [("shop",)]
    assert place.schemas() == {"shop", 'how "old"'}


STRANGE = {
    "CREATE SCHEMA etl_report AUTHORIZATION postgres": (
        "target: schema etl_report belongs to role postgres, and the history of runs can't be kept there; name another with "
        "report_schema (--report-schema), or have that role drop or rename it"
    ),
    "CREATE SCHEMA etl_report AUTHORIZATION {etl}": (
        "target: schema etl_report exists, but no run made it to keep the history of runs: its comment does not say so; "
        "name another with report_schema (--report-schema), or drop or rename it"
    ),
}


@pytest.mark.parametrize("statement", STRANGE)
def test_a_schema_of_that_name_that_no_run_made_is_refused_and_stays(place: Place, statement: str) -> None:
    place.in_origin(ORIGIN)
    place.in_target(statement.format(etl=place.etl), superuser=True)
    with pytest.raises(CheckError) as failed:
        place.run(RULES)
    assert str(failed.value) == STRANGE[statement]
    assert place.read("SELECT count(*) FROM pg_namespace WHERE nspname = 'etl_report'") == [(1,)]
    place.run(RULES, report_schema="elsewhere")
    assert place.read("SELECT app FROM elsewhere.runs") == [("shop",)]


GUESTS = {
    "CREATE TRIGGER t BEFORE UPDATE ON etl_report.runs EXECUTE FUNCTION tsvector_update_trigger()": (
        "target: trigger t is on table runs of schema etl_report, and could hide, copy or alter the history of runs; drop it"
    ),
    "CREATE RULE r AS ON INSERT TO etl_report.tables DO ALSO NOTHING": (
        "target: rule r is on table tables of schema etl_report, and could hide, copy or alter the history of runs; drop it"
    ),
    "ALTER TABLE etl_report.runs ENABLE ROW LEVEL SECURITY": (
        "target: row security is on for table runs of schema etl_report, and could hide, copy or alter the history of runs; "
        "drop it"
    ),
    "CREATE TABLE public.mine (run bigint REFERENCES etl_report.runs)": (
        "target: foreign key mine_run_fkey of public.mine is on table runs of schema etl_report, and could hide, copy or "
        "alter the history of runs; drop it"
    ),
    "CREATE TABLE public.child () INHERITS (etl_report.tables)": (
        "target: child public.child is on table tables of schema etl_report, and could hide, copy or alter the history of "
        "runs; drop it"
    ),
    "ALTER TABLE etl_report.runs OWNER TO postgres": (
        "target: etl_report.runs is no table of this role's, and the history of runs can't be kept there; rename it"
    ),
    "ALTER TABLE etl_report.tables RENAME TO t; CREATE VIEW etl_report.tables AS TABLE etl_report.t": (
        "target: etl_report.tables is no table of this role's, and the history of runs can't be kept there; rename it"
    ),
    "GRANT INSERT ON etl_report.tables TO {reader}": (
        "target: {reader} may write in the tables of schema etl_report, where only runs should; revoke all but SELECT"
    ),
    "GRANT UPDATE (rows) ON etl_report.tables TO PUBLIC": (
        "target: PUBLIC may write in the tables of schema etl_report, where only runs should; revoke all but SELECT"
    ),
}


@pytest.mark.parametrize("statement", GUESTS)
def test_what_others_put_on_the_history_is_refused_by_name(place: Place, statement: str) -> None:
    published(place)
    found = place.read(RUNS, as_="superuser")
    place.in_target(statement.format(reader=place.reader), superuser=True)
    with pytest.raises(CheckError) as failed:
        place.run(RULES)
    assert str(failed.value) == GUESTS[statement].format(reader=place.reader)
    assert place.read(RUNS, as_="superuser") == found


def test_what_comes_upon_the_history_while_a_run_builds_keeps_it_from_publishing(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    published(place)
    prepare = history.prepare

    def prepared(*arguments: object) -> None:
        prepare(*arguments)  # type: ignore[arg-type]
        place.in_target("ALTER TABLE etl_report.runs ENABLE ROW LEVEL SECURITY", superuser=True)

    monkeypatch.setattr(history, "prepare", prepared)
    with pytest.raises(VerifyError, match="row security is on for table runs of schema etl_report"):
        place.run(RULES)
    assert place.read("SELECT count(*) FROM etl_report.runs", as_="etl") == [(1,)]


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        (
            {"schema": "etl_report", "report_schema": "elsewhere"},
            "target: schema 'etl_report' can't be published: etl_report is reserved for the history of runs",
        ),
        (
            {"report_schema": "shop"},
            "target: the history of runs can't be kept in schema 'shop': it is the published one; name another with "
            "report_schema (--report-schema)",
        ),
        (
            {"report_schema": "etl_state"},
            "target: the history of runs can't be kept in schema 'etl_state': public, information_schema, pg_… and the "
            "ETL's own etl_staging_…, etl_old_… and etl_state are reserved; name another with report_schema "
            "(--report-schema)",
        ),
        (
            {"report_schema": "é" * 32},
            f"target: the history of runs can't be kept in schema '{'é' * 32}': it has 64 bytes; at most 63 are a name; "
            "name another with report_schema (--report-schema)",
        ),
    ],
)
def test_names_that_would_mix_history_and_data_are_refused(place: Place, changes: dict[str, str], line: str) -> None:
    place.in_origin(ORIGIN)
    with pytest.raises(CheckError) as failed:
        place.run(RULES, **changes)
    assert str(failed.value) == line


def test_a_schema_that_holds_the_history_is_never_published_over_even_if_it_is_to_be_adopted(place: Place) -> None:
    published(place, report_schema="history")
    with pytest.raises(CheckError) as failed:
        place.run(RULES, app="history", schema="history", adopt=True)
    assert str(failed.value) == "target: schema history holds the history of runs; publish under another name"
    assert place.read("SELECT app FROM history.runs") == [("shop",)]


def test_another_apps_schema_is_no_place_for_the_history(place: Place) -> None:
    published(place)
    with pytest.raises(CheckError, match="target: schema shop exists, but no run made it to keep the history of runs"):
        place.run(RULES, app="other", schema="other", report_schema="shop")


def test_an_origin_schema_with_the_name_of_the_history_is_streamed(place: Place) -> None:
    place.in_origin("CREATE SCHEMA etl_report; SET search_path = etl_report;" + ORIGIN)
    place.run(RULES, origin_schema="etl_report")
    assert place.read("SELECT rows FROM etl_report.runs") == [(530,)]


def test_the_snapshots_time_is_on_the_origins_clock_and_before_all_that_it_lacks(place: Place) -> None:
    published(place)
    place.in_origin("CREATE TABLE moments AS SELECT clock_timestamp() AS at")
    ((at,),) = place.read("SELECT snapshot_at FROM etl_report.runs")
    with psycopg.connect(place.origin_url) as connection:
        ((later,),) = connection.execute("SELECT at FROM moments").fetchall()
    assert timedelta() < later - at < timedelta(seconds=PATIENCE)


def questions() -> list[str]:
    """Return the questions of the docs: how old the data is, what is too old, how a table grew."""
    section = (ROOT / "docs" / "metabase.md").read_text().partition("## How old is the data")[2].partition("\n## ")[0]
    return re.findall("```sql\n(.*?)```", section, re.DOTALL)


def test_the_questions_of_the_docs_answer_the_reader(place: Place) -> None:
    published(place, app="rdvs", schema="rdvs")
    as_of, too_old, growth = [place.read(text) for text in questions()]
    ((snapshot, at),) = place.read("SELECT snapshot_at, published_at FROM etl_report.runs")
    assert as_of == [("rdvs", snapshot, 0)]
    assert sorted(too_old) == [("aei", None), ("rdvi", None), ("rdvsp", None)]  # never published
    assert growth == [(at.replace(hour=0, minute=0, second=0, microsecond=0), 30)]


def test_the_questions_of_the_docs_tell_of_what_is_published_not_of_what_was_or_of_a_trial(place: Place) -> None:
    place.in_origin(ORIGIN)
    for schema in ("rdvs", "rdvs_trial", "rdvi", "aei", "rdvsp"):
        place.run(RULES, app=schema.partition("_")[0], schema=schema)
    add = (
        "INSERT INTO etl_report.runs (app, schema, snapshot_at, published_at) "
        "VALUES ('{0}', '{0}', now() - interval '{1} hours', now() - interval '{2} hours')"
    )
    # an older backup after a newer snapshot, one of unknown time published long ago, one in time, a schema that is gone
    place.in_target(add.format("rdvs", 50, 1))
    place.in_target(
        "UPDATE etl_report.runs SET snapshot_at = NULL, published_at = now() - interval '75 hours' WHERE app = 'rdvi'"
    )
    place.in_target(add.format("aei", 700, 700))
    place.in_target("DROP SCHEMA rdvsp CASCADE")
    as_of, too_old, growth = [place.read(text) for text in questions()]
    assert [(schema, at is not None, age) for schema, at, age in as_of] == [
        ("aei", True, 700),
        ("rdvi", False, 75),
        ("rdvs", True, 50),
        ("rdvs_trial", True, 0),
    ]
    assert sorted(schema for schema, _ in too_old) == ["rdvi", "rdvs", "rdvsp"]
    assert [rows for _, rows in growth] == [30]
