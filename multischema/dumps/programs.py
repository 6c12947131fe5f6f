"""The door to other programs."""

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import IO, cast

from multischema.dumps.archives import Command, Outcome, unreadable
from multischema.errors import DumpError

RunCommand = Callable[[Command, Callable[[int], None]], Outcome]


def run_command(command: Command, on_start: Callable[[int], None] = lambda group: None) -> Outcome:
    """Run a command to its end; a program that is not there has exit status 127.

    `on_start` is told the number of its process group, for `kill`.
    """
    try:
        process = _started(command, subprocess.PIPE)
    except FileNotFoundError:
        return Outcome(127, b"", f"{command.program}: error: there is no such program")
    with process:
        try:
            on_start(process.pid)
            output, complaints = process.communicate()
        except BaseException:
            kill(process.pid)
            raise
    return Outcome(process.returncode, output, complaints.decode(errors="replace"))


@contextmanager
def reading(command: Command, complaints: IO[bytes], name: str, on_start: Callable[[int], None]) -> Iterator[IO[bytes]]:
    """Give what pg_restore prints of a dump, to be read to its end; what it complains of goes to a file.

    It is killed where not all is read; EOFError says that something is missing at the end. Raises DumpError, with the dump's
    name, where it fails. `on_start` is told the number of its process group, for `kill`.
    """
    with _started(command, complaints) as process:
        on_start(process.pid)
        missing = ""
        try:
            yield cast(IO[bytes], process.stdout)
        except EOFError as error:
            missing = str(error)
        except BaseException:
            kill(process.pid)
            raise
        status = process.wait()
    if missing and not status:
        raise DumpError(f"dump {name}: {missing}")
    if status:
        complaints.seek(0)
        raise unreadable(name, Outcome(status, b"", complaints.read().decode(errors="replace")))


def kill(*groups: int) -> None:
    """Kill programs and the workers that they started: told to end, pg_dump would first wait for its server."""
    for group in groups:
        with suppress(ProcessLookupError):
            os.killpg(group, signal.SIGKILL)


def _started(command: Command, complaints: int | IO[bytes]) -> subprocess.Popen[bytes]:
    """Start a program in a process group of its own. Raises FileNotFoundError where it is not there."""
    return subprocess.Popen(
        [command.program, *command.arguments],
        env={**os.environ, **command.environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=complaints,
        start_new_session=True,
    )
