"""The clean stage: what a run, and runs that were killed, left in the target."""

from multischema.job import Job
from multischema.postgres import dropping
from multischema.stages import raw_schema
from multischema.stages.run import (
    Doors,
    naming_triggers,
)


def clean(job: Job, doors: Doors) -> list[str]:
    """Drop raw data, the old schema and what killed runs left, patiently; return a warning for what is still in use."""
    kept = []
    with naming_triggers(doors):
        if job.restores and not raw_schema.leave(doors.holder, job.raw_schema):
            kept.append(job.raw_schema)
        with doors.sessions.lend(doors.target) as connection:
            kept += dropping.drop_leftovers(connection, job.schema)
    return [f"schema {name} stays: it is in use, or others made something in it; the next run tries again" for name in kept]
