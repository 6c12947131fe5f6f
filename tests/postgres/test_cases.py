"""Golden cases: an origin, its rules, and all that the reader sees of it once it is published.

A case is a directory of `tests/cases`: `origin.sql`, `rules.yml`, `expected.txt` (see `seen`), and `warnings.txt` where the
report has any. It runs on every pair of servers whose origin has what `origin.sql` asks for: `-- needs: 15` a major version,
`-- needs extension: citext` an extension among the server's files. What is expected follows from the rules; nothing records it.
"""

import json
import re
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from tests.conftest import PAIRS, PROGRAMS, ROOT, Place

RELATIONS = """
SELECT oid::int8, relname::text, CASE relkind WHEN 'r' THEN 'table' ELSE 'relation ' || relkind END,
       obj_description(oid, 'pg_class')
FROM pg_class WHERE relnamespace = 'shop'::regnamespace AND relkind <> 'i' ORDER BY relname COLLATE "C"
"""
COLUMNS = """
SELECT a.attname::text,
       concat_ws(' ', quote_ident(a.attname), format_type(a.atttypid, a.atttypmod),
                 CASE WHEN a.attcollation <> t.typcollation THEN 'COLLATE ' || quote_ident(c.collname) END,
                 CASE WHEN a.attnotnull THEN 'NOT NULL' END,
                 CASE WHEN a.atthasdef THEN 'DEFAULT' END),
       col_description(a.attrelid, a.attnum)
FROM pg_attribute AS a
JOIN pg_type AS t ON t.oid = a.atttypid
LEFT JOIN pg_collation AS c ON c.oid = a.attcollation
WHERE a.attrelid = %s AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attnum
"""
KEYS = """
SELECT concat_ws(' ', 'constraint', quote_ident(k.conname), pg_get_constraintdef(k.oid, true)) AS line
FROM pg_constraint AS k WHERE k.conrelid = %(table)s AND k.contype <> 'n'
UNION ALL
SELECT replace(pg_get_indexdef(i.indexrelid, 0, true), 'CREATE ', '')
FROM pg_index AS i WHERE i.indrelid = %(table)s AND NOT EXISTS (
    SELECT FROM pg_constraint AS k WHERE k.conindid = i.indexrelid AND k.conrelid = i.indrelid)
ORDER BY line COLLATE "C"
"""
TYPES = """
SELECT concat_ws(' ', CASE typtype WHEN 'd' THEN 'domain' ELSE 'type' END, quote_ident(typname),
                 format_type(typbasetype, typtypmod)) AS line
FROM pg_type WHERE typnamespace = 'shop'::regnamespace AND typrelid = 0 AND typcategory <> 'A' ORDER BY line COLLATE "C"
"""
SETTINGS = "-c search_path=shop -c TimeZone=UTC -c DateStyle=ISO -c IntervalStyle=postgres"


@dataclass(frozen=True)
class Case:
    """A directory of `tests/cases`."""

    directory: Path

    def text(self, file: str) -> str:
        """Return what a file holds, nothing where there is no such file."""
        path = self.directory / file
        return path.read_text() if path.exists() else ""

    def runs_on(self, origin: str) -> bool:
        """Tell whether a server of PROGRAMS has what the case asks for."""
        needs = re.findall(r"^-- needs( extension)?: (\w+)", self.text("origin.sql"), re.MULTILINE)
        major = int(origin.rpartition("-")[2])
        return all(what in extensions(origin) if extension else major >= int(what) for extension, what in needs)


@cache
def extensions(server: str) -> frozenset[str]:
    """Return the extensions among the files of a server of PROGRAMS."""
    told = subprocess.run([PROGRAMS[server] / "pg_config", "--sharedir"], capture_output=True, text=True, check=True)
    return frozenset(file.stem for file in Path(told.stdout.strip(), "extension").glob("*.control"))


def runs() -> Iterator[Any]:
    """Give every case with every pair of servers that it runs on."""
    for directory in sorted(ROOT.glob("tests/cases/*/")):
        case = Case(directory)
        for origin, target in PAIRS:
            if case.runs_on(origin):
                yield pytest.param(case, origin, target, id=f"{directory.name}: {origin} to {target}")


@pytest.mark.parametrize(("case", "origin", "target"), runs())
def test_the_reader_sees_what_the_case_expects_and_a_second_run_changes_nothing(
    case: Case, origin: str, target: str, make_place: Callable[..., Place]
) -> None:
    place = make_place(origin, target)
    place.in_origin(case.text("origin.sql"))
    for _ in range(2):
        published = place.run(case.text("rules.yml"))
        assert seen(place) == case.text("expected.txt").splitlines()
        warnings = [*published.plan.warnings, *published.indexed.warnings, *published.warnings]
        assert warnings == case.text("warnings.txt").splitlines()
    assert place.schemas() == {"shop"}


def seen(place: Place) -> list[str]:
    r"""Return what the reader sees of the published schema.

    A line per table, with its number of rows; below it one per column, with its type and its value in each row, `|` between
    rows, as COPY writes them (NULL is \N, nothing is ''); then constraints and indexes. Comments, in JSON, stand under what
    they are about. Types that the schema holds come last.
    """
    lines = []
    with psycopg.connect(place.reader_url, autocommit=True, options=SETTINGS) as connection:
        for table, name, kind, comment in connection.execute(RELATIONS).fetchall():
            columns = connection.execute(COLUMNS, [table]).fetchall()
            rows = values(connection, name, [column for column, *_ in columns])
            lines += [f"{kind} {name}: {len(rows)} rows", *said("  ", comment)]
            for place_, (_, definition, about) in enumerate(columns):
                lines += [f"  {definition}: {' | '.join(row[place_] or repr('') for row in rows)}".rstrip()]
                lines += said("    ", about)
            lines += [f"  {line}" for (line,) in connection.execute(KEYS, {"table": table}).fetchall()]
        lines += [line for (line,) in connection.execute(TYPES).fetchall()]
    return lines


def values(connection: psycopg.Connection[Any], table: str, columns: list[str]) -> list[list[str]]:
    """Return the rows of a table as COPY writes them, in the order in which they came."""
    query = sql.SQL("COPY (SELECT {} FROM {} ORDER BY ctid) TO STDOUT").format(
        sql.SQL(", ").join(map(sql.Identifier, columns)), sql.Identifier(table)
    )
    with connection.cursor() as cursor, cursor.copy(query) as copy:
        text = b"".join(bytes(data) for data in copy).decode()
    return [line.split("\t") for line in text.split("\n")[:-1]]


def said(indent: str, comment: str | None) -> list[str]:
    """Return the line of a comment."""
    return [f"{indent}-- {json.dumps(comment, ensure_ascii=False)}"] if comment else []
