"""Dumps as values: the commands of pg_dump and pg_restore, what a dump holds, and what the programs say when they fail."""

import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime

from multischema.errors import (
    FEWER_CONNECTIONS,
    FREE_SPACE,
    FULL,
    NO_CONNECTION_TO_SPARE,
    POOLER_IS_FULL,
    TOO_SMALL_A_POOL,
    ConnectionLost,
    DatabaseError,
    DumpError,
    EtlError,
    is_foreign,
)
from multischema.findings import Finding, problem

LOCK_TIMEOUT_MS = 10_000  # a dump that waits for a migration's lock would have all others wait behind it
# What is read of a backup's structure: what rows and their keys need; no function, trigger, policy, view or right.
STRUCTURE = ("TYPE", "DOMAIN", "TABLE", "TABLE ATTACH", "CONSTRAINT", "INDEX", "INDEX ATTACH", "FK CONSTRAINT", "COMMENT")
RELATED = ("TABLE", "FOREIGN TABLE", "TABLE ATTACH")  # of any schema: what may have rows of the schema's tables
_KINDS = sorted({*STRUCTURE, *RELATED, "TABLE DATA"}, key=len, reverse=True)
_ENTRY = re.compile(rf"\d+; \d+ \d+ (?P<kind>{'|'.join(_KINDS)}|\S+) (?P<names>.*)")
_MADE_AT = re.compile(r"^; +Archive created at (\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)", re.MULTILINE)
_LOST = (
    "server closed the connection",
    "connection to server",
    "terminating connection",
    "SSL",
    "no connection to the server",
)
# The run's own sessions have TLS, so it is libpq of the program that lacks it, or does not know the URL's word for it
_WITHOUT_TLS = re.compile(
    r".*invalid when SSL support is not compiled in|.*root certificate file \"system\" does not exist"
    r"|invalid (sslmode|sslnegotiation|channel_binding|require_auth) value"
)
_LET_IN = f"the run's own sessions were let in, so most likely {FEWER_CONNECTIONS}"
_PROGRAMS = "`apt-get install postgresql-client-{0}`, on Scalingo `dbclient-fetcher pgsql {0}`"
# what libpq says itself, in a line of its own, after what the server said last in its own language
_CUT = re.compile("^server closed the connection unexpectedly$", re.MULTILINE)
_NO_PROGRAM = 127
_WANTED = "want a whole dump of pg_dump -Fc, -Fd or -Ft, or a .tar.gz around one"
_COMPRESSED = {
    b"\x28\xb5\x2f\xfd": "zstd",
    b"\xfd7zXZ": "xz",
    b"BZh": "bzip2",
    b"\x04\x22\x4d\x18": "lz4",
    b"PK\x03\x04": "zip",
}
_SQL = re.compile(
    rb"(?:\xef\xbb\xbf)?\s*(?:--|/\*|\\|(?:set|select|create|insert|copy|begin|alter|drop|comment|start)\s)", re.IGNORECASE
)
_ROWS = ("COPY failed", "contents of table", "COPY ", "could not execute query")
# What the server said begins with how bad it is, in its own language: `ERROR:  `, `ERREUR:  `. What it may quote of a row
# stands behind that, and may be any words, these too.
_SERVER = re.compile(r"(?:^|(?<= ))\w+ ?:  ")
_SAFE_OF_ROWS = re.compile(
    "permission denied for [^:]*|could not extend file|No space left on device|out of memory|canceling statement due to"
    "|relation .* does not exist|column .* does not exist|transaction log"
)
# Programs say in their user's language what they say themselves; by their English words it is decided what may be told.
_IN_ENGLISH = {"LC_ALL": "C", "LANGUAGE": "C"}


@dataclass(frozen=True)
class Command:
    """A program with its arguments; passwords are in the environment only."""

    program: str
    arguments: tuple[str, ...]
    environment: Mapping[str, str] = field(repr=False, default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "environment", {**self.environment, **_IN_ENGLISH})


@dataclass(frozen=True)
class Outcome:
    """What a command came to: its exit status, what it printed, what it complained of."""

    status: int
    printed: bytes
    complaints: str

    @property
    def output(self) -> str:
        """Return what it printed as text."""
        return self.printed.decode(errors="replace")


