"""What a rules file lacks, added to its text: every line that is there stays, with its comments, order and style.

YAML is never written anew, which would lose all three: its nodes say where in the text they stand, and the lines to add go
between.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import yaml

from multischema.catalog.tables import Catalog, Table
from multischema.errors import RulesError
from multischema.rules.draft import Guesses, draft_entries, draft_tables
from multischema.rules.file import Rules, TableRules, parse
from multischema.rules.following import effective
from multischema.rules.gaps import missing_columns
from multischema.rules.nodes import kind_of, scalar, shown
from multischema.rules.writing import in_brackets

_LISTS = ("anonymized_column_names", "non_anonymized_column_names")
_BREAK = re.compile("[\r\n\x85\u2028\u2029]")
_GAP = re.compile(r"\n *\r?\n(?: *#[^\n]*\n)* *- +$")  # a line between an entry and the one before it
_DECIDE = "# decide"


@dataclass(frozen=True)
class Added:
    """A rules file with what it lacked: its text, and the names of the tables and of the columns that are new in it."""

    text: str
    tables: tuple[str, ...]
    columns: tuple[str, ...]


class _Edit(NamedTuple):
    """A part of the text, from one place to another, and what to write there."""

    start: int
    end: int
    text: str


class _NoPlace(Exception):
    """There is no place for a line in the text: an alias, say, whose anchor stands somewhere else."""


def add_missing(content: bytes, catalog: Catalog, guesses: Guesses) -> Added:
    """Add the tables and columns that the rules lack, guessed as a draft does, each marked to be decided on.

    Raises RulesError for a file that is no rules file, and one that can't be added to without a change of what it says.
    """
    rules = parse(content)
    drafted = draft_tables(catalog, guesses)
    new = [table for table in catalog.tables if table.name not in rules.tables]
    grown = [table for table in catalog.tables if table.name in rules.tables and _lacks(table, rules)]
    wanted = dict(rules.tables)
    for table in grown:
        wanted[table.name] = _grown(rules.tables[table.name], drafted[table.name], _lacks(table, rules))
    wanted |= {table.name: drafted[table.name] for table in new}
    # a key that refers to a masked one would be masked with a warning, so a new entry lists it
    followed = effective(Rules(wanted), catalog).tables
    wanted |= {table.name: followed[table.name] for table in new}
    entries = draft_entries(new, wanted, catalog, guesses)
    text = _File(content.decode()).with_missing(
        {table.name: {key: _listed(drafted[table.name], key, _lacks(table, rules)) for key in _LISTS} for table in grown},
        [(wanted[name], entry) for name, entry in entries.items()],
    )
    _compare(text, replace(rules, tables=wanted))
    columns = tuple(f"{table.name}.{column}" for table in grown for column in _lacks(table, rules))
    return Added(text, tuple(table.name for table in new), columns)


def _lacks(table: Table, rules: Rules) -> list[str]:
    return missing_columns(table, rules.tables[table.name])


def _listed(drafted: TableRules, key: str, columns: Sequence[str]) -> list[str]:
    """Return which of these columns a draft puts into a list."""
    is_masked = key == _LISTS[0]
    # a draft that publishes no row of the table says nothing of its columns: masked
    return [column for column in columns if (column not in drafted.non_anonymized) is is_masked]


def _grown(rules: TableRules, drafted: TableRules, columns: Sequence[str]) -> TableRules:
    masked, clear = (frozenset(_listed(drafted, key, columns)) for key in _LISTS)
    return replace(rules, anonymized=rules.anonymized | masked, non_anonymized=rules.non_anonymized | clear)


def _compare(text: str, wanted: Rules) -> None:
    """Raise RulesError unless a text says what is wanted, naming a table whose rules it changes or lacks."""
    try:
        found = parse(text)
    except RulesError as error:
        raise RulesError(f"rules: can't be added to as they are written: {error.lines()[0]}") from None
    for name, rules in wanted.tables.items():
        if found.tables.get(name) != rules:
            raise _refused(name, "it may share a list with another through an anchor")
    if found != wanted:
        raise RulesError("rules: can't be added to without a change of what they say; add by hand what the check names")


def _refused(table: str, why: str) -> RulesError:
    return RulesError(f"rules: table {shown(table)}: can't be added to, {why}; write its lists out, or add by hand")


class _File:
    """The text of a rules file, and where in it its nodes stand.

    The loader written in Python counts characters, as strings do; libyaml's may count otherwise.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self.newline = "\r\n" if "\r\n" in text else "\n"
        try:
            root = yaml.compose(text, Loader=yaml.SafeLoader)
        except (yaml.YAMLError, ValueError, OverflowError):  # libyaml takes a little more
            raise RulesError("rules: can't be added to as they are written: not every YAML reader takes them") from None
        assert isinstance(root, yaml.MappingNode)
        self.key, self.tables = next((key, value) for key, value in root.value if key.value == "tables")

    def with_missing(
        self, columns: Mapping[str, Mapping[str, Sequence[str]]], entries: Sequence[tuple[TableRules, str]]
    ) -> str:
        """Return the text with these columns, by table and list, and these entries of tables, each with its text."""
        nodes = {_name_of(node): node for node in self.tables.value} if columns else {}
        edits: list[_Edit] = []
        for name, lists in columns.items():
            try:
                edits += self._columns(nodes[name], lists)
            except _NoPlace as error:
                raise _refused(name, str(error)) from None
        try:
            edits += self._entries(entries, max((edit.start for edit in edits), default=0)) if entries else []
        except _NoPlace as error:
            raise RulesError(f"rules: tables: can't be added to, {error}; write the list out, or add by hand") from None
        return self._edited(edits)

    def _edited(self, edits: Iterable[_Edit]) -> str:
        pieces, at = [], 0
        for edit in sorted(edits, key=lambda edit: edit.start):
            pieces += [self.text[at : edit.start], edit.text]
            at = edit.end
        return "".join([*pieces, self.text[at:]])

    # columns

    def _columns(self, node: yaml.MappingNode, lists: Mapping[str, Sequence[str]]) -> list[_Edit]:
        values = {key.value: (key, value) for key, value in node.value}
        edits, new = [], {}
        for key, names in lists.items():
            if names and key in values:
                edits += self._names(node, *values[key], names)
            elif names:
                new[key] = names
        return [*edits, *(self._lists(node, values, new) if new else ())]

    def _names(self, parent: yaml.Node, key: yaml.Node, value: yaml.Node, names: Sequence[str]) -> list[_Edit]:
        """Add names to a list of columns that is there, empty or not."""
        self._must_be_inside(value, parent)
        if kind_of(value) == "nothing":
            if _is_in_brackets(parent) or _start(value) != _end(value):
                blank = "" if self.text[_start(value) - 1] == " " else " "
                items = f"{blank}{in_brackets(names)}"
                return [_Edit(_start(value), _end(value), items), *self._marked(_end(value), names)]
            return self._lines(_end(key), [f"{' ' * (_column(key) + 2)}- {scalar(name)}  {_DECIDE}" for name in names])
        last = value.value[-1] if value.value else None
        if last:
            self._must_be_inside(last, value)
        if _is_in_brackets(value):
            at = _end(last) if last else _end(value) - 1
            return [_Edit(at, at, (", " if last else "") + _items(names)), *self._marked(_end(value), names)]
        assert last
        dash = self._dash(last)
        return self._lines(_end(last), [f"{dash}{scalar(name)}  {_DECIDE}" for name in names])

    def _lists(
        self,
        node: yaml.MappingNode,
        values: Mapping[str, tuple[yaml.Node, yaml.Node]],
        new: Mapping[str, Sequence[str]],
    ) -> list[_Edit]:
        """Add lists of columns that an entry does not have, behind the one that it has, or else at its end."""
        key, value = next((values[key] for key in _LISTS if key in values), node.value[-1])
        at = self._last(value) if _start(key) <= _start(value) else _end(key)
        names = [name for listed in new.values() for name in listed]
        if _is_in_brackets(node):
            added = "".join(f", {key}: {in_brackets(listed)}" for key, listed in new.items())
            return [_Edit(at, at, added), *self._marked(_end(node), names)]
        indent = " " * _column(node.value[0][0])
        lines = []
        for name, listed in new.items():
            lines += [f"{indent}{name}:", *(f"{indent}  - {scalar(each)}  {_DECIDE}" for each in listed)]
        return self._lines(self._behind_comments(at, len(indent)), lines)

    # tables

    def _entries(self, entries: Sequence[tuple[TableRules, str]], edited: int) -> list[_Edit]:
        """Add entries behind the last one, and behind what is added to it: the text is edited up to a place."""
        nodes = self.tables.value if kind_of(self.tables) == "a list" else []
        self._must_be_inside(self.tables, None)
        if nodes and _is_in_brackets(self.tables):
            self._must_be_inside(nodes[-1], self.tables)
            at, names = _end(nodes[-1]), [rules.table for rules, _ in entries]
            return [
                _Edit(at, at, "".join(f", {_flow_entry(rules)}" for rules, _ in entries)),
                *self._marked(_end(self.tables), names),
            ]
        if not nodes:
            lines = self._written(entries, " " * (_column(self.key) + 2), None)
            start = len(self.text[: _start(self.tables)].rstrip(" "))
            emptied = _Edit(start, _end(self.tables), "")
            return [emptied, *self._lines(_end(self.tables), lines)]
        self._must_be_inside(nodes[-1], self.tables)
        gap = _GAP.search(self.text[: _start(nodes[-1])]) if len(nodes) > 1 else None
        indent = self._dash(nodes[-1]).partition("-")[0]
        return self._lines(max(self._last(nodes[-1]), edited), self._written(entries, indent, "" if gap else None))

    def _written(self, entries: Sequence[tuple[TableRules, str]], indent: str, gap: str | None) -> list[str]:
        """Return the lines of entries with the file's indentation, each after a line to tell that it is a guess."""
        lines: list[str] = []
        for _, entry in entries:
            lines += [] if gap is None else [gap]
            lines += [f"{indent}{_DECIDE}: guessed from names and types"]
            lines += [indent + line.removeprefix("  ") for line in entry.splitlines()]
        return lines

    # places

    def _lines(self, at: int, lines: Sequence[str]) -> list[_Edit]:
        """Write lines behind the line in which a place is: whatever follows on that line stays with it."""
        found = _BREAK.search(self.text, at)
        end = found.start() if found else len(self.text)
        if _BREAK.match(self.text[at - 1]):  # a block of text ends where the next line begins
            end = at - (2 if self.text[at - 2 : at] == "\r\n" else 1)
        return [_Edit(end, end, "".join(self.newline + line for line in lines))]

    def _behind_comments(self, at: int, column: int) -> int:
        """Return where the comments end that stand below a list and are indented as its items are."""
        below = re.compile(rf"[^\r\n]*(?:\r?\n {{{column + 1},}}#[^\r\n]*)+").match(self.text, at)
        return below.end() if below else at

    def _marked(self, at: int, names: Sequence[str]) -> list[_Edit]:
        """Say at the end of the line of a list in brackets which of its items are guesses."""
        found = _BREAK.search(self.text, at)
        end = found.start() if found else len(self.text)
        return [_Edit(end, end, f"  {_DECIDE}: {_items(names)}")]

    def _dash(self, item: yaml.Node) -> str:
        """Return what is in front of an item of a list on its line: blanks, a dash, blanks."""
        before = self.text[_start(item) - _column(item) : _start(item)].removeprefix("\ufeff")
        if not re.fullmatch(" *- +", before):
            raise _NoPlace("an item stands on another line than its dash, or behind another one")
        return before

    def _last(self, node: yaml.Node) -> int:
        """Return where the last thing in a node ends: a block list's own end is where whatever follows begins."""
        if isinstance(node, yaml.ScalarNode) or _is_in_brackets(node) or not node.value:
            return _end(node)
        last = node.value[-1]
        key, value = last if isinstance(last, tuple) else (last, last)
        self._must_be_inside(key, node)
        return self._last(value) if _start(key) <= _start(value) else _end(key)  # an alias stands on the line of its key

    def _must_be_inside(self, node: yaml.Node, parent: yaml.Node | None) -> None:
        """Refuse an alias: its node stands where its anchor is."""
        begin, end = (_start(parent), _end(parent)) if parent else (_end(self.key), len(self.text))
        if not begin <= _start(node) <= _end(node) <= end:
            raise _NoPlace("it has an alias where something has to be added")


def _is_in_brackets(node: yaml.Node) -> bool:
    return isinstance(node, yaml.CollectionNode) and bool(node.flow_style)


def _flow_entry(rules: TableRules) -> str:
    """Return an entry in brackets."""
    if rules.truncated:
        return f"{{table_name: {_items([rules.table])}, truncated: true}}"
    lists = (rules.anonymized, rules.non_anonymized)
    written = "".join(f", {key}: {in_brackets(sorted(names))}" for key, names in zip(_LISTS, lists, strict=True) if names)
    return f"{{table_name: {_items([rules.table])}{written}}}"


def _items(names: Sequence[str]) -> str:
    return in_brackets(names)[1:-1]


def _name_of(node: yaml.MappingNode) -> str:
    return next(str(value.value) for key, value in node.value if key.value == "table_name")


def _start(node: yaml.Node) -> int:
    return int(node.start_mark.index)


def _end(node: yaml.Node) -> int:
    return int(node.end_mark.index)


def _column(node: yaml.Node) -> int:
    return int(node.start_mark.column)
