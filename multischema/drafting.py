"""A first draft of a rules file: every text is personal until shown otherwise."""

import re

from multischema.catalog import Catalog, Column, Table
from multischema.exhaustivity import entry, missing_columns, scalar
from multischema.flattening import Flat, flatten
from multischema.rules import TableRules

_HEADER = """# A first draft, guessed from names and types: read every line. Masked until you decide otherwise.
tables:
"""
_BOOKKEEPING = re.compile(
    r"(schema_migrations|ar_internal_metadata|alembic_version|versions|audits|sessions|.*_jobs?|good_job.*|.*_tokens?)"
)
_HARMLESS_NAMES = re.compile(r"id|.*_id")
_PERSONAL_NAMES = re.compile(r".*(birth|born|naissance|death|died|ip|login|sign_?in|income|salary|amount|lat|lng|lon).*")
_HARMLESS_TYPES = re.compile(r"(boolean|smallint|integer|bigint|timestamp.*|numeric.*|double precision|real|interval)")


def draft(catalog: Catalog) -> str:
    """Return a rules file that is complete for this catalog; what it holds is a guess."""
    return _HEADER + "".join(_draft_table(table, catalog) for table in catalog.tables)


def _draft_table(table: Table, catalog: Catalog) -> str:
    if _BOOKKEEPING.fullmatch(table.name):
        return f"  - table_name: {scalar(table.name)}\n    truncated: true\n"
    harmless = frozenset(
        column.name
        for column in table.columns
        if _is_harmless(column, flatten(column.type_oid, column.type_text, catalog.types), catalog)
    )
    named = frozenset(missing_columns(table, None))
    return entry(table.name, TableRules(table.name, False, named - harmless, named & harmless), ())


def _is_harmless(column: Column, flat: Flat, catalog: Catalog) -> bool:
    """Tell whether name and type together speak against a personal datum; either alone does not."""
    if _PERSONAL_NAMES.fullmatch(column.name):
        return False
    if catalog.types[column.type_oid].kind == "e" or _HARMLESS_TYPES.fullmatch(flat.spelling):
        return True
    if flat.family == "text":
        return column.name.endswith("_type")
    return flat.is_key and bool(_HARMLESS_NAMES.fullmatch(column.name))
