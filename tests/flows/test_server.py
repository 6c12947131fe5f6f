"""`python -m deployment.server`, the `web` process, started for real on a Postgres database of its own."""

import signal
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
import requests
from cryptography.fernet import Fernet
from psycopg import sql

from tests.conftest import OWN, Place
from tests.flows.conftest import SYSTEM
from tests.support.servers import AUTH, PATIENCE, PrefectServer, free_port, in_background, running, variables

KEY = "PREFECT_SERVER_ENCRYPTION_KEY"
SECRET = "postgresql://etl:a-password-of-the-target@target/analytics"


def new_key() -> str:
    """Return a key for the Secret blocks."""
    return Fernet.generate_key().decode()


def set_up(server: PrefectServer) -> "subprocess.CompletedProcess[str]":
    """Run `make deploy`."""
    return subprocess.run(
        [sys.executable, "-m", "deployment.setup"],
        cwd=OWN,
        env={**server.client, "METABASE_USERNAME": "metabase", "SCALEWAY_JOB_DEFINITION_ID": "none", "ETL_DB_URL": SECRET},
        check=False,
        capture_output=True,
        text=True,
    )


def register(server: PrefectServer) -> str:
    """Save a Secret block as an operator does; return what was said."""
    return said(server, "blocks.register", ETL_DB_URL=SECRET)


def publish(server: PrefectServer) -> str:
    """Run the command line for an app whose databases nobody will ask; return what was said."""
    databases = {"ETL_DB_URL": SECRET, "ORIGIN_DB_URL": SECRET}
    return said(server, "flows.etl", APP="invented-shop", CONFIG_PATH="none.yml", METABASE_USERNAME="metabase", **databases)


def said(server: PrefectServer, module: str, **environment: str) -> str:
    """Run a module with these variables; return all that it printed."""
    run = subprocess.run(
        [sys.executable, "-m", module],
        cwd=OWN,
        env={**server.client, **environment},
        check=False,
        capture_output=True,
        text=True,
    )
    return run.stdout + run.stderr


def all_rows(url: str) -> str:
    """Return all that the server's database holds, as text."""
    with psycopg.connect(url) as connection:
        tables = connection.execute(
            "SELECT relnamespace::regnamespace::text, relname FROM pg_class WHERE relkind = 'r' AND oid > 16384"
        ).fetchall()
        query = sql.SQL("SELECT t::text FROM {} AS t")
        return "\n".join(
            str(row) for names in tables for row in connection.execute(query.format(sql.Identifier(*names))).fetchall()
        )


@pytest.mark.slow
@pytest.mark.parametrize("program", SYSTEM)
def test_the_server_wants_its_password_and_a_key_that_stays_the_same_and_out_of_its_database(
    program: str, make_place: Callable[..., Place], tmp_path: Path
) -> None:
    url = make_place(program, "18").origin_url
    server = PrefectServer(f"http://127.0.0.1:{free_port()}/api", tmp_path, AUTH)
    environment = variables(
        HOME=str(tmp_path),
        PREFECT_HOME=str(tmp_path),
        PORT=server.url.split(":")[2].partition("/")[0],
        WEB_CONCURRENCY="3",
        SCALINGO_POSTGRESQL_URL=f"{url.replace('postgresql:', 'postgres:')}?sslmode=prefer",
        PREFECT_SERVER_API_AUTH_STRING=AUTH,
        PREFECT_SERVER_ENCRYPTION_KEY=new_key(),
    )
    log = tmp_path / "server.log"
    with running(in_background([sys.executable, "-m", "deployment.server"]), environment, log) as process:
        server.wait_until_healthy(process, log)
        for path in ("admin/version", "admin/settings", "block_documents/filter", "flow_runs/filter"):
            assert (
                requests.request("GET" if "admin" in path else "POST", f"{server.url}/{path}", timeout=60).status_code == 401
            )
        refused = (
            "error: the Prefect server of PREFECT_API_URL: refused the login (HTTP 401); "
            "want PREFECT_API_AUTH_STRING as on the server, or for Prefect Cloud PREFECT_API_KEY\n"
        )
        with ThreadPoolExecutor() as executor:
            registered = executor.submit(register, replace(server, auth=""))
            published = executor.submit(publish, replace(server, auth="admin:another password"))
        assert registered.result() == refused
        assert published.result() == refused
        assert register(server) == "saved Secret block etl-db-url from ETL_DB_URL\n"
        (block,) = server.ask("POST", "block_documents/filter", {"include_secrets": True})
        assert block["data"]["value"] == SECRET
        settings = server.ask("GET", "admin/settings")["server"]
        assert sorted(settings["services"]["db_vacuum"]["enabled"]) == ["events", "flow_runs"]
        assert settings["analytics_enabled"] is False
        process.terminate()
        assert process.wait(PATIENCE) in (0, -signal.SIGTERM)
    rows = all_rows(url)
    assert "etl-db-url" in rows
    assert "a-password-of-the-target" not in rows
    assert "ENCRYPTION_KEY" not in rows

    with running([sys.executable, "-m", "deployment.server"], {**environment, KEY: new_key()}, log) as process:
        server.wait_until_healthy(process, log)
        run = set_up(server)
    assert (run.returncode, run.stderr.count("\n")) == (1, 1)
    assert (
        "can't read the Secret block etl-db-url (HTTP 500); want the PREFECT_SERVER_ENCRYPTION_KEY that it was" in run.stderr
    )


@pytest.mark.slow
def test_a_server_that_may_not_start_says_why_on_a_line_each_and_ends_with_status_2(tmp_path: Path) -> None:
    run = subprocess.run(
        [sys.executable, "-m", "deployment.server"],
        cwd=tmp_path,
        env={**variables(HOME=str(tmp_path)), "PYTHONPATH": str(OWN)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (run.returncode, run.stdout) == (2, "")
    assert [line.partition(":")[0] for line in run.stderr.splitlines()] == ["error"] * 3
