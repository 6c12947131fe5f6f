"""Measure what a refresh takes of a full run, by how much changed: `python -m bench.refresh --size 1`.

Both are the same work without Prefect, in one process, after one another, on two servers of its own: the ratio is of the
same minute. A round changes the origin, refreshes, then publishes the same rows anew.
"""

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Literal

import psutil
import psycopg
from psycopg import sql

from bench import machine, origin
from bench.__main__ import MAJOR, SETTINGS
from bench.without_prefect import APP, READER
from demo.servers import Server
from multischema import pipeline
from multischema.job import Job
from multischema.postgres.database import Database
from multischema.stages.run import new_run_id

Change = Callable[[psycopg.Connection, origin.Table, int], None]


def _nothing(connection: psycopg.Connection, table: origin.Table, number: int) -> None:
    """Change nothing."""


def _random(share: float) -> Change:
    """Return what updates a share of a table's rows, here and there, others each time."""

    def change(connection: psycopg.Connection, table: origin.Table, number: int) -> None:
        column = sql.Identifier(table.columns[0].name)
        connection.execute(
            sql.SQL("UPDATE {} SET {} = {} WHERE hashint8(id + {}) & 65535 < {}").format(
                sql.Identifier(table.name), column, column, sql.Literal(number), sql.Literal(round(65536 * share))
            )
        )

    return change


def _appended(connection: psycopg.Connection, table: origin.Table, number: int) -> None:
    """Append 1 % of the rows, and delete 0.05 % here and there."""
    name = sql.Identifier(table.name)
    columns = [sql.Identifier(column.name) for column in table.columns]
    unique = [column.name for column in table.columns if column.index == "u"]
    values = [
        sql.SQL("{} || '-' || {}").format(sql.Identifier(c.name), sql.Literal(number))
        if c.name in unique
        else sql.Identifier(c.name)
        for c in table.columns
    ]
    ((top,),) = connection.execute(sql.SQL("SELECT max(id) FROM {}").format(name)).fetchall()
    connection.execute(
        sql.SQL("INSERT INTO {name} (id, {columns}) SELECT id + {top}, {values} FROM {name} WHERE id <= {rows}").format(
            name=name,
            columns=sql.SQL(", ").join(columns),
            values=sql.SQL(", ").join(values),
            top=sql.Literal(top),
            rows=sql.Literal(table.rows // 100),
        )
    )
    if table.name not in {referenced for _, _, referenced in origin.foreign_keys(origin.shaped(10**9))}:
        connection.execute(
            sql.SQL("DELETE FROM {} WHERE hashint8(id + {}) & 65535 < 33 AND id > {}").format(
                name, sql.Literal(number), sql.Literal(table.rows // 100)
            )
        )


@dataclass(frozen=True)
class Case:
    """How much changes between two runs; with `others`, another database of the origin's cluster is written."""

    name: str
    change: Change
    others: bool = False


CASES = (
    Case("nothing, and nobody wrote", _nothing),
    Case("nothing, others wrote", _nothing, others=True),
    Case("0.1 % of the rows, random", _random(0.001)),
    Case("1 % random", _random(0.01)),
    Case("1 % appended, 0.05 % deleted", _appended),
    Case("10 % random", _random(0.1)),
)


@dataclass
class Taken:
    """What a run took: seconds, those after the check, bytes of the target's log, and what it says that it did."""

    seconds: float
    work: float
    log: int
    line: str
    parts: dict[str, float]


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, and print a table; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m bench.refresh", description="Compare refreshes with full runs.")
    parser.add_argument("--size", type=float, default=1.0, metavar="GB", help="bytes of the tables (default: 1)")
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="how often each is measured (default: 3)")
    parser.add_argument("--jobs", type=int, default=2, metavar="N", help="tables at a time (default: 2)")
    parser.add_argument("--cases", nargs="+", type=int, metavar="N", help=f"which of the {len(CASES)} (default: all)")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="the rows are made from it (default: 1)")
    parser.add_argument("--folder", metavar="DIR", help="where the servers stand (default: the system's temporary one)")
    given = parser.parse_args(arguments)
    with machine.folder_in(given.folder) as own, machine.servers(own, (MAJOR, MAJOR), SETTINGS) as servers:
        _measure(given, own, *servers)
    return 0


