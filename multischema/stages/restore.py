"""The restore stage: the rows of a dump into raw tables of the target. pg_restore reads the dump, and knows no server."""

import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import psycopg
from psycopg import errors

from multischema.catalog import scripts
from multischema.catalog.objects import Leaf, RawTable, Size
from multischema.catalog.tokens import statements_of
from multischema.dumps import archives
from multischema.dumps.programs import kill, run_command
from multischema.dumps.rows import read_rows
from multischema.errors import CheckError, DumpError, VerifyError
from multischema.plan.plan import Plan
from multischema.postgres import locks
from multischema.postgres.copying import naming_column
from multischema.postgres.failures import translated
from multischema.postgres.questions import ask
from multischema.stages import backup, raw_schema
from multischema.stages.backup import Structure
from multischema.stages.dump import Dumped
from multischema.stages.reader import verify_readable
from multischema.stages.run import Run, in_parallel, naming_triggers, refuse_origin_as_target
from multischema.statements import raw

# what an older server raises for a value that only newer ones know: infinity, a path with a new method
_NEWER = (errors.InvalidTextRepresentation, errors.InvalidDatetimeFormat, errors.SyntaxError)
_UNREADABLE = "the target can't read a value that the origin wrote: use a newer target, or truncate the table in the rules"


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
    if changed := verify_readable(run.holder, schema, run.job.readers, tables, granted=False):
        raise VerifyError(*changed)
    exposed = raw_schema.exposed(run.holder, run.job, schema)
    if exposed:
        raise CheckError(*exposed)
    archive = dumped.archive if dumped else run.directory.unpacked(Path(run.job.from_dump))
    if archive:
        with raw_schema.guarded(run.sessions, run.target, schema, tables) as made:
            _restore_rows(run, plan, archive, made)
    sizes = raw_sizes(run)
    if not run.job.keep_dump:
        run.directory.drop_archive()
    return Restored(plan.measured(sizes), sum(sizes.values()))


def raw_sizes(run: Run) -> dict[str, int]:
    """Return the bytes of each raw table."""
    with run.sessions.lend(run.target) as connection, translated("target", "measuring tables"):
        return {row.name: row.bytes or 0 for row in ask(connection, Size, "sizes", schema=run.job.raw_schema)}


def restore_structure(run: Run, file: Path, on_wait: Callable[[str], None]) -> Structure:
    """Make the tables of a backup in the raw schema, empty, with their keys and indexes.

    Raises DumpError for a file that is no dump, or not understood; DatabaseError for what the target can't have.
    """
    if not file.exists():
        raise DumpError(f"dump {file}: there is no such file")
    archive = run.directory.unpacked(file)
    entries, run.snapshot_at = contents_of(archive, str(file))
    if not any(entry.kind == "TABLE" and entry.within(run.job.raw_schema) for entry in entries):
        found = ", ".join(sorted({entry.names.split(" ")[0] for entry in entries if entry.kind == "TABLE"})) or "none"
        raise DumpError(f"dump {file}: it holds no table of schema {run.job.raw_schema}; its schemas with tables: {found}")
    asked = [
        entry
        for entry in entries
        if entry.kind in archives.RELATED or (entry.kind in archives.STRUCTURE and entry.within(run.job.raw_schema))
    ]
    listed = run.directory.write("structure", "".join(f"{entry.line}\n" for entry in asked))
    printed = run_command(archives.structure(str(archive), listed))
    if printed.status:
        raise archives.unreadable(str(file), printed)
    try:
        items = scripts.read(statements_of(scripts.decoded(printed.printed)))
    except DumpError as error:
        raise DumpError(f"dump {file}: {error}") from None
    _enter_raw(run, backup.names_of(items, run.job.raw_schema), on_wait)
    connection = run.sessions.open(run.target)
    try:
        structure = backup.create(connection, items, run.job.raw_schema)
        raw_schema.hide(connection, run.job.raw_schema)
        return structure
    finally:
        run.sessions.close(connection)


