"""Do the rules decide about every table and column? Gaps stop a run before any row is read."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import yaml

from multischema.catalog import Catalog, Column, ForeignKey, Table
from multischema.flattening import flatten
from multischema.names import cut, escaped
from multischema.planning import some
from multischema.rules import Rules, TableRules


@dataclass(frozen=True)
class Findings:
    """What the comparison of rules and catalog found: problems stop the run, warnings go into the report.

    `rules` are those that the run follows: key columns that refer to anonymized ones are anonymized in them too.
    """

    problems: tuple[str, ...]
    warnings: tuple[str, ...]
    snippet: str
    rules: Rules

    def lines(self, side: str) -> list[str]:
        """Return a line for each problem, which is of this side, then the lines of the snippet."""
        snippet = self.snippet.removesuffix("\n").split("\n") if self.snippet else []
        return [*(f"{side}: {line}" for line in self.problems), *snippet]


@dataclass(frozen=True)
class Reference:
    """What a key column refers to, and how that is hidden: anonymized, or truncated."""

    column: str
    hidden: str


def compare(rules: Rules, catalog: Catalog) -> Findings:
    """Return every gap between the rules and the origin's catalog, with a snippet that is ready to paste."""
    followed = effective(rules, catalog)
    referring = _referring(followed.tables, catalog)
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
            warnings += _table_warnings(table, own, referring, catalog)
            stricter, found = _stricter_partitions(table, rules, followed.tables[table.name], catalog)
            problems += found
            missing += [column for column in stricter if column not in missing]
        if own is None or missing:
            entries.append(entry(table.name, own, missing))
    known = {table.name for table in catalog.tables} | catalog.partitions.keys() | catalog.others.keys()
    unknown = [cut(name) for name in rules.tables if name not in known]
    if unknown:
        warnings.append(f"rules for table{'s'[: len(unknown) > 1]} {some(unknown)}, which the origin does not have")
    snippet = "tables:\n" + "".join(entries) if entries else ""
    return Findings(tuple(problems), tuple(warnings), snippet, followed)


def effective(rules: Rules, catalog: Catalog) -> Rules:
    """Return the rules that a run follows: keys that refer to a hidden column hold its values, and are anonymized too.

    Only where they are not listed: else the rules say themselves what they are.
    """
    tables = dict(rules.tables)
    while True:
        more: defaultdict[str, set[str]] = defaultdict(set)
        for table, column in _referring(tables, catalog):
            own = tables.get(table)
            if own and not own.truncated and column not in own.anonymized | own.non_anonymized:
                more[table].add(column)
        if not more:
            return Rules(tables)
        for table, columns in more.items():
            tables[table] = replace(tables[table], anonymized=tables[table].anonymized | columns)


def _referring(rules: Mapping[str, TableRules], catalog: Catalog) -> dict[tuple[str, str], Reference]:
    """Return the columns, by table, that refer to a hidden one: anonymized, or a natural key of a truncated table.

    Integers and uuids of truncated tables say nothing of a row, and are counted by; unless they refer to a hidden column.
    """
    tables = {table.name: table for table in catalog.tables}
    hidden = {table.name: _hidden(table, rules.get(table.name)) for table in catalog.tables}
    referring: dict[tuple[str, str], Reference] = {}

    def refer(key: ForeignKey, column: str, referenced: str) -> Reference | None:
        name = catalog.partitions.get(key.referenced_table, key.referenced_table)
        if name not in tables or (name, referenced) == (key.table, column):
            return None
        if referenced in hidden[name]:
            return Reference(f"{name}.{referenced}", "anonymized")
        if not _is_truncated(rules.get(name)):
            return None
        if not all(
            _is_number(tables[table].column(part), catalog) for table, part in ((key.table, column), (name, referenced))
        ):
            return Reference(f"{name}.{referenced}", "truncated")
        further = referring.get((name, referenced))  # the rules of a truncated table anonymize none of its columns
        return replace(further, column=f"{name}.{referenced} and so to {further.column}") if further else None

    pairs = [
        (key, column, referenced)
        for table in catalog.tables
        for key in table.foreign_keys
        if key.referenced_schema == catalog.schema
        for column, referenced in zip(key.columns, key.referenced_columns, strict=True)
    ]
    while True:
        before = len(referring)
        for key, column, referenced in pairs:
            if (key.table, column) not in referring and (found := refer(key, column, referenced)):
                referring[key.table, column] = found
        if len(referring) == before:
            return referring


def _is_truncated(rules: TableRules | None) -> bool:
    return bool(rules and rules.truncated)


def _hidden(table: Table, rules: TableRules | None) -> frozenset[str]:
    """Return the columns of a table that are anonymized, or computed from such a one."""
    anonymized = rules.anonymized if rules else frozenset[str]()
    return anonymized.union(c.name for c in table.columns if c.generated and anonymized.intersection(c.generated_from))


def _stricter_partitions(table: Table, rules: Rules, followed: TableRules, catalog: Catalog) -> tuple[list[str], list[str]]:
    """Return what entries of partitions anonymize and their root's does not, and a problem for each stricter entry."""
    if followed.truncated:
        return [], []
    published = {column.name for column in table.columns} - _hidden(table, followed)
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
                f"partition {name} follows the rules of {table.name}, which do not {what} as its own do; "
                f"{cure} too, or take it out of the entry of {name}"
            )
    return sorted(columns), problems


def missing_columns(table: Table, rules: TableRules | None) -> list[str]:
    """Return the columns that need a rule and have none; keys need none."""
    if rules and rules.truncated:
        return []
    listed = rules.anonymized | rules.non_anonymized if rules else frozenset[str]()
    return [column.name for column in table.columns if column.name not in listed | table.key_columns]


def entry(table: str, rules: TableRules | None, undecided: Sequence[str]) -> str:
    """Return a whole entry of a rules file; what is undecided is anonymized until someone decides."""
    decided = sorted(rules.anonymized) if rules else []
    kept = sorted(rules.non_anonymized - rules.anonymized.union(undecided)) if rules else []
    decided, kept = ([name for name in names if cut(name) == name] for names in (decided, kept))  # no column has the others
    lines = [f"  - table_name: {scalar(table)}", "    anonymized_column_names:"]
    lines += [f"      - {scalar(name)}" for name in decided]
    if undecided:
        lines += ["      # decide:", *(f"      - {scalar(name)}" for name in undecided)]
    lines += ["    non_anonymized_column_names:", *(f"      - {scalar(name)}" for name in kept)]
    return "\n".join(lines) + "\n"


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
            warnings.append(f"{table.name}.{name} is anonymized: it refers to {other.column}, which {which}")
        elif name not in rules.non_anonymized and not _is_number(table.column(name), catalog):
            kind = table.column(name).type_text
            warnings.append(f"{table.name}.{name} is a key without a rule, of type {kind}: copied as it is")
    return warnings


def _is_number(column: Column, catalog: Catalog) -> bool:
    """Tell a key that is an integer or a uuid from one that may be a name."""
    return flatten(column.type_oid, column.type_text, catalog.types).is_key


def scalar(name: str) -> str:
    """Return a name as YAML writes it, on one line."""
    if escaped(name) != name:
        # a node: Prefect has Python's texts of several lines written as blocks, everywhere
        node = yaml.ScalarNode("tag:yaml.org,2002:str", name, style='"')
        return yaml.serialize(node, Dumper=yaml.SafeDumper, width=1000).removesuffix("\n")
    return yaml.safe_dump(name, allow_unicode=True, width=1000).removesuffix("\n").removesuffix("\n...")
