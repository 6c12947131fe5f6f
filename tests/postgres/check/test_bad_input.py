"""Bad input, as whoever types the command meets it: one clear line, the exit status, nothing published, nothing told."""

import os
import re
import resource
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import quote

import psycopg
import pytest
import yaml

from demo.servers import Server
from flows.apps import known_apps
from multischema.errors import DatabaseError
from tests.conftest import PASSWORD, ROOT, Place
from tests.support.gates import have_rows_call

pytestmark = pytest.mark.slow

ORIGIN = """
CREATE TABLE users (id serial PRIMARY KEY, name text, city text);
INSERT INTO users (name, city) VALUES ('Marie', 'Lyon');
"""
RULES = """
tables:
  - table_name: users
    anonymized_column_names: [name]
    non_anonymized_column_names: [city]
"""
SECRETS = (PASSWORD, quote(PASSWORD, safe=""), quote(PASSWORD), "s3cr")
UNREACHABLE = "postgresql://someone:s3cr%40t@127.0.0.1:1/somewhere"
REFUSED = (
    'can\'t connect: connection to server at "127.0.0.1", port 1 failed: Connection refused; '
    "check host and port in the URL, and that this machine may reach them"
)
TALKATIVE = {"PREFECT_LOGGING_LEVEL": "DEBUG", "PREFECT_LOGGING_ROOT_LEVEL": "DEBUG", "PREFECT_DEBUG_MODE": "true"}
PATIENCE = 120  # seconds that a busy machine gets for what usually takes two
CHECKED = "checked invented-shop: 1 table to copy, 0 truncated, 1 index, 0 warnings"


@dataclass(frozen=True)
class Said:
    """What a command said, and its exit status."""

    status: int
    out: str
    err: str


@pytest.fixture
def shop(place: Place) -> Place:
    """Return a place whose origin the rules fit."""
    place.in_origin(ORIGIN)
    place.rules(RULES)
    return place


def environment(place: Place) -> dict[str, str]:
    """Return what a user of app `invented-shop`, which no prefect.yaml has has in `.env`."""
    return {
        "APP": "invented-shop",
        "ETL_DB_URL": place.target_url,
        "METABASE_USERNAME": place.reader,
        "ORIGIN_DB_URL": place.origin_url,
        "CONFIG_PATH": "anonymizer.yml",
    }


