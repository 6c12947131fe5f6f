"""The rules of an app: which tables are published empty, which columns are masked, which are copied as they are."""

import codecs
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import yaml

from multischema.errors import RulesError
from multischema.rules.masks import KAnonymity, MaskRule
from multischema.words import suggestion

MAX_PROBLEMS = 20
MAX_DEPTH = 20
MAX_VALUES = 200_000
RULES_KEYS = ("tables",)
TABLE_KEYS = ("table_name", "truncated", "anonymized_column_names", "non_anonymized_column_names")
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_YAML_TAG = "tag:yaml.org,2002:"
_UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
# What PyYAML quotes from the text, and everything after, which may hold quotes; not the names of what it expected.
_QUOTED = re.compile(r""",? but (?:found|got) .*|(?:^| )(?:'(?!(?:[],}>!.-]|<[a-z ]+>)')|").*""", re.DOTALL)
_TRUE = ("true", "yes", "on")
_FALSE = ("false", "no", "off")
_KINDS = {
    (yaml.ScalarNode, "str"): "text",
    (yaml.ScalarNode, "bool"): "a boolean",
    (yaml.ScalarNode, "int"): "a number",
    (yaml.ScalarNode, "float"): "a number",
    (yaml.ScalarNode, "timestamp"): "a date",
    (yaml.ScalarNode, "null"): "nothing",
    (yaml.ScalarNode, "merge"): "a special value of YAML's",
    (yaml.ScalarNode, "value"): "a special value of YAML's",
    (yaml.SequenceNode, "seq"): "a list",
    (yaml.MappingNode, "map"): "a mapping",
}
_CURED_BY_QUOTES = ("a boolean", "a number", "a date", "nothing", "a special value of YAML's")


@dataclass(frozen=True)
class TableRules:
    """The rules of one table; a column in both sets is anonymized; if both are empty, all its columns are keys.

    `masks` say how anonymized columns are; one that they do not name is wholly.
    """

    table: str
    truncated: bool
    anonymized: frozenset[str]
    non_anonymized: frozenset[str]
    masks: Mapping[str, MaskRule] = field(default_factory=dict)
    k_anonymity: KAnonymity | None = None


@dataclass(frozen=True)
class _Place:
    """Where in the file a problem is. Messages show the content inside a table's entry only.

    Elsewhere the file may not be rules at all: whoever chooses it can name any file that the ETL can read, even passwords.
    """

    name: str
    is_shown: bool = False

    def __str__(self) -> str:
        return self.name

    def at(self, part: str) -> "_Place":
        return _Place(f"{self.name}{part}", self.is_shown)

    def found(self, node: yaml.Node) -> str:
        """Describe what was found."""
        kind = _kind(node)
        if not self.is_shown:
            return kind or "a value with a tag"
        kind = kind or f"a value tagged {_quoted(_tag(node), 40)}"
        quotable = isinstance(node, yaml.ScalarNode) and (node.value or kind == "text")
        return f"{kind} ({_quoted(node.value, 40)})" if quotable else kind

    def key(self, node: yaml.Node) -> str:
        """Describe an unknown key."""
        if self.is_shown and isinstance(node, yaml.ScalarNode):
            return _quoted(node.value, 40)
        return f"on line {_line(node)}" + ("" if isinstance(node, yaml.ScalarNode) else f" ({self.found(node)})")


@dataclass(frozen=True)
class Rules:
    """The rules of an app: its tables by name, in the file's order."""

    tables: Mapping[str, TableRules]


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
            raise RulesError(f"rules: line {_line(event)}: nested more than {MAX_DEPTH} levels deep; want 4")
        if values > MAX_VALUES:
            counted = f"more than {MAX_VALUES} values, each alias counted as what it stands for"
            raise RulesError(f"rules: line {_line(event)}: {counted}; want fewer")


