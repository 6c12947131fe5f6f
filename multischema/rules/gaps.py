"""Gaps in the rules: tables and columns that they don't decide on stop a run before any row is read."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from multischema.catalog.tables import Catalog, Table
from multischema.errors import Snippet
from multischema.findings import Finding, note, problem
from multischema.rules import expected
from multischema.rules.file import Rules, TableRules
from multischema.rules.fitting import fit
from multischema.rules.following import Reference, effective, hidden_columns, is_number, referring
from multischema.rules.unknown import unknown_names, unpublished
from multischema.rules.writing import additions
from multischema.words import some


@dataclass(frozen=True)
class Gaps:
    """What the comparison of rules and catalog found: problems stop the run, warnings go into the report; notes are neither.

    `rules` are the ones that the run follows, with key columns that refer to anonymized ones anonymized too, and without
    masks that don't fit.
    """

    problems: tuple[Finding, ...]
    warnings: tuple[Finding, ...]
    notes: tuple[Finding, ...]
    snippet: str
    rules: Rules

    @property
    def remarks(self) -> tuple[Finding, ...]:
        """Return what stops no run: warnings and notes."""
        return (*self.warnings, *self.notes)

    @property
    def unexpected(self) -> tuple[Finding, ...]:
        """Return the warnings that the rules do not expect."""
        return expected.told(self.warnings, self.rules.expected).warnings

    @property
    def snippet_lines(self) -> list[Snippet]:
        """Return the lines of the snippet."""
        return [Snippet(line) for line in self.snippet.removesuffix("\n").split("\n")] if self.snippet else []

    def problems_on(self, side: str) -> list[Finding]:
        """Return the problems: what the rules lack as findings about this side, what they say wrongly as ones about them."""
        return [found if found.side else found.on(side) for found in self.problems]

    def lines(self, side: str) -> list[Finding | Snippet]:
        """Return all that a check that fails says of the rules: problems, new warnings, and last the lines to paste."""
        return [*self.problems_on(side), *self.unexpected, *self.snippet_lines]


def compare(rules: Rules, catalog: Catalog) -> Gaps:
    """Return every gap between the rules and the origin's catalog, with a snippet ready to paste."""
    followed = effective(rules, catalog)
    references = referring(followed.tables, catalog)
    tables = dict(followed.tables)
    missing = {table.name: missing_columns(table, rules.tables.get(table.name)) for table in catalog.tables}
    problems: list[Finding] = []
    warnings = unknown_names(rules, catalog, missing)
    notes = unpublished(rules, catalog)
    undecided: dict[str, list[str]] = {}
    for table in catalog.tables:
        own = rules.tables.get(table.name)
        columns = missing[table.name]
        if own is None:
            problems.append(problem("table-without-rules", f"missing rules for table {table.name}", table=table.name))
        else:
            problems += [
                problem(
                    "column-without-rule",
                    f"missing rule for column {table.name}.{column}",
                    **own.where(column) | {"side": ""},
                )
                for column in columns
            ]
            fitted = fit(table, tables[table.name], catalog)
            problems += fitted.problems
            warnings += [*_table_warnings(table, own, references, catalog), *fitted.warnings]
            warnings += _unused_reasons(table, own, followed.tables[table.name])
            notes += [] if columns else _of_keys_alone(table, own, followed.tables[table.name])
            tables[table.name] = fitted.rules
            stricter, found = _stricter_partitions(table, rules, followed.tables[table.name], catalog)
            problems += found
            # one with a reason why it is clear can't be anonymized: a warning says where to list it
            columns = [column for column in dict.fromkeys([*columns, *stricter]) if column not in own.clear_because]
        if own is None or columns:
            undecided[table.name] = columns
    snippet = additions(rules, undecided)
    return Gaps(tuple(problems), tuple(warnings), tuple(notes), snippet, replace(rules, tables=tables))


