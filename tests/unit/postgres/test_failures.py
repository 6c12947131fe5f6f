"""What is told of a connection that could not be made: libpq has no SQLSTATE of that, only the server's words."""

import psycopg
import pytest

from multischema.errors import FEWER_CONNECTIONS, TOO_SMALL_A_POOL, UNREAD
from multischema.postgres.failures import describe_failed_connection

BEGINNING = 'connection to server at "db", port 5432 failed: '


def told(text: str, codes: tuple[str, ...] = ()) -> tuple[str, str]:
    """Return what is told of a failed connection: what was said, and the hint; `codes` is how a foreign server refuses."""
    error = psycopg.OperationalError(f"connection failed: {BEGINNING}{text}")
    said, _, hint = describe_failed_connection(error, {"host": "db"}, 15, lambda: codes).partition("; ")
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
        ('FATAL: too many connections for role "u"', FEWER_CONNECTIONS),
        ("FATAL: remaining connection slots are reserved for roles with the SUPERUSER attribute", FEWER_CONNECTIONS),
        ("FATAL: query_wait_timeout", TOO_SMALL_A_POOL),
        ("FATAL: no more connections allowed (max_client_conn)", TOO_SMALL_A_POOL),
        ("FATAL: MaxClientsInSessionMode: max clients reached - in Session mode", TOO_SMALL_A_POOL),
        ("FATAL: Max client connections reached", TOO_SMALL_A_POOL),
        ('FATAL: password authentication failed for user "u"', "check user and password"),
        ("FATAL: SASL authentication failed", "check user and password"),
        ("FATAL: Tenant or user not found", "check user and password"),
        ("FATAL: (ENOTFOUND) tenant/user u.t not found", "check user and password"),
        (
            "FATAL: (ENOIDENTIFIER) no tenant identifier provided (external_id or sni_hostname required)",
            "check user and pass",
        ),
        ("FATAL: (EADDRNOTALLOWED) address not in tenant allow_list", "the server does not let this"),
        ("ERROR: odyssey: c3577ff1eb926: SSL is required", "set sslmode=require"),
        ("FATAL: SSL connection is required. Please specify SSL options and retry.", "set sslmode=require"),
        ("ERROR: connection is insecure (try using `sslmode=require`)", "set sslmode=require"),
        (
            "FATAL: server login has been failing, cached error: connect timeout (server_login_retry)",
            "the pooler can't log in",
        ),
        ("SSL connection has been closed unexpectedly", "what answers there cut the connection"),
        ('FATAL: PAM authentication failed for user "u"', "have an administrator let the role log in"),
        ('FATAL: database "u" does not exist', "check the database's name"),
        ("FATAL: no such database: u", "check the database's name"),
        ('FATAL: role "u" is not permitted to log in', "have an administrator let the role log in"),
        ('FATAL: Peer authentication failed for user "u"', "have an administrator let the role log in"),
        ('FATAL: permission denied for database "u" DETAIL: User does not have CONNECT privilege.', "grant CONNECT"),
        ('FATAL: database "u" is not currently accepting connections', "have its owner let connections in"),
        (
            'FATAL: no pg_hba.conf entry for host "::1", user "u", database "u", no encryption',
            "the server does not let this",
        ),
        (
            'FATAL: pg_hba.conf rejects connection for host "::1", user "u", database "u", SSL off',
            "the server does not let this",
        ),
        ("FATAL: aucune entrée dans pg_hba.conf pour l'hôte « ::1 »", "the server does not let this"),
        ("FATAL: connection requires a valid client certificate", "name the client's certificate"),
        ('could not open certificate file "/root/.postgresql/postgresql.crt": Permission denied', "name the client's cert"),
        ("FATAL: the database system is starting up", "the server is starting, stopping or recovering"),
        ("FATAL: terminating connection due to administrator command", "the server is starting, stopping or recovering"),
        ("server does not support SSL, but SSL was required", "check host and port in the URL"),
        ("SSL error: certificate verify failed", "set sslrootcert in the URL"),
        ('root certificate file "/root/.postgresql/root.crt" does not exist', "set sslrootcert in the URL"),
        ('server certificate for "a" does not match host name "b"', "connect by a name"),
        ("channel binding required, but SSL not in use", "take channel_binding out"),
        ("SSL error: unexpected eof while reading", "TLS was broken off"),
        ("received invalid response to SSL negotiation: H", "what answers there speaks no Postgres"),
        ("expected authentication request from server, but received S", "what answers there speaks no Postgres"),
        ("server closed the connection unexpectedly", "what answers there cut the connection"),
        ("Network is unreachable", "check host and port in the URL, and that this machine may reach them; a host"),
        ("session is read-only", "no host in the URL is what its target_session_attrs asks for"),
        ("FATAL: unsupported startup parameter: options", ""),
        ("timeout expired", ""),
    ],
)
def test_what_is_said_in_english_has_its_own_hint_or_none(text: str, hint: str) -> None:
    said, given = told(text)
    assert said == text
    assert given.startswith(hint)
    assert bool(given) == bool(hint)


@pytest.mark.parametrize(
    ("codes", "hint"),
    [
        (("53300",), FEWER_CONNECTIONS),
        (("28P01",), "check user and password"),
        (("28000",), "have an administrator let the role log in"),
        (("3D000",), "check the database's name"),
        (("42501",), "grant CONNECT"),
        (("57P03",), "the server is starting, stopping or recovering"),
        (("XX000",), UNREAD),
    ],
)
def test_what_is_said_in_another_language_has_the_hint_of_its_sqlstate(codes: tuple[str, ...], hint: str) -> None:
    said = "FATAL: lo siento, ya tenemos demasiados clientes"
    assert told(said, codes)[1].startswith(hint)


def test_a_host_that_refuses_with_and_without_tls_in_another_language_is_told_once() -> None:
    refused = "FATAL: la base de données « u » n'existe pas"
    said, hint = told(f"{refused}\n{BEGINNING}{refused}", ("3D000",))
    assert said == refused
    assert hint.startswith("check the database's name")


@pytest.mark.parametrize(
    "context",
    ["CONTEXT: PL/pgSQL function ops.f() line 1 at RAISE", "CONTEXTE : fonction PL/pgSQL ops.f(), ligne 1 à RAISE"],
)
def test_an_event_trigger_that_refuses_a_login_is_told_in_any_language(context: str) -> None:
    said, hint = told(f"FATAL: no password, no entry {context}")
    assert said.endswith(context)
    assert hint == "an event trigger of that server raised it at the login: make it leave the ETL's role alone"
