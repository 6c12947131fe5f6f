"""A first draft of a rules file: every text is personal until shown otherwise."""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from multischema.catalog.flat import flatten, literal_default
from multischema.catalog.tables import Catalog, Column, Table
from multischema.masks.mask import type_name
from multischema.rules.file import Rules, TableRules
from multischema.rules.following import effective
from multischema.rules.frameworks import Framework, framework_of
from multischema.rules.gaps import missing_columns
from multischema.rules.nodes import scalar
from multischema.rules.words import Form, Words, form_of, snake
from multischema.rules.writing import entry

Referred = Mapping[tuple[str, str], Sequence[Column]]
_HEADER = """# A first draft, guessed from names and types: read every line. Masked until you decide otherwise.
tables:
"""
_WHY = "suggested: without the marks in front, these keep a part that may be worth an analysis"
# columns in which a table of statuses, services or countries says what each of its rows is
_LABELS = re.compile("(?:short_|long_)?(?:name|nom|label|libelle|code)")
_ID = re.compile("(?<![a-z])ids?$")
# Columns of which something can stay, with the types that they must have: whoever reads the draft decides.
_SUGGESTED = (
    (
        re.compile(
            r"(?:.*_)?(?:date_)?(?:of_|de_)?(?:birth(?:_?date|_?day)?|dob|born|naissance|death(?:_?date)?|died|deceased|deces)"
            r"(?:_date|_on|_at)?"
        ),
        ("date", "timestamp", "timestamptz"),
        "{period: year}",
    ),
    (
        re.compile(
            r"(?:.*_)?(?:post_?codes?|postal_?codes?|zip|zip_?codes?|codes?_?postal|cp|city_?codes?|codes?_(?:insee|commune)|"
            r"insee_codes?|commune_codes?)"
        ),
        ("text",),
        "department",
    ),
    (
        re.compile(r"(?:nb|nbr|nombre|number_of|count_of|num)_(?:d_)?(?:children|enfants?)|(?:children|enfants?)_counts?"),
        ("int2", "int4", "int8"),
        "{bands: [0, 1, 3]}",
    ),
)


@dataclass(frozen=True)
class Guesses:
    """What is known of names: words in those of columns, and the tables that frameworks make."""

    words: Words
    frameworks: Sequence[Framework]


def draft(catalog: Catalog, guesses: Guesses) -> str:
    """Return a complete rules file for this catalog, all of it guesses."""
    drafted = draft_tables(catalog, guesses)
    # a key that refers to a masked one would be masked with a warning, so the draft lists it
    rules = effective(Rules(drafted), catalog).tables
    return _HEADER + "".join(draft_entries(catalog.tables, rules, catalog, guesses).values())


def draft_tables(catalog: Catalog, guesses: Guesses) -> dict[str, TableRules]:
    """Return guessed rules for every table, by its name."""
    referred = _referred(catalog)
    return {table.name: _draft_table(table, catalog, referred, guesses) for table in catalog.tables}


def draft_entries(
    tables: Iterable[Table], rules: Mapping[str, TableRules], catalog: Catalog, guesses: Guesses
) -> dict[str, str]:
    """Return the entries of tables, with comments: which framework makes one, and masks that would show a part."""
    referred = _referred(catalog)
    return {
        table.name: _comment(table, guesses.frameworks) + _written(table, rules[table.name], catalog, referred)
        for table in tables
    }


def _comment(table: Table, frameworks: Sequence[Framework]) -> str:
    framework = framework_of(table, frameworks)
    return f"  # made by {framework.framework}\n" if framework else ""


def _written(table: Table, rules: TableRules, catalog: Catalog, referred: Referred) -> str:
    if rules.truncated:
        return f"  - table_name: {scalar(rules.table)}\n    truncated: true\n"
    return entry(rules.table, rules, ()) + _suggestions(table, rules, catalog, referred)


def _suggestions(table: Table, rules: TableRules, catalog: Catalog, referred: Referred) -> str:
    """Return masks as comments, with which some anonymized columns could show a part; none for keys: they stay no keys."""
    keys = table.key_columns.union(*(index.columns for index in table.indexes if index.unique))
    found = [
        f"    #   {scalar(column.name)}: {mask}\n"
        for column in table.columns
        if column.name in rules.anonymized and column.name not in keys and (table.name, column.name) not in referred
        if not column.generated
        for names, types, mask in _SUGGESTED
        if names.fullmatch(snake(column.name)) and type_name(column.type_oid, catalog.types) in types
    ]
    return "".join([f"    # masks:  # {_WHY}\n", *found]) if found else ""


def _draft_table(table: Table, catalog: Catalog, referred: Referred, guesses: Guesses) -> TableRules:
    framework = framework_of(table, guesses.frameworks)
    if framework and framework.truncates:
        return TableRules(table.name, True, frozenset(), frozenset())
    keys = table.key_columns.union(column.name for column in table.columns if (table.name, column.name) in referred)
    clear = (framework.clear if framework else frozenset[str]()).union(
        column.name for column in table.columns if _is_clear(column, table, keys, catalog, referred, guesses.words)
    )
    named = frozenset(missing_columns(table, None))
    return TableRules(table.name, False, (named | keys) - clear, named & clear)


def _referred(catalog: Catalog) -> Referred:
    """Return the columns, by table, on either end of a foreign key in the schema, each with the columns it refers to."""
    tables = {table.name: table for table in catalog.tables}
    referred: defaultdict[tuple[str, str], list[Column]] = defaultdict(list)
    for key in (key for table in catalog.tables for key in table.foreign_keys if key.referenced_schema == catalog.schema):
        other = catalog.partitions.get(key.referenced_table, key.referenced_table)
        if other in tables:
            for column, referenced in zip(key.columns, key.referenced_columns, strict=True):
                referred[key.table, column].append(tables[other].column(referenced))
                referred[other, referenced] += []
    return dict(referred)


def _is_clear(
    column: Column, table: Table, keys: AbstractSet[str], catalog: Catalog, referred: Referred, words: Words
) -> bool:
    flat = flatten(column.type_oid, column.type_text, catalog.types)
    if column.name not in keys:
        form = form_of(column, catalog.types)
        is_label = form == "text" and _LABELS.fullmatch(snake(column.name)) and words.are_technical(table.name, "table")
        return bool(form and (is_label or _is_nobodys(column.name, form, words)))
    others = referred.get((table.name, column.name), ())
    if flat.spelling == "uuid":  # a uuid that refers to another follows it
        return bool(others) or "access" not in words.kinds_of(column.name, "uuid")
    return flat.is_key and _is_surrogate(column, others, words)


def _is_surrogate(column: Column, referred: Sequence[Column], words: Words) -> bool:
    """Tell whether an integer key is no number of a person's: by its origin, its name, or what it refers to."""
    if _is_made(column) or _is_nobodys(column.name, "number", words) or not words.kinds_of(column.name, "number"):
        return True
    return any(_is_made(other) or other.name == "id" for other in referred)


def _is_made(column: Column) -> bool:
    """Tell whether the database generates a column's values, from a sequence or another function."""
    return column.identity or (column.default is not None and literal_default(column.default) is None)


def _is_nobodys(name: str, form: Form, words: Words) -> bool:
    """Tell whether name and form together say that a column is no person's; what they do not say is masked."""
    if form in ("number", "uuid") and _ID.search(snake(name)):  # it refers to something, whatever that is
        return not {"identity", "access"}.intersection(words.kinds_of(name, form))
    return words.are_technical(name, form)
