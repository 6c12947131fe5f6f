"""The history of runs, which the target keeps for its reader: what a run writes there, and what it finds of the last one."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from multischema.plan.plan import Plan

MARK = "multi-schema-postgres-etl report"  # the comment of the schema
RUNS = "runs"
TABLES = "tables"
# Each column with its type. A column that a later version adds stands last and takes NULL: the next run gives it to tables
# that lack it, and versions before go on writing theirs.
COLUMNS: Mapping[str, Mapping[str, str]] = {
    RUNS: {
        "id": "bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY",
        "app": "text",
        "schema": "text",
        "snapshot_at": "timestamptz",
        "published_at": "timestamptz",
        "rows": "bigint",
        "bytes": "bigint",
        "seconds": "double precision",
        "kind": "text",
        "version": "text",
        "warnings": "integer",
    },
    TABLES: {
        "run": "bigint",
        "name": "text",
        "rows": "bigint",
        "masked_columns": "text[]",
    },
}


@dataclass(frozen=True)
class Ran:
    """A run as the history has it: `seconds` until it published, `rows` and `bytes` of all its tables together.

    `snapshot_at` is when, on the origin's clock, what it published was read; None if nobody knows that of a backup. A
    refresh that found nothing changed has no `tables`.
    """

    kind: Literal["full", "refresh"]
    snapshot_at: datetime | None
    rows: int
    bytes: int
    seconds: float
    warnings: int
    tables: Mapping[str, int]
    masked: Mapping[str, tuple[str, ...]]

    @classmethod
    def of(
        cls,
        plan: Plan,
        kind: Literal["full", "refresh"],
        rows: Mapping[str, int],
        sizes: Mapping[str, int],
        *,
        snapshot_at: datetime | None,
        seconds: float,
        warnings: int,
        changed: bool = True,
    ) -> "Ran":
        """Return what the history says of a run that publishes these rows of a plan's tables."""
        return cls(
            kind,
            snapshot_at,
            sum(rows.values()),
            sum(sizes.values()),
            seconds,
            warnings,
            tables={table.name: rows.get(table.name, 0) for table in plan.tables} if changed else {},
            masked={table.name: tuple(column.name for column in table.masked) for table in plan.copied},
        )


@dataclass(frozen=True)
class Before:
    """The last run of a published schema, as the history has it: when it published what; `tables` has the rows of each.

    They are those of the last run that changed something.
    """

    published_at: datetime
    rows: int
    bytes: int
    seconds: float
    kind: str
    tables: Mapping[str, int]


@dataclass(frozen=True)
class Recorded:
    """What the history says of this run, and of the last one if there was one."""

    ran: Ran
    before: Before | None