@dataclass(frozen=True)
class Entry:
    """An entry of a dump's table of contents, with the line that pg_restore takes back.

    `names` are schema, name and owner with spaces between, which they may hold too.
    """

    line: str
    kind: str
    names: str

    def within(self, schema: str) -> str | None:
        """Return name and owner of an entry of this schema, None for another's."""
        prefix = f"{_printed(schema)} "
        return self.names.removeprefix(prefix) if self.names.startswith(prefix) else None


def version_of(output: str) -> int | None:
    """Return the major version that `pg_dump --version` prints, None where it prints something else."""
    found = re.search(r"\(PostgreSQL\) (\d+)", output)
    return int(found[1]) if found else None


def version_problem(program: str, found: int | None, side: str, wanted: int) -> Finding | None:
    """Return why a client program can't dump a server's database, or restore what was dumped from it."""
    if found is not None and found >= wanted:
        return None
    what = "is not there" if found is None else f"{found} is older than {side}'s Postgres {wanted}"
    todo = f"want {wanted} or newer on the PATH: {_PROGRAMS.format(wanted)}; or use mode stream, which needs none"
    return problem("program-too-old", f"{program} {what}", todo, side=side, object=program)


def dump(
    environment: Mapping[str, str],
    connection: str,
    snapshot: str,
    tables: Iterable[tuple[str, str]],
    sequences: Iterable[tuple[str, str]],
    directory: str,
    jobs: int,
) -> Command:
    """Return the command that dumps the rows of these tables (schema, name), partitions among them, from a snapshot.

    pg_dump reads the sequences of tables too, unless told otherwise; a role that may read tables only may not read those.
    """
    return Command(
        "pg_dump",
        (
            "--format=directory",
            f"--file={directory}",
            f"--dbname={connection}",
            f"--jobs={jobs}",
            f"--snapshot={snapshot}",
            "--compress=1",  # the default takes three times as long for a tenth less
            "--data-only",
            "--load-via-partition-root",
            "--no-owner",
            "--no-privileges",
            "--no-sync",
            "--strict-names",
            f"--lock-wait-timeout={LOCK_TIMEOUT_MS}",
            *(f"--table={_pattern(schema)}.{_pattern(name)}" for schema, name in tables),
            *(f"--exclude-table-data={_pattern(schema)}.{_pattern(name)}" for schema, name in sequences),
        ),
        environment,
    )


def contents(archive: str) -> Command:
    """Return the command that lists a dump's entries."""
    return Command("pg_restore", ("--list", archive))


def structure(archive: str, entries: str) -> Command:
    """Return the command that prints the statements of a list of entries, after those that set up a session."""
    return Command(
        "pg_restore", ("--file=-", "--schema-only", f"--use-list={entries}", "--no-owner", "--no-privileges", archive)
    )


def rows(archive: str, entry: str) -> Command:
    """Return the command that prints the rows of a table; `entry` is the file of a list with that entry alone."""
    return Command("pg_restore", ("--file=-", "--data-only", f"--use-list={entry}", archive))


def read_contents(output: str) -> list[Entry]:
    """Return the entries that `pg_restore --list` prints."""
    found = (_ENTRY.fullmatch(line) for line in output.split("\n"))  # splitlines() knows characters that names may hold
    return [Entry(match[0], match["kind"], match["names"]) for match in found if match]


def made_at(output: str) -> datetime | None:
    """Return when a dump was made, as `pg_restore --list` prints it: on the clock of the machine that made it.

    A dump does not tell that clock's time zone; pg_restore takes it for its own.
    """
    found = _MADE_AT.search(output)
    with suppress(ValueError):  # any program may have written the file
        return datetime.fromisoformat(found[1]) if found else None
    return None


def rows_of(entries: Sequence[Entry], schema: str, tables: Iterable[str]) -> dict[str, list[Entry]]:
    """Return the entries with rows of each table of a schema; `tables` are all that there are.

    Names are compared as the list prints them: one may hold spaces, and the owner's stands behind it.
    """
    found: dict[str, list[Entry]] = {name: [] for name in tables}
    for entry in entries:
        name_and_owner = entry.within(schema) if entry.kind == "TABLE DATA" else None
        names = [name for name in found if name_and_owner and name_and_owner.startswith(f"{_printed(name)} ")]
        if names:
            found[max(names, key=len)].append(entry)
    return found


