"""What readers could read beyond published schemas, and what would keep them from reading those."""

from collections.abc import Collection, Sequence

from multischema.catalog.objects import EventTrigger, MadeTable, Readable
from multischema.findings import Finding
from multischema.job import Job, hidden_pattern
from multischema.postgres.connecting import Connection
from multischema.postgres.failures import translated
from multischema.postgres.questions import ask, read_readers, read_server
from multischema.stages.preconditions import exposed_problems, hidden_problems, reader_problems


def verify_rights(connection: Connection, job: Job) -> list[Finding]:
    """Return why a reader is too powerful, or what it could read besides published schemas."""
    with translated("target", "reading the reader's rights"):
        problems = reader_problems(read_server(connection, job.schema), read_readers(connection, job.readers))
    return problems or verify_unexposed(connection, job)


def verify_unexposed(connection: Connection, job: Job, spared: Collection[str] = ()) -> list[Finding]:
    """Return what readers could read besides published schemas; of those that are `spared`, tables are not looked at."""
    looked_at = {"public", *([job.raw_schema] if job.restores else [])}.difference(spared)
    with translated("target", "reading the reader's rights"):
        rights = ask(
            connection, Readable, "reader_rights", readers=job.readers, hidden=hidden_pattern(), raw=sorted(looked_at)
        )
    return exposed_problems(rights)


def verify_readable(
    connection: Connection,
    schema: str,
    readers: Sequence[str],
    tables: Sequence[str] | None = None,
    *,
    granted: bool,
    since: str = " as soon as it is made",
) -> list[Finding]:
    """Return what would keep readers from reading a schema's tables whole; their rights count once `granted`.

    `since` says in each line when that is so.
    """
    with translated("target", f"reading what became of the tables of schema {schema}"):
        found = ask(connection, MadeTable, "hidden_tables", schema=schema, readers=readers, tables=tables)
        triggers = ask(connection, EventTrigger, "event_triggers")
    return hidden_problems(schema, found, triggers, granted=granted, since=since)
