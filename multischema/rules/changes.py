"""What a change of the rules publishes or hides, for whoever reviews it: from the two files alone, without a database.

What shows more, or may, is a warning; what hides more is a note, and so is what changes nothing that is published. Without a
database nobody knows which columns are keys: one that is not listed may be one, which is published as it is.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Literal

from multischema.findings import Finding, note
from multischema.rules.file import Rules, TableRules
from multischema.rules.masks import KAnonymity, MaskRule
from multischema.rules.nodes import quoted
from multischema.words import count, cut, some

# what is published of a column: nothing, as its table is not; nothing but whether there is a value; a part; all; or it is
# not listed, and published as it is if it is a key
Published = Literal["nothing", "wholly masked", "as it is", "not listed"] | MaskRule
Direction = Literal["weaker", "stronger", "otherwise"]

# the kinds of changes, in the order in which a reviewer reads them, and how the summary counts them
_COUNTED = {
    "table-published": ("table becomes visible", "tables become visible"),
    "column-published": ("column becomes visible", "columns become visible"),
    "column-unlisted": ("column no longer listed", "columns no longer listed"),
    "mask-weaker": ("mask weaker", "masks weaker"),
    "mask-otherwise": ("mask otherwise", "masks otherwise"),
    "k-anonymity-weaker": ("k_anonymity weaker", "k_anonymity weaker"),
    "k-anonymity-otherwise": ("k_anonymity otherwise", "k_anonymity otherwise"),
    "column-hidden": ("column hidden", "columns hidden"),
    "table-hidden": ("table hidden", "tables hidden"),
    "mask-stronger": ("mask stronger", "masks stronger"),
    "k-anonymity-stronger": ("k_anonymity stronger", "k_anonymity stronger"),
    "table-entry": ("entry of a table without rows", "entries of tables without rows"),
    "clear-because": ("reason changed", "reasons changed"),
    "expected-warning": ("expected warning changed", "expected warnings changed"),
}
CODES = tuple(_COUNTED)


def changes(old: Rules, new: Rules) -> list[Finding]:
    """Return what differs, table by table, first what becomes visible; lines are those of the new file."""
    gone = [name for name in old.tables if name not in new.tables]
    found: list[Finding] = []
    for name in (*new.tables, *gone):
        found += sorted(_of_table(name, old.tables.get(name), new.tables.get(name)), key=_rank)
    return [*found, *_of_expected(old, new)]


def is_weaker(change: Finding) -> bool:
    """Tell whether a change publishes more than before, or may."""
    return change.level == "warning"


def summary(found: Sequence[Finding]) -> str:
    """Return how many changes there are of each kind, in one line."""
    numbers = Counter(change.code for change in found)
    said = [count(numbers[code], *words) for code, words in _COUNTED.items() if numbers[code]]
    return ", ".join(said) or "no difference in what is published"


def _rank(change: Finding) -> tuple[bool, int]:
    return not is_weaker(change), CODES.index(change.code)


def _change(
    direction: Direction, code: str, what: str, todo: str = "", *, table: str, column: str = "", line: int = 0
) -> Finding:
    level: Literal["note", "warning"] = "note" if direction == "stronger" else "warning"
    return Finding(code, what, todo, level=level, side="rules", table=table, column=column, line=line)


# Tables.


def _of_table(name: str, old: TableRules | None, new: TableRules | None) -> Iterator[Finding]:
    """Give what differs in the rules of one table; of one that is not published any more, only that."""
    was, shows = _rows(old), _rows(new)
    if not shows:
        yield from _of_entry(name, old, new)
        return
    assert new
    if not was:
        before = "was truncated" if old else "had no entry"
        what = f"rows and keys published now: {cut(name)} ({before})"
        yield _change("weaker", "table-published", what, table=name, line=new.line)
    listed = new.anonymized | new.non_anonymized
    if was and old:
        listed |= old.anonymized | old.non_anonymized
    for column in sorted(listed, key=lambda column: (new.lines.get(column, 0), column)):
        yield from _of_column(name, column, _published(old, column), _published(new, column), new)
    if was and old:
        yield from _of_gate(name, old.k_anonymity, new.k_anonymity, new.line)
    yield from _of_reasons(name, old, new)


def _rows(rules: TableRules | None) -> bool:
    """Tell whether any row of a table is published."""
    return rules is not None and not rules.truncated


def _of_entry(name: str, old: TableRules | None, new: TableRules | None) -> Iterator[Finding]:
    """Give what became of the entry of a table of which no row is published now."""
    clear = sorted(old.non_anonymized - old.anonymized) if old else []
    shown = f" (published {some([cut(column) for column in clear])} as it is)" if len(clear) == 1 else ""
    shown = f" (published {len(clear)} columns as they are)" if len(clear) > 1 else shown
    if new is None:
        code = "table-hidden" if _rows(old) else "table-entry"
        todo = "a run stops for a table without an entry, unless the origin has it no more or it is a partition"
        yield _change("stronger", code, f"no entry any more: {cut(name)}{shown}", todo, table=name)
    elif _rows(old):
        yield _change("stronger", "table-hidden", f"truncated now: {cut(name)}{shown}", table=name, line=new.line)
    elif old is None:
        what = f"truncated: {cut(name)} (had no entry)"
        yield _change("stronger", "table-entry", what, table=name, line=new.line)


# Columns.


def _published(rules: TableRules | None, column: str) -> Published:
    """Return what the rules of a table publish of a column."""
    if rules is None or rules.truncated:
        return "nothing"
    if column in rules.anonymized:
        return rules.masks.get(column, "wholly masked")
    return "as it is" if column in rules.non_anonymized else "not listed"


def _covers(new: Published, old: Published) -> bool:
    """Tell whether a column surely shows no more than it did."""
    if new in ("nothing", "wholly masked"):
        return True
    if isinstance(new, MaskRule):
        return old == "as it is" or (isinstance(old, MaskRule) and new.covers(old))
    return old == "as it is" or (old == new == "not listed")


def _of_column(table: str, column: str, old: Published, new: Published, rules: TableRules) -> Iterator[Finding]:
    """Give how a column is published otherwise than before, if it is."""
    weaker, stronger = not _covers(new, old), not _covers(old, new)
    if not (weaker or stronger):
        return
    direction: Direction = "otherwise" if weaker and stronger else "weaker" if weaker else "stronger"
    name, before, todo = f"{cut(table)}.{cut(column)}", _before(old, new), ""
    if new == "as it is":
        code, what = "column-published", f"published as it is now: {name} ({before})"
    elif new == "not listed":
        code, what = "column-unlisted", f"no longer listed: {name} ({before})"
        todo = "a key is then published as it is, and a run stops for any other column that the origin has"
    elif old in ("as it is", "not listed") and direction == "stronger":
        code, what = "column-hidden", f"anonymized now: {name} ({_now(new)}{before})"
    else:
        shows = {"weaker": "shows more", "stronger": "shows less", "otherwise": "shows something else"}[direction]
        code, what = f"mask-{direction}", f"{shows}: {name} ({_now(new)}{before})"
    yield _change(direction, code, what, todo, table=table, column=column, line=rules.lines.get(column, rules.line))


def _now(new: Published) -> str:
    return f"{new.said()}; " if isinstance(new, MaskRule) else ""


def _before(old: Published, new: Published) -> str:
    """Return how a column was published before."""
    if isinstance(old, MaskRule):
        return f"was {old.said()}"
    said = {
        "nothing": "no row was published",
        "wholly masked": "was anonymized wholly" if isinstance(new, MaskRule) else "was anonymized",
        "as it is": "was published as it is",
        "not listed": "was not listed",
    }
    return said[old]


# What else an entry says.


def _of_gate(table: str, old: KAnonymity | None, new: KAnonymity | None, line: int) -> Iterator[Finding]:
    """Give how the rare combinations that a run looks for differ, if they do."""
    weaker, stronger = not _asks(new, old), not _asks(old, new)
    if weaker or stronger:
        direction: Direction = "otherwise" if weaker and stronger else "weaker" if weaker else "stronger"
        asks = {"weaker": "asks less", "stronger": "asks more", "otherwise": "asks something else"}[direction]
        what = f"k_anonymity of {cut(table)} {asks} ({_gate(new)}; was {_gate(old)})"
        yield _change(direction, f"k-anonymity-{direction}", what, table=table, line=line)


def _asks(new: KAnonymity | None, old: KAnonymity | None) -> bool:
    """Tell whether one lets through no combination that another did not."""
    if not old:
        return True
    if not new:
        return False
    # as many different values of a column as k are at least as many rows
    return (
        set(new.columns) >= set(old.columns)
        and new.k >= old.k
        and (new.per == old.per or not old.per)
        and (new.on_breach == "refuse" or old.on_breach == "warn")
    )


def _gate(gate: KAnonymity | None) -> str:
    if not gate:
        return "none"
    columns = ", ".join(map(cut, gate.columns))
    return f"{gate.k} {cut(gate.per) if gate.per else 'rows'} for each {columns}, else {gate.on_breach}"


def _of_reasons(table: str, old: TableRules | None, new: TableRules) -> Iterator[Finding]:
    """Give the reasons for clear columns that differ; one that is gone with its column is no difference."""
    before = old.clear_because if old else {}
    for column in sorted(before.keys() | new.clear_because.keys()):
        reason, was = new.clear_because.get(column), before.get(column)
        if reason == was or (reason is None and column not in new.non_anonymized - new.anonymized):
            continue
        now = f"clear because {quoted(reason, 60)}" if reason is not None else "clear without a reason now"
        what = f"{now}: {cut(table)}.{cut(column)} (was {quoted(was, 60) if was is not None else 'without a reason'})"
        line = new.lines.get(column, new.line)
        yield note("clear-because", what, side="rules", table=table, column=column, line=line)


def _of_expected(old: Rules, new: Rules) -> Iterator[Finding]:
    """Give the warnings that nobody sees any more, and those that show again."""
    for each in new.expected:
        if each not in old.expected:
            what = f"a warning is silenced: {each.code} of {each.object}"
            yield note("expected-warning", what, side="rules", object=each.object, line=each.line)
    for each in old.expected:
        if each not in new.expected:
            what = f"a warning shows again: {each.code} of {each.object}"
            yield note("expected-warning", what, side="rules", object=each.object)
