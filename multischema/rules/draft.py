"""A first draft of a rules file: every text is personal until shown otherwise."""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet

from multischema.catalog.flat import Flat, flatten, literal_default
from multischema.catalog.tables import Catalog, Column, Table
from multischema.rules.file import Rules, TableRules
from multischema.rules.following import effective
from multischema.rules.gaps import missing_columns
from multischema.rules.writing import entry, scalar

Referred = Mapping[tuple[str, str], Sequence[Column]]
_HEADER = """# A first draft, guessed from names and types: read every line. Masked until you decide otherwise.
tables:
"""
_BOOKKEEPING = re.compile(
    r"(schema_migrations|ar_internal_metadata|alembic_version|versions|audits|sessions|.*_jobs?|good_job.*|.*_tokens?)"
)
_MOMENTS = re.compile(r"(timestamp.*|interval)")
_NUMBERS = re.compile(r"(smallint|integer|bigint|numeric.*|double precision|real)")


def _any_of(*words: str) -> re.Pattern[str]:
    """Return the pattern of names in which one of these words stands, not a part of a longer one."""
    return re.compile(rf"(?<![a-z])(?:{'|'.join(words)})(?![a-z])")


# Words of names, French and English: of whatever type the column is; of enums, booleans and numbers; of numbers; of numbers
# with an `id` at the end too.
_PERSONAL = _any_of(
    *("birth[a-z]*", "born", "naissance", "death", "died", "deces", "ip", "log_?ins?", "sign_?ins?", "incomes?", "salary"),
    *("salaries", "salaires?", "revenus?", "amounts?", "montants?", "lat", "latitude", "lng", "lon", "longitude"),
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
# A uuid that lets in whoever has it.
_OF_ACCESS = _any_of(
    "sessions?", "secrets?", "tokens?", "passwords?", "otp", "api_?keys?", "cookies?", "nonces?", "invitations?"
)
_COUNTS = re.compile(r"(?:nb|nombre|number_of)_.*|.*_counts?")
_ID = _any_of("id$")


def draft(catalog: Catalog) -> str:
    """Return a rules file that is complete for this catalog; what it holds is a guess."""
    referred = _referred(catalog)
    drafted = {table.name: _draft_table(table, catalog, referred) for table in catalog.tables}
    # a key that refers to a masked one would be masked with a warning: the draft says so itself
    return _HEADER + "".join(_written(rules) for rules in effective(Rules(drafted), catalog).tables.values())


def _written(rules: TableRules) -> str:
    if rules.truncated:
        return f"  - table_name: {scalar(rules.table)}\n    truncated: true\n"
    return entry(rules.table, rules, ())


def _draft_table(table: Table, catalog: Catalog, referred: Referred) -> TableRules:
    if _BOOKKEEPING.fullmatch(table.name):
        return TableRules(table.name, True, frozenset(), frozenset())
    keys = table.key_columns.union(column.name for column in table.columns if (table.name, column.name) in referred)
    harmless = frozenset(column.name for column in table.columns if _is_clear(column, table, keys, catalog, referred))
    named = frozenset(missing_columns(table, None))
    return TableRules(table.name, False, (named | keys) - harmless, named & harmless)


def _referred(catalog: Catalog) -> Referred:
    """Return the columns, by table, that refer to others of the schema or are referred to, each with those it refers to."""
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
    if flat.spelling == "uuid":  # one that refers to another follows it
        return bool(others) or not _is_personal(_snake(column.name), _OF_ACCESS)
    return flat.is_key and _is_surrogate(column, others)


def _is_surrogate(column: Column, referred: Sequence[Column]) -> bool:
    """Tell an integer key that no person has: by where it comes from, by its name, or by what it refers to."""
    if _is_made(column) or _is_number_of_nobody(_snake(column.name)):
        return True
    return any(_is_made(other) or other.name == "id" for other in referred)


def _is_made(column: Column) -> bool:
    """Tell a column whose values the database makes: of a sequence, or of another function."""
    return column.identity or (column.default is not None and literal_default(column.default) is None)


def _is_harmless(column: Column, flat: Flat, catalog: Catalog) -> bool:
    """Tell whether name and type together speak against a personal datum; either alone does not."""
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
    """Tell a number that its name says to be a surrogate or a count, or nothing of a person."""
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
    """Return a name in small letters without accents, `_` between words: `dateNaissance` and `Âge` are read as well."""
    plain = "".join(c for c in unicodedata.normalize("NFKD", name) if not unicodedata.combining(c))
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", plain).lower()
