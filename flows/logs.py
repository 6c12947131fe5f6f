"""Logs for people: our errors take one line, without a traceback; everything else stays as Prefect writes it."""

import logging
from weakref import WeakSet

from multischema.errors import EtlError

DETAIL = {"detail": True}  # marks a line about one table: a terminal has its live display instead
TOLD_ELSEWHERE = {"told_elsewhere": True}  # marks an error that the command itself will tell
_LOGGERS = ("prefect.flow_runs", "prefect.task_runs")


class _OneLine(logging.Filter):
    """Strip the traceback from an error that the user can fix: its line says everything, and frames could reveal more.

    A worker's flow run would log its error twice, and each failed state would repeat all of it as one endless line.
    """

    def __init__(self) -> None:
        super().__init__()
        self._told: WeakSet[EtlError] = WeakSet()

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, EtlError):
            if error in self._told:
                return False
            self._told.add(error)
            record.exc_info = None
            record.msg, record.args = "%s", (str(error),)
            record.__dict__.update(TOLD_ELSEWHERE)
        state, more_lines, _ = record.getMessage().partition("\\n")
        if more_lines and state.startswith("Finished in state"):
            record.msg, record.args = "%s …')", (state,)
        return True


def one_line_errors() -> None:
    """Install the filter; installing it twice changes nothing.

    psycopg's warnings go too: a rollback on a session that was cut repeats an error that was logged before.
    """
    logging.getLogger("psycopg").setLevel(logging.ERROR)
    for name in _LOGGERS:
        logger = logging.getLogger(name)
        if not any(isinstance(known, _OneLine) for known in logger.filters):
            logger.addFilter(_OneLine())


def is_told_elsewhere(record: logging.LogRecord) -> bool:
    """Tell whether the command will print this error itself; on a terminal that one line is enough."""
    return getattr(record, "told_elsewhere", False)
