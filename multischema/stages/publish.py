"""The publish stage: swaps the schemas and restores what others built on the old one and were granted on it."""

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import cast

import psycopg
from psycopg import errors, sql

from multischema.catalog.objects import DefaultPrivilege, Holder, Privilege, SchemaPrivilege, Stranger
from multischema.errors import ConnectionLost, DatabaseError, VerifyError
from multischema.findings import Finding
from multischema.job import Job, old_name
from multischema.plan import record
from multischema.plan.history import Ran, Recorded
from multischema.plan.plan import Plan
from multischema.postgres.connecting import Connection
from multischema.postgres.failures import describe, translate, translated
from multischema.postgres.questions import ask, ask_values, place_of, read_target
from multischema.stages import history
from multischema.stages.others import Standing, obstacles_of, published_columns, read_standing
from multischema.stages.reader import verify_readable, verify_rights
from multischema.stages.refresh import remember
from multischema.stages.run import (
    Run,
    naming_triggers,
    new_run_id,
    publishing,
)
from multischema.statements import building, dependants, grants
from multischema.statements import publishing as statements
from multischema.statements.dependants import Definition, Dependant
from multischema.statements.grants import Grant
from multischema.words import some

# Shorter than deadlock_timeout (1 s): others queue behind our wait, and a query of theirs that locks views in another order
# must not be the one that is cut. So there are many tries.
_LOCK_TIMEOUT = "500ms"
_PAUSE = 2.0
_PATIENCE = 300.0  # seconds to wait for queries on what is created again
# Classes of SQLSTATE that mean that a view no longer fits (syntax or a missing object, features, limits, data, integrity,
# objects that depend on it, its own errors); on others (disk, connection) the run fails.
_DOES_NOT_FIT = ("0A", "21", "22", "23", "2B", "42", "54", "55", "P0")


@dataclass(frozen=True)
class Publication:
    """What the publish stage did besides: the names of what it created again, and warnings; what the history says of it.

    `restructured` tells whether tables, columns, types, keys or comments differ from those that were published before.
    """

    recreated: tuple[str, ...]
    warnings: tuple[Finding, ...]
    restructured: bool
    recorded: Recorded


@dataclass(frozen=True)
class Built:
    """What is to be published: the rows of each copied table, the bytes of each table, and warnings beside the plan's."""

    rows: Mapping[str, int]
    sizes: Mapping[str, int]
    warnings: tuple[Finding, ...]


@dataclass(frozen=True)
class _Copy:
    """Everything needed to create a view again."""

    view: Dependant
    definition: Definition
    grants: Sequence[Grant]


class _InUse(DatabaseError):
    """Others read what is to be replaced, or are replacing it themselves; `relation` is what they read, if it is one."""

    relation: int | None = None


def publish(run: Run, plan: Plan, why: str, built: Built) -> Publication:
    """Swap yesterday's schema for the staging schema, on the session that holds the app's lock; `why` is why it is full."""

    def write_down(connection: Connection, warnings: Sequence[Finding]) -> Recorded:
        remember(run, plan, connection, why)
        ran = Ran.of(
            plan,
            "full",
            built.rows,
            built.sizes,
            snapshot_at=run.snapshot_at,
            seconds=run.seconds,
            warnings=len(plan.told([*built.warnings, *warnings]).warnings),
        )
        return history.record(connection, run.job, ran)

    with naming_triggers(run):
        return swap(run.holder, run.job, plan, write_down)


def swap(
    connection: Connection, job: Job, plan: Plan, also: Callable[[Connection, Sequence[Finding]], Recorded]
) -> Publication:
    """Swap the schemas in one transaction, on the session that holds the app's lock, and do what else belongs to it.

    `also` gets the warnings that came of it, and writes all of it down.

    What others built, and what readers may do, is asked anew: hours may have passed since the check.

    Renaming a schema locks no table: if nobody built on it, it commits in milliseconds under an open query. Views that
    depend on it are locked; while a query has one, the transaction is abandoned and retried, for some minutes. Raises
    VerifyError for what can't be kept and for a reader that could read too much by now, DatabaseError for what is in use
    or can't be created again.
    """
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            with publishing(connection, job.schema, "publishing"):
                structure = _structure(connection, job.schema)
                recreated, warnings = _publish(connection, job, plan.columns)
                restructured = _structure(connection, job.schema) != structure
                recorded = also(connection, warnings)
            return Publication(tuple(recreated), tuple(warnings), restructured, recorded)
        except _InUse as in_use:
            if time.monotonic() >= deadline:
                raise DatabaseError(f"{in_use}{_readers(connection, in_use)}") from None
        time.sleep(_PAUSE)


