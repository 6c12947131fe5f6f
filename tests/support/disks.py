"""Disks of a size that a test wants, to be full."""

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.conftest import TEMPORARY


@contextmanager
def small_disk(megabytes: int) -> Iterator[Path]:
    """Give a directory on a disk of its own, which the account of the servers may use."""
    with tempfile.TemporaryDirectory(prefix="small-disk-", dir=TEMPORARY) as directory:
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", directory], check=True)
        try:
            shutil.chown(directory, "nobody")
            yield Path(directory)
        finally:
            subprocess.run(["umount", "--lazy", directory], check=True)


def may_mount() -> bool:
    """Tell whether a disk can be made here; where not, a limit on the size of files is all that the tests have of it."""
    try:
        with small_disk(1):
            return True
    except (subprocess.CalledProcessError, PermissionError, FileNotFoundError, LookupError):
        return False
