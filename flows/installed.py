"""The package's command `multischema-etl`, the image's `etl`: runs an app, or with `rules` first, a command for its rules.

The flow and Prefect take a second to import: the commands for rules, which run in an app's CI, do without.
"""

import sys

RULES = "rules"


def main(prog: str = "multischema-etl") -> int:
    """Run the command that the arguments name; return its exit status."""
    if sys.argv[1:2] == [RULES]:
        from flows.rules import __main__ as rules

        return rules.main(sys.argv[2:], f"{prog} {RULES}")
    from flows import etl

    return etl.main(prog)


if __name__ == "__main__":
    sys.exit(main("etl"))  # as the image calls it
