"""Masks and k_anonymity against a table of the catalog: what does not fit stops a run before any row is read."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from multischema import findings
from multischema.catalog.flat import flatten
from multischema.catalog.tables import Catalog, Column, Table, Type
from multischema.findings import Finding
from multischema.masks.known import KINDS
from multischema.masks.mask import type_name
from multischema.rules.file import TableRules
from multischema.rules.masks import KAnonymity, MaskRule, OnlyWhen
from multischema.words import cut, plural, some, suggestion

_INTEGERS = ("int2", "int4", "int8")
# by type: the texts that Postgres writes for its values, and how messages say it
_WRITTEN = {
    "bool": (re.compile("[tf]"), "true and false"),
    **dict.fromkeys(_INTEGERS, (re.compile("0|-?[1-9][0-9]*"), "integers in plain digits")),
    "uuid": (re.compile("[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"), "uuids in lower case, with hyphens"),
}
_EXACT = ("text", "enum", *_WRITTEN)


@dataclass(frozen=True)
class Fit:
    """What does not fit: problems stop the run, warnings go into the report. `rules` are without what does not fit."""

    problems: tuple[Finding, ...]
    warnings: tuple[Finding, ...]
    rules: TableRules


def fit(table: Table, rules: TableRules, catalog: Catalog) -> Fit:
    """Return how the masks and k_anonymity of a table's rules fit it. A column that it does not have is no problem."""
    problems: list[Finding] = []
    warnings: list[Finding] = []
    masks = {}
    columns = {column.name: column for column in table.columns}
    computed = table.computed_from(rules.anonymized)
    for name, rule in rules.masks.items():
        if name not in columns:
            continue
        where = rules.where(name, rule.line)
        if name in computed:
            what = f"{table.name}.{name} is computed from anonymized columns and left out, its mask with it"
            warnings.append(Finding("mask-left-out", what, **where))
            continue
        found = _mask_problems(columns[name], rule, catalog, where) if rule.mask else []
        if rule.only_when and (unfit := _only_when_problem(table, rules, rule.only_when, catalog)):
            what, todo = unfit
            found.append(findings.problem("only-when", f"{table.name}.{name}: only_when: {what}", todo, **where))
        warnings += _mask_warnings(columns[name], rule, catalog, where)
        problems += found
        if not found:
            masks[name] = rule
    gate = rules.k_anonymity
    found = list(_gate_problems(table, rules, gate)) if gate else []
    return Fit((*problems, *found), tuple(warnings), replace(rules, masks=masks, k_anonymity=None if found else gate))


def _mask_problems(column: Column, rule: MaskRule, catalog: Catalog, where: Mapping[str, Any]) -> list[Finding]:
    """Return why a mask does not fit its column's type, and what would."""
    mask, type_ = rule.mask, type_name(column.type_oid, catalog.types)
    assert mask
    found = f"{column.table}.{column.name} is of type {column.type_text}"
    if type_ not in mask.fits:
        others = [kind for kind in sorted(KINDS) if type_ in KINDS[kind].fits]
        want = f"want {_either(others)}, or take it out of masks" if others else "take it out of masks"
        what = f"{found}, which mask {mask.kind} does not take ({', '.join(mask.fits)})"
        return [findings.problem("mask-type", what, want, **where)]
    misfit = mask.misfit(type_, flatten(column.type_oid, column.type_text, catalog.types).spelling)
    what = f"{found}, which mask {mask.kind} does not fit: {misfit}"
    return [findings.problem("mask-type", what, **where)] if misfit else []


def _mask_warnings(column: Column, rule: MaskRule, catalog: Catalog, where: Mapping[str, Any]) -> list[Finding]:
    """Return a warning of a mask that hides nothing, and of values that an enum does not have: one may be misspelt."""
    if not rule.mask:
        return []
    type_, shown = _bottom(column.type_oid, catalog), rule.mask.written()
    spelling = flatten(column.type_oid, column.type_text, catalog.types).spelling
    if why := rule.mask.hides_nothing(type_name(column.type_oid, catalog.types), spelling):
        found = f"{column.table}.{column.name} is of type {column.type_text}, of which mask {rule.mask.kind} hides nothing"
        return [Finding("mask-hides-nothing", f"{found}: {why}", **where)]
    if type_.kind != "e" or not isinstance(shown, list):
        return []
    unknown = [cut(value) for value in shown if value not in type_.labels]
    if not unknown:
        return []
    shows = f"{column.table}.{column.name}: its mask shows {plural(len(unknown), 'value')} {some(unknown)}"
    what = f"{shows}, which its enum does not have{suggestion(unknown[0], type_.labels)}"
    return [Finding("unknown-value", what, **where)]


