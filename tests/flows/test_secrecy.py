"""No password and no personal datum in anything that a run leaves or shows: Prefect's database and API, output, `ps`."""

import json
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
from prefect.blocks.system import Secret

from tests.conftest import PASSWORD, PROGRAMS
from tests.flows.conftest import Command, Shop, busy
from tests.support.clients import left_in, program
from tests.support.gates import have_rows_call
from tests.support.servers import eventually

# pieces that stay as they are in a URL, in JSON, in SQL and in a repr, and that nothing else holds
PIECES = ("word:/@%", "word%3a%2f%40%25", "mmmarker")
ORIGIN = """
CREATE TYPE mood AS ENUM ('good', 'mmmarker-label');
CREATE TYPE told AS (mood mood);
CREATE TABLE users (
    id serial PRIMARY KEY, name text, email text, born date, mood mood, city text, told told DEFAULT ROW('good')
);
INSERT INTO users (name, email, born, mood, city) VALUES
('mmmarker-name', 'mmmarker@example.org', '1970-01-01', 'good', 'mmmarker-city'),
(E'mmmarker\\nlines', 'mmmarker', NULL, 'mmmarker-label', 'mmmarker\\\\city');
"""
FAILING = """
CREATE FUNCTION to_json(mood) RETURNS json LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION 'found % of mmmarker', enum_out($1) USING DETAIL = 'mmmarker', HINT = 'mmmarker'; END $$;
"""
RULES = """
tables:
  - table_name: users
    anonymized_column_names: [name, email, born]
    non_anonymized_column_names: [mood, city, told]
    clear_because: {mood: a marker, city: a marker, told: a marker}
"""
# What a worker does, and no line of ours in between.
WORKER = "import json, sys; from flows.etl import etl; print(etl(**json.loads(sys.argv[1]), return_state=True).name)"
DEBUG: dict[str, Any] = {
    "PREFECT_LOGGING_LEVEL": "DEBUG",
    "PREFECT_LOGGING_ROOT_LEVEL": "DEBUG",
    "PREFECT_LOGGING_SERVER_LEVEL": "DEBUG",
}


def found(text: str) -> list[str]:
    """Return the pieces that a text holds."""
    lowered = text.lower()
    return [piece for piece in PIECES if piece in lowered]


def files_of(directory: Path) -> str:
    """Return what all files of a directory hold; those that a server deletes meanwhile aside."""
    contents = []
    for path in directory.rglob("*"):
        with suppress(FileNotFoundError, IsADirectoryError):
            contents.append(path.read_bytes().decode("latin-1"))
    return "\n".join(contents)


@contextmanager
def watched_processes(temporary: Path) -> Iterator[set[str]]:
    """Gather the command lines of the processes that have this TMPDIR, a run's and all that it starts, while entered."""
    seen: set[str] = set()
    over = threading.Event()

    def look() -> None:
        while not over.wait(0.02):
            for process in psutil.process_iter(["cmdline", "environ"]):
                if (process.info["environ"] or {}).get("TMPDIR") == str(temporary):
                    seen.add(" ".join(process.info["cmdline"] or ()))

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield seen
    finally:
        over.set()
        thread.join()


def wrong_password(shop: Shop) -> None:
    """Have the next run log in with a password that is not the role's."""
    shop.place.in_origin(f"ALTER ROLE {shop.place.app} PASSWORD 'another'", superuser=True)


def missing_right(shop: Shop) -> None:
    """Have the next run find a table that it may not read."""
    shop.place.in_origin(f"ALTER TABLE users OWNER TO postgres; REVOKE ALL ON users FROM {shop.place.app}", superuser=True)


def failing_row(shop: Shop) -> None:
    """Have the next run meet an error of the origin that quotes a row."""
    shop.place.in_origin(FAILING)
    have_rows_call(shop.place, "to_json", "mood")


def failing_restore(shop: Shop) -> None:
    """Have the target meet a row of the dump that it can't read."""
    spoil = 'sed "s/^[0-9]*\\t/Marie\\t/"'
    program(shop.directory, "pg_restore", f'"$real" "$@" | {{ [[ "$*" == *--data-only* ]] && {spoil} || cat; }}')


