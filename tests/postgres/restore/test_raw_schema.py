"""The raw schema: others' objects in it stay, nobody reads raw data there, and one run at a time fills it."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from multischema import pipeline
from multischema.errors import CheckError, LockTimeout, VerifyError
from multischema.postgres import dropping, sessions
from multischema.postgres.connecting import Connection
from multischema.postgres.sessions import Sessions
from multischema.stages import raw_schema, restore
from tests.conftest import Place
from tests.support.clients import left_in
from tests.support.dumps import (
    MEMBERS,
    ORIGIN,
    RULES,
    backup,
    in_stage,
    nothing_left,
    published,
    run_of_users,
)
from tests.support.readers import Watched

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("private")]


def test_what_others_have_in_public_is_refused_by_name_and_dropped_only_on_demand(place: Place, private: Path) -> None:
    place.in_origin(ORIGIN)
    place.in_target(
        'CREATE TABLE "their Table" (id int); CREATE VIEW their_view AS SELECT 1; CREATE TYPE their_type AS ENUM ();'
        "CREATE FUNCTION their_function(int) RETURNS int LANGUAGE sql AS 'SELECT 1'"
    )
    with pytest.raises(CheckError) as failed:
        place.run(RULES, mode="dump")
    assert [problem.partition(" of role")[0] for problem in failed.value.problems] == [
        'target: table public."their Table"',
        "target: view public.their_view",
        "target: type public.their_type",
        "target: function public.their_function(integer)",
    ]
    assert "clear_raw" in failed.value.problems[0]
    place.run(RULES)
    assert place.read("SELECT 1 FROM public.their_view", as_="etl") == [(1,)]
    place.run(RULES, mode="dump", clear_raw=True)
    nothing_left(place, private)


@pytest.mark.parametrize("clear", [False, True])
def test_a_schema_of_the_target_that_is_named_like_the_origins_is_never_filled_nor_dropped(
    clear: bool, place: Place, private: Path
) -> None:
    place.in_origin("CREATE SCHEMA sales; SET search_path = sales;" + ORIGIN)
    place.in_target("CREATE SCHEMA sales; CREATE TABLE sales.theirs (id int)")
    with pytest.raises(CheckError) as failed:
        place.run(RULES, mode="dump", origin_schema="sales", clear_raw=clear)
    assert failed.value.problems == (
        "target: schema sales is there, and mode dump would fill and drop it; rename it, or use mode stream",
    )
    assert place.read("SELECT count(*) FROM sales.theirs", as_="etl") == [(0,)]
    with pytest.raises(CheckError, match="it is the published one; publish under another name, or use mode stream"):
        place.run(RULES, mode="dump", origin_schema="sales", schema="sales", clear_raw=clear)
    assert left_in(private) == []


def test_a_table_of_another_role_stays_even_on_demand(place: Place, private: Path) -> None:
    place.in_origin(ORIGIN)
    place.in_target("CREATE TABLE public.theirs (id int)", superuser=True)
    with pytest.raises(CheckError) as failed:
        place.run(RULES, mode="dump", clear_raw=True)
    assert failed.value.problems == ("target: table public.theirs of role postgres stays in schema public; drop it",)
    assert place.read("SELECT count(*) FROM public.theirs", as_="superuser") == [(0,)]
    assert place.schemas() == set()
    assert place.read(MEMBERS.replace("t.typname FROM pg_type AS t", "t.typname FROM pg_type AS t"), as_="superuser")[0] == (
        "theirs",
    )


def test_a_view_of_others_on_raw_data_keeps_no_row_of_it_and_the_next_run_names_the_view(
    place: Place, monkeypatch: pytest.MonkeyPatch, private: Path
) -> None:
    published(place)
    monkeypatch.setattr(dropping, "_PATIENCE", 0)
    with monkeypatch.context() as patch:
        view = "CREATE VIEW public.theirs AS SELECT * FROM public.users"
        in_stage(patch, "anonymize", lambda: place.in_target(view, superuser=True))
        assert place.run(RULES, mode="dump").warnings == (
            "schema public stays: it is in use, or others made something in it; the next run tries again",
        )
    assert run_of_users(place) == 2
    assert place.read("SELECT count(*) FROM public.theirs", as_="superuser") == [(0,)]
    with pytest.raises(CheckError) as failed:
        place.run(RULES, mode="dump")
    assert failed.value.problems[0].startswith("target: view public.theirs of role postgres stands in schema public, ")
    place.in_target("DROP VIEW public.theirs", superuser=True)
    place.run(RULES)
    nothing_left(place, private)


def test_a_role_that_may_not_create_in_public_is_told_the_grant_before_anything_is_dumped(
    place: Place, tmp_path: Path, private: Path
) -> None:
    place.in_origin(ORIGIN)
    place.in_target(
        f"ALTER DATABASE {place.name} OWNER TO postgres; GRANT CREATE ON DATABASE {place.name} TO {place.etl}",
        superuser=True,
    )
    grant = f'GRANT USAGE, CREATE ON SCHEMA "public" TO "{place.etl}"'
    wanted = (
        f"target: role {place.etl} may not create tables in schema public, which mode dump fills with raw data; "
        f"{place.in_its_target}: {grant}"
    )
    for from_dump in ("", str(backup(place, tmp_path / "backup", "--format=custom"))):
        with pytest.raises(CheckError) as failed:
            place.run(RULES, mode="dump", from_dump=from_dump)
        assert failed.value.problems == (wanted,)
    place.in_target(grant, superuser=True)
    place.run(RULES, mode="dump")
    nothing_left(place, private)


def test_a_reader_that_could_read_raw_tables_stops_the_run_before_their_rows_come(
    place: Place, watched: Watched, private: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.in_origin(ORIGIN)
    place.run(RULES, mode="dump", **watched.options)
    hide = raw_schema.hide

    def hide_then_show(connection: Connection, schema: str) -> None:
        hide(connection, schema)
        place.in_target(f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {watched.quoted}")

    monkeypatch.setattr(raw_schema, "hide", hide_then_show)
    monkeypatch.setattr(restore, "_restore_rows", None)
    with pytest.raises(CheckError) as failed:
        place.run(RULES, mode="dump", **watched.options)
    assert failed.value.problems
    for line in failed.value.problems:
        assert line.startswith(f"target: the reader {watched.role} could read table public."), line
    nothing_left(place, private)


@pytest.mark.parametrize("to", ["PUBLIC", "{reader}", "analyst"])
@pytest.mark.parametrize("backed_up", [False, True])
def test_no_default_privilege_shows_raw_data_to_anybody(
    to: str, backed_up: bool, place: Place, private: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.in_origin(ORIGIN)
    analyst = f"analyst_{place.number}"
    place.in_target(f"CREATE ROLE {analyst}; GRANT USAGE ON SCHEMA public TO PUBLIC", superuser=True)
    who = {"analyst": analyst, "{reader}": place.reader}.get(to, to)
    place.in_target(
        f"ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO {who} WITH GRANT OPTION".replace(
            "PUBLIC WITH GRANT OPTION", "PUBLIC"
        )
    )
    seen: list[tuple[object, ...]] = []

    def look() -> None:
        seen.extend(
            place.read(
                "SELECT count(*), has_table_privilege($$" + (place.reader if to == "{reader}" else analyst) + "$$, "
                "'public.users', 'SELECT') FROM public.users",
                as_="superuser",
            )
        )

    file = str(backup(place, tmp_path / "backup", "--format=custom")) if backed_up else ""
    in_stage(monkeypatch, "index", look)
    place.run(RULES, mode="dump", from_dump=file)
    assert seen == [(20, False)]
    assert run_of_users(place) == 1
    nothing_left(place, private)


def test_rows_that_are_lost_between_the_origin_and_a_raw_table_fail_the_run(
    place: Place, private: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    published(place)
    restore = pipeline.restore

    def restore_then_lose(*arguments: Any, **more: Any) -> Any:
        restored = restore(*arguments, **more)
        place.in_target("DELETE FROM public.users WHERE id = 7")
        return restored

    monkeypatch.setattr(pipeline, "restore", restore_then_lose)
    with pytest.raises(VerifyError) as failed:
        place.run(RULES, mode="dump")
    assert str(failed.value) == "target: raw table users holds 19 rows; 20 left the origin; start again"
    assert run_of_users(place) == 1
    nothing_left(place, private)


def test_one_app_at_a_time_has_public_and_the_others_wait(
    place: Place, private: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("multischema.postgres.locks._LOCK_POLL", 0.05)
    place.in_origin(ORIGIN)
    with psycopg.connect(place.target_url) as other:
        other.execute("SELECT pg_advisory_lock(6648940, hashtext('public'))")
        with pytest.raises(LockTimeout, match="another run of schema public is still running"):
            place.run(RULES, mode="dump", lock_wait=0)
    place.run(RULES, mode="dump")
    with ThreadPoolExecutor() as executor:
        runs = [
            executor.submit(place.run, RULES, mode="dump", schema=schema, app=schema, lock_wait=60)
            for schema in ("one", "two")
        ]
        for run in runs:
            run.result()
    assert place.schemas() == {"shop", "one", "two"}
    assert place.read(MEMBERS, as_="superuser") == []
    assert left_in(private) == []


@pytest.mark.parametrize("schema", ["public", "sales"])
def test_what_another_run_makes_and_drops_meanwhile_is_no_strangers(schema: str, place: Place) -> None:
    job = place.job(mode="dump", origin_schema=schema)
    _, target = place.databases()
    with Sessions("looking") as looking, Sessions("others") as others, ThreadPoolExecutor() as executor:
        with others.lend(target, "shop") as connection:

            def enter_and_leave() -> None:
                for _ in range(100):
                    raw_schema.enter(connection, job, schema, ["users", "secrets"])
                    for name in ("users", "secrets"):
                        connection.execute(sql.SQL("CREATE TABLE {} (id int)").format(sql.Identifier(schema, name)))
                    assert raw_schema.leave_own(connection, schema)

            running = executor.submit(enter_and_leave)
            with looking.lend(target, "shop") as connection_of_check:
                while not running.done():
                    assert raw_schema.strangers(connection_of_check, job, schema) == []
            running.result()


def test_the_session_that_is_kept_alive_can_be_asked_for_strangers(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "HEARTBEAT", 0.0001)
    with Sessions("multi-schema test") as opened:
        held = opened.open(place.databases()[1])
        opened.keep_alive(held)
        assert [raw_schema.strangers(held, place.job(mode="dump"), "public") for _ in range(200)] == [[]] * 200


def test_raw_tables_are_in_no_wal_and_have_no_index(place: Place, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    place.in_origin(ORIGIN)
    question = (
        "SELECT c.relname, c.relpersistence, (SELECT count(*) FROM pg_index WHERE indrelid = c.oid), "
        "(SELECT count(*) FROM pg_constraint WHERE conrelid = c.oid AND contype <> 'n') "
        "FROM pg_class AS c WHERE relnamespace = 'public'::regnamespace"
    )
    seen: list[tuple[object, ...]] = []
    in_stage(monkeypatch, "anonymize", lambda: seen.extend(place.read(question, as_="etl")))
    file = backup(place, tmp_path / "backup", "--format=custom")
    place.run(RULES, mode="dump")
    place.run(RULES, mode="dump", from_dump=str(file))
    assert sorted(seen) == [("secrets", "u", 0, 0), ("users", "u", 0, 0), ("users", "u", 0, 0)]
