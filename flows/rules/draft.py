"""Write a first draft of an app's rules from its database: `python -m flows.rules draft --app shop > anonymizer.yml`."""

import argparse
import os
from collections.abc import Sequence

from flows import origins
from flows.rules import given as options
from multischema import command
from multischema.guesses import read_guesses
from multischema.postgres.connecting import connect
from multischema.postgres.failures import translated
from multischema.postgres.questions import read_catalog
from multischema.rules.draft import draft


def main(arguments: Sequence[str] | None = None, prog: str = "python -m flows.rules draft", known_as: str = "") -> int:
    """Run the command; return its exit status. `prog` may be an old spelling of what is `known_as` this."""
    parser = origins.parser(prog, "Write a first draft of an app's rules from its database.")
    parser.epilog = options.spelling(known_as)
    parsed = parser.parse_args(arguments)
    return command.ended(lambda: _print_draft(parsed))


def _print_draft(parsed: argparse.Namespace) -> None:
    """Print the draft. Raises UsageError, DatabaseError."""
    origin, schema = origins.origin_of(parsed.app, os.environ), parsed.origin_schema or "public"
    with connect(origin, "multi-schema-postgres-etl draft") as connection:
        with translated(origin.side, "reading the catalog"):
            catalog = read_catalog(connection, schema)
    if not catalog.tables:
        raise origins.no_table(origin, schema)
    print(draft(catalog, read_guesses()), end="")
