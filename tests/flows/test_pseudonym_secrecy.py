"""The key of pseudonyms is in nothing that a run leaves or shows: on the servers, with Prefect, in `ps`, in any encoding."""

import base64
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest
from prefect.blocks.system import Secret
from pydantic import SecretStr

from blocks import urls
from blocks.pseudonym_key import BLOCK
from demo.servers import Server
from multischema.masks import pseudonyms
from multischema.masks.pseudonyms import pseudonym
from tests.conftest import PROGRAMS, Place
from tests.flows.conftest import SLOW_RULES, Command, Shop, blocked, busy, fill_slow
from tests.flows.test_secrecy import DEBUG, WORKER, failing_row, files_of
from tests.support.clients import program
from tests.support.servers import PrefectServer, eventually

pytestmark = pytest.mark.slow

KEY = bytes.fromhex("9f3c1b7ad2e84650b1c7a3f5e90d2846d1a7c35b9e02f4687ac13d5be8f60294")
DOMAIN = "person_email"
SYSTEM = next((name for name in PROGRAMS if name.startswith("system")), "16")
# a server that tells all it can
TALKATIVE = {
    "log_statement": "all",
    "log_min_duration_statement": "0",
    "log_connections": "on",
    "log_disconnections": "on",
    "log_parameter_max_length": "-1",
    "log_parameter_max_length_on_error": "-1",
    "log_error_verbosity": "verbose",
    "log_min_messages": "debug1",
    "log_replication_commands": "on",
    "debug_print_plan": "off",
    "track_activity_query_size": "1MB",
}
LOADED = {
    "shared_preload_libraries": "pg_stat_statements,auto_explain",
    "pg_stat_statements.track": "all",
    "auto_explain.log_min_duration": "0",
    "auto_explain.log_verbose": "on",
    "auto_explain.log_settings": "on",
}
ORIGIN = """
CREATE TYPE mood AS ENUM ('good', 'bad');
CREATE TYPE told AS (mood mood);
CREATE TABLE users (id serial PRIMARY KEY, name text, mood mood, told told DEFAULT ROW('good'));
INSERT INTO users (name, mood) VALUES ('marie@a.fr', 'good'), (NULL, 'bad');
"""
RULES = """
tables:
  - table_name: users
    anonymized_column_names: [name]
    non_anonymized_column_names: [mood, told]
    masks: {name: {pseudonym: person_email}}
"""


def pieces(secret: bytes) -> list[bytes]:
    """Return what shows a secret, or the start of one that was cut: hexadecimal digits, bytes, base64, a repr."""
    start = secret[:12]
    shown = [start.hex().encode(), start, repr(start)[2:-1].encode()]
    return shown + [base64.b64encode(secret[offset : offset + 12]) for offset in range(3)]


SECRETS = {
    "master": KEY,
    "domain": pseudonyms.domain_key(KEY, DOMAIN),
    **{name: bytes.fromhex(value) for name, value in pseudonyms.settings(KEY, [DOMAIN]).items()},
}


def found(content: str | bytes) -> list[str]:
    """Return the names of the secrets that a text or a file holds."""
    data = content.encode("utf-8", "replace") if isinstance(content, str) else content
    lowered = data.lower()  # hexadecimal digits come in both cases; base64 in one
    return [
        name
        for name, secret in SECRETS.items()
        if any(piece in data or (number == 0 and piece in lowered) for number, piece in enumerate(pieces(secret)))
    ]


def of_server(server: Server) -> bytes:
    """Return all that a server has on its disk: its log, tables, WAL, statistics, and the texts of statements."""
    with psycopg.connect(server.url(), autocommit=True) as connection:
        connection.execute("CHECKPOINT")
    contents = [server.log.read_bytes()]
    for file in server.data.rglob("*"):
        with suppress(OSError):
            contents.append(file.read_bytes())
    return b"\0".join(contents)


def statements(server: Server) -> str:
    """Return what the server shows of statements, sessions and settings to a superuser."""
    asked = ["SELECT a::text FROM pg_stat_activity a", "SELECT s::text FROM pg_settings s"]
    with psycopg.connect(server.url(), autocommit=True) as connection:
        if server.bin == PROGRAMS[SYSTEM] and SYSTEM != "16":
            connection.execute("CREATE EXTENSION IF NOT EXISTS pg_stat_statements")
            asked.append("SELECT s::text FROM pg_stat_statements s")
        return "\n".join(row[0] for query in asked for row in connection.execute(query.encode()).fetchall())


@contextmanager
def watched(temporary: Path) -> Iterator[dict[int, tuple[str, str]]]:
    """Gather command lines and variables of the processes that have this TMPDIR, by process, while entered."""
    seen: dict[int, tuple[str, str]] = {}
    over = threading.Event()

    def look() -> None:
        while not over.wait(0.02):
            for process in psutil.process_iter(["pid", "cmdline", "environ"]):
                variables = process.info["environ"] or {}
                if variables.get("TMPDIR") == str(temporary):
                    line, before = " ".join(process.info["cmdline"] or ()), seen.get(process.info["pid"], ("", ""))
                    seen[process.info["pid"]] = (f"{before[0]}\n{line}", f"{before[1]}\n{variables}")

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield seen
    finally:
        over.set()
        thread.join()


