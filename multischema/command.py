"""How commands end: errors are lines for people, and the exit status tells the truth."""

import sys
from collections.abc import Callable
from io import TextIOWrapper

from multischema import environment
from multischema.errors import EtlError


def ended(work: Callable[[], object], *, variables: bool = True) -> int:
    """Do the work of a command; return its exit status: 0 done, 1 failed, 2 for a usage error, or what the work returns.

    Parse arguments first, so that `--help` does nothing but help.

    :param variables: whether to load `.env` first; the environment wins over it.
    """
    for stream in (sys.stdout, sys.stderr):
        # a terminal of another encoding than UTF-8 gets an escape for what it can't show: no line may end a run
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        if variables:
            environment.load()
        status = work()
    except EtlError as error:
        print("\n".join(error.lines()), file=sys.stderr)
        return error.exit_status
    return status if isinstance(status, int) else 0
