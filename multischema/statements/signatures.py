"""What stands for the statements of a run: if it differs from the last run's, rows or tables would come out otherwise."""

from collections.abc import Mapping

from psycopg import sql

from multischema.job import Job
from multischema.plan.plan import Plan
from multischema.plan.state import Signatures, digest
from multischema.plan.tables import TablePlan
from multischema.statements import building, reading

# Goes up whenever a version of this tool publishes other rows than the one before from the same statements
_FORM = 1


def of_run(job: Job, plan: Plan, target_major: int, settings: Mapping[str, str]) -> Signatures:
    """Return what stands for a run that reads with these session settings and publishes on a server of this version."""
    asked = (job.app, job.schema, job.origin_schema, sorted(job.readers), job.indexes, target_major)
    return Signatures(
        job=digest([repr((_FORM, asked, sorted(settings.items())))]),
        build=of_building(plan, target_major),
        read={table.name: of_reading(table, plan.catalog.schema) for table in plan.tables},
    )


def of_building(plan: Plan, target_major: int) -> dict[str, str]:
    """Return what stands for the statements that build each table, its indexes, keys and comments."""
    names = plan.keys.names
    statements = {
        table.name: [building.create_table("staging", table, names[table.name]), *building.comments("staging", table)]
        for table in plan.tables
    }
    for index in plan.keys.indexes:
        statements[index.table].append(building.create_index("staging", index))
        if index.constraint:
            statements[index.table].append(building.add_key("staging", index))
    for foreign_key in plan.keys.foreign_keys:
        statements[foreign_key.table].append(building.add_foreign_key("staging", foreign_key, target_major))
    return {name: digest([*plan.domains, *map(_text, made)]) for name, made in statements.items()}


def of_reading(table: TablePlan, schema: str) -> str:
    """Return what stands for the statement that reads a table's rows; nothing is read of a truncated one."""
    return "" if table.truncated else digest([_text(reading.select(table, schema))])


def _text(statement: sql.Composed) -> str:
    return statement.as_string()