def _readers(connection: Connection, in_use: _InUse) -> str:
    """Return the end of a line: who has what is to be replaced in use, and how that is ended; it may be free by now."""
    with translated("target", "reading who has what is to be replaced"):
        readers = ask(connection, Holder, "readers_of", relation=in_use.relation)
    place = place_of(connection)
    return f": {some([f'{reader.title} ({place}: {reader.remedy})' for reader in readers])}" if readers else ""


def _publish(connection: Connection, job: Job, columns: Mapping[str, Collection[str]]) -> tuple[list[str], list[Finding]]:
    """Do what the publishing transaction does; return the names of what was created again, and warnings."""
    # its commit puts all commits of the run on disk, and on the standbys that the server waits for
    connection.execute("SET LOCAL synchronous_commit TO DEFAULT")
    exposed = verify_rights(connection, job)
    if exposed:
        raise VerifyError(*exposed)
    standing = _held(connection, job, columns)
    replaced = standing.facts.published_exists
    before = record.read(standing.facts.published_comment)
    was_adopted = replaced and before is None
    dismissed = record.dismissed(before, job.readers)
    to_schema = ask(connection, SchemaPrivilege, "schema_privileges", schema=job.schema)
    to_future = ask(connection, DefaultPrivilege, "default_privileges", schema=job.schema)
    to_tables = ask(connection, Privilege, "privileges", schema=job.schema, relation=None)
    copies = _copies(connection, standing.dependants)
    dropped = _drop(connection, job, standing)
    connection.execute("SET LOCAL lock_timeout = '10s'")
    # nobody knows it, and so nobody can have a schema of that name, until the transaction is committed
    old = old_name(job.schema, new_run_id()) if replaced else None
    grantees = list(dict.fromkeys(row.role for row in to_schema))
    to_schema, to_tables, to_future = (
        grants.kept(to_schema, dismissed),
        grants.kept(to_tables, dismissed),
        grants.kept(to_future, dismissed),
    )
    if was_adopted:  # so that it can be dropped
        tables = published_columns(connection, job.schema)
        connection.execute(building.comment_on_schema(job.schema, record.adopting(tables, job.app)))
    for statement in statements.publish(job.staging, job.schema, old, job.readers, grantees):
        connection.execute(statement)
    present = ask(connection, Privilege, "privileges", schema=job.schema, relation=None)
    wanted, ended = grants.to_tables(to_tables, grants.kept(present, dismissed), columns, to_future, job.readers)
    future, lost = grants.to_future(job.schema, to_future)
    found = grants.read(row for row in present if not row.is_owner)
    for statement in [*grants.to_schema(job.schema, to_schema), *grants.changes(job.schema, wanted, found), *future]:
        connection.execute(statement)
    unreadable = verify_readable(connection, job.schema, job.readers, granted=True)
    if unreadable:
        raise VerifyError(*unreadable)
    recreated, gone = _recreate(connection, job, copies, columns)
    if old:
        _refuse_late(connection, job, old)
    reading = _still_reading(connection, job.schema, dismissed)
    return recreated, [*reading, *ended, *lost, *dropped, *gone]


def _structure(connection: Connection, schema: str) -> str | None:
    """Return what stands for the structure of a schema, None if it has no table."""
    (structure,) = ask_values(connection, lambda value: value, "structure", schema=schema)
    return cast("str | None", structure)


def _still_reading(connection: Connection, schema: str, dismissed: Sequence[str]) -> list[Finding]:
    """Return a warning for each role that is no reader any more, has no right of its own, and can read all the same."""
    return [
        Finding(
            "still-readable",
            f"role {role} is no reader of schema {schema} any more, but may still read it as a member of another role, or "
            "by a right of PUBLIC",
            "revoke that",
            object=role,
        )
        for role in ask_values(connection, str, "still_reading", schema=schema, roles=list(dismissed))
    ]


def _refuse_late(connection: Connection, job: Job, old: str) -> None:
    """Raise _InUse where somebody made something in the old schema while it was replaced: the next try names it."""
    made = record.read(read_target(connection, old).published_comment)
    late = ask(
        connection,
        Stranger,
        "strangers",
        schema=old,
        dependants=[],
        ours=sorted(made.tables) if made else [],
        domains=made.recorded_domains if made else [],
        adopted=bool(made and made.adopted),
    )
    for row in late:
        if row.place == "in":
            raise _InUse(f"target: {row.title} of role {row.owner} was made while schema {job.schema} was replaced")


