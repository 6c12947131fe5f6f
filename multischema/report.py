"""The report of a run: what was published, what was left out and why, in names and numbers, never a value."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from multischema.findings import Finding
from multischema.job import Job
from multischema.plan.history import Recorded
from multischema.plan.plan import Plan
from multischema.plan.refresh import Choice
from multischema.plan.scan import Scanned, reasons
from multischema.rules.expected import Told
from multischema.words import _NBSP, count, escaped, in_markdown, seconds, size, some

_CHANGED_MOST = 5  # tables whose rows are compared by name
_HEAD = ("table", "rows", "size", "copy s", "index s", "change", "masked columns")


def downloaded(rules: bytes) -> str:
    """Return the line about a rules file."""
    return f"downloaded rules: {size(len(rules))}"


def checked(app: str, plan: Plan) -> str:
    """Return the line about a check that found no problem."""
    return (
        f"checked {app}: {count(len(plan.copied), 'table')} to copy, {len(plan.tables) - len(plan.copied)} truncated, "
        f"{count(len(plan.keys.indexes), 'index', 'indexes')}, {count(len(plan.told().warnings), 'warning')}"
    )


def scanned(app: str, found: Scanned) -> str:
    """Return the line about what the scan looked into."""
    return f"scanned {app}: {found.headline()}"


def scan_details(plan: Plan) -> list[str]:
    """Return what there is to say of a check's scan besides, and the reasons why columns are clear."""
    return [*(plan.scanned.details() if plan.scanned else []), *reasons(plan.copied)]


def _scan(plan: Plan, brought: Scanned | None) -> list[str]:
    """Return what a report says of the check's scan, and of the one of the rows that a refresh brought."""
    rows = [f"rows that changed: {line}" for line in (brought.headline(), *brought.details())] if brought else []
    return [*([plan.scanned.headline()] if plan.scanned else []), *rows, *scan_details(plan)]


@dataclass(frozen=True)
class Checked:
    """What a check found that stopped there: that nothing is wrong, and what a run would take."""

    lines: tuple[str, ...]

    def headline(self) -> str:
        """Sum up the check in one sentence."""
        return "; ".join(self.lines)


@dataclass(frozen=True)
class TableReport:
    """One published table: its rows, its bytes in the target with indexes, the seconds to copy and to index it.

    `masked` are its masked columns, each with what the rules' `masks` say of it; `kept` are those that they name.
    `change` says what came of it in this run.
    """

    name: str
    rows: int
    bytes: int
    copy_seconds: float
    index_seconds: float
    masked: tuple[str, ...]
    truncated: bool
    change: str = ""
    kept: tuple[str, ...] = ()


