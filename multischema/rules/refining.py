"""The keys `masks`, `k_anonymity` and `domains` of a rules file: how anonymized columns are masked.

masks         by column: a mask (`department`), a mask with a value (`{period: year}`), `only_when`, or both
k_anonymity   columns, and if wanted k (5), per (rows) and on_breach (refuse): a rare combination is refused or warned of
domains       at the top: more e-mail domains that the mask `domain` shows
"""

import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from decimal import Decimal
from typing import Literal

import yaml

from multischema.findings import Finding
from multischema.masks.known import KINDS
from multischema.masks.mask import Refined, Unreadable
from multischema.rules.masks import KAnonymity, MaskRule, OnlyWhen
from multischema.rules.nodes import (
    Place,
    boolean,
    cure,
    is_storable,
    kind_of,
    line_of,
    quoted,
    read_items,
    read_mapping,
    read_name,
    read_values,
    scalar,
    shown,
)
from multischema.words import cut, some, suggestion

K_ANONYMITY_KEYS = ("columns", "k", "per", "on_breach")
LEAST_K, GREATEST_K = 2, 1000
MOST_COMBINED = 32
MOST_COLUMNS = 1600  # of a table of Postgres
MOST_SUGGESTIONS = 20
# YAML 1.1 has numbers that nobody means: 010 is 8, 1:30 is 90, 1_0 is 10, and `.inf` is one too.
_NUMBER = re.compile(r"[-+]?(?:0|[1-9][0-9]{0,39})(?:\.[0-9]{1,40})?")
_ONLY_WHEN = "only_when"
_LABEL = "[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_DOMAIN = re.compile(rf"(?:\*\.)?(?:{_LABEL}\.)+[a-z](?:[a-z0-9-]{{0,61}}[a-z0-9])")


def read_domains(node: yaml.Node, place: Place, problems: list[Finding]) -> Sequence[str]:
    """Return the e-mail domains, in lower case and in order, each once."""
    found = set()
    for index, item in enumerate(read_items(node, place, "e-mail domains", problems)):
        at = place.at(f"[{index}]")
        domain = str(item.value).lower() if kind_of(item) == "text" else ""
        if "@" in domain:
            what = "an e-mail address, or a part of one"
            problems.append(at.problem(item, "wrong-value", what, "want what follows its @ alone"))
        elif len(domain) > 253 or not _DOMAIN.fullmatch(domain):
            problems.append(at.unlike(item, f"a domain such as cd62.fr or '*.departement.fr'{cure(item)}"))
        else:
            found.add(domain)
    return sorted(found)


def read_masks(node: yaml.Node, place: Place, domains: Sequence[str], problems: list[Finding]) -> Mapping[str, MaskRule]:
    """Return how columns are masked, by column: all that are named, even if problems were added."""
    columns = read_mapping(node, place, "a mask for each column, such as {birth_date: {period: year}}", problems)
    return {
        column: _read_mask(value, place.at(f": {shown(column)}", column), domains, problems)
        for column, value in columns.items()
    }


def unlisted(
    masks: Mapping[str, MaskRule], anonymized: Collection[str], non_anonymized: Collection[str], place: Place
) -> Sequence[Finding]:
    """Return a problem for each column that has a mask and is not listed as anonymized, with the line to paste."""
    problems: list[Finding] = []
    for column in masks:
        if column not in anonymized:
            # each suggestion takes its time, and a hostile file may have many
            is_compared = len(problems) < MOST_SUGGESTIONS and len(anonymized) <= MOST_COLUMNS
            meant = suggestion(column, anonymized) if is_compared else ""
            move = " and take it out of non_anonymized_column_names" if column in non_anonymized else ""
            todo = f"add to anonymized_column_names: - {scalar(cut(column))}{move}"
            at = place.at(f": {shown(column)}", column)
            problems.append(at.problem_on(masks[column].line, "mask-not-listed", f"not listed as anonymized{meant}", todo))
    return problems


