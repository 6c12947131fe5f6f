"""Compare the ways of getting an app's rows from one server to another: `make bench`, or `python -m bench --help`."""

import argparse
import os
import platform
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from random import Random
from statistics import median

from bench import link, machine, origin, ways
from bench.ways import Place, Taken
from demo.servers import Server
from tests.support.servers import prefect_server

MAJOR = 18
# as on a small managed server; writes go to the disk, as in production
SETTINGS = {
    "fsync": "on",
    "shared_buffers": "512MB",
    "max_wal_size": "8GB",
    "checkpoint_timeout": "30min",
    "max_locks_per_transaction": "256",
}
WAYS: dict[str, Callable[[Place], Taken]] = {
    "stream": lambda place: ways.ours(place, "stream"),
    "stream, the flow": lambda place: ways.flow(place, "stream"),
    "floor": ways.floor,
    "stream, useful indexes": lambda place: ways.ours(place, "stream", "useful"),
    "raw": ways.raw,
    "dump": lambda place: ways.ours(place, "dump"),
    "dump, the flow": lambda place: ways.flow(place, "dump"),
    "predecessor": ways.predecessor,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, and print a table of medians and ratios; return the exit status."""
    given = _parser().parse_args(arguments)
    with machine.folder_in(given.folder) as own:
        _measure(given, own)
    return 0


def _measure(given: argparse.Namespace, folder: Path) -> None:
    """Measure on servers of its own in a folder, and print the table."""
    chosen = [name for name in WAYS if name in (given.ways or WAYS)]
    shape = origin.many(given.tables) if given.tables else origin.shaped(int(given.size * 1e9), given.dominating)
    with machine.servers(folder, (MAJOR, MAJOR), SETTINGS) as servers:
        size = origin.fill(servers[0].url(), shape, given.seed)
        print(_setting(given, shape, size), flush=True)
        is_flow = any("flow" in name for name in chosen)
        with (
            prefect_server(folder) if is_flow else nullcontext() as server,
            _place(given, servers, shape, folder, server.client if server else {}) as place,
        ):
            ways.ours(place, "stream")  # not counted: the servers create their WAL files
            taken: dict[str, list[Taken]] = {name: [] for name in chosen}
            for number in range(given.rounds):
                # in another order each round: the way before leaves its mark on the disk and the caches
                for name in Random(given.seed + number).sample(chosen, len(chosen)):
                    taken[name].append(WAYS[name](place))
                    print(f"round {number + 1}: {_line(name, taken[name][-1])}", file=sys.stderr, flush=True)
    print("\n".join(table(taken)))


def table(taken: dict[str, list[Taken]]) -> list[str]:
    """Return the table of medians, then the ratios, in markdown."""
    lines = ["| measured | seconds | of raw | of the floor | parts | memory |", "| --- | ---: | ---: | ---: | --- | ---: |"]
    for name, runs in taken.items():
        ratios = [_ratio(runs, taken.get(peer, [])) for peer in ("raw", "floor")]
        parts = ", ".join(f"{part} {median(run.parts[part] for run in runs):.1f}" for part in runs[0].parts)
        memory = max(run.memory for run in runs)
        shown = f"{memory / 2**20:.0f} MiB" if memory else ""
        lines.append(f"| {name} | {_seconds(runs)} | {' | '.join(ratios)} | {parts} | {shown} |")
    return [*lines, "", *_comparisons(taken)]


def _comparisons(taken: dict[str, list[Taken]]) -> list[str]:
    """Return the ratios that do not compare two whole rows."""
    lines = []
    if {"stream", "floor"} <= taken.keys():
        pairs = zip(taken["stream"], taken["floor"], strict=True)
        ratios = [ours.parts["anonymize"] / floor.parts["pipes"] for ours, floor in pairs]
        lines.append(f"copy phase of bare pipes: {median(ratios):.2f}")
    if {"stream", "predecessor"} <= taken.keys():
        lines.append(f"stream of predecessor: {_ratio(taken['stream'], taken['predecessor'], 3)}")
    for mode in ("stream", "dump"):
        if {mode, f"{mode}, the flow"} <= taken.keys():
            pairs = zip(taken[mode], taken[f"{mode}, the flow"], strict=True)
            shares = [flow.seconds - ours.seconds for ours, flow in pairs]
            lines.append(f"Prefect's share of {mode}: {median(shares):.1f} s")
    return lines


def _ratio(runs: Sequence[Taken], peers: Sequence[Taken], digits: int = 2) -> str:
    """Return the median of the ratios of each round, if the peer was measured."""
    if not peers:
        return ""
    return f"{median(run.seconds / peer.seconds for run, peer in zip(runs, peers, strict=True)):.{digits}f}"


def _seconds(runs: Sequence[Taken]) -> str:
    found = sorted(run.seconds for run in runs)
    spread = f" ({found[0]:.1f} to {found[-1]:.1f})" if len(found) > 1 else ""
    return f"{median(found):.1f}{spread}"


def _line(name: str, run: Taken) -> str:
    parts = ", ".join(f"{part} {seconds:.1f}" for part, seconds in run.parts.items())
    return f"{name} {run.seconds:.1f} s" + (f" ({parts})" if parts else "")


@contextmanager
def _place(
    given: argparse.Namespace,
    servers: tuple[Server, Server],
    tables: Sequence[origin.Table],
    folder: Path,
    prefect: Mapping[str, str],
) -> Iterator[Place]:
    """Have rules and URLs ready; with a delay, the origin is behind a link."""
    rules = folder / "anonymizer.yml"
    rules.write_text(origin.rules(tables))
    url = servers[0].url()
    with link.delayed(url, given.delay / 2000) if given.delay else nullcontext(url) as url:
        yield Place(servers[0], servers[1], url, tables, rules, folder, given.jobs, prefect)


def _setting(given: argparse.Namespace, tables: Sequence[origin.Table], size: int) -> str:
    indexes = sum(table.indexes for table in tables)
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ways.ROOT, capture_output=True, text=True, check=False
    )
    return (
        f"{len(tables)} tables, {indexes} indexes, {len(origin.foreign_keys(tables))} foreign keys, {size / 1e9:.2f} GB, "
        f"seed {given.seed}; {given.jobs} at a time, {given.rounds} rounds, link of {given.delay} ms; "
        f"Postgres {MAJOR}, Python {platform.python_version()}, {os.cpu_count()} cores, "
        f"commit {commit.stdout.strip() or 'unknown'}"
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bench", description="Compare the ETL with other ways, on two servers of its own."
    )
    parser.add_argument(
        "--size", type=float, default=1.0, metavar="GB", help="bytes of the tables, without indexes (default: 1)"
    )
    parser.add_argument(
        "--dominating", type=float, default=0.0, metavar="SHARE", help="the share of the bytes in one table, such as 0.7"
    )
    parser.add_argument(
        "--tables", type=int, default=0, metavar="N", help="instead: N tables of 10 rows with 3 indexes each"
    )
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="how often each way is measured (default: 3)")
    parser.add_argument("--jobs", type=int, default=2, metavar="N", help="tables, then indexes, at a time (default: 2)")
    parser.add_argument(
        "--delay", type=float, default=0.0, metavar="MS", help="round trip of the link to the origin (default: none)"
    )
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="the rows are made from it (default: 1)")
    parser.add_argument("--ways", nargs="+", choices=list(WAYS), metavar="WAY", help=f"of {', '.join(WAYS)} (default: all)")
    parser.add_argument("--folder", metavar="DIR", help="where the servers stand (default: the system's temporary one)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