@dataclass(frozen=True)
class Report:
    """What a run reports once it has published."""

    app: str
    schema: str
    readers: tuple[str, ...]
    choice: str  # refresh or full, and why
    full_at: datetime  # when the last full run was
    tables: tuple[TableReport, ...]
    indexes: int
    foreign_keys: int
    useless: tuple[str, ...]  # indexes not built: nobody can search by what is masked
    useless_bytes: int
    told: Told
    recreated: tuple[str, ...]
    scan: tuple[str, ...]  # what it looked into and what it found, and why columns are clear
    stages: Mapping[str, float]
    stage_bytes: Mapping[str, int]
    recorded: Recorded

    @property
    def rows(self) -> int:
        """Return the number of rows published."""
        return sum(table.rows for table in self.tables)

    @property
    def bytes(self) -> int:
        """Return the size of the published schema."""
        return sum(table.bytes for table in self.tables)

    @property
    def masked(self) -> int:
        """Return the number of masked columns."""
        return sum(len(table.masked) for table in self.tables)

    def saved(self) -> str:
        """Return what leaving out useless indexes saved: their number, and their size in the origin if known."""
        taken = f", {size(self.useless_bytes)} in the origin" if self.useless_bytes else ""
        return f"left out {count(len(self.useless), 'index', 'indexes')} of masked columns only{taken}"

    def age(self) -> str:
        """Return how long ago the last full run was."""
        hours = (datetime.now(UTC) - self.full_at).total_seconds() / 3600
        ago = "now" if hours < 1 else f"{hours:.0f} h ago" if hours < 48 else f"{hours / 24:.0f} days ago"
        return f"last full run: {ago}"

    def as_of(self) -> str:
        """Return as of when the data is."""
        at = self.recorded.ran.snapshot_at
        return f"data as of {_moment(at)}" if at else "the backup does not tell as of when its data is"

    def differences(self) -> list[str]:
        """Return what differs from the last run: rows, size and time in all, tables that came or went, rows of tables."""
        ran, before = self.recorded.ran, self.recorded.before
        if not before:
            return []
        lines = [
            f"since the run of {_moment(before.published_at)}: {_signed(ran.rows - before.rows, _number)} rows, "
            f"{_signed(ran.bytes - before.bytes, size)}; it took {seconds(before.seconds)} until it published, this one "
            f"{seconds(ran.seconds)}"
        ]
        now = {table.name: table.rows for table in self.tables}
        if not before.tables:
            return lines
        lines += [f"new tables: {some(names)}"] if (names := sorted(now.keys() - before.tables.keys())) else []
        lines += [f"tables gone: {some(names)}"] if (names := sorted(before.tables.keys() - now.keys())) else []
        changed = {name: rows - before.tables[name] for name, rows in now.items() if before.tables.get(name, rows) != rows}
        most = sorted(changed, key=lambda name: (-abs(changed[name]), name))
        if changed:
            more = f" and {count(len(most) - _CHANGED_MOST, 'other')}" if len(most) > _CHANGED_MOST else ""
            shown = ", ".join(f"{name} {_signed(changed[name], _number)}" for name in most[:_CHANGED_MOST])
            lines.append(f"rows changed most: {shown}{more}")
        return lines

    def headline(self) -> str:
        """Sum up the run in one sentence."""
        done = "published" if self.choice.startswith("full") else "refreshed"
        return (
            f"{done} {self.schema} for {some(self.readers)}: {count(len(self.tables), 'table')}, {count(self.rows, 'row')}, "
            f"{size(self.bytes)}, {count(self.masked, 'masked column')}, {seconds(sum(self.stages.values()))}"
        )


def make_report(
    job: Job,
    plan: Plan,
    choice: Choice,
    full_at: datetime,
    *,
    changes: Mapping[str, str],
    rows: Mapping[str, int],
    copy_seconds: Mapping[str, float],
    index_seconds: Mapping[str, float],
    sizes: Mapping[str, int],
    warnings: Sequence[Finding],
    recreated: Sequence[str],
    stages: Mapping[str, float],
    stage_bytes: Mapping[str, int],
    recorded: Recorded,
    brought: Scanned | None = None,
) -> Report:
    """Build the report from what the stages measured; `stage_bytes` is what the dump and restore stages wrote.

    `warnings` are those of the stages, beside the plan's; `brought` is what the scan found in rows that a refresh brought.
    """
    return Report(
        app=job.app,
        schema=job.schema,
        readers=job.readers,
        choice=choice.line(),
        full_at=full_at,
        tables=tuple(
            TableReport(
                name=table.name,
                rows=rows.get(table.name, 0),
                bytes=sizes.get(table.name, 0),
                copy_seconds=copy_seconds.get(table.name, 0.0),
                index_seconds=index_seconds.get(table.name, 0.0),
                masked=tuple(column.said for column in table.masked) if not table.truncated else (),
                truncated=table.truncated,
                change=changes.get(table.name, ""),
                kept=tuple(column.said for column in table.masked if column.rule),
            )
            for table in plan.tables
        ),
        indexes=len(plan.keys.indexes),
        foreign_keys=len(plan.keys.foreign_keys),
        useless=tuple(f"{index.name} of {index.table}" for index in plan.keys.useless),
        useless_bytes=0 if job.from_dump else sum(index.bytes for index in plan.keys.useless),
        told=plan.told(warnings),
        recreated=tuple(recreated),
        scan=tuple(_scan(plan, brought)),
        stages=stages,
        stage_bytes=stage_bytes,
        recorded=recorded,
    )


def said(told: Told) -> list[str]:
    """Return what a terminal shows of findings: each with its level, the expected ones in one line."""
    lines = [f"{finding.level}: {finding.coded()}" for finding in (*told.warnings, *told.notes)]
    return [*lines, expected] if (expected := told.expected_line()) else lines


