"""Where the origin's server stands in its history of transactions, as one snapshot sees it."""

from dataclasses import asdict, dataclass
from typing import Any, Self

# Transaction ids of rows have 32 bits and are compared by their distance, which is exact up to half of them; half of that
# again leaves room for what other transactions take while a run reads.
WIDEST = 2**30


@dataclass(frozen=True)
class Position:
    """A snapshot's `xmin` and `xmax` (64 bits), the end of the log right after it, and what tells this server's history.

    All transactions below `xmin` had ended; none from `xmax` on had. `lsn` is a position in bytes. The server's counters
    run since `counting_since`: since it started, crashed, or somebody reset them. `system` and `timeline` are None where the
    role may not read them.
    """

    xmin: int
    xmax: int
    lsn: int
    in_recovery: bool
    started: str
    counting_since: str
    version: str
    database: int
    system: str | None = None
    timeline: int | None = None

    @classmethod
    def read(cls, written: dict[str, Any]) -> Self:
        """Return the position that `written` gave. Raises TypeError."""
        return cls(**written)

    def written(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return asdict(self)

    @property
    def lower(self) -> int:
        """Return the first transaction whose rows this snapshot may lack: from `xmin` on, some had not ended."""
        return self.xmin

    def window(self, later: "Position") -> tuple[int, int]:
        """Return the transactions whose rows only a later snapshot may have: the first, and the one after the last."""
        return self.lower, later.xmax

    def is_still(self, later: "Position") -> bool:
        """Tell whether nothing at all was written on the server from this snapshot to a later one."""
        return self.xmin == self.xmax == later.xmax

    def doubts(self, later: "Position") -> str | None:
        """Return why a later snapshot can't be compared with this one, or None."""
        if self.system is None or later.system is None or later.timeline is None:
            return "its role may not read pg_control_system() and pg_control_checkpoint() of the origin"
        if (self.system, self.database) != (later.system, later.database):
            return "the origin is another database than in the last run"
        if self.in_recovery != later.in_recovery:
            return "the origin was promoted, or is a standby now"
        if self.timeline != later.timeline:
            return "the origin failed over or was restored since the last run"
        if self.started != later.started:
            return RESTARTED
        if not later.counting_since or self.counting_since != later.counting_since:
            return "the origin crashed since the last run, or somebody reset its statistics"
        if self.version != later.version:
            return "the origin has another version of Postgres than in the last run"
        if later.lsn < self.lsn or later.xmax < self.xmax:
            return "the origin was set back to an earlier moment since the last run"
        if later.xmax - self.lower >= WIDEST:
            return f"the origin has had more than {WIDEST:,} transactions since the last run"
        return None


RESTARTED = "the origin was restarted since the last run, or its address leads to another server"
