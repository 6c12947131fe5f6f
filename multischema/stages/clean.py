"""The clean stage: drops what this run and killed runs left in the target."""

from multischema.postgres import dropping
from multischema.stages import raw_schema
from multischema.stages.run import (
    Run,
    naming_triggers,
)


def clean(run: Run) -> list[str]:
    """Drop raw data, the old schema and what killed runs left, patiently; return a warning for whatever is in use."""
    kept = []
    with naming_triggers(run):
        if run.job.restores and not raw_schema.leave_own(run.holder, run.job.raw_schema):
            kept.append(run.job.raw_schema)
        with run.sessions.lend(run.target) as connection:
            kept += dropping.drop_leftovers(connection, run.job.schema)
    return [f"schema {name} stays: it is in use, or others made something in it; the next run tries again" for name in kept]
