"""Show rows of a table as they would be published, and write nothing: `python -m flows.rules preview users`."""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import replace

from flows.rules import given as options
from multischema import command
from multischema.plan.tables import ColumnPlan, TablePlan
from multischema.rules.expected import told
from multischema.stages.preview import Rows, read_rows, with_other_key
from multischema.words import count, escaped

MOST_ROWS = 1000
LONGEST = 120  # characters of a value


def main(arguments: Sequence[str] | None = None, prog: str = "python -m flows.rules preview") -> int:
    """Run the command; return its exit status."""
    parser = options.parser(prog, "Show rows of a table as they would be published. Nothing is written.")
    parser.epilog = options.epilog(
        said="What is published as it is, is shown as it is: run this where you may see that. "
        "Values that the rules mask do not leave the origin."
    )
    parser.add_argument("table", metavar="TABLE", help="the table; a partition stands for its root")
    parser.add_argument(
        "--rows",
        metavar="N",
        type=options.number(1, MOST_ROWS),
        default=5,
        help=f"how many rows, {MOST_ROWS} at most (default: 5)",
    )
    parsed = parser.parse_args(arguments)
    return command.ended(lambda: _print_preview(parsed))


def _print_preview(parsed: argparse.Namespace) -> None:
    """Print the preview. Raises UsageError, CheckError for rules that lack something of this table, and other EtlErrors."""
    given = options.given(parsed)
    rules = given.rules()
    with given.opened("preview") as connection:
        read = given.read(connection, rules, table=parsed.table)
    plan = read.planned()
    (table,) = plan.tables
    for warning in told(read.gaps.warnings, rules.expected).warnings:
        print(f"warning: {escaped(warning)}")
    if table.truncated:
        print(f"table {escaped(table.name)} is truncated: it is published without rows")
        return
    masking = replace(given, origin=with_other_key(given.origin, plan.pseudonym_domains))
    with masking.opened("preview") as connection:
        rows = read_rows(connection, given.origin.side, given.schema, table, rows=parsed.rows, longest=LONGEST + 1)
    print("\n".join([*_head(table, given.schema, parsed.table, len(rows)), *_shown(table, rows)]))


def _head(table: TablePlan, schema: str, asked: str, rows: int) -> Iterator[str]:
    """Say what is shown, and what a run does otherwise."""
    yield f"table {escaped(table.name)}: {count(rows, 'row')} as published; nothing was written"
    if asked not in (table.name, f"{schema}.{table.name}"):
        yield f"note: {escaped(asked)} is a partition, and is published within {escaped(table.name)}"
    for name in table.unpublished:
        yield f"note: {escaped(name)} is left out: it is computed from a masked column"
    if any(column.mask and column.mask.domain for column in table.columns):
        yield "note: these pseudonyms have a key of this preview alone: they are not those of a run"
    if not table.key and any(column.mask and column.mask.is_keyed for column in table.columns):
        yield "note: the table has no key that masks can show: they have row numbers, and each run numbers anew"
    if table.k_anonymity:
        yield "note: k_anonymity is judged in a run, of all rows"


def _shown(table: TablePlan, rows: Rows) -> Iterator[str]:
    """Yield a block per row with a line per column: its name, what is done to it, and the value."""
    columns = [(escaped(column.name), escaped(done_to(column))) for column in table.columns]
    name_width, done_width = (max((len(column[part]) for column in columns), default=0) for part in (0, 1))
    for number, row in enumerate(rows, 1):
        yield f"\nrow {number}"
        for (name, done), value in zip(columns, row, strict=False):
            yield f"  {name:<{name_width}}  {done:<{done_width}}  {_value(value)}"


def done_to(column: ColumnPlan) -> str:
    """Return what is done to a column, in the rules' own words."""
    if not column.mask:
        return "as it is"
    if not column.rule:
        return "masked"
    return column.rule.said() if column.rule.mask else f"masked {column.rule.said()}"


def _value(value: str | None) -> str:
    """Return a value on one line: NULL in capitals, and quotes around a text that looks like that or like nothing."""
    if value is None:
        return "NULL"
    if not value.strip() or value == "NULL":
        return f"'{escaped(value)}'"
    return escaped(value if len(value) <= LONGEST else f"{value[: LONGEST - 1]}…")
