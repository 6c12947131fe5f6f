"""The old spelling of `python -m flows.rules draft`."""

import sys
from collections.abc import Sequence

from flows.rules import draft


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status."""
    return draft.main(arguments, "python -m flows.rules_draft", "python -m flows.rules draft")


if __name__ == "__main__":
    sys.exit(main())
