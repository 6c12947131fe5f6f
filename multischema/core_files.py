"""A process that holds a key leaves no core file, and shows its memory and its variables to no other process of its user."""

import ctypes
import resource
import sys
from contextlib import suppress

_SET_DUMPABLE = 4  # prctl(2)


def forbid() -> None:
    """Have this process write no core file, nor hand one to a program: where that takes them, no limit counts."""
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_SET_DUMPABLE, 0, 0, 0, 0)
