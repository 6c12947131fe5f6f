"""The scan of a table of an origin, as a run has it count."""

from collections.abc import Callable, Sequence
from typing import Any

from multischema.plan.plan import collations_of
from multischema.plan.scan import Counted
from multischema.plan.tables import plan_table
from multischema.postgres.connecting import Connection, connect
from multischema.postgres.questions import read_catalog
from multischema.rules import file
from multischema.stages.scan import count_personal
from tests.conftest import Place

ENTRY = """
tables:
  - table_name: {table}
    anonymized_column_names: [{masked}]
    non_anonymized_column_names: []
"""


def rules_of(table: str, masked: Sequence[str]) -> str:
    """Return the rules of a table of which these columns are anonymized."""
    return ENTRY.format(table=table, masked=", ".join(masked))


def counted(
    place: Place, table: str = "people", masked: Sequence[str] = (), *, rules: str | None = None, **options: Any
) -> Counted:
    """Count what the clear columns of a table hold, all rows of it unless a sample is wanted."""
    with connect(place.databases()[0], "multi-schema test") as connection:
        return counted_by(connection, table, masked, rules=rules, **options)


def counted_by(
    connection: Connection, table: str, masked: Sequence[str] = (), *, rules: str | None = None, **options: Any
) -> Counted:
    """Count as `counted` does, on a session."""
    return prepared(connection, table, masked, rules=rules)(**options)


def prepared(
    connection: Connection, table: str, masked: Sequence[str] = (), *, rules: str | None = None
) -> Callable[..., Counted]:
    """Return what counts, once the catalog is read."""
    parsed = file.parse(rules or rules_of(table, masked))
    catalog = read_catalog(connection, "public", all_labels=True)
    (its,) = (known for known in catalog.tables if known.name == table)
    plan = plan_table(its, parsed.tables.get(table), catalog, frozenset(collations_of(catalog)))
    clear = [column.name for column in plan.columns if not column.mask]

    def count(columns: Sequence[str] = clear, **options: Any) -> Counted:
        wanted = {"types": catalog.types, "sample": None, "timeout": 60.0, **options}
        return count_personal(connection, plan, its, columns, "public", **wanted)

    return count
