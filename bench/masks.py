"""Measure what masks cost beside a plain copy of the same columns: `python -m bench.masks`.

A round publishes the same tables twice, as they are and masked, in another order each time: the ratio of the two copies of a
table is of the same minute. The processor's time of each mask is that of the origin's session, which a busy machine
blurs less.
"""

import argparse
import os
import secrets
import sys
import tempfile
from collections.abc import Mapping, Sequence
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
from demo import alone
from demo.servers import Server
from multischema import pipeline
from multischema.job import Job
from multischema.masks import pseudonyms
from multischema.pipeline import Published
from multischema.postgres.database import Database
from multischema.stages.run import new_run_id


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
    with tempfile.TemporaryDirectory(prefix="bench-", dir=given.folder) as folder:
        own = alone.checkout(Path(folder).resolve())
        alone.enter(own)
        with machine.servers(own, (MAJOR, MAJOR), SETTINGS) as servers:
            _measure(given, own, *servers)
    return 0


def _measure(given: argparse.Namespace, folder: Path, source: Server, target: Server) -> None:
    tables = {WIDE: IN_WIDE, **{f"{name}_alone": (name,) for name in MASKS}}
    for name, masks in tables.items():
        _fill(source.url(), name, masks, given.rows)
    print(f"{given.rows:,} rows a table, one table at a time, {os.cpu_count()} cores, Postgres {MAJOR}", flush=True)
    seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in tables}
    rules = {masked: folder / f"masked_{masked}.yml" for masked in (False, True)}
    for masked, file in rules.items():
        file.write_text(_rules(tables, masked=masked))
    _publish(source, target, rules[True])  # not counted: the servers create their WAL files
    for number in range(given.rounds):
        order = (False, True) if number % 2 else (True, False)
        runs = {masked: _publish(source, target, rules[masked]) for masked in order}
        for name in tables:
            seconds[name].append((runs[False].copied[name].seconds, runs[True].copied[name].seconds))
            print(f"round {number + 1}: {name} {seconds[name][-1]}", file=sys.stderr, flush=True)
    spent = {name: _spent(source.url(), runs[True], name, given.rows) for name in tables}
    print("| masked | plain s | masked s | ratio | µs a row of the origin's processor |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for name, masks in tables.items():
        said = f"{len(masks)} of {1 + len(masks) + len(_others())} columns"
        print(f"| {said if name == WIDE else masks[0] + ', alone'} | {_line(seconds[name])} | {spent[name]:.2f} |")


def _line(pairs: Sequence[tuple[float, float]]) -> str:
    ratios = sorted(masked / plain for plain, masked in pairs)
    plain, masked = (median(each) for each in zip(*pairs, strict=True))
    return f"{plain:.2f} | {masked:.2f} | {median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})"


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
    job = Job(APP, APP, "public", READER, 1, 60, new_run_id(), names=new_run_id(), refresh="full")
    databases = Database("origin", APP, source.url()), Database("target", APP, target.url())
    return pipeline.run(job, str(rules), *databases, lambda: KEY)


def _spent(url: str, published: Published, name: str, rows: int) -> float:
    """Return what the masks of a table take of the origin's processor beyond reading the columns, in µs a row."""
    (table,) = (table for table in published.plan.tables if table.name == name)
    refined = [column for column in table.columns if column.rule]
    masks, plain = [column.expression for column in refined], [sql.Identifier(column.name) for column in refined]
    settings = {"max_parallel_workers_per_gather": "0", **pseudonyms.settings(KEY, [DOMAIN])}
    options = " ".join(f"-c {name}={value}" for name, value in settings.items())
    with psycopg.connect(url, autocommit=True, options=options) as connection:
        session = psutil.Process(connection.info.backend_pid)
        taken = [[_time_of(connection, session, name, values) for values in (plain, masks)] for _ in range(3)]
    return min(masked for _, masked in taken) / rows * 1e6 - min(plain for plain, _ in taken) / rows * 1e6


def _time_of(connection: psycopg.Connection, session: psutil.Process, name: str, values: Sequence[sql.Composable]) -> float:
    """Return the seconds of the processor that a session needs to compute values of a table."""
    before = session.cpu_times()
    counted = sql.SQL(", ").join(sql.SQL("count({})").format(value) for value in values)
    connection.execute(sql.SQL("SELECT {} FROM {}").format(counted, sql.Identifier(name)))
    after = session.cpu_times()
    return after.user + after.system - before.user - before.system


if __name__ == "__main__":
    sys.exit(main())
