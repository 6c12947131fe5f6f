"""What the scan of columns that are published as they are has counted, and what it says of that."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from multischema.findings import Finding, Level, note
from multischema.plan.tables import ColumnPlan, TablePlan
from multischema.words import count, plural, seconds

MOST = 0.5  # of a column's values, those that are not NULL: the column is that
MANY = 0.001  # of them: its texts hold it
FEW = 2  # values: one alone may be chance, and stops no run
RULE_OF_THREE = 3  # what n rows do not show is, with 95 % confidence, in at most 3/n of all
_TODO = "anonymize it, or give the reason why it is clear in clear_because"


@dataclass(frozen=True)
class Counted:
    """What the scan counted in a table: names and numbers, never a value.

    `rows` is how many it read, all of those wanted if `whole`, else a sample; `values` how many of them it looked at, by
    column, none of them NULL or empty; `hits` how many values each detector found, by column and detector, where it found
    any. `unfinished` says why it gave up, if it did. `named` has the datum that a column's name or comment hints at.
    """

    table: str
    rows: int = 0
    whole: bool = False
    values: Mapping[str, int] = field(default_factory=dict)
    hits: Mapping[tuple[str, str], int] = field(default_factory=dict)
    unfinished: str = ""
    named: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Kind:
    """What a detector finds, in words: what a column's values hold, one of them or most of them.

    `worst` is the level that its findings have at most, `alone` the one of a single value.
    """

    code: str
    one: str
    many: str
    worst: Level = "error"
    alone: Level = "warning"


KINDS: Mapping[str, Kind] = {
    "own-data": Kind("scan-own-data", "a masked value of the same row", "masked values of the same row", alone="note"),
    "email": Kind("scan-email", "an e-mail address", "e-mail addresses"),
    "phone": Kind("scan-phone", "a phone number", "phone numbers"),
    "nir": Kind("scan-nir", "a social security number (NIR)", "social security numbers (NIR)"),
    "iban": Kind("scan-iban", "an IBAN", "IBANs"),
    "card": Kind("scan-card", "a card number", "card numbers"),
    "ip-address": Kind("scan-ip-address", "an IP address", "IP addresses"),
    "postal-address": Kind("scan-postal-address", "a postal address", "postal addresses", "warning", "note"),
}
_ORDER: Mapping[Level, int] = {"error": 0, "warning": 1, "note": 2}


@dataclass(frozen=True)
class Scanned:
    """What a scan looked into and what it found; `why` says why it looked into nothing, or what else it did not.

    `left` are the newly clear columns, by table, that it did not look into, or not to the end: the next run does.
    """

    looked: tuple[Counted, ...] = ()
    findings: tuple[Finding, ...] = ()
    seconds: float = 0.0
    why: str = ""
    left: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @property
    def errors(self) -> list[Finding]:
        """Return what stops a run."""
        return self.of("error")

    @property
    def warnings(self) -> list[Finding]:
        """Return what a run warns of."""
        return self.of("warning")

    def of(self, level: Level) -> list[Finding]:
        """Return the findings of a level."""
        return [finding for finding in self.findings if finding.level == level]

    def headline(self) -> str:
        """Sum up in one line what it looked into, and what it found."""
        if not self.looked:
            return f"nothing looked into: {self.why}"
        columns, rows = sum(len(its.values) for its in self.looked), sum(its.rows for its in self.looked)
        found = ", ".join(count(len(its), level) for level in _ORDER if (its := self.of(level)))
        return (
            f"{count(columns, 'clear column')} of {count(len(self.looked), 'table')}, {count(rows, 'row')}, "
            f"{seconds(self.seconds)}: {found or 'nothing found'}" + (f"; {self.why}" if self.why else "")
        )

    def details(self) -> list[str]:
        """Return what there is to say besides: its notes, and what its samples prove; a run has its warnings."""
        return [*self.of("note"), *([proven] if (proven := proof(self.looked)) else [])]


def judge(table: TablePlan, counted: Counted, new: Collection[str]) -> list[Finding]:
    """Return what the counts of a table's columns mean, the worst first; `new` are the columns that were not clear before.

    A column that the rules give a reason for has no finding. One that was clear before is no error: a gate that stops
    tonight's run for what was published yesterday is soon switched off. Nor is its name told again.
    """
    columns = {column.name: column for column in table.clear}
    found = []
    for (name, detector), hits in counted.hits.items():
        if name in columns and hits and not columns[name].because:
            kind, values = KINDS[detector], max(counted.values.get(name, 0), hits)
            what = f"{table.name}.{name} is published as it is, and {_said(kind, hits, values)}"
            level = _level(kind, hits, values, is_new=name in new)
            found.append(Finding(kind.code, what, _TODO, level=level, **_where(table, columns[name])))
    told = {finding.column for finding in found}
    found += [
        _named(table, columns[name], datum)
        for name, datum in counted.named.items()
        if name in columns and name in new and name not in told and not columns[name].because
    ]
    if counted.unfinished:
        found.append(_unfinished(table, counted))
    return sorted(found, key=lambda finding: (_ORDER[finding.level], finding.object, finding.code))


def _where(table: TablePlan, column: ColumnPlan) -> dict[str, Any]:
    return {"side": "rules", "table": table.name, "column": column.name, "line": column.line}


def _named(table: TablePlan, column: ColumnPlan, datum: str) -> Finding:
    """Return the note about a name or a comment: words alone are wrong too often to warn of."""
    what = f"{table.name}.{column.name} is published as it is, and its name or comment hints at {datum}"
    return note("scan-name", what, _TODO, **_where(table, column))


def _level(kind: Kind, hits: int, values: int, *, is_new: bool) -> Level:
    if hits < MANY * values:
        return "note"
    if hits < FEW:
        return kind.alone
    return kind.worst if is_new else "warning"


def _said(kind: Kind, hits: int, values: int) -> str:
    """Return how many of the values are, or hold, what a detector finds."""
    if hits >= MOST * values:
        return f"most of it is {kind.many} ({hits:,} of {count(values, 'value')})"
    return f"{hits:,} of {count(values, 'value')} {plural(hits, 'holds', 'hold')} {kind.one}"


def _unfinished(table: TablePlan, counted: Counted) -> Finding:
    return Finding(
        "scan-unfinished",
        f"the scan did not finish table {table.name}: {counted.unfinished}",
        "`python -m flows.rules scan` takes --table and --timeout",
        table=table.name,
    )


def proof(looked: Sequence[Counted]) -> str:
    """Return what it means that samples did not show more; nothing where all rows were read."""
    sizes = [counted.rows for counted in looked if not counted.whole and not counted.unfinished]
    if not sizes or min(sizes) < RULE_OF_THREE:
        return ""
    least = min(sizes)
    return (
        f"what a sample of {least:,} rows does not show is, with 95 % confidence, in at most 1 of "
        f"{least // RULE_OF_THREE:,} rows"
    )


def reasons(tables: Sequence[TablePlan]) -> list[str]:
    """Return the reasons why columns are published as they are, a line each."""
    return [
        f"reason for {table.name}.{column.name}: {column.because}"
        for table in sorted(tables, key=lambda table: table.name)
        for column in table.clear
        if column.because
    ]
