"""Start your own Prefect server: `python -m deployment.server`, the `web` process on Scalingo.

It refuses to start without a login, or with the Secret blocks' key stored beside them in the database.
"""

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from urllib.parse import parse_qsl, urlencode, urlsplit

from cryptography.fernet import Fernet

from blocks import urls
from deployment import database
from multischema.command import ended
from multischema.errors import UsageError

COMMANDS = ("start", "status", "stop", "database", "services")  # of `prefect server`
_USE_DATABASE = ("start", "database", "services")
MIN_PASSWORD = 16
AUTH = "PREFECT_SERVER_API_AUTH_STRING"
KEY = "PREFECT_SERVER_ENCRYPTION_KEY"
DATABASE = "PREFECT_SERVER_DATABASE_CONNECTION_URL"
# in this order; Scalingo names its database so
_DATABASES = (DATABASE, "PREFECT_API_DATABASE_CONNECTION_URL", "SCALINGO_POSTGRESQL_URL", "DATABASE_URL")
_DEFAULTS = {
    "PREFECT_UI_API_URL": "/api",  # of whatever host the browser came to
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
    "PREFECT_SERVER_SERVICES_DB_VACUUM_ENABLED": "events,flow_runs",
    "PREFECT_SERVER_SERVICES_DB_VACUUM_RETENTION_PERIOD": str(90 * 86400),  # runs, their logs and reports: seconds
    "PREFECT_SERVER_EVENTS_RETENTION_PERIOD": "P7D",  # not in seconds, this one
    # With Prefect's minute, a server that was away when silence, or a crash, was due to be told forgot it as it started
    "PREFECT_SERVER_EVENTS_EXPIRED_BUCKET_BUFFER": "P1D",
}


def command(environment: Mapping[str, str], arguments: Sequence[str]) -> list[str]:
    """Return the command: one of `prefect server`, by default start; without a PORT it listens on this host only."""
    if arguments:
        return ["prefect", "server", *arguments]
    host = "0.0.0.0" if environment.get("PORT") else "127.0.0.1"
    return ["prefect", "server", "start", "--host", host, "--port", environment.get("PORT") or "4200"]


def settings(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of the server. Raises UsageError with everything that is missing or unsafe."""
    problems = [*_auth(environment.get(AUTH, "")), *_key(environment.get(KEY, ""))]
    given = next((name for name in _DATABASES if environment.get(name)), None)
    if given is None:
        problems.append(f"missing variable {_DATABASES[-1]}: want postgresql://user:password@host:port/database")
    else:
        try:
            url = database_url(given, environment[given])
            if _place(url) == _place(environment.get(urls.TARGET_VARIABLE, "")):
                problems.append(f"{given}: is the target ({urls.TARGET_VARIABLE}); want a database of the server's own")
        except UsageError as error:
            problems += error.problems
    if problems or given is None:
        raise UsageError(*problems)
    # Scalingo's Python buildpack sets WEB_CONCURRENCY; with more than one process uvicorn stops as it starts
    return {**_DEFAULTS, **environment, DATABASE: url, "WEB_CONCURRENCY": "1"}


def database_url(variable: str, url: str) -> str:
    """Return a Postgres URL as Prefect's server takes it, with its driver and that driver's name for `sslmode`.

    Raises UsageError, which never quotes the URL.
    """
    wanted = f"{variable}: want postgresql://user:password@host:port/database, and sslmode as the only parameter"
    try:
        parts = urlsplit(url)
    except ValueError:
        raise UsageError(wanted) from None
    if parts.scheme == "postgresql+asyncpg":
        return url
    parameters = dict(parse_qsl(parts.query, keep_blank_values=True))
    is_postgres = parts.scheme in ("postgres", "postgresql") and parts.hostname and parts.path.strip("/")
    if not is_postgres or parameters.keys() - {"sslmode"}:
        raise UsageError(wanted)
    query = urlencode([("ssl", mode) for mode in parameters.values()])
    return parts._replace(scheme="postgresql+asyncpg", query=query, fragment="").geturl()


def main(given: Sequence[str] | None = None) -> int:
    """Become the server; return an exit status only if it can't start."""
    arguments = passed_on(sys.argv[1:] if given is None else given)
    return ended(lambda: _become(arguments))


def _become(arguments: Sequence[str]) -> None:
    """Replace this process by the server's. Raises UsageError, and EtlError if its database can't be used."""
    environment = settings(os.environ)
    if not arguments or arguments[0] in _USE_DATABASE:
        database.check(next(name for name in _DATABASES if os.environ.get(name)), environment[DATABASE])
    os.execve(sys.executable, [sys.executable, "-m", *command(environment, arguments)], environment)


def passed_on(given: Sequence[str]) -> Sequence[str]:
    """Return the arguments as they are; exit with help, or with status 2 if they are not a command of `prefect server`."""
    parser = argparse.ArgumentParser(
        prog="python -m deployment.server",
        usage="%(prog)s [-h] [COMMAND ...]",
        description="Start a Prefect server that requires a login, keeps its data in Postgres and its key elsewhere.",
        epilog="The environment (or .env) sets the variables that docs/server.md lists.",
    )
    parser.add_argument("command", nargs="?", choices=COMMANDS, help="one of `prefect server`, with its own arguments")
    parser.parse_args(given[:1])  # what follows is that command's
    return given


def _place(url: str) -> str:
    """Return the place of a database: host, port and name."""
    return url.rpartition("@")[2].partition("?")[0]


def _auth(given: str) -> list[str]:
    user, _, password = given.partition(":")
    if not given:
        return [f"missing variable {AUTH}: want user:password; without it the server is open to everybody"]
    if not user or len(password) < MIN_PASSWORD:
        return [f"{AUTH}: want user:password, the password of {MIN_PASSWORD} characters or more"]
    return []


def _key(given: str) -> list[str]:
    made = "python -c 'from cryptography.fernet import Fernet; print(Fernet.generate_key().decode())'"
    if not given:
        return [
            f"missing variable {KEY}: without it the key of the Secret blocks is kept in the database, beside them; "
            f"make one, once, with: {made}"
        ]
    try:
        Fernet(given.encode())
    except ValueError:
        return [f"{KEY}: is not a key; make one, once, with: {made}"]
    return []


if __name__ == "__main__":
    sys.exit(main())
