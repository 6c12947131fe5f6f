"""Which keys and indexes survive the masks: decided here, not discovered by failing."""

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

from multischema.catalog import foreign
from multischema.catalog.tables import Catalog, ForeignKey, Index, Table
from multischema.findings import Finding, problem
from multischema.masks.known import KINDS
from multischema.masks.mask import type_name
from multischema.plan.tables import TablePlan

# Tokens of an index definition as the server writes it: constants (non-empty texts); quoted names; other words, whose digits
# are not numbers; numbers; `.*`, all columns of a row; what opens, separates and closes.
_TOKENS = re.compile(
    r"""\bE?''(?!')|(?P<constant>\bE'(?:[^'\\]|''|\\.)+'|'(?:[^']|'')+')"""
    r"""|"(?P<quoted>(?:[^"]|"")*)"|(?P<word>[^\W\d][\w$]*)|(?P<number>\d+(?:\.\d+)?(?:[Ee][+-]?\d+)?)"""
    r"""|(?P<row>\.\*)|(?P<sign>[(),[\]])""",
    re.DOTALL,
)
_Tokens = Sequence[re.Match[str]]
_KINDS = {"p": "primary key", "u": "unique constraint", "x": "exclusion constraint"}


@dataclass(frozen=True)
class IndexPlan:
    """An index to build, and the key that it becomes: `constraint` is p, u or empty. `note` says what was lost.

    One that is unique `may_repeat` its keys all the same if it has pseudonyms: equal ones of values that differ only in
    how they are written.
    """

    table: str
    name: str
    unique: bool
    constraint: str
    key_columns: tuple[str | None, ...]
    definition: str
    note: Finding | None = None
    may_repeat: bool = False


@dataclass(frozen=True)
class Keys:
    """The indexes and foreign keys of the published tables, and a note for each that changed or was left out.

    `useless` lists the indexes left out because nobody can search by a masked column.
    """

    indexes: tuple[IndexPlan, ...]
    foreign_keys: tuple[ForeignKey, ...]
    notes: tuple[Finding, ...]
    useless: tuple[Index, ...]

    @property
    def names(self) -> Mapping[str, set[str]]:
        """Return the names of each table's keys, foreign keys included."""
        names: defaultdict[str, set[str]] = defaultdict(set)
        for index in self.indexes:
            if index.constraint:
                names[index.table].add(index.name)
        for key in self.foreign_keys:
            names[key.table].add(key.name)
        return names

    def repeating(self, plain: Collection[str]) -> tuple["Keys", list[Finding]]:
        """Return the keys without what indexes that could only be built as `plain` ones don't give, and a note for each."""
        found = [index for index in self.indexes if index.unique and index.name in plain]
        indexes = [replace(index, unique=False, constraint="") if index in found else index for index in self.indexes]
        unique = _unique(indexes)
        kept = [key for key in self.foreign_keys if (key.referenced_table, frozenset(key.referenced_columns)) in unique]
        notes = [
            _of_index(
                "index-of-repeated-pseudonyms",
                index,
                index.constraint,
                "is built as a plain index: some of its values differ only in how they are written, and have one pseudonym",
            )
            for index in found
        ]
        notes += [_without_key(key) for key in self.foreign_keys if key not in kept]
        return replace(self, indexes=tuple(indexes), foreign_keys=tuple(kept)), notes


def plan_keys(tables: Sequence[Table], plans: Mapping[str, TablePlan], schema: str, *, all_indexes: bool) -> Keys:
    """Decide which of the origin's indexes and keys the published tables get: useful ones, or all that can be built.

    What a table without rows has not is not told: nobody misses it.
    """
    indexes: list[IndexPlan] = []
    notes: list[Finding] = []
    useless: list[Index] = []
    for table in tables:
        for index in table.indexes:
            if not all_indexes and _is_useless(index, plans[table.name]):
                useless.append(index)
                continue
            plan, note = _plan_index(index, table, plans[table.name])
            indexes += [plan] if plan else []
            notes += [note] if note and not plans[table.name].truncated else []
    unique = _unique(indexes)
    foreign_keys: list[ForeignKey] = []
    for table in tables:
        for key in table.foreign_keys:
            note = _drops_foreign_key(key, plans, schema, unique)
            if not note:
                foreign_keys.append(key)
            elif not plans[key.table].truncated:
                notes.append(note)
    return Keys(tuple(indexes), tuple(foreign_keys), tuple(notes), tuple(useless))


