"""What a terminal shows during a run: a line per step, and a progress bar below."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import prefect
from prefect.logging.handlers import PrefectConsoleHandler
from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from flows.logs import is_told_elsewhere
from flows.progress import Progress
from multischema.words import escaped

_PREFECT = str(Path(prefect.__file__).parent)
# they log each state and failure for the UI; at a terminal, the command itself reports a failure, once
_ENGINES = (f"{_PREFECT}/flow_engine.py", f"{_PREFECT}/task_engine.py")
_STYLES = {logging.WARNING: "yellow", logging.ERROR: "red", logging.CRITICAL: "red"}


@contextmanager
def shown(console: Console) -> Iterator["Display"]:
    """Show the run's own lines and all warnings, hide Prefect's notes on each task, and draw a bar on a terminal."""
    lines = Display(console)
    quieted = [
        (logger, handler)
        for logger in [logging.getLogger(), *map(logging.getLogger, logging.root.manager.loggerDict)]
        for handler in logger.handlers
        if isinstance(handler, PrefectConsoleHandler)
    ]
    for logger, handler in quieted:
        logger.removeHandler(handler)
    logging.getLogger().addHandler(lines)
    logging.getLogger("flows").setLevel(logging.INFO)
    try:
        with Live(get_renderable=lines.bar, console=console, refresh_per_second=4, transient=True):
            yield lines
    finally:
        logging.getLogger().removeHandler(lines)
        for logger, handler in quieted:
            logger.addHandler(handler)


class Display(logging.Handler):
    """Print the time and what happened, the report on several lines.

    It knows the running stage, and the schema once the publishing transaction is committed.
    """

    _clock = logging.Formatter()

    def __init__(self, console: Console) -> None:
        super().__init__(logging.INFO)
        self._console = console
        self._running: Progress | None = None
        self._stage = ""
        self.published = ""

    def emit(self, record: logging.LogRecord) -> None:
        if facts := getattr(record, "progress", None):
            self._stage = facts.get("stage", self._stage)
            self._running = facts.get("running", self._running)
            self.published = facts.get("published", self.published)
            return
        if is_told_elsewhere(record) or record.pathname in _ENGINES:
            return
        if record.pathname.startswith(_PREFECT) and record.levelno < logging.WARNING:
            return
        if self._console.is_terminal and getattr(record, "detail", False):
            return
        level = f"{record.levelname.lower()}: " if record.levelno >= logging.WARNING else ""
        message = "\n".join(map(escaped, record.getMessage().split("\n")))
        line = f"{self._clock.formatTime(record, '%H:%M:%S')}  {level}{message}"
        self._console.print(Text(line, style=_STYLES.get(record.levelno, "")), soft_wrap=True)

    def bar(self) -> Group | Table:
        """Draw the running stage and, while rows are copied, the share done and the tables under way."""
        if not self._stage:
            return Group()
        line = Table.grid(padding=(0, 1))
        running = self._running
        if running:
            bar = ProgressBar(total=100, completed=running.percent, width=30)
            line.add_row(self._stage, bar, f"{running.percent:.0f} %", escaped(", ".join(running.tables)))
        else:
            line.add_row(self._stage, "…")
        return line
