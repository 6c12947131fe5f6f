"""Errors of a run: one line each (or one per problem), never a row's value, never a password.

EtlError                 the run failed, nothing was published
 ├── UsageError          the command or its environment is wrong (exit status 2)
 ├── RulesError          the rules can't be downloaded, or aren't rules
 │    └── RulesUnavailable  the server did not answer: worth another try
 ├── CheckError          the check stage found problems; nothing was read or written
 ├── DatabaseError       a statement failed on the origin or on the target
 │    └── ConnectionLost the connection broke: worth another try
 ├── SnapshotLost        the origin's snapshot is gone: copy again from a new one
 ├── OriginChanged       a table was altered, rewritten or truncated while it was copied
 ├── DumpError           a dump or a backup can't be made, kept or read
 ├── RunEnded            the run is being stopped: its threads stop too
 ├── LockTimeout         another run of the same app held the lock for too long
 └── VerifyError         what was built holds what must not be published, or lost what was
"""

import re
from collections.abc import Sequence

from multischema.findings import Finding, problem
from multischema.words import escaped

NO_CONNECTION_TO_SPARE = ("too many c", "connection slots")  # connections or clients: what a server at its limit says
FULL = ("could not extend file", "No space left on device")  # what a server with a full disk says
FREE_SPACE = "free space on the server or enlarge its disk; the next run starts anew"
FEWER_CONNECTIONS = (
    "the server has no connection to spare: use fewer jobs, or raise max_connections, or the CONNECTION LIMIT that the role "
    "or the database has"
)
# what poolers say at their limits: PgBouncer, then Supavisor and PgCat
POOLER_IS_FULL = ("query_wait_timeout", "(max_client_conn)", "max clients reached", "ax client connections reached")
TOO_SMALL_A_POOL = (
    "the pooler has no connection to spare: use fewer jobs, let it have 2 x jobs + 2 (PgBouncer: default_pool_size "
    "and max_client_conn), or use the server's own address and port"
)
STANDBY = (
    "a standby cancels what is in the way of its replication: set hot_standby_feedback=on there, or its "
    "max_standby_streaming_delay to more than a run takes, or read from the primary"
)
UNREAD = (
    "check the URL's user, password and database, and whether the server has a connection to spare; "
    "if its messages were in English (lc_messages), this line could say which"
)
# words of English messages, of Postgres and of poolers, which have no others
_ENGLISH = re.compile(
    r"\b(the|for|is|not|too|of|to|are|does|has|such|failed|denied|invalid|unsupported|sorry|must|cannot|\w+_timeout|config)\b",
    re.IGNORECASE,
)


def is_foreign(text: str) -> bool:
    """Tell whether a server refused a connection in another language than English; libpq gives no SQLSTATE then."""
    said = re.findall(r"(?:^|failed: )[^\W\d_]+ ?:\s+(.*?)(?=; connection to server|$)", text, re.DOTALL)
    return any(not _ENGLISH.search(message) for message in said)


class Snippet(str):
    """A line ready to paste: it follows the problems and has no prefix."""


_ERROR = "error: "


def _label(line: str) -> str:
    """Return what stands before a line: an error may come with warnings, and with a snippet to paste."""
    if isinstance(line, Snippet):
        return ""
    return f"{line.level}: " if isinstance(line, Finding) else _ERROR


class EtlError(Exception):
    """Say in one line why the run failed, or in one line per problem."""

    exit_status = 1
    transient = False  # True if the same work may succeed a moment later

    def __init__(self, *problems: str) -> None:
        super().__init__(*problems)
        self.problems: Sequence[str] = problems

    def __str__(self) -> str:
        return "\n".join(f"{_label(line).removeprefix(_ERROR)}{escaped(line)}" for line in self.problems)

    def found_on(self, side: str) -> list[Finding]:
        """Return its lines as problems of a check: if not said otherwise, what failed on this side."""
        return [
            line
            if isinstance(line, Finding)
            else problem("side-unusable", line.removeprefix(f"{side}: "), side=side if line.startswith(f"{side}: ") else "")
            for line in self.problems
        ]

    def lines(self) -> list[str]:
        """Return the lines that a command prints."""
        return [f"{_label(problem)}{escaped(problem)}" for problem in self.problems]


class UsageError(EtlError):
    """The command, its arguments or its environment can't be used."""

    exit_status = 2


class RulesError(EtlError):
    """The rules can't be downloaded, or aren't rules."""


class RulesUnavailable(RulesError):
    """The rules' server did not answer, or said that it can't right now."""

    transient = True


class CheckError(EtlError):
    """The check stage found problems: it reports all of them, a line each."""

    def __init__(self, *problems: Finding | Snippet) -> None:
        super().__init__(*problems)


class DatabaseError(EtlError):
    """A statement failed on the origin or on the target.

    `raised_in` lists the server-side functions that were running, with schemas and argument types.
    """

    raised_in: Sequence[str] = ()


class ConnectionLost(DatabaseError):
    """A connection broke or could not be made; the same work may succeed on a new one."""

    transient = True


class SnapshotLost(EtlError):
    """The origin's snapshot is gone, so the copy from it can't be completed."""


class OriginChanged(EtlError):
    """Tables of the origin were altered, rewritten or truncated while they were copied."""


class DumpError(EtlError):
    """A dump or a backup can't be made, kept or read."""


class RunEnded(EtlError):
    """The run failed or was cancelled elsewhere; this thread's work is no longer wanted."""


class LockTimeout(EtlError):
    """Another run of the same app held the lock for longer than this run waits."""


class VerifyError(EtlError):
    """What was built holds what must not be published, or lost rows that were; or the reader could read too much."""

    def __init__(self, *problems: Finding) -> None:
        super().__init__(*problems)
