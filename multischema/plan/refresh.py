"""Whether a run can bring only what changed since the last one, and of which tables: a doubt means a full run.

Rows that a transaction wrote are `in the window` if it may have ended after the last run's snapshot. docs/refresh.md has the
proof that they, and the numbers of rows, are enough.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from multischema.catalog.objects import PublishedTable
from multischema.catalog.position import RESTARTED
from multischema.catalog.tables import Fingerprint, Table, Type, parts_of
from multischema.findings import Finding
from multischema.plan.plan import Plan
from multischema.plan.state import Signatures, State, files_of, gate_of, key, origin_of
from multischema.plan.tables import TablePlan
from multischema.rules.following import is_number
from multischema.words import count, plural, some

WHOLE_SHARE = 0.2  # of the bytes: what tables that are copied whole may make up
PAGES = 32_768  # a part of a table that is counted at a time: 256 MB as a rule
WINDOW_SHARE = 0.15  # of the bytes: with more in the window, a full run costs little more, and leaves no dead rows


@dataclass(frozen=True)
class Counted:
    """A table as it was counted: rows in the origin, those of them in the window, and rows published.

    `first` and `last` are the places (ctid) of the rows in the window.
    """

    rows: int
    window: int
    first: str | None
    last: str | None
    published: int


@dataclass(frozen=True)
class Part:
    """A part of a table to be counted: its pages from `start` on, up to `end`, all of them if there is none."""

    table: TablePlan
    start: int = 0
    end: int | None = None


def parts(plan: Plan, sizes: Mapping[str, int], major: int) -> list[Part]:
    """Return the copied tables, largest first, the large ones in parts that several sessions can count side by side.

    `sizes` are those of their heaps, in pages. Servers before 14 would read the whole table for each part.
    """
    found = []
    for table in plan.copied:
        starts = range(0, max(sizes[table.name], 1), PAGES) if major >= 14 and not table.whole else range(1)
        found += [Part(table, start, end) for start, end in zip(starts, [*starts[1:], None], strict=True)]
    return found


def together(counts: Sequence[tuple[int, int, str | None, str | None]]) -> tuple[int, int, str | None, str | None]:
    """Return the counts of a table from those of its parts, in their order."""
    firsts = [first for _, _, first, _ in counts if first]
    lasts = [last for _, _, _, last in counts if last]
    return (
        sum(rows for rows, *_ in counts),
        sum(window for _, window, *_ in counts),
        firsts[0] if firsts else None,
        lasts[-1] if lasts else None,
    )


@dataclass(frozen=True)
class Change:
    """What is to come of a table that changed: its rows in the window, or all of them if it is taken `whole`, and why.

    Its rows `may_repeat` a masked key, once others came.
    """

    table: TablePlan
    key: tuple[str, ...]
    counted: Counted
    whole: str
    may_repeat: bool = False

    @property
    def incoming(self) -> int:
        """Return the number of rows to bring."""
        return self.counted.rows if self.whole else self.counted.window

    @property
    def bytes(self) -> int:
        """Estimate the size of the rows to bring."""
        return self.table.bytes * self.incoming // max(self.counted.rows, 1)


@dataclass(frozen=True)
class Choice:
    """What a run is to do: `full` says why it is full, else `changes` are what a refresh brings.

    `rows` has the number of rows of each copied table.
    """

    full: str = ""
    changes: tuple[Change, ...] = ()
    rows: Mapping[str, int] = field(default_factory=dict)
    tables: int = 0
    warnings: tuple[Finding, ...] = ()
    written: bool = True  # False if nothing at all was written in the origin's cluster

    def line(self) -> str:
        """Return the line that says what the run does, and why."""
        if self.full:
            return f"full: {self.full}"
        total = sum(self.rows.values())
        if not self.changes:
            found = f"nothing changed in {count(total, 'row')} of {count(self.tables, 'table')}"
            return found if self.written else f"{found}: the origin's server wrote nothing"
        incoming = sum(change.incoming for change in self.changes)
        return f"refresh: {incoming:,} of {count(total, 'row')} in {len(self.changes):,} of {count(self.tables, 'table')}"


def doubts(
    state: State,
    signatures: Signatures,
    plan: Plan,
    published: Sequence[PublishedTable],
    now: datetime,
    full_every: int,
    pseudonym_key: str,
) -> str | None:
    """Return why what is published can't be brought up to date, before the origin is asked; None if it can."""
    if state.job != signatures.job:
        return "the app's parameters, its readers, the target's version or this tool changed since the last run"
    if now - state.full_at >= timedelta(days=full_every):
        return f"the last full run was {full_every:,} {plural(full_every, 'day')} ago"
    if state.pseudonym_key and pseudonym_key not in ("", state.pseudonym_key):  # else the masks changed, and tell
        return "the pseudonym key changed since the last run"
    names, before = {table.name for table in plan.tables}, state.tables.keys()
    if names != before:
        return f"tables came or went: {some(sorted(names ^ before))}"
    present = {row.name: row for row in published}
    for table in plan.tables:
        known, row = state.tables[table.name], present.get(table.name)
        if not row or row.oid != known.oid or row.shape != known.shape or not set(known.parts).issubset(row.parts):
            return f"somebody changed the published table {table.name}"
        if known.built != signatures.build[table.name] or known.key != key(plan, table, known.parts):
            return f"columns, keys, indexes or comments of {table.name} changed"
        if known.k_anonymity != gate_of(table):
            return f"k_anonymity of {table.name} changed"
        if bool(known.read) == table.truncated:
            return f"{table.name} is truncated now, or no longer"
    if unseen := hidden(plan):
        return f"the origin's role may not read xmin of {some(unseen)}: grant it with `python -m flows.rules rights`"
    return None


