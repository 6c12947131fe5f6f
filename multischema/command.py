"""How commands end: errors are lines for people, and the exit status tells the truth."""

import os
import sys
from collections.abc import Callable
from io import TextIOWrapper

from multischema import environment
from multischema.errors import EtlError


def ended(
    work: Callable[[], object], *, variables: bool = True, interrupted: Callable[[], str] = lambda: "interrupted"
) -> int:
    """Do the work of a command; return its exit status: 0 done or what the work returns, 1 failed, 2 for a usage error.

    Work that returns a number has that one.

    Parse arguments first, so that `--help` does nothing but help.

    :param variables: whether to load `.env` first; the environment wins over it.
    :param interrupted: says what an interrupted command leaves behind.
    """
    for stream in (sys.stdout, sys.stderr):
        # a terminal of another encoding than UTF-8 gets an escape for what it can't show: no line may end a run
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        if variables:
            environment.load()
        status = work()
        print(end="", flush=True)
    except EtlError as error:
        print("\n".join(error.lines()), file=sys.stderr)
        return error.exit_status
    except KeyboardInterrupt:
        print(interrupted(), file=sys.stderr)
        return 1
    except BrokenPipeError:
        # the reader has enough, as `| head` does; Python flushes the rest as it exits, and may complain once more
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return status if isinstance(status, int) else 0


def discard_output() -> None:
    """Discard what is left to print: the reader has enough, as `| head` does, and Python would complain as it exits."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
