"""A database that nobody here wrote: Prefect's server keeps its own in Postgres, and it is published like an app's."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml
from psycopg import sql

from flows import rules_draft
from tests.conftest import Place
from tests.flows.conftest import SYSTEM, Command
from tests.support.servers import PATIENCE, eventually, prefect_server

FLOWS = """
from prefect import flow, task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE
from prefect.variables import Variable

@task(cache_policy=NO_CACHE, tags=["arithmetic"])
def double(n: int) -> int:
    return 2 * n

@task(cache_policy=NO_CACHE)
def fail() -> None:
    raise ValueError("no")

@flow(log_prints=True)
def good(n: int) -> int:
    print("hello")
    create_markdown_artifact("# hello", key="hello")
    return sum(future.result() for future in [double.submit(i) for i in range(n)])

@flow
def bad() -> None:
    fail()

Variable.set("colours", ["red", "green"])
good(3)
bad(return_state=True)
"""
KEPT = ("flow", "flow_run", "task_run", "events", "variable")  # whose columns are all copied as they are
COUNT = "SELECT count(*) FROM {}"
TABLES = "SELECT relname::text FROM pg_class WHERE relnamespace = {}::regnamespace AND relkind = 'r' ORDER BY 1"
COLUMNS = "SELECT attname::text FROM pg_attribute WHERE attrelid = {}::regclass AND attnum > 0 AND NOT attisdropped"
INDEXES = "SELECT indexname::text, indexdef FROM pg_indexes WHERE schemaname = {}"
KEYS = (
    "SELECT conname::text, contype::text FROM pg_constraint "
    "WHERE connamespace = {}::regnamespace AND contype IN ('p', 'u', 'f')"
)
PARTIAL = "ix_flow_run__scheduler_deployment_id_auto_scheduled_next_schedu"
EXPRESSION = "ix_flow_run__coalesce_start_time_expected_start_time_desc"
RUNS = "SELECT id, state_type::text, name, tags::text, labels::text, parameters::text FROM {}.flow_run ORDER BY id"
TYPES = (
    "SELECT column_name::text, data_type::text FROM information_schema.columns "
    "WHERE table_schema = {} AND table_name = 'flow_run'"
)


def ask(url: str, question: str, schema: str) -> list[tuple[Any, ...]]:
    """Return the answer to a question about a schema."""
    with psycopg.connect(url) as connection:
        place = sql.Identifier(schema) if ".flow_run" in question else sql.Literal(schema)
        return connection.execute(sql.SQL(question).format(place)).fetchall()


def plan(url: str, schema: str) -> str:
    """Return how the server would look for scheduled runs, if it had to use an index."""
    with psycopg.connect(url) as connection:
        connection.execute("SET enable_seqscan = off")
        question = "EXPLAIN SELECT deployment_id FROM {}.flow_run WHERE state_type = 'SCHEDULED' AND deployment_id IS NULL"
        return str(connection.execute(sql.SQL(question).format(sql.Identifier(schema))).fetchall())


def counts(url: str, schema: str) -> dict[str, int]:
    """Return the number of rows of each table of a schema."""
    with psycopg.connect(url) as connection:
        return {
            name: connection.execute(sql.SQL(COUNT).format(sql.Identifier(schema, name))).fetchall()[0][0]
            for (name,) in ask(url, TABLES, schema)
        }


def drafted(place: Place, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> str:
    """Return the draft of the origin's rules, as a person would change it: what holds no personal datum is kept."""
    monkeypatch.chdir(place.path)
    monkeypatch.setenv("APP", "shop")
    monkeypatch.setenv("ORIGIN_DB_URL", place.origin_url)
    assert rules_draft.main([]) == 0
    rules = yaml.safe_load(capsys.readouterr().out)
    for table in rules["tables"]:
        name = table["table_name"]
        if name in KEPT or (table.get("truncated") and name != "alembic_version"):
            table.clear()
            columns = [column for (column,) in ask(place.origin_url, COLUMNS, name)]
            table |= {"table_name": name, "non_anonymized_column_names": columns}
    return yaml.safe_dump(rules)


@pytest.mark.slow
@pytest.mark.parametrize("origin", SYSTEM)
def test_the_database_of_a_prefect_server_is_published_whole(
    origin: str,
    make_place: Callable[..., Place],
    work: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    place = make_place(origin, "18")
    home = tmp_path / "home"
    home.mkdir()
    database = place.origin_url.replace("postgresql://", "postgresql+asyncpg://")
    settings = {
        "PREFECT_API_DATABASE_CONNECTION_URL": database,
        "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_FLUSH_INTERVAL": "1",
    }
    with prefect_server(home, settings, auth="") as server:
        (work / "some_flows.py").write_text(FLOWS)
        command = Command.start(work, "some_flows", (), {"PREFECT_API_URL": server.url, "PREFECT_HOME": str(home)})
        assert command.wait(3 * PATIENCE) == 0, command.text
        final = {"state": {"type": {"any_": ["COMPLETED", "FAILED"]}}}
        eventually(lambda: server.ask("POST", "task_runs/count", {"task_runs": final}) == 4)

    published = place.run(drafted(place, monkeypatch, capsys))

    before, after = counts(place.origin_url, "public"), counts(place.reader_url, "shop")
    assert {name for name, rows in before.items() if rows} >= {"flow", "flow_run", "task_run", "task_run_state", "variable"}
    assert after == {**before, "alembic_version": 0}
    assert ask(place.reader_url, RUNS, "shop") == ask(place.origin_url, RUNS, "public")
    assert [state for _, state, *_ in ask(place.reader_url, RUNS, "shop")].count("COMPLETED") == 1
    types = dict(ask(place.reader_url, TYPES, "shop"))
    assert (types["state_type"], types["tags"], types["id"]) == ("text", "jsonb", "uuid")

    indexes, originals = (dict(ask(u, INDEXES, s)) for u, s in ((place.reader_url, "shop"), (place.origin_url, "public")))
    left_out = {name for name, definition in originals.items() if "gin_trgm_ops" in definition}
    assert left_out
    assert set(indexes) == set(originals) - left_out
    assert "WHERE (state_type = " in indexes[PARTIAL]
    assert PARTIAL in plan(place.reader_url, "shop")
    assert indexes[EXPRESSION].endswith("(COALESCE(start_time, expected_start_time) DESC)")
    assert "USING gin (related)" in indexes["ix_events__related_gin"]
    assert {line.split()[1] for line in published.indexed.warnings} == left_out
    assert all('operator class "gin_trgm_ops" does not exist' in line for line in published.indexed.warnings)

    keys, original_keys = (set(ask(u, KEYS, s)) for u, s in ((place.reader_url, "shop"), (place.origin_url, "public")))
    assert keys == original_keys
