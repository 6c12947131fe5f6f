"""Print the grants that a role needs to read an app's origin, no more: `python -m flows.rules rights --role etl`."""

import argparse
from collections.abc import Sequence

from flows.rules import given as options
from multischema import command
from multischema.catalog.objects import Leaf
from multischema.postgres.failures import translated
from multischema.postgres.questions import ask
from multischema.statements import rights
from multischema.words import escaped


def main(arguments: Sequence[str] | None = None, prog: str = "python -m flows.rules rights", known_as: str = "") -> int:
    """Run the command; return its exit status. `prog` may be an old spelling of what is `known_as` this."""
    parser = options.parser(prog, "Print the grants that a role needs to read an app's origin, and no more.")
    parser.epilog = options.epilog(known_as)
    parser.add_argument(
        "--mode", choices=("stream", "dump"), default="stream", help="dump reads whole tables (default: stream)"
    )
    parser.add_argument("--role", metavar="NAME", help="the role to grant the rights to (default: the URL's)")
    parsed = parser.parse_args(arguments)
    return command.ended(lambda: _print_grants(parsed))


def _print_grants(parsed: argparse.Namespace) -> None:
    """Print where the statements must run, then the statements. Raises UsageError, CheckError and other EtlErrors."""
    given = options.given(parsed)
    rules = given.rules()
    with given.opened("rights") as connection:
        origin = given.read(connection, rules)
        plan = origin.fitted(given.origin.side)
        with translated(given.origin.side, "reading the catalog"):
            leaves = ask(connection, Leaf, "leaves", tables=[table.oid for table in plan.copied])
    where, role = (origin.server.database, given.schema), parsed.role or origin.server.role
    reasons: list[str] = []
    if parsed.mode == "dump":
        statements = rights.to_dump(*where, plan.copied, [(leaf.schema, leaf.name) for leaf in leaves], role)
    else:
        statements, reasons = rights.to_stream(*where, plan.copied, role), rights.reasons(plan.copied)
    print("".join(f"-- {escaped(line)}\n" for line in (origin.server.place, *reasons)), end="")
    print("".join(f"{statement.as_string()};\n" for statement in statements), end="")
