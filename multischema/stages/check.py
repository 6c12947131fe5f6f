"""The check stage: everything that can be checked before reading a row or writing anything, and the plan."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from multischema.catalog.objects import Leaf, RawSchema
from multischema.catalog.servers import Reader, Server, Target
from multischema.catalog.tables import Catalog
from multischema.dumps import archives
from multischema.dumps.programs import run_command
from multischema.errors import CheckError, EtlError, Snippet
from multischema.findings import Finding, on, problem
from multischema.job import illegal_raw
from multischema.plan import record, values
from multischema.plan.drops import unknown_problems
from multischema.plan.plan import Plan, collations_of, make_plan, published_types
from multischema.postgres import locks
from multischema.postgres.connecting import ways
from multischema.postgres.database import Database
from multischema.postgres.failures import translated
from multischema.postgres.questions import (
    ask,
    lacking,
    read_catalog,
    read_constant,
    read_money_digits,
    read_readers,
    read_server,
    read_target,
)
from multischema.postgres.sessions import refused_settings
from multischema.rules import expected, file
from multischema.rules.file import Rules
from multischema.rules.gaps import Gaps, compare
from multischema.stages import clear_columns, documents, history, others, preconditions, raw_schema, reader
from multischema.stages.backup import Structure
from multischema.stages.origin import server_warnings, unfit_problems
from multischema.stages.pseudonyms import domains_of, key_warnings, take_key
from multischema.stages.refresh import recall
from multischema.stages.restore import restore_structure
from multischema.stages.run import Run, refuse_origin_as_target
from multischema.statements import raw


@dataclass
class _Facts:
    """What the check asks each side of its server and of the published schema: once, when it is first wanted."""

    run: Run

    @cached_property
    def origin(self) -> Server:
        """Return what is known of the origin's server. Of a backup, it is asked once the raw tables are there."""
        return self._server(self.run.origin, self.run.job.origin_schema)

    @cached_property
    def target(self) -> Server:
        """Return what is known of the target's server."""
        return self._server(self.run.target, self.run.job.schema)

    @cached_property
    def published(self) -> Target:
        """Return whose the published schema is."""
        with self.run.sessions.lend(self.run.target) as connection, translated("target", "reading the catalog"):
            return read_target(connection, self.run.job.schema)

    @cached_property
    def readers(self) -> list[Reader]:
        """Return who the readers are."""
        with self.run.sessions.lend(self.run.target) as connection, translated("target", "reading the catalog"):
            return read_readers(connection, self.run.job.readers)

    def _server(self, database: Database, schema: str) -> Server:
        with (
            self.run.sessions.lend(database) as connection,
            translated(database.side, "reading the server's settings"),
        ):
            return read_server(connection, schema)


