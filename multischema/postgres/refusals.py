"""Why a server, or what is on the way to it, lets no session in, in any language: what to do about each refusal.

libpq gives no SQLSTATE of a connection that failed, only the server's words, and the client can't choose their language yet.
"""

import ctypes
import re
import sys
import time
from collections.abc import Callable, Collection, Mapping
from select import select
from typing import Any

from psycopg import pq
from psycopg.conninfo import make_conninfo

from multischema.errors import (
    FEWER_CONNECTIONS,
    NO_CONNECTION_TO_SPARE,
    POOLER_IS_FULL,
    TOO_SMALL_A_POOL,
    UNREAD,
    is_foreign,
)

# In the order of their precedence: words of the message, and SQLSTATEs where it is foreign. Names of files, of programs and
# of settings are not translated, nor is what a pooler or libpq says.
_ADVICE: Mapping[tuple[str, Collection[str]], str] = {
    ("PL/pgSQL", ()): "an event trigger of that server raised it at the login: make it leave the ETL's role alone",
    ("|".join(NO_CONNECTION_TO_SPARE), ("53300",)): FEWER_CONNECTIONS,
    ("|".join(map(re.escape, POOLER_IS_FULL)), ()): TOO_SMALL_A_POOL,
    (r"client certificate|private key file|certificate required|certificate authentication|open certificate file", ()): (
        "name the client's certificate and its key, which the user that runs this may read, in the URL (sslcert, sslkey)"
    ),
    ("SSL (connection )?is required|connection is insecure", ()): "set sslmode=require in the URL",
    (r"pg_hba\.conf|not in tenant allow_list", ()): (
        "the server does not let this machine's address, user and database in: have its administrator allow them "
        "(pg_hba.conf, the host's list of addresses), and set sslmode=require in the URL where it wants TLS"
    ),
    (
        r"password authentication failed|no password supplied|SASL authentication failed|no such user|user \S*\s?not found"
        "|no tenant identifier",
        ("28P01",),
    ): ("check user and password in the URL, special characters as %-escapes, and whether the password has expired"),
    (r'not permitted to log in|role ".*" does not exist|(Peer|Ident|GSSAPI|LDAP|PAM) authentication failed', ("28000",)): (
        "have an administrator let the role log in (ALTER ROLE … LOGIN), and see what the server asks of it, such as a "
        "client certificate (sslcert and sslkey in the URL)"
    ),
    (r'database ".*" does not exist|no such database', ("3D000",)): ("check the database's name at the end of the URL"),
    ("permission denied for database", ("42501",)): "grant CONNECT on the database to the role, or name another database",
    ("currently accepting connections|connect to invalid database", ("55000",)): (
        "have its owner let connections in (ALTER DATABASE … ALLOW_CONNECTIONS true), or name another database"
    ),
    ("database system is|terminating connection due to administrator", ("57P03", "57P01", "57P02")): (
        "the server is starting, stopping or recovering: start again once it is up; a standby needs hot_standby=on"
    ),
    (
        "unrecognized configuration parameter",
        ("42704", "22023"),
    ): "take out of the URL's options what the server does not know",
    ("server login has been failing|server_login_retry", ()): (
        "the pooler can't log in to the server behind it: see its log, and whether that server is up"
    ),
    ("hot standby mode|session is (not )?read-only", ()): (
        "no host in the URL is what its target_session_attrs asks for; a target must be a primary"
    ),
    ("invalid response to SSL negotiation|expected authentication request|wrong version number", ()): (
        "what answers there speaks no Postgres: check host and port in the URL"
    ),
    ("does not support SSL", ()): (
        "check host and port in the URL; a server without TLS is reached with sslmode=prefer, which is safe through a tunnel"
    ),
    ("unexpected eof while reading|no application protocol", ()): (
        "TLS was broken off: check host and port, and take sslnegotiation=direct out of the URL, which servers before "
        "Postgres 17 and most poolers don't know"
    ),
    ("certificate verify failed|root certificate file", ()): (
        "set sslrootcert in the URL to the file of the authority that signed the server's certificate, or to system where a "
        "public one did"
    ),
    ("does not match host name", ()): "connect by a name that the server's certificate is for",
    ("channel binding", ()): "take channel_binding out of the URL, or use it with TLS and a password of scram-sha-256",
    ("unreachable|No route", ()): (
        "check host and port in the URL, and that this machine may reach them; a host that has addresses of IPv6 alone "
        "needs IPv6 here too"
    ),
    ("no answer|refused|resolve|timed out|No such file", ()): (
        "check host and port in the URL, and that this machine may reach them"
    ),
    ("closed the connection unexpectedly|been closed unexpectedly|Connection reset", ()): (
        "what answers there cut the connection: check host and port in the URL, and whether a firewall or a pooler lets "
        "this machine's address in"
    ),
}
_CODE = re.compile(r":  ([0-9A-Z]{5})$", re.MULTILINE)
_CODES_ALONE = 3  # PQERRORS_SQLSTATE: libpq tells an error's severity and SQLSTATE, and no word of it


def advice(text: str, codes: Callable[[], Collection[str]]) -> str | None:
    """Return what to do about a refused connection, None if nothing more is known.

    `codes` looks up the SQLSTATEs of one that is foreign.
    """
    known = codes() if is_foreign(text) else ()
    for (words, sqlstates), hint in _ADVICE.items():
        if re.search(words, text) or not set(sqlstates).isdisjoint(known):
            return hint
    return UNREAD if is_foreign(text) else None


def codes_of(parameters: Mapping[str, Any], timeout: float) -> Collection[str]:
    """Try once more to connect, and return the SQLSTATEs of the refusals; none if there is no refusal any more.

    psycopg has no function for what makes libpq tell them; where libpq can't be called, none are known.
    """
    try:
        tell = ctypes.CDLL(sys.modules[pq.PGconn.__module__].__file__).PQsetErrorVerbosity
    except (OSError, AttributeError):
        return ()
    tell.argtypes = (ctypes.c_void_p, ctypes.c_int)
    deadline = time.monotonic() + timeout
    attempt = pq.PGconn.connect_start(make_conninfo("", **parameters).encode())
    try:
        if attempt.status == pq.ConnStatus.BAD:
            return ()
        tell(attempt.pgconn_ptr, _CODES_ALONE)  # type: ignore[attr-defined]
        while (waits := attempt.connect_poll()) in (pq.PollingStatus.READING, pq.PollingStatus.WRITING):
            ends: tuple[list[int], list[int]] = ([], [])
            ends[waits == pq.PollingStatus.WRITING].append(attempt.socket)
            if not any(select(*ends, [], max(deadline - time.monotonic(), 0))):
                return ()
        return _CODE.findall(attempt.error_message.decode(errors="replace"))
    finally:
        attempt.finish()