def read_k_anonymity(node: yaml.Node, place: Place, problems: list[Finding]) -> KAnonymity | None:
    """Return what rare combinations of columns are looked for; None after a problem."""
    if kind_of(node) != "a mapping":
        problems.append(place.unlike(node, "a mapping, such as {columns: [birth_date, post_code]}"))
        return None
    known = len(problems)
    values = read_values(node, place, K_ANONYMITY_KEYS, problems)
    # an unknown key may be this one, misspelt
    columns: tuple[str, ...] = ()
    if "columns" in values:
        columns = _read_columns(values["columns"], place.at(": columns"), problems)
    elif len(problems) == known:
        problems.append(place.problem(node, "missing-key", "no columns", "want a list of them"))
    k, per, on_breach = KAnonymity.k, KAnonymity.per, KAnonymity.on_breach
    if "k" in values:
        k = _read_k(values["k"], place.at(": k"), problems)
    if "per" in values:
        per = read_name(values["per"], place.at(": per"), "the name of a column", problems)
    if per in columns:
        what = f"{shown(per)} is one of its columns"
        todo = "want another column, or no per to count rows"
        problems.append(place.at(": per", per).problem(values["per"], "wrong-value", what, todo))
    if "on_breach" in values:
        on_breach = _read_on_breach(values["on_breach"], place.at(": on_breach"), problems)
    return KAnonymity(columns, k, per, on_breach, line_of(node)) if len(problems) == known else None


def _read_mask(node: yaml.Node, place: Place, domains: Sequence[str], problems: list[Finding]) -> MaskRule:
    """Read how a column is masked; the result is only valid if no problem was added."""
    wanted = ", ".join((*sorted(KINDS), _ONLY_WHEN))
    if kind_of(node) == "text":
        found: Mapping[str, yaml.Node | None] = {str(node.value): None}
    elif kind_of(node) == "a mapping" and node.value:
        found = read_mapping(node, place, wanted, problems)
    else:
        problems.append(place.unlike(node, f"a mask: {wanted}"))
        return MaskRule(None, line=line_of(node))
    unknown = [name for name in found if name not in (*KINDS, _ONLY_WHEN)]
    for name in unknown:
        of = next((kind for kind, its in KINDS.items() if name in its.choices), None)
        few = len(problems) < MOST_SUGGESTIONS
        meant = f" (did you mean {{{of}: {name}}}?)" if of else suggestion(name, (*KINDS, _ONLY_WHEN)) if few else ""
        problems.append(place.problem(node, "unknown-mask", f"unknown mask {quoted(name, 40)}", f"want {wanted}{meant}"))
    kinds = [name for name in found if name in KINDS]
    if len(kinds) > 1:
        problems.append(place.problem(node, "wrong-value", f"found {len(kinds)} masks ({', '.join(kinds)})", "want one"))
    masks = [_read_refined(kind, found[kind], node, place.at(f": {kind}"), domains, problems) for kind in kinds]
    only_when = None
    if _ONLY_WHEN in found:
        only_when = _read_only_when(found[_ONLY_WHEN], node, place.at(f": {_ONLY_WHEN}"), problems)
    return MaskRule(masks[0] if masks else None, only_when, line_of(node))


def _read_refined(
    kind: str, value: yaml.Node | None, mask: yaml.Node, place: Place, domains: Sequence[str], problems: list[Finding]
) -> Refined | None:
    """Read a mask with its value; None after a problem."""
    known = len(problems)
    plain = _plain(value, place, problems) if value else None
    if len(problems) > known:
        return None
    found = f"found {_described(value, place)}" if value else "found no value"
    if kind == "domain":
        if plain is not None:
            todo = "want no value: more domains go under domains, at the top of the file"
            problems.append(place.problem(value or mask, "wrong-value", found, todo))
            return None
        plain = list(domains) or None
    try:
        return KINDS[kind].read(plain)
    except Unreadable as error:
        problems.append(place.problem(value or mask, "wrong-value", found, str(error)))
        return None


def _read_only_when(node: yaml.Node | None, mask: yaml.Node, place: Place, problems: list[Finding]) -> OnlyWhen | None:
    """Read which rows are masked; the result is only valid if no problem was added."""
    wanted = "a column with a list of its values, such as {status: [closed]}"
    if node is None:
        problems.append(place.problem(mask, "wrong-type", "found no value", f"want {wanted}"))
        return None
    if kind_of(node) != "a mapping" or not node.value:
        problems.append(place.unlike(node, wanted))
        return None
    columns = read_mapping(node, place, wanted, problems)
    if len(columns) > 1:
        what = f"found {len(columns)} columns ({some([shown(name) for name in columns])})"
        problems.append(place.problem(node, "wrong-value", what, "want one"))
    if len(columns) != 1:
        return None
    ((column, listed),) = columns.items()
    place = place.at(f": {shown(column)}")
    if kind_of(listed) != "a list" or not listed.value:
        problems.append(place.problem(listed, "wrong-type", f"found {_described(listed, place)}", "want a list of values"))
        return None
    values = [_read_text(item, place.at(f"[{index}]"), problems) for index, item in enumerate(listed.value)]
    booleans = [item for item in listed.value if kind_of(item) == "a boolean"]
    if booleans and len(booleans) < len(values):
        what = f"found {_described(listed, place)}, booleans and others"
        problems.append(place.problem(listed, "wrong-value", what, "want one or the other, or quotes"))
    return OnlyWhen(column, tuple(dict.fromkeys(values)), bool(booleans))