def check(run: Run, rules_text: bytes, *, lock: bool = True, on_wait: Callable[[str], None] = lambda schema: None) -> Plan:
    """Check everything that can be checked before reading a row or writing anything; return the plan.

    With `lock`, take the app's lock first, on a session that the run keeps, so that what was checked stays true; call
    `on_wait` with the schema if another run has it. Raises CheckError with every problem, RulesError, LockTimeout, and
    EtlError for a dump that can't be read.
    """
    parsed = file.parse(rules_text)
    unusable = _check_servers(run)
    notes: list[Finding] = []
    structure: Structure | None = None
    if lock and not unusable and not (run.lock and not run.lock.closed):
        run.lock = run.sessions.open(run.target)
        locks.take_lock(run.lock, run.job.schema, run.job.lock_wait, on_wait)
        run.sessions.keep_alive(run.lock)
    facts = _Facts(run)  # from here on, as the lock keeps other runs away
    if run.job.from_dump and not unusable:
        # with clear_raw what others have there is dropped: only where nothing else is wrong
        if wrong := [*_check_target(run, facts), *_check_standing(run, None)]:
            raise CheckError(*wrong)
        structure = restore_structure(run, Path(run.job.from_dump), on_wait)
        notes += structure.warnings
    plan, problems, standing = _check_schemas(run, facts, parsed, unusable, structure)
    # before anything asks whether the last run had the same key
    problems = [*take_key(run, domains_of(plan, parsed), unusable), *problems]
    if standing and (problems or plan is None or isinstance(recall(run, plan), str)):
        problems += standing
    else:  # a refresh leaves what others built as it is
        notes += [
            Finding("next-full-run-refused", f"the next full run will be refused: {line}", object=line.object)
            for line in standing
        ]
    problems += preconditions.backup_problems(run.job.from_dump, plan, structure) if plan and structure else []
    if run.job.restores:
        problems = [*_check_dump(run, facts, plan, unusable), *problems]  # a snippet to paste comes last
    if plan is None or problems:  # with what the rules misspell: it may be why (without a plan it is among the problems)
        raise CheckError(*problems, *(_of_rules(plan) if plan else ()))
    notes += _unverified(run)
    notes += key_warnings(run)
    if not lock:
        with run.sessions.lend(run.target) as connection:
            notes += locks.runs_under_way(connection, run.job.schema)
    notes += _of_servers(run, facts, plan)
    if run.job.from_dump:
        raw_schema.strip(run.holder, run.job.raw_schema)
        raw_schema.take_documents(run.holder, plan, run.job.raw_schema)
    if not run.job.from_dump:  # which lacks the views and schemas that warnings are about
        notes += expected.past(plan.expected, [*plan.warnings, *notes], expected.OF_ORIGIN | expected.OF_CHECK)
    scanned = clear_columns.scan(run, _of_origin(run, plan, parsed), facts.published.published_comment)
    return replace(plan, warnings=(*plan.warnings, *notes, *scanned.warnings), scanned=scanned)


def _of_origin(run: Run, plan: Plan, parsed: Rules) -> Plan:
    """Return the plan as of rows that are read from the origin itself, which the scan does in mode dump too."""
    if not run.job.dumps:
        return plan
    found = plan.catalog
    return make_plan(found, compare(parsed, found).rules, (), frozenset(collations_of(found)))


def _of_rules(plan: Plan) -> list[Finding]:
    """Return the plan's warnings of the rules file, as they are told."""
    return [found for found in plan.told().warnings if found.side == "rules"]


def _of_servers(run: Run, facts: _Facts, plan: Plan) -> list[Finding]:
    """Return warnings of what may end a run midway, or keep each from being a refresh."""
    # one session holds the lock, and those that copied stay open while others build indexes
    found = preconditions.too_few_connections("target", facts.target, 2 * run.job.jobs + 1)
    warnings = [found] if found else []
    return warnings if run.job.from_dump else [*warnings, *server_warnings(run.origin.side, facts.origin, plan, run.job)]


def _unverified(run: Run) -> list[Finding]:
    """Return a warning for each side whose sessions do not verify who answers; a backup stands in the target."""
    warnings: list[Finding] = []
    for database in [run.target] if run.job.from_dump else [run.origin, run.target]:
        with run.sessions.lend(database) as connection:
            warning = preconditions.unverified(database.side, *ways(connection))
        warnings += [warning] if warning else []
    return warnings


def _check_servers(run: Run) -> dict[str, list[Finding]]:
    """Return why a side can't be used at all, for each such side: no connection, a transaction pooler, a version.

    A backup is in the target, whose problems are reported once.
    """
    unusable: dict[str, list[Finding]] = {}
    sides = {"origin": (run.origin, run.job.origin_schema), "target": (run.target, run.job.schema)}
    if run.job.from_dump:
        del sides["origin"]
    for side, (database, schema) in sides.items():
        try:
            with run.sessions.lend(database) as connection:
                with translated(database.side, "reading the server's settings"):
                    server = read_server(connection, schema)
            problems = preconditions.server_problems(database.side, server)
        except EtlError as error:
            problems = error.found_on(database.side)
        if problems:
            unusable[side] = problems
    if not unusable:
        try:
            refuse_origin_as_target(run)
        except CheckError as error:
            unusable["target"] = error.found_on("target")
    return {"origin": [], **unusable} if run.job.from_dump and unusable else unusable


