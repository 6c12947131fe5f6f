"""The old spelling of `python -m flows.rules rights`."""

import sys
from collections.abc import Sequence

from flows.rules import rights


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status."""
    return rights.main(arguments, "python -m flows.grants", "python -m flows.rules rights")


if __name__ == "__main__":
    sys.exit(main())