def markdown(report: Report) -> str:
    """Return the report as Prefect's artifact shows it, below the headline, which is its description."""

    def section(title: str, found: Sequence[Finding]) -> list[str]:
        return [f"## {title}", "", *(f"* {in_markdown(finding.coded())}" for finding in found), ""] if found else []

    as_of = report.as_of()
    lines = [f"{as_of[0].upper()}{as_of[1:]}.", "", f"{in_markdown(report.choice)}; {report.age()}.", ""]
    lines += [*(f"* {in_markdown(line)}" for line in report.differences()), ""] if report.differences() else []
    lines += [f"Recreated on the new tables: {in_markdown(', '.join(report.recreated))}.", ""] if report.recreated else []
    lines += [*section("Warnings", report.told.warnings), *section("Notes", report.told.notes)]
    lines += [f"{in_markdown(expected)}.", ""] if (expected := report.told.expected_line()) else []
    lines += ["## Scan", "", *(f"* {in_markdown(line)}" for line in report.scan), ""] if report.scan else []
    lines += ["## Stages", "", "| stage | seconds |", "| --- | ---: |"]
    sizes = {stage: f" ({size(bytes_).replace(' ', _NBSP)})" for stage, bytes_ in report.stage_bytes.items()}
    lines += [f"| {stage}{sizes.get(stage, '')} | {value:.1f} |" for stage, value in report.stages.items()]
    lines += ["", "## Tables", ""]
    head = (*_HEAD[:-1], "masked")
    lines += [f"| {' | '.join(row)} |" for row in (head, ("---", *4 * ("---:",), "---", "---:"))]
    for table in report.tables:
        name, *numbers, change, masked = _cells(table, f"{len(table.masked):,}")
        # a size that wraps would make every row two lines high
        cells = [
            in_markdown(name),
            *(cell.replace(" ", _NBSP) for cell in numbers),
            in_markdown(change),
            in_markdown(masked),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    # lists of names, not a column of the table: Prefect's UI cuts a wide table at its right
    lists = [
        f"* **{in_markdown(table.name)}**: {in_markdown(', '.join(table.masked))}" for table in report.tables if table.masked
    ]
    lines += ["", "## Masked columns", "", *lists] if lists else []
    if report.useless:
        lines += ["", "## Indexes left out", "", f"L{report.saved()[1:]}: {in_markdown(', '.join(report.useless))}."]
    return "\n".join(map(escaped, lines)) + "\n"


def plain(report: Report) -> str:
    """Return the report as a terminal shows it."""
    rows = [_HEAD, *(_cells(table, _listed(table.masked, 48)) for table in report.tables)]
    widths = [max(len(row[place]) for row in rows) for place in range(6)]
    lines = [
        "  ".join(
            [row[0].ljust(widths[0]), *(row[i].rjust(widths[i]) for i in range(1, 5)), row[5].ljust(widths[5]), row[6]]
        ).rstrip()
        for row in rows
    ]
    # the last column of a table names a few, and a mask may not be among them
    masks = [f"masks of {table.name}: {', '.join(table.kept)}" for table in report.tables if table.kept]
    lines += ["", *masks] if masks else []
    told = said(report.told)
    lines += ["", *told] if told else []
    lines += ["", *(f"scan: {line}" for line in report.scan)] if report.scan else []
    lines += ["", f"{report.saved()}: {_listed(report.useless, 80)}"] if report.useless else []
    lines += ["", f"recreated on the new tables: {', '.join(report.recreated)}"] if report.recreated else []
    lines += ["", *report.differences(), f"{report.choice}; {report.age()}", report.as_of(), report.headline()]
    return "\n".join(map(escaped, lines))


def _moment(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def _number(value: int) -> str:
    return f"{value:,}"


def _signed(value: int, said: Callable[[int], str]) -> str:
    """Return a difference with its sign, as in `+1,204` or `-12 MB`."""
    return f"{'-' if value < 0 else '+'}{said(abs(value))}"


def _cells(table: TableReport, masked: str) -> tuple[str, ...]:
    return (
        escaped(table.name),
        "truncated" if table.truncated else f"{table.rows:,}",
        size(table.bytes),
        f"{table.copy_seconds:.2f}",
        f"{table.index_seconds:.2f}",
        escaped(table.change),
        escaped(masked),
    )


def _listed(names: Sequence[str], width: int) -> str:
    """Return as many names as fit, then how many more there are."""
    shown = list(names)
    while len(shown) > 1 and len(", ".join(shown)) > width:
        shown.pop()
    more = len(names) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")
