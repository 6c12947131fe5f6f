"""The database of one's own Prefect server: what is wrong with it is told on a line each before the server starts."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
from cryptography.fernet import Fernet

from deployment import database
from multischema.errors import EtlError, UsageError
from tests.conftest import OWN, PASSWORD, PROGRAMS, Place
from tests.flows.conftest import SYSTEM
from tests.support.servers import AUTH, variables

WHERE = "make the role the owner of the database, which has to be one of the Prefect server's own"


def driven(url: str) -> str:
    """Return a URL as Prefect's server takes it."""
    return url.replace("postgresql://", "postgresql+asyncpg://")


def refused(url: str) -> list[str]:
    """Return why a database can't be used."""
    with pytest.raises(EtlError) as caught:
        database.check("DATABASE_URL", driven(url))
    assert PASSWORD not in str(caught.value)
    assert "hush" not in str(caught.value)
    return list(caught.value.problems)


def test_a_wrong_password_is_told_and_not_quoted(place: Place) -> None:
    (problem,) = refused(place.target_server.url(place.name, place.etl, "hushhush"))
    assert problem.startswith("DATABASE_URL: can't connect: ")
    assert "password authentication failed" in problem
    assert "; check user and password in the URL, special characters as %-escapes" in problem


def test_a_database_that_does_not_exist_is_named(place: Place) -> None:
    (problem,) = refused(place.target_server.url("nowhere", place.etl, PASSWORD))
    assert 'database "nowhere" does not exist' in problem


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("postgresql://someone:hushhush@127.0.0.1:1/prefect", "Connection refused"),
        ("postgresql://someone:hushhush@prefect.invalid/prefect", "resolve"),
        ("postgresql://someone:hushhush@127.0.0.1:1/prefect?ssl=require&prepared_statement_cache_size=0", "refused"),
    ],
)
def test_a_server_that_can_t_be_reached_is_told(url: str, reason: str) -> None:
    (problem,) = refused(url)
    assert problem.startswith("DATABASE_URL: can't connect: ")
    assert reason in problem


@pytest.mark.parametrize(
    "url", ["postgresql://someone:hush@127.0.0.1:1", "postgresql://someone:hush@127.0.0.1:1/?ssl=prefer"]
)
def test_a_url_without_a_database_is_not_completed_with_the_user_s_name(url: str) -> None:
    with pytest.raises(UsageError) as caught:
        database.check("DATABASE_URL", driven(url))
    assert list(caught.value.problems) == [
        "DATABASE_URL: the URL names no database; want postgresql://user:password@host:port/database"
    ]


def test_a_role_that_may_make_nothing_is_told_so(place: Place) -> None:
    problems = refused(place.reader_url)
    assert problems[0] == (
        f"DATABASE_URL: role {place.reader} may not create tables in schema public of database {place.name}; {WHERE}"
    )


def test_a_database_without_a_schema_to_write_into_is_told(place: Place) -> None:
    place.in_target("DROP SCHEMA public", superuser=True)
    problems = refused(place.target_url)
    assert problems[0] == (
        f"DATABASE_URL: role {place.etl} may not create tables in the schema public, which it lacks or can't use, of "
        f"database {place.name}; {WHERE}"
    )


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_server_without_the_extension_is_told_what_to_install(program: str, make_place: Callable[..., Place]) -> None:
    place = make_place(program, "18")
    with psycopg.connect(place.origin_url) as connection:
        known = connection.execute("SELECT FROM pg_available_extensions WHERE name = 'pg_trgm'").fetchone() is not None
    if known:
        database.check("DATABASE_URL", driven(place.origin_url))
    else:
        assert refused(place.origin_url) == [
            "DATABASE_URL: the server lacks the extension pg_trgm; install it (package postgresql-contrib)"
        ]


@pytest.mark.parametrize("program", SYSTEM)
def test_a_role_that_may_not_create_the_extension_is_told_so(program: str, make_place: Callable[..., Place]) -> None:
    place = make_place(program, "18")
    place.in_origin(f"GRANT CREATE ON SCHEMA public TO {place.app}", superuser=True)
    place.in_origin(f"ALTER DATABASE {place.name} OWNER TO CURRENT_USER", superuser=True)
    assert refused(place.origin_url) == [
        f"DATABASE_URL: role {place.app} may not create the extension pg_trgm; make it the owner of database {place.name}, "
        "or create the extension there as a superuser"
    ]
    place.in_origin("CREATE EXTENSION pg_trgm", superuser=True)
    database.check("DATABASE_URL", driven(place.origin_url))


def test_the_tables_of_a_server_that_ran_before_are_enough(place: Place) -> None:
    place.in_target("CREATE TABLE alembic_version (version_num text)")
    place.in_target(f"GRANT SELECT ON alembic_version TO {place.reader}")
    database.check("DATABASE_URL", driven(place.reader_url))


@pytest.mark.parametrize(
    "place_in_url",
    ["/{name}?host={host}&port={port}", "/{name}?host={host}:{port}", ":{port}/{name}?host={host}&ssl=prefer"],
)
def test_a_server_that_the_urls_parameters_name_is_the_one_that_is_looked_at(place_in_url: str, place: Place) -> None:
    """Prefect takes them too, for a socket's folder above all."""
    place.in_target("CREATE TABLE alembic_version (version_num text)")
    parts = urlsplit(place.target_url)
    where = place_in_url.format(name=place.name, host=parts.hostname, port=parts.port)
    login = parts.netloc.rpartition("@")[0]
    database.check("DATABASE_URL", driven(f"postgresql://{login}@{where}"))
    with pytest.raises(EtlError, match=r"DATABASE_URL: can't connect: .*no-such-folder"):
        database.check("DATABASE_URL", driven(f"postgresql://{login}@/{place.name}?host=/no-such-folder"))


@pytest.mark.slow
def test_the_command_ends_with_that_line_and_never_starts_the_server(tmp_path: Path) -> None:
    given = variables(
        HOME=str(tmp_path),
        PREFECT_API_DATABASE_CONNECTION_URL='"postgresql://someone:hushhush@127.0.0.1:1/prefect" ',
        PREFECT_SERVER_API_AUTH_STRING=AUTH,
        PREFECT_SERVER_ENCRYPTION_KEY=Fernet.generate_key().decode(),
    )
    run = subprocess.run(
        [sys.executable, "-m", "deployment.server"],
        cwd=tmp_path,
        env={**given, "PYTHONPATH": str(OWN)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (run.returncode, run.stdout) == (1, "")
    assert run.stderr.startswith("error: PREFECT_API_DATABASE_CONNECTION_URL: can't connect: ")
    assert len(run.stderr.splitlines()) == 1
