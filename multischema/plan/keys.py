"""Which keys and indexes survive the masks: decided here, not discovered by failing."""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

from multischema.catalog import foreign
from multischema.catalog.tables import ForeignKey, Index, Table
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


@dataclass(frozen=True)
class IndexPlan:
    """An index to build, and the key that it becomes: `constraint` is p, u or empty. `note` says what was lost."""

    table: str
    name: str
    unique: bool
    constraint: str
    key_columns: tuple[str | None, ...]
    definition: str
    note: str = ""


@dataclass(frozen=True)
class Keys:
    """The indexes and foreign keys of the published tables, and a note for each that changed or was left out.

    `useless` lists the indexes left out because nobody can search by a masked column.
    """

    indexes: tuple[IndexPlan, ...]
    foreign_keys: tuple[ForeignKey, ...]
    notes: tuple[str, ...]
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


def plan_keys(tables: Sequence[Table], plans: Mapping[str, TablePlan], schema: str, *, all_indexes: bool) -> Keys:
    """Decide which of the origin's indexes and keys the published tables get: useful ones, or all that can be built."""
    indexes: list[IndexPlan] = []
    notes: list[str] = []
    useless: list[Index] = []
    for table in tables:
        for index in table.indexes:
            if not all_indexes and _is_useless(index, plans[table.name]):
                useless.append(index)
                continue
            plan, note = _plan_index(index, table, plans[table.name])
            indexes += [plan] if plan else []
            notes += [note] if note else []
    unique = {(plan.table, frozenset(plan.key_columns)) for plan in indexes if plan.unique}
    foreign_keys: list[ForeignKey] = []
    for table in tables:
        for key in table.foreign_keys:
            reason = _drops_foreign_key(key, plans, schema, unique)
            if reason:
                notes.append(f"foreign key {key.name} of {key.table} left out: {reason}")
            else:
                foreign_keys.append(key)
    return Keys(tuple(indexes), tuple(foreign_keys), tuple(notes), tuple(useless))


def _is_useless(index: Index, plan: TablePlan) -> bool:
    """Tell whether an index without a constraint has masked keys only; an expression counts as all columns it depends on."""
    if index.constraint_kind or not index.valid or plan.truncated:
        return False
    keys = [name for name in index.key_columns if name] + ([*index.columns] if None in index.key_columns else [])
    masks = [plan.mask(name) for name in keys]
    return bool(masks) and all(mask and not mask.is_searchable for mask in masks)


def _plan_index(index: Index, table: Table, plan: TablePlan) -> tuple[IndexPlan | None, str | None]:
    kind = {"p": "primary key", "u": "unique constraint", "x": "exclusion constraint"}.get(index.constraint_kind, "index")
    if not index.valid:
        return None, f"index {index.name} of {index.table} left out: it is invalid in the origin"
    missing = [name for name in index.columns if name not in plan.names]
    if missing:
        return None, f"{kind} {index.name} of {index.table} left out: column {missing[0]} is not published"
    if index.orders_of:
        return None, (
            f"{kind} {index.name} of {index.table} left out: "
            f"it compares by the order of enum {', '.join(index.orders_of)}, which is text here"
        )
    refused = foreign.refused_index(index.definition)
    if refused:
        return None, f"{kind} {index.name} of {index.table} left out: its definition {refused}"
    revealing = _beside_a_constant(index, plan)
    if revealing:
        return None, (
            f"{kind} {index.name} of {index.table} left out: "
            f"a constant in its definition may be a value of {revealing}, which is not published"
        )
    may_be_unique = index.unique and index.method == "btree"  # a key WITHOUT OVERLAPS (18) uses gist
    unique = may_be_unique and _stays_unique(index, table, plan)
    is_key = index.is_key and unique
    note = ""
    if may_be_unique and not unique:
        reason = "rows of children may repeat its keys" if table.children else "masked values are not unique"
        note = f"{kind} {index.name} of {index.table} is built as a plain index: {reason}"
    elif index.constraint_kind and not is_key:
        note = f"{kind} {index.name} of {index.table} is built as a plain index"
    constraint = index.constraint_kind if is_key else ""
    return IndexPlan(index.table, index.name, unique, constraint, index.key_columns, index.definition, note), note


def _beside_a_constant(index: Index, plan: TablePlan) -> str | None:
    """Return a column that is not published as it is beside a constant in an expression or predicate; None for most.

    Everyone who can log in can read index definitions, and `WHERE email = 'marie@exemple.org'` quotes a row. So may any
    non-empty text and any number other than zero.
    """
    for part in _parts(index):
        if any(token["constant"] or re.search("[1-9]", token["number"] or "") for token in part):
            names = {token["word"] or (token["quoted"] or "").replace('""', '"') for token in part}
            names.update(index.columns if any(token["row"] for token in part) else ())
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
    Without one, any masked column in the keys, expressions or predicate may make rows equal.
    """
    if table.children:
        return False
    nulls_equal = "NULLS NOT DISTINCT" in index.definition
    for name in index.key_columns:
        mask = plan.mask(name)
        if not mask or not name or (nulls_equal and not table.column(name).not_null):
            continue
        if mask.is_unique(key_is_unique=_key_is_unique(table, plan)):
            return True
    # INCLUDEd columns don't count
    whole = None not in index.key_columns and " WHERE " not in index.definition
    return not any(plan.mask(name) for name in (index.key_columns if whole else index.columns))


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
) -> str | None:
    own, other = plans[key.table], plans.get(key.referenced_table)
    if key.referenced_schema != schema or other is None:
        return f"{key.referenced_schema}.{key.referenced_table} is not published"
    if other.truncated:
        return f"{key.referenced_table} is truncated"
    pairs = list(zip(key.columns, key.referenced_columns, strict=True))
    for plan, columns in ((own, key.columns), (other, key.referenced_columns)):
        for column in columns:
            if column not in plan.names:
                return f"column {plan.name}.{column} is not published"
    for plan, other_plan, sides in ((own, other, pairs), (other, own, [(b, a) for a, b in pairs])):
        for column, its in sides:
            mask = plan.mask(column)
            if mask and not mask.joins(other_plan.mask(its)):
                return f"column {plan.name}.{column} is masked"
    if (key.referenced_table, frozenset(key.referenced_columns)) not in unique:
        return f"{key.referenced_table} has no such key any more"
    return None
