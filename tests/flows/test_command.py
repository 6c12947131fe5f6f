"""The command line: what it shows, and how it ends."""

import os
import pty
import re
import signal
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import psutil
import pytest

from flows import command_line
from flows.apps import known_apps
from flows.etl import etl
from multischema.plan.history import COLUMNS
from multischema.statements import history as statements
from tests.conftest import PASSWORD
from tests.flows.conftest import SLOW_RULES, Shop, busy, fill_slow
from tests.support.servers import PATIENCE, eventually, furnish
from tests.support.snippets import pasted

ORIGIN = """
CREATE TABLE users (id serial PRIMARY KEY, name text, city text);
CREATE TABLE visits (id serial PRIMARY KEY, user_id integer NOT NULL REFERENCES users);
INSERT INTO users (name, city) VALUES ('Marie', 'Lyon'), ('Jean', 'Brest');
INSERT INTO visits (user_id) VALUES (1), (1), (2);
"""
RULES = """
tables:
  - {table_name: users, anonymized_column_names: [name], non_anonymized_column_names: [city]}
  - {table_name: visits, non_anonymized_column_names: [user_id]}
"""
ROUTE = r"origin 127\.0\.0\.1:\d+/\w+ → target 127\.0\.0\.1:\d+/\w+, schema {app}"
STEPS = [
    ROUTE,
    r"downloaded rules: \d+ B",
    r"checked {app}: 2 tables to copy, 0 truncated, 2 indexes, 0 warnings",
    r"scanned {app}: 4 clear columns of 2 tables, 5 rows, \d\.\d s: 1 note",
    r"decided {app}: full: nothing is published yet",
    r"copied \w+: [23] rows, \d+ B, \d\.\d s, [01] masked columns?",
    r"copied \w+: [23] rows, \d+ B, \d\.\d s, [01] masked columns?",
    r"anonymized {app}: 2 tables, 5 rows, \d+ B",
    r"indexed {app}: 2 indexes, 1 foreign key",
    r"verified {app}: 5 rows, 1 masked column, the reader's rights",
    r"published schema {app} for {reader}",
    r"cleaned {app}",
    r"report of {app}",
]
ESTIMATES = [
    r"to read: about \d+\.\d kB in 2 tables",
    r"a full run needs about \d+\.\d kB in the target while it builds",
]
HINT = r"scan: rules: line 3: users\.city is published as it is, and its name or comment hints at address; .*"
UNREACHABLE = "postgresql://someone:hush@127.0.0.1:1/nothing"
SLOW = pytest.mark.slow
Main = Callable[..., tuple[int, str, str]]


