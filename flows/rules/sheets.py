"""The sheet for the register of processing, as Markdown and as CSV: pure, from what is known of each app."""

import csv
import io
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date

from flows.apps import Schedule
from flows.rules.wording import TEXTS, Language, text
from multischema.catalog.objects import RecordedRun
from multischema.rules.masks import KAnonymity, MaskRule
from multischema.rules.register import TREATMENTS, TreatedColumn, TreatedTable
from multischema.words import escaped, in_markdown

# what a French spreadsheet takes for the sign between cells, and an English one
_DELIMITERS: dict[Language, str] = {"fr": ";", "en": ","}
_THOUSANDS: dict[Language, str] = {"fr": "\N{NO-BREAK SPACE}", "en": ","}
_HEAD = ("app", "schema", "table", "column", "type", "treatment", "detail", "reason", "recipients", "last run")
# a spreadsheet takes a cell that begins so for a formula
_FORMULA = re.compile("[=+\\-@\t\r\uff1d\uff0b\uff0d\uff20]")


@dataclass(frozen=True)
class Sheet:
    """What is known of an app. None is what nobody told: a variable, prefect.yaml or a target is missing.

    `recorded` is the last run; `has_target` tells whether a target was asked for it. `rules` is a name without secrets.
    """

    app: str
    rules: str
    schema: str
    origin_schema: str
    mode: str
    scan: str
    reader: str | None
    schema_readers: Sequence[str] | None
    host: str | None
    schedules: Sequence[Schedule] | None
    has_target: bool
    recorded: RecordedRun | None
    has_origin: bool
    tables: Sequence[TreatedTable]

    @property
    def has_pseudonyms(self) -> bool:
        """Tell whether a column is pseudonymized, which is less than anonymized."""
        return any(column.treatment == "pseudonymized" for table in self.tables for column in table.columns)


# Markdown.


def markdown(sheets: Sequence[Sheet], made: date, language: Language) -> str:
    """Return one document with a chapter for each app, to be printed with a line break."""
    lines = [f"# {text('title', language)}", "", text("made", language, made.isoformat()), ""]
    lines += [text("purpose of the sheet", language), ""]
    for sheet in sheets:
        lines += _chapter(sheet, language)
    return "\n".join(lines).rstrip("\n")


def _chapter(sheet: Sheet, language: Language) -> Iterator[str]:
    yield from (f"## {_code(sheet.app)}", "", "| | |", "| --- | --- |")
    for name, said in _rubrics(sheet, language):
        yield f"| {text(name, language)} | {said} |"
    yield from ("", f"### {text('published', language)}", "", _counts(sheet, language), "")
    yield from (text("what stays", language), "", text("keys lead back", language), "")
    if not sheet.has_origin:
        yield from (text("no origin", language), "")
    if sheet.has_pseudonyms:
        yield from (text("pseudonyms", language), "")
    for table in sheet.tables:
        if not table.truncated:
            yield from _table(table, language, with_types=sheet.has_origin)
    if truncated := [_code(table.name) for table in sheet.tables if table.truncated]:
        yield from (text("without rows", language, ", ".join(truncated)), "")


def _rubrics(sheet: Sheet, language: Language) -> Iterator[tuple[str, str]]:
    """Give the rubrics of a register, each with what is known of it."""
    to_fill_in = text("to fill in", language)
    yield "processing", text("the processing", language, _code(sheet.app))
    yield "controller", to_fill_in
    yield "officer", to_fill_in
    yield "purpose", text("the purpose", language)
    yield "legal basis", to_fill_in
    yield "people", to_fill_in
    yield "data", text("the data", language)
    yield "source", text("the source", language, _code(sheet.origin_schema))
    yield "destination", text("the destination", language, _code(sheet.schema))
    yield "recipients", "; ".join(_recipients(sheet, language, _code))
    yield "processors", to_fill_in
    yield "transfers", to_fill_in
    yield "retention", text("the retention", language)
    yield "security", text(f"security of {sheet.mode}", language) + text(f"scan {sheet.scan}", language)
    yield "host", text("unknown app", language) if sheet.host is None else _code(sheet.host)
    yield "schedule", _schedule(sheet, language)
    yield "last run", in_markdown(_last_run(sheet, language))
    yield "rules", _code(sheet.rules)


def _schedule(sheet: Sheet, language: Language) -> str:
    if sheet.schedules is None:
        return text("unknown app", language)
    shown = [f"{_code(each.cron)} ({in_markdown(each.timezone)})" for each in sheet.schedules]
    return "; ".join(shown) or text("no schedule", language)


def _counts(sheet: Sheet, language: Language) -> str:
    numbers = Counter(column.treatment for table in sheet.tables for column in table.columns)
    truncated = sum(table.truncated for table in sheet.tables)
    each = (numbers[treatment] for treatment in TREATMENTS)
    return text("counts", language, len(sheet.tables), truncated, numbers.total(), *each)


