"""Golden cases: where each runs, and what the reader sees of a published schema."""

import json
import re
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from multischema.pipeline import Published
from tests.conftest import PAIRS, PROGRAMS, ROOT, Place

RELATIONS = """
SELECT oid::int8, relname::text, CASE relkind WHEN 'r' THEN 'table' ELSE 'relation ' || relkind::text END,
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
SELECT concat_ws(' ', 'constraint', quote_ident(k.conname), pg_get_constraintdef(k.oid, true))
FROM pg_constraint AS k WHERE k.conrelid = %(table)s AND k.contype <> 'n'
UNION ALL
SELECT replace(pg_get_indexdef(i.indexrelid, 0, true), 'CREATE ', '')
FROM pg_index AS i WHERE i.indrelid = %(table)s AND NOT EXISTS (
    SELECT FROM pg_constraint AS k WHERE k.conindid = i.indexrelid AND k.conrelid = i.indrelid)
"""
TYPES = """
SELECT concat_ws(' ', CASE typtype WHEN 'd' THEN 'domain' ELSE 'type' END, quote_ident(typname),
                 format_type(typbasetype, typtypmod))
FROM pg_type WHERE typnamespace = 'shop'::regnamespace AND typrelid = 0 AND typcategory <> 'A'
"""
# The system's server is older than the others: as a target it serves a few cases, of which xml needs its libxml.
TO_SYSTEM = [(origin, name) for name in PROGRAMS if name.startswith("system") for origin in ("18", name)]
TO_AN_OLDER_SERVER = ("flattening", "indexes", "masking_defaults", "partitions", "types_kept", "xml")
SETTINGS = "-c search_path=shop -c TimeZone=UTC -c DateStyle=ISO -c IntervalStyle=postgres"


@dataclass(frozen=True)
class Case:
    """A directory of `tests/cases`."""

    directory: Path

    def text(self, file: str) -> str:
        """Return what a file holds, nothing where there is no such file."""
        path = self.directory / file
        return path.read_text() if path.exists() else ""

    @property
    def origin_schema(self) -> str:
        """Return the schema of the origin that is published."""
        named = re.search(r"^-- origin schema: (.+)$", self.text("origin.sql"), re.MULTILINE)
        return named[1] if named else "public"

    @property
    def extensions(self) -> list[str]:
        """Return the extensions that the origin must have."""
        return re.findall(r"^-- needs extension: (\w+)", self.text("origin.sql"), re.MULTILINE)

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """Return the pairs of servers that the case is for, whether they have what it asks for or not."""
        return PAIRS + (TO_SYSTEM if self.directory.name in TO_AN_OLDER_SERVER else [])

    def runs_on(self, origin: str, target: str) -> bool:
        """Tell whether servers of PROGRAMS have what the case asks for."""
        majors = re.findall(r"^-- needs: (\d+)", self.text("origin.sql"), re.MULTILINE)
        has_major = all(int(origin.rpartition("-")[2]) >= int(major) for major in majors)
        of_target = re.findall(r"^-- needs extension in target: (\w+)", self.text("origin.sql"), re.MULTILINE)
        return has_major and available(origin).issuperset(self.extensions) and available(target).issuperset(of_target)


@cache
def available(server: str) -> frozenset[str]:
    """Return the extensions among the files of a server of PROGRAMS."""
    told = subprocess.run([PROGRAMS[server] / "pg_config", "--sharedir"], capture_output=True, text=True, check=True)
    return frozenset(file.stem for file in Path(told.stdout.strip(), "extension").glob("*.control"))


def runs() -> list[Any]:
    """Return every case with every pair of servers that it runs on; all but the first pair are slow ones."""
    cases = map(Case, sorted(ROOT.glob("tests/cases/*/")))
    on_pairs = [(case, [pair for pair in case.pairs if case.runs_on(*pair)]) for case in cases]
    return [
        pytest.param(
            case,
            *pair,
            id=f"{case.directory.name}: {' to '.join(pair)}",
            marks=pytest.mark.slow if number else (),
        )
        for case, pairs in on_pairs
        for number, pair in enumerate(pairs)
    ]


def seen(place: Place, *, ordered: bool = True) -> list[str]:
    r"""Return what the reader sees of the published schema, its rows in the order in which they came or in one of their own.

    A line per table, with its number of rows; below it one per column, with its type, and its value in each row, `|` between
    rows, as COPY writes them (NULL is \N), in quotes where it is empty or has blanks around it; then constraints, indexes.
    Comments, in JSON, stand under what they are about. Types that the schema holds come last. Foreign keys are shown without
    what keeps a server of this version from enforcing them.
    """
    unforced = " NOT ENFORCED" if place.target_server.major >= 18 else " DEFERRABLE INITIALLY DEFERRED NOT VALID"
    lines = []
    with psycopg.connect(place.reader_url, autocommit=True, options=SETTINGS) as connection:
        for table, name, kind, comment in connection.execute(RELATIONS).fetchall():
            columns = connection.execute(COLUMNS, [table]).fetchall()
            rows = values(connection, name, [column for column, *_ in columns])
            rows = rows if ordered else sorted(rows)
            lines += [f"{kind} {name}: {len(rows)} rows", *said("  ", comment)]
            for number, (_, definition, about) in enumerate(columns):
                lines.append(f"  {definition}" + (": " if rows else "") + " | ".join(row[number] for row in rows))
                lines += said("    ", about)
            keys = connection.execute(KEYS, {"table": table}).fetchall()
            lines += sorted("  " + re.sub(r"\s*\n\s*", " ", line).removesuffix(unforced) for (line,) in keys)
        lines += sorted(line for (line,) in connection.execute(TYPES).fetchall())
    return lines


def values(connection: psycopg.Connection[Any], table: str, columns: list[str]) -> list[list[str]]:
    """Return the rows of a table as COPY writes them, in the order in which they came."""
    query = sql.SQL("COPY (SELECT {} FROM {} ORDER BY ctid) TO STDOUT").format(
        sql.SQL(", ").join(map(sql.Identifier, columns)), sql.Identifier("shop", table)
    )
    with connection.cursor() as cursor, cursor.copy(query) as copy:
        text = b"".join(bytes(data) for data in copy).decode()
    return [[shown(value) for value in line.split("\t")] for line in text.split("\n")[:-1]]


def warned(published: Published) -> list[str]:
    """Return what the report of a run warns of, and nothing that it only notes."""
    return [*published.plan.told((*published.indexed.warnings, *published.warnings)).warnings]


def shown(value: str) -> str:
    """Return a value in quotes where its end would not be seen."""
    return value if value and value == value.strip() else f"'{value}'"


def said(indent: str, comment: str | None) -> list[str]:
    """Return the line of a comment."""
    return [f"{indent}-- {json.dumps(comment, ensure_ascii=False)}"] if comment else []


def whatever_the_order(line: str) -> str:
    """Return a line of `seen` with the values of its rows in an order of their own."""
    column, _, values = line.partition(": ")
    return f"{column}: {' | '.join(sorted(values.split(' | ')))}"
