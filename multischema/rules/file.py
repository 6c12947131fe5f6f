"""The rules of an app: which tables are published empty, which columns are masked, which are copied as they are."""

import codecs
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import yaml

from multischema.errors import RulesError
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
from multischema.words import suggestion

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
# What PyYAML quotes from the text, and everything after, which may hold quotes; not the names of what it expected.
_QUOTED = re.compile(r""",? but (?:found|got) .*|(?:^| )(?:'(?!(?:[],}>!.-]|<[a-z ]+>)')|").*""", re.DOTALL)

# what people mostly did, where YAML's own words say what its reader did
_CURES = {
    "scanning an alias": "; quote what begins with *",
    "scanning a plain scalar": "; a colon wants a blank after it, or quotes around the text",
    "cannot start any token": "; indent with blanks and no tabs, and quote what begins with @, % or `",
}


@dataclass(frozen=True)
class TableRules:
    """The rules of one table; a column in both sets is anonymized; if both are empty, all its columns are keys.

    `masks` say how anonymized columns are; one that they do not name is wholly. `clear_because` has reasons why columns are
    not anonymized. `line` is where its entry begins, `lines` where each column is listed.
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


@dataclass(frozen=True)
class Expected:
    """A warning that is known: the code of its kind, and the object that it is about."""

    code: str
    object: str
    line: int = field(default=0, compare=False)


@dataclass(frozen=True)
class Rules:
    """The rules of an app: its tables by name, in the file's order, and the warnings that are expected."""

    tables: Mapping[str, TableRules]
    expected: tuple[Expected, ...] = ()

    @property
    def has_masks(self) -> bool:
        """Tell whether any of them says how a column is anonymized."""
        return any(table.masks for table in self.tables.values())


def parse(text: str | bytes) -> Rules:
    """Read rules written in YAML.

    Raises RulesError with every problem, a line each; past MAX_PROBLEMS a last line says how many more there are.
    """
    problems: list[str] = []
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
        raise RulesError("rules: this is a web page, not rules; want the address of the raw YAML file")
    try:
        decoded = content.decode()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise RulesError(f"rules: line {line}: not UTF-8; save the file as UTF-8") from None
    if found := _UNPRINTABLE.search(decoded):
        line = decoded.count("\n", 0, found.start()) + 1
        column = found.start() - decoded.rfind("\n", 0, found.start())
        raise RulesError(f"rules: line {line}, column {column}: a control character; want YAML, which allows none")
    return decoded


def _compose(text: str) -> yaml.Node:
    try:
        _refuse_bombs(text)
        root = yaml.compose(text, Loader=_LOADER)
    except yaml.YAMLError as error:
        raise RulesError(_syntax_problem(error)) from None
    except (ValueError, OverflowError):
        # The pure Python loader raises them, for example for "\UFFFFFFFF".
        raise RulesError("rules: not YAML: an escape or a version that no YAML reader takes") from None
    if root is None:
        raise RulesError("rules: empty; want the key tables, with a list of tables")
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
            raise RulesError(f"rules: line {line_of(event)}: nested more than {MAX_DEPTH} levels deep; want 7")
        if values > MAX_VALUES:
            counted = f"more than {MAX_VALUES} values, each alias counted as what it stands for"
            raise RulesError(f"rules: line {line_of(event)}: {counted}; want fewer")


