"""The rules of an app: which tables are published empty, which columns are masked, which are copied as they are."""

import codecs
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import yaml

from multischema import findings
from multischema.errors import RulesError
from multischema.findings import Finding
from multischema.rules.masks import KAnonymity, MaskRule
from multischema.rules.nodes import (
    Place,
    is_name,
    kind_of,
    line_of,
    read_flag,
    read_items,
    read_mapping,
    read_name,
    read_values,
    shortened,
    shown,
)
from multischema.rules.refining import read_domains, read_k_anonymity, read_masks, unlisted
from multischema.rules.slots import Slot, slot_of_columns, slot_of_items
from multischema.words import cut, suggestion

MAX_PROBLEMS = 20
MAX_DEPTH = 20
MAX_VALUES = 200_000
RULES_KEYS = ("tables", "domains", "expected_warnings")
TABLE_KEYS = (
    *("table_name", "truncated", "anonymized_column_names", "non_anonymized_column_names", "clear_because"),
    *("masks", "k_anonymity"),
)
EXPECTED_KEYS = ("code", "object")
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_BREAKS = re.compile("\r\n|[\n\r\x85\u2028\u2029]")  # of lines, as YAML has them
# What PyYAML quotes from the text, and everything after, which may hold quotes; not the names of what it expected.
_QUOTED = re.compile(r""",? but (?:found|got) .*|(?:^| )(?:'(?!(?:[],}>!.-]|<[a-z ]+>)')|").*""", re.DOTALL)

# what people mostly did, where YAML's own words say what its reader did
_CURES = {
    "scanning an alias": "quote what begins with *",
    "scanning a plain scalar": "a colon wants a blank after it, or quotes around the text",
    "cannot start any token": "indent with blanks and no tabs, and quote what begins with @, % or `",
}


@dataclass(frozen=True)
class TableRules:
    """The rules of one table; a column in both sets is anonymized; if both are empty, all its columns are keys.

    `masks` say how anonymized columns are; one that they do not name is wholly. `clear_because` has reasons why columns are
    not anonymized. `line` is where its entry begins, `lines` where each column is listed, `slot` where more can be.
    """

    table: str
    truncated: bool
    anonymized: frozenset[str]
    non_anonymized: frozenset[str]
    masks: Mapping[str, MaskRule] = field(default_factory=dict)
    k_anonymity: KAnonymity | None = None
    clear_because: Mapping[str, str] = field(default_factory=dict)
    line: int = field(default=0, compare=False)
    lines: Mapping[str, int] = field(default_factory=dict, compare=False)
    slot: Slot | None = field(default=None, compare=False)

    def where(self, column: str = "", line: int = 0) -> dict[str, Any]:
        """Return what a finding about the table, or a column of it, says of where that is; `line` if it is on another."""
        at = line or self.lines.get(column, self.line)
        return {"side": "rules", "table": cut(self.table), "column": cut(column), "line": at}


@dataclass(frozen=True)
class Expected:
    """A warning that is known: the code of its kind, and the object that it is about."""

    code: str
    object: str
    line: int = field(default=0, compare=False)


@dataclass(frozen=True)
class Rules:
    """The rules of an app: its tables by name, in the file's order, and the warnings that are expected.

    `slot` is where the file takes more tables.
    """

    tables: Mapping[str, TableRules]
    expected: tuple[Expected, ...] = ()
    slot: Slot | None = field(default=None, compare=False)

    @property
    def has_masks(self) -> bool:
        """Tell whether any of them says how a column is anonymized."""
        return any(table.masks for table in self.tables.values())


def parse(text: str | bytes) -> Rules:
    """Read rules written in YAML.

    Raises RulesError with every problem, a finding each; past MAX_PROBLEMS a last one says how many more there are.
    """
    problems: list[Finding] = []
    rules = _read_rules(_compose(_decode(text)), problems)
    if problems:
        raise RulesError(*_summed_up(problems))
    return rules


