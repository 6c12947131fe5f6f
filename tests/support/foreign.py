"""A server that is nobody's business: it notes who calls it, and everything that a user can set points to it."""

import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

ELSEWHERE = "127.0.0.2"  # no server of the tests listens there


@dataclass
class Foreign:
    """A port of this machine, and the first bytes of each call to it."""

    port: int
    calls: list[bytes] = field(default_factory=list)

    @property
    def settings(self) -> dict[str, str]:
        """Return variables with which Prefect, libpq and our commands would go there, or to where nobody is."""
        login = f"someone:hush@127.0.0.1:{self.port}"
        return {
            "PREFECT_API_URL": f"http://127.0.0.1:{self.port}/api",
            "PREFECT_API_KEY": "pnu_hush",
            "PREFECT_CLOUD_API_URL": f"http://127.0.0.1:{self.port}/api",
            "PREFECT_SERVER_DATABASE_CONNECTION_URL": f"postgresql+asyncpg://{login}/prefect",
            "PREFECT_LOGGING_LEVEL": "CRITICAL",
            **dict.fromkeys(_URLS, f"postgresql://{login}/production"),
            "APP": "theirs",
            "CONFIG_PATH": f"https://127.0.0.1:{self.port}/anonymizer.yml",
            "METABASE_USERNAME": "theirs",
            "RDV_SOLIDARITES_SCHEMA_READER_USERNAME": "their_team",
            "METABASE_URL": f"http://127.0.0.1:{self.port}",
            "METABASE_DATABASE_ID": "1",
            "METABASE_API_KEY": "hush",
            "SENTRY_DSN": f"http://hush@127.0.0.1:{self.port}/1",
            "PGHOSTADDR": ELSEWHERE,
            "PGPORT": str(self.port),
            "PGSERVICE": "theirs",
            "PGOPTIONS": "-c no_such_setting=1",
            "PGSSLMODE": "verify-full",
            "PGTARGETSESSIONATTRS": "standby",
            "HTTP_PROXY": f"http://127.0.0.1:{self.port}",
            "all_proxy": f"http://127.0.0.1:{self.port}",
            "SCW_API_URL": f"http://127.0.0.1:{self.port}",
        }

    def everywhere(self, checkout: Path, home: Path) -> dict[str, str]:
        """Have every file that can name a server name this one; return variables that do so too, in capitals and not."""
        dotenv = "".join(f"{name}={value}\n" for name, value in self.settings.items())
        toml = f'[{{}}api]\nurl = "http://127.0.0.1:{self.port}/api"\n[{{}}server.database]\n'
        toml += f'connection_url = "{self.settings["PREFECT_SERVER_DATABASE_CONNECTION_URL"]}"\n'
        profiles = f'active = "theirs"\n[profiles.theirs]\nPREFECT_API_URL = "{self.settings["PREFECT_API_URL"]}"\n'
        for folder in (checkout, checkout.parent, home):
            (folder / ".env").write_text(dotenv)
        for file, prefix in (("prefect.toml", ""), ("pyproject.toml", "tool.prefect.")):
            with (checkout / file).open("a") as known:
                known.write("\n" + toml.replace("{}", prefix))
        for folder in (home / ".prefect", home / "prefect"):
            folder.mkdir(parents=True)
            (folder / "profiles.toml").write_text(profiles)
        (home / ".pg_service.conf").write_text(f"[theirs]\nhostaddr={ELSEWHERE}\nport={self.port}\n")
        lower = {name.lower(): value for name, value in self.settings.items() if name.startswith("PREFECT")}
        named = {
            "HOME": str(home),
            "PREFECT_HOME": str(home / "prefect"),
            "PREFECT_PROFILE": "theirs",
            "PREFECT_PROFILES_PATH": str(home / "prefect" / "profiles.toml"),
        }
        return {**self.settings, **lower, **named}


_URLS = (
    *("ETL_DB_URL", "RDV_SOLIDARITES_DB_URL", "RDV_SERVICE_PUBLIC_DB_URL", "RDV_INSERTION_DB_URL", "ORIGIN_DB_URL"),
    *("DATABASE_URL", "SCALINGO_POSTGRESQL_URL"),
)


@contextmanager
def listening() -> Iterator[Foreign]:
    """Start such a server, on a port of its own; it answers nothing that anybody could take for an answer."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.settimeout(1)
            try:
                found.calls.append(self.request.recv(200))
            except OSError:
                found.calls.append(b"")

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        found = Foreign(server.server_address[1])
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield found
        finally:
            server.shutdown()
