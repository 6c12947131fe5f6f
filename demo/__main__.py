"""See the ETL work: `make demo` fills two origins, publishes both, and shows rows before and after."""

import argparse
import secrets
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psycopg
from psycopg import sql
from rich.console import Console
from rich.text import Text

from demo import alone, origins, ui
from demo.servers import Server, embedded_bin

FOLDER = Path(__file__).parent.parent / ".demo"
RULES = Path(__file__).parent
HOME = FOLDER / "prefect"
READER = "metabase"
PASSWORD = "demo"
VARIABLES = {"rdvs": "RDV_SOLIDARITES_DB_URL", "rdvi": "RDV_INSERTION_DB_URL"}
ROWS_SHOWN = 2
BOTH_SHOWN = 3
WIDTH = 42
_STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)  # the last one when its terminal is closed


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demo, or open Prefect's UI on its runs; return the exit status."""
    given = _parser().parse_args(arguments)
    HOME.mkdir(parents=True, exist_ok=True)
    alone.enter(HOME)
    console = Console(highlight=False)
    if given.ui:
        return _open_ui(console, given.port)
    with _servers(console) as (origin, target):
        for app in origins.APPS:
            _fill(console, origin, app)
        _make_roles(target)
        _publish(console, origin, target)
        for app in origins.APPS:
            _show(console, app, origin, target)
        _show_both(console, target)
    console.print(
        "\nThe runs, their logs and reports are kept: [bold]make ui[/] opens Prefect's UI on them (http://127.0.0.1:4200),\n"
        "where you can start more.\n"
        "Run [bold]make demo[/] again, and nothing changes. All of it is in .demo; [bold]make clean[/] removes that.",
        soft_wrap=True,
    )
    return 0


def _open_ui(console: Console, port: int) -> int:
    """Open Prefect's UI on the runs of the last demo, with a worker, until it is stopped; return the exit status."""
    if not (FOLDER / "target").exists():
        print("error: there is no demo to show: run `make demo` first", file=sys.stderr)
        return 2
    for number in _STOPPING:
        signal.signal(number, _stop)
    try:
        with _servers(console) as (origin, target):
            code = alone.checkout(FOLDER / "code")
            environment = _provided(origin, target) | {"METABASE_USERNAME": READER, "ETL_HOME": str(code)}
            return ui.show(console, HOME, port, environment)
    except KeyboardInterrupt:
        console.print("stopped")
        return 0


def _stop(_number: int, _frame: object) -> None:
    """End the UI. Once only: an impatient second Ctrl-C would leave servers behind."""
    for number in _STOPPING:
        signal.signal(number, signal.SIG_IGN)
    print("\nstopping", flush=True)
    raise KeyboardInterrupt


@contextmanager
def _servers(console: Console) -> Iterator[tuple[Server, Server]]:
    """Start the origins' server (Postgres 16) and the target's (18), and stop them at the end."""
    servers = []
    try:
        for name, major in (("origin", 16), ("target", 18)):
            directory = FOLDER / name
            programs = embedded_bin(major)
            server = Server.open(directory, programs) if directory.exists() else Server.create(directory, programs)
            server.start()
            servers.append(server)
        console.print(f"started Postgres 16 with the origins, and Postgres 18 as the target, in {FOLDER.name}")
        yield servers[0], servers[1]
    finally:
        for server in servers:
            server.stop()


def _fill(console: Console, origin: Server, app: str) -> None:
    """Make and fill the app's origin, unless an earlier demo did."""
    with psycopg.connect(origin.url(), autocommit=True) as connection:
        if connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [app]).fetchone():
            console.print(f"origin {app}: kept from the last demo")
            return
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(app)))
    origins.create(origin.url(app), app)
    rows = origins.fill(origin.url(app), app)
    console.print(f"origin {app}: filled with {rows:,} rows of invented people")


def _make_roles(target: Server) -> None:
    """Make the target's database, the ETL's role, which owns it, and the reader."""
    with psycopg.connect(target.url(), autocommit=True) as connection:
        if connection.execute("SELECT 1 FROM pg_roles WHERE rolname = 'etl'").fetchone():
            return
        for role in ("etl", READER):
            connection.execute(
                sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(sql.Identifier(role), sql.Literal(PASSWORD))
            )
        connection.execute("CREATE DATABASE analytics OWNER etl")


