"""A developer who pastes each part of a snippet exactly where its comment says, one after the other."""

import re

_KEY = re.compile("(?<!non_)anonymized_column_names")


def pasted(rules: str, snippet: str) -> str:
    """Return the rules with the snippet pasted into them. Tables are the last key of the file."""
    if snippet.startswith("tables:\n"):
        return snippet
    before, *parts = re.split(r"^# (.*):\n", snippet, flags=re.MULTILINE)
    assert before == ""
    for where, part in zip(parts[::2], parts[1::2], strict=True):
        rules = _pasted(rules, where, part.removesuffix("\n"))
    return rules


def _pasted(rules: str, where: str, part: str) -> str:
    lines = rules.split("\n")
    if where == "at the end of tables":
        return rules.removesuffix("\n") + f"\n{part}\n"
    if found := re.fullmatch(r"in the entry of .*, after line (\d+)", where):
        return "\n".join([*lines[: int(found[1])], part, *lines[int(found[1]) :]])
    if found := re.fullmatch(r"in place of the entry of .* on line (\d+)", where):
        first = int(found[1]) - 1
        blanks = len(lines[first]) - len(lines[first].lstrip(" "))
        rest = (n for n in range(first + 1, len(lines)) if lines[n].strip() and not lines[n].startswith(" " * (blanks + 1)))
        return "\n".join([*lines[:first], part, *lines[next(rest, len(lines)) :]])
    found = re.fullmatch(r"(?:in the entry of (.*), )?after the ([{\[])(?: of \w+)? on line (\d+), to decide", where)
    assert found, where
    table, bracket, line = found[1] or "", found[2], int(found[3]) - 1
    start = len("\n".join([*lines[:line], ""]))
    end = start + len(lines[line])
    if table in lines[line]:
        start = max(start, _brace(rules, rules.index(table, start, end)))
    if bracket == "{":
        at = start + 1
    else:
        key = _KEY.search(rules, start, end) if table else None
        at = rules.index("[", key.end() if key else start) + 1
    return rules[:at] + part + rules[at:]


def _brace(rules: str, place: int) -> int:
    """Return where the mapping in braces begins that a place is in, -1 if there is none: the table's name may come last."""
    closed = 0
    for at in range(place, -1, -1):
        closed += {"{": -1, "}": 1}.get(rules[at], 0)
        if closed < 0:
            return at
    return -1