def hidden(plan: Plan) -> list[str]:
    """Return the tables whose rows don't show their writer's number to the origin's role."""
    copied = {table.name for table in plan.copied}
    return sorted(table.name for table in plan.catalog.tables if table.name in copied and not table.shows_xmin)


def whole(plan: Plan, state: State, signatures: Signatures, fingerprints: Mapping[int, Fingerprint]) -> dict[str, str]:
    """Return the tables that can't be compared row by row, each with the reason: all their rows are brought."""
    origin = {table.name: table for table in plan.catalog.tables}
    found = {}
    for table in plan.copied:
        known, now = state.tables[table.name], fingerprints.get(table.oid)
        reason = (
            "its masks changed"
            if known.read != signatures.read[table.name]
            else "it was altered in the origin"
            if known.origin != origin_of(now)
            else "it was truncated or rewritten in the origin"
            if known.files != files_of(now)
            else "the origin does not keep it as a heap"
            if not origin[table.name].is_heap
            else _unsteady(table, origin[table.name], plan.catalog.types)
        )
        if reason:
            found[table.name] = reason
    return found


def choose(plan: Plan, state: State, counted: Mapping[str, Counted], reasons: Mapping[str, str]) -> Choice:
    """Return what to do, given the counts of all copied tables and the tables that are to be copied whole."""
    changes = []
    for table in plan.copied:
        counts, reason = counted[table.name], reasons.get(table.name, "")
        if counts.published != state.tables[table.name].rows:  # one row less hides that another one is gone
            return Choice(full=f"somebody changed the rows of the published table {table.name}")
        if not reason and not counts.window and counts.rows == counts.published:
            continue
        its_key = state.tables[table.name].key
        why = reason or _not_by_row(table, its_key)
        changes.append(Change(table, its_key, counts, why, _may_repeat(plan, table, its_key)))
    taken_whole = [change for change in changes if change.whole]
    total = sum(table.bytes for table in plan.copied)
    bytes_whole = sum(change.table.bytes for change in taken_whole)
    if bytes_whole > WHOLE_SHARE * total:
        largest = max(taken_whole, key=lambda change: change.table.bytes)
        return Choice(full=f"{largest.table.name} is copied whole: {largest.whole}")
    windows = sum(
        change.table.bytes * change.counted.window / max(change.counted.rows, 1) for change in changes if not change.whole
    )
    if windows > WINDOW_SHARE * total:
        return Choice(full=f"{round(100 * windows / total)} % of the bytes may have changed since the last run")
    return Choice(changes=tuple(changes), rows={name: its.rows for name, its in counted.items()}, tables=len(plan.tables))


def unindexed(plan: Plan, built: Mapping[str, Collection[str]], table: str) -> list[TablePlan]:
    """Return the published tables that refer to a table by a foreign key without an index of theirs to find rows by.

    `built` has the names of the indexes of each table.
    """
    leading = [(index.table, index.key_columns) for index in plan.keys.indexes if index.name in built.get(index.table, ())]
    return [
        _plan_of(plan, foreign.table)
        for foreign in plan.keys.foreign_keys
        if foreign.referenced_table == table
        and not any(
            name == foreign.table and set(columns[: len(foreign.columns)]) == set(foreign.columns)
            for name, columns in leading
        )
    ]


def changing_servers(known: State, why: str) -> list[Finding]:
    """Return a warning if full runs follow one another because another server answers each time."""
    if why == known.why == RESTARTED:
        return [
            Finding(
                "origin-changes-servers",
                "this run and the last one were full because another server answered, or the same one started anew: if the "
                "origin's address leads to several servers, give the run that of one",
                object="origin",
            )
        ]
    return []


def _not_by_row(table: TablePlan, its_key: tuple[str, ...]) -> str:
    """Return why the rows of a table that changed can't be replaced one by one, or nothing."""
    if any(column.mask and column.mask.is_keyed for column in table.columns) and not table.key:
        return "its masks are numbered by row"
    return "" if its_key else "it has no key whose columns are published as they are"


def _may_repeat(plan: Plan, table: TablePlan, its_key: tuple[str, ...]) -> bool:
    """Tell whether two rows may have one masked key: not by integers and uuids, which are written in one way."""
    origin = next(found for found in plan.catalog.tables if found.name == table.name)
    return any(table.mask(name) and not is_number(origin.column(name), plan.catalog) for name in its_key)


def _unsteady(plan: TablePlan, table: Table, types: Mapping[int, Type]) -> str:
    """Return the column whose values change when the origin's catalog does, with no row written; nothing for most."""
    for column in plan.columns:
        if column.shows_values:
            parts = parts_of(table.column(column.name).type_oid, types, bounds=True)
            if any(t.schema == "pg_catalog" and (t.name.startswith("reg") or t.name == "aclitem") for t in parts):
                return f"column {column.name} shows names of the origin's catalog"
    return ""


def _plan_of(plan: Plan, name: str) -> TablePlan:
    return next(table for table in plan.tables if table.name == name)