def _enter_raw(run: Run, made: Sequence[str], on_wait: Callable[[str], None]) -> None:
    """Take the raw schema, which one run at a time can have, and empty it; `made` is what this one makes there."""
    locks.take_lock(run.holder, run.job.raw_schema, run.job.lock_wait, on_wait)
    raw_schema.empty_abandoned(run.holder)
    raw_schema.enter(run.holder, run.job, run.job.raw_schema, made)


def _restore_rows(run: Run, plan: Plan, archive: Path, made: Mapping[str, RawTable]) -> None:
    """Fill the raw tables with the rows that a dump has of the copied ones, as many tables at a time as the job says."""
    entries = _rows_of_dump(run, plan, archive)

    def fill(numbered: tuple[int, archives.Entry]) -> None:
        number, entry = numbered
        listed = run.directory.write(f"entry-{number}", f"{entry.line}\n")
        _restore_entry(run, archives.rows(str(archive), listed), made, run.job.from_dump or str(archive))

    in_parallel(run, fill, list(enumerate(entries)))


def _restore_entry(run: Run, command: archives.Command, made: Mapping[str, RawTable], dump: str) -> None:
    """Copy the rows of an entry into its table, which is still the one that was made: all of them, or none.

    The statement of the dump is read, never run; ours names the table and its columns.
    """
    schema = run.job.raw_schema
    groups: list[int] = []
    with (
        run.sessions.lend(run.target) as connection,
        translated("target", "restoring rows"),
        tempfile.TemporaryFile(dir=run.directory.path) as complaints,
    ):
        with run.sessions.ended_with(lambda: kill(*groups)), read_rows(command, complaints, dump, groups.append) as rows:
            table = rows.copy.table
            if table.schema != schema or table.name not in made:
                raise DumpError(f"dump {dump}: it holds rows of a table that it does not make")
            with translated("target", f"restoring {table.name}"), connection.cursor() as cursor:
                connection.execute("BEGIN")
                connection.execute(raw.keep(schema, table.name))
                raw_schema.refuse_swapped(connection, schema, [], {table.name: made[table.name]})
                try:
                    with cursor.copy(raw.copy_in(schema, table.name, rows.copy.columns, rows.encoding)) as sink:
                        for chunk in rows.lines:
                            sink.write(chunk)
                except psycopg.Error as error:
                    hint = _UNREADABLE if isinstance(error, _NEWER) else None
                    raise naming_column(error, f"restoring {table.name}", rows.copy.columns, hint) from None
        connection.execute("COMMIT")  # not before pg_restore has ended well


def contents_of(archive: Path, name: str) -> tuple[list[archives.Entry], datetime | None]:
    """Return the entries of a dump, with their names in its encoding, and when it was made if it tells. Raises DumpError."""
    listed = run_command(archives.contents(str(archive)))
    if listed.status:
        raise archives.unreadable(name, listed)
    settings = run_command(archives.structure(str(archive), os.devnull))
    try:
        printed = listed.printed.decode(scripts.codec_of(settings.printed))
        return archives.read_contents(printed), _moment(archives.made_at(printed))
    except (DumpError, UnicodeDecodeError) as error:
        reason = error if isinstance(error, DumpError) else "its names are in no encoding"
        raise DumpError(f"dump {name}: {reason}") from None


def _moment(local: datetime | None) -> datetime | None:
    """Return a time on this machine's clock as a moment; one that has not come yet is of another time zone, or no time."""
    moment = local and local.astimezone(UTC)
    return moment if moment and moment <= datetime.now(UTC) else None


def _rows_of_dump(run: Run, plan: Plan, archive: Path) -> list[archives.Entry]:
    """Return the entries of a dump with the rows of the copied tables. Raises DumpError where some are not in it."""
    entries, _ = contents_of(archive, run.job.from_dump or str(archive))
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
