"""How commands end: errors are lines for people, and the exit status tells the truth."""

import sys
from collections.abc import Callable

from dotenv import load_dotenv

from multischema.errors import EtlError


def ended(work: Callable[[], object], variables: str | None = ".env") -> int:
    """Do the work of a command; return its exit status: 0 done, 1 failed, 2 for a usage error.

    Parse arguments first, so that `--help` does nothing but help.

    :param variables: a file of variables to load first; the environment wins over it.
    """
    if variables:
        load_dotenv(variables)
    try:
        work()
    except EtlError as error:
        print("\n".join(error.lines()), file=sys.stderr)
        return error.exit_status
    return 0
