"""The report of a run: what was published, what was left out and why, in names and numbers, never a value."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from multischema.job import Job
from multischema.plan.plan import Plan
from multischema.plan.refresh import Choice
from multischema.words import _NBSP, count, escaped, seconds, size

_HEAD = ("table", "rows", "size", "copy s", "index s", "change", "masked columns")


def downloaded(rules: bytes) -> str:
    """Return the line about a rules file."""
    return f"downloaded rules: {size(len(rules))}"


def checked(app: str, plan: Plan) -> str:
    """Return the line about a check that found no problem."""
    return (
        f"checked {app}: {count(len(plan.copied), 'table')} to copy, {len(plan.tables) - len(plan.copied)} truncated, "
        f"{count(len(plan.keys.indexes), 'index', 'indexes')}, {count(len(plan.warnings), 'warning')}"
    )


@dataclass(frozen=True)
class TableReport:
    """One published table: its rows, its bytes in the target with indexes, the seconds to copy and to index it.

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


@dataclass(frozen=True)
class Report:
    """What a run reports once it has published."""

    app: str
    schema: str
    reader: str
    choice: str  # refresh or full, and why
    full_at: datetime  # when the last full run was
    tables: tuple[TableReport, ...]
    indexes: int
    foreign_keys: int
    useless: tuple[str, ...]  # indexes not built: nobody can search by what is masked
    useless_bytes: int
    warnings: tuple[str, ...]
    recreated: tuple[str, ...]
    stages: Mapping[str, float]
    stage_bytes: Mapping[str, int]

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

    def headline(self) -> str:
        """Sum up the run in one sentence."""
        done = "published" if self.choice.startswith("full") else "refreshed"
        return (
            f"{done} {self.schema} for {self.reader}: {count(len(self.tables), 'table')}, {count(self.rows, 'row')}, "
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
    warnings: Sequence[str],
    recreated: Sequence[str],
    stages: Mapping[str, float],
    stage_bytes: Mapping[str, int],
) -> Report:
    """Build the report from what the stages measured; `stage_bytes` is what the dump and restore stages wrote."""
    return Report(
        app=job.app,
        schema=job.schema,
        reader=job.reader,
        choice=choice.line(),
        full_at=full_at,
        tables=tuple(
            TableReport(
                name=table.name,
                rows=rows.get(table.name, 0),
                bytes=sizes.get(table.name, 0),
                copy_seconds=copy_seconds.get(table.name, 0.0),
                index_seconds=index_seconds.get(table.name, 0.0),
                masked=tuple(column.name for column in table.masked) if not table.truncated else (),
                truncated=table.truncated,
                change=changes.get(table.name, ""),
            )
            for table in plan.tables
        ),
        indexes=len(plan.keys.indexes),
        foreign_keys=len(plan.keys.foreign_keys),
        useless=tuple(f"{index.name} of {index.table}" for index in plan.keys.useless),
        useless_bytes=0 if job.from_dump else sum(index.bytes for index in plan.keys.useless),
        warnings=tuple(warnings),
        recreated=tuple(recreated),
        stages=stages,
        stage_bytes=stage_bytes,
    )


def markdown(report: Report) -> str:
    """Return the report as Prefect's artifact shows it."""
    lines = [f"# {report.app}", "", report.headline() + ".", "", f"{_escape(report.choice)}; {report.age()}.", ""]
    lines += [f"Recreated on the new tables: {_escape(', '.join(report.recreated))}.", ""] if report.recreated else []
    lines += ["## Warnings", "", *(f"* {_escape(warning)}" for warning in report.warnings), ""] if report.warnings else []
    lines += ["## Stages", "", "| stage | seconds |", "| --- | ---: |"]
    sizes = {stage: f" ({size(bytes_).replace(' ', _NBSP)})" for stage, bytes_ in report.stage_bytes.items()}
    lines += [f"| {stage}{sizes.get(stage, '')} | {value:.1f} |" for stage, value in report.stages.items()]
    lines += ["", "## Tables", ""]
    lines += [f"| {' | '.join(row)} |" for row in (_HEAD, ("---", *4 * ("---:",), "---", "---"))]
    for table in report.tables:
        name, *numbers, change, masked = _cells(table, ", ".join(table.masked))
        # a size that wraps would make every row two lines high
        cells = [_escape(name), *(cell.replace(" ", _NBSP) for cell in numbers), _escape(change), _escape(masked)]
        lines.append(f"| {' | '.join(cells)} |")
    if report.useless:
        lines += ["", "## Indexes left out", "", f"L{report.saved()[1:]}: {_escape(', '.join(report.useless))}."]
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
    lines += ["", *(f"warning: {warning}" for warning in report.warnings)] if report.warnings else []
    lines += ["", f"{report.saved()}: {_listed(report.useless, 80)}"] if report.useless else []
    lines += ["", f"recreated on the new tables: {', '.join(report.recreated)}"] if report.recreated else []
    return "\n".join(map(escaped, [*lines, "", f"{report.choice}; {report.age()}", report.headline()]))


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


def _escape(text: str) -> str:
    text = escaped(text)
    for character in "\\|*_`<>[]":
        text = text.replace(character, f"\\{character}")
    return text
