"""Entries of a rules file, as YAML to paste."""

import json
import re
from collections.abc import Sequence

from multischema.rules.file import TableRules
from multischema.rules.masks import KAnonymity, MaskRule
from multischema.rules.nodes import scalar
from multischema.words import cut, escaped


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