def _publish(console: Console, origin: Server, target: Server) -> None:
    """Save the Secret blocks and run the flow for both apps, on a temporary Prefect server."""
    from blocks import register
    from flows import temporary, terminal
    from flows.etl import etl

    console.print("starting a Prefect server")
    with temporary.settled():
        for line in register.register(_provided(origin, target)):
            console.print(line)
        for app in origins.APPS:
            console.print(f"\n[bold]etl/{app}[/]")
            with terminal.shown(console):
                etl(app=app, rules=str(RULES / f"{app}.yml"), reader=READER)
        console.print(f"\n[bold]etl/rdvs[/] again: {origins.change(origin.url('rdvs'))} rows changed in the origin")
        with terminal.shown(console):
            etl(app="rdvs", rules=str(RULES / "rdvs.yml"), reader=READER)


def _provided(origin: Server, target: Server) -> dict[str, str]:
    """Return the variables with the databases' URLs and the key of pseudonyms."""
    origins_urls = {VARIABLES[app]: origin.url(app) for app in origins.APPS}
    return {"ETL_DB_URL": target.url("analytics", "etl", PASSWORD), **origins_urls, "ETL_PSEUDONYM_KEY": _pseudonym_key()}


def _pseudonym_key() -> str:
    """Return the key that the first demo made: with another one, every pseudonym would change."""
    file = FOLDER / "pseudonym-key"
    file.touch(mode=0o600)
    if not file.read_text():
        file.write_text(secrets.token_hex(32))
    return file.read_text()


def _show(console: Console, app: str, origin: Server, target: Server) -> None:
    """Show the same rows as the origin has them and as the reader sees them."""
    name, columns = origins.SHOWN[app]
    before = _read(origin.url(app), "public", name, columns)
    after = _read(target.url("analytics", READER, PASSWORD), app, name, columns)
    rows = [(f"{app}.{name}", "in the origin", f"as {READER} reads it")]
    for original, published in zip(before, after, strict=True):
        rows.append(("", "", ""))
        rows += zip(columns, map(_cell, original), map(_cell, published), strict=True)
    console.print()
    for row in rows:
        line = Text(f"{row[0]:<20}{row[1]:<{WIDTH + 2}}{row[2]}".rstrip(), style="bold" if row is rows[0] else "")
        console.print(line, soft_wrap=True)


def _show_both(console: Console, target: Server) -> None:
    """Show what an analyst can ask of both schemas."""
    with psycopg.connect(target.url("analytics", READER, PASSWORD), autocommit=True) as connection:
        found = connection.execute(origins.BOTH).fetchall()
    people = sum(row[-1] for row in found)
    if not people:  # an older demo filled the origins
        console.print(
            "\nnobody is in both apps, as an older demo made them up: remove .demo, and run [bold]make demo[/] again"
        )
        return
    told = f"[bold]{people:,} people are in both apps[/]: {READER} knows their pseudonyms, and no name"
    console.print(f"\n{told}")
    console.print(origins.BOTH.strip(), style="dim", markup=False, soft_wrap=True)
    for row in [("department", "born", "people"), *found[:BOTH_SHOWN]]:
        console.print("".join(f"{cell!s:<14}" for cell in row).rstrip())


def _read(url: str, schema: str, table: str, columns: Sequence[str]) -> list[tuple[str | None, ...]]:
    query = sql.SQL("SELECT {} FROM {} ORDER BY {} LIMIT {}").format(
        sql.SQL(", ").join(sql.SQL("{}::text").format(sql.Identifier(column)) for column in columns),
        sql.Identifier(schema, table),
        sql.Identifier(table, columns[0]),
        sql.Literal(ROWS_SHOWN),
    )
    with psycopg.connect(url, autocommit=True) as connection:
        return connection.execute(query).fetchall()


def _cell(value: str | None) -> str:
    text = "NULL" if value is None else " ".join(value.split())
    return text if len(text) <= WIDTH else text[: WIDTH - 1] + "…"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m demo",
        description="Publish two invented apps on embedded Postgres servers, and show rows before and after.",
        epilog="It reaches no server but those that it starts, and leaves nothing but .demo.",
    )
    parser.add_argument("--ui", action="store_true", help="instead, open Prefect's UI on the last demo, with a worker")
    parser.add_argument("--port", metavar="N", type=int, default=4200, help="the UI's port (default: 4200)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