def _table(table: TreatedTable, language: Language, *, with_types: bool) -> Iterator[str]:
    """Give the lines of one table: a row for each column."""
    yield from (f"#### {_code(table.name)}", "")
    if not table.columns:
        yield from (text("only keys", language), "")
        return
    head = ["column", *(["type"] if with_types else []), "treatment", "detail"]
    yield f"| {' | '.join(text(name, language) for name in head)} |"
    yield f"| {' | '.join('---' for _ in head)} |"
    for column in table.columns:
        detail = _detail(column, language) or _reason(column, language)
        cells = [_code(column.name), *([_code(column.type)] if with_types else [])]
        cells += [text(f"treated {column.treatment}", language), in_markdown(detail)]
        yield f"| {' | '.join(cells)} |"
    yield ""
    if table.k_anonymity:
        columns = ", ".join(map(_code, table.k_anonymity.columns))
        combination = in_markdown(_combination(table.k_anonymity, language))
        yield from (text("combination of", language, columns, combination), "")


def _code(name: str) -> str:
    """Return a name in code style, as a cell of a table may hold it."""
    name = escaped(name)
    longest = max((len(found) for found in re.findall("`+", name)), default=0)
    fence, around = "`" * (longest + 1), " " if "`" in name[:1] + name[-1:] else ""
    return f"{fence}{around}{name}{around}{fence}".replace("|", "\\|")


# CSV.


def table_of_cells(sheets: Sequence[Sheet], language: Language) -> str:
    """Return one table as CSV, to be printed with a line break: a row for each column of each table of each app.

    It begins with the mark by which a spreadsheet knows UTF-8. All cells are quoted, and formulas are made texts: whoever
    makes a table in an app must not run code on the machine of whoever opens this.
    """
    written = io.StringIO()
    writer = csv.writer(written, delimiter=_DELIMITERS[language], quoting=csv.QUOTE_ALL, lineterminator="\r\n")
    writer.writerow([text(name, language).lower() for name in _HEAD])
    for sheet in sheets:
        known = (", ".join(_recipients(sheet, language)), _last_run(sheet, language))
        for table in sheet.tables:
            for cells in _rows(table, language):
                writer.writerow([_harmless(cell) for cell in (sheet.app, sheet.schema, table.name, *cells, *known)])
    return "\ufeff" + written.getvalue().removesuffix("\n")


def _rows(table: TreatedTable, language: Language) -> Iterator[tuple[str, ...]]:
    """Give column, type, treatment, detail and reason, of each column of a table."""
    if table.truncated or not table.columns:
        yield ("", "", text("treated truncated" if table.truncated else "treated only keys", language), "", "")
    for column in table.columns:
        treatment = text(f"treated {column.treatment}", language)
        yield (column.name, column.type, treatment, _detail(column, language), _reason(column, language))
    if gate := table.k_anonymity:
        yield (", ".join(gate.columns), "", _combination(gate, language), "", "")


def _harmless(cell: str) -> str:
    """Return a cell as one line that no spreadsheet computes."""
    cell = escaped(cell)
    return f"'{cell}" if _FORMULA.match(cell.lstrip()) else cell


# What both say.


def _recipients(sheet: Sheet, language: Language, style: Callable[[str], str] = str) -> Iterator[str]:
    """Give who may read what is published."""
    yield style(sheet.reader) if sheet.reader else text("unknown reader", language)
    if sheet.schema_readers is None:
        yield text("unknown schema readers", language)
    for role in sheet.schema_readers or ():
        yield text("this schema only", language, style(role))


def _last_run(sheet: Sheet, language: Language) -> str:
    if not sheet.recorded:
        return text("no run" if sheet.has_target else "no target", language)
    moment = sheet.recorded.published_at.astimezone(UTC)
    rows = f"{sheet.recorded.rows:,}".replace(",", _THOUSANDS[language])
    said = text("the last run", language, f"{moment:%Y-%m-%d %H:%M}", rows)
    return said if sheet.recorded.is_there else said + text("the schema is gone", language)


def _detail(column: TreatedColumn, language: Language) -> str:
    """Return how a column is partly anonymized, in words."""
    return mask_in_words(column.rule, language) if column.rule else ""


def _reason(column: TreatedColumn, language: Language) -> str:
    """Return why a column is published as it is."""
    return column.reason or text("no reason", language) if column.treatment == "clear" else ""


def mask_in_words(rule: MaskRule, language: Language) -> str:
    """Return how a rule anonymizes, for people who know no rules file."""
    said = text("mask of some rows", language)
    if rule.mask:
        found = rule.mask.written()
        values = found if isinstance(found, list) else [] if found is None else [found]
        listed = ", ".join(_word(str(value), language) for value in values) or text("nothing listed", language)
        said = text(f"mask {rule.mask.kind}", language, listed)
    if rule.only_when:
        said += f", {text('only when', language, rule.only_when.column, ', '.join(rule.only_when.said))}"
    return said


def _word(value: str, language: Language) -> str:
    return text(f"word {value}", language) if f"word {value}" in TEXTS else value


def _combination(gate: KAnonymity, language: Language) -> str:
    least = text("of different", language, gate.k, gate.per) if gate.per else text("of rows", language, gate.k)
    return text(f"combination {gate.on_breach}", language, least)
