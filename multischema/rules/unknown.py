"""Names in a rules file that the origin does not have: rules may be ahead of it or behind, or a name is misspelt."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial

from multischema.catalog.tables import Catalog, Table
from multischema.findings import Finding, note
from multischema.rules.file import Rules, TableRules
from multischema.words import count, cut, nearest, plural

MOST_TOLD = 10  # of an entry, and of entries: a file may have 200,000
MOST_COMPARED = 20_000  # pairs of names, of a file: each may take a tenth of a millisecond


def unknown_names(rules: Rules, catalog: Catalog, missing: Mapping[str, Sequence[str]]) -> list[Finding]:
    """Return a warning for each column and table of the rules that the origin does not have, with the name that was meant.

    Of an entry they are at most MOST_TOLD, and one more that counts the others; of the tables too. `missing` are the columns
    without a rule, by table. A catalog without a table shows no name to be wrong: the check says that it has none.
    """
    if not catalog.tables:
        return []
    tables = {table.name: table for table in catalog.tables}
    neighbours = _Neighbours(rules, catalog, missing)
    known = tables.keys() | catalog.partitions.keys() | catalog.others.keys()
    absent = [name for name in rules.tables if name not in known]
    found: list[Finding] = []
    few = min(len(absent), MOST_COMPARED // 2 // len(tables))  # the other half is for columns
    left = MOST_COMPARED - few * len(tables)
    for name, own in rules.tables.items():
        if table := tables.get(catalog.partitions.get(name, name)):
            unknown = _unknown_columns(table, own)
            compared = min(len(unknown), left // (len(table.columns) or 1))
            left -= compared * len(table.columns)
            told = _told(unknown, partial(neighbours.of_column, table), compared)
            for column, todo in told:
                what = f"{name}.{_shown(column)} is not in the origin"
                found.append(Finding("unknown-column", what, todo, **own.where(column)))
            if more := len(unknown) - len(told):
                what = f"{count(more, 'more column')} of {name} {plural(more, 'is', 'are')} not in the origin"
                found.append(Finding("unknown-column", what, **own.where()))
    told = _told(absent, neighbours.of_table, few)
    for name, todo in told:
        found.append(
            Finding("unknown-table", f"table {_shown(name)} is not in the origin", todo, **rules.tables[name].where())
        )
    if more := len(absent) - len(told):
        what = f"{count(more, 'more table')} {plural(more, 'is', 'are')} not in the origin"
        found.append(Finding("unknown-table", what, side="rules"))
    return found


def unpublished(rules: Rules, catalog: Catalog) -> list[Finding]:
    """Return a note for each entry of what is no table of the app, such as a view."""
    return [
        note(
            "not-a-table", f"{name} is a {catalog.others[name]}, which is not published", "take its entry out", **own.where()
        )
        for name, own in rules.tables.items()
        if name in catalog.others
    ]


@dataclass(frozen=True)
class _Neighbours:
    """What a name that the origin does not have may stand for: first for one that has no rule yet."""

    rules: Rules
    catalog: Catalog
    missing: Mapping[str, Sequence[str]]

    @cached_property
    def _tables_with(self) -> Mapping[str, Sequence[str]]:
        """Return the tables that have a column, by its name."""
        tables: defaultdict[str, list[str]] = defaultdict(list)
        for table in self.catalog.tables:
            for column in table.columns:
                tables[column.name].append(table.name)
        return tables

    def of_table(self, name: str) -> str:
        """Return the table that was meant, "" if none comes close."""
        names = [table.name for table in self.catalog.tables]
        return nearest(name, [each for each in names if each not in self.rules.tables]) or nearest(name, names)

    def of_column(self, table: Table, name: str) -> str:
        """Return the column of the table, or the one of that name in another, that was meant; "" if none comes close."""
        others = [other for other in self._tables_with.get(name, ()) if other != table.name]
        waiting = [f"{other}.{name}" for other in others if name in self.missing.get(other, ())]
        near = nearest(name, self.missing.get(table.name, ()))
        if near or waiting:
            return " or ".join(filter(None, (near, *waiting[:1])))
        near = nearest(name, [column.name for column in table.columns])
        return near or (f"{others[0]}.{name}" if len(others) == 1 else "")


def _unknown_columns(table: Table, rules: TableRules) -> list[str]:
    """Return the columns that an entry names and its table does not have, in the file's order.

    Columns with masks stand in the lists. What `only_when` and `k_anonymity` name is a problem in the table's own entry; in
    one of a partition, nothing else looks at it.
    """
    named = rules.anonymized | rules.non_anonymized | rules.clear_because.keys()
    if rules.table != table.name:
        named |= {rule.only_when.column for rule in rules.masks.values() if rule.only_when}
        named |= {*rules.k_anonymity.columns, rules.k_anonymity.per} - {""} if rules.k_anonymity else set()
    unknown = named - {column.name for column in table.columns}
    return sorted(unknown, key=lambda name: (rules.lines.get(name, rules.line), name))


def _shown(name: str) -> str:
    """Return a name, in quotes if it has blanks at an end, which nobody would see."""
    return cut(name) if name.strip() == name else repr(cut(name))


def _told(unknown: Sequence[str], meant: Callable[[str], str], compared: int) -> list[tuple[str, str]]:
    """Return the names to tell, with what to do: MOST_TOLD in their order, those that resemble another before others.

    :param compared: the number of names that are compared with others
    """
    todo = {name: f"did you mean {other}?" for name in unknown[:compared] if (other := meant(name))}
    first = frozenset(sorted(unknown, key=lambda name: name not in todo)[:MOST_TOLD])
    return [(name, todo.get(name, "")) for name in unknown if name in first]