def is_web_page(content: bytes) -> bool:
    """Tell whether the content is HTML or XML: no rules start with `<`, every error page does."""
    return content.removeprefix(codecs.BOM_UTF8).lstrip().startswith(b"<")


# From text to nodes, never to Python values: a node knows its line and keeps duplicate keys, `2024-13-45` does not crash,
# and a merge key (`<<`) can't multiply anything.


def _decode(text: str | bytes) -> str:
    content = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    if is_web_page(content):
        raise _refused("web-page", "this is a web page, not rules", "want the address of the raw YAML file")
    try:
        decoded = content.decode()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise _refused("not-yaml", "not UTF-8", "save the file as UTF-8", line) from None
    if found := _UNPRINTABLE.search(decoded):
        line = decoded.count("\n", 0, found.start()) + 1
        character = found.start() - decoded.rfind("\n", 0, found.start())
        raise _refused("not-yaml", f"character {character} is a control character", "want YAML, which allows none", line)
    return decoded


def _compose(text: str) -> yaml.Node:
    try:
        _refuse_bombs(text)
        root = yaml.compose(text, Loader=_LOADER)
    except yaml.YAMLError as error:
        raise _misread(error, text) from None
    except (ValueError, OverflowError):
        # The pure Python loader raises them, for example for "\UFFFFFFFF".
        raise _refused("not-yaml", "not YAML: an escape or a version that no YAML reader takes") from None
    if root is None or (kind_of(root) == "nothing" and not root.value):
        raise _refused("missing-key", "empty", "want the key tables, with a list of tables")
    return root


def _refuse_bombs(text: str) -> None:
    """Raise RulesError if the YAML is nested too deep, or too big once aliases are expanded.

    Reading events does not recurse; composing 100,000 open brackets crashes the process with a segmentation fault.
    """
    values = 0
    opened: list[tuple[str | None, int]] = []
    sizes: dict[str | None, int] = {}
    for event in yaml.parse(text, Loader=_LOADER):
        if isinstance(event, yaml.AliasEvent):
            values += sizes.get(event.anchor, 1)
        elif isinstance(event, yaml.ScalarEvent):
            values += 1
        elif isinstance(event, yaml.CollectionStartEvent):
            opened.append((event.anchor, values))
            values += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, before = opened.pop()
            sizes[anchor] = values - before
        if len(opened) > MAX_DEPTH:
            raise _refused("too-big", f"nested more than {MAX_DEPTH} levels deep", "want 7", line_of(event))
        if values > MAX_VALUES:
            counted = f"more than {MAX_VALUES} values, each alias counted as what it stands for"
            raise _refused("too-big", counted, "want fewer", line_of(event))


def _refused(code: str, what: str, todo: str = "", line: int = 0) -> RulesError:
    """Return the error of a text that can't be read as rules at all."""
    return RulesError(findings.problem(code, what, todo, side="rules", line=line))


def _misread(error: yaml.YAMLError, text: str) -> RulesError:
    """Return the error of a text that is not YAML."""
    mark = getattr(error, "problem_mark", None)
    line, character = _place(mark, text) if mark else (0, 0)
    where = f" at character {character}" if mark else ""
    said = [getattr(error, name, None) or "" for name in ("context", "problem", "reason")]
    parts = (_QUOTED.sub("", part) for part in said)
    cure = next((cure for words, cure in _CURES.items() if any(words in part for part in said)), "")
    what = f"not YAML{where}: {shortened(', '.join(part for part in parts if part), 100)}"
    return _refused("not-yaml", what, cure, line)


def _place(mark: yaml.Mark, text: str) -> tuple[int, int]:
    """Return the line and the character of a mark, from 1; libyaml takes the end of the text for a line of its own."""
    starts = [0, *(found.end() for found in _BREAKS.finditer(text))]
    if mark.line >= len(starts):
        return len(starts), len(text) - starts[-1] + 1
    return mark.line + 1, mark.column + 1