def _only_when_problem(table: Table, rules: TableRules, condition: OnlyWhen, catalog: Catalog) -> tuple[str, str] | None:
    """Return why a column can't decide which rows are masked, and what to do: every reader must see the same of it."""
    name = cut(condition.column)
    if hidden := _unpublished(table, rules, condition.column):
        return hidden, "want a column that is published as it is"
    column = table.column(condition.column)
    type_ = type_name(column.type_oid, catalog.types)
    bottom = _bottom(column.type_oid, catalog)
    if type_ not in _EXACT or bottom.name == "citext":
        return f"{name} is of type {column.type_text}", "want text (not citext), an enum, a boolean, an integer or a uuid"
    if condition.are_booleans and type_ != "bool":
        return f"{name} is of type {column.type_text}, and true, yes, on and their opposites are booleans", "quote them"
    if type_ == "enum" and (unknown := [value for value in condition.values if value not in bottom.labels]):
        meant = suggestion(unknown[0], bottom.labels)
        return f"{name} is of type {column.type_text}, which does not have the value {cut(unknown[0])!r}{meant}", ""
    if bottom.name == "bpchar" and any(value.endswith(" ") for value in condition.values):
        return f"{name} is of type {column.type_text}, whose values are compared without the blanks at their end", ""
    if type_ in _WRITTEN:
        pattern, wanted = _WRITTEN[type_]
        if odd := [value for value in condition.values if not pattern.fullmatch(value)]:
            return f"{name} is of type {column.type_text}, which never has the value {cut(odd[0])!r}", f"want {wanted}"
    return None


def _gate_problems(table: Table, rules: TableRules, gate: KAnonymity) -> Iterator[Finding]:
    """Yield what is wrong with the columns whose combinations are counted, and with those that they are counted by."""

    def problem(name: str, what: str, todo: str) -> Finding:
        where = rules.where(name, gate.line)
        return findings.problem("k-anonymity", f"{table.name}: k_anonymity: {what}", todo, **where)

    for name in gate.columns:
        hidden = _unpublished(table, rules, name, masked=False)
        rule = rules.masks.get(name)
        if hidden:
            yield problem(name, hidden, "want a column that is published")
        elif name in rules.anonymized and not (rule and rule.mask):
            yield problem(name, f"{name} is masked wholly, so there is nothing to combine", "give it a mask, or take it out")
    rule = rules.masks.get(gate.per)
    tells_apart = bool(rule and rule.mask and rule.mask.identifies and not rule.only_when)
    if gate.per and (hidden := _unpublished(table, rules, gate.per, masked=not tells_apart)):
        todo = "want one published as it is or as a pseudonym, or no per, to count rows"
        yield problem(gate.per, f"per: {hidden}", todo)


def _either(names: Sequence[str]) -> str:
    return " or ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def _unpublished(table: Table, rules: TableRules, name: str, *, masked: bool = True) -> str | None:
    """Return why the reader does not see a column, or with `masked` does not see it as it is; None if it does."""
    names = [column.name for column in table.columns]
    if name not in names:
        return f"{table.name} has no column {cut(name)}{suggestion(name, names)}"
    if name in table.computed_from(rules.anonymized):
        return f"{name} is computed from anonymized columns and left out"
    if masked and name in rules.anonymized:
        return f"{name} is anonymized"
    return None


def _bottom(oid: int, catalog: Catalog) -> Type:
    """Return the type that a domain stands on."""
    type_ = catalog.types[oid]
    return _bottom(type_.base, catalog) if type_.kind == "d" else type_
