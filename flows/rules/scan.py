"""Count personal data in the columns that an app's rules publish as they are: `python -m flows.rules scan --app shop`."""

import argparse
import sys
import time
from collections.abc import Sequence

from flows.rules import given as options
from flows.rules.saying import add_format, said, show
from multischema import command
from multischema.errors import ConnectionLost, EtlError, UsageError
from multischema.plan.plan import Plan
from multischema.plan.scan import Counted, Scanned, judge, proof, reasons
from multischema.plan.tables import TablePlan
from multischema.postgres.connecting import Connection
from multischema.rules.one_table import named
from multischema.stages.scan import SAMPLE, count_personal
from multischema.words import count, escaped

TIMEOUT = 60  # seconds for a table
PATIENCE = 2.0  # seconds after which it says which table it is at


def main(arguments: Sequence[str] | None = None, prog: str = "python -m flows.rules scan") -> int:
    """Run the command; return its exit status: 1 where a column holds what it should not."""
    parser = options.parser(
        prog, "Count personal data in the columns that an app's rules publish as they are. It shows counts, never a value."
    )
    parser.epilog = options.epilog(failed="a column holds what it should not, or the scan fails")
    parser.add_argument(
        "--table", action="append", default=[], metavar="NAME", help="look into this table alone, or into several"
    )
    rows = parser.add_mutually_exclusive_group()
    number = options.number(1, 10**9)
    rows.add_argument("--rows", type=number, metavar="N", default=SAMPLE, help=f"rows of each table (default: {SAMPLE})")
    rows.add_argument("--whole", action="store_true", help="all rows of each table")
    parser.add_argument(
        "--timeout", type=number, metavar="SECONDS", default=TIMEOUT, help=f"time for each table (default: {TIMEOUT})"
    )
    add_format(parser)
    parsed = parser.parse_args(arguments)
    return command.ended(lambda: _scan(parsed))


def _scan(parsed: argparse.Namespace) -> int:
    """Print what the scan found; return 1 if any of it is an error. Raises UsageError, and EtlError in a text."""
    given = options.given(parsed)
    try:
        rules = given.rules()
        with given.opened("scan") as connection:
            plan = given.read(connection, rules).planned()
            tables = _wanted(given.origin.side, plan, parsed.table)
            number = None if parsed.whole else parsed.rows
            scanned = _look(connection, given.origin.side, plan, tables, number, parsed.timeout)
    except EtlError as error:
        if parsed.format == "text" or isinstance(error, UsageError):
            raise
        nothing: dict[str, object] = {"app": given.app.name, "tables": [], "said": []}
        show(said(error.problems, parsed.format, given.source, summary="nothing was looked into", facts=nothing))
        return error.exit_status
    told = list(filter(None, [scanned.headline(), proof(scanned.looked), *map(escaped, reasons(tables))]))
    facts = {"app": given.app.name, "tables": [_counts(counted) for counted in scanned.looked], "said": told[1:]}
    summary = told[0] if parsed.format == "json" else "\n".join(told)
    show(said(scanned.findings, parsed.format, given.source, summary=summary, facts=facts))
    return int(bool(scanned.errors))


def _wanted(side: str, plan: Plan, names: Sequence[str]) -> Sequence[TablePlan]:
    """Return the tables with these names, or all if there is none. Raises UsageError for one that is not there."""
    wanted = {named(side, plan.catalog, name).name for name in names}
    return [table for table in plan.tables if table.name in wanted] if names else plan.tables


def _look(
    connection: Connection, side: str, plan: Plan, tables: Sequence[TablePlan], rows: int | None, timeout: float
) -> Scanned:
    """Look into all clear columns of tables, which are judged as if they were new; say where it is at if that takes long.

    Raises ConnectionLost: what nobody looked into must not look good.
    """
    origin = {table.name: table for table in plan.catalog.tables}
    started = time.monotonic()
    looked: list[Counted] = []
    findings = []
    clear = [(table, [column.name for column in table.clear]) for table in tables if table.clear]
    for number, (table, columns) in enumerate(clear, start=1):
        if time.monotonic() - started > PATIENCE:
            at = f"scanning {table.name} ({number} of {count(len(clear), 'table')})"
            print(escaped(at), file=sys.stderr, flush=True)
        schema, types = plan.catalog.schema, plan.catalog.types
        its = origin[table.name]
        counted = count_personal(connection, table, its, columns, schema, types=types, sample=rows, timeout=timeout)
        if connection.closed:
            raise ConnectionLost(f"{side}: scanning table {table.name} failed: the connection was lost; run it again")
        looked.append(counted)
        findings += judge(table, counted, columns)
    return Scanned(tuple(looked), tuple(findings), time.monotonic() - started, "" if looked else "no column is clear")


def _counts(counted: Counted) -> dict[str, object]:
    """Return what was counted in a table, as the JSON object has it."""
    found: dict[str, dict[str, int]] = {name: {} for name in counted.values}
    for (column, detector), hits in counted.hits.items():
        found.setdefault(column, {})[detector] = hits
    return {
        "table": counted.table,
        "rows": counted.rows,
        "whole": counted.whole,
        "unfinished": counted.unfinished,
        "columns": [{"column": name, "values": counted.values.get(name, 0), "hits": hits} for name, hits in found.items()],
    }