@pytest.fixture
def talkative(start_server: Callable[..., Server]) -> None:
    """Start the servers that tell all they can; the system's has pg_stat_statements and auto_explain."""
    start_server(SYSTEM, "talkative", {**TALKATIVE, **(LOADED if SYSTEM != "16" else {})})
    start_server("18", "talkative", TALKATIVE)


@pytest.fixture
def make_shop(
    talkative: None,
    make_place: Callable[..., Place],
    server: PrefectServer,
    work: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Callable[[str, str], Shop]]:
    """Return a function that makes an app on two talkative servers."""
    monkeypatch.setattr(urls, "_given", {})
    shops: list[Shop] = []

    def make(origin: str, target: str) -> Shop:
        shops.append(Shop(make_place(origin, target, "talkative"), server, work))
        shops[-1].register()
        return shops[-1]

    yield make
    for shop in shops:
        for command in shop.commands:
            command.end()
    with suppress(ValueError):
        Secret.delete(BLOCK)


def started(way: str, shop: Shop, rules: str, **around: Any) -> Command:
    """Start a run: as a worker does, with the key in its block, or on the command line, with the key in its variable."""
    mode = "dump" if "dump" in way else "stream"
    if way.startswith("worker"):
        Secret(value=SecretStr(KEY.hex())).save(BLOCK, overwrite=True)
        (shop.directory / "worker.py").write_text(WORKER)
        parameters = json.dumps(shop.parameters(rules, mode=mode))
        command = Command.start(shop.directory, "worker", [parameters], {"PREFECT_API_URL": shop.server.url, **around})
        shop.commands.append(command)
        return command
    return shop.command("--mode", mode, rules=rules, ETL_PSEUDONYM_KEY=KEY.hex(), **around)


def of_prefect(shop: Shop) -> dict[str, str]:
    """Return what Prefect has of the last run, and of everything."""
    run = shop.last()
    return {
        "run": json.dumps(run),
        "states": json.dumps(shop.server.ask("GET", f"flow_run_states/?flow_run_id={run['id']}")),
        "logs": json.dumps(shop.server.logs(run)),
        "artifacts": json.dumps(shop.server.ask("POST", "artifacts/filter", {})),
        "blocks": json.dumps(shop.server.ask("POST", "block_documents/filter", {})),
        "database": shop.server.database(),
        "files": files_of(shop.server.home),
    }


def nothing(shop: Shop) -> None:
    """Have the next run publish."""


