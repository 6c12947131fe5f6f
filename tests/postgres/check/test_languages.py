"""Servers that speak another language than English: a session asks for that where its role may choose.

What refuses a session before that is said in the server's language: the advice is the same.
"""

import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager

import psycopg
import pytest
from psycopg import sql

from demo.servers import Server
from multischema.errors import FEWER_CONNECTIONS, ConnectionLost
from multischema.postgres.connecting import connect
from multischema.postgres.database import Database
from tests.conftest import PAIRS, PASSWORD, PROGRAMS, Place
from tests.support import dumps
from tests.support.gates import eventually

pytestmark = pytest.mark.slow


def language(database: Database) -> str:
    """Return the language of a session's messages, as a locale."""
    with connect(database, "test") as connection:
        (row,) = connection.execute("SHOW lc_messages").fetchall()
    return str(row["lc_messages"])


@pytest.mark.parametrize(("origin", "target"), PAIRS)
def test_a_session_has_messages_in_english_where_its_role_may_choose_and_else_as_the_server_has_them(
    origin: str, target: str, make_place: Callable[..., Place]
) -> None:
    place = make_place(origin, target)
    # a locale that every system has, and that is not the one that is asked for
    with psycopg.connect(place.origin_server.url(), autocommit=True) as superuser:
        superuser.execute(sql.SQL("ALTER DATABASE {} SET lc_messages = 'POSIX'").format(sql.Identifier(place.name)))
        assert language(Database("origin", "shop", place.origin_url)) == "POSIX"
        assert language(Database("origin", "shop", place.origin_server.url(place.name))) == "C"
        if place.origin_server.major >= 15:
            superuser.execute(sql.SQL("GRANT SET ON PARAMETER lc_messages TO {}").format(sql.Identifier(place.app)))
            assert language(Database("origin", "shop", place.origin_url)) == "C"


FRENCH = "fr_FR.UTF-8"
LOGIN = "check user and password in the URL, special characters as %-escapes, and whether the password has expired"
ROLE = (
    "have an administrator let the role log in (ALTER ROLE … LOGIN), and see what the server asks of it, such as a client "
    "certificate (sslcert and sslkey in the URL)"
)
NAME = "check the database's name at the end of the URL"
SHUT = "have its owner let connections in (ALTER DATABASE … ALLOW_CONNECTIONS true), or name another database"


@pytest.fixture(scope="module")
def french(start_server: Callable[..., Server], tmp_path_factory: pytest.TempPathFactory) -> Server:
    """Return a server whose messages are French, with the locale of its own; most systems have none."""
    system = next((name for name in PROGRAMS if name.startswith("system")), None)
    if not system or not shutil.which("localedef"):
        pytest.skip("no system server that could speak French")
    locales = tmp_path_factory.mktemp("locales", numbered=False)
    made = subprocess.run(["localedef", "-i", "fr_FR", "-f", "UTF-8", locales / FRENCH], capture_output=True, check=False)
    if made.returncode:
        pytest.skip("no French locale can be made here")
    for folder in (locales, *locales.parents):
        folder.chmod(folder.stat().st_mode | 0o11)  # the server may run as another account
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LOCPATH", str(locales))
        server = start_server(system, "french", {"lc_messages": FRENCH, "max_connections": "12"})
    with psycopg.connect(server.url(), autocommit=True) as superuser:
        if "zéro" not in str(_refused(superuser, "SELECT 1/0")):
            pytest.skip("the system's server has no French messages")
        for name, options in (("plain", "LOGIN"), ("shut_out", "NOLOGIN"), ("once", "LOGIN CONNECTION LIMIT 0")):
            superuser.execute(f"CREATE ROLE {name} {options} PASSWORD '{PASSWORD}'".encode())
        superuser.execute("CREATE ROLE expired LOGIN PASSWORD 'a' VALID UNTIL '2001-01-01'")
        superuser.execute("CREATE DATABASE closed ALLOW_CONNECTIONS false")
        superuser.execute("CREATE DATABASE small CONNECTION LIMIT 0")
        superuser.execute("CREATE DATABASE revoked")
        superuser.execute("REVOKE CONNECT ON DATABASE revoked FROM public")
    return server


