"""One table of the rules and of the catalog: what the rules lack for the others is not in its way."""

from dataclasses import replace

from multischema.catalog.tables import Catalog, Table
from multischema.errors import UsageError
from multischema.rules.file import Rules
from multischema.rules.following import effective
from multischema.words import cut, suggestion


def narrowed(side: str, rules: Rules, catalog: Catalog, name: str) -> tuple[Rules, Catalog]:
    """Return rules and catalog with one table alone, the root for a partition. Raises UsageError where it is not there.

    Its keys follow what the rules say of the tables that they refer to. `side` is the origin's name in messages.
    """
    table = named(side, catalog, name)
    tables = effective(rules, catalog).tables
    own = {name: its for name, its in tables.items() if catalog.partitions.get(name, name) == table.name}
    return replace(rules, tables=own), replace(catalog, tables=(table,))


def named(side: str, catalog: Catalog, name: str) -> Table:
    """Return the table of that name, with or without its schema, or the root of that partition. Raises UsageError."""
    tables = {table.name: table for table in catalog.tables}
    names = {**{known: known for known in tables}, **catalog.partitions}
    for spelling in (name, name.removeprefix(f"{catalog.schema}.")):
        if spelling in names:
            return tables[names[spelling]]
        if spelling in catalog.others:
            kind = catalog.others[spelling]
            raise UsageError(f"{side}: {cut(spelling)} is a {kind}, which no run publishes; want a table")
    where = f"{side}: schema {catalog.schema} holds no table {cut(name)}"
    raise UsageError(f"{where}{suggestion(name, names)}; want the name of one, or --origin-schema")