@pytest.mark.parametrize(
    ("way", "origin", "target", "prepare", "said"),
    [
        ("worker", "18", SYSTEM, nothing, "published schema"),
        ("command", SYSTEM, "18", nothing, "published schema"),
        ("worker dump", SYSTEM, "18", nothing, "published schema"),
        ("command dump", "18", SYSTEM, nothing, "published schema"),
        ("worker", SYSTEM, "18", failing_row, "copying users failed"),
        ("command", "18", SYSTEM, failing_row, "copying users failed"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_the_key_is_in_nothing_that_a_run_leaves_or_shows(
    way: str,
    origin: str,
    target: str,
    prepare: Callable[[Shop], None],
    said: str,
    make_shop: Callable[[str, str], Shop],
) -> None:
    shop = make_shop(origin, target)
    shop.place.in_origin(ORIGIN)
    prepare(shop)
    temporary = shop.directory / "temporary"
    temporary.mkdir()
    told = shop.directory / "programs"  # which may end before anybody looks
    told.touch()
    for name in ("pg_dump", "pg_restore"):
        program(shop.directory, name, f'(env; printf "%s\\n" "$0" "$@") >> {told}; exec "$real" "$@"')
    around = {**DEBUG, "PATH": f"{shop.directory}:{PROGRAMS['18']}:/usr/bin:/bin", "TMPDIR": str(temporary)}
    with watched(temporary) as processes:
        command = started(way, shop, RULES, **around)
        command.wait()
    assert said in command.text
    own = command.process.pid  # its variables are those that it was given
    servers = {"origin": shop.place.origin_server, "target": shop.place.target_server}
    places: dict[str, str | bytes] = {
        "output": command.text,
        "ps": "\n".join(line for line, _ in processes.values()),
        "variables": "\n".join(variables for pid, (_, variables) in processes.items() if pid != own),
        **of_prefect(shop),
        **{f"disk of {side}": of_server(server) for side, server in servers.items()},
        **{f"statements of {side}": statements(server) for side, server in servers.items()},
        "temporary": files_of(temporary),
        "programs": told.read_text(),
    }
    assert {name: secrets for name, content in places.items() if (secrets := found(content))} == {}
    # and the statements that use it are there to be found
    reading = "target" if "dump" in way else "origin"
    assert b"current_setting('etl.ipad_person_email')" in places[f"disk of {reading}"]
    if servers[reading].bin == PROGRAMS[SYSTEM] and SYSTEM != "16" and prepare is nothing:  # it counts what succeeds
        assert "current_setting('etl.ipad_person_email')" in places[f"statements of {reading}"]
    if "dump" in way:
        assert "PGOPTIONS=" in told.read_text()
        assert "pg_dump" in told.read_text()
    if prepare is nothing:
        assert shop.read("SELECT name FROM {}.users ORDER BY id") == [(pseudonym(KEY, DOMAIN, "marie@a.fr"),), (None,)]


@pytest.mark.parametrize(("origin", "target"), [(SYSTEM, "18"), ("18", SYSTEM)])
def test_no_other_session_sees_the_key_while_rows_are_copied_nor_where_the_connection_is_lost(
    origin: str, target: str, make_shop: Callable[[str, str], Shop]
) -> None:
    shop = make_shop(origin, target)
    fill_slow(shop.place, 3)
    masked = "[name], masks: {name: {pseudonym: person_email}},"
    rules = SLOW_RULES.replace("anonymized_column_names: [name],", f"anonymized_column_names: {masked}", 1)
    with blocked(shop.place) as release:
        command = started("command", shop, rules, **DEBUG)
        eventually(lambda: busy(shop.place, "origin", "COPY"))
        live = statements(shop.place.origin_server)
        with psycopg.connect(shop.place.origin_url, autocommit=True) as connection:  # the very role of the run
            query = b"SELECT s::text FROM pg_settings s UNION ALL SELECT a::text FROM pg_stat_activity a"
            live += "\n".join(row[0] for row in connection.execute(query).fetchall())
            ((setting,),) = connection.execute("SELECT current_setting('etl.ipad_person_email', true)").fetchall()
        with psycopg.connect(shop.place.origin_server.url(), autocommit=True) as connection:
            ended = connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s AND query ILIKE 'COPY%%'",
                [shop.place.name],
            ).fetchall()
        assert ended
        release()
    assert command.wait() == 0, command.text
    assert "trying again" in command.text
    assert setting in (None, "")
    assert "etl.ipad_person_email" in live  # in the text of the COPY
    places: dict[str, str | bytes] = {
        "live": live,
        "output": command.text,
        "disk": of_server(shop.place.origin_server),
        **of_prefect(shop),
    }
    assert {name: secrets for name, content in places.items() if (secrets := found(content))} == {}


def test_the_search_finds_a_key_that_somebody_shows(make_shop: Callable[[str, str], Shop]) -> None:
    shop = make_shop(SYSTEM, "18")
    for name, secret in SECRETS.items():
        shown = (secret.hex(), secret.hex().upper(), base64.b64encode(secret).decode(), f"{secret!r}")
        assert all(found(f"x{text}y") for text in (*shown, base64.b64encode(b"a" + secret).decode())), name
        assert found(b"x" + secret + b"y")
    assert found(KEY.hex()) == ["master"]
    with psycopg.connect(shop.place.origin_url, autocommit=True) as connection:
        literal = SECRETS["etl.ipad_person_email"].hex().encode()
        with connection.cursor() as cursor, cursor.copy(b"COPY (SELECT '" + literal + b"' AS x) TO STDOUT") as copy:
            list(copy)
        connection.execute("SELECT %s::text", [SECRETS["etl.opad_person_email"].hex()])
        live = statements(shop.place.origin_server)
    if SYSTEM != "16":
        assert "etl.ipad_person_email" in found(live)
    assert {"etl.ipad_person_email", "etl.opad_person_email"} <= set(found(of_server(shop.place.origin_server)))


def test_after_a_rotation_no_old_pseudonym_is_left_in_what_was_run(make_shop: Callable[[str, str], Shop]) -> None:
    shop = make_shop("18", SYSTEM)
    shop.place.in_origin(ORIGIN + "INSERT INTO users (name) SELECT 'p' || g || '@a.fr' FROM generate_series(1, 300) g")
    second = Shop(shop.place, shop.server, shop.directory)
    new = bytes.fromhex("5b" + KEY.hex()[2:])
    for key in (KEY, new):
        Secret(value=SecretStr(key.hex())).save(BLOCK, overwrite=True)
        for schema in ("", "second"):
            assert second.run(RULES, schema=schema).is_completed()
    names = ["marie@a.fr", *(f"p{number}@a.fr" for number in range(1, 301))]
    old = {pseudonym(KEY, DOMAIN, name) for name in names}
    shown = ""
    for schema in (shop.app, "second"):
        rows = {name for (name,) in shop.place.read(f'SELECT name FROM "{schema}".users WHERE name IS NOT NULL', as_="etl")}
        assert rows == {pseudonym(new, DOMAIN, name) for name in names}
    for query in (
        "SELECT s::text FROM pg_stats s WHERE schemaname NOT LIKE 'pg%'",
        "SELECT s::text FROM etl_state.published s",
    ):
        shown += "\n".join(row[0] for row in shop.place.read(query, as_="superuser"))
    assert "p_" in shown
    assert not any(name in shown for name in old)
