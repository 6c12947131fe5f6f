"""Gaps in the rules: tables and columns that they don't decide on stop a run before any row is read."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from multischema.catalog.tables import Catalog, Table
from multischema.errors import Snippet
from multischema.rules.file import Rules, TableRules
from multischema.rules.fitting import fit
from multischema.rules.following import Reference, effective, hidden_columns, is_number, referring
from multischema.rules.writing import entry
from multischema.words import cut, plural, some


@dataclass(frozen=True)
class Gaps:
    """What the comparison of rules and catalog found: problems stop the run, warnings go into the report.

    `rules` are the ones that the run follows, with key columns that refer to anonymized ones anonymized too, and without
    masks that don't fit.
    """

    problems: tuple[str, ...]
    warnings: tuple[str, ...]
    snippet: str
    rules: Rules

    def lines(self, side: str) -> list[str]:
        """Return a line for each problem, after this side's name, then the lines of the snippet."""
        snippet = self.snippet.removesuffix("\n").split("\n") if self.snippet else []
        return [*(f"{side}: {line}" for line in self.problems), *map(Snippet, snippet)]


def compare(rules: Rules, catalog: Catalog) -> Gaps:
    """Return every gap between the rules and the origin's catalog, with a snippet ready to paste."""
    followed = effective(rules, catalog)
    references = referring(followed.tables, catalog)
    tables = dict(followed.tables)
    problems: list[str] = []
    warnings: list[str] = []
    entries: list[str] = []
    for table in catalog.tables:
        own = rules.tables.get(table.name)
        missing = missing_columns(table, own)
        if own is None:
            problems.append(f"missing rules for table {table.name}")
        else:
            problems += [f"missing rule for column {table.name}.{column}" for column in missing]
            fitted = fit(table, tables[table.name], catalog)
            problems += fitted.problems
            warnings += [*_table_warnings(table, own, references, catalog), *fitted.warnings]
            tables[table.name] = fitted.rules
            stricter, found = _stricter_partitions(table, rules, followed.tables[table.name], catalog)
            problems += found
            missing += [column for column in stricter if column not in missing]
        if own is None or missing:
            entries.append(entry(table.name, own, missing))
    known = {table.name for table in catalog.tables} | catalog.partitions.keys() | catalog.others.keys()
    unknown = [cut(name) for name in rules.tables if name not in known]
    if unknown:
        warnings.append(f"rules for {plural(len(unknown), 'table')} {some(unknown)}, which the origin does not have")
    snippet = "tables:\n" + "".join(entries) if entries else ""
    return Gaps(tuple(problems), tuple(warnings), snippet, replace(rules, tables=tables))


def _stricter_partitions(table: Table, rules: Rules, followed: TableRules, catalog: Catalog) -> tuple[list[str], list[str]]:
    """Return the columns that only partitions' entries anonymize, not their root's, and a problem per stricter entry."""
    if followed.truncated:
        return [], []
    published = {column.name for column in table.columns} - hidden_columns(table, followed)
    columns: set[str] = set()
    problems = []
    for name in sorted(name for name, root in catalog.partitions.items() if root == table.name and name in rules.tables):
        own = rules.tables[name]
        stricter = sorted(own.anonymized & published)
        columns.update(stricter)
        if own.truncated or stricter:
            what = "truncate it" if own.truncated else f"anonymize {some(stricter)}"
            cure = f"truncate {table.name}" if own.truncated else f"anonymize that in {table.name}"
            problems.append(
                f"partition {name} has rules that {what}, but it follows those of {table.name}, which do not; "
                f"{cure} too, or take it out of the entry for {name}"
            )
        problems += [
            f"partition {name} has rules that {what} otherwise than those of {table.name} do, which it follows; "
            f"change them in {table.name}, or take it out of the entry for {name}"
            for what in _otherwise(own, followed)
        ]
    return sorted(columns), problems


def _otherwise(partition: TableRules, root: TableRules) -> list[str]:
    """Return what a partition's entry says of anonymized columns that its root's does not cover."""
    found = [] if partition.k_anonymity in (None, root.k_anonymity) else ["set k_anonymity"]
    masks = sorted(partition.anonymized & root.masks.keys())
    weaker = [name for name in masks if not root.masks[name].covers(partition.masks.get(name))]
    return [f"mask {some(weaker)}", *found] if weaker else found


def missing_columns(table: Table, rules: TableRules | None) -> list[str]:
    """Return the columns that need a rule and have none; keys need none."""
    if rules and rules.truncated:
        return []
    listed = rules.anonymized | rules.non_anonymized if rules else frozenset[str]()
    return [column.name for column in table.columns if column.name not in listed | table.key_columns]


def _table_warnings(
    table: Table, rules: TableRules, referring: Mapping[tuple[str, str], Reference], catalog: Catalog
) -> list[str]:
    names = {column.name for column in table.columns}
    both = rules.anonymized & rules.non_anonymized & names
    warnings = [f"{table.name}.{name} is in both lists: anonymized" for name in sorted(both)]
    unknown = [cut(name) for name in sorted((rules.anonymized | rules.non_anonymized) - names)]
    if len(unknown) == 1:
        warnings.append(f"rule for column {table.name}.{unknown[0]}, which the origin does not have")
    elif unknown:
        warnings.append(f"rules for columns of {table.name} that the origin does not have: {some(unknown)}")
    if rules.truncated:
        return warnings
    for name in sorted(table.key_columns - rules.anonymized):
        other = referring.get((table.name, name))
        if other and name in rules.non_anonymized:
            whole = f"{other.column}, which is {other.hidden}"
            warnings.append(f"{table.name}.{name} is published as it is, though it refers to {whole}")
        elif other:
            which = "is" if other.hidden == "anonymized" else f"is {other.hidden}"
            warnings.append(f"{table.name}.{name} is anonymized: it refers to {other.column}, which {which}{other.advice}")
        elif name not in rules.non_anonymized and not is_number(table.column(name), catalog):
            kind = table.column(name).type_text
            warnings.append(f"{table.name}.{name} is a key without a rule, of type {kind}: copied as it is")
    return warnings