def _held(connection: Connection, job: Job, columns: Mapping[str, Collection[str]]) -> Standing:
    """Lock what depends on the published schema, so that nobody changes it, and return it. Raises VerifyError, _InUse."""
    connection.execute(sql.SQL("SET LOCAL lock_timeout = {}").format(sql.Literal(_LOCK_TIMEOUT)))
    held: set[int] = set()
    while True:
        standing = read_standing(connection, job, columns)
        problems = obstacles_of(job, standing, columns)
        if problems:
            raise VerifyError(*problems)
        new = [view for view in standing.dependants if view.oid not in held]
        if not new:
            return standing
        for view in new:
            # it may be dropped, or become another thing, before it is locked
            with _in_use(view.title, job.schema, errors.UndefinedTable, errors.WrongObjectType, relation=view.oid):
                connection.execute(dependants.hold(view))
        held |= {view.oid for view in new}


def _copies(connection: Connection, views: Sequence[Dependant]) -> list[_Copy]:
    """Read the definitions of views and the grants on them."""
    connection.execute("SET LOCAL search_path = pg_catalog")  # names come out with their schemas
    found = ask(connection, Definition.of, "view_definitions", dependants=[view.oid for view in views])
    definitions = {definition.oid: definition for definition in found}
    return [
        _Copy(
            view,
            definitions[view.oid],
            grants.read(ask(connection, Privilege, "privileges", schema=view.schema, relation=view.name)),
        )
        for view in views
    ]


def _drop(connection: Connection, job: Job, standing: Standing) -> list[Finding]:
    """Drop what will be created again and what the run may drop for good; return a warning for each of the latter."""
    for stranger in standing.strangers:
        with _in_use(stranger.title, job.schema):
            connection.execute(dependants.drop_stranger(stranger))
    for view in reversed(standing.dependants):
        with _in_use(view.title, job.schema, relation=view.oid):
            connection.execute(dependants.drop(view))
    return [
        Finding("stranger-dropped", f"{row.title} was dropped: it depended on the old schema {job.schema}", object=row.name)
        for row in standing.strangers
    ]


def _recreate(
    connection: Connection, job: Job, copies: Sequence[_Copy], columns: Mapping[str, Collection[str]]
) -> tuple[list[str], list[Finding]]:
    """Create views again, each after those it depends on; return their names, and a warning for each one given up."""
    gone: dict[int, Finding] = {}
    for copy in copies:
        view = copy.view
        reason = dependants.without(view, gone.keys(), columns) or _recreated(connection, job, copy)
        if reason:
            what = f"{view.title} of role {view.owner} was dropped: {reason}"
            gone[view.oid] = Finding("view-dropped", what, object=view.shown)
    return [copy.view.title for copy in copies if copy.view.oid not in gone], list(gone.values())


def _recreated(connection: Connection, job: Job, copy: _Copy) -> str | None:
    """Create one view again; return why it can't, if the run may give it up."""
    view = copy.view
    try:
        with _in_use(view.title, job.schema), connection.transaction():
            for statement in dependants.create(view, copy.definition):
                connection.execute(statement)
            found = grants.read(ask(connection, Privilege, "privileges", schema=view.schema, relation=view.name))
            for statement in [
                *grants.changes(view.schema, copy.grants, found),
                *dependants.fill(view, copy.definition),
            ]:
                connection.execute(statement)
    except psycopg.Error as error:
        failed = translate(error, "target", f"creating {view.title} of role {view.owner} again")
        if isinstance(failed, ConnectionLost) or (error.sqlstate or "")[:2] not in _DOES_NOT_FIT:
            raise failed from None
        if not job.drop_dependants:
            raise DatabaseError(f"{failed}; {dependants.REMEDY}") from None
        return f"the target can't create it again: {describe(error)}"
    return None


@contextmanager
def _in_use(title: str, schema: str, *others: type[psycopg.Error], relation: int | None = None) -> Iterator[None]:
    """Have what a query reads, or somebody else replaces, be tried again."""
    transient: tuple[type[psycopg.Error], ...] = (errors.LockNotAvailable, errors.DeadlockDetected, *others)
    try:
        yield
    except transient:
        in_use = _InUse(
            f"target: {title} is in use, and schema {schema} can't be replaced without it; "
            "end the queries that read it, then start again"
        )
        in_use.relation = relation
        raise in_use from None