def unique_problems(catalog: Catalog, plans: Iterable[TablePlan]) -> list[Finding]:
    """Return a problem for each mask that makes values equal on purpose where a unique index keeps them apart."""
    problems = []
    by_name = {plan.name: plan for plan in plans}
    for table in catalog.tables:
        plan = by_name[table.name]
        for index in table.indexes:
            planned, _ = _plan_index(index, table, plan)
            if planned is None or planned.unique or table.children or not (index.unique and index.method == "btree"):
                continue
            what = f"{_KINDS.get(index.constraint_kind, 'unique index')} {index.name}"
            for column in plan.columns:
                mask = column.rule and column.rule.mask
                if mask and mask.is_lossy and column.name in _keys_of(index):
                    type_ = type_name(table.column(column.name).type_oid, catalog.types)
                    fitting = [kind for kind, its in KINDS.items() if its.keeps_apart and type_ in its.fits]
                    want = f"want {' or '.join(fitting)}, or take" if fitting else "take"
                    problems.append(
                        problem(
                            "mask-makes-unique-values-equal",
                            f"{table.name}.{column.name} is in {what}, and mask {mask.kind} makes values equal",
                            f"{want} it out of masks",
                            table=table.name,
                            column=column.name,
                        )
                    )
    return problems


def _is_useless(index: Index, plan: TablePlan) -> bool:
    """Tell whether an index without a constraint has only keys that are masked, or computed from what is.

    An expression counts as all columns it depends on.
    """
    if index.constraint_kind or not index.valid or plan.truncated:
        return False
    keys = [name for name in index.key_columns if name] + ([*index.columns] if None in index.key_columns else [])
    return bool(keys) and all(
        name in plan.unpublished or ((mask := plan.mask(name)) and not mask.is_searchable) for name in keys
    )


def _plan_index(index: Index, table: Table, plan: TablePlan) -> tuple[IndexPlan | None, Finding | None]:
    kind = index.constraint_kind
    if not index.valid:
        return None, _of_index("index-invalid-in-origin", index, "", "left out: it is invalid in the origin")
    missing = [name for name in index.columns if name not in plan.names]
    if missing:
        lacking = f"left out: column {missing[0]} is not published"
        return None, _of_index("index-of-unpublished-column", index, kind, lacking)
    if index.orders_of:
        ordered = f"left out: it compares by the order of enum {', '.join(index.orders_of)}, which is text here"
        return None, _of_index("index-by-order-of-enum", index, kind, ordered)
    refused = foreign.refused_index(index.definition)
    if refused:
        return None, _of_index("index-refused", index, kind, f"left out: its definition {refused}")
    revealing = _beside_a_constant(index, plan)
    if revealing:
        quoting = f"left out: a constant in its definition may be a value of {revealing}, which is not published"
        return None, _of_index("index-with-constant", index, kind, quoting)
    may_be_unique = index.unique and index.method == "btree"  # a key WITHOUT OVERLAPS (18) uses gist
    unique = may_be_unique and _stays_unique(index, table, plan)
    may_be_null = [name for name in index.key_columns if index.constraint_kind == "p" and _may_be_null(plan, name)]
    is_key = index.is_key and unique and not may_be_null
    note = None
    if may_be_unique and not unique:
        reason = "rows of children may repeat its keys" if table.children else "masked values are not unique"
        note = _of_index("index-not-unique", index, kind, f"is built as a plain index: {reason}")
    elif may_be_null:
        nullable = f"is built as a unique index: column {may_be_null[0]} may be NULL"
        note = _of_index("primary-key-may-be-null", index, kind, nullable)
    elif index.constraint_kind and not is_key:
        note = _of_index("constraint-not-kept", index, kind, "is built as a plain index")
    constraint = index.constraint_kind if is_key else ""
    may_repeat = unique and any(mask.identifies for name in index.columns if (mask := plan.mask(name)))
    return IndexPlan(
        index.table, index.name, unique, constraint, index.key_columns, index.definition, note, may_repeat
    ), note


def _beside_a_constant(index: Index, plan: TablePlan) -> str | None:
    """Return a column that is not published as it is beside a constant in an expression or predicate; None for most.

    Everyone who can log in can read index definitions, and `WHERE email = 'marie@exemple.org'` quotes a row. So may any
    non-empty text and any number other than zero.
    """
    for part in _parts(index):
        if any(token["constant"] or re.search("[1-9]", token["number"] or "") for token in part):
            names = _columns_in(part, index)
            found = [name for name in index.columns if name in names and (plan.truncated or plan.mask(name))]
            if found:
                return found[0]
    return None


def _parts(index: Index) -> Sequence[_Tokens]:
    """Return the tokens of each key expression and of the predicate, or all tokens if the keys can't be told apart."""
    tokens = list(_TOKENS.finditer(index.definition))
    depths = list(accumulate((token["sign"] in ("(", "[")) - (token["sign"] in (")", "]")) for token in tokens))
    end = next((place for place, token in enumerate(tokens) if token["sign"] == ")" and not depths[place]), len(tokens))
    keys: list[list[re.Match[str]]] = [[]]
    for token, depth in zip(tokens[:end], depths, strict=False):
        if token["sign"] == "," and depth == 1:
            keys.append([])
        elif depth:
            keys[-1].append(token)
    if len(keys) != len(index.key_columns):
        return [tokens]
    where = next((i for i in range(end, len(tokens)) if tokens[i]["word"] == "WHERE" and not depths[i]), len(tokens))
    return [*(key for key, name in zip(keys, index.key_columns, strict=True) if not name), tokens[where:]]


