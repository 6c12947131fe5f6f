"""What is told of a connection that could not be made: libpq has no SQLSTATE of that, only the server's words."""

import psycopg
import pytest

from multischema.errors import FEWER_CONNECTIONS, UNREAD
from multischema.postgres.failures import describe_failed_connection

BEGINNING = 'connection to server at "db", port 5432 failed: '


def told(text: str) -> tuple[str, str]:
    """Return what is told of a failed connection: what was said, and the hint."""
    error = psycopg.OperationalError(f"connection failed: {BEGINNING}{text}")
    said, _, hint = describe_failed_connection(error, {"host": "db"}, 15).partition("; ")
    return said.removeprefix(BEGINNING), hint


@pytest.mark.parametrize(
    "text",
    [
        "FATAL: désolé, trop de clients sont déjà connectés",
        "FATAL: authentification par mot de passe échouée pour l'utilisateur « u »",
        "FATAL: tut mir leid, schon zu viele Verbindungen",
        "FATAL: lo siento, ya tenemos demasiados clientes",
        "ВАЖНО: пользователь не прошёл проверку подлинности",
        "FATAL: la base de données « u » n'existe pas",
    ],
)
def test_a_server_that_refuses_in_another_language_is_told_with_all_that_it_may_mean(text: str) -> None:
    assert told(text) == (text, UNREAD)


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("FATAL: sorry, too many clients already", FEWER_CONNECTIONS),
        ('FATAL: database "u" does not exist', ""),
        ('FATAL: no pg_hba.conf entry for host "::1", user "u", database "u", no encryption', ""),
        ("FATAL: no such database: u", ""),
        ("FATAL: query_wait_timeout", ""),
        ("FATAL: unsupported startup parameter: options", ""),
        ("FATAL: the database system is starting up", ""),
        ("FATAL: terminating connection due to administrator command", ""),
        ("FATAL: remaining connection slots are reserved for roles with the SUPERUSER attribute", FEWER_CONNECTIONS),
        ("server does not support SSL, but SSL was required", ""),
        ("SSL error: certificate verify failed", ""),
        ("timeout expired", ""),
    ],
)
def test_what_is_said_in_english_has_its_own_hint_or_none(text: str, hint: str) -> None:
    assert told(text) == (text, hint)


@pytest.mark.parametrize(
    "context",
    ["CONTEXT: PL/pgSQL function ops.f() line 1 at RAISE", "CONTEXTE : fonction PL/pgSQL ops.f(), ligne 1 à RAISE"],
)
def test_an_event_trigger_that_refuses_a_login_is_told_in_any_language(context: str) -> None:
    said, hint = told(f"FATAL: no password, no entry {context}")
    assert said.endswith(context)
    assert hint == "an event trigger of that server raised it at the login: make it leave the ETL's role alone"