@pytest.mark.parametrize(
    ("role", "password", "database", "hint"),
    [
        ("plain", "wrong", "postgres", LOGIN),
        ("expired", "a", "postgres", LOGIN),
        ("shut_out", PASSWORD, "postgres", ROLE),
        ("plain", PASSWORD, "nowhere", NAME),
        ("once", PASSWORD, "postgres", FEWER_CONNECTIONS),
        ("plain", PASSWORD, "small", FEWER_CONNECTIONS),
        ("plain", PASSWORD, "closed", SHUT),
        ("plain", PASSWORD, "revoked", "grant CONNECT on the database to the role, or name another database"),
    ],
)
def test_a_server_that_refuses_in_french_is_told_with_the_advice_of_the_english_case(
    french: Server, role: str, password: str, database: str, hint: str
) -> None:
    _, _, advice = refusal(french.url(database, role, password)).partition("; ")
    assert advice == hint


def test_a_server_without_a_free_connection_says_so_in_french_with_the_advice_of_the_english_case(french: Server) -> None:
    with ExitStack() as stack:
        with pytest.raises(psycopg.OperationalError):
            for _ in range(20):
                stack.enter_context(closing(psycopg.connect(french.url("postgres", "plain", PASSWORD))))
        assert refusal(french.url("postgres", "plain", PASSWORD)).endswith(f"; {FEWER_CONNECTIONS}")


def test_a_server_that_lets_no_machine_in_is_told_in_french_with_the_file_to_change(french: Server) -> None:
    with entries(french, "host all postgres all scram-sha-256\n"):
        said = refusal(french.url("postgres", "plain", PASSWORD))
    assert "aucune entr" in said
    assert "; the server does not let this machine's address, user and database in: have its administrator allow" in said


@pytest.mark.usefixtures("private")
def test_a_pg_dump_that_finds_no_free_connection_is_told_in_french_with_the_advice_of_the_english_case(
    french: Server, make_place: Callable[..., Place]
) -> None:
    place = make_place(f"system-{french.major}", "18", "french")
    place.in_origin(dumps.ORIGIN)
    place.in_origin(f"ALTER ROLE {place.app} CONNECTION LIMIT 3", superuser=True)
    with pytest.raises(ConnectionLost) as failed:
        place.run(dumps.RULES, mode="dump", jobs=4)
    assert "trop de connexions" in str(failed.value)
    assert str(failed.value).endswith(f"; the run's own sessions were let in, so most likely {FEWER_CONNECTIONS}")


def test_a_server_that_is_shutting_down_is_told_in_french_with_the_advice_to_wait(french: Server) -> None:
    with closing(psycopg.connect(french.url("postgres", "plain", PASSWORD))):
        # it waits for the session to end
        os.kill(int((french.data / "postmaster.pid").read_text().split()[0]), signal.SIGTERM)
        eventually(lambda: _is_stopping(french), "a server that lets nobody in")
        said = refusal(french.url("postgres", "plain", PASSWORD))
    assert "; the server is starting, stopping or recovering: start again once it is up" in said
    eventually(lambda: not french.running, "the end of the server")


def refusal(url: str) -> str:
    """Return the line about a connection that is refused, and see that it tells no password."""
    with pytest.raises(ConnectionLost) as refused:
        connect(Database("origin", "shop", url), "test")
    (line,) = refused.value.problems
    assert PASSWORD not in line
    assert "\n" not in line
    return line


@contextmanager
def entries(server: Server, lines: str) -> Iterator[None]:
    """Let in only those whom these lines of pg_hba.conf let in."""
    before = (server.data / "pg_hba.conf").read_text()
    _load(server, lines)
    try:
        yield
    finally:
        _load(server, before)


def _load(server: Server, lines: str) -> None:
    (server.data / "pg_hba.conf").write_text(lines)
    with psycopg.connect(server.url(), autocommit=True) as superuser:
        loaded = superuser.execute("SELECT pg_conf_load_time()").fetchall()
        superuser.execute("SELECT pg_reload_conf()")
        eventually(lambda: superuser.execute("SELECT pg_conf_load_time()").fetchall() != loaded, "other entries")


def _is_stopping(server: Server) -> bool:
    try:
        psycopg.connect(server.url("postgres", "plain", PASSWORD)).close()
    except psycopg.OperationalError as error:
        return "FATAL" in str(error)
    return False


def _refused(connection: psycopg.Connection, statement: str) -> psycopg.Error:
    with pytest.raises(psycopg.Error) as refused:
        connection.execute(statement.encode())
    return refused.value
