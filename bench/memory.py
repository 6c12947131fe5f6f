"""Measure the memory that a worker and its run need for a database of 1 GB: `python -m bench.memory`, as root, some minutes.

They share a cgroup that holds as much as Scalingo's container M; the Postgres servers and Prefect's are outside of it.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil
import psycopg

from bench.machine import servers, together
from demo import alone
from demo.servers import Server
from tests.support.servers import PrefectServer, eventually, prefect_server, running

SETTINGS = {"max_wal_size": "4GB"}
LIMIT = 512 << 20  # bytes
INTERVAL = 0.2  # seconds between two looks at the processes
# many rows, wide rows, rows of megabytes, and the many tables of an app; md5 and EXTERNAL keep it from being compressed away
ORIGIN = """
CREATE TABLE people AS
    SELECT i AS id, md5(i::text) AS first_name, md5((-i)::text) AS last_name, i || '@courriel.example' AS email,
        now() AS created_at, jsonb_build_object('n', i) AS preferences
    FROM generate_series(1, 3000000) AS i;
ALTER TABLE people ADD PRIMARY KEY (id);
CREATE INDEX ON people (email);
CREATE TABLE documents (id int PRIMARY KEY, person_id int NOT NULL, body text NOT NULL);
ALTER TABLE documents ALTER body SET STORAGE EXTERNAL;
INSERT INTO documents SELECT i, i, repeat(md5(i::text), 500) FROM generate_series(1, 15000) AS i;
INSERT INTO documents SELECT i, i, repeat(md5(i::text), 300000) FROM generate_series(15001, 15010) AS i;
ALTER TABLE documents ADD FOREIGN KEY (person_id) REFERENCES people;
DO $$ BEGIN FOR i IN 1..40 LOOP
    EXECUTE format('CREATE TABLE list_%s (id int PRIMARY KEY, label text)', i);
    EXECUTE format('INSERT INTO list_%s SELECT n, md5(n::text) FROM generate_series(1, 1000) AS n', i);
END LOOP; END $$;
ANALYZE
"""
RULES = """
tables:
  - table_name: people
    anonymized_column_names: [first_name, last_name, email, preferences]
    non_anonymized_column_names: [created_at]
  - table_name: documents
    non_anonymized_column_names: [body]
"""
LISTS = "".join(f"  - {{table_name: list_{i}, non_anonymized_column_names: [label]}}\n" for i in range(1, 41))


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, and print what was found; return 1 where the run failed or something was killed for memory."""
    argparse.ArgumentParser(
        prog="python -m bench.memory",
        description="Measure the memory that a worker and its run need for a database of 1 GB, as root, in some minutes.",
    ).parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        own = alone.checkout(Path(folder).resolve())
        alone.enter(own)
        return _measure(own)


def _measure(work: Path) -> int:
    """Measure on servers of its own in a folder; return the exit status."""
    with servers(work, (16, 18), SETTINGS) as (origin, target):
        with psycopg.connect(target.url(), autocommit=True) as connection:
            connection.execute("CREATE DATABASE analytics")
        rules = work / "rules.yml"
        rules.write_text(RULES + LISTS)
        print(f"origin: {fill(origin) / 1e9:.2f} GB", flush=True)
        with prefect_server(work) as server, cgroup() as bound:
            environment = {
                **server.client,
                "ETL_DB_URL": target.url("analytics"),
                "RDV_SOLIDARITES_DB_URL": origin.url(),
                "METABASE_USERNAME": "metabase",
                "SCALEWAY_JOB_DEFINITION_ID": "none",
                "ETL_HOME": str(work),
                "RULES_FOLDER": str(work),
            }
            subprocess.run([sys.executable, "-m", "deployment.setup"], env=environment, check=True, stdout=sys.stderr)
            bounded = ["bash", "-c", 'echo $$ >"$1" && exec bash deployment/worker.sh', "-", str(bound / "cgroup.procs")]
            with running(bounded, environment, work / "worker.log") as worker:
                eventually(lambda: b"started" in (work / "worker.log").read_bytes())
                peak, ended = measured(server, worker.pid, rules)
            killed, used = of_cgroup(bound)
    print(f"run: {ended}")
    print(f"worker and run, sum of PSS: at most {peak / 2**20:.0f} MiB")
    print(f"cgroup: at most {used / 2**20:.0f} of {LIMIT / 2**20:.0f} MiB with cached files, {killed} killed")
    return 0 if ended == "COMPLETED" and not killed else 1


def fill(origin: Server) -> int:
    """Make the origin's tables; return the size of its database in bytes."""
    with psycopg.connect(origin.url(), autocommit=True) as connection:
        connection.execute(ORIGIN)
        (size,) = connection.execute("SELECT pg_database_size(current_database())").fetchall()[0]
        return int(size)


@contextmanager
def cgroup() -> Iterator[Path]:
    """Make a cgroup with the limit, of whichever version the machine has."""
    parent = Path("/sys/fs/cgroup")
    version_1 = (parent / "memory").is_dir()
    made = (parent / "memory" if version_1 else parent) / f"etl-bench-{os.getpid()}"
    made.mkdir()
    try:
        (made / ("memory.limit_in_bytes" if version_1 else "memory.max")).write_text(str(LIMIT))
        yield made
    finally:
        eventually(lambda: not (made / "cgroup.procs").read_text())
        made.rmdir()


def of_cgroup(bound: Path) -> tuple[int, int]:
    """Return how many processes were killed for memory, and the most that was used, in bytes, cached files included."""
    events = next(bound / name for name in ("memory.events", "memory.oom_control") if (bound / name).exists())
    counts = dict(line.split() for line in events.read_text().splitlines())
    used = next(bound / name for name in ("memory.peak", "memory.max_usage_in_bytes") if (bound / name).exists())
    return int(counts.get("oom_kill", 0)), int(used.read_text())


def measured(server: PrefectServer, worker: int, rules: Path) -> tuple[int, str]:
    """Run the deployment; return the most that the worker and its children used, in bytes, and the run's last state."""
    deployment = server.ask("GET", "deployments/name/etl/rdvs")["id"]
    run = server.ask("POST", f"deployments/{deployment}/create_flow_run", {"parameters": {"rules": str(rules)}})["id"]
    ended = threading.Event()
    states: list[str] = []

    def watch() -> None:
        while not ended.is_set():
            state = server.ask("GET", f"flow_runs/{run}")["state_type"]
            if state in ("COMPLETED", "FAILED", "CRASHED", "CANCELLED"):
                states.append(state)
                ended.set()
            time.sleep(1)

    watcher = threading.Thread(target=watch)
    watcher.start()
    peak = 0
    while not ended.wait(INTERVAL):
        process = psutil.Process(worker)
        peak = max(peak, together([process, *process.children(recursive=True)]))
    watcher.join()
    return peak, states[0]


if __name__ == "__main__":
    sys.exit(main())
