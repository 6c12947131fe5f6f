"""The verify stage: checks the staging schema before anybody reads it."""

from collections.abc import Mapping

from multischema.catalog.objects import Size
from multischema.errors import VerifyError
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
from multischema.statements import building, refreshing


def verify_table(connection: Connection, staging: str, table: TablePlan, rows: int) -> list[str]:
    """Return what is wrong with a staging table: its number of rows, or masked columns with other values than masks."""
    with translated("target", f"verifying table {table.name}"):
        found, *violations = value_of(connection, tuple[int, ...], building.verification(staging, table))
    problems = [] if found == rows else [f"target: table {table.name} holds {found} rows; {rows} left the origin"]
    problems += [
        f"target: column {table.name}.{column.name} holds {violation} rows that are not masked"
        for column, violation in zip(table.masked, violations, strict=True)
        if violation
    ]
    return problems


def verify(run: Run, plan: Plan, rows: dict[str, int]) -> dict[str, int]:
    """Verify row counts, masked columns, what tables lost and the reader's rights; return the tables' sizes in bytes.

    Raises VerifyError with every problem.
    """

    def look(table: TablePlan) -> list[str]:
        with run.sessions.lend(run.target) as connection:
            return verify_table(connection, run.job.staging, table, rows.get(table.name, 0))

    problems = [line for lines in in_parallel(run, look, plan.tables) for line in lines]
    problems += drop_problems(run.job, run.origin.side, _rows_before(run, plan), rows)
    with run.sessions.lend(run.target) as connection:
        problems += reader.verify_rights(connection, run.job)
        problems += reader.verify_readable(connection, run.job.staging, run.job.readers, granted=False)
        problems += others.obstacles(connection, run.job, plan.columns)
        with translated("target", "measuring tables"):
            measured = ask(connection, Size, "sizes", schema=run.job.staging)
    # a run that has lost its lock may find its tables gone, under another run's hands
    sizes = {row.name: row.bytes for row in measured if row.bytes is not None}
    problems += [
        f"target: table {t.name} is gone from {run.job.staging}; start again" for t in plan.tables if t.name not in sizes
    ]
    if problems:
        raise VerifyError(*problems)
    return sizes


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
