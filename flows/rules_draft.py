"""Write a first draft of an app's rules from its database: `python -m flows.rules_draft --app shop > anonymizer.yml`."""

import os
import sys
from collections.abc import Sequence

from dotenv import load_dotenv

from flows import origins
from multischema.errors import EtlError
from multischema.postgres.connecting import connect
from multischema.postgres.errors import translated
from multischema.postgres.questions import read_catalog
from multischema.rules.draft import draft


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status."""
    given = origins.parser("python -m flows.rules_draft", __doc__).parse_args(arguments)
    load_dotenv(".env")
    schema = given.origin_schema or "public"
    try:
        origin = origins.origin_of(given.app, os.environ)
        with connect(origin, "multi-schema-postgres-etl draft") as connection:
            with translated(origin.side, "reading the catalog"):
                catalog = read_catalog(connection, schema)
        if not catalog.tables:
            raise origins.no_table(origin, schema)
        print(draft(catalog), end="")
    except EtlError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_status
    return 0


if __name__ == "__main__":
    sys.exit(main())