def _read_text(node: yaml.Node, place: Place, problems: list[Finding]) -> str:
    """Return the text that Postgres writes for a value of another column."""
    kind, value = kind_of(node), boolean(node)
    if value is not None:
        return "t" if value else "f"
    if kind == "text" and is_storable(node.value):
        return str(node.value)
    if kind == "a number" and _NUMBER.fullmatch(node.value) and "." not in node.value:
        return str(int(node.value))
    if kind == "nothing" and node.value != "":
        todo = "leave it out: a row with NULL there is masked anyway"
        problems.append(place.problem(node, "wrong-value", f"found {place.found(node)}", todo))
    else:
        problems.append(place.unlike(node, f"text, an integer or a boolean{cure(node)}"))
    return ""


def _plain(node: yaml.Node, place: Place, problems: list[Finding]) -> object:
    """Return a mask's value: None, text, a number, or a list of these two; an empty dict for what no mask takes."""
    kind = kind_of(node)
    if kind == "nothing":
        return None
    if kind == "a list":
        return [_read_item(item, place.at(f"[{index}]"), problems) for index, item in enumerate(node.value)]
    if kind == "text" or kind == "a number":
        return _read_item(node, place, problems)
    return {}


def _read_item(node: yaml.Node, place: Place, problems: list[Finding]) -> object:
    kind = kind_of(node)
    if kind == "text" and is_storable(node.value):
        return str(node.value)
    if kind == "a number" and _NUMBER.fullmatch(node.value):
        return Decimal(node.value) if "." in node.value else int(node.value)
    if kind == "a number":
        problems.append(place.unlike(node, "plain digits, such as 1000 or -0.5, or quotes"))
    else:
        problems.append(place.unlike(node, f"text or a number{cure(node)}"))
    return None


def _described(node: yaml.Node, place: Place) -> str:
    """Describe what was found, and the items of a list of values."""
    if kind_of(node) == "a list" and all(isinstance(item, yaml.ScalarNode) for item in node.value):
        listed = quoted(", ".join(item.value for item in node.value), 40)[1:-1]
        return f"a list ([{listed}])" if node.value else "an empty list"
    return place.found(node)


def _read_columns(node: yaml.Node, place: Place, problems: list[Finding]) -> tuple[str, ...]:
    known = len(problems)
    nodes = read_items(node, place, "column names", problems)
    columns = [read_name(item, place.at(f"[{index}]"), "a column name", problems) for index, item in enumerate(nodes)]
    if len(problems) > known:
        return ()
    if not 0 < len(columns) <= MOST_COMBINED:
        problems.append(place.problem(node, "wrong-value", f"found {len(columns)}", f"want 1 to {MOST_COMBINED} columns"))
        return ()
    if twice := [column for column, number in Counter(columns).items() if number > 1]:
        what = f"{some([shown(name) for name in twice])} listed twice"
        problems.append(place.problem(node, "wrong-value", what, "want each once"))
    return tuple(columns)


def _read_k(node: yaml.Node, place: Place, problems: list[Finding]) -> int:
    is_integer = kind_of(node) == "a number" and re.fullmatch("[1-9][0-9]{0,3}", node.value)
    if not is_integer or not LEAST_K <= int(node.value) <= GREATEST_K:
        problems.append(place.unlike(node, f"an integer from {LEAST_K} to {GREATEST_K}"))
        return LEAST_K
    return int(node.value)


def _read_on_breach(node: yaml.Node, place: Place, problems: list[Finding]) -> Literal["refuse", "warn"]:
    if kind_of(node) == "text" and node.value in ("refuse", "warn"):
        return "warn" if node.value == "warn" else "refuse"
    meant = suggestion(node.value, ("refuse", "warn")) if kind_of(node) == "text" else ""
    problems.append(place.unlike(node, f"refuse or warn{meant}"))
    return "refuse"