@pytest.fixture
def main(shop: Shop, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Main:
    """Return a function that runs the command here, with the shop's variables, some of them changed."""

    def run(*arguments: str, rules: str | None = None, **environment: str | None) -> tuple[int, str, str]:
        monkeypatch.chdir(shop.directory)
        for name, value in {**shop.environment, "CONFIG_PATH": None, **environment}.items():
            monkeypatch.setenv(name, value) if value is not None else monkeypatch.delenv(name, raising=False)
        given = arguments if rules is None else ("--rules", shop.place.rules(rules), *arguments)
        status = command_line.main(etl, given)
        return status, *capsys.readouterr()

    return run


# What it shows


def test_a_run_shows_its_stages_as_plain_lines_and_ends_with_the_report(shop: Shop) -> None:
    shop.place.in_origin(ORIGIN)
    command = shop.command(rules=RULES)
    assert command.wait() == 0
    assert command.err == ""
    assert "\x1b" not in command.out
    lines = command.out.splitlines()
    for wanted, line in zip(STEPS, lines, strict=False):
        expected = wanted.format(app=shop.app, reader=shop.place.reader)
        assert re.fullmatch(rf"\d\d:\d\d:\d\d  {expected}", line), line
    assert lines[len(STEPS)].split() == ["table", "rows", "size", "copy", "s", "index", "s", "change", "masked", "columns"]
    assert re.fullmatch(rf"published {shop.app} for {shop.place.reader}: 2 tables, 5 rows, .*", lines[-1] or lines[-2])
    assert shop.read("SELECT name FROM {}.users WHERE id = 2") == [("[valeur unique anonymisée 2]",)]


def screen(printed: str) -> list[str]:
    """Return the lines that a terminal holds once this is printed: it knows what rich uses, and fails on anything else."""
    lines, row, column = [""], 0, 0
    for control, text in re.findall(r"(\x1b\[[?\d;]*[A-Za-z]|[\r\n])|([^\x1b\r\n]+)", printed):
        if text:
            lines[row] = lines[row][:column].ljust(column) + text + lines[row][column + len(text) :]
            column += len(text)
        elif control == "\n":
            row += 1
            lines += [""] * (row + 1 - len(lines))
        elif control == "\r":
            column = 0
        elif control == "\x1b[2K":
            lines[row] = ""
        elif control.endswith("A"):
            row = max(0, row - int(control[2:-1] or 1))
        else:
            assert control.endswith("m") or control in ("\x1b[?25l", "\x1b[?25h"), repr(control)
    return [line.rstrip() for line in lines]


@pytest.mark.slow
def test_a_terminal_shows_a_bar_while_rows_are_copied_and_nothing_of_it_at_the_end(shop: Shop) -> None:
    fill_slow(shop.place, rows=100)
    main_end, command_end = pty.openpty()
    command = shop.command(rules=SLOW_RULES, TERM="xterm-256color", COLUMNS="120", terminal=command_end)
    os.close(command_end)
    printed = b""
    try:
        while chunk := os.read(main_end, 65536):
            printed += chunk
    except OSError:  # the other end is closed
        pass
    os.close(main_end)
    assert command.wait() == 0
    text = printed.decode()
    assert re.search(r"anonymize.*\d+ %.*users", text)
    assert text.count("\x1b[?25l") == text.count("\x1b[?25h") > 0
    lines = screen(text)
    steps = [line[10:] for line in lines if re.match(r"\d\d:\d\d:\d\d  ", line)]
    assert [step.split()[0] for step in steps] == [
        "origin",
        "downloaded",
        "checked",
        "scanned",
        "decided",
        "anonymized",
        "indexed",
        "verified",
        "published",
        "cleaned",
        "report",
    ]
    assert not [line for line in lines if "━" in line or "…" in line or "%" in line or line.startswith("copied")]
    assert [line for line in lines if line][-1].startswith(f"published {shop.app} for {shop.place.reader}: ")


# How it ends


def test_a_check_says_what_it_found_and_writes_nothing(shop: Shop, main: Main) -> None:
    shop.place.in_origin(ORIGIN)
    status, out, err = main("--check", rules=RULES, PREFECT_API_URL="http://127.0.0.1:1/api")
    assert (status, err) == (0, "")
    for wanted, line in zip([*STEPS[:4], *ESTIMATES, HINT], out.splitlines(), strict=True):
        assert re.fullmatch(wanted.format(app=shop.app), line[10:]), line
    assert shop.place.schemas() == set()
    assert shop.place.sessions() == {"origin": 0, "target": 0}
    assert shop.server.runs(shop.app) == []


HISTORY = [*statements.create_schema("etl_report"), *statements.complete("etl_report", dict.fromkeys(COLUMNS, ()))]
RUNS = """
INSERT INTO etl_report.runs (app, schema, kind, seconds, rows, bytes, published_at)
VALUES ('{app}', '{app}', 'full', 90, 7, 7, now() - interval '2 h'), ('{app}', '{app}', 'refresh', 7.3, 7, 7, now()),
       ('other', 'other', 'full', 1, 7, 7, now())
"""


def test_a_check_says_how_long_the_last_run_took(shop: Shop, main: Main) -> None:
    shop.place.in_origin(ORIGIN)
    shop.place.in_target("; ".join(statement.as_string() for statement in HISTORY) + "; " + RUNS.format(app=shop.app))
    status, out, err = main("--check", rules=RULES)
    assert (status, err) == (0, "")
    assert [line[10:] for line in out.splitlines() if "the last run" in line] == ["the last run took 7.3 s (refresh)"]


def test_a_check_of_incomplete_rules_gives_what_is_ready_to_paste(shop: Shop, main: Main) -> None:
    shop.place.in_origin(ORIGIN)
    rules = "tables:\n- table_name: users\n  anonymized_column_names: [name, cty]\n"
    status, _, err = main("--check", rules=rules)
    assert status == 1
    head, _, snippet = err.partition("# ")
    assert head.splitlines() == [
        f"error: origin {shop.app}: missing rule for column users.city",
        f"error: origin {shop.app}: missing rules for table visits",
        "warning: rules: line 3: users.cty is not in the origin; did you mean city?",
    ]
    status, _, err = main("--check", rules=pasted(rules, f"# {snippet}"))
    assert (status, err) == (0, "")


def test_a_terminal_that_can_not_show_a_character_gets_its_escape(shop: Shop) -> None:
    command = shop.command("--check", "--rules", "nowhere.yml", PYTHONIOENCODING="latin-1")
    assert command.wait() == 1
    assert re.fullmatch(r"\d\d:\d\d:\d\d  origin \S+ \\u2192 target \S+, schema \S+\n", command.out)
    assert command.err.startswith("error: rules: nowhere.yml: ")


@pytest.mark.slow
def test_a_check_does_not_wait_for_a_run(shop: Shop, main: Main) -> None:
    fill_slow(shop.place, rows=300)
    command = shop.command(rules=SLOW_RULES)
    eventually(lambda: busy(shop.place, "origin", "COPY"))
    status, _, err = main("--check", rules=SLOW_RULES)
    assert (status, err) == (0, "")
    assert command.process.poll() is None


@pytest.mark.parametrize(
    ("changed", "status", "message"),
    [
        ({"ORIGIN_DB_URL": UNREACHABLE}, 1, r"origin {app}: can't connect: .*Connection refused.*"),
        pytest.param({"ETL_DB_URL": UNREACHABLE}, 1, r"target: can't connect: .*Connection refused.*", marks=SLOW),
        pytest.param(
            {"ORIGIN_DB_URL": "{wrong origin}"},
            1,
            r"origin {app}: can't connect: .*password authentication failed.*",
            marks=SLOW,
        ),
        pytest.param(
            {"ETL_DB_URL": "{wrong target}"},
            1,
            r"target: can't connect: .*password authentication failed.*",
            marks=SLOW,
        ),
        pytest.param({"ETL_DB_URL": PASSWORD}, 1, r"target: this is not a Postgres URL; want .*", marks=SLOW),
        ({"ETL_DB_URL": None}, 2, r"missing variable ETL_DB_URL: want the URL of the target"),
        pytest.param({"METABASE_USERNAME": "nobody"}, 1, r"target: the reader nobody does not exist; .*", marks=SLOW),
        pytest.param(
            {"APP": "Bad Name"}, 2, r"app 'Bad Name': want a name of lowercase letters, digits and dashes", marks=SLOW
        ),
        pytest.param({"APP": None}, 2, r"no app: want --app, or APP in the environment", marks=SLOW),
    ],
)
def test_bad_input_is_one_clear_line_and_leaves_nothing(
    changed: dict[str, str | None], status: int, message: str, shop: Shop, main: Main
) -> None:
    shop.place.in_origin(ORIGIN)
    wrong = {
        "{wrong origin}": shop.place.origin_server.url(shop.place.name, shop.place.app, "hush"),
        "{wrong target}": shop.place.target_server.url(shop.place.name, shop.place.etl, "hush"),
    }
    found, out, err = main(rules=RULES, **{name: wrong.get(value or "", value) for name, value in changed.items()})
    assert found == status
    assert re.fullmatch(rf"error: {message.format(app=re.escape(shop.app))}\n", err), err
    for secret in ("hush", "Traceback", PASSWORD):
        assert secret not in out + err
    assert not [line for line in out.splitlines() if "error" in line]
    assert shop.place.schemas() == set()
    assert shop.place.sessions() == {"origin": 0, "target": 0}


def test_without_rules_an_app_that_nobody_knows_is_a_usage_error(main: Main, shop: Shop) -> None:
    status, _, err = main()
    assert status == 2
    assert err == (
        f"error: unknown app {shop.app}: known apps: {', '.join(sorted(known_apps()))}; "
        "give another --rules, CONFIG_PATH or an entry in prefect.yaml\n"
    )


@pytest.mark.slow
def test_variables_are_read_from_a_file_of_the_directory_and_the_environment_stands_above_it(shop: Shop) -> None:
    shop.place.in_origin(ORIGIN)
    file = "\n".join(f"{name}='{value}'" for name, value in {**shop.environment, "METABASE_USERNAME": "nobody"}.items())
    (shop.directory / ".env").write_text(file)
    unset: dict[str, Any] = dict.fromkeys(shop.environment)
    command = shop.command("--check", rules=RULES, **{**unset, "METABASE_USERNAME": shop.place.reader})
    assert command.wait() == 0, command.text


@pytest.mark.parametrize(
    ("module", "told"),
    [
        ("flows.etl", "; start it, or unset the variable"),
        pytest.param(
            "blocks.register", " ([Errno 111] Connection refused); start it, or correct PREFECT_API_URL", marks=SLOW
        ),
    ],
)
def test_a_prefect_server_that_does_not_answer_is_one_clear_line(module: str, told: str, shop: Shop) -> None:
    rules = RULES if module == "flows.etl" else None
    command = shop.command(module=module, rules=rules, PREFECT_API_URL="http://127.0.0.1:1/api")
    assert command.wait() == 1
    assert command.err == f"error: the Prefect server of PREFECT_API_URL does not answer{told}\n"
    assert command.out == ""


@pytest.mark.slow
def test_a_url_that_is_not_of_an_api_is_one_clear_line(shop: Shop) -> None:
    command = shop.command(module="blocks.register", PREFECT_API_URL=shop.server.url.replace("/api", "/dashboard"))
    assert command.wait() == 1
    assert re.fullmatch(r"error: .*: no Prefect API answers \(HTTP 40\d\); want a URL that ends in /api\n", command.err)


# Without a Prefect server of the user's own


def recorded(home: Path) -> dict[str, str]:
    """Return the task runs that a server's database has kept, and their states."""
    with closing(sqlite3.connect(home / "prefect.db")) as connection:
        return dict(connection.execute("SELECT name, state_name FROM task_run").fetchall())


@pytest.mark.slow
def test_without_a_server_a_run_starts_one_ends_in_silence_and_keeps_its_task_runs(shop: Shop, tmp_path: Path) -> None:
    shop.place.in_origin(ORIGIN)
    home = tmp_path / "home"
    home.mkdir()
    furnish(home)
    alone: dict[str, Any] = {"PREFECT_API_URL": None, "PREFECT_HOME": str(home)}
    command = shop.command(rules=RULES, **alone)
    assert command.wait(5 * PATIENCE) == 0
    assert command.err == ""
    assert [line.split()[1] for line in command.out.splitlines()[: len(STEPS)]] == [step.split()[0] for step in STEPS]
    stages = {f"{stage} {shop.app}" for stage in ("check", "anonymize", "index", "verify", "publish", "clean")}
    assert recorded(home) == dict.fromkeys({"download rules", "copy users", "copy visits", *stages}, "Completed")

    command = shop.command(rules="tables: all", **alone)
    assert command.wait(5 * PATIENCE) == 1
    assert command.err.startswith("error: rules: ")
    assert len(command.err.splitlines()) == 1
    assert "Traceback" not in command.out
    assert recorded(home)[f"check {shop.app}"] == "Failed"


@pytest.mark.slow
def test_ctrl_c_ends_a_run_with_its_own_server_too(shop: Shop, tmp_path: Path) -> None:
    fill_slow(shop.place, rows=20000)
    home = tmp_path / "home"
    home.mkdir()
    furnish(home)
    command = shop.command(rules=SLOW_RULES, PREFECT_API_URL=None, PREFECT_HOME=str(home))
    eventually(lambda: busy(shop.place, "origin", "COPY"), 5 * PATIENCE)
    command.interrupt(signal.SIGINT)  # which a terminal sends to the server as well
    assert command.wait() == 1
    assert command.err == "interrupted: nothing was published, the published schema is as it was\n"
    assert "Traceback" not in command.out
    assert recorded(home)["copy users"] in ("Failed", "Crashed")
    assert shop.place.schemas() == set()
    assert shop.place.sessions() == {"origin": 0, "target": 0}


@pytest.mark.slow
def test_a_command_that_is_killed_leaves_no_server_running(shop: Shop, tmp_path: Path) -> None:
    fill_slow(shop.place, rows=20000)
    home = tmp_path / "home"
    home.mkdir()
    furnish(home)
    command = shop.command(rules=SLOW_RULES, PREFECT_API_URL=None, PREFECT_HOME=str(home))
    eventually(lambda: busy(shop.place, "origin", "COPY"), 5 * PATIENCE)
    started = psutil.Process(command.process.pid).children(recursive=True)
    assert any("own_server" in " ".join(process.cmdline()) for process in started)
    command.process.kill()  # it alone, not its group
    eventually(lambda: not any(is_alive(process) for process in started))


def is_alive(process: psutil.Process) -> bool:
    """Tell whether a process still runs; what nobody waits for stays known to the system."""
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