def _stricter_partitions(
    table: Table, rules: Rules, followed: TableRules, catalog: Catalog
) -> tuple[list[str], list[Finding]]:
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
            what = f"partition {name} has rules that {what}, but it follows those of {table.name}, which do not"
            todo = f"{cure} too, or take it out of the entry for {name}"
            problems.append(problem("stricter-partition", what, todo, **own.where()))
        problems += [
            problem(
                "other-partition",
                f"partition {name} has rules that {what} otherwise than those of {table.name} do, which it follows",
                f"change them in {table.name}, or take it out of the entry for {name}",
                **own.where(),
            )
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
    decided = table.key_columns | (rules.anonymized | rules.non_anonymized if rules else frozenset())
    return [column.name for column in table.columns if column.name not in decided]


def _of_keys_alone(table: Table, rules: TableRules, followed: TableRules) -> list[Finding]:
    """Return a note that says what an entry with a name and nothing else means, of a table all of whose columns are keys."""
    if rules.truncated or rules.anonymized or rules.non_anonymized or not table.columns:
        return []
    names = [column.name for column in table.columns]
    copied = [name for name in names if name not in followed.anonymized]
    hidden = [name for name in names if name in followed.anonymized]
    parts = [
        f"copied as they are: {', '.join(copied)}" if copied else "",
        f"anonymized, as they refer to anonymized columns: {', '.join(hidden)}" if hidden else "",
    ]
    what = f"table {table.name} lists no column, as all are keys; {'; '.join(filter(None, parts))}"
    todo = "a key that comes to refer to an anonymized column will be anonymized; list it to decide otherwise"
    return [note("keys-alone", what, todo, **rules.where())]


def _unused_reasons(table: Table, rules: TableRules, followed: TableRules) -> list[Finding]:
    """Return a warning for each reason why a column is clear where it is not: it lacks a rule, or is hidden nevertheless."""
    listed = rules.non_anonymized | table.key_columns
    hidden = hidden_columns(table, followed)
    found = []
    for name in (column.name for column in table.columns if column.name in rules.clear_because):
        if name in hidden:
            todo = "list it in non_anonymized_column_names, or take it out of clear_because"
            what = f"{table.name}.{name} has a reason in clear_because, but is not published as it is"
        elif name not in listed:
            what, todo = (
                f"{table.name}.{name} has a reason in clear_because, but no rule",
                "list it in non_anonymized_column_names",
            )
        else:
            continue
        found.append(Finding("unused-reason", what, todo, **rules.where(name)))
    return found


def _table_warnings(
    table: Table, rules: TableRules, referring: Mapping[tuple[str, str], Reference], catalog: Catalog
) -> list[Finding]:
    """Return a warning for each column in both lists, and for each key that is anonymized, or published, by itself."""

    def warning(code: str, name: str, said: str, todo: str = "") -> Finding:
        return Finding(code, f"{table.name}.{name} {said}", todo, **rules.where(name))

    both = (rules.anonymized & rules.non_anonymized).intersection(column.name for column in table.columns)
    warnings = [warning("in-both-lists", name, "is in both lists: anonymized") for name in sorted(both)]
    if rules.truncated:
        return warnings
    for name in sorted(table.key_columns - rules.anonymized):
        other = referring.get((table.name, name))
        if other and name in rules.non_anonymized:
            whole = f"{other.column}, which is {other.hidden}"
            warnings.append(warning("key-published", name, f"is published as it is, though it refers to {whole}"))
        elif other:
            which = "is" if other.hidden == "anonymized" else f"is {other.hidden}"
            said = f"is anonymized: it refers to {other.column}, which {which}"
            warnings.append(warning("key-anonymized", name, said, other.advice))
        elif name not in rules.non_anonymized and not is_number(table.column(name), catalog):
            kind = table.column(name).type_text
            warnings.append(warning("key-without-rule", name, f"is a key without a rule, of type {kind}: copied as it is"))
    return warnings
