"""A run's progress: bytes copied, the artifact in Prefect's UI that follows them, and what a terminal draws."""

import json
import logging
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any
from uuid import UUID

from prefect.artifacts import create_table_artifact
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import ArtifactUpdate

from multischema.errors import EtlError
from multischema.words import count, escaped, size

_LOG = logging.getLogger("flows.progress")
INTERVAL = 5.0  # seconds between two updates of the artifact: each is a call to Prefect's server
_LEAST = 8192  # bytes: an empty table counts for something


class Progress:
    """The copied share of the estimated bytes, in percent; a table in Prefect's UI shows it inside the `with` block.

    The table is one artifact, brought up to date in place: made anew every few seconds, it would have hundreds of versions.
    """

    def __init__(self, app: str, sizes: Mapping[str, int], done: str = "copied") -> None:
        self._app = app
        self._done = done
        self._sizes = _at_least(sizes)
        self._copied: dict[str, int] = {}
        self._guard = threading.Lock()
        self._over = threading.Event()
        self._is_complete = False
        self._started = time.monotonic()
        self._thread = threading.Thread(target=self._follow, name="progress", daemon=True)
        self._artifact: Any = None

    def __enter__(self) -> "Progress":
        self._show()
        self._thread.start()
        tell(running=self)
        return self

    def __exit__(self, kind: type[BaseException] | None, *exception: object) -> None:
        tell(running=None)
        self._is_complete = kind is None
        self._over.set()
        self._thread.join(INTERVAL)

    def expect(self, sizes: Mapping[str, int]) -> None:
        """Take other tables or sizes: it is known now what there is to copy."""
        with self._guard:
            self._sizes = _at_least(sizes)
            self._copied.clear()
            self._started = time.monotonic()
        self._show()

    def _show(self) -> None:
        """Make the artifact, in the context of the stage, once there is something to do."""
        if self.expected and not self._artifact:
            # for people only: no run fails because the server did not take it
            with suppress(Exception):
                self._artifact = create_table_artifact(
                    self.rows(), key=f"{self._app}-progress", description=f"how much of {self._app} is {self._done}"
                )

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
            self._started = time.monotonic()

    @property
    def percent(self) -> float:
        """Return the copied share, from 0 to 100."""
        if self._is_complete:
            return 100.0
        with self._guard:
            return 100.0 * sum(self._copied.values()) / max(sum(self._sizes.values()), 1)

    @property
    def expected(self) -> int:
        """Return the estimate of the whole, in bytes."""
        with self._guard:
            return sum(self._sizes.values())

    @property
    def tables(self) -> list[str]:
        """Return the tables that are being copied."""
        with self._guard:
            return [table for table, copied in self._copied.items() if copied < self._sizes[table]]

    def rows(self) -> list[dict[str, str]]:
        """Return what the artifact shows: tables done, running and waiting, bytes, speed and time left."""
        expected, percent, elapsed = self.expected, self.percent, time.monotonic() - self._started
        done = expected * percent / 100
        speed = done / elapsed if elapsed > 0 else 0.0
        shown = {
            **self._counted(),
            self._done: f"{size(done)} of about {size(expected)}, {percent:.0f} %",
            "speed": f"{speed / 1e6:.1f} MB/s",
            "time left": "none" if self._is_complete else _duration((expected - done) / speed) if speed else "not known yet",
        }
        return [{"what": what, "now": now} for what, now in shown.items()]

    def _counted(self) -> dict[str, str]:
        """Return how many tables are done, which are running and how many wait."""
        running = [] if self._is_complete else self.tables
        with self._guard:
            total, begun = len(self._sizes), len(self._copied)
        done = total if self._is_complete else begun - len(running)
        waiting = 0 if self._is_complete else total - begun
        return {
            "tables done": f"{done:,} of {total:,}",
            "running": escaped(", ".join(running)) or "none",
            "waiting": count(waiting, "table"),
        }

    def _follow(self) -> None:
        over = False
        while not over:
            over = self._over.wait(INTERVAL)
            # for people only: no run fails because the server did not take it
            with suppress(Exception):
                if isinstance(self._artifact, UUID):
                    with get_client(sync_client=True) as client:
                        client.update_artifact(self._artifact, ArtifactUpdate(data=json.dumps(self.rows())))


class Measured(Progress):
    """The share that a program has written, measured by a function against an estimated whole."""

    def __init__(self, app: str, done: str, expected: int, measure: Callable[[], int]) -> None:
        super().__init__(app, {}, done)
        self._expected = max(expected, _LEAST)
        self._measure = measure
        self._measured = (0.0, 0)  # when and how much: terminals ask often

    @property
    def percent(self) -> float:
        """Return the written share, from 0 to 99 until it is complete."""
        if self._is_complete:
            return 100.0
        if time.monotonic() - self._measured[0] > 1:
            with suppress(EtlError, OSError):
                self._measured = (time.monotonic(), self._measure())
        return min(99.0, 100.0 * self._measured[1] / self._expected)

    @property
    def expected(self) -> int:
        """Return the estimate of the whole, in bytes."""
        return self._expected

    def _counted(self) -> dict[str, str]:
        """Return nothing: a program does not tell which tables it is at."""
        return {}


def _at_least(sizes: Mapping[str, int]) -> dict[str, int]:
    return {table: max(bytes_, _LEAST) for table, bytes_ in sizes.items()}


def _duration(left: float) -> str:
    """Return how long something takes, in the unit that a person would use."""
    for unit, seconds, longest in (("s", 1, 100), ("min", 60, 6000)):
        if left < longest:
            return f"about {left / seconds:.0f} {unit}"
    return f"about {left / 3600:.1f} h"


def tell(**facts: Any) -> None:
    """Tell this process's terminal display how far the run is: `stage`, `running` (a Progress), `published` (a schema)."""
    _LOG.info("", extra={"progress": facts})
