"""How far a run is: bytes copied, an artifact in Prefect's UI that follows them, and what a terminal can draw."""

import threading
from collections.abc import Mapping
from contextlib import suppress
from typing import Any
from uuid import UUID

from prefect.artifacts import create_progress_artifact, update_progress_artifact

INTERVAL = 5.0  # seconds between two updates of the artifact: each is a call to Prefect's server


class Progress:
    """The share of the estimated bytes that is copied, in percent, shown as an artifact while it is entered."""

    def __init__(self, app: str, sizes: Mapping[str, int]) -> None:
        self._app = app
        self._sizes = {table: max(size, 8192) for table, size in sizes.items()}
        self._copied: dict[str, int] = {}
        self._guard = threading.Lock()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="progress", daemon=True)
        self._artifact: Any = None

    def __enter__(self) -> "Progress":
        global current
        self._artifact = create_progress_artifact(
            0.0, key=f"{self._app}-progress", description=f"how much of {self._app} is copied, in percent"
        )
        self._thread.start()
        current = self
        return self

    def __exit__(self, *exception: object) -> None:
        global current
        current = None
        self._over.set()
        self._thread.join(INTERVAL)

    def add(self, table: str, bytes_: int) -> None:
        """Count bytes of a table; they never exceed its estimate before it is complete."""
        with self._guard:
            self._copied[table] = min(self._copied.get(table, 0) + bytes_, int(self._sizes[table] * 0.99))

    def complete(self, table: str) -> None:
        """Count a table as copied."""
        with self._guard:
            self._copied[table] = self._sizes[table]

    def restart(self) -> None:
        """Begin again at nothing: the snapshot was lost."""
        with self._guard:
            self._copied.clear()

    @property
    def percent(self) -> float:
        """Return the share that is copied, from 0 to 100."""
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
            percent = round(self.percent, 1)
            # a picture for people: no run fails because the server was not there to take it
            with suppress(Exception):
                if percent != shown and isinstance(self._artifact, UUID):
                    update_progress_artifact(self._artifact, progress=percent)
                    shown = percent


current: Progress | None = None
stage: str = ""  # the one that is going on
published: str = ""  # the schema, once the publishing transaction is committed
