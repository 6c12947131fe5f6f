"""YAML nodes of a rules file: their kinds in plain words, and what is wrong with them."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import yaml

from multischema import findings
from multischema.findings import Finding
from multischema.words import cut, escaped, suggestion

_YAML_TAG = "tag:yaml.org,2002:"
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
class Place:
    """Where in the file a problem is: its name in messages, and the table and column that it is about.

    Messages show the content inside a table's entry only. Elsewhere the file may not be rules at all: whoever chooses it can
    name any file that the ETL can read, even passwords.
    """

    name: str = ""
    table: str = ""
    column: str = ""
    is_shown: bool = False

    def at(self, part: str, column: str = "") -> "Place":
        """Return a place inside this one."""
        return replace(self, name=f"{self.name}{part}", column=column or self.column)

    def problem(self, node: yaml.Node, code: str, what: str, todo: str) -> Finding:
        """Return a problem of a node at this place, with its line."""
        return self.problem_on(line_of(node), code, what, todo)

    def problem_on(self, line: int, code: str, what: str, todo: str) -> Finding:
        """Return a problem at this place, on a line."""
        said = f"{self.name}: {what}" if self.name else what
        where = {"table": cut(self.table), "column": cut(self.column)}
        return findings.problem(code, said, todo, side="rules", line=line, **where)

    def unlike(self, node: yaml.Node, wanted: str) -> Finding:
        """Return the problem that a node is not what is wanted."""
        return self.problem(node, "wrong-type", f"found {self.found(node)}", f"want {wanted}")

    def found(self, node: yaml.Node) -> str:
        """Describe what was found."""
        kind = kind_of(node)
        if not self.is_shown:
            return kind or "a value with a tag"
        kind = kind or f"a value tagged {quoted(_tag(node), 40)}"
        quotable = isinstance(node, yaml.ScalarNode) and (node.value or kind == "text")
        return f"{kind} ({quoted(node.value, 40)})" if quotable else kind

    def key(self, node: yaml.Node) -> str:
        """Describe an unknown key."""
        if self.is_shown and isinstance(node, yaml.ScalarNode):
            return quoted(node.value, 40)
        return "" if isinstance(node, yaml.ScalarNode) else f"({self.found(node)})"


def read_values(node: yaml.Node, place: Place, wanted: Sequence[str], problems: list[Finding]) -> dict[str, yaml.Node]:
    """Return a mapping's values by key, and report unknown and duplicate keys."""
    values: dict[str, yaml.Node] = {}
    lines: dict[str, int] = {}
    for key, value in node.value:
        name = key.value if isinstance(key, yaml.ScalarNode) else ""
        if name not in wanted:
            what = f"unknown key {place.key(key)}".rstrip()
            problems.append(place.problem(key, "unknown-key", what, f"want {', '.join(wanted)}{suggestion(name, wanted)}"))
        elif name in values:
            problems.append(_second(key, place, lines[name]))
        else:
            values[name] = value
            lines[name] = line_of(key)
    return values


def read_items(node: yaml.Node, place: Place, wanted: str, problems: list[Finding]) -> Sequence[yaml.Node]:
    """Return a list's items; a key without a value is an empty list, as teams write it."""
    kind = kind_of(node)
    if kind == "a list":
        items: Sequence[yaml.Node] = node.value
        return items
    if kind != "nothing":
        problems.append(place.unlike(node, f"a list of {wanted}"))
    return []


def read_mapping(node: yaml.Node, place: Place, wanted: str, problems: list[Finding]) -> dict[str, yaml.Node]:
    """Return a mapping's values by key, whatever its keys are; a key without a value is an empty mapping."""
    values: dict[str, yaml.Node] = {}
    lines: dict[str, int] = {}
    if kind_of(node) != "a mapping":
        if kind_of(node) != "nothing":
            problems.append(place.unlike(node, wanted))
        return values
    for key, value in node.value:
        if not is_name(key):
            problems.append(place.problem(key, "wrong-type", f"found the key {place.found(key)}", f"want a name{cure(key)}"))
        elif key.value in values:
            problems.append(_second(key, place, lines[key.value]))
        else:
            values[key.value] = value
            lines[key.value] = line_of(key)
    return values


def _second(key: yaml.Node, place: Place, line: int) -> Finding:
    """Return the problem of a key that stands on this line already."""
    return place.problem(
        key, "duplicate-key", f"duplicate key '{shown(key.value)}', the first is on line {line}", "want one"
    )


def read_flag(node: yaml.Node | None, place: Place, problems: list[Finding]) -> bool:
    """Return a boolean; a key without a value is false."""
    if node is None or kind_of(node) == "nothing":
        return False
    value = boolean(node)
    if value is None:
        problems.append(place.unlike(node, "true or false"))
    return bool(value)


def read_name(node: yaml.Node, place: Place, wanted: str, problems: list[Finding]) -> str:
    """Return a name that Postgres accepts; an empty one after a problem."""
    if is_name(node):
        return str(node.value)
    problems.append(place.unlike(node, f"{wanted}{cure(node)}"))
    return ""


def boolean(node: yaml.Node) -> bool | None:
    """Return a boolean, None for any other value."""
    value = node.value.lower() if kind_of(node) == "a boolean" else None
    return value in _TRUE if value in _TRUE + _FALSE else None


def is_name(node: yaml.Node) -> bool:
    """Tell whether Postgres accepts the name for a table or column."""
    if kind_of(node) != "text":
        return False
    return bool(node.value) and is_storable(node.value)


def is_storable(text: str) -> bool:
    """Tell whether Postgres can hold a text: no NUL, no lone surrogate."""
    return not re.search("[\0\ud800-\udfff]", text)


def cure(node: yaml.Node) -> str:
    """Return the advice to quote what YAML reads as something else than text."""
    return "; quote it" if kind_of(node) in _CURED_BY_QUOTES and node.value else ""


def kind_of(node: yaml.Node) -> str | None:
    """Return what a node is in plain words, None if its tag is not one of YAML's own."""
    return _KINDS.get((type(node), _tag(node)))


def _tag(node: yaml.Node) -> str:
    return node.tag.removeprefix(_YAML_TAG)


def line_of(read: yaml.Node | yaml.Event) -> int:
    """Return the line of the file that it starts on."""
    return read.start_mark.line + 1 if read.start_mark else 0


# Showing the input: never much of it, and no character that upsets a terminal.


def shortened(text: str, length: int) -> str:
    """Return the start of a long text."""
    return text if len(text) <= length else text[: length - 1] + "…"


def quoted(text: str, length: int) -> str:
    """Return the start of a text as Python writes it."""
    return repr(shortened(text, length))


def shown(name: str) -> str:
    """Return a name as messages show it."""
    # 63 bytes is the longest name that Postgres has.
    return quoted(name, 63)[1:-1]


def scalar(name: str) -> str:
    """Return a name as YAML writes it, on one line."""
    if escaped(name) != name:
        # a node, because Prefect makes PyYAML write multi-line strings as blocks everywhere
        node = yaml.ScalarNode("tag:yaml.org,2002:str", name, style='"')
        return yaml.serialize(node, Dumper=yaml.SafeDumper, width=1000).removesuffix("\n")
    return yaml.safe_dump(name, allow_unicode=True, width=1000).removesuffix("\n").removesuffix("\n...")
