"""Write a first draft of an app's rules from its database: `python -m flows.rules_draft --app shop > anonymizer.yml`."""

import argparse
import os
import sys
from collections.abc import Sequence

from dotenv import load_dotenv

from blocks import urls
from multischema.drafting import draft
from multischema.errors import EtlError, UsageError
from multischema.postgres.errors import translated
from multischema.postgres.reads import read_catalog
from multischema.postgres.sessions import Database, connect, quoted_path


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status."""
    parser = argparse.ArgumentParser(prog="python -m flows.rules_draft", description=__doc__)
    parser.add_argument("--app", help="the app (default: APP)")
    parser.add_argument(
        "--origin-schema", metavar="NAME", default="public", help="the schema of the origin (default: public)"
    )
    given = parser.parse_args(arguments)
    load_dotenv(".env")
    try:
        app = given.app or os.environ.get("APP")
        if not app:
            raise UsageError("no app: want --app, or APP in the environment")
        variable = urls.origin_variable(app)
        if not os.environ.get(variable):
            raise UsageError(f"missing variable {variable}: want the URL of the origin {app}")
        foreign = urls.foreign_origin(app, os.environ.get("APP"))
        if foreign:
            raise UsageError(foreign)
        origin = Database("origin", app, os.environ[variable])
        with connect(origin, quoted_path(given.origin_schema), "multi-schema-postgres-etl draft") as connection:
            with translated(origin.side, "reading the catalog"):
                catalog = read_catalog(connection, given.origin_schema)
        if not catalog.tables:
            raise UsageError(f"{origin.side}: schema {given.origin_schema} holds no table; want --origin-schema")
        print(draft(catalog), end="")
    except EtlError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_status
    return 0


if __name__ == "__main__":
    sys.exit(main())
