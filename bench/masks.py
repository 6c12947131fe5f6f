"""Measure what masks cost beside a plain copy of the same columns: `python -m bench.masks`.

A round copies each table twice as a run does, as it is and masked, in another order each time: the ratio is of the same
minute. The processor's time, of both servers' sessions and this process, is what a busy machine blurs less.
"""

import argparse
import os
import secrets
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import psutil
import psycopg
import yaml
from psycopg import sql

from bench import machine
from bench.__main__ import MAJOR, SETTINGS
from bench.without_prefect import APP, READER
from demo.servers import Server
from multischema import pipeline
from multischema.job import Job
from multischema.masks import pseudonyms
from multischema.pipeline import Published
from multischema.plan.tables import ColumnPlan, TablePlan
from multischema.postgres.connecting import Connection, connect
from multischema.postgres.copying import Route, copy_table
from multischema.postgres.database import Database
from multischema.stages.run import new_run_id
from multischema.statements import building
from multischema.statements.reading import computing


@dataclass(frozen=True)
class Measured:
    """A mask as the rules have it, and the values that it masks, in SQL of the row's pseudo-random n."""

    mask: object
    type: str
    value: str


KEY = secrets.token_bytes(pseudonyms.KEY_BYTES)
DOMAIN = "person_email"
MASKS = {
    "period": Measured({"period": "year"}, "date", "date '1930-01-01' + n % 29000"),
    "department": Measured("department", "text", "lpad((n % 98000)::text, 5, '0')"),
    "bands": Measured({"bands": [0, 1, 3]}, "integer", "n % 9"),
    "round": Measured({"round": 1}, "double precision", "41 + n % 1000000 / 100000.0"),
    "network": Measured("network", "inet", "inet '10.0.0.0' + n % 16000000"),
    "domain": Measured(
        "domain", "text", "'user' || n || (ARRAY['@gmail.com', '@laposte.net', '@ville.example'])[1 + n % 3]"
    ),
    "values": Measured({"values": ["CAF", "MSA"]}, "text", "(ARRAY['CAF', 'MSA', 'aucune'])[1 + n % 3]"),
    "keys": Measured({"keys": ["theme", "locale"]}, "jsonb", "jsonb_build_object('theme', n % 3, 'token', n::text)"),
    "pseudonym": Measured({"pseudonym": DOMAIN}, "text", "'User' || n || '@courriel.example'"),
}
TICK = 0.01  # seconds of the processor: the system counts no less
WIDE = "users"
IN_WIDE = ("period", "department", "bands", "round", "network", "values")
# what a table of people has besides: masked wholly in both runs, and as it is in both
NAMES = ("first_name", "last_name")
CLEAR = {
    "text": (5, "left(md5(n::text), 12)"),
    "timestamptz": (5, "timestamptz '2020-01-01' + n * interval '1 second'"),
    "boolean": (5, "n % 8 = 0"),
    "bigint": (6, "n::bigint"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, and print a table; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m bench.masks", description="Compare masked copies with plain ones.")
    parser.add_argument("--rows", type=int, default=1_000_000, metavar="N", help="of each table (default: 1000000)")
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="how often each is measured (default: 5)")
    parser.add_argument("--folder", metavar="DIR", help="where the servers stand (default: the system's temporary one)")
    given = parser.parse_args(arguments)
    with machine.folder_in(given.folder) as own, machine.servers(own, (MAJOR, MAJOR), SETTINGS) as servers:
        _measure(given, own, *servers)
    return 0


@dataclass(frozen=True)
class Taken:
    """What a copy took: seconds, and those of the processor, in both servers' sessions and this process."""

    seconds: float
    processor: float


def _measure(given: argparse.Namespace, folder: Path, source: Server, target: Server) -> None:
    tables = {WIDE: IN_WIDE, **{f"{name}_alone": (name,) for name in MASKS}}
    for name, masks in tables.items():
        _fill(source.url(), name, masks, given.rows)
    print(f"{given.rows:,} rows a table, one table at a time, {os.cpu_count()} cores, Postgres {MAJOR}")
    plans = {}
    for masked in (False, True):
        rules = folder / "anonymizer.yml"
        rules.write_text(_rules(tables, masked=masked))
        plans[masked] = {table.name: table for table in _publish(source, target, rules).plan.tables}
    with _sessions(source, target) as (reading, writing, snapshot):
        # a server may share out the masked copy alone, as it costs more, and then its session has but a part of the work
        reading.execute("SET max_parallel_workers_per_gather = 0")
        for masked, plan in plans.items():
            writing.execute(building.create_staging(_staging(masked=masked)))
            for table in plan.values():
                writing.execute(building.create_table(_staging(masked=masked), table))
        print("| masked | plain s | masked s | ratio | of the processor | µs a row of the origin's processor |", flush=True)
        print("| --- | ---: | ---: | ---: | ---: | ---: |")
        for name, masks in tables.items():
            pairs = []
            for number in range(given.rounds):
                order = (False, True) if number % 2 else (True, False)
                taken = {
                    masked: _copy(
                        reading, writing, plans[masked][name], Route("origin", "public", snapshot, _staging(masked=masked))
                    )
                    for masked in order
                }
                pairs.append((taken[False], taken[True]))
            spent = _spent(reading, plans[False][name], plans[True][name]) / given.rows * 1e6
            said = f"{len(masks)} of {1 + len(masks) + len(_others())} columns" if name == WIDE else f"{masks[0]}, alone"
            print(f"| {said} | {_line(pairs)} | {spent:.2f} |", flush=True)


@contextmanager
def _sessions(source: Server, target: Server) -> Iterator[tuple[Connection, Connection, str]]:
    """Open the sessions of a copy, of which the origin's computes pseudonyms, and give a snapshot to read from."""
    keys = tuple(pseudonyms.settings(KEY, [DOMAIN]).items())
    with (
        psycopg.connect(source.url()) as holder,
        connect(Database("origin", APP, source.url(), secrets=keys), "bench") as reading,
        connect(Database("target", APP, target.url()), "bench") as writing,
    ):
        holder.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        ((snapshot,),) = holder.execute("SELECT pg_export_snapshot()").fetchall()
        yield reading, writing, snapshot


def _staging(*, masked: bool) -> str:
    return "masked" if masked else "plain"


def _copy(reading: Connection, writing: Connection, table: TablePlan, route: Route) -> Taken:
    """Copy a table as a run does."""
    before = _processor(reading, writing)
    copied = copy_table(reading, writing, table, route, _ignore)
    return Taken(copied.seconds, max(_processor(reading, writing) - before, TICK))


def _ignore(_size: int) -> None:
    """Tell nobody how far a copy is."""


def _processor(*sessions: Connection) -> float:
    """Return the seconds of the processor that sessions and this process have used."""
    processes = [psutil.Process(), *(psutil.Process(session.info.backend_pid) for session in sessions)]
    return sum(used.user + used.system for used in (process.cpu_times() for process in processes))


def _spent(reading: Connection, plain: TablePlan, masked: TablePlan) -> float:
    """Return the seconds that the masks of a table take of the origin's processor beyond reading their columns."""
    pairs = [(one, other) for one, other in zip(plain.columns, masked.columns, strict=True) if other.rule]
    return sum(_computing(reading, masked, other) - _computing(reading, plain, one) for one, other in pairs)


def _computing(reading: Connection, table: TablePlan, column: ColumnPlan) -> float:
    """Return the seconds of the processor that the origin needs to compute a column, the least of three times."""
    taken = []
    session = psutil.Process(reading.info.backend_pid)
    for _ in range(3):
        before = session.cpu_times()
        reading.execute(computing(table, column, "public"))
        after = session.cpu_times()
        taken.append(after.user + after.system - before.user - before.system)
    return min(taken)


def _line(pairs: Sequence[tuple[Taken, Taken]]) -> str:
    plain, masked = (median(each.seconds for each in taken) for taken in zip(*pairs, strict=True))
    ratios = (_ratio([m.seconds / p.seconds for p, m in pairs]), _ratio([m.processor / p.processor for p, m in pairs]))
    return f"{plain:.2f} | {masked:.2f} | {' | '.join(ratios)}"


def _ratio(ratios: Sequence[float]) -> str:
    return f"{median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"


def _others() -> dict[str, tuple[str, str]]:
    """Return the columns that the wide table has besides, with their types and values."""
    clear = {f"{type_}_{number}": (type_, value) for type_, (count, value) in CLEAR.items() for number in range(count)}
    return {**dict.fromkeys(NAMES, ("text", "left(md5(n::text), 8)")), **clear}


def _fill(url: str, name: str, masks: Sequence[str], rows: int) -> None:
    """Make a table with a column for each mask, and others where it is the wide one."""
    columns = {mask: (MASKS[mask].type, MASKS[mask].value) for mask in masks} | (_others() if name == WIDE else {})
    defined = sql.SQL(", ").join(sql.SQL("{} {}").format(sql.Identifier(c), sql.SQL(t)) for c, (t, _) in columns.items())
    values = sql.SQL(", ").join(sql.SQL(value) for _, value in columns.values())
    filled = "INSERT INTO {} SELECT i, {} FROM generate_series(1, {}) AS i, LATERAL (SELECT hashint4(i) & {}) AS r (n)"
    with psycopg.connect(url, autocommit=True) as connection:
        table = sql.Identifier(name)
        connection.execute(sql.SQL("CREATE TABLE {} (id bigint PRIMARY KEY, {})").format(table, defined))
        connection.execute(sql.SQL(filled).format(table, values, sql.Literal(rows), sql.Literal(2**31 - 1)))
        connection.execute(sql.SQL("VACUUM ANALYZE {}").format(table))


def _rules(tables: Mapping[str, Sequence[str]], *, masked: bool) -> str:
    """Return the rules that publish the tables masked, or as they are but for the names."""
    return yaml.safe_dump({"tables": [_rule(name, masks, masked=masked) for name, masks in tables.items()]})


def _rule(name: str, masks: Sequence[str], *, masked: bool) -> dict[str, object]:
    others = [column for column in _others() if name == WIDE and column not in NAMES]
    names = list(NAMES) if name == WIDE else []
    if not masked:
        return {"table_name": name, "anonymized_column_names": names, "non_anonymized_column_names": [*masks, *others]}
    return {
        "table_name": name,
        "anonymized_column_names": [*masks, *names],
        "non_anonymized_column_names": others,
        "masks": {mask: MASKS[mask].mask for mask in masks},
    }


def _publish(source: Server, target: Server, rules: Path) -> Published:
    # no scan: numbers that are made up look like phone numbers now and then
    job = Job(APP, APP, "public", READER, 1, 60, new_run_id(), names=new_run_id(), refresh="full", scan="off")
    databases = Database("origin", APP, source.url()), Database("target", APP, target.url())
    return pipeline.run(job, str(rules), *databases, lambda: KEY)


if __name__ == "__main__":
    sys.exit(main())
