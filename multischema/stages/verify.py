"""The verify stage: checks the staging schema before anybody reads it."""

from collections.abc import Mapping
from dataclasses import dataclass

from multischema.catalog.objects import Frequencies, Size
from multischema.errors import VerifyError
from multischema.findings import Finding, problem
from multischema.plan import combinations
from multischema.plan.drops import drop_problems
from multischema.plan.plan import Plan
from multischema.plan.tables import TablePlan
from multischema.postgres.connecting import Connection
from multischema.postgres.failures import translated
from multischema.postgres.questions import ask, value_of
from multischema.stages import others, reader, state
from multischema.stages.run import (
    Run,
    in_parallel,
)
from multischema.statements import building, reading, refreshing
from multischema.words import count

_FEW = 1000  # pseudonyms: of fewer, those that occur most can be guessed


@dataclass(frozen=True)
class Verified:
    """What may be published: the tables' sizes in bytes, and what is to be warned of."""

    sizes: dict[str, int]
    warnings: tuple[Finding, ...]


def verify_table(connection: Connection, staging: str, table: TablePlan, rows: int) -> list[Finding]:
    """Return what is wrong with a staging table: its number of rows, or masked columns with other values than masks."""
    with translated("target", f"verifying table {table.name}"):
        found, *violations = value_of(connection, tuple[int, ...], building.verification(staging, table))
    problems = []
    if found != rows:
        told = f"table {table.name} holds {found} rows; {rows} left the origin"
        problems.append(problem("rows-lost", told, side="target", table=table.name))
    problems += [
        problem(
            "rows-not-masked",
            f"column {table.name}.{column.name} holds {violation} rows that are not masked",
            side="target",
            table=table.name,
            column=column.name,
        )
        for column, violation in zip(table.masked, violations, strict=True)
        if violation
    ]
    return problems


def find_rare(connection: Connection, schema: str, plan: Plan, table: TablePlan) -> tuple[list[Finding], list[Finding]]:
    """Return what keeps a table from being published, and what is to be warned of: combinations that too few share."""
    if not table.k_anonymity or table.truncated:
        return [], []
    with translated("target", f"counting combinations in table {table.name}"):
        by_row = combinations.counts_rows(plan, table)
        found, rows = value_of(connection, tuple[int, int], reading.rare(table, schema, by_row=by_row))
    lines = [combinations.breach(table, found, rows)] if found else []
    return ([], lines) if table.k_anonymity.on_breach == "warn" else (lines, [])


def verify(run: Run, plan: Plan, rows: dict[str, int]) -> Verified:
    """Verify row counts, masked columns, rare combinations, what tables lost and the reader's rights.

    Raises VerifyError with every problem.
    """

    def look(table: TablePlan) -> tuple[list[Finding], list[Finding]]:
        with run.sessions.lend(run.target) as connection:
            wrong = verify_table(connection, run.job.staging, table, rows.get(table.name, 0))
            refused, warned = find_rare(connection, run.job.staging, plan, table)
            return wrong + refused, warned

    looked = in_parallel(run, look, plan.tables)
    problems = [line for lines, _ in looked for line in lines]
    problems += drop_problems(run.job, run.origin.side, _rows_before(run, plan), rows)
    with run.sessions.lend(run.target) as connection:
        problems += reader.verify_rights(connection, run.job)
        problems += reader.verify_readable(connection, run.job.staging, run.job.readers, granted=False)
        problems += others.obstacles(connection, run.job, plan.columns)
        with translated("target", "measuring tables"):
            measured = ask(connection, Size, "sizes", schema=run.job.staging)
        betrayed = _few_pseudonyms(connection, run.job.staging, plan)
    # a run that has lost its lock may find its tables gone, under another run's hands
    sizes = {row.name: row.bytes for row in measured if row.bytes is not None}
    problems += [
        problem("table-gone", f"table {t.name} is gone from {run.job.staging}", "start again", side="target", table=t.name)
        for t in plan.tables
        if t.name not in sizes
    ]
    if problems:
        raise VerifyError(*problems)
    return Verified(sizes, (*(line for _, lines in looked for line in lines), *betrayed))


def _few_pseudonyms(connection: Connection, staging: str, plan: Plan) -> list[Finding]:
    """Return a warning for each column with few different pseudonyms, as the index stage's statistics estimate them."""
    columns = [(t.name, column.name) for t in plan.copied for column in t.masked if column.mask and column.mask.domain]
    if not columns:
        return []
    tables, names = zip(*columns, strict=True)
    with translated("target", "reading statistics"):
        found = ask(connection, Frequencies, "frequencies", schema=staging, tables=list(tables), columns=list(names))
    return [
        Finding(
            "few-pseudonyms",
            f"{row.table}.{row.column} has about {count(row.number, 'pseudonym')}: of fewer than {_FEW:,}, how often each "
            "one occurs may tell whose it is",
            "mask it wholly unless somebody needs it",
            table=row.table,
            column=row.column,
        )
        for row in found
        if 0 < row.number < _FEW
    ]


def _rows_before(run: Run, plan: Plan) -> Mapping[str, int]:
    """Return the rows of the published tables: as the run that made them recorded them, else as they are counted.

    No run recorded those of mode dump, of a version before refreshes, or of the tool before this one.
    """
    schema = run.job.schema
    with run.sessions.lend(run.target) as connection:
        present = {row.name: row.oid for row in state.published_tables(connection, schema)}
        known = None if state.unusable(connection) else state.recalled(connection, schema)
    recorded = {
        name: table.rows for name, table in (known.tables if known else {}).items() if present.get(name) == table.oid
    }

    def count(table: TablePlan) -> int:
        with run.sessions.lend(run.target) as connection, translated("target", f"counting the rows of {table.name}"):
            return value_of(connection, int, refreshing.count_published(schema, table.name))

    tables = [table for table in plan.copied if table.name in present and table.name not in recorded]
    return recorded | dict(zip((table.name for table in tables), in_parallel(run, count, tables), strict=True))
