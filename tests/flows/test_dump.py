"""`dump` mode as a flow: Prefect runs pg_dump as a shell operation, then a task copies what pg_restore prints."""

import re
import signal
import subprocess
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.conftest import PASSWORD, PROGRAMS
from tests.flows.conftest import Shop
from tests.support.clients import left_in, program
from tests.support.servers import eventually

pytestmark = pytest.mark.slow

SOON = 25  # seconds on a busy machine; what waits for a thread that hangs takes 30 or more
ORIGIN = """
CREATE TABLE users (id int PRIMARY KEY, name text);
INSERT INTO users SELECT n, 'Marie' FROM generate_series(1, 20) AS n;
"""
RULES = """
tables:
  - table_name: users
    anonymized_column_names: [name]
"""


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """Return a folder that stands first on the PATH of commands, with the newest programs of Postgres behind it."""
    folder = tmp_path / "programs"
    folder.mkdir()
    return folder


def variables(programs: Path, tmp_path: Path) -> dict[str, Any]:
    """Return the environment in which dumps lie in a folder of the test's."""
    temporary = tmp_path / "temporary"
    temporary.mkdir(exist_ok=True)
    return {"PATH": f"{programs}:{PROGRAMS['18']}:/usr/bin:/bin", "TMPDIR": str(temporary)}


@pytest.mark.parametrize("level", ["INFO", "DEBUG"])
def test_a_dump_is_published_with_its_stages_in_log_and_report_and_no_password_anywhere(
    level: str, shop: Shop, programs: Path, tmp_path: Path
) -> None:
    shop.place.in_origin(ORIGIN)
    command = shop.command("--mode", "dump", rules=RULES, PREFECT_LOGGING_LEVEL=level, **variables(programs, tmp_path))
    assert command.wait() == 0, command.text
    assert shop.read("SELECT count(*), count(*) FILTER (WHERE name = 'Marie') FROM {}.users") == [(20, 0)]
    run = shop.last()
    tasks = shop.server.tasks(run, "download rules", f"dump {shop.app}", f"restore {shop.app}")
    assert {tasks[f"dump {shop.app}"]["state_name"], tasks[f"restore {shop.app}"]["state_name"]} == {"Completed"}
    assert f"dumped {shop.app}: 1 table, " in command.out
    assert f"restored {shop.app}: 1 table, " in command.out
    report = shop.server.artifact(f"{shop.app}-report")["data"]
    assert "| dump (" in report
    assert "| restore (" in report
    for told in (command.text, shop.server.database()):
        assert PASSWORD not in told
        assert "pass%20word" not in told
    assert left_in(tmp_path / "temporary") == []


def busy(tmp_path: Path) -> list[psutil.Process]:
    """Return the processes that work for a dump."""
    found = []
    for process in psutil.process_iter(["cmdline", "status"]):
        of_run = any(str(tmp_path) in part for part in process.info["cmdline"] or [])
        if of_run and process.info["status"] != psutil.STATUS_ZOMBIE:
            found.append(process)
    return [process for process in found if "pg_" in " ".join(process.info["cmdline"])]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
@pytest.mark.parametrize("name", ["pg_dump", "pg_restore"])
def test_a_run_that_is_interrupted_in_a_client_program_leaves_no_process_no_file_and_no_raw_data(
    name: str, number: int, shop: Shop, programs: Path, tmp_path: Path
) -> None:
    shop.place.in_origin(ORIGIN)
    reached = tmp_path / "reached"
    waits = f'[[ "$*" == *--data-only* ]] && touch {reached} && sleep 600'
    program(programs, name, f'"$real" "$@"; status=$?; {waits}; exit $status')
    command = shop.command("--mode", "dump", rules=RULES, **variables(programs, tmp_path))
    eventually(reached.exists)
    assert busy(tmp_path)
    command.process.send_signal(number)
    assert command.wait(SOON) == 1
    assert command.err == "interrupted: nothing was published, the published schema is as it was\n"
    eventually(lambda: not busy(tmp_path))
    assert shop.place.schemas() == set()
    assert shop.place.read("SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace", as_="etl") == []
    assert left_in(tmp_path / "temporary") == []
    assert shop.place.sessions() == {"origin": 0, "target": 0}


