"""Print the grants that a role needs to read an app's origin, no more: `python -m flows.grants --app shop --role etl`."""

import argparse
import os
import sys
from collections.abc import Sequence

from flows import origins
from flows.apps import App, known_apps
from multischema import command, download
from multischema.catalog.objects import Leaf
from multischema.errors import CheckError, UsageError
from multischema.plan.plan import make_plan
from multischema.postgres.connecting import connect
from multischema.postgres.failures import translated
from multischema.postgres.questions import ask, read_catalog, read_server
from multischema.rules import file
from multischema.rules.gaps import compare
from multischema.statements import rights
from multischema.words import escaped


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status."""
    parser = origins.parser("python -m flows.grants", __doc__)
    parser.add_argument(
        "--rules", metavar="FILE_OR_URL", help="the app's rules (default: the app's in prefect.yaml, else CONFIG_PATH)"
    )
    parser.add_argument(
        "--mode", choices=("stream", "dump"), default="stream", help="dump reads whole tables (default: stream)"
    )
    parser.add_argument("--role", metavar="NAME", help="the role to grant the rights to (default: the URL's)")
    given = parser.parse_args(arguments)
    return command.ended(lambda: _print_grants(given))


def _print_grants(given: argparse.Namespace) -> None:
    """Print where the statements must run, then the statements. Raises UsageError, CheckError and other EtlErrors."""
    origin = origins.origin_of(given.app, os.environ)
    app = known_apps().get(origin.app) or App(origin.app, os.environ.get("CONFIG_PATH", ""))
    source, schema = given.rules or app.rules, given.origin_schema or app.origin_schema or "public"
    if not source:
        raise UsageError(f"unknown app {app.name}: give it --rules, CONFIG_PATH or an entry in prefect.yaml")
    parsed = file.parse(download.fetch(source))
    with (
        connect(origin, "multi-schema-postgres-etl grants") as connection,
        translated(origin.side, "reading the catalog"),
    ):
        server = read_server(connection, schema)
        catalog = read_catalog(connection, schema, all_labels=parsed.has_masks)
        if not catalog.tables:
            raise origins.no_table(origin, schema)
        gaps = compare(parsed, catalog)
        if gaps.problems:
            raise CheckError(*gaps.lines(origin.side))
        plan = make_plan(catalog, gaps.rules, (), frozenset())
        leaves = ask(connection, Leaf, "leaves", tables=[table.oid for table in plan.copied])
    where, role = (server.database, schema), given.role or server.role
    reasons: list[str] = []
    if given.mode == "dump":
        statements = rights.to_dump(*where, plan.copied, [(leaf.schema, leaf.name) for leaf in leaves], role)
    else:
        statements, reasons = rights.to_stream(*where, plan.copied, role), rights.reasons(plan.copied)
    print("".join(f"-- {escaped(line)}\n" for line in (server.place, *reasons)), end="")
    print("".join(f"{statement.as_string()};\n" for statement in statements), end="")


if __name__ == "__main__":
    sys.exit(main())