# From nodes to rules.


def _read_rules(root: yaml.Node, problems: list[Finding]) -> Rules:
    place = Place()
    if kind_of(root) != "a mapping":
        problems.append(place.unlike(root, "a mapping with the key tables"))
        return Rules({})
    if not any(key.value == "tables" for key, _ in root.value):
        problems.append(_without_tables(root, place))
        return Rules({})
    values = read_values(root, place, RULES_KEYS, problems)
    domains = read_domains(values["domains"], Place("domains"), problems) if "domains" in values else ()
    nodes = read_items(values["tables"], Place("tables"), "tables", problems)
    tables: dict[str, TableRules] = {}
    lines: dict[str, int] = {}
    for index, node in enumerate(nodes):
        problems.extend(_second_entry(node, lines))
        table = _read_table(node, index, domains, problems)
        tables[table.table] = table
    expected = _read_expected(values["expected_warnings"], problems) if "expected_warnings" in values else ()
    return Rules(tables, expected, slot_of_items(values["tables"]))


def _read_expected(node: yaml.Node, problems: list[Finding]) -> tuple[Expected, ...]:
    """Return the warnings that are expected, each once."""
    place = Place("expected_warnings", is_shown=True)
    found: list[Expected] = []
    for index, item in enumerate(read_items(node, place, "warnings, each with its code and object", problems)):
        at = place.at(f"[{index}]")
        if kind_of(item) != "a mapping":
            problems.append(at.unlike(item, "a mapping with code and object"))
            continue
        known = len(problems)
        values = read_values(item, at, EXPECTED_KEYS, problems)
        problems += [
            at.problem(item, "missing-key", f"no {key}", "want it as the warning has it")
            for key in EXPECTED_KEYS
            if key not in values
        ]
        code, named = (
            read_name(values[key], at.at(f": {key}"), f"the {key} of a warning", problems) if key in values else ""
            for key in EXPECTED_KEYS
        )
        if len(problems) == known:
            found.append(Expected(code, named, line_of(item)))
    return tuple(dict.fromkeys(found))


def _without_tables(root: yaml.Node, place: Place) -> Finding:
    """Return the problem of a file without the key tables, on the line where it may be misspelt."""
    for key, _ in root.value:
        if isinstance(key, yaml.ScalarNode) and suggestion(key.value, ["tables"]):
            todo = f"want it, with a list of tables (did you mean it on line {line_of(key)}?)"
            return place.problem(key, "missing-key", "no key tables", todo)
    return place.problem(root, "missing-key", "no key tables", "want it, with a list of tables")


def _second_entry(node: yaml.Node, lines: dict[str, int]) -> Sequence[Finding]:
    """Record a table's line, or return the problem of a second entry."""
    name = _table_name(node)
    if name is None:
        return []
    if name in lines:
        what = f"another entry, the first is on line {lines[name]}"
        return [_place_of(name).problem(node, "duplicate-entry", what, "want one")]
    lines[name] = line_of(node)
    return []


def _place_of(table: str) -> Place:
    return Place(f"table {shown(table)}", table, is_shown=True)


def _read_table(node: yaml.Node, index: int, domains: Sequence[str], problems: list[Finding]) -> TableRules:
    """Read one table's rules; the result is only valid if no problem was added."""
    name = _table_name(node)
    place = _place_of(name) if name else Place(f"tables[{index}]")
    if kind_of(node) != "a mapping":
        problems.append(place.unlike(node, "a mapping with table_name and its rules"))
        return TableRules("", False, frozenset(), frozenset())
    known = len(problems)
    values = read_values(node, place, TABLE_KEYS, problems)
    rules = TableRules(
        table=_read_table_name(node, values, place, problems),
        truncated=read_flag(values.get("truncated"), place.at(": truncated"), problems),
        anonymized=_columns(values, "anonymized_column_names", place, problems),
        non_anonymized=_columns(values, "non_anonymized_column_names", place, problems),
        line=line_of(node),
        lines=_lines(values),
        slot=slot_of_columns(node),
    )
    are_listed = len(problems) == known
    if "clear_because" in values:
        rules = replace(rules, clear_because=_read_reasons(values["clear_because"], place.at(": clear_because"), problems))
    if "masks" in values:
        rules = replace(rules, masks=read_masks(values["masks"], place.at(": masks"), domains, problems))
    if "k_anonymity" in values:
        rules = replace(rules, k_anonymity=read_k_anonymity(values["k_anonymity"], place.at(": k_anonymity"), problems))
    if are_listed:
        problems.extend(_contradictions(rules, node, place))
    return rules


