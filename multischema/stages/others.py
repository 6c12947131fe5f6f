"""What others have in and on the published schema."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from multischema.catalog.objects import Stranger, TableColumns
from multischema.catalog.servers import Server, Target
from multischema.findings import Finding
from multischema.job import Job, illegal_schema
from multischema.plan import record
from multischema.postgres.connecting import Connection
from multischema.postgres.failures import translated
from multischema.postgres.questions import ask, read_server, read_target
from multischema.stages.preconditions import may_go, ownership_problems, stranger_problems
from multischema.statements import dependants
from multischema.statements.dependants import Dependant


@dataclass(frozen=True)
class Standing:
    """What others have in and on the published schema."""

    dependants: tuple[Dependant, ...]
    strangers: Sequence[Stranger]
    server: Server
    facts: Target


def obstacles(connection: Connection, job: Job, columns: Mapping[str, Collection[str]] | None) -> list[Finding]:
    """Return a line for each object of others that a run can neither leave as it is nor create again.

    `columns` has the columns of each table to publish, None if they are not known yet.
    """
    if illegal_schema(job.schema):
        return []
    with translated("target", f"reading what stands on schema {job.schema}"), connection.transaction():
        return obstacles_of(job, read_standing(connection, job, columns), columns)


def read_standing(connection: Connection, job: Job, columns: Mapping[str, Collection[str]] | None) -> Standing:
    facts = read_target(connection, job.schema)
    made = record.read(facts.published_comment)
    adopts = job.adopt and not made
    found = dependants.in_order(ask(connection, Dependant, "dependants", schema=job.schema))
    strangers = ask(
        connection,
        Stranger,
        "strangers",
        schema=job.schema,
        dependants=[view.oid for view in found],
        # the tool before this one named its tables after the origin's
        ours=sorted(made.tables if made else columns or ()),
        domains=made.recorded_domains if made else [],
        adopted=adopts,
    )
    if adopts and columns is None:
        strangers = [row for row in strangers if row.place != "in"]
    return Standing(found, strangers, read_server(connection, job.schema), facts)


def published_columns(connection: Connection, schema: str) -> dict[str, tuple[str, ...]]:
    return {table.name: table.columns for table in ask(connection, TableColumns, "table_columns", schema=schema)}


def obstacles_of(job: Job, standing: Standing, columns: Mapping[str, Collection[str]] | None) -> list[Finding]:
    """Return a line for each object of others in `standing` that a run can neither leave as it is nor create again."""
    foreign = ownership_problems(standing.server, standing.facts, job.app, job.schema, adopt=job.adopt)
    if foreign:
        return foreign
    strangers = [row for row in standing.strangers if not (job.drop_dependants and may_go(row))]
    lines = stranger_problems(standing.server, job.schema, strangers)
    lines += dependants.rights_problems(standing.dependants, job.schema, standing.server)
    if columns is not None and not job.drop_dependants:
        lines += dependants.missing_problems(standing.dependants, job.schema, columns)
    return lines