@pytest.mark.parametrize("name", ["pg_dump", "pg_restore"])
def test_a_run_that_is_killed_in_a_client_program_leaves_no_script_of_it(
    name: str, shop: Shop, programs: Path, tmp_path: Path
) -> None:
    shop.place.in_origin(ORIGIN)
    reached = tmp_path / "reached"
    program(programs, name, f'[[ "$*" == *--data-only* ]] && touch {reached} && exec sleep 600; exec "$real" "$@"')
    command = shop.command("--mode", "dump", rules=RULES, **variables(programs, tmp_path))
    eventually(reached.exists)
    started = psutil.Process(command.process.pid).children(recursive=True)
    command.interrupt(signal.SIGKILL)
    command.wait()
    for process in started:
        if process.is_running():
            process.kill()
    assert [path.name for path in (tmp_path / "temporary").glob("prefect-*")] == []
    assert len(left_in(tmp_path / "temporary")) == 1  # the next run drops it


# The run's session that copies rows is ended once, when the rows have come and before they are committed.
LOSES = """
if [[ "$*" == *--data-only* && ! -e "$0.tried" ]]; then
    touch "$0.tried"
    "$real" "$@"
    export PGPASSWORD={password}
    psql -qXh 127.0.0.1 -p {port} -U postgres -d {database} -o /dev/null -c \
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'COPY%'"
else
    exec "$real" "$@"
fi
"""
MANY = ORIGIN.replace("20)", "20000)")


def losing(shop: Shop) -> str:
    """Return the script of a pg_restore whose rows arrive nowhere the first time."""
    server = shop.place.target_server
    password = (server.directory / "password").read_text()
    return LOSES.format(password=password, port=server.port, database=shop.place.name)


def test_a_stage_that_loses_its_server_is_started_again(shop: Shop, programs: Path, tmp_path: Path) -> None:
    shop.place.in_origin(MANY)
    fails_once = 'if [[ "$*" == *--data-only* && ! -e "$0.tried" ]]; then touch "$0.tried"; export PGPORT=1; fi'
    program(programs, "pg_dump", f'{fails_once}; exec "$real" "$@"')
    program(programs, "pg_restore", losing(shop))
    command = shop.command("--mode", "dump", rules=RULES, **variables(programs, tmp_path))
    assert command.wait() == 0, command.text
    assert shop.read("SELECT count(*) FROM {}.users") == [(20000,)]
    tasks = shop.server.tasks(shop.last(), f"dump {shop.app}", f"restore {shop.app}")
    for name, said in (
        ("dump", f"origin {shop.app}: dump failed: connection to server"),
        ("restore", "target: restoring users failed: "),
    ):
        assert shop.server.states(tasks[f"{name} {shop.app}"])[-3:] == ["AwaitingRetry", "Retrying", "Completed"]
        assert re.search(f"{said}.*trying again", command.out)
    assert left_in(tmp_path / "temporary") == []


def test_rows_of_a_backup_that_are_restored_a_second_time_are_published_once(
    shop: Shop, programs: Path, tmp_path: Path
) -> None:
    shop.place.in_origin(MANY.replace(" PRIMARY KEY", ""))
    backup = tmp_path / "backup"
    subprocess.run(
        [PROGRAMS["18"] / "pg_dump", "--format=custom", f"--file={backup}", "--dbname", shop.place.origin_url], check=True
    )
    program(programs, "pg_restore", losing(shop))
    rules = RULES + "    non_anonymized_column_names: [id]\n"
    command = shop.command(
        "--from-dump", str(backup), rules=rules, **{**variables(programs, tmp_path), "ORIGIN_DB_URL": None}
    )
    assert command.wait() == 0, command.text
    assert "restoring users failed: " in command.out
    assert shop.read("SELECT count(*), count(DISTINCT id) FROM {}.users") == [(20000, 20000)]
    assert left_in(tmp_path / "temporary") == []