@contextmanager
def started(place: Place, variables: dict[str, str], arguments: Sequence[str]) -> Iterator[subprocess.Popen[str]]:
    """Start the command where only `.env` tells it anything."""
    (place.path / "home").mkdir(exist_ok=True)
    (place.path / ".env").write_text("".join(f"{name}='{value}'\n" for name, value in variables.items()))
    process = subprocess.Popen(
        [sys.executable, "-m", "flows.etl", *arguments],
        cwd=place.path,
        env={"PATH": os.environ["PATH"], "HOME": str(place.path / "home"), "PYTHONPATH": str(ROOT)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        # a shell may have started the tests in the background, with Ctrl-C ignored
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def said(process: subprocess.Popen[str]) -> Said:
    """Wait for the command's end, and see that it told no password."""
    out, err = process.communicate(timeout=PATIENCE)
    for secret in SECRETS:
        assert secret not in out + err
    assert "Traceback" not in out + err
    return Said(process.returncode, out, err)


def check(place: Place, variables: dict[str, str], *arguments: str) -> Said:
    """Run the command with `--check`, and see that it leaves nothing behind."""
    before = place.schemas()
    with started(place, variables, ["--check", *arguments]) as process:
        result = said(process)
    assert place.schemas() == before
    assert place.sessions() == {"origin": 0, "target": 0}
    assert {path.name for path in place.path.iterdir()} <= {".env", "anonymizer.yml", "home"}
    return result


def test_a_check_that_finds_nothing_ends_well_and_publishes_nothing(shop: Place) -> None:
    result = check(shop, environment(shop) | TALKATIVE)
    assert (result.status, "error" in result.err) == (0, False)
    assert result.out.splitlines()[2].endswith(CHECKED)


def test_a_wrong_password_ends_the_command_with_a_line(shop: Place) -> None:
    wrong = re.sub(":[^:@]*@", ":s3cr%40t@", shop.target_url)
    result = check(shop, environment(shop) | TALKATIVE | {"ETL_DB_URL": wrong})
    assert (result.status, result.err.splitlines()[-1]) == (
        1,
        f'error: target: can\'t connect: connection to server at "127.0.0.1", port {shop.target_server.port} failed: '
        f'FATAL: password authentication failed for user "{shop.etl}"; '
        "check user and password in the URL, special characters as %-escapes, and whether the password has expired",
    )


@dataclass(frozen=True)
class Case:
    """A variable or an argument that is wrong, and what the command says of it."""

    name: str
    said: Sequence[str]
    changes: dict[str, str] = field(default_factory=dict)
    missing: Sequence[str] = ()
    arguments: Sequence[str] = ()
    status: int = 1


CASES = [
    Case(
        "neither the origin nor the target can be reached",
        [f"error: origin invented-shop: {REFUSED}", f"error: target: {REFUSED}"],
        changes={"ORIGIN_DB_URL": UNREACHABLE, "ETL_DB_URL": UNREACHABLE},
    ),
    Case(
        "the app is unknown and the variables are missing",
        [
            f"error: unknown app nobody: known apps: {', '.join(sorted(known_apps()))}; "
            "give another --rules, CONFIG_PATH or an entry in prefect.yaml",
            "error: missing variable ORIGIN_DB_URL: want the URL of the origin nobody",
            "error: missing variable ETL_DB_URL: want the URL of the target",
            "error: missing variable METABASE_USERNAME: want the role that Metabase reads with",
        ],
        missing=["APP", "CONFIG_PATH", "ORIGIN_DB_URL", "ETL_DB_URL", "METABASE_USERNAME"],
        arguments=["--app", "nobody"],
        status=2,
    ),
    Case(
        "the origin of another app is all there is",
        ["error: missing variable RDV_SOLIDARITES_DB_URL: want the URL of the origin rdvs"],
        arguments=["--app", "rdvs"],
        status=2,
    ),
    Case(
        "the rules' URL holds a password",
        [
            "error: rules: https://127.0.0.1:1/anonymizer.yml: the URL holds a user or a password; "
            "want one without: it is stored and shown in clear"
        ],
        arguments=["--rules", "https://someone:s3cr@127.0.0.1:1/anonymizer.yml"],
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_check_of_what_is_wrong_says_it_line_by_line(shop: Place, case: Case) -> None:
    variables = {name: value for name, value in environment(shop).items() if name not in case.missing}
    result = check(shop, variables | case.changes, *case.arguments)
    assert result.err.splitlines() == case.said
    assert result.status == case.status


def test_rules_that_are_none_end_the_command_with_a_line(shop: Place) -> None:
    shop.rules("tables: users: truncated")
    result = check(shop, environment(shop))
    assert (result.status, result.err) == (
        1,
        "error: rules: line 1: not YAML at character 14: mapping values are not allowed in this context\n",
    )


def test_gaps_of_the_rules_end_the_command_with_a_snippet_that_closes_them(shop: Place) -> None:
    shop.rules("tables: []")
    result = check(shop, environment(shop))
    first, snippet = result.err.split("\n", 1)
    assert (result.status, first) == (1, "error: origin invented-shop: missing rules for table users")
    shop.rules(snippet)
    assert check(shop, environment(shop)).status == 0


def test_names_from_the_rules_are_told_of_in_few_short_lines_and_command_no_terminal(shop: Place) -> None:
    odd = "\x1b[2Ja\nb\u202e"
    entries: list[dict[str, object]] = [{"table_name": f"{odd}{n}", "truncated": True} for n in range(1000)]
    users: dict[str, object] = {"table_name": "users", "anonymized_column_names": [odd, "é" * 1_000_000]}
    shop.rules(yaml.safe_dump({"tables": [users, *entries]}))
    result = check(shop, environment(shop))
    assert (result.status, len(result.err) < 2000, "\x1b" in result.err, "\u202e" in result.err) == (1, True, False, False)
    users["non_anonymized_column_names"] = ["name", "city"]
    shop.rules(yaml.safe_dump({"tables": [users, *entries]}, width=10_000_000))
    result = check(shop, environment(shop))
    shown = r"\x1b[2Ja\nb\u202e"
    columns = ((3, shown), (4, "é" * 30 + "…"))
    assert result.status == 0
    tables = ((line, f"{shown}{n}") for n, line in enumerate(range(9, 29, 2)))
    assert [line[10:] for line in result.out.splitlines() if "not in the origin" in line] == [
        *(
            f"warning: rules: line {line}: users.{name} is not in the origin [unknown-column users.{name}]"
            for line, name in columns
        ),
        *(f"warning: rules: line {line}: table {name} is not in the origin [unknown-table {name}]" for line, name in tables),
        "warning: rules: 990 more tables are not in the origin",
    ]


def test_ctrl_c_ends_a_check_that_waits_for_a_server(shop: Place) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(PATIENCE)
        url = f"postgresql://someone:s3cr@127.0.0.1:{silent.getsockname()[1]}/somewhere"
        with started(shop, environment(shop) | {"ETL_DB_URL": url}, ["--check"]) as process:
            silent.accept()
            process.send_signal(signal.SIGINT)
            result = said(process)
    assert (result.status, result.err) == (1, "interrupted: nothing was published, the published schema is as it was\n")
    assert shop.sessions() == {"origin": 0, "target": 0}


# What Postgres says of a row must stay with Postgres.


def failed(place: Place, rules: str = RULES) -> str:
    """Return the one line of a run that fails, and see that it published nothing and left nothing behind."""
    before = place.schemas()
    with pytest.raises(DatabaseError) as caught:
        place.run(rules)
    assert place.schemas() == before
    assert place.sessions() == {"origin": 0, "target": 0}
    (line,) = caught.value.problems
    assert "\n" not in line
    assert "MARKER" not in "".join(map(str, (caught.value.__cause__, line)))
    return line


def test_text_that_is_not_utf8_fails_in_a_line_that_holds_none_of_it(place: Place) -> None:
    place.recode_origin("SQL_ASCII")
    place.in_origin(ORIGIN)
    place.in_origin(r"INSERT INTO users (name, city) VALUES ('x', E'MARKER Mont\xe9limar')")
    assert failed(place) == (
        "origin shop: copying users failed: CharacterNotInRepertoire (22021); its message may quote a row, and stands in "
        "the server's log only; a text or a name there is not UTF-8: repair it in the origin, or anonymize its column"
    )


@pytest.mark.parametrize("before", [0, 1, 2, 3000])
def test_an_error_amid_the_rows_of_a_table_is_told_as_one_before_them(
    place: Place, before: int, caplog: pytest.LogCaptureFixture
) -> None:
    place.recode_origin("SQL_ASCII")
    place.in_origin(ORIGIN)
    place.in_origin(f"DELETE FROM users; INSERT INTO users (city) SELECT 'Lyon' FROM generate_series(1, {before})")
    place.in_origin(r"INSERT INTO users (name, city) VALUES ('x', E'MARKER Mont\xe9limar')")
    assert failed(place).startswith("origin shop: copying users failed: CharacterNotInRepertoire (22021)")
    assert not caplog.records


def test_a_comment_that_is_not_utf8_fails_the_check(place: Place) -> None:
    place.recode_origin("SQL_ASCII")
    place.in_origin(ORIGIN)
    place.in_origin(r"COMMENT ON COLUMN users.city IS E'MARKER \xe9t\xe9'")
    assert failed(place).startswith("origin shop: reading the catalog failed: CharacterNotInRepertoire (22021)")


def test_text_of_another_encoding_is_converted(place: Place) -> None:
    place.recode_origin("LATIN1")
    with psycopg.connect(place.origin_url, autocommit=True, client_encoding="utf8") as connection:
        connection.execute(ORIGIN.replace("Lyon", "Montélimar").encode())
    place.run(RULES)
    assert place.read("SELECT city FROM shop.users") == [("Montélimar",)]


def test_a_value_that_the_target_can_t_read_names_the_column_alone(place: Place) -> None:
    place.in_origin("CREATE TABLE users (id serial PRIMARY KEY, name text, city jsonb)")
    place.in_origin(
        "INSERT INTO users (city) VALUES (('[\"MARKER\",' || repeat('[', 3000) || repeat(']', 3000) || ']')::jsonb)"
    )
    place.in_target(f"ALTER DATABASE {place.name} SET max_stack_depth = '100kB'", superuser=True)
    assert failed(place).startswith("target: copying users, column city, failed: StatementTooComplex (54001)")


def test_a_value_that_the_target_s_version_can_t_hold_is_refused_by_its_column(
    make_place: Callable[..., Place],
) -> None:
    place = make_place("18", "16")
    place.in_origin("CREATE TABLE users (id serial PRIMARY KEY, name text, city jsonpath)")
    place.in_origin("INSERT INTO users (city) VALUES ('$.MARKER.bigint()')")
    assert failed(place).startswith(
        "origin shop: column users.city holds a path with a method of Postgres 17, which Postgres 16 can't hold (17 can); "
        "repair 1 row, "
    )


def test_an_error_that_a_function_raises_is_told_without_its_words_whatever_code_it_gives(place: Place) -> None:
    place.in_origin(
        """
        CREATE TYPE mood AS ENUM ('MARKER');
        CREATE TYPE moods AS (mood mood);
        CREATE FUNCTION told(mood) RETURNS json LANGUAGE plpgsql AS $$
        BEGIN RAISE EXCEPTION 'no room for %', $1 USING ERRCODE = 'disk_full'; END $$;
        CREATE TABLE users (id serial PRIMARY KEY, name text, city moods);
        INSERT INTO users (city) VALUES (ROW('MARKER'));
        """
    )
    have_rows_call(place, "told", "mood")
    assert failed(place).startswith(
        "origin shop: copying users failed: DiskFull (53100); its message may quote a row, and stands in "
        "the server's log only"
    )


def test_an_index_that_the_target_can_t_build_is_left_out_without_a_value(make_place: Callable[..., Place]) -> None:
    place = make_place("18", "16")
    place.in_origin(
        """
        CREATE FUNCTION checked(text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$
        BEGIN IF current_setting('check', true) = 'on' THEN RAISE EXCEPTION 'bad: %', $1; END IF; RETURN $1; END $$;
        CREATE TABLE users (id serial PRIMARY KEY, name text, city text);
        INSERT INTO users (name, city) VALUES ('x', '$.MARKER.bigint()');
        CREATE INDEX by_function ON users (checked(city));
        CREATE INDEX by_path ON users ((city::jsonpath::text));
        """
    )
    published = place.run(RULES)
    assert list(published.indexed.warnings) == [
        "index by_function of users left out: the target can't build it: function checked(text) does not exist (42883)",
        "index by_path of users left out: the target can't build it: SyntaxError (42601); its message may quote a row, "
        "and stands in the server's log only",
    ]
    assert place.read("SELECT indexname FROM pg_indexes WHERE schemaname = 'shop'") == [("users_pkey",)]


def test_a_right_that_only_the_copy_misses_is_told_of_as_the_origin_s(place: Place) -> None:
    place.in_origin("CREATE TABLE users ()")
    place.in_origin("ALTER TABLE users OWNER TO postgres", superuser=True)
    assert failed(place, "tables: [{table_name: users, anonymized_column_names: []}]") == (
        "origin shop: copying users failed: permission denied for table users (42501); "
        "grant the right to the role, or connect as another"
    )


def test_a_target_without_room_fails_the_run_and_keeps_what_was_published(make_place: Callable[..., Place]) -> None:
    place = make_place("16", "18", "full")
    place.in_origin(ORIGIN)
    place.run(RULES)
    place.in_origin(
        """
        INSERT INTO users (name, city) SELECT 'Marie', 'Lyon' FROM generate_series(1, 40000);
        CREATE INDEX long ON users ((repeat(md5(id::text), 15)));
        """
    )
    with no_file_larger_than(17 * 2**20 + 4096, place.target_server):
        line = failed(place)
    assert re.fullmatch(
        r'target: building index long of users failed: could not extend file "[^"]+": '
        r"wrote only 4096 of 8192 bytes at block \d+ \(53100\); "
        "free space on the server or enlarge its disk; the next run starts anew",
        line,
    )
    assert place.read("SELECT count(*) FROM shop.users") == [(1,)]
    place.run(RULES)
    assert place.read("SELECT count(*) FROM shop.users") == [(40001,)]


@contextmanager
def no_file_larger_than(size: int, server: Server) -> Iterator[None]:
    """Start the server anew so that it fails where a file grows larger, as it does on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    server.stop()
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        server.start()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    yield
    server.stop()
    server.start()
