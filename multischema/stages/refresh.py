"""A refresh: brings the published tables up to date in one transaction, with what changed in the origin since the last run.

`anonymize` brings the rows of the window, and the keys of tables that lost rows, into staging schemas; `verify` and
`publish` are one transaction. Whatever it can't be sure of makes the run full.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import psycopg
from psycopg import errors

from multischema.catalog.objects import MaterializedView, PublishedTable, Size
from multischema.errors import ConnectionLost, EtlError, SnapshotLost, VerifyError
from multischema.findings import Finding
from multischema.job import Job
from multischema.plan import record, refresh
from multischema.plan.drops import drop_problems
from multischema.plan.history import Ran, Recorded
from multischema.plan.plan import Plan
from multischema.plan.refresh import Change, Choice, Counted, Part
from multischema.plan.scan import Scanned
from multischema.plan.state import Signatures, State, of_tables
from multischema.plan.tables import TablePlan
from multischema.postgres import dropping
from multischema.postgres.connecting import Connection, settings_of
from multischema.postgres.copying import Copied, Route, Snapshot, copy_table, count_since
from multischema.postgres.failures import describe, translate, translated
from multischema.postgres.questions import ask, read_server, read_target, value_of
from multischema.stages import history, others, state
from multischema.stages.anonymize import SNAPSHOTS, build_staging, copy_all
from multischema.stages.clear_columns import scan_window
from multischema.stages.preconditions import ownership_problems
from multischema.stages.reader import verify_readable, verify_rights
from multischema.stages.run import (
    Run,
    Seen,
    held_snapshot,
    in_parallel,
    naming_triggers,
    new_run_id,
    publishing,
    refuse_changes,
    refuse_origin_as_target,
)
from multischema.stages.verify import find_rare, verify_table
from multischema.statements import building, reading, refreshing, signatures
from multischema.words import some

# Classes of SQLSTATE that mean that the published tables, with what others put on them, do not take what came in (a missing
# feature, limits, data, integrity, rights, an object's state, errors of theirs); on others (disk, connection) the run fails.
_REFUSING = ("0A", "21", "22", "23", "2B", "42", "44", "54", "55", "P0")
_MUCH = 0.3  # of a table's rows: what changed more is analyzed at once, the rest when autovacuum sees fit


class NotRefreshed(EtlError):
    """A refresh found out, before it published anything, that the run must be full."""


@dataclass(frozen=True)
class Brought:
    """What a refresh brought: what the last run recorded, what changed since, and where the origin stood.

    `gone` has the number of rows that the origin has no more, by table; schema `keys` has the keys of those that it has.
    `scanned` is what the scan found in the rows that came, None where it looked into none.
    """

    known: State
    choice: Choice
    copied: Mapping[str, Copied] = field(default_factory=dict)
    gone: Mapping[str, int] = field(default_factory=dict)
    keys: str = ""
    seen: Seen | None = None
    scanned: Scanned | None = None


@dataclass(frozen=True)
class Refreshed:
    """What a refresh published: rows that came in and rows that went, by table, and the sizes of all tables in bytes.

    `recorded` is what the history says of it.
    """

    brought: Brought
    rows: Mapping[str, tuple[int, int]]
    sizes: Mapping[str, int]
    warnings: tuple[Finding, ...]
    recorded: Recorded

    def changes(self, plan: Plan) -> dict[str, str]:
        """Return what came of each table, in words."""
        whole = {change.table.name: change.whole for change in self.brought.choice.changes}
        changes = {table.name: "unchanged" for table in plan.copied}
        for name, (came, went) in self.rows.items():
            changes[name] = f"{came:,} in, {went:,} out" + (f"; whole: {whole[name]}" if whole[name] else "")
        return changes


def never(job: Job) -> str:
    """Return why a run is full whatever it finds, or nothing."""
    return "mode dump reads all rows" if job.restores else "asked for" if job.refresh == "full" else ""


def recall(run: Run, plan: Plan) -> State | str:
    """Return what the last run recorded, if what it published can be brought up to date; else why the run is full."""
    if why := never(run.job):
        return why
    with run.sessions.lend(run.target) as connection:
        with translated("target", "reading whose the published schema is"):
            facts = read_target(connection, run.job.schema)
            server = read_server(connection, run.job.schema)
        if not facts.published_exists:
            return "nothing is published yet"
        if reason := state.unusable(connection):
            return reason
        if ownership_problems(server, facts, run.job.app, run.job.schema, adopt=False):
            return f"schema {run.job.schema} is not what a run of this app published"
        known = state.recalled(connection, run.job.schema)
        if not known:
            return "the last run did not record what it published"
        published = state.published_tables(connection, run.job.schema)
        now = datetime.now(UTC)
        its = _signatures(run, plan, connection)
        doubt = refresh.doubts(known, its, plan, published, now, run.job.full_every, run.key_fingerprint)
        if doubt:
            return doubt
        before = record.read(facts.published_comment)
        for what, names in (
            ("masked", record.newly_masked(before, plan)),
            ("masked otherwise", record.masked_otherwise(before, plan)),
        ):
            if names:
                return f"{what} since the last run: {some(names)}; rows, statistics and views of before must go"
        return _changed_by_others(run, connection) or known


def bring(
    run: Run,
    plan: Plan,
    on_choice: Callable[[Choice], None] = lambda choice: None,
    on_bytes: Callable[[str, int], None] = lambda table, size: None,
) -> Brought | Choice:
    """Bring what changed in the origin into staging schemas, from one snapshot; or return why the run is full.

    `on_choice` gets what is to be brought, `on_bytes` the table and the size of every chunk. If the snapshot is lost, all of
    it starts again with a new one, a few times. Raises OriginChanged as a full run does, and CheckError as the scan does.
    """
    known = recall(run, plan)
    if isinstance(known, str):
        return Choice(full=known)
    refuse_origin_as_target(run)
    scanned = None
    for attempt in range(1, SNAPSHOTS + 1):
        try:
            with held_snapshot(run, run.origin, plan) as snapshot:
                run.snapshot_at = snapshot.taken_at
                choice = _choose(run, plan, known, snapshot)
                if choice.full:
                    return choice
                on_choice(choice)
                if not choice.written:
                    return Brought(known, choice)
                span = known.position.window(snapshot.position)
                scanned = scan_window(run, plan, choice, span, snapshot.identifier)
                brought = _bring(run, plan, known, choice, snapshot, on_bytes)
                refuse_changes(run, plan, snapshot, "compared")
                seen = Seen(snapshot.position, snapshot.fingerprints, choice.rows)
                return replace(brought, seen=seen, scanned=scanned)
        except NotRefreshed as reason:
            return _given_up(run, reason, scanned)
        except SnapshotLost:
            if attempt == SNAPSHOTS:
                raise
            _build_elsewhere(run)
    raise AssertionError


def publish(run: Run, plan: Plan, brought: Brought) -> Refreshed | Choice:
    """Verify what was brought and publish it, in one transaction; or return why the run is full after all.

    No lock of it makes a reader wait, and a failure leaves rows and state as they were. Raises VerifyError, DatabaseError.
    """
    try:
        return _verify_and_publish(run, plan, brought)
    except NotRefreshed as reason:
        return _given_up(run, reason, brought.scanned)


def _given_up(run: Run, reason: NotRefreshed, scanned: Scanned | None) -> Choice:
    """Return the choice of a full run, which is to build elsewhere; it tells what the scan found, and scans no such rows."""
    _build_elsewhere(run)
    return Choice(full=str(reason), warnings=tuple(scanned.warnings) if scanned else ())


def _build_elsewhere(run: Run) -> None:
    """Have the run build under another name: what it has built may be in use, by a backup of the target, and stay."""
    run.job = replace(run.job, names=new_run_id())


def _verify_and_publish(run: Run, plan: Plan, brought: Brought) -> Refreshed:
    connection, changes = run.holder, brought.choice.changes
    with naming_triggers(run):
        history.prepare(connection, run.job)
    if not brought.choice.written:  # what is published is as of now
        # without waiting for the disk: if a crash loses the row, the data is only said to be older than it is
        sizes = _sizes(run, connection)
        recorded = history.write(connection, run.job, _ran(run, plan, brought, sizes, ()))
        return Refreshed(brought, {}, sizes, (), recorded)

    def look(change: Change) -> list[Finding]:
        with run.sessions.lend(run.target) as connection:
            return verify_table(connection, run.job.staging, change.table, change.incoming)

    problems = [line for lines in in_parallel(run, look, changes) for line in lines]
    published = {change.table.name: change.counted.published for change in changes}
    counted = {change.table.name: change.counted.rows for change in changes}
    if problems := [*problems, *drop_problems(run.job, run.origin.side, published, counted)]:
        raise VerifyError(*problems)
    with naming_triggers(run), publishing(connection, run.job.schema, "refreshing"):
        try:
            rows, warnings = _publish(run, connection, plan, brought)
            warnings += brought.scanned.warnings if brought.scanned else []
            connection.execute("SET CONSTRAINTS ALL IMMEDIATE")  # what it refuses, it refuses here, not in the commit
        except psycopg.Error as error:
            if (error.sqlstate or "")[:2] not in _REFUSING or isinstance(error, errors.LockNotAvailable):
                raise
            refusing = f" ({named} of {error.diag.table_name})" if (named := error.diag.constraint_name) else ""
            raise NotRefreshed(f"the target refused what came in: {describe(error)}{refusing}") from None
        sizes = _sizes(run, connection)
        recorded = history.record(connection, run.job, _ran(run, plan, brought, sizes, warnings))
    much = [change.table.name for change in changes if max(rows[change.table.name]) > _MUCH * max(change.counted.rows, 1)]
    for name in much:
        with run.sessions.lend(run.target) as session, translated("target", f"analyzing table {name}"):
            session.execute(refreshing.analyze(run.job.schema, name))
    return Refreshed(brought, rows, sizes, tuple(warnings), recorded)


def _ran(run: Run, plan: Plan, brought: Brought, sizes: Mapping[str, int], warnings: Sequence[Finding]) -> Ran:
    """Return what the history says of the refresh."""
    return Ran.of(
        plan,
        "refresh",
        brought.choice.rows,
        sizes,
        snapshot_at=run.snapshot_at,
        seconds=run.seconds,
        warnings=len(plan.told(warnings).warnings),
        changed=bool(brought.choice.changes),
    )


def remember(run: Run, plan: Plan, connection: Connection, why: str) -> None:
    """Record, in the publishing transaction of a full run, what is published and where the origin stood."""
    known = None
    if run.seen:
        known = State(
            job=(its := _signatures(run, plan, connection)).job,
            position=run.seen.position,
            full_at=datetime.now(UTC),
            why=why,
            tables=of_tables(
                plan, its, run.seen.fingerprints, run.seen.rows, state.published_tables(connection, run.job.schema)
            ),
            pseudonym_key=run.key_fingerprint,
        )
    state.keep(connection, run.job.schema, known)


def _signatures(run: Run, plan: Plan, connection: Connection) -> Signatures:
    return signatures.of_run(run.job, plan, connection.info.server_version // 10000, settings_of("origin"))


def _choose(run: Run, plan: Plan, known: State, snapshot: Snapshot) -> Choice:
    """Compare the origin with what the last run saw of it, and decide what to bring."""
    if doubt := known.position.doubts(snapshot.position):
        return Choice(full=doubt, warnings=tuple(refresh.changing_servers(known, doubt)))
    with run.sessions.lend(run.target) as connection:
        reasons = refresh.whole(plan, known, _signatures(run, plan, connection), snapshot.fingerprints)
    if not reasons and known.position.is_still(snapshot.position):
        return Choice(
            rows={name: table.rows for name, table in known.tables.items()}, tables=len(plan.tables), written=False
        )

    with run.sessions.lend(run.origin) as connection:
        major = connection.info.server_version // 10000
    places = {table.name: table.shows_ctid and table.name not in reasons for table in plan.catalog.tables}
    pages = {table.name: table.pages if places[table.name] else 0 for table in plan.catalog.tables}
    parts = refresh.parts(plan, pages, major)
    found: dict[tuple[str, int], tuple[int, int, str | None, str | None]] = {}
    published: dict[str, int] = {}

    def count(part: Part | TablePlan) -> None:
        if isinstance(part, Part):
            span = None if part.table.name in reasons else known.position.window(snapshot.position)
            with run.sessions.lend(run.origin) as connection:
                found[part.table.name, part.start] = count_since(
                    connection, _counted(part), _route(run, snapshot), span, places=places[part.table.name]
                )
        else:
            with run.sessions.lend(run.target) as connection, translated("target", f"counting the rows of {part.name}"):
                rows = value_of(connection, int, refreshing.count_published(run.job.schema, part.name))
                published[part.name] = rows

    # one after another, so that both servers have something to do
    by_table: dict[str, list[Part]] = {table.name: [] for table in plan.copied}
    for part in parts:
        by_table[part.table.name].append(part)
    items: list[Part | TablePlan] = []
    for table in plan.copied:
        items += [*by_table[table.name], table]
    in_parallel(run, count, items)
    counted = {
        name: Counted(*refresh.together([found[name, part.start] for part in its]), published[name])
        for name, its in by_table.items()
    }
    return refresh.choose(plan, known, counted, reasons)


def _counted(part: Part) -> TablePlan:
    """Return how the rows of a part are read."""
    if part.start == 0 and part.end is None:
        return part.table
    return replace(part.table, condition=reading.on_pages(part.start, part.end))


def _bring(
    run: Run, plan: Plan, known: State, choice: Choice, snapshot: Snapshot, on_bytes: Callable[[str, int], None]
) -> Brought:
    """Bring rows, then the keys of tables that lost some."""
    if not choice.changes:
        return Brought(known, choice)
    span = known.position.window(snapshot.position)
    staged = replace(plan, tables=tuple(_staged(change, span) for change in choice.changes), domains=())
    with naming_triggers(run):
        dropping.drop_leftovers(run.holder, run.job.schema, patient=False)
        build_staging(run.holder, run.job, staged)
    copied = copy_all(run, staged.tables, snapshot, on_bytes)
    gone = {change.table.name: lost for change in choice.changes if (lost := _lost(run, change))}
    _refuse_searching(run, plan, gone)
    lacking = [c for c in choice.changes if (c.table.name in gone or c.may_repeat) and not c.whole]
    if not lacking:
        return Brought(known, choice, copied, gone)
    keys_only = replace(plan, tables=tuple(_keys_only(change) for change in lacking), domains=())
    job = replace(run.job, names=new_run_id())
    run.keys = job.staging
    build_staging(run.holder, job, keys_only)

    def copy_keys(table: TablePlan) -> None:
        with run.sessions.lend(run.masking) as origin, run.sessions.lend(run.target) as target:
            copy_table(origin, target, table, replace(_route(run, snapshot), staging=job.staging), lambda size: None)

    in_parallel(run, copy_keys, keys_only.tables)
    _refuse_repeating(run, lacking)
    return Brought(known, choice, copied, gone, job.staging)


def _refuse_repeating(run: Run, changes: Sequence[Change]) -> None:
    """Raise NotRefreshed where rows of the origin have one masked key: one would replace another, and a third one stay."""
    for change in changes:
        if change.may_repeat:
            name = change.table.name
            with run.sessions.lend(run.target) as connection, translated("target", f"comparing the keys of {name}"):
                found = value_of(connection, int, refreshing.count_keys(run.keys, name, change.key))
            if found != change.counted.rows:
                raise NotRefreshed(f"rows of {name} have the same masked key")


def _lost(run: Run, change: Change) -> int:
    """Return how many published rows the origin has no more: those left once the rows that came in replaced theirs."""
    name, counted = change.table.name, change.counted
    if not change.key:
        return 0
    with run.sessions.lend(run.target) as connection, translated("target", f"comparing the keys of {name}"):
        same = refreshing.count_replaced(run.job.schema, run.job.staging, name, change.key)
        replaced = value_of(connection, int, same)
    lost = counted.published - replaced + change.incoming - counted.rows
    if lost < 0:
        repeated = ", or rows of the origin have the same masked key" if change.may_repeat else ""
        raise NotRefreshed(f"the published table {name} lacks rows that the last run published{repeated}")
    return lost


def _refuse_searching(run: Run, plan: Plan, gone: Mapping[str, int]) -> None:
    """Raise NotRefreshed where the server would search whole tables for what refers to each row that goes.

    It does before 18, where foreign keys can't be published without being enforced.
    """
    if run.holder.info.server_version >= 180000:
        return
    known = {row.name: row.parts for row in state.published_tables(run.holder, run.job.schema)}
    for name, lost in gone.items():
        for table in refresh.unindexed(plan, known, name):
            if lost * table.bytes > plan.bytes:
                raise NotRefreshed(
                    f"{lost:,} rows of {name} are gone, and {table.name}, which refers to it, has no index to find them by"
                )


def _publish(
    run: Run, connection: Connection, plan: Plan, brought: Brought
) -> tuple[dict[str, tuple[int, int]], list[Finding]]:
    """Do what the publishing transaction does; return the rows that came in and that went, by table, and warnings."""
    schema, staging = run.job.schema, run.job.staging
    connection.execute("SET LOCAL synchronous_commit TO DEFAULT")
    if exposed := verify_rights(connection, run.job):
        raise VerifyError(*exposed)
    if names := [change.table.name for change in brought.choice.changes]:
        connection.execute(refreshing.hold(schema, names))
    published = state.published_tables(connection, schema)
    _refuse_replaced(brought.known, published)
    if changed := _changed_by_others(run, connection):  # before a statement of ours could call a trigger of theirs
        raise NotRefreshed(changed)
    rows = {}
    for change in brought.choice.changes:
        name = change.table.name
        went = _delete(connection, schema, staging, change, brought)
        came = connection.execute(refreshing.insert(schema, staging, change.table)).rowcount
        found = change.counted.published - went + came
        if found != change.counted.rows:
            raise NotRefreshed(f"table {name} would hold {found:,} rows, and the origin has {change.counted.rows:,}")
        rows[name] = (came, went)
    judged = [find_rare(connection, schema, plan, change.table) for change in brought.choice.changes]
    if refused := [line for lines, _ in judged for line in lines]:
        raise VerifyError(*refused)
    warnings = [line for _, lines in judged for line in lines]
    warnings += _refresh_views(run, connection, plan, rows.keys())
    before = read_target(connection, schema).published_comment
    comment = record.written(plan, run.job.app, record.read(before), run.job.readers)
    if comment != before:
        connection.execute(building.comment_on_schema(schema, comment))
    # after the last statement that an event trigger could answer
    if unreadable := verify_readable(connection, schema, run.job.readers, granted=True):
        raise VerifyError(*unreadable)
    its = _signatures(run, plan, connection)
    known = None
    if brought.seen:
        # of its parts, those that a run built: what others make on a table is theirs to drop again
        built = [replace(row, parts=brought.known.tables[row.name].parts) for row in published if row.name in plan.columns]
        tables = of_tables(plan, its, brought.seen.fingerprints, brought.seen.rows, built)
        known = replace(
            brought.known,
            job=its.job,
            position=brought.seen.position,
            tables=tables,
            pseudonym_key=run.key_fingerprint,
        )
    state.keep(connection, schema, known)
    return rows, warnings


def _delete(connection: Connection, schema: str, staging: str, change: Change, brought: Brought) -> int:
    """Delete what is replaced and what is gone; return the number of rows. It goes first: values may move between rows."""
    name = change.table.name
    if change.whole:
        return connection.execute(refreshing.delete_all(schema, name)).rowcount
    went = connection.execute(refreshing.delete_replaced(schema, staging, name, change.key)).rowcount
    if name in brought.gone:
        went += connection.execute(refreshing.delete_gone(schema, brought.keys, name, change.key)).rowcount
    return went


def _changed_by_others(run: Run, connection: Connection) -> str | None:
    """Return what others did to published tables that keeps a reader off, or that our statements would call; else None."""
    changed = verify_readable(connection, run.job.schema, run.job.readers, granted=True, since="")
    return changed[0].what if changed else None


def _refuse_replaced(known: State, published: Sequence[PublishedTable]) -> None:
    """Raise NotRefreshed if somebody replaced or changed a published table since the run looked."""
    present = {row.name: row for row in published}
    for name, table in known.tables.items():
        if name not in present or (present[name].oid, present[name].shape) != (table.oid, table.shape):
            raise NotRefreshed(f"somebody changed the published table {name}")


def _refresh_views(run: Run, connection: Connection, plan: Plan, changed: Collection[str]) -> list[Finding]:
    """Refresh the materialized views of others that read what changed; return a warning for each that only they can.

    Raises NotRefreshed for one whose readers would wait: a full run creates it again.
    """
    standing = others.read_standing(connection, run.job, plan.columns)
    may_be_full = not others.obstacles_of(run.job, standing, plan.columns)
    stale: set[int] = set()
    for view in standing.dependants:
        if any(table in changed for table, _ in view.needs) or stale.intersection(view.stands_on):
            stale.add(view.oid)
    found = {row.oid: row for row in ask(connection, MaterializedView, "materialized_views", views=sorted(stale))}
    warnings = [
        _stale(row.name, f"{row.title} of role {row.owner} may show rows of before: have it stand in a schema of its own")
        for row in standing.strangers
        if changed and row.place == "in" and row.kind == "materialized view"
    ]
    for view in standing.dependants:
        row = found.get(view.oid)
        if not row:
            continue
        if row.may_refresh and row.has_key:
            try:
                with connection.transaction():
                    connection.execute(refreshing.refresh_view(view.schema, view.name))
            except psycopg.Error as error:
                failed = translate(error, "target", f"refreshing {view.title} of role {view.owner}")
                if isinstance(failed, ConnectionLost):
                    raise failed from None
                raise NotRefreshed(str(failed)) from None
        elif not row.may_refresh:
            only = f"{view.title} of role {view.owner} shows rows of before: only that role can refresh it"
            warnings.append(_stale(view.shown, only))
        elif may_be_full:
            raise NotRefreshed(
                f"{view.title} of role {view.owner} has no unique index: give it one, so that its readers don't wait"
            )
        else:
            unique = f"{view.title} of role {view.owner} shows rows of before: give it a unique index"
            warnings.append(_stale(view.shown, unique))
    return warnings


def _stale(view: str, what: str) -> Finding:
    return Finding("stale-view", what, object=view)


def _staged(change: Change, span: tuple[int, int]) -> TablePlan:
    """Return how the rows of a change are read: those in the window, or all."""
    if change.whole:
        return change.table
    counted = change.counted
    return replace(change.table, condition=reading.window(span, counted.first, counted.last))


def _keys_only(change: Change) -> TablePlan:
    """Return how the keys of a table are read: all of them, and nothing else."""
    columns = tuple(column for column in change.table.columns if column.name in change.key)
    return replace(change.table, columns=columns, guards=(), condition=None)


def _route(run: Run, snapshot: Snapshot) -> Route:
    return Route(run.origin.side, run.job.origin_schema, snapshot.identifier, run.job.staging)


def _sizes(run: Run, connection: Connection) -> dict[str, int]:
    with translated("target", "measuring tables"):
        measured = ask(connection, Size, "sizes", schema=run.job.schema)
    return {row.name: row.bytes for row in measured if row.bytes is not None}
