"""What a run is asked to do, and the names of its schemas."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal

JOBS = 4  # tables to copy at a time, unless jobs says otherwise
REPORT = "etl_report"  # where the history of runs is, unless report_schema says otherwise


@dataclass(frozen=True)
class Job:
    """What a run is asked to do, as names; `id` tells it from other runs of the app.

    Everybody on the servers sees the `id`, as it is in the names of sessions. `names` is in the name of the staging schema,
    and shown nowhere before that is made: who knew it could make a schema of that name first. If empty, it is the `id`.
    """

    app: str
    schema: str
    origin_schema: str
    reader: str
    jobs: int
    lock_wait: int
    id: str
    mode: Literal["stream", "dump"] = "stream"
    from_dump: str = ""
    keep_dump: bool = False
    clear_raw: bool = False
    indexes: Literal["useful", "all"] = "useful"
    drop_dependants: bool = False
    adopt: bool = False
    refresh: Literal["auto", "full"] = "auto"
    full_every: int = 7
    schema_reader: tuple[str, ...] = ()
    accept_drop: tuple[str, ...] = ()
    drop_rows: int = 100
    drop_percent: int = 50
    report_schema: str = REPORT
    scan: Literal["changed", "full", "off"] = "changed"
    strict_scan: bool = False
    check: bool = False
    names: str = ""

    @classmethod
    def of(cls, parameters: Mapping[str, Any], run_id: str, names: str = "") -> "Job":
        """Return the job that parameters of the flow describe; the rules are none of it."""
        known = {field.name for field in fields(cls)} - {"id", "names"}
        given = {name: value for name, value in parameters.items() if name in known}
        given = {name: tuple(value) if isinstance(value, list) else value for name, value in given.items()}
        given["schema_reader"] = role_names(given.get("schema_reader", ()))
        return cls(**{**given, "schema": given["schema"] or given["app"], "id": run_id, "names": names})

    @property
    def readers(self) -> tuple[str, ...]:
        """Return the roles that may read the published schema, each once: the reader, then the schema readers."""
        return tuple(dict.fromkeys((self.reader, *self.schema_reader)))

    @property
    def staging(self) -> str:
        """Return the name of the schema where this run builds."""
        return staging_name(self.schema, self.names or self.id)

    @property
    def dumps(self) -> bool:
        """Tell whether the run dumps the origin: mode dump without an existing dump."""
        return self.restores and not self.from_dump

    @property
    def restores(self) -> bool:
        """Tell whether the run reads raw tables of the target: in mode dump, implied by `from_dump` and `keep_dump`."""
        return self.mode == "dump" or bool(self.from_dump) or self.keep_dump

    @property
    def raw_schema(self) -> str:
        """Return the target's schema where mode dump restores rows: it has the origin's name, as in the dump."""
        return self.origin_schema

    @property
    def application(self) -> str:
        """Return the name of the run's sessions, on both servers."""
        return f"multi-schema-postgres-etl {self.app} {self.id}"


def role_names(texts: Iterable[str]) -> tuple[str, ...]:
    """Return the names of roles in texts, each of which has one, several parted by commas, or none: an unset variable."""
    names = (name.strip() for text in texts for name in text.split(","))
    return tuple(name for name in names if name)


_HIDDEN = "^etl_(staging|old)_"
STATE = "etl_state"  # the schema where runs keep what they must remember
_LONGEST_NAME = 63
_RUN_ID = "[0-9a-f]{8}"


def staging_name(schema: str, run_id: str) -> str:
    """Return the name of a run's staging schema; the run id (8 hexadecimal digits) keeps two runs apart."""
    return f"etl_staging_{schema}_{run_id}"


def old_name(schema: str, run_id: str) -> str:
    """Return the name under which a run moves yesterday's schema away; its id is another than that of the staging schema."""
    return f"etl_old_{schema}_{run_id}"


def hidden_pattern() -> str:
    """Return the regular expression that matches all schemas of ours that nobody else may read."""
    return f"{_HIDDEN}|^{STATE}$"


def leftover_pattern(schema: str) -> str:
    """Return the regular expression that matches one app's staging and old schemas."""
    return f"{_HIDDEN}{_escaped(schema)}_{_RUN_ID}$"


def name_pattern(schema: str) -> str:
    """Return the regular expression that matches this schema alone."""
    return f"^{_escaped(schema)}$"


def illegal_schema(schema: str) -> str | None:
    """Return why a schema can't be published under this name, or None."""
    if reason := _reserved(schema):
        return reason
    if schema == REPORT:
        return f"{REPORT} is reserved for the history of runs"
    longest = _LONGEST_NAME - len(staging_name("", "0" * 8))
    if len(schema.encode()) > longest:
        return f"it has {len(schema.encode())} bytes; at most {longest} leave room for the staging schema's name"
    return None


def _reserved(schema: str) -> str | None:
    if not schema or "\0" in schema:
        return "a schema needs a name"
    if schema in ("public", "information_schema", STATE) or schema.startswith(("pg_", "etl_staging_", "etl_old_")):
        return "public, information_schema, pg_… and the ETL's own etl_staging_…, etl_old_… and etl_state are reserved"
    return None


def illegal_report(job: Job) -> str | None:
    """Return why the history of runs can't be kept in a schema of this name, or None."""
    if reason := _reserved(job.report_schema):
        return reason
    if job.report_schema == job.schema:
        return "it is the published one"
    if job.restores and job.report_schema == job.raw_schema:
        return "it is the one that mode dump fills with raw data"
    size = len(job.report_schema.encode())
    return f"it has {size} bytes; at most {_LONGEST_NAME} are a name" if size > _LONGEST_NAME else None


def illegal_check(check: bool, from_dump: str) -> str | None:
    """Return why a run with these parameters can't be checked alone, or None."""
    if check and from_dump:
        return "check writes nothing, but reading the catalog of from_dump restores its structure: leave out one of the two"
    return None


def illegal_raw(raw: str, schema: str) -> str | None:
    """Return why raw data can't be restored into a schema of this name, or None."""
    if raw == "public":
        return None
    if raw == schema:
        return "it is the published one; publish under another name, or use mode stream"
    return illegal_schema(raw)


def _escaped(name: str) -> str:
    return "".join(c if c.isalnum() or c == "_" else f"[{c}]" if c not in "\\^]" else f"\\{c}" for c in name)