def _stays_unique(index: Index, table: Table, plan: TablePlan) -> bool:
    """Tell whether masked values satisfy a unique index.

    They don't if children's rows are read with the table's: a parent's key holds for its own rows only. One key column
    whose mask differs per row is enough, whatever the predicate: NULLs are distinct, unless the index says otherwise.
    Without one, any masked column in the keys, expressions or predicate may make rows equal, save those whose masked values
    differ as their values do.
    """
    if table.children:
        return False
    nulls_equal = "NULLS NOT DISTINCT" in index.definition
    for name in index.key_columns:
        mask = plan.mask(name)
        if not mask or mask.identifies or not name or (nulls_equal and not table.column(name).not_null):
            continue
        if mask.is_unique(key_is_unique=_key_is_unique(table, plan)):
            return True
    # INCLUDEd columns don't count
    whole = None not in index.key_columns and " WHERE " not in index.definition
    masks = (plan.mask(name) for name in (index.key_columns if whole else index.columns))
    return all(not mask or mask.identifies for mask in masks)


def _may_be_null(plan: TablePlan, column: str | None) -> bool:
    """Tell whether a mask leaves NULL where there was a value."""
    mask = plan.mask(column)
    return mask is not None and not mask.keeps_not_null


def _keys_of(index: Index) -> frozenset[str]:
    """Return the columns that an index has as keys, or in the expressions among them."""
    parts = _parts(index)
    expressions = parts[:-1] if len(parts) > 1 else parts if None in index.key_columns else ()
    return frozenset(name for name in index.key_columns if name).union(*(_columns_in(part, index) for part in expressions))


def _columns_in(part: _Tokens, index: Index) -> set[str]:
    """Return the columns that a part of an index definition names; `.*` stands for all that the index depends on."""
    names = {token["word"] or (token["quoted"] or "").replace('""', '"') for token in part}
    return set(index.columns) if any(token["row"] for token in part) else names.intersection(index.columns)


def _key_is_unique(table: Table, plan: TablePlan) -> bool:
    """Tell whether no two rows share a key: a row number, the primary key, or an `id` with a unique index and NOT NULL."""
    if plan.key in ((), table.primary_key):
        return True
    return any(
        index.unique and index.valid and index.columns == plan.key and " WHERE " not in index.definition
        for index in table.indexes
    ) and all(table.column(name).not_null for name in plan.key)


def _drops_foreign_key(
    key: ForeignKey, plans: Mapping[str, TablePlan], schema: str, unique: set[tuple[str, frozenset[str | None]]]
) -> Finding | None:
    """Return the warning about a foreign key that can't be published, None if it can."""
    own, other = plans[key.table], plans.get(key.referenced_table)
    if key.referenced_schema != schema or other is None:
        unpublished = f"{key.referenced_schema}.{key.referenced_table} is not published"
        return _left_out("foreign-key-to-unpublished-table", key, unpublished)
    if other.truncated:
        return _left_out("foreign-key-to-truncated-table", key, f"{key.referenced_table} is truncated")
    pairs = list(zip(key.columns, key.referenced_columns, strict=True))
    for plan, columns in ((own, key.columns), (other, key.referenced_columns)):
        for column in columns:
            if column not in plan.names:
                return _left_out("foreign-key-of-unpublished-column", key, f"column {plan.name}.{column} is not published")
    for plan, other_plan, sides in ((own, other, pairs), (other, own, [(b, a) for a, b in pairs])):
        for column, its in sides:
            mask, other_mask = plan.mask(column), other_plan.mask(its)
            if mask and not mask.joins(other_mask):
                if mask.identifies or (other_mask and other_mask.identifies):
                    as_other = f"column {plan.name}.{column} is not masked as {other_plan.name}.{its} is"
                    pseudonym = "the same pseudonym on both would keep it"
                    return _left_out("foreign-key-masked-otherwise", key, as_other, pseudonym)
                return _left_out("foreign-key-of-masked-column", key, f"column {plan.name}.{column} is masked")
    if (key.referenced_table, frozenset(key.referenced_columns)) not in unique:
        return _without_key(key)
    return None


def _of_index(code: str, index: Index | IndexPlan, constraint: str, what: str) -> Finding:
    """Return a warning about an index, which its table's schema has once."""
    said = f"{_KINDS.get(constraint, 'index')} {index.name} of {index.table} {what}"
    return Finding(code, said, table=index.table, object=index.name)


def _left_out(code: str, key: ForeignKey, reason: str, todo: str = "") -> Finding:
    """Return a warning about a foreign key: other tables may have one of that name."""
    said = f"foreign key {key.name} of {key.table} left out: {reason}"
    return Finding(code, said, todo, table=key.table, object=f"{key.table}.{key.name}")


def _without_key(key: ForeignKey) -> Finding:
    return _left_out("foreign-key-to-no-key", key, f"{key.referenced_table} has no such key any more")


def _unique(indexes: Iterable[IndexPlan]) -> set[tuple[str, frozenset[str | None]]]:
    """Return the tables and columns that a foreign key can refer to."""
    return {(index.table, frozenset(index.key_columns)) for index in indexes if index.unique}
