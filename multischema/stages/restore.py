"""The restore stage: the rows of a dump into raw tables of the target."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from multischema.catalog.objects import Leaf, Size
from multischema.dumps import archives
from multischema.dumps.directory import is_tar
from multischema.dumps.programs import run_command
from multischema.errors import CheckError, DumpError, VerifyError
from multischema.plan.plan import Plan
from multischema.postgres import locks
from multischema.postgres.errors import translated
from multischema.postgres.questions import ask
from multischema.stages import raw_schema
from multischema.stages.dump import Dumped
from multischema.stages.reader import verify_readable
from multischema.stages.run import (
    Run,
    naming_triggers,
    refuse_origin_as_target,
    run_program,
)
from multischema.statements import raw


@dataclass(frozen=True)
class Restored:
    """What the restore stage did: the plan with the sizes of the raw tables, and their bytes in all."""

    plan: Plan
    bytes: int


def restore(run: Run, plan: Plan, dumped: Dumped | None, on_wait: Callable[[str], None] = lambda schema: None) -> Restored:
    """Restore rows into raw tables of the target, without keys and indexes: those that were dumped, or a backup's.

    Before the first row arrives, the reader's rights are checked. The dump is deleted as soon as it is restored.
    Raises CheckError, ConnectionLost, EtlError.
    """
    schema = run.job.raw_schema
    refuse_origin_as_target(run)
    with naming_triggers(run):
        if run.job.from_dump:
            raw_schema.empty(run.holder, run.job, plan)
        else:
            _enter_raw(run, raw.names(plan), on_wait)
            raw_schema.create_tables(run.holder, plan, schema)
        raw_schema.hide(run.holder, schema)
    tables = [table.name for table in plan.copied]
    if changed := verify_readable(run.holder, schema, run.job.reader, tables, granted=False):
        raise VerifyError(*changed)
    exposed = raw_schema.exposed(run.holder, run.job, schema)
    if exposed:
        raise CheckError(*exposed)
    archive = dumped.archive if dumped else run.directory.unpacked(Path(run.job.from_dump))
    if archive:
        _restore_rows(run, plan, archive)
    sizes = raw_sizes(run)
    if not run.job.keep_dump:
        run.directory.drop_archive()
    return Restored(plan.measured(sizes), sum(sizes.values()))


def raw_sizes(run: Run) -> dict[str, int]:
    """Return the bytes of each raw table."""
    with run.sessions.lend(run.target) as connection, translated("target", "measuring tables"):
        return {row.name: row.bytes or 0 for row in ask(connection, Size, "sizes", schema=run.job.raw_schema)}


def restore_structure(run: Run, file: Path, on_wait: Callable[[str], None]) -> tuple[list[str], list[archives.Relative]]:
    """Create the tables of a backup in the raw schema, empty, with their keys and indexes.

    Return warnings, and what stands elsewhere with rows of these tables, which is not restored.

    Raises DumpError for a file that is no dump, DatabaseError for what the target can't create.
    """
    if not file.exists():
        raise DumpError(f"dump {file}: there is no such file")
    archive = run.directory.unpacked(file)
    entries = contents_of(archive, str(file))
    wanted = [entry for entry in entries if entry.kind in archives.STRUCTURE and entry.within(run.job.raw_schema)]
    if not any(entry.kind == "TABLE" for entry in wanted):
        found = ", ".join(sorted({entry.names.split(" ")[0] for entry in entries if entry.kind == "TABLE"})) or "none"
        raise DumpError(f"dump {file}: it holds no table of schema {run.job.raw_schema}; its schemas with tables: {found}")
    related = [entry for entry in entries if entry.kind in ("TABLE", "FOREIGN TABLE", "TABLE ATTACH")]
    asked = [entry for entry in entries if entry in wanted or entry in related]
    listed = run.directory.write("structure", "".join(f"{entry.line}\n" for entry in asked))
    printed = run_command(archives.structure(str(archive), listed))
    if printed.status:
        raise archives.unreadable(str(file), printed)
    statements = archives.statements_of(printed.output)
    # of a function its arguments stand behind the name
    names = {
        part for _, within, name, _ in statements if within == run.job.raw_schema for part in (name, name.partition("(")[0])
    }
    _enter_raw(run, sorted(names), on_wait)
    connection = run.sessions.open(run.target)
    try:
        wanted_kinds = [statement for statement in statements if statement[0] in archives.STRUCTURE]
        warnings = raw_schema.execute_structure(connection, wanted_kinds, run.job.raw_schema)
        raw_schema.hide(connection, run.job.raw_schema)
        return warnings, archives.relatives_of(statements, run.job.raw_schema)
    finally:
        run.sessions.close(connection)


def _enter_raw(run: Run, made: Sequence[str], on_wait: Callable[[str], None]) -> None:
    """Take the raw schema, which one run at a time can have, and empty it; `made` is what this one makes there."""
    locks.take_lock(run.holder, run.job.raw_schema, run.job.lock_wait, on_wait)
    raw_schema.empty_abandoned(run.holder)
    raw_schema.enter(run.holder, run.job, run.job.raw_schema, made)


def _restore_rows(run: Run, plan: Plan, archive: Path) -> None:
    """Have pg_restore fill the raw tables with the rows that a dump has of the copied ones."""
    entries = _rows_of_dump(run, plan, archive)
    listed = run.directory.write("entries", "".join(f"{entry.line}\n" for entry in entries))
    environment = {**run.target.environment(), "PGAPPNAME": run.job.restoring}
    jobs = 1 if is_tar(archive) else run.job.jobs  # pg_restore reads a tar in one go
    command = archives.restore(environment, run.target.connection_string(), str(archive), listed, jobs)
    outcome = run_program(run, run.target, command, "restore") if entries else archives.Outcome(0, "", "")
    failed = outcome.status and (archives.errors_of(outcome) or not archives.ignored_errors(outcome))
    if failed and archives.is_broken(outcome):
        raise archives.unreadable(run.job.from_dump or str(archive), outcome)
    if failed:
        raise archives.failure(command, "target", "restore", outcome)


def contents_of(archive: Path, name: str) -> list[archives.Entry]:
    listed = run_command(archives.contents(str(archive)))
    if listed.status:
        raise archives.unreadable(name, listed)
    return archives.read_contents(listed.output)


def _rows_of_dump(run: Run, plan: Plan, archive: Path) -> list[archives.Entry]:
    """Return the entries of a dump with the rows of the copied tables. Raises DumpError where some are not in it."""
    entries = contents_of(archive, run.job.from_dump or str(archive))
    if not run.job.from_dump:
        return [entry for entry in entries if entry.kind == "TABLE DATA"]
    with run.sessions.lend(run.origin) as connection, translated("target", "reading the catalog"):
        leaves = ask(connection, Leaf, "leaves", tables=[table.oid for table in plan.copied])
        tables = ask(connection, Leaf, "leaves", tables=[table.oid for table in plan.catalog.tables])
    all_rows = archives.rows_of(entries, run.job.raw_schema, [row.name for row in tables])
    found = {row.name: all_rows[row.name] for row in leaves}
    absent = [name for name, rows in found.items() if not rows]
    if absent:
        raise DumpError(
            *(f"dump {run.job.from_dump}: it holds no rows of table {name}; truncate it in the rules" for name in absent)
        )
    return [entry for rows in found.values() for entry in rows]