def nothing(shop: Shop) -> None:
    """Have the next run publish."""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("way", "prepare", "state", "said"),
    [
        ("worker", nothing, "Completed", "published schema"),
        ("worker", wrong_password, "Failed", "password authentication failed"),
        ("worker", missing_right, "Failed", "may not SELECT columns id, name, email, mood, city, told of table users"),
        ("worker", failing_row, "Failed", "copying users failed"),
        ("command", nothing, "Completed", "published schema"),
        ("command", failing_row, "Failed", "copying users failed"),
        ("worker dump", nothing, "Completed", "published schema"),
        ("command dump", nothing, "Completed", "published schema"),
        (
            "worker dump",
            failing_restore,
            "Failed",
            "InvalidTextRepresentation (22P02); its message may quote a row",
        ),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_nothing_that_a_run_leaves_or_shows_holds_a_password_or_a_personal_datum(
    way: str, prepare: Callable[[Shop], None], state: str, said: str, shop: Shop
) -> None:
    shop.place.in_origin(ORIGIN)
    prepare(shop)
    mode = "dump" if "dump" in way else "stream"
    parameters = shop.parameters(RULES, mode=mode)
    temporary = shop.directory / "temporary"
    temporary.mkdir()
    around: dict[str, Any] = {**DEBUG, "PATH": f"{shop.directory}:{PROGRAMS['18']}:/usr/bin:/bin", "TMPDIR": str(temporary)}
    (shop.directory / "worker.py").write_text(WORKER)
    with watched_processes(temporary) as command_lines:
        if way.startswith("worker"):
            environment: dict[str, Any] = {"PREFECT_API_URL": shop.server.url, **around}
            command = Command.start(shop.directory, "worker", [json.dumps(parameters)], environment)
        else:
            command = shop.command("--mode", mode, rules=RULES, **around)
        command.wait()
    assert left_in(temporary) == []
    run = shop.last()
    assert run["state_name"] == state
    logs = shop.server.logs(run, said)
    tasks = list(shop.server.tasks(run, f"check {shop.app}").values())
    artifacts = shop.server.ask("POST", "artifacts/filter", {"flow_runs": {"id": {"any_": [run["id"]]}}})
    blocks = shop.server.ask("POST", "block_documents/filter", {})
    states = shop.server.ask("GET", f"flow_run_states/?flow_run_id={run['id']}")
    files = files_of(shop.server.home)
    places = {
        "output": command.text,
        "ps": "\n".join(command_lines),
        "run": json.dumps(run),
        "tasks": json.dumps(tasks),
        "states": json.dumps([states, [t["state"] for t in tasks]]),
        "logs": json.dumps(logs),
        "artifacts": json.dumps(artifacts),
        "blocks": json.dumps(blocks),
        "database": shop.server.database(),
        "files": files,
    }
    assert {name: pieces for name, text in places.items() if (pieces := found(text))} == {}
    # the same search finds what is no secret, in each of them
    control = dict.fromkeys(places, shop.app)
    control["artifacts"] = run["id"]
    control |= {"output": said, "logs": said, "states": state.upper(), "database": f"{shop.app}-db-url"}
    if prepare in (wrong_password, missing_right):  # it ended before it had any
        assert artifacts == []
        del control["artifacts"]
    if way.startswith("command"):
        control["ps"] = f"-m flows.etl --rules {parameters['rules']}"
    assert {name for name, wanted in control.items() if wanted not in places[name]} == set()
    # and the passwords were there to be found
    secret: Any = Secret.load(f"{shop.app}-db-url")
    assert PASSWORD.split()[0] in secret.get()


SLOW = """
CREATE FUNCTION to_json(mood) RETURNS json LANGUAGE plpgsql AS
'BEGIN PERFORM pg_sleep(600); RETURN json ''1''; END';
"""


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["stream", "dump"])
def test_a_run_that_is_killed_at_its_worst_moment_leaves_nothing_of_either_with_prefect(mode: str, shop: Shop) -> None:
    shop.place.in_origin(ORIGIN)
    temporary = shop.directory / "temporary"
    temporary.mkdir()
    if mode == "stream":
        shop.place.in_origin(SLOW)
        have_rows_call(shop.place, "to_json", "mood")
    else:
        program(shop.directory, "pg_restore", '[[ "$*" == *--data-only* ]] && exec sleep 600; exec "$real" "$@"')
    around: dict[str, Any] = {**DEBUG, "PATH": f"{shop.directory}:{PROGRAMS['18']}:/usr/bin:/bin", "TMPDIR": str(temporary)}
    command = shop.command("--mode", mode, rules=RULES, **around)
    if mode == "stream":
        eventually(lambda: busy(shop.place, "origin", "COPY"))
    else:
        eventually(lambda: "dumped" in command.out)
    logs = shop.server.logs(shop.last(), f"checked {shop.app}")
    command.interrupt(signal.SIGKILL)
    command.wait()
    assert bool(left_in(temporary)) == (mode == "dump")  # the next run deletes it
    run = shop.last()
    states = shop.server.ask("GET", f"flow_run_states/?flow_run_id={run['id']}")
    files = files_of(shop.server.home)
    for text in (command.text, json.dumps([run, states, logs]), shop.server.database(), files):
        assert found(text) == []
    quick = "CREATE OR REPLACE FUNCTION to_json(mood) RETURNS json LANGUAGE sql AS $$ SELECT json '1' $$"
    shop.place.in_origin(quick)
    assert shop.run(RULES).is_completed()
    assert shop.place.schemas() == {shop.app}


@pytest.mark.slow
def test_an_error_of_the_project_has_no_traceback_even_at_the_most_talkative_level(shop: Shop) -> None:
    shop.place.in_origin(ORIGIN)
    failing_row(shop)
    command = shop.command(rules=RULES, **DEBUG)
    assert command.wait() == 1
    assert "Traceback" not in command.text
    (line,) = [line for line in command.text.splitlines() if "copying users failed" in line and "Failed(" not in line]
    assert line.startswith(f"error: origin {shop.app}: copying users failed: ")
