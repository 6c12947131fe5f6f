"""A run's progress: bytes copied, the artifact in Prefect's UI that follows them, and what a terminal draws."""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any
from uuid import UUID

from prefect.artifacts import create_progress_artifact, update_progress_artifact

from multischema.errors import EtlError

_LOG = logging.getLogger("flows.progress")
INTERVAL = 5.0  # seconds between two updates of the artifact: each is a call to Prefect's server


class Progress:
    """The copied share of the estimated bytes, in percent; an artifact shows it inside the `with` block."""

    def __init__(self, app: str, sizes: Mapping[str, int], done: str = "copied") -> None:
        self._app = app
        self._done = done
        self._sizes = {table: max(size, 8192) for table, size in sizes.items()}
        self._copied: dict[str, int] = {}
        self._guard = threading.Lock()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="progress", daemon=True)
        self._artifact: Any = None

    def __enter__(self) -> "Progress":
        self._artifact = create_progress_artifact(
            0.0, key=f"{self._app}-progress", description=f"how much of {self._app} is {self._done}, in percent"
        )
        self._thread.start()
        tell(running=self)
        return self

    def __exit__(self, *exception: object) -> None:
        tell(running=None)
        self._over.set()
        self._thread.join(INTERVAL)

    def add(self, table: str, bytes_: int) -> None:
        """Count bytes of a table, never more than its estimate until it is complete."""
        with self._guard:
            self._copied[table] = min(self._copied.get(table, 0) + bytes_, int(self._sizes[table] * 0.99))

    def complete(self, table: str) -> None:
        """Count a table as copied."""
        with self._guard:
            self._copied[table] = self._sizes[table]

    def restart(self) -> None:
        """Start again from zero: the snapshot was lost."""
        with self._guard:
            self._copied.clear()

    @property
    def percent(self) -> float:
        """Return the copied share, from 0 to 100."""
        with self._guard:
            return 100.0 * sum(self._copied.values()) / max(sum(self._sizes.values()), 1)

    @property
    def tables(self) -> list[str]:
        """Return the tables that are being copied."""
        with self._guard:
            return [table for table, copied in self._copied.items() if copied < self._sizes[table]]

    def _follow(self) -> None:
        shown = 0.0
        over = False
        while not over:
            over = self._over.wait(INTERVAL)
            # for people only: no run fails because the server did not take it
            with suppress(Exception):
                percent = round(self.percent, 1)
                if percent != shown and isinstance(self._artifact, UUID):
                    update_progress_artifact(self._artifact, progress=percent)
                    shown = percent


class Measured(Progress):
    """The share that a program has written, measured by a function against an estimated whole."""

    def __init__(self, app: str, done: str, expected: int, measure: Callable[[], int]) -> None:
        super().__init__(app, {}, done)
        self._expected = max(expected, 8192)
        self._measure = measure
        self._measured = (0.0, 0)  # when and how much: terminals ask often

    @property
    def percent(self) -> float:
        """Return the written share, from 0 to 99."""
        if time.monotonic() - self._measured[0] > 1:
            with suppress(EtlError, OSError):
                self._measured = (time.monotonic(), self._measure())
        return min(99.0, 100.0 * self._measured[1] / self._expected)


def tell(**facts: Any) -> None:
    """Tell this process's terminal display how far the run is: `stage`, `running` (a Progress), `published` (a schema)."""
    _LOG.info("", extra={"progress": facts})