def failure(command: Command, side: str, doing: str, outcome: Outcome) -> EtlError:
    """Return our error for a program that failed. What it quotes of a row is not in it."""
    errors = errors_of(outcome)
    details = [line.partition("detail: ")[2] for line in outcome.complaints.splitlines() if ": detail: " in line]
    text = " ".join([*errors[:1], *details[:1]]) or f"exit status {outcome.status}"
    if outcome.status < 0:
        return ConnectionLost(f"{side}: {doing} failed: {command.program} was killed by signal {-outcome.status}")
    if any(word in text for word in NO_CONNECTION_TO_SPARE) and not _quotes_rows(text):
        return ConnectionLost(f"{side}: {doing} failed: {text}; {FEWER_CONNECTIONS}")
    if _WITHOUT_TLS.match(text):
        return DumpError(
            f"{side}: {doing} failed: {text}; this {command.program} is built without the TLS that the URL asks for, or is "
            f"too old for it: want another first on the PATH: {_PROGRAMS.format(18)}, or use mode stream, which needs none"
        )
    if any(word in text for word in POOLER_IS_FULL) and not _quotes_rows(text):
        return ConnectionLost(f"{side}: {doing} failed: {text}; {TOO_SMALL_A_POOL}")
    if any(word in text for word in _LOST) or _CUT.search(outcome.complaints):
        hint = f"; {_LET_IN}" if "connection to server" in text and is_foreign(text) and not _quotes_rows(text) else ""
        return ConnectionLost(f"{side}: {doing} failed: {_of_rows(text) if _quotes_rows(text) else text}{hint}")
    if "No space left on device" in text and command.program == "pg_dump":
        return DumpError(
            f"{side}: {doing} failed: the disk of this machine is full; free space in TMPDIR, or use mode stream"
        )
    hint = f"; {FREE_SPACE}" if any(word in text for word in FULL) else ""
    return DatabaseError(f"{side}: {doing} failed: {_of_rows(text) if _quotes_rows(text) else text}{hint}")


def errors_of(outcome: Outcome) -> list[str]:
    """Return the errors that a program told.

    pg_restore sets parameters that older servers do not have, as its own documentation says of restoring into them, and
    goes on: that is none.
    """
    found = (line.partition(": error: ")[2] for line in outcome.complaints.splitlines())
    return [line for line in found if line and "unrecognized configuration parameter" not in line]


def unreadable(file: str, outcome: Outcome) -> EtlError:
    """Return our error for a file that is no dump, or not a whole one."""
    said = next(iter(errors_of(outcome)), "")
    if "unsupported version" in said or outcome.status == _NO_PROGRAM:
        return DumpError(
            f"dump {file}: can't be read: {said}; want a pg_restore as new as the pg_dump that made it on the PATH: "
            f"{_PROGRAMS.format(18)}"
        )
    return no_dump(file, said or "it is empty")


def other_than_a_dump(head: bytes) -> str | None:
    """Return what a file is by its first bytes, where it is something else than a dump that pg_restore reads, or None."""
    if not head:
        return "it is empty"
    if program := next((name for magic, name in _COMPRESSED.items() if head.startswith(magic)), None):
        return f"it is compressed with {program}; unpack it first"
    if _SQL.match(head) and b"\0" not in head:
        return "it is plain SQL, a script for psql"
    return None


def no_dump(file: str, found: str) -> DumpError:
    """Return our error for a file that is something else."""
    return DumpError(f"dump {file}: can't be read: {found}; {_WANTED}")


def _quotes_rows(text: str) -> bool:
    return any(word in text for word in _ROWS)


def _of_rows(text: str) -> str:
    """Return what may be told of an error that is about rows."""
    table = re.search(r'table "((?:[^"]|"")*)"', text)
    server = _SERVER.search(text)
    safe = _SAFE_OF_ROWS.match(text, server.end()) if server else _SAFE_OF_ROWS.search(text)
    lost = next((word for word in _LOST if word in text), None)
    reason = safe[0] if safe else lost or "its message may quote a row, and stands in the server's log only"
    return f"table {table[1]}: {reason}" if table else reason


def _printed(name: str) -> str:
    """Return a name as pg_restore lists it."""
    return name.replace("\n", " ").replace("\r", " ")


def _pattern(name: str) -> str:
    """Return a name as a pattern that matches it alone."""
    return '"' + name.replace('"', '""') + '"'
