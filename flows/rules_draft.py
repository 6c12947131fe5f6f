"""Write a first draft of an app's rules from its database: `python -m flows.rules_draft --app shop > anonymizer.yml`."""

import os
import sys
from collections.abc import Sequence

from flows import origins
from multischema import command
from multischema.postgres.connecting import connect
from multischema.postgres.failures import translated
from multischema.postgres.questions import read_catalog
from multischema.rules.draft import draft


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status."""
    given = origins.parser("python -m flows.rules_draft", __doc__).parse_args(arguments)
    return command.ended(lambda: _print_draft(given.app, given.origin_schema or "public"))


def _print_draft(app: str | None, schema: str) -> None:
    """Print the draft. Raises UsageError, DatabaseError."""
    origin = origins.origin_of(app, os.environ)
    with connect(origin, "multi-schema-postgres-etl draft") as connection:
        with translated(origin.side, "reading the catalog"):
            catalog = read_catalog(connection, schema)
    if not catalog.tables:
        raise origins.no_table(origin, schema)
    print(draft(catalog), end="")


if __name__ == "__main__":
    sys.exit(main())
