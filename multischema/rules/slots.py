"""Where a rules file takes more lines: what is missing is pasted there, in the style that stands there."""

from dataclasses import dataclass

import yaml

from multischema.rules.nodes import is_name, kind_of, line_of

MASKED = "anonymized_column_names"


@dataclass(frozen=True)
class Slot:
    """A place for more items of a list, or with `key` for that key and its list, where an entry has none yet.

    They go below `line`, after so many blanks; in flow style right behind the `bracket` that stands on that line.
    """

    line: int
    indent: int
    bracket: str = ""
    key: str = ""


def slot_of_items(node: yaml.Node) -> Slot | None:
    """Return where a list takes more items; None where that can't be said, or where it has none yet."""
    if not isinstance(node, yaml.SequenceNode):
        return None
    if node.flow_style:
        return Slot(line_of(node), 0, "[")
    first = node.value[0]  # an empty list has brackets
    # of a list with an anchor, the mark is that of the anchor
    return Slot(line_of(first) - 1, node.start_mark.column) if line_of(first) == line_of(node) else None


def slot_of_columns(entry: yaml.Node) -> Slot | None:
    """Return where a table's entry takes more anonymized columns; None where a list is shared, or written oddly."""
    if not isinstance(entry, yaml.MappingNode):
        return None
    keys = {key.value: (key, value) for key, value in entry.value if isinstance(key, yaml.ScalarNode)}
    if MASKED not in keys:
        return _slot_of_key(entry)
    key, node = keys[MASKED]
    if node.start_mark.index < key.start_mark.index:  # an alias: the list stands elsewhere, and other tables have it too
        return None
    if kind_of(node) == "nothing" and node.value == "" and not entry.flow_style:
        return Slot(line_of(key), key.start_mark.column + 2)
    return slot_of_items(node)


def _slot_of_key(entry: yaml.MappingNode) -> Slot | None:
    """Return where an entry takes the list of anonymized columns, with its key: below the table's name."""
    if entry.flow_style:
        return Slot(line_of(entry), 0, "{", MASKED)
    for key, value in entry.value:
        if key.value == "table_name" and is_name(value) and line_of(key) == value.end_mark.line + 1:
            return Slot(line_of(key), key.start_mark.column, key=MASKED)
    return None