def _check_schemas(
    run: Run, facts: _Facts, parsed: Rules, unusable: Mapping[str, list[Finding]], structure: Structure | None
) -> tuple[Plan | None, Sequence[Finding | Snippet], list[Finding]]:
    """Return the plan, all problems, of each side that can be used too, and what others built that a full run can't keep.

    The plan is None where a problem keeps it from us.
    """
    found, gaps, problems = (
        (None, None, unusable["origin"]) if "origin" in unusable else _check_origin(run, facts, parsed, structure)
    )
    problems = problems + (unusable["target"] if "target" in unusable else _check_target(run, facts))
    absent: set[str] = set()
    if found and "target" not in unusable:
        absent, unknown = _check_types(run, facts, found)
        problems += unknown

    def standing(plan: Plan | None) -> list[Finding]:
        return [] if "target" in unusable else _check_standing(run, plan)

    if not found or not gaps:
        return None, problems + standing(None), []
    if gaps.problems:
        return None, [*problems, *standing(None), *gaps.lines(run.origin.side)], []
    collations = frozenset(collations_of(found)) - absent
    plan = make_plan(found, gaps.rules, gaps.remarks, collations, raw=run.job.dumps, all_indexes=run.job.indexes == "all")
    if "target" not in unusable:
        plan, unlike = _check_values(run, facts, plan)
        problems += unlike
        with run.sessions.lend(run.target) as connection:
            problems += documents.unreadable(connection, plan)
    plan = replace(plan, warnings=(*([] if "target" in unusable else _warnings_of_target(facts, plan)), *plan.warnings))
    problems += unknown_problems(run.job, plan.columns)
    return plan, [*problems, *on(run.origin.side, unfit_problems(plan))], standing(plan)


def _check_origin(
    run: Run, facts: _Facts, parsed: Rules, structure: Structure | None
) -> tuple[Catalog | None, Gaps | None, list[Finding]]:
    """Return the origin's catalog, if there is such a schema, how the rules fit it, and what the role may not read."""
    side = run.origin.side
    missing = preconditions.origin_problems(side, facts.origin, run.job.origin_schema)
    if missing:
        return None, None, missing
    with run.sessions.lend(run.origin) as connection, translated(side, "reading the catalog"):
        found = read_catalog(connection, run.job.origin_schema, all_labels=parsed.has_masks)
    if structure:  # the schemas beside it are the target's
        found = replace(found, other_schemas=structure.schemas)
    gaps = compare(parsed, found)
    return found, gaps, preconditions.rights_problems(side, facts.origin, found, gaps.rules)


def _check_target(run: Run, facts: _Facts) -> list[Finding]:
    """Return why the target can't be published to: the role, the schema, the readers."""
    problems = preconditions.target_problems(facts.target, run.job.schema)
    with run.sessions.lend(run.target) as connection:
        problems += history.problems(connection, run.job)
    if unfit := preconditions.reader_problems(facts.target, facts.readers):
        return problems + unfit
    with run.sessions.lend(run.target) as connection:  # report what they can read already before hours of copying
        with translated("target", "looking for raw data"):  # this run first drops what a killed run left
            left = [row.schema for row in ask(connection, RawSchema, "raw_schemas", marker=raw.MARKER)]
        return problems + reader.verify_unexposed(connection, run.job, left)


def _warnings_of_target(facts: _Facts, plan: Plan) -> list[Finding]:
    """Return warnings of what readers could do besides, of who is none any more, and of masks and rows that end.

    The rules come from the internet.
    """
    job, before = facts.run.job, record.read(facts.published.published_comment)
    parted = [
        Finding(
            "reader-dismissed",
            f"role {role} is no reader of schema {job.schema} any more: this run takes its rights to it",
            object=role,
        )
        for role in record.dismissed(before, job.readers)
    ]
    return [*preconditions.reader_warnings(facts.readers), *parted, *record.warnings(before, plan)]


def _check_standing(run: Run, plan: Plan | None) -> list[Finding]:
    """Return what others built on the published schema and a full run can't keep; only a plan shows missing columns."""
    with run.sessions.lend(run.target) as connection:
        return others.obstacles(connection, run.job, plan.columns if plan else None)