def _syntax_problem(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    line = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
    said = [getattr(error, name, None) or "" for name in ("context", "problem", "reason")]
    parts = (_QUOTED.sub("", part) for part in said)
    cure = next((cure for words, cure in _CURES.items() if any(words in part for part in said)), "")
    return f"rules: {line}not YAML: {shortened(', '.join(part for part in parts if part), 100)}{cure}"


# From nodes to rules.


def _read_rules(root: yaml.Node, problems: list[str]) -> Rules:
    place = Place("rules")
    if kind_of(root) != "a mapping":
        problems.append(f"{place}: found {place.found(root)}; want a mapping with the key tables")
        return Rules({})
    if not any(key.value == "tables" for key, _ in root.value):
        problems.append(f"{place}: no key tables; want it, with a list of tables{_meant(root)}")
        return Rules({})
    values = read_values(root, place, RULES_KEYS, problems)
    domains = read_domains(values["domains"], place.at(": domains"), problems) if "domains" in values else ()
    nodes = read_items(values["tables"], place.at(": tables"), "tables", problems)
    tables: dict[str, TableRules] = {}
    lines: dict[str, int] = {}
    for index, node in enumerate(nodes):
        problems.extend(_second_entry(node, lines))
        table = _read_table(node, index, domains, problems)
        tables[table.table] = table
    expected = _read_expected(values["expected_warnings"], problems) if "expected_warnings" in values else ()
    return Rules(tables, expected)


def _read_expected(node: yaml.Node, problems: list[str]) -> tuple[Expected, ...]:
    """Return the warnings that are expected, each once."""
    place = Place("rules: expected_warnings", True)
    found: list[Expected] = []
    for index, item in enumerate(read_items(node, place, "warnings, each with its code and object", problems)):
        at = place.at(f"[{index}] (line {line_of(item)})")
        if kind_of(item) != "a mapping":
            problems.append(f"{at}: found {at.found(item)}; want a mapping with code and object")
            continue
        known = len(problems)
        values = read_values(item, at, EXPECTED_KEYS, problems)
        problems += [f"{at}: no {key}; want it as the warning has it" for key in EXPECTED_KEYS if key not in values]
        code, named = (
            read_name(values[key], at.at(f": {key}"), f"the {key} of a warning", problems) if key in values else ""
            for key in EXPECTED_KEYS
        )
        if len(problems) == known:
            found.append(Expected(code, named, line_of(item)))
    return tuple(dict.fromkeys(found))


def _meant(root: yaml.Node) -> str:
    """Return a hint at the line where the key tables may be misspelt."""
    lines = [line_of(key) for key, _ in root.value if isinstance(key, yaml.ScalarNode) and suggestion(key.value, ["tables"])]
    return f" (did you mean it on line {lines[0]}?)" if lines else ""


def _second_entry(node: yaml.Node, lines: dict[str, int]) -> Sequence[str]:
    """Record a table's line, or return the problem of a second entry."""
    name = _table_name(node)
    if name is None:
        return []
    if name in lines:
        where = f"another entry on line {line_of(node)}, the first is on line {lines[name]}"
        return [f"rules: table {shown(name)}: {where}; want one"]
    lines[name] = line_of(node)
    return []


def _read_table(node: yaml.Node, index: int, domains: Sequence[str], problems: list[str]) -> TableRules:
    """Read one table's rules; the result is only valid if no problem was added."""
    name = _table_name(node)
    place = Place(f"rules: table {shown(name)}", True) if name else Place(f"rules: tables[{index}] (line {line_of(node)})")
    if kind_of(node) != "a mapping":
        problems.append(f"{place}: found {place.found(node)}; want a mapping with table_name and its rules")
        return TableRules("", False, frozenset(), frozenset())
    known = len(problems)
    values = read_values(node, place, TABLE_KEYS, problems)
    rules = TableRules(
        table=_read_table_name(values, place, problems),
        truncated=read_flag(values.get("truncated"), place.at(": truncated"), problems),
        anonymized=_columns(values, "anonymized_column_names", place, problems),
        non_anonymized=_columns(values, "non_anonymized_column_names", place, problems),
        line=line_of(node),
        lines=_lines(values),
    )
    are_listed = len(problems) == known
    if "clear_because" in values:
        rules = replace(rules, clear_because=_read_reasons(values["clear_because"], place.at(": clear_because"), problems))
    if "masks" in values:
        rules = replace(rules, masks=read_masks(values["masks"], place.at(": masks"), domains, problems))
    if "k_anonymity" in values:
        rules = replace(rules, k_anonymity=read_k_anonymity(values["k_anonymity"], place.at(": k_anonymity"), problems))
    if are_listed:
        problems.extend(_contradictions(rules, place))
    return rules


def _lines(values: Mapping[str, yaml.Node]) -> dict[str, int]:
    """Return the line where each column is listed: the first one."""
    lists = (values[key] for key in TABLE_KEYS if key.endswith("column_names") and key in values)
    items = (item for node in lists if kind_of(node) == "a list" for item in node.value)
    lines: dict[str, int] = {}
    for item in items:
        if is_name(item):
            lines.setdefault(item.value, line_of(item))
    return lines


def _read_reasons(node: yaml.Node, place: Place, problems: list[str]) -> dict[str, str]:
    """Return why columns are not anonymized, by column."""
    reasons = read_mapping(node, place, "a reason for each column", problems)
    return {
        column: read_name(value, place.at(f": {shown(column)}"), "a reason, as text", problems)
        for column, value in reasons.items()
    }


def _contradictions(rules: TableRules, place: Place) -> Sequence[str]:
    if not rules.truncated:
        masked = sorted(rules.clear_because.keys() & rules.anonymized)
        return [
            *(
                f"{place}: clear_because: {shown(column)} is listed as anonymized; want it in one of the two"
                for column in masked
            ),
            *unlisted(rules.masks, rules.anonymized, rules.non_anonymized, place.at(": masks")),
        ]
    found = []
    for what, number in (
        ("rules for its columns", len(rules.anonymized | rules.non_anonymized)),
        ("masks", len(rules.masks)),
        ("clear_because", len(rules.clear_because)),
        ("k_anonymity", len(rules.k_anonymity.columns) if rules.k_anonymity else 0),
    ):
        if number:
            found.append(f"{place}: truncated, and {what} too ({number}); want one or the other")
    return found


def _table_name(node: yaml.Node) -> str | None:
    """Return the name in a table's entry if it is valid, whatever else is wrong with the entry."""
    if kind_of(node) == "a mapping":
        for key, value in node.value:
            if key.value == "table_name" and is_name(value):
                return str(value.value)
    return None


def _read_table_name(values: Mapping[str, yaml.Node], place: Place, problems: list[str]) -> str:
    if "table_name" not in values:
        problems.append(f"{place}: no table_name; want the table's name")
        return ""
    return read_name(values["table_name"], place.at(": table_name"), "the table's name", problems)


def _columns(values: Mapping[str, yaml.Node], key: str, place: Place, problems: list[str]) -> frozenset[str]:
    if key not in values:
        return frozenset()
    place = place.at(f": {key}")
    nodes = read_items(values[key], place, "column names", problems)
    return frozenset(read_name(node, place.at(f"[{index}]"), "a column name", problems) for index, node in enumerate(nodes))


def _summed_up(problems: Sequence[str]) -> Sequence[str]:
    if len(problems) <= MAX_PROBLEMS:
        return problems
    return [*problems[:MAX_PROBLEMS], f"… and {len(problems) - MAX_PROBLEMS} more"]
