"""The door to other programs."""

import os
import signal
import subprocess
from collections.abc import Callable
from contextlib import suppress

from multischema.dumps.archives import Command, Outcome

RunCommand = Callable[[Command, Callable[[int], None]], Outcome]


def run_command(command: Command, on_start: Callable[[int], None] = lambda group: None) -> Outcome:
    """Run a command to its end; a program that is not there has exit status 127.

    `on_start` is told the number of its process group, for `end`.
    """
    try:
        process = subprocess.Popen(
            [command.program, *command.arguments],
            env={**os.environ, **command.environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
    except FileNotFoundError:
        return Outcome(127, "", f"{command.program}: error: there is no such program")
    with process:
        try:
            on_start(process.pid)
            output, complaints = process.communicate()
        except BaseException:
            kill(process.pid)
            raise
    return Outcome(process.returncode, output.decode(errors="replace"), complaints.decode(errors="replace"))


def kill(group: int) -> None:
    """Kill a program and the workers that it started: told to end, pg_dump would first wait for its server to hear of it."""
    with suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)
