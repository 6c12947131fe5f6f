"""What a run records of what it published, so that the next one can bring only what changed since."""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any

from multischema.catalog.objects import PublishedTable
from multischema.catalog.position import Position
from multischema.catalog.tables import Fingerprint
from multischema.plan.plan import Plan
from multischema.plan.tables import TablePlan


@dataclass(frozen=True)
class TableState:
    """A published table: `oid`, `shape` and the names of its `parts` in the target, and how it came to be.

    `built` stands for the statements that made it, `read` for the one that read its rows; `origin` and `files` for what
    they were read from. `key` has the columns of a key that each of its `rows` has, none if it has no such key.
    `k_anonymity` stands for the rule that the rows were held to, if there was one.
    """

    oid: int
    shape: str
    parts: tuple[str, ...]
    built: str
    read: str
    origin: str
    files: str
    key: tuple[str, ...]
    rows: int
    k_anonymity: str = ""


@dataclass(frozen=True)
class State:
    """What was published and from where: `job` stands for what the run was asked to do, and for its sessions' settings.

    `full_at` is when the last full run published, `why` says why it was full. `pseudonym_key` stands for the key of the
    pseudonyms in all tables, and is empty if there are none.
    """

    job: str
    position: Position
    full_at: datetime
    why: str
    tables: Mapping[str, TableState]
    pseudonym_key: str = ""

    def written(self) -> str:
        """Return it as the target keeps it."""
        tables = {name: asdict(table) for name, table in self.tables.items()}
        return json.dumps(
            {
                "job": self.job,
                "position": self.position.written(),
                "full_at": self.full_at.isoformat(),
                "why": self.why,
                "tables": tables,
                "pseudonym_key": self.pseudonym_key,
            }
        )


def read(written: str | None) -> State | None:
    """Return the state that `written` gave, None for anything else."""
    try:
        found = json.loads(written or "")
        return State(
            job=found["job"],
            position=Position.read(found["position"]),
            full_at=datetime.fromisoformat(found["full_at"]),
            why=found["why"],
            tables={name: _table(**table) for name, table in found["tables"].items()},
            pseudonym_key=found.get("pseudonym_key", ""),
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def _table(parts: Iterable[str], key: Iterable[str], **values: Any) -> TableState:
    return TableState(parts=tuple(parts), key=tuple(key), **values)


@dataclass(frozen=True)
class Signatures:
    """What stands for the statements of a run: for the job, and for each table those that `build` and that `read` it."""

    job: str
    build: Mapping[str, str]
    read: Mapping[str, str]


def of_tables(
    plan: Plan,
    signatures: Signatures,
    fingerprints: Mapping[int, Fingerprint],
    rows: Mapping[str, int],
    published: Sequence[PublishedTable],
) -> dict[str, TableState]:
    """Return the state of each published table, as the plan has it and as the target has it."""
    by_name = {table.name: table for table in plan.tables}
    unique = {index.name for index in plan.keys.indexes if index.unique}
    # an index whose pseudonyms repeat was built as a plain one: it tells no rows apart, whatever the next plan says of it
    parts = {row.name: tuple(name for name in row.parts if not (name in unique and name in row.plain)) for row in published}
    return {
        row.name: TableState(
            oid=row.oid,
            shape=row.shape,
            parts=parts[row.name],
            built=signatures.build[row.name],
            read=signatures.read[row.name],
            origin=origin_of(fingerprints.get(by_name[row.name].oid)),
            files=files_of(fingerprints.get(by_name[row.name].oid)),
            key=key(plan, by_name[row.name], parts[row.name]),
            rows=rows.get(row.name, 0),
            k_anonymity=gate_of(by_name[row.name]),
        )
        for row in published
        if row.name in by_name
    }


def origin_of(found: Fingerprint | None) -> str:
    """Return what a table's rows are read from: which one it is, its columns, types and partitions; nothing if truncated."""
    return digest([str(found.oid), found.structure, found.types]) if found else ""


def files_of(found: Fingerprint | None) -> str:
    """Return what stands for the files that a table's rows are read from."""
    return digest([found.files]) if found else ""


def gate_of(table: TablePlan) -> str:
    """Return what stands for the rule that a table's rows are held to, nothing if there is none."""
    return digest([repr(table.k_anonymity)]) if table.k_anonymity else ""


def key(plan: Plan, table: TablePlan, parts: Collection[str]) -> tuple[str, ...]:
    """Return the columns of a key that tells all rows of a published table apart, the primary one first, or none.

    It must be among the `parts` that the target could build, published as it is or with masks whose values tell rows apart,
    without a predicate or NULLs.
    """
    plain = {
        column.name
        for column in table.columns
        if column.not_null and not column.is_converted and (not column.mask or column.mask.identifies)
    }
    keys = [
        tuple(name for name in index.key_columns if name)
        for index in sorted(plan.keys.indexes, key=lambda index: (index.constraint != "p", len(index.key_columns)))
        if index.table == table.name and index.name in parts
        if index.unique and " WHERE " not in index.definition and None not in index.key_columns
    ]
    return next((names for names in keys if names and plain.issuperset(names)), ())


def digest(texts: Iterable[str]) -> str:
    """Return what stands for texts: 32 hexadecimal digits."""
    made = sha256()
    for text in texts:
        made.update(f"{len(text)} {text}".encode())
    return made.hexdigest()[:32]