def _measure(given: argparse.Namespace, folder: Path, source: Server, target: Server) -> None:
    shape = origin.shaped(int(given.size * 1e9))
    size = origin.fill(source.url(), shape, given.seed)
    rules = folder / "anonymizer.yml"
    rules.write_text(origin.rules(shape))
    print(f"{len(shape)} tables, {size / 1e9:.2f} GB, {given.jobs} at a time, {os.cpu_count()} cores, Postgres {MAJOR}")
    with psycopg.connect(source.url(), autocommit=True) as connection:
        connection.execute("CREATE DATABASE others")
    copied = [table for table in shape if not table.truncated]
    _publish(given, source, target, rules, "full")
    print("| changed | refresh s | of it after the check | full s | ratio | log, of a full run's |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    for number, case in enumerate(CASES):
        if given.cases and number + 1 not in given.cases:
            continue
        pairs = []
        for round_ in range(given.rounds):
            with psycopg.connect(source.url(), autocommit=True) as connection:
                for table in copied:
                    case.change(connection, table, 1000 * number + round_)
                connection.execute("CHECKPOINT")
            if case.others:
                with psycopg.connect(source.url("others"), autocommit=True) as connection:
                    connection.execute("CREATE TABLE IF NOT EXISTS other AS SELECT 1 AS id")
                    connection.execute("UPDATE other SET id = id + 1")
            refreshed = _publish(given, source, target, rules, "auto")
            parts = ", ".join(f"{stage} {seconds:.2f}" for stage, seconds in refreshed.parts.items())
            print(f"{case.name}: {refreshed.line}, {refreshed.seconds:.2f} s ({parts})", file=sys.stderr, flush=True)
            pairs.append((refreshed, _publish(given, source, target, rules, "full")))
        ratios = [refreshed.seconds / full.seconds for refreshed, full in pairs]
        print(
            f"| {case.name} | {median(r.seconds for r, _ in pairs):.2f} | {median(r.work for r, _ in pairs):.2f} "
            f"| {median(f.seconds for _, f in pairs):.1f} | 1/{1 / median(ratios):.1f} "
            f"| 1/{median(f.log / max(r.log, 1) for r, f in pairs):.0f} |",
            flush=True,
        )
    print(f"memory of this process at most: {psutil.Process().memory_full_info().pss / 2**20:.0f} MiB")


def _publish(
    given: argparse.Namespace, source: Server, target: Server, rules: Path, refresh: Literal["auto", "full"]
) -> Taken:
    job = Job(APP, APP, "public", READER, given.jobs, 60, new_run_id(), indexes="all", names=new_run_id())
    with _log_of(target) as written:
        started = time.monotonic()
        published = pipeline.run(
            replace(job, refresh=refresh),
            str(rules),
            Database("origin", APP, source.url()),
            Database("target", APP, target.url()),
        )
        seconds = time.monotonic() - started
    return Taken(seconds, seconds - published.seconds["check"], written[0], published.choice.line(), published.seconds)


@contextmanager
def _log_of(target: Server) -> Iterator[list[int]]:
    """Give the bytes of the log that the target wrote in the block, once it is over."""
    with psycopg.connect(target.url(), autocommit=True) as connection:

        def position() -> int:
            ((lsn,),) = connection.execute("SELECT (pg_current_wal_insert_lsn() - '0/0'::pg_lsn)::int8").fetchall()
            return int(lsn)

        found = [0]
        before = position()
        yield found
        found[0] = position() - before


if __name__ == "__main__":
    sys.exit(main())
