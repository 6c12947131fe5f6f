"""The clean stage: drops what this run and killed runs left in the target."""

from collections.abc import Sequence

from multischema.catalog.objects import Holder
from multischema.findings import Finding
from multischema.postgres import dropping
from multischema.postgres.connecting import Connection
from multischema.postgres.failures import translated
from multischema.postgres.questions import ask, place_of
from multischema.stages import raw_schema
from multischema.stages.run import (
    Run,
    naming_triggers,
)
from multischema.words import some


def clean(run: Run) -> list[Finding]:
    """Drop raw data, the old schema and what killed runs left, patiently; return a warning for whatever is in use."""
    kept = []
    with naming_triggers(run):
        if run.job.restores and not raw_schema.leave_own(run.holder, run.job.raw_schema):
            kept.append(run.job.raw_schema)
        with run.sessions.lend(run.target) as connection:
            kept += dropping.drop_leftovers(connection, run.job.schema)
            return [_staying(name, _holders(connection, name), place_of(connection)) for name in kept]


def _holders(connection: Connection, schema: str) -> list[Holder]:
    """Return who keeps a schema; what is in use for a moment may be free by now."""
    with translated("target", f"reading who keeps schema {schema}"):
        return ask(connection, Holder, "holders", schema=schema)


def _staying(schema: str, holders: Sequence[Holder], place: str) -> Finding:
    """Return the warning of a schema that could not be dropped, with who keeps it and how that is ended."""
    if not holders:
        unknown = f"schema {schema} stays: it is in use, or others made something in it"
        return Finding("schema-stays", unknown, "the next run tries again", object=schema)
    remedies = [holder.remedy for holder in holders if holder.remedy]
    ended = f", or end it {place}: {some(list(dict.fromkeys(remedies)))}" if remedies else ""
    keep = "keeps" if len(holders) == 1 else "keep"
    kept = f"schema {schema} stays: {some([holder.title for holder in holders])} {keep} it"
    return Finding("schema-stays", kept, f"the next run tries again{ended}", object=schema)