def _check_types(run: Run, facts: _Facts, found: Catalog) -> tuple[set[str], list[Finding]]:
    """Return the collations that the target has not, and a problem for each type that it has not."""
    types = published_types(found) | (raw.field_types(found) if run.job.dumps else {})
    if unread := preconditions.spelling_problems(run.origin.side, types):
        raise CheckError(*unread)
    with run.sessions.lend(run.target) as connection, translated("target", "looking up types"):
        absent = lacking(connection, list(types), collations_of(found))
    collations = {row.name for row in absent if row.what == "collation"}
    return collations, preconditions.lacking_problems(absent, types, facts.target.major)


def _check_values(run: Run, facts: _Facts, plan: Plan) -> tuple[Plan, list[Finding]]:
    """Return the plan that keeps off values which the target can't hold, and a line for each column of another meaning."""
    side, major = run.origin.side, facts.target.major
    digits: int | None = values.MONEY_DIGITS
    if values.has_money(plan.catalog):
        digits = None if run.job.from_dump else _money_digits(run)
    problems = values.money_problems(side, plan, digits)
    problems += [] if run.job.dumps else values.cast_problems(side, plan)
    if facts.origin.major != major:
        problems += _check_constants(run, plan, major)
    return values.guarded(plan, facts.origin.major, major, in_text=run.job.dumps), problems


def _money_digits(run: Run) -> int:
    with run.sessions.lend(run.origin) as connection, translated(run.origin.side, "reading settings"):
        return read_money_digits(connection)


def _check_constants(run: Run, plan: Plan, major: int) -> list[Finding]:
    """Return a line for each default used as a mask that the target can't read, or reads differently."""
    with (
        run.sessions.lend(run.origin) as origin,
        run.sessions.lend(run.target) as target,
        translated("target", "reading the defaults of masked columns"),
    ):
        constants = values.masked_constants(plan)
        absent = {row.name for row in lacking(target, [type_ for type_, _ in constants], [])}
        return [
            problem(
                "default-not-readable",
                f"Postgres {major} can't read the default of column {column}, which is its mask",
                "drop the default, use a newer target, or truncate the table in the rules",
                side="target",
                object=column,
            )
            for (type_, constant), column in constants.items()
            if type_ not in absent  # the check names these types already
            and (read := read_constant(origin, type_, constant))
            and read_constant(target, type_, constant) != read
        ]


def _check_dump(run: Run, facts: _Facts, plan: Plan | None, unusable: Mapping[str, list[Finding]]) -> list[Finding]:
    """Return why this machine can't dump or restore, and what stands in the way of raw data on the target."""
    problems: list[Finding] = []
    reason = illegal_raw(run.job.raw_schema, run.job.schema)
    if reason:
        illegal = f"schema {run.job.raw_schema} can't hold raw data: {reason}"
        return [problem("illegal-raw-schema", illegal, side="target", object=run.job.raw_schema)]
    if not unusable and not run.job.from_dump:
        refused = refused_settings(run.sessions, run.origin)
        problems += [preconditions.settings_problem(run.origin.side, refused)] if refused else []
        server = facts.origin
        with run.sessions.lend(run.origin) as connection, translated(run.origin.side, "reading the catalog"):
            leaves = ask(connection, Leaf, "leaves", tables=[table.oid for table in plan.copied]) if plan else []
        problems += preconditions.dump_problems(run.origin.side, server, leaves)
        for program in ("pg_dump", "pg_restore"):
            said = run_command(archives.Command(program, ("--version",))).output
            too_old = archives.version_problem(program, archives.version_of(said), run.origin.side, server.major)
            problems += [too_old] if too_old else []
        locales = [server.locale, facts.target.locale]
        problems += raw.problems(run.origin.side, plan, locales) if plan else []
        with run.sessions.lend(run.target) as connection:
            problems += raw_schema.rights_problems(connection, run.job.raw_schema)
            problems += raw_schema.strangers(connection, run.job, run.job.raw_schema)
    return problems