def _lines(values: Mapping[str, yaml.Node]) -> dict[str, int]:
    """Return the line where each column is listed: the first one, or the one where its reason stands."""
    lists = (values[key] for key in TABLE_KEYS if key.endswith("column_names") and key in values)
    named = [item for node in lists if kind_of(node) == "a list" for item in node.value]
    if "clear_because" in values and kind_of(values["clear_because"]) == "a mapping":
        named += (key for key, _ in values["clear_because"].value)
    lines: dict[str, int] = {}
    for node in named:
        if is_name(node):
            lines.setdefault(node.value, line_of(node))
    return lines


def _read_reasons(node: yaml.Node, place: Place, problems: list[Finding]) -> dict[str, str]:
    """Return why columns are not anonymized, by column."""
    reasons = read_mapping(node, place, "a reason for each column", problems)
    return {
        column: read_name(value, place.at(f": {shown(column)}", column), "a reason, as text", problems)
        for column, value in reasons.items()
    }


def _contradictions(rules: TableRules, node: yaml.Node, place: Place) -> Sequence[Finding]:
    if not rules.truncated:
        return [
            *(
                place.at(f": clear_because: {shown(column)}", column).problem_on(
                    rules.lines[column], "contradiction", "listed as anonymized", "want it in one of the two"
                )
                for column in sorted(rules.clear_because.keys() & rules.anonymized)
            ),
            *unlisted(rules.masks, rules.anonymized, rules.non_anonymized, place.at(": masks")),
        ]
    return [
        place.problem(node, "contradiction", f"truncated, and {what} too ({number})", "want one or the other")
        for what, number in (
            ("rules for its columns", len(rules.anonymized | rules.non_anonymized)),
            ("masks", len(rules.masks)),
            ("clear_because", len(rules.clear_because)),
            ("k_anonymity", len(rules.k_anonymity.columns) if rules.k_anonymity else 0),
        )
        if number
    ]


def _table_name(node: yaml.Node) -> str | None:
    """Return the name in a table's entry if it is valid, whatever else is wrong with the entry."""
    if kind_of(node) == "a mapping":
        for key, value in node.value:
            if key.value == "table_name" and is_name(value):
                return str(value.value)
    return None


def _read_table_name(node: yaml.Node, values: Mapping[str, yaml.Node], place: Place, problems: list[Finding]) -> str:
    if "table_name" not in values:
        problems.append(place.problem(node, "missing-key", "no table_name", "want the table's name"))
        return ""
    return read_name(values["table_name"], place.at(": table_name"), "the table's name", problems)


def _columns(values: Mapping[str, yaml.Node], key: str, place: Place, problems: list[Finding]) -> frozenset[str]:
    if key not in values:
        return frozenset()
    place = place.at(f": {key}")
    nodes = read_items(values[key], place, "column names", problems)
    return frozenset(read_name(node, place.at(f"[{index}]"), "a column name", problems) for index, node in enumerate(nodes))


def _summed_up(problems: Sequence[Finding]) -> Sequence[Finding]:
    if len(problems) <= MAX_PROBLEMS:
        return problems
    more = findings.problem("more-problems", f"… and {len(problems) - MAX_PROBLEMS} more", side="rules")
    return [*problems[:MAX_PROBLEMS], more]
