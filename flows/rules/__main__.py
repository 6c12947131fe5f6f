"""Check, draft, compare and look into an app's rules: `python -m flows.rules check`."""

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module

from multischema.words import escaped, suggestion

# each is a module of this folder with a `main(arguments, prog)`, imported once it is asked for
COMMANDS = {
    "check": "check the rules against the origin, and the target if there is one",
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
        usage="%(prog)s [-h] COMMAND ...",
        description="Check, draft, compare and look into the rules of an app.",
        epilog="commands:\n"
        + "".join(f"  {name:<10}{what}\n" for name, what in COMMANDS.items())
        + f"\n{prog} COMMAND --help says more of each.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    given = list(sys.argv[1:] if arguments is None else arguments)
    if not given:
        parser.print_help(sys.stderr)
        return 2
    name, *options = given
    parser.parse_known_args([name])  # asked for help, it ends here
    if name not in COMMANDS:
        parser.error(f"unknown command '{escaped(name)}'{suggestion(name, COMMANDS)}; want {', '.join(COMMANDS)}")
    module = import_module(f"flows.rules.{name}")
    status: int = module.main(options, f"{prog} {name}")
    return status


if __name__ == "__main__":
    sys.exit(main())
