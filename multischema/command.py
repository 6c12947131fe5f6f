"""How a command of the project ends: its errors are lines for a person, its exit status tells the truth."""

import sys
from collections.abc import Callable

from dotenv import load_dotenv

from multischema.errors import EtlError


def ended(work: Callable[[], object], variables: str | None = ".env") -> int:
    """Do the work of a command; return its exit status: 0 done, 1 failed, 2 for a usage error.

    Parse arguments first: who asks for help gets nothing else.

    :param variables: the file of variables that are read before; the environment stands above it.
    """
    if variables:
        load_dotenv(variables)
    try:
        work()
    except EtlError as error:
        print("\n".join(error.lines()), file=sys.stderr)
        return error.exit_status
    return 0
