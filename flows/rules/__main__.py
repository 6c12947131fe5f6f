"""Check, draft, compare and look into an app's rules: `python -m flows.rules check`."""

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module

# each is a module of this folder with a `main(arguments, prog)`, imported once it is asked for
COMMANDS = {
    "check": "check the rules against the origin, and against the target if there is one",
    "draft": "write a first rules file, or add to a file what it lacks",
    "diff": "say what a change of the rules publishes or hides",
    "scan": "count personal data in the columns that are published as they are",
    "preview": "show rows of a table as they would be published",
    "rights": "print the grants that a role needs to read the origin",
    "register": "write the sheet for the register of processing",
}


def main(arguments: Sequence[str] | None = None, prog: str = "python -m flows.rules") -> int:
    """Run one of the commands; return its exit status: 0, 1 if something is wrong, 2 for a usage error."""
    parser = argparse.ArgumentParser(
        prog=prog,
        description="Check, draft, compare and look into the rules of an app.",
        epilog="commands:\n"
        + "".join(f"  {name:<10}{what}\n" for name, what in COMMANDS.items())
        + f"\n{prog} COMMAND --help says more of each.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("command", choices=COMMANDS, metavar="COMMAND", help="one of those below")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, metavar="...", help="its options")
    given = parser.parse_args(arguments)
    module = import_module(f"flows.rules.{given.command}")
    status: int = module.main(given.arguments, f"{prog} {given.command}")
    return status


if __name__ == "__main__":
    sys.exit(main())
