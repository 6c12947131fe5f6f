"""A first draft of a rules file: every text is personal until shown otherwise."""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet

from multischema.catalog.flat import Flat, flatten, literal_default
from multischema.catalog.tables import Catalog, Column, Table
from multischema.masks.mask import type_name
from multischema.rules.file import Rules, TableRules
from multischema.rules.following import effective
from multischema.rules.gaps import missing_columns
from multischema.rules.nodes import scalar
from multischema.rules.writing import entry

Referred = Mapping[tuple[str, str], Sequence[Column]]
_HEADER = """# A first draft, guessed from names and types: read every line. Masked until you decide otherwise.
tables:
"""
_WHY = "suggested: without the marks in front, these keep a part that may be worth an analysis"
_BOOKKEEPING = re.compile(
    r"(schema_migrations|ar_internal_metadata|alembic_version|versions|audits|sessions|.*_jobs?|good_job.*|.*_tokens?)"
)
_MOMENTS = re.compile(r"(timestamp.*|interval)")
_NUMBERS = re.compile(r"(smallint|integer|bigint|numeric.*|double precision|real)")


def _any_of(*words: str) -> re.Pattern[str]:
    """Return a pattern that finds one of these words in a name, not inside a longer word."""
    return re.compile(rf"(?<![a-z])(?:{'|'.join(words)})(?![a-z])")


# Words in names of personal columns, French and English: for columns of any type; for enums, booleans and numbers; for
# numbers; for numbers whose name ends in `id` too.
_PERSONAL = _any_of(
    *("birth[a-z]*", "born", "dob", "naissance", "death", "died", "deceased", "deces", "ip", "log_?ins?", "sign_?ins?"),
    *("incomes?", "salary", "salaries", "salaires?", "revenus?", "amounts?", "montants?"),
    *("lat", "latitude", "lng", "lon", "longitude"),
)
_OF_LIFE = _any_of(
    *("age", "sexe?", "gender", "genre", "child(?:ren)?", "enfants?", "family", "famille", "familiale?", "marital"),
    *("matrimoniale?", "handicap[a-z]*", "disab[a-z]+", "health", "sante", "pregnan[a-z]+", "religion", "ethnic[a-z]*"),
    *("nationalit[a-z]+", "caisse", "affiliation", "allocataires?"),
)
_OF_CONTACT = _any_of(
    *("phone[a-z]*", "telephone", "tel", "mobile", "portable", "fax", "gsm", "msisdn", "mails?", "emails?", "courriel"),
    *("address", "adresse", "zip", "zip_?code", "post_?code", "postal", "postale", "code_postal", "names?", "noms?"),
    *("prenoms?", "tokens?", "secret", "password", "pin", "otp", "badge", "cards?", "cartes?", "licen[cs]es?"),
)
_OF_IDENTITY = _any_of(
    *("nir", "ssn", "nss", "secu(?:rite)?", "social_(?:security|insurance)", "vitale", "cni", "insee", "siret", "siren"),
    *("national", "passports?", "passeports?"),
    *("tax_id", "fiscale?", "spi", "matricule", "iban", "rib"),
)
# A uuid that grants access to whoever has it.
_OF_ACCESS = _any_of(
    "sessions?", "secrets?", "tokens?", "passwords?", "otp", "api_?keys?", "cookies?", "nonces?", "invitations?"
)
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
_COUNTS = re.compile(r"(?:nb|nombre|number_of)_.*|.*_counts?")
_ID = _any_of("id$")


def draft(catalog: Catalog) -> str:
    """Return a complete rules file for this catalog, all of it guesses."""
    referred = _referred(catalog)
    drafted = {table.name: _draft_table(table, catalog, referred) for table in catalog.tables}
    # a key that refers to a masked one would be masked with a warning, so the draft lists it
    rules = effective(Rules(drafted), catalog).tables
    return _HEADER + "".join(_written(table, rules[table.name], catalog, referred) for table in catalog.tables)


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
        if names.fullmatch(re.sub("[^a-z0-9]+", "_", _snake(column.name)))
        and type_name(column.type_oid, catalog.types) in types
    ]
    return "".join([f"    # masks:  # {_WHY}\n", *found]) if found else ""


def _draft_table(table: Table, catalog: Catalog, referred: Referred) -> TableRules:
    if _BOOKKEEPING.fullmatch(table.name):
        return TableRules(table.name, True, frozenset(), frozenset())
    keys = table.key_columns.union(column.name for column in table.columns if (table.name, column.name) in referred)
    harmless = frozenset(column.name for column in table.columns if _is_clear(column, table, keys, catalog, referred))
    named = frozenset(missing_columns(table, None))
    return TableRules(table.name, False, (named | keys) - harmless, named & harmless)


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


def _is_clear(column: Column, table: Table, keys: AbstractSet[str], catalog: Catalog, referred: Referred) -> bool:
    flat = flatten(column.type_oid, column.type_text, catalog.types)
    if column.name not in keys:
        return _is_harmless(column, flat, catalog)
    others = referred.get((table.name, column.name), ())
    if flat.spelling == "uuid":  # a uuid that refers to another follows it
        return bool(others) or not _is_personal(_snake(column.name), _OF_ACCESS)
    return flat.is_key and _is_surrogate(column, others)


def _is_surrogate(column: Column, referred: Sequence[Column]) -> bool:
    """Tell whether an integer key is no number of a person's: by its origin, its name, or what it refers to."""
    if _is_made(column) or _is_number_of_nobody(_snake(column.name)):
        return True
    return any(_is_made(other) or other.name == "id" for other in referred)


def _is_made(column: Column) -> bool:
    """Tell whether the database generates a column's values, from a sequence or another function."""
    return column.identity or (column.default is not None and literal_default(column.default) is None)


def _is_harmless(column: Column, flat: Flat, catalog: Catalog) -> bool:
    """Tell whether name and type together rule out a personal datum; neither does alone."""
    name = _snake(column.name)
    if _NUMBERS.fullmatch(flat.spelling):
        return _is_number_of_nobody(name)
    if _is_personal(name, _PERSONAL):
        return False
    if flat.family == "text":
        return column.name.endswith("_type")
    if catalog.types[column.type_oid].kind == "e" or flat.spelling == "boolean":
        return not _is_personal(name, _OF_LIFE)
    return bool(_MOMENTS.fullmatch(flat.spelling)) or (
        flat.is_key and bool(_ID.search(name)) and not _is_personal(name, _OF_ACCESS)
    )


def _is_number_of_nobody(name: str) -> bool:
    """Tell whether a number's name makes it a surrogate or a count, or at least not personal."""
    if _is_personal(name, _OF_IDENTITY):
        return False
    if _ID.search(name):
        return True
    return not _is_personal(name, _PERSONAL, _OF_LIFE) and (
        bool(_COUNTS.fullmatch(name)) or not _is_personal(name, _OF_CONTACT)
    )


def _is_personal(name: str, *words: re.Pattern[str]) -> bool:
    return any(pattern.search(name) for pattern in words)


def _snake(name: str) -> str:
    """Return a name in lowercase without accents, `_` between words, so that `dateNaissance` and `Âge` match too."""
    plain = "".join(c for c in unicodedata.normalize("NFKD", name) if not unicodedata.combining(c))
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", plain).lower()
