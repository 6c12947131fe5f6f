"""One of the two databases of a run, and what its URL says."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.pq import Conninfo

from multischema.errors import DatabaseError
from multischema.words import escaped

CONNECT_TIMEOUT = 15
# what pg_dump does not pin itself; it reads the origin in read-only transactions
PROGRAM_SETTINGS = {"lc_monetary": "C"}
_KEEPALIVES = {"keepalives": "1", "keepalives_idle": "30", "keepalives_interval": "10", "keepalives_count": "3"}
_WANTED_URL = "want postgresql://user:password@host:port/database"
_ESCAPES = "with special characters of user and password as %-escapes (@ is %40, / is %2F)"


@dataclass(frozen=True)
class Database:
    """One of the two databases of a run. The URL holds a password, so no repr and no message shows it.

    With `for_programs`, sessions start with the settings of pg_dump's; with `secrets`, with these, which hold keys: sessions
    of ours alone have them, no program, and no statement holds one. `reached` is the server that the first session found,
    which all others and the client programs keep to: a snapshot or a lock of one server is unknown to the others that a URL
    with several hosts, or a name with several addresses, may lead to.
    """

    kind: Literal["origin", "target", "raw", "backup"]
    app: str
    url: str = field(repr=False)
    for_programs: bool = False
    secrets: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    reached: dict[str, str] = field(default_factory=dict, compare=False, repr=False)

    @property
    def side(self) -> str:
        """Return its name in messages."""
        return f"{self.kind} {self.app}".rstrip() if self.kind in ("origin", "backup") else "target"

    @property
    def place(self) -> tuple[str, str, str]:
        """Return host, port and database that the URL names. Raises DatabaseError."""
        parts = self.parameters()
        host = parts.get("host") or parts.get("hostaddr")
        return str(host or ""), str(parts.get("port") or 5432), str(parts.get("dbname") or "")

    @property
    def address(self) -> str:
        """Return where the URL leads, for people: hosts, ports and the database, never a user. Raises DatabaseError."""
        set_here = {option.keyword.decode(): option.val.decode() for option in Conninfo.get_defaults() if option.val}
        given = self.parameters()
        if given.get("service") and not (given.get("host") or given.get("hostaddr")):
            set_here = {"host": f"service {given['service']}", "port": ""}  # what its file says, libpq alone knows
        parts = {**set_here, **{name: str(value) for name, value in given.items() if value}}
        hosts = (parts.get("host") or parts.get("hostaddr") or "local socket").split(",")
        ports = parts.get("port", "").split(",")
        ports = ports * len(hosts) if len(ports) == 1 else ports
        places = (f"{_host(host)}:{port}".removesuffix(":") for host, port in zip(hosts, ports, strict=False))
        database = parts.get("dbname", "")
        # libpq takes a name with = for a whole connection string, which may have a password in it
        return escaped(",".join(places) + (f"/{database}" if database and "=" not in database else ""))

    @property
    def connect_timeout(self) -> int:
        """Return how many seconds a connection may take to be made."""
        return CONNECT_TIMEOUT

    def backup(self) -> "Database":
        """Return the target in the origin's role, for the structure of a backup."""
        return replace(self, kind="backup")

    def raw(self) -> "Database":
        """Return the target in the origin's role, for reading raw tables."""
        return replace(self, kind="raw")

    def environment(self) -> dict[str, str]:
        """Return the variables that pg_dump needs to connect; only they hold the password. Raises DatabaseError."""
        variables = {option.keyword.decode(): option.envvar for option in Conninfo.get_defaults()}
        parts = {name: str(value) for name, value in self.parameters().items() if value is not None}
        known = {envvar.decode(): parts[name] for name, envvar in variables.items() if envvar and name in parts}
        return {
            "PGCONNECT_TIMEOUT": str(self.connect_timeout),
            **known,
            "PGOPTIONS": self._options_of_programs(),
            "PGCLIENTENCODING": "UTF8",
        }

    def options(self) -> str | None:
        """Return the settings that a session of ours is to start with, None for those that libpq finds itself.

        The secrets stand first: an error of the server about what the URL has quotes what follows that. Such a session has
        no parallel workers: they get all settings through shared memory, a file on disk if the server is set up so.
        """
        if self.for_programs:
            return self._options_of_programs()
        if not self.secrets:
            return None
        set_here = next(option.val or b"" for option in Conninfo.get_defaults() if option.keyword == b"options").decode()
        own = str(self.parameters().get("options") or set_here)
        secrets = (f"-c {name}={value}" for name, value in self.secrets)
        return " ".join(filter(None, (*secrets, own, "-c max_parallel_workers_per_gather=0")))

    def _options_of_programs(self) -> str:
        """Return the settings that pg_dump starts its sessions with, the URL's first."""
        own = [str(self.parameters().get("options") or "")]
        return " ".join([*own, *(f"-c {name}={value}" for name, value in PROGRAM_SETTINGS.items())]).strip()

    def connection_string(self) -> str:
        """Return the rest that a client program needs: there is no variable for keepalives. Raises DatabaseError."""
        parts = self.parameters()
        named = {name: str(value) for name, value in parts.items() if name.startswith(("keepalives", "tcp_user_timeout"))}
        return make_conninfo("", dbname=parts.get("dbname"), **named)

    def parameters(self) -> dict[str, Any]:
        """Return the URL's parts for libpq, with the server that was reached.

        Raises DatabaseError, without quoting the URL, if it is no Postgres URL.
        """
        url = self.url.strip()
        if not url.startswith(("postgres://", "postgresql://")):
            raise DatabaseError(f"{self.side}: this is not a Postgres URL; {_WANTED_URL}")
        if _is_split_in_password(url):
            raise DatabaseError(f"{self.side}: the URL has an @ too many, or a / before it; {_WANTED_URL}, {_ESCAPES}")
        try:
            parts = conninfo_to_dict(url)
        except psycopg.Error:
            raise DatabaseError(
                f"{self.side}: the URL can't be read; {_WANTED_URL}, {_ESCAPES}, and no parameter that libpq does not know"
            ) from None
        if not all(re.fullmatch("[0-9]{0,5}", port) and int(port or 1) in range(1, 65536) for port in _ports(parts)):
            raise DatabaseError(f"{self.side}: the URL's port is not a number from 1 to 65535; {_WANTED_URL}, {_ESCAPES}")
        if not parts.get("dbname") and "service" not in parts:  # libpq would take the user's name for the database's
            raise DatabaseError(f"{self.side}: the URL names no database; {_WANTED_URL}")
        return {**_KEEPALIVES, **parts, **self.reached}


def _is_split_in_password(url: str) -> bool:
    """Tell whether libpq would take part of the password for the host, port or database, and quote it."""
    rest = url.partition("://")[2]
    login, at, place = rest.partition("@")
    return "@" in (place if at and "/" not in login else rest).partition("?")[0]


def _host(host: str) -> str:
    """Return a host as it is written before a port: the folder of a socket, an IPv6 address in brackets, or a name."""
    return f"socket {host}" if host.startswith(("/", "@")) else f"[{host}]" if ":" in host else host


def _ports(parts: Mapping[str, Any]) -> list[str]:
    return str(parts.get("port", "")).split(",")
