"""URLs as hosts give them, and databases behind a tunnel: a port of localhost that passes bytes on (docs/local.md)."""

import re
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from io import StringIO
from urllib.parse import quote

import psycopg
import pytest
from dotenv import dotenv_values
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from multischema import pipeline
from multischema.errors import ConnectionLost, DatabaseError
from multischema.postgres.connecting import connect
from multischema.postgres.database import Database
from multischema.postgres.questions import ask_values
from multischema.postgres.sessions import Sessions
from tests.conftest import PASSWORD, Place
from tests.support.gates import PATIENCE, eventually

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
DATABASE_NAMES = ["demo-rdv-sol_1234", "rdv solidarités", "100% a+b", "app/prod?sslmode=disable", "#x&y=z:@"]
# Each byte that may stand in a password, as Postgres takes it from psql: all that is printed, and a letter of two bytes.
HARD_PASSWORD = "".join(chr(code) for code in range(0x20, 0x7F)) + "é"


class Tunnel:
    """A port of this machine whose connections go on to a server; nothing else is known of it."""

    def __init__(self, host: str, server: tuple[str, int]) -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._server = server
        self._listening = socket.create_server((host, 0), family=family)
        self._open: list[socket.socket] = []
        self.port: int = self._listening.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Close the port and cut what goes through it."""
        for end in (self._listening, *self._open):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    @property
    def passed(self) -> int:
        """Return how many connections went through."""
        return len(self._open) // 2

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._listening.accept()
                far = socket.create_connection(self._server)
                self._open += [near, far]
                for source, target in ((near, far), (far, near)):
                    threading.Thread(target=_pass_on, args=(source, target), daemon=True).start()


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)


@pytest.fixture
def tunnel() -> Iterator[Callable[..., Tunnel]]:
    """Return a function that opens a tunnel to the port of a server of this machine."""
    with ExitStack() as stack:

        def opened(port: int, host: str = "127.0.0.1") -> Tunnel:
            made = Tunnel(host, ("127.0.0.1", port))
            stack.callback(made.close)
            return made

        yield opened


def url(place: Place, port: int, *, host: str = "localhost", options: str = "", scheme: str = "postgresql") -> str:
    """Return the origin's URL, with another host and port."""
    return f"{scheme}://{place.app}:{quote(PASSWORD, safe='')}@{host}:{port}/{place.name}{options}"


