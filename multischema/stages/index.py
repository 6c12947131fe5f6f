"""The index stage: indexes, keys, foreign keys, comments and statistics of the staging tables."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import psycopg
from psycopg import errors

from multischema.findings import Finding
from multischema.plan.keys import IndexPlan
from multischema.plan.plan import Plan
from multischema.plan.tables import TablePlan
from multischema.postgres.connecting import Connection, execute_script, quoted_path
from multischema.postgres.failures import describe, translated
from multischema.postgres.questions import ask_values
from multischema.stages.run import (
    Run,
    in_parallel,
    naming_triggers,
)
from multischema.statements import building

# Classes of SQLSTATE (syntax or a missing function, features, limits, data, integrity) for which the run leaves out an index
# that the target can't build; on others (disk, connection) it fails.
_LEFT_OUT = ("0A", "22", "23", "42", "54")


def already_built(connection: Connection, staging: str) -> frozenset[str]:
    """Return what an earlier attempt built: indexes by name, keys as `name of table`."""
    with translated("target", f"reading the catalog of {staging}"):
        return frozenset(ask_values(connection, str, "staging_built", schema=staging))


def plain_indexes(connection: Connection, staging: str) -> frozenset[str]:
    """Return the names of the indexes of staging that are not unique, those of an earlier attempt included."""
    with translated("target", f"reading the catalog of {staging}"):
        return frozenset(ask_values(connection, str, "plain_indexes", schema=staging))


def build_index(connection: Connection, staging: str, index: IndexPlan) -> Finding | None:
    """Build an index, a plain one where pseudonyms repeat; return why it was left out, or None."""
    doing = f"building index {index.name} of {index.table}"
    with translated("target", doing), _left_out("index-not-built", "index", index.table, index.name) as reasons:
        try:
            connection.execute(building.create_index(staging, index))
        except errors.UniqueViolation:
            if not index.may_repeat:
                raise
            connection.execute(building.create_index(staging, replace(index, unique=False)))
    return reasons[0] if reasons else None


def build_keys(
    connection: Connection, staging: str, plan: Plan, built: frozenset[str], missing: frozenset[str]
) -> list[Finding]:
    """Turn unique indexes into keys, add foreign keys and comments, drop helper domains; return what was left out."""
    warnings: list[Finding] = []
    for index in plan.keys.indexes:
        if index.constraint and index.name not in missing and f"{index.name} of {index.table}" not in built:
            with (
                translated("target", f"adding key {index.name} of {index.table}"),
                _left_out("key-not-built", "key", index.table, index.name) as reasons,
            ):
                connection.execute(building.add_key(staging, index))
            warnings += reasons
    for key in plan.keys.foreign_keys:
        if f"{key.name} of {key.table}" not in built:
            with (
                translated("target", f"adding foreign key {key.name} of {key.table}"),
                _left_out("foreign-key-not-built", "foreign key", key.table, key.name) as reasons,
            ):
                connection.execute(building.add_foreign_key(staging, key, connection.info.server_version // 10000))
            warnings += reasons
    for table in plan.tables:
        with translated("target", f"commenting table {table.name}"), connection.transaction():
            for statement in building.comments(staging, table):
                connection.execute(statement)
    for name in plan.domains:
        with translated("target", f"dropping domain {name}"):
            try:
                connection.execute(building.drop_domain(staging, name))
            except (errors.DependentObjectsStillExist, errors.UndefinedObject):
                continue  # an index predicate needs it, or an earlier attempt dropped it
    return warnings


def analyze(connection: Connection, staging: str, table: TablePlan) -> None:
    """Gather the statistics of a table and hand it to autovacuum."""
    with translated("target", f"analyzing table {table.name}"):
        execute_script(connection, building.analyze(staging, table))


@contextmanager
def _left_out(code: str, kind: str, table: str, name: str) -> Iterator[list[Finding]]:
    """Collect the warning if the target can't build something; what was built before stays."""
    reasons: list[Finding] = []
    try:
        yield reasons
    except psycopg.Error as error:
        if (error.sqlstate or "")[:2] not in _LEFT_OUT or isinstance(error, errors.InsufficientPrivilege):
            raise
        what = f"{kind} {name} of {table} left out: the target can't build it: {describe(error)}"
        reasons.append(Finding(code, what, table=table, object=f"{table}.{name}"))


@dataclass(frozen=True)
class Indexed:
    """What the index stage did: seconds for each table, the number of indexes, and a warning for each one left out.

    `missing` names the indexes that the target could not build.
    """

    seconds: dict[str, float]
    indexes: int
    warnings: tuple[Finding, ...]
    missing: frozenset[str] = frozenset()


def index(run: Run, plan: Plan) -> Indexed:
    """Build the indexes, each a unit of work, biggest table first; then keys, foreign keys, comments and statistics.

    A second attempt builds only what is missing.
    """
    place = {table.name: number for number, table in enumerate(plan.tables)}
    seconds = dict.fromkeys(place, 0.0)
    with run.sessions.lend(run.target) as connection:
        built = already_built(connection, run.job.staging)
    wanted = sorted((i for i in plan.keys.indexes if i.name not in built), key=lambda i: place[i.table])

    def build(number: int) -> Finding | None:
        started = time.monotonic()
        with run.sessions.lend(run.target, quoted_path(run.job.staging)) as connection:
            reason = build_index(connection, run.job.staging, wanted[number])
        seconds[wanted[number].table] += time.monotonic() - started
        return reason

    def gather(table: TablePlan) -> None:
        with run.sessions.lend(run.target) as connection:
            analyze(connection, run.job.staging, table)

    with naming_triggers(run):
        reasons = in_parallel(run, build, range(len(wanted)))
        missing = frozenset(index.name for index, reason in zip(wanted, reasons, strict=True) if reason)
        with run.sessions.lend(run.target) as connection:
            keys, notes = plan.keys.repeating(plain_indexes(connection, run.job.staging))
            warnings = notes + build_keys(connection, run.job.staging, replace(plan, keys=keys), built, missing)
        in_parallel(run, gather, plan.tables)
    left_out = (*(reason for reason in reasons if reason), *warnings)
    return Indexed(seconds, len(plan.keys.indexes) - len(missing), left_out, missing)
