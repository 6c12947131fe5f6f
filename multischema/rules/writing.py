"""Entries of a rules file, as YAML to paste."""

import json
import re
from collections.abc import Mapping, Sequence

from multischema.rules.file import Rules, TableRules
from multischema.rules.masks import KAnonymity, MaskRule
from multischema.rules.nodes import scalar
from multischema.rules.slots import MASKED
from multischema.words import cut, escaped


def additions(rules: Rules, undecided: Mapping[str, Sequence[str]]) -> str:
    """Return only what a rules file lacks, by table, each part below a comment that says where it goes.

    What stands last in the file comes first, so that the numbers of its lines stay true while one part after the other is
    pasted. Of a file without a table, it is the whole file.
    """
    if not rules.tables:
        entries = "".join(entry(table, None, columns) for table, columns in undecided.items())
        return f"tables:\n{entries}" if entries else ""
    new = {table: columns for table, columns in undecided.items() if table not in rules.tables}
    known = sorted((rules.tables[table] for table in undecided if table not in new), key=lambda own: -own.line)
    parts = [_more_columns(rules, own, undecided[own.table]) for own in known]
    if new:
        parts.insert(len(parts) if _in_brackets(rules) else 0, _new_entries(rules, new))
    return "".join(parts)


def _in_brackets(rules: Rules) -> bool:
    """Tell whether the list of tables is, so that it takes more in front of the others."""
    return bool(rules.slot and rules.slot.bracket)


def _new_entries(rules: Rules, undecided: Mapping[str, Sequence[str]]) -> str:
    """Return the entries of tables that the file does not have."""
    if rules.slot and _in_brackets(rules):
        entries = (
            _flow({"table_name": table, **({MASKED: list(columns)} if columns else {})})
            for table, columns in undecided.items()
        )
        return f"# after the [ of tables on line {rules.slot.line}, to decide:\n" + "".join(f"{each},\n" for each in entries)
    entries = (_indented(entry(table, None, columns), rules) for table, columns in undecided.items())
    return "# at the end of tables:\n" + "".join(entries)


def _more_columns(rules: Rules, own: TableRules, undecided: Sequence[str]) -> str:
    """Return what to add to an entry for columns that it does not decide on: to be anonymized until someone does."""
    where, slot = f"# in the entry of {escaped(own.table)}", own.slot
    if not slot:
        heading = f"# in place of the entry of {escaped(own.table)} on line {own.line}:\n"
        return heading + _indented(entry(own.table, own, undecided), rules)
    if slot.bracket:
        listed = _flow(list(undecided))
        of, pasted = ("", f"{slot.key}: {listed}") if slot.key else (f" of {MASKED}", listed[1:-1])
        return f"{where}, after the {slot.bracket}{of} on line {slot.line}, to decide:\n{pasted},\n"
    key, items = " " * slot.indent, " " * (slot.indent + 2 if slot.key else slot.indent)
    lines = [
        *([f"{key}{slot.key}:"] if slot.key else []),
        f"{items}# decide:",
        *(f"{items}- {scalar(name)}" for name in undecided),
    ]
    return "\n".join([f"{where}, after line {slot.line}:", *lines]) + "\n"


def _indented(written: str, rules: Rules) -> str:
    """Return an entry with the blanks in front that the file's entries have."""
    blanks = " " * (rules.slot.indent if rules.slot else 2)
    return "".join(f"{blanks}{line.removeprefix('  ')}" for line in written.splitlines(keepends=True))


def entry(table: str, rules: TableRules | None, undecided: Sequence[str]) -> str:
    """Return a whole entry of a rules file; what is undecided is anonymized until someone decides."""
    decided = sorted(rules.anonymized) if rules else []
    kept = sorted(rules.non_anonymized - rules.anonymized.union(undecided)) if rules else []
    decided, kept = (
        [name for name in names if cut(name) == name] for names in (decided, kept)
    )  # no column has a longer name
    lines = [f"  - table_name: {scalar(table)}", "    anonymized_column_names:"]
    lines += [f"      - {scalar(name)}" for name in decided]
    if undecided:
        lines += ["      # decide:", *(f"      - {scalar(name)}" for name in undecided)]
    lines += ["    non_anonymized_column_names:", *(f"      - {scalar(name)}" for name in kept)]
    masks = [name for name in rules.masks if cut(name) == name] if rules else []
    if rules and masks:
        lines += ["    masks:", *(f"      {scalar(name)}: {_flow(_written(rules.masks[name]))}" for name in masks)]
    reasons = [name for name in rules.clear_because if cut(name) == name] if rules else []
    if rules and reasons:
        lines += [
            "    clear_because:",
            *(f"      {scalar(name)}: {_flow(rules.clear_because[name])}" for name in reasons),
        ]
    if rules and rules.k_anonymity:
        lines.append(f"    k_anonymity: {_flow(_gate(rules.k_anonymity))}")
    return "\n".join(lines) + "\n"


def _written(rule: MaskRule) -> object:
    """Return a mask as the file has it: its name alone where it takes no value."""
    found = rule.written()
    for kind in found.keys() & {"domain"}:
        found[kind] = None  # the domains stand at the top of the file
    ((kind, value), *more) = found.items()
    return kind if value is None and not more else found


def _gate(gate: KAnonymity) -> dict[str, object]:
    """Return k_anonymity as the file has it, without what is said by saying nothing."""
    found = {"k": gate.k, "per": gate.per, "on_breach": gate.on_breach}
    usual = KAnonymity(gate.columns)
    return {"columns": list(gate.columns)} | {key: value for key, value in found.items() if value != getattr(usual, key)}


def _flow(value: object) -> str:
    """Return a value as YAML writes it in one line, with brackets."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_flow(key)}: {_flow(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_flow, value)) + "]"
    if isinstance(value, str):
        is_plain = re.fullmatch(r"\w[\w.-]*", value) or escaped(value) != value
        return scalar(value) if is_plain else json.dumps(value, ensure_ascii=False)
    return json.dumps(value)


def in_brackets(names: Sequence[str]) -> str:
    """Return names as a list in one line."""
    return _flow([*names])