@contextmanager
def database_named(place: Place, name: str) -> Iterator[None]:
    """Have a database of this name on the origin's server."""
    with psycopg.connect(place.origin_server.url(), autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        try:
            yield
        finally:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def name_of_database(url: str) -> str:
    """Return the name of the database that a URL leads to, as a run would connect."""
    with connect(Database("origin", "shop", url), "test") as connection:
        return str(connection.execute("SELECT current_database() AS name").fetchall()[0]["name"])


@pytest.mark.parametrize(
    "options", ["", "?sslmode=prefer", "?sslmode=disable", "?sslmode=allow", "?sslmode=prefer&connect_timeout=5"]
)
@pytest.mark.parametrize("scheme", ["postgres", "postgresql"])
def test_a_database_behind_a_tunnel_is_reached_as_localhost(
    place: Place, tunnel: Callable[..., Tunnel], options: str, scheme: str
) -> None:
    open_tunnel = tunnel(place.origin_server.port)
    assert name_of_database(url(place, open_tunnel.port, options=options, scheme=scheme)) == place.name
    assert open_tunnel.passed


@pytest.mark.parametrize("name", DATABASE_NAMES)
def test_a_database_of_any_name_is_reached_once_the_name_is_escaped(
    place: Place, tunnel: Callable[..., Tunnel], name: str
) -> None:
    port = tunnel(place.origin_server.port).port
    with database_named(place, name):
        escaped = f"postgres://{place.app}:{quote(PASSWORD, safe='')}@localhost:{port}/{quote(name, safe='')}?sslmode=prefer"
        assert name_of_database(escaped) == name


def test_a_password_of_any_characters_is_taken_once_it_is_escaped(place: Place, tunnel: Callable[..., Tunnel]) -> None:
    port = tunnel(place.origin_server.port).port
    with psycopg.connect(place.origin_server.url(), autocommit=True) as connection:
        connection.execute(
            sql.SQL("ALTER ROLE {} PASSWORD {}").format(sql.Identifier(place.app), sql.Literal(HARD_PASSWORD))
        )
    escaped = f"postgres://{place.app}:{quote(HARD_PASSWORD, safe='')}@localhost:{port}/{place.name}?sslmode=prefer"
    assert name_of_database(escaped) == place.name
    assert dotenv_values(stream=StringIO(f"URL={escaped}\n"))["URL"] == escaped


def test_an_address_of_ipv6_is_read_from_its_brackets() -> None:
    parameters = Database("origin", "shop", "postgres://app:pass@[::1]:10000/shop?sslmode=prefer").parameters()
    assert (parameters["host"], parameters["port"], parameters["dbname"]) == ("::1", "10000", "shop")


@pytest.mark.parametrize(
    ("rest", "changed"),
    [
        ("it%27s%20a%5Cname", {}),
        ("it%27s%20a%5Cname?keepalives_idle=5&tcp_user_timeout=9", {"keepalives_idle": "5", "tcp_user_timeout": "9"}),
    ],
)
def test_a_client_program_is_told_the_database_and_keepalives_and_no_password(rest: str, changed: dict[str, str]) -> None:
    origin = Database("origin", "shop", f"postgres://app:pass@host/{rest}")
    told = conninfo_to_dict(origin.connection_string())
    keepalives = {"keepalives": "1", "keepalives_idle": "30", "keepalives_interval": "10", "keepalives_count": "3"}
    assert told == {"dbname": r"it's a\name", **keepalives, **changed}
    assert (origin.environment()["PGPASSWORD"], origin.environment()["PGCONNECT_TIMEOUT"]) == ("pass", "15")


def test_a_server_without_tls_is_refused_where_the_url_requires_it(place: Place, tunnel: Callable[..., Tunnel]) -> None:
    port = tunnel(place.origin_server.port).port
    with pytest.raises(ConnectionLost, match=r"^origin shop: can't connect: .*server does not support SSL") as raised:
        name_of_database(url(place, port, options="?sslmode=require"))
    assert PASSWORD not in str(raised.value)
    assert quote(PASSWORD, safe="") not in str(raised.value)


def test_a_tunnel_that_is_not_open_is_told_with_its_side_and_port(place: Place, tunnel: Callable[..., Tunnel]) -> None:
    closed = tunnel(place.origin_server.port)
    closed.close()
    with pytest.raises(ConnectionLost, match=rf"^origin shop: can't connect: .*port {closed.port} failed") as raised:
        name_of_database(url(place, closed.port))
    assert PASSWORD not in str(raised.value)


@pytest.mark.parametrize(
    "password", ["correct@horse", "p@zz/w0rd", "half:way/there", "12345/67890", "why?@home", "100%pure", "a b"]
)
def test_a_password_that_is_not_escaped_is_told_without_any_part_of_it(password: str) -> None:
    # libpq would take what follows a bare @ or / for the host, and its message would tell it
    with pytest.raises(DatabaseError, match=r"^origin shop: the URL .* as %-escapes") as raised:
        name_of_database(f"postgres://app:{password}@localhost:1/shop")
    assert not any(part in str(raised.value) for part in re.split(r"[@/:?% ]", password) if len(part) > 1)


@pytest.mark.parametrize(
    "rest",
    ["app:a%40b@host/shop?application_name=a@b", "app@host/shop", "host/shop", "/shop?host=host", "app:a?b@host/shop"],
)
def test_a_url_is_read_as_libpq_reads_it(rest: str) -> None:
    parameters = Database("origin", "shop", f"postgresql://{rest}").parameters()
    assert (parameters["host"], parameters["dbname"]) == ("host", "shop")


def test_a_service_may_name_the_database() -> None:
    assert "dbname" not in Database("origin", "shop", "postgresql://?service=shop").parameters()


def test_an_app_behind_a_tunnel_is_published(place: Place, tunnel: Callable[..., Tunnel]) -> None:
    place.in_origin(ORIGIN)
    open_tunnel = tunnel(place.origin_server.port)
    origin = Database("origin", "shop", url(place, open_tunnel.port, options="?sslmode=prefer"))
    pipeline.run(place.job(), place.rules(RULES), origin, place.databases()[1])
    assert place.read("SELECT name, city FROM shop.users") == [("[valeur unique anonymisée 1]", "Lyon")]
    assert open_tunnel.passed > 1
    assert place.sessions() == {"origin": 0, "target": 0}


def test_a_statement_behind_a_tunnel_is_cancelled_on_its_server(place: Place, tunnel: Callable[..., Tunnel]) -> None:
    origin = Database("origin", "shop", url(place, tunnel(place.origin_server.port).port))
    outcome: list[BaseException] = []
    with Sessions("multi-schema test") as sessions:
        connection = sessions.open(origin, "public")
        (backend,) = ask_values(connection, int, "backend")
        sleeping = threading.Thread(
            target=lambda: outcome.append(_failure(lambda: connection.execute("SELECT pg_sleep(600)")))
        )
        sleeping.start()
        with psycopg.connect(place.origin_server.url(), autocommit=True) as watcher:

            def sleeps() -> bool:
                asked = "SELECT count(*) FROM pg_stat_activity WHERE pid = %s AND query ~ 'pg_sleep' AND state = 'active'"
                return watcher.execute(asked, [backend]).fetchall() == [(1,)]

            eventually(lambda: bool(outcome) or sleeps(), "a statement that sleeps")
            sessions.end()
            sleeping.join(PATIENCE)
            eventually(lambda: not sleeps(), "the end of the statement")
    assert isinstance(outcome[0], psycopg.Error)
    # not "connection to client lost", which the server finds out by itself, later
    log = place.origin_server.log.read_text()
    assert f"[{backend}] ERROR:  canceling statement due to user request" in log


def _failure(action: Callable[[], object]) -> BaseException:
    try:
        action()
    except psycopg.Error as error:
        return error
    return AssertionError("it did not fail")
