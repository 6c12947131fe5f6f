"""Do the rules decide about every table and column? Gaps stop a run before any row is read."""

from collections.abc import Sequence
from dataclasses import dataclass

import yaml

from multischema.catalog import Catalog, Table
from multischema.flattening import flatten
from multischema.rules import Rules, TableRules


@dataclass(frozen=True)
class Findings:
    """What the comparison of rules and catalog found: problems stop the run, warnings go into the report."""

    problems: tuple[str, ...]
    warnings: tuple[str, ...]
    snippet: str


def compare(rules: Rules, catalog: Catalog) -> Findings:
    """Return every gap between the rules and the origin's catalog, with a snippet that is ready to paste."""
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
            warnings += _table_warnings(table, own, catalog)
        if own is None or missing:
            entries.append(entry(table.name, own, missing))
    tables = {table.name for table in catalog.tables}
    for name in rules.tables:
        if name not in tables and name not in catalog.partitions and name not in catalog.others:
            warnings.append(f"rules for table {name}, which the origin does not have")
    snippet = "tables:\n" + "".join(entries) if entries else ""
    return Findings(tuple(problems), tuple(warnings), snippet)


def missing_columns(table: Table, rules: TableRules | None) -> list[str]:
    """Return the columns that need a rule and have none; keys need none."""
    if rules and rules.truncated:
        return []
    listed = rules.anonymized | rules.non_anonymized if rules else frozenset[str]()
    return [column.name for column in table.columns if column.name not in listed | table.key_columns]


def entry(table: str, rules: TableRules | None, undecided: Sequence[str]) -> str:
    """Return a whole entry of a rules file; what is undecided is anonymized until someone decides."""
    decided = sorted(rules.anonymized) if rules else []
    kept = sorted(rules.non_anonymized - rules.anonymized) if rules else []
    lines = [f"  - table_name: {scalar(table)}", "    anonymized_column_names:"]
    lines += [f"      - {scalar(name)}" for name in decided]
    if undecided:
        lines += ["      # decide:", *(f"      - {scalar(name)}" for name in undecided)]
    lines += ["    non_anonymized_column_names:", *(f"      - {scalar(name)}" for name in kept)]
    return "\n".join(lines) + "\n"


def _table_warnings(table: Table, rules: TableRules, catalog: Catalog) -> list[str]:
    names = {column.name for column in table.columns}
    warnings = [
        f"{table.name}.{name} is in both lists: anonymized" for name in sorted(rules.anonymized & rules.non_anonymized)
    ]
    warnings += [
        f"rule for column {table.name}.{name}, which the origin does not have"
        for name in sorted((rules.anonymized | rules.non_anonymized) - names)
    ]
    if rules.truncated:
        return warnings
    for name in sorted(table.key_columns - rules.anonymized - rules.non_anonymized):
        column = table.column(name)
        if not flatten(column.type_oid, column.type_text, catalog.types).is_key:
            warnings.append(f"{table.name}.{name} is a key without a rule, of type {column.type_text}: copied as it is")
    return warnings


def scalar(name: str) -> str:
    """Return a name as YAML writes it."""
    return yaml.safe_dump(name, allow_unicode=True, width=1000).removesuffix("\n").removesuffix("\n...")
