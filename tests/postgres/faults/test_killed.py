"""Runs that are killed in any stage of either mode: what is published is whole, and the next run needs no help."""

import signal
from contextlib import nullcontext
from pathlib import Path

import psycopg
import pytest

from tests.conftest import Place
from tests.support.clients import program
from tests.support.dumps import nothing_left
from tests.support.gates import PATIENCE
from tests.support.processes import process
from tests.support.runs import RULES, gate_in, no_sessions, published, run_of_users

# A run stands at a gate as it is killed, or kills itself before or after a stage.
STAGES = ["after check", "CREATE SCHEMA", "CREATE TABLE", "copy", "CREATE INDEX", "ALTER TABLE", "COMMENT"]
STAGES += ["before verify", "ALTER SCHEMA", "GRANT", "DROP TABLE", "after publish", "after clean"]
QUICK = ("copy", "ALTER SCHEMA")
PUBLISHED = ("DROP TABLE", "after publish", "after clean")


@pytest.mark.parametrize(
    "stage", [stage if stage in QUICK else pytest.param(stage, marks=pytest.mark.slow) for stage in STAGES]
)
def test_a_run_killed_in_any_stage_leaves_what_is_published_as_it_was_and_the_next_one_needs_no_help(
    stage: str, place: Place
) -> None:
    published(place)
    dies = stage if stage.startswith(("before", "after")) else ""
    with nullcontext() if dies else gate_in(place, stage) as gate:
        with process(place, RULES, dies=dies) as running:
            if gate:
                gate.reached()
                running.kill()
            assert running.wait(PATIENCE) == -signal.SIGKILL
        if gate:
            gate.open()
        no_sessions(place)
    assert run_of_users(place) == (2 if stage in PUBLISHED else 1)
    left = place.schemas() - {"shop"}
    for name in left:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            place.read(f'SELECT * FROM "{name}".users')
    if stage in ("copy", "COMMENT", "before verify"):
        assert [name[:17] for name in left] == ["etl_staging_shop_"]
    place.run(RULES)
    assert run_of_users(place) == 2
    assert place.schemas() == {"shop"}


# A run of mode dump leaves more: a dump, whole or not, and raw tables, filled or not, with staging beside or not.
# A run of the other mode finds them too.
IN_DUMP = ["pg_dump", "after dump", "pg_restore", "after restore", "before index", "after publish", "after clean"]
IN_DUMP_THEN_STREAM = ["after dump", "pg_restore", "after publish"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("stage", "next_mode"),
    [
        *((stage, "dump") for stage in IN_DUMP),
        *((stage, "stream") for stage in IN_DUMP_THEN_STREAM),
    ],
)
def test_after_a_run_of_mode_dump_is_killed_the_next_leaves_no_raw_row_and_no_file(
    stage: str, next_mode: str, place: Place, private: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    published(place)
    if stage.startswith("pg_"):
        monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
        # the run is killed when all rows are written, before it hears of it
        program(tmp_path, stage, '"$real" "$@"; status=$?; [[ "$*" == *--data-only* ]] && kill -9 $PPID; exit $status')
    with process(place, RULES, dies="" if stage.startswith("pg_") else stage, mode="dump") as running:
        assert running.wait(PATIENCE) == -signal.SIGKILL
    if stage.startswith("pg_"):
        (tmp_path / stage).unlink()
    assert run_of_users(place) == (2 if stage in PUBLISHED else 1)
    if stage == "after restore":
        assert place.read("SELECT count(*) FROM public.users WHERE name = 'Marie'", as_="etl") == [(20,)]
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            place.read("SELECT * FROM public.users")
    place.run(RULES, mode=next_mode)
    assert run_of_users(place) == 2
    nothing_left(place, private)
