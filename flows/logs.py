"""Logs for people: an error of ours is its one line, without a traceback; everything else stays as Prefect has it."""

import logging
from weakref import WeakSet

from multischema.errors import EtlError

DETAIL = {"detail": True}  # marks a line about one table: a terminal has its live display instead
_LOGGERS = ("prefect.flow_runs", "prefect.task_runs")


class _OneLine(logging.Filter):
    """Take the traceback off an error that the user can mend: its line says all, and frames could show more.

    A worker's flow run would tell its error twice, and each failed state the whole of it again, as one endless line.
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
            record.told_elsewhere = True
        state, more_lines, _ = record.getMessage().partition("\\n")
        if more_lines and state.startswith("Finished in state"):
            record.msg, record.args = "%s …')", (state,)
        return True


def one_line_errors() -> None:
    """Install the filter; installing it twice changes nothing.

    A rollback on a session that was cut is a warning of psycopg's, with the error that was told already.
    """
    logging.getLogger("psycopg").setLevel(logging.ERROR)
    for name in _LOGGERS:
        logger = logging.getLogger(name)
        if not any(isinstance(known, _OneLine) for known in logger.filters):
            logger.addFilter(_OneLine())


def is_told_elsewhere(record: logging.LogRecord) -> bool:
    """Tell an error that the task, the flow and the command would each say: for a terminal the command's line is enough."""
    return getattr(record, "told_elsewhere", False)
