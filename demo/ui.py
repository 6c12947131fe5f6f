"""Prefect's UI on the demo's runs, and what it takes to start more there: a server, deployments and a worker."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil
from rich.console import Console

from demo import alone, origins

PATIENCE = 120.0  # seconds for the server to answer, and for the worker to end its run
POLL = 0.2


class Ended(Exception):
    """A process that has to run while the UI is open ended by itself."""


def show(console: Console, home: Path, port: int, environment: Mapping[str, str]) -> int:
    """Serve the UI until a KeyboardInterrupt; return 1 if the server or the worker ended by itself.

    The environment has what `make deploy` wants.
    """
    url = f"http://127.0.0.1:{port}"
    server = ["-m", "prefect", "server", "start", "--port", str(port)]
    worker = ["-m", "deployment.worker"]
    quick = {"PREFECT_WORKER_QUERY_SECONDS": "2", "RULES_FOLDER": str(alone.ROOT / "demo")}
    try:
        console.print("starting a Prefect server")
        # what the UI in the browser asks; by itself it takes the usual port
        with _running("Prefect server", server, home, {"PREFECT_SERVER_UI_API_URL": f"{url}/api"}) as serving:
            _await(f"{url}/api/health", serving)
            os.environ["PREFECT_API_URL"] = f"{url}/api"  # for the worker, and for Prefect here once it is imported
            for line in _deploy(environment):
                console.print(line)
            with _running("worker", worker, home, {**quick, "PYTHONPATH": environment["ETL_HOME"]}) as working:
                console.print(
                    f"\nPrefect's UI: [bold]{url}[/]. Under Deployments, press [bold]Run[/] on one; Ctrl-C ends it all.",
                    soft_wrap=True,
                )
                while all(process.poll() is None for process in (serving, working)):
                    time.sleep(POLL)
                raise Ended
    except Ended:
        console.print("\n".join(_tail(log) for log in sorted(home.glob("*.log"))), markup=False)
        return 1


def _deploy(environment: Mapping[str, str]) -> Iterator[str]:
    """Do what `make deploy` does for the demo's apps, with their rules from files and without schedules."""
    from prefect.client.orchestration import get_client

    from blocks import register
    from deployment import declared, deployments, pools
    from flows.variables import resolved, variables

    content = declared.read()
    values, _ = variables(content, environment)
    chosen = [_without_schedule(item) for item in content["deployments"] if item["name"] in origins.APPS]
    register.register(environment)
    with get_client(sync_client=True) as client:
        yield from pools.set_up(client, sorted({item["work_pool"]["name"] for item in chosen}))
        pull = resolved(content["pull"], values)
        yield from deployments.set_up(client, resolved(chosen, values), pull, {})


def _without_schedule(deployment: Mapping[str, Any]) -> dict[str, Any]:
    rules = str(Path(__file__).parent / f"{deployment['name']}.yml")
    return {**deployment, "parameters": {**deployment["parameters"], "rules": rules}, "schedules": []}


@contextmanager
def _running(name: str, arguments: list[str], home: Path, variables: Mapping[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """Run a module out of reach of the terminal's Ctrl-C, which must end the worker before its server; then end it."""
    with (home / f"{name.lower().replace(' ', '-')}.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, *arguments],
            env={**os.environ, **variables},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            for started in psutil.Process(process.pid).children(recursive=True):
                started.kill()
            process.kill()
            process.wait()


def _await(url: str, process: subprocess.Popen[bytes]) -> None:
    """Return once a URL answers. Raises Ended if the process that should answer ended, or never does."""
    deadline = time.monotonic() + PATIENCE
    while process.poll() is None and time.monotonic() < deadline:
        try:
            if httpx.get(url, timeout=PATIENCE, trust_env=False).is_success and process.poll() is None:
                return
        except httpx.HTTPError:
            time.sleep(POLL)
    raise Ended


def _tail(log: Path) -> str:
    """Return the last lines that a process printed."""
    return "\n".join([f"{log}:", *log.read_text(errors="replace").strip().splitlines()[-5:]])
