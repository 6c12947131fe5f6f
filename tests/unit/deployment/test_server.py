"""The Prefect server of one's own: what it refuses to start with, and what it starts with."""

from collections.abc import Mapping, Sequence

import pytest
from cryptography.fernet import Fernet

from deployment import server
from multischema.errors import UsageError

URL = "postgresql://prefect:p%40ss%2Fword@localhost:5432/prefect"
GOOD = {
    "DATABASE_URL": URL,
    "PREFECT_SERVER_API_AUTH_STRING": "admin:0123456789abcdef",
    "PREFECT_SERVER_ENCRYPTION_KEY": Fernet.generate_key().decode(),
}


def refused(environment: Mapping[str, str]) -> Sequence[str]:
    """Return why the server does not start."""
    with pytest.raises(UsageError) as caught:
        server.settings(environment)
    return caught.value.problems


def test_all_that_is_missing_is_told_at_once() -> None:
    problems = refused({})
    assert [problem.split(":")[0] for problem in problems] == [
        "missing variable PREFECT_SERVER_API_AUTH_STRING",
        "missing variable PREFECT_SERVER_ENCRYPTION_KEY",
        "missing variable DATABASE_URL",
    ]


@pytest.mark.parametrize("login", ["admin", "admin:", ":0123456789abcdef", "admin:0123456789abcde"])
def test_a_login_without_a_user_or_with_a_short_password_is_refused_without_being_told(login: str) -> None:
    (problem,) = refused({**GOOD, "PREFECT_SERVER_API_AUTH_STRING": login})
    assert problem == "PREFECT_SERVER_API_AUTH_STRING: want user:password, the password of 16 characters or more"


@pytest.mark.parametrize("key", ["secret", "A" * 44, pytest.param(Fernet.generate_key().decode()[:-2], id="cut short")])
def test_a_key_that_encrypts_nothing_is_refused_without_being_told(key: str) -> None:
    (problem,) = refused({**GOOD, "PREFECT_SERVER_ENCRYPTION_KEY": key})
    assert problem.startswith("PREFECT_SERVER_ENCRYPTION_KEY: is not a key; ")
    assert key not in problem


@pytest.mark.parametrize(
    "url",
    [
        "mysql://prefect:hidden@localhost/prefect",
        "postgresql:///prefect",
        "postgresql://prefect:hidden@localhost",
        "postgresql://prefect:hidden@localhost/?sslmode=require",
        "sqlite+aiosqlite:////nowhere/hidden.db",
        "postgresql://prefect:hidden@localhost/prefect?sslmode=require&options=-c",
        "postgresql://prefect:hidden@[localhost/prefect",
        "hidden",
    ],
)
def test_a_url_that_prefect_could_not_use_is_refused_without_being_told(url: str) -> None:
    (problem,) = refused({**GOOD, "DATABASE_URL": url})
    assert problem.startswith("DATABASE_URL: want postgresql://")
    assert "hidden" not in problem


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        (URL, URL.replace("postgresql://", "postgresql+asyncpg://")),
        (f"{URL}?sslmode=require".replace("postgresql:", "postgres:"), f"postgresql+asyncpg{URL[10:]}?ssl=require"),
        ("postgresql+asyncpg://localhost/prefect?ssl=prefer", "postgresql+asyncpg://localhost/prefect?ssl=prefer"),
    ],
)
def test_a_url_is_given_to_prefect_with_its_driver_and_the_driver_s_name_for_sslmode(given: str, taken: str) -> None:
    assert server.settings({**GOOD, "DATABASE_URL": given})["PREFECT_SERVER_DATABASE_CONNECTION_URL"] == taken


def test_the_target_is_no_database_for_the_server() -> None:
    target = "postgres://etl:another@localhost:5432/prefect?sslmode=prefer"
    (problem,) = refused({**GOOD, "ETL_DB_URL": target})
    assert problem == "DATABASE_URL: is the target (ETL_DB_URL); want a database of the server's own"
    assert server.settings({**GOOD, "ETL_DB_URL": target.replace("/prefect", "/analytics")})


def test_what_the_environment_sets_comes_before_the_defaults() -> None:
    assert server.settings(GOOD)["PREFECT_SERVER_EVENTS_RETENTION_PERIOD"] == "P7D"
    longer = server.settings({**GOOD, "PREFECT_SERVER_EVENTS_RETENTION_PERIOD": "P30D"})
    assert longer["PREFECT_SERVER_EVENTS_RETENTION_PERIOD"] == "P30D"


def test_it_is_one_process_whatever_the_buildpack_suggests() -> None:
    assert server.settings({**GOOD, "WEB_CONCURRENCY": "3"})["WEB_CONCURRENCY"] == "1"


def test_other_hosts_reach_it_only_where_a_port_is_given() -> None:
    assert server.command({}, []) == ["prefect", "server", "start", "--host", "127.0.0.1", "--port", "4200"]
    assert server.command({"PORT": "80"}, []) == ["prefect", "server", "start", "--host", "0.0.0.0", "--port", "80"]
    assert server.command({"PORT": "80"}, ["database", "upgrade"]) == ["prefect", "server", "database", "upgrade"]


@pytest.mark.parametrize("given", [[], ["start"], ["database", "upgrade", "-y"], ["services", "ls"], ["start", "--help"]])
def test_commands_of_the_server_are_passed_on_with_their_own_arguments(given: list[str]) -> None:
    assert server.passed_on(given) == given


@pytest.mark.parametrize("given", [["nonsense"], ["--port", "1"], ["-y"], ["star"], [""]])
def test_what_is_no_command_of_the_server_is_a_usage_error(given: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        server.passed_on(given)
    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith("usage: python -m deployment.server [-h] [COMMAND ...]\n")
