"""A live dump: what it needs and refuses of the origin, and what changes while pg_dump waits."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from multischema import pipeline
from multischema.errors import CheckError, OriginChanged
from multischema.postgres.database import Database
from tests.conftest import Place
from tests.support.clients import program
from tests.support.dumps import ORIGIN, RULES, nothing_left, published, run_of_users
from tests.support.gates import eventually

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("private")]


def test_where_all_tables_are_truncated_or_have_no_partition_nothing_is_dumped(
    place: Place, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, private: Path
) -> None:
    place.in_origin(ORIGIN)
    place.in_origin("CREATE TABLE visits (id int) PARTITION BY RANGE (id)")
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    program(tmp_path, "pg_dump", f'[[ "$*" == *--data-only* ]] && touch {tmp_path}/dumped; exec "$real" "$@"')
    rules = "tables: [{table_name: users, truncated: true}, {table_name: secrets, truncated: true}, {}]"
    for of_visits in ("{table_name: visits, truncated: true}", "{table_name: visits, non_anonymized_column_names: [id]}"):
        place.run(rules.replace("{}", of_visits), mode="dump")
    assert not (tmp_path / "dumped").exists()
    assert place.read("SELECT count(*) FROM shop.users") == [(0,)]
    nothing_left(place, private)


@pytest.mark.parametrize(("origin", "target"), [("16", "18"), ("18", "16")])
def test_a_role_that_may_select_the_tables_and_nothing_else_can_dump_them(
    origin: str, target: str, make_place: Callable[..., Place], private: Path
) -> None:
    place = make_place(origin, target)
    place.in_origin(ORIGIN)
    place.in_origin(
        "CREATE TABLE orders (id serial PRIMARY KEY, run bigint GENERATED ALWAYS AS IDENTITY);"
        "CREATE TABLE visits (id int NOT NULL, run int) PARTITION BY RANGE (id);"
        "CREATE TABLE visits_1 (id serial NOT NULL, run int); ALTER TABLE visits ATTACH PARTITION visits_1 DEFAULT"
    )
    role = f"reading_{place.number}"
    place.in_origin(
        f"CREATE ROLE {role} LOGIN PASSWORD 'x'; GRANT SELECT ON users, orders, visits, visits_1 TO {role}", superuser=True
    )
    _, to = place.databases()
    rules = RULES + "".join(
        f"  - table_name: {table}\n    non_anonymized_column_names: [id, run]\n" for table in ("orders", "visits")
    )
    origin_url = place.origin_server.url(place.name, role, "x")
    pipeline.run(place.job(mode="dump"), place.rules(rules), Database("origin", "shop", origin_url), to)
    assert run_of_users(place) == 1
    nothing_left(place, private)


def test_a_role_that_may_not_read_a_table_as_pg_dump_does_is_told_the_grant_before_anything_is_dumped(
    place: Place, private: Path
) -> None:
    place.in_origin(ORIGIN)
    place.in_origin(
        "CREATE TABLE visits (id int, run int) PARTITION BY RANGE (id);"
        "CREATE TABLE visits_1 PARTITION OF visits DEFAULT; INSERT INTO visits VALUES (1, 1)"
    )
    role = f"column_{place.number}"
    place.in_origin(
        f"CREATE ROLE {role} LOGIN PASSWORD 'x'; GRANT SELECT (id, name, run) ON users TO {role};"
        f"GRANT SELECT ON visits TO {role}",
        superuser=True,
    )
    _, to = place.databases()
    origin = Database("origin", "shop", place.origin_server.url(place.name, role, "x"))
    rules = place.rules(RULES + "  - table_name: visits\n    non_anonymized_column_names: [id, run]\n")
    pipeline.run(place.job(), rules, origin, to)
    with pytest.raises(CheckError) as failed:
        pipeline.run(place.job(mode="dump"), rules, origin, to)
    grants = [f'GRANT SELECT ON TABLE "public"."{table}" TO "{role}"' for table in ("users", "visits_1")]
    assert [problem.split("; ")[1] for problem in failed.value.problems] == [
        f"{place.in_its_origin}: {grant}, or use mode stream" for grant in grants
    ]
    place.in_origin("; ".join(grants), superuser=True)
    pipeline.run(place.job(mode="dump"), rules, origin, to)
    assert run_of_users(place) == 1
    nothing_left(place, private)


# A column that the target would compute on flattened types, or by another locale, with the reason why it is refused.
COMPUTED = {
    "half int, run int GENERATED ALWAYS AS (doubled(half)) STORED": (
        "computed by function public.doubled(integer), which the target lacks"
    ),
    "half status, run boolean GENERATED ALWAYS AS (half > 'new') STORED": "computed by type public.status",
    "half texts, run text GENERATED ALWAYS AS (lower(half)) STORED": (
        "computed from users.half of type public.texts, which is text in the target"
    ),
    "half int, run int GENERATED ALWAYS AS (half::positive) STORED": "computed by type public.positive",
    "half int, run text GENERATED ALWAYS AS ('x' COLLATE odd) STORED": "computed by collation public.odd",
    "half text, run text GENERATED ALWAYS AS (upper(half)) STORED": (
        "computed from text, and origin and target have other locales"
    ),
    "half int, run int GENERATED ALWAYS AS (half * 2) STORED": "published",
}


@pytest.mark.parametrize("columns", COMPUTED)
def test_a_column_that_the_target_would_compute_otherwise_is_refused_before_anything_is_dumped(
    columns: str, place: Place, private: Path
) -> None:
    place.in_origin(
        f"""
        CREATE FUNCTION doubled(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1 * 2';
        CREATE TYPE status AS ENUM ('new', 'closed');
        CREATE TYPE texts AS RANGE (subtype = text);
        CREATE DOMAIN positive AS int CHECK (VALUE > 0);
        CREATE COLLATION odd (locale = 'C');
        CREATE TABLE users (id int PRIMARY KEY, name text, {columns});
        CREATE TABLE secrets (id int)
        """
    )
    if "upper" in columns:
        with psycopg.connect(place.target_server.url(), autocommit=True) as connection:
            names = sql.Identifier(place.name), sql.Identifier(place.etl)
            connection.execute(sql.SQL("DROP DATABASE {}").format(names[0]))
            connection.execute(sql.SQL("CREATE DATABASE {} OWNER {} TEMPLATE template0 LOCALE 'C'").format(*names))
    rules = RULES.replace("[run]", "[run, half]")
    if COMPUTED[columns] != "published":
        with pytest.raises(CheckError) as failed:
            place.run(rules, mode="dump")
        (problem,) = failed.value.problems
        assert problem.startswith(f"origin shop: column users.run is {COMPUTED[columns]}"), problem
        assert problem.endswith("; use mode stream")
    place.run(rules)
    nothing_left(place, private)


def test_a_table_named_like_the_marker_of_raw_data_is_refused_before_anything_is_dumped(place: Place, private: Path) -> None:
    place.in_origin(ORIGIN + "; CREATE TABLE etl_raw_data (id int PRIMARY KEY)")
    rules = RULES + "  - {table_name: etl_raw_data, anonymized_column_names: [], non_anonymized_column_names: []}\n"
    with pytest.raises(CheckError) as failed:
        place.run(rules, mode="dump")
    assert failed.value.problems == ("origin shop: table etl_raw_data has the name of what marks raw data; use mode stream",)
    place.run(rules)
    nothing_left(place, private)


@pytest.mark.parametrize("jobs", [1, 4])
def test_a_table_that_is_truncated_while_pg_dump_waits_for_its_lock_fails_the_run(
    jobs: int, place: Place, private: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    published(place)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    begun, goes_on = tmp_path / "begun", tmp_path / "goes_on"
    wait = f"touch {begun}; until [[ -e {goes_on} ]]; do sleep 0.05; done"
    program(tmp_path, "pg_dump", f'[[ "$*" == *--snapshot* ]] && {{ {wait}; }}; exec "$real" "$@"')
    with psycopg.connect(place.origin_url) as migration, ThreadPoolExecutor() as executor:
        run = executor.submit(place.run, RULES, mode="dump", jobs=jobs)
        eventually(begun.exists, "pg_dump begins")
        migration.execute("TRUNCATE users; INSERT INTO users SELECT n, 'Marie', 3 FROM generate_series(1, 20) AS n")
        goes_on.touch()
        waiting = "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND relation = 'users'::regclass)"
        with psycopg.connect(place.origin_url, autocommit=True) as looking:
            eventually(lambda: looking.execute(waiting).fetchall() == [(True,)], "pg_dump waits for the lock")
        migration.commit()
        with pytest.raises(OriginChanged) as failed:
            run.result()
    assert str(failed.value) == "origin shop: table users was rewritten or truncated while it was dumped; start again"
    assert run_of_users(place) == 1
    nothing_left(place, private)