def _syntax_problem(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    line = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
    parts = (_QUOTED.sub("", getattr(error, name, None) or "") for name in ("context", "problem", "reason"))
    return f"rules: {line}not YAML: {_cut(', '.join(part for part in parts if part), 100)}"


# From nodes to rules.


def _read_rules(root: yaml.Node, problems: list[str]) -> Rules:
    place = _Place("rules")
    if _kind(root) != "a mapping":
        problems.append(f"{place}: found {place.found(root)}; want a mapping with the key tables")
        return Rules({})
    if not any(key.value == "tables" for key, _ in root.value):
        problems.append(f"{place}: no key tables; want it, with a list of tables{_meant(root)}")
        return Rules({})
    values = _values(root, place, RULES_KEYS, problems)
    nodes = _items(values["tables"], place.at(": tables"), "tables", problems)
    tables: dict[str, TableRules] = {}
    lines: dict[str, int] = {}
    for index, node in enumerate(nodes):
        problems.extend(_second_entry(node, lines))
        table = _read_table(node, index, problems)
        tables[table.table] = table
    return Rules(tables)


def _meant(root: yaml.Node) -> str:
    """Return a hint at the line where the key tables may be misspelt."""
    lines = [_line(key) for key, _ in root.value if isinstance(key, yaml.ScalarNode) and suggestion(key.value, RULES_KEYS)]
    return f" (did you mean it on line {lines[0]}?)" if lines else ""


def _second_entry(node: yaml.Node, lines: dict[str, int]) -> Sequence[str]:
    """Record a table's line, or return the problem of a second entry."""
    name = _table_name(node)
    if name is None:
        return []
    if name in lines:
        where = f"another entry on line {_line(node)}, the first is on line {lines[name]}"
        return [f"rules: table {_shown(name)}: {where}; want one"]
    lines[name] = _line(node)
    return []


def _read_table(node: yaml.Node, index: int, problems: list[str]) -> TableRules:
    """Read one table's rules; the result is only valid if no problem was added."""
    name = _table_name(node)
    place = _Place(f"rules: table {_shown(name)}", True) if name else _Place(f"rules: tables[{index}] (line {_line(node)})")
    if _kind(node) != "a mapping":
        problems.append(f"{place}: found {place.found(node)}; want a mapping with table_name and its rules")
        return TableRules("", False, frozenset(), frozenset())
    known = len(problems)
    values = _values(node, place, TABLE_KEYS, problems)
    rules = TableRules(
        table=_read_table_name(values, place, problems),
        truncated=_flag(values.get("truncated"), place.at(": truncated"), problems),
        anonymized=_columns(values, "anonymized_column_names", place, problems),
        non_anonymized=_columns(values, "non_anonymized_column_names", place, problems),
    )
    if len(problems) == known:
        problems.extend(_contradictions(rules, place))
    return rules


def _contradictions(rules: TableRules, place: _Place) -> Sequence[str]:
    columns = rules.anonymized | rules.non_anonymized
    if rules.truncated and columns:
        return [f"{place}: truncated, and rules for its columns too ({len(columns)}); want one or the other"]
    return []


def _table_name(node: yaml.Node) -> str | None:
    """Return the name in a table's entry if it is valid, whatever else is wrong with the entry."""
    if _kind(node) == "a mapping":
        for key, value in node.value:
            if key.value == "table_name" and _is_name(value):
                return str(value.value)
    return None


def _read_table_name(values: Mapping[str, yaml.Node], place: _Place, problems: list[str]) -> str:
    if "table_name" not in values:
        problems.append(f"{place}: no table_name; want the table's name")
        return ""
    return _name(values["table_name"], place.at(": table_name"), "the table's name", problems)


def _columns(values: Mapping[str, yaml.Node], key: str, place: _Place, problems: list[str]) -> frozenset[str]:
    if key not in values:
        return frozenset()
    place = place.at(f": {key}")
    nodes = _items(values[key], place, "column names", problems)
    return frozenset(_name(node, place.at(f"[{index}]"), "a column name", problems) for index, node in enumerate(nodes))


# One node.


def _values(node: yaml.Node, place: _Place, wanted: Sequence[str], problems: list[str]) -> dict[str, yaml.Node]:
    """Return a mapping's values by key, and report unknown and duplicate keys."""
    values: dict[str, yaml.Node] = {}
    lines: dict[str, int] = {}
    for key, value in node.value:
        name = key.value if isinstance(key, yaml.ScalarNode) else ""
        if name not in wanted:
            problems.append(f"{place}: unknown key {place.key(key)}; want {', '.join(wanted)}{suggestion(name, wanted)}")
        elif name in values:
            problems.append(f"{place}: duplicate key '{name}' on line {_line(key)}, the first is on line {lines[name]}")
        else:
            values[name] = value
            lines[name] = _line(key)
    return values


def _items(node: yaml.Node, place: _Place, wanted: str, problems: list[str]) -> Sequence[yaml.Node]:
    """Return a list's items; a key without a value is an empty list, as teams write it."""
    kind = _kind(node)
    if kind == "a list":
        items: Sequence[yaml.Node] = node.value
        return items
    if kind != "nothing":
        problems.append(f"{place}: found {place.found(node)}; want a list of {wanted}")
    return []


def _flag(node: yaml.Node | None, place: _Place, problems: list[str]) -> bool:
    if node is None or _kind(node) == "nothing":
        return False
    value = node.value.lower() if _kind(node) == "a boolean" else None
    if value not in _TRUE + _FALSE:
        problems.append(f"{place}: found {place.found(node)}; want true or false")
    return value in _TRUE


def _name(node: yaml.Node, place: _Place, wanted: str, problems: list[str]) -> str:
    if _is_name(node):
        return str(node.value)
    cure = "; quote it" if _kind(node) in _CURED_BY_QUOTES and node.value else ""
    problems.append(f"{place}: found {place.found(node)}; want {wanted}{cure}")
    return ""


def _is_name(node: yaml.Node) -> bool:
    """Tell whether Postgres accepts the name for a table or column: no NUL, no lone surrogate."""
    if _kind(node) != "text":
        return False
    return bool(node.value) and not re.search("[\0\ud800-\udfff]", node.value)


def _kind(node: yaml.Node) -> str | None:
    """Return what a node is in plain words, None if its tag is not one of YAML's own."""
    return _KINDS.get((type(node), _tag(node)))


def _tag(node: yaml.Node) -> str:
    return node.tag.removeprefix(_YAML_TAG)


def _line(read: yaml.Node | yaml.Event) -> int:
    return read.start_mark.line + 1 if read.start_mark else 0


# Showing the input: never much of it, and no character that upsets a terminal.


def _summed_up(problems: Sequence[str]) -> Sequence[str]:
    if len(problems) <= MAX_PROBLEMS:
        return problems
    return [*problems[:MAX_PROBLEMS], f"… and {len(problems) - MAX_PROBLEMS} more"]


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"


def _quoted(text: str, length: int) -> str:
    return repr(_cut(text, length))


def _shown(name: str) -> str:
    # 63 bytes is the longest name that Postgres has.
    return _quoted(name, 63)[1:-1]
