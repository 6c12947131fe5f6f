"""Whatever the schema, the rules, the rows and the fault: what is published is what the rules say, whole, and nothing else.

What is expected is computed here from the rules' contract (the README's table of masked values), by none of the ETL's code.
`pytest tests/postgres/faults/test_properties.py --examples 1000` tries more, other ones each time.
"""

import datetime
import re
import subprocess
import tempfile
import uuid
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml
from hypothesis import HealthCheck, Phase, given, note, settings
from hypothesis import strategies as st
from psycopg import sql
from psycopg.types.json import Json, Jsonb

from multischema.errors import EtlError
from multischema.pipeline import Published
from tests.conftest import PROGRAMS, Place
from tests.support.clients import left_in
from tests.support.dumps import MEMBERS
from tests.support.gates import eventually
from tests.support.runs import Running, behind_proxy, no_sessions

# Personal values are made of these, and no others are: one search finds any of them.
TEXT, NUMBER, DAY, UUID = "zqp", "91827364", "1871-03", "deadbeef"
MARKERS = re.compile("|".join((TEXT, NUMBER, DAY, UUID)).encode())


@dataclass(frozen=True)
class Kind:
    """A type: how the origin spells it, its values where they are kept and where they are personal, its masks."""

    spelling: str
    kept: tuple[Any, ...]
    personal: tuple[Any, ...]
    neutral: Any = None
    defaults: tuple[tuple[str, Any], ...] = ()  # as SQL, and what it is where it is a literal


KINDS = {
    "text": Kind("text", ("", "Lyon", "l'été\t\\N"), ("", f"{TEXT} Marie", f"{TEXT}'\\\n")),
    "varchar": Kind("varchar(12)", ("", "Brest"), ("", f"{TEXT}9")),
    "texts": Kind("text[]", ([], ["a", "b,c"]), ([], [f"{TEXT}1", None, "x"])),
    "domain": Kind("word", ("Nice",), (f"{TEXT} Paul",)),
    "jsonb": Kind("jsonb", ({}, {"a": [1]}), ({TEXT: 1}, [TEXT])),
    "json": Kind("json", ([1],), ({TEXT: 2},), {}),
    "int": Kind("int", (0, -5), (int(NUMBER), -int(NUMBER)), 0, (("42", 42), ("(random() * 9)::int", None))),
    "bigint": Kind("bigint", (1 << 40,), (int(NUMBER) * 1000 + 7,), 0, (("-3", -3),)),
    "numeric": Kind(
        "numeric(20,2)", (Decimal("1.50"),), (Decimal(f"{NUMBER}.25"),), Decimal("0.00"), (("1.5", Decimal("1.50")),)
    ),
    "bool": Kind("bool", (True, False), (True, False), False, (("true", True),)),
    "date": Kind(
        "date",
        (datetime.date(2024, 2, 29),),
        (datetime.date(1871, 3, 18),),
        datetime.date(1970, 1, 1),
        (("'2001-02-03'", datetime.date(2001, 2, 3)), ("CURRENT_DATE", None)),
    ),
    "uuid": Kind("uuid", (uuid.UUID(int=7),), (uuid.UUID(f"{UUID}-0000-4000-8000-000000000001"),), uuid.UUID(int=0)),
    "enum": Kind("mood", ("calm", "odd"), (f"{TEXT} sad",), "calm", (("'odd'", "odd"),)),
}
TEXTS = ("text", "varchar", "domain")
TYPES = sql.SQL("CREATE TYPE mood AS ENUM ('calm', 'odd', {}); CREATE DOMAIN word AS text").format(
    sql.Literal(f"{TEXT} sad")
)
TABLES = ("users", "Commandes", "order", "a b", 'quo"te', "été", "n" * 63)
COLUMNS = ("name", "email", "email_pro", "Ville", "user", "a b", 'q"c', "percent%s", "été", "c" * 63)
KEYS: dict[str, dict[str, str]] = {
    "int": {"id": "int"},
    "uuid": {"id": "uuid"},
    "two": {"left": "int", "right": "int"},
    "natural": {"code": "text"},
    "none": {},
}
# what the run asks of the target, or of the origin, when its connections are cut
CUTS = [
    *(("target", pattern) for pattern in (b"CREATE SCHEMA", b"CREATE TABLE", b"PGCOPY", b"INDEX", b"FILTER")),
    *(("target", pattern) for pattern in (b"ALTER SCHEMA", b"ALTER SCHEMA.*COMMIT", b"GRANT.*DROP TABLE", b"COPY public")),
    *(("origin", pattern) for pattern in (b"pg_attrdef", b"pg_export_snapshot", b"COPY")),
]


@dataclass(frozen=True)
class Column:
    """A column, and what the rules say of it: masked, kept, or nothing where it is a key."""

    name: str
    kind: str
    rule: str
    not_null: bool = False
    default: tuple[str, Any] | None = None
    references: str = ""
    upper_of: str = ""
    refers_to_masked: bool = False

    @property
    def is_masked(self) -> bool:
        """Tell whether its values are personal: by its rule, or for lack of one by that of the column it refers to."""
        return self.rule == "masked" or (not self.rule and self.refers_to_masked)

    def values(self, hidden: bool) -> st.SearchStrategy[Any]:
        """Return its values."""
        of_kind = KINDS[self.kind]
        values = st.sampled_from(of_kind.personal if hidden or self.is_masked else of_kind.kept)
        return values if self.not_null else st.none() | values

    def mask(self, value: Any, key: str) -> Any:
        """Return what is published of a value."""
        if not self.is_masked or value is None:
            return value
        if self.kind in TEXTS:
            if value == "" and not self.not_null:
                return None
            return f"email_anonymise_{key}@exemple.fr" if "email" in self.name else f"[valeur unique anonymisée {key}]"
        if self.kind == "texts":
            return ["valeur anonymisée"] if value or self.not_null else None
        if self.kind == "jsonb":
            return {}
        if self.default and self.default[1] is not None:
            return self.default[1]
        return KINDS[self.kind].neutral if self.not_null else None


@dataclass(frozen=True)
class Table:
    """A table of the origin, with its rows of yesterday and of today."""

    name: str
    key: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[tuple[Any, ...], ...], ...]
    is_truncated: bool
    is_partitioned: bool
    indexes: tuple[tuple[str, ...], ...]

    @property
    def key_names(self) -> list[str]:
        """Return the names of the primary key's columns."""
        return list(KEYS[self.key])

    def column(self, name: str) -> Column:
        """Return a column."""
        return next(column for column in self.columns if column.name == name)

    @property
    def published(self) -> list[Column]:
        """Return the columns that are published: none that is computed from a masked one."""
        return [column for column in self.columns if not (column.upper_of and self.column(column.upper_of).is_masked)]

    @property
    def has_mask_key(self) -> bool:
        """Tell whether masks have a key of the row, and not a row number."""
        return self.key in ("int", "uuid", "two") and not any(self.column(name).is_masked for name in self.key_names)

    def expected(self, day: int) -> list[str]:
        """Return the published rows of a day, as text, in order; of a row number just that it is one."""
        rows = []
        for row in () if self.is_truncated else self.rows[day]:
            values = dict(zip((column.name for column in self.columns), row, strict=True))
            key = "-".join(str(values[name]) for name in self.key_names) if self.has_mask_key else "#"
            rows.append(repr([column.mask(values[column.name], key) for column in self.published]))
        return sorted(rows)

    def create(self) -> sql.Composed:
        """Return the statements that create it, empty."""
        parts = [
            sql.SQL("{} {}{}{}{}").format(
                sql.Identifier(column.name),
                sql.SQL(KINDS[column.kind].spelling),
                sql.SQL(" NOT NULL" if column.not_null else ""),
                sql.SQL(" DEFAULT {}").format(sql.SQL(column.default[0])) if column.default else sql.SQL(""),
                sql.SQL(" GENERATED ALWAYS AS (upper({})) STORED").format(sql.Identifier(column.upper_of))
                if column.upper_of
                else sql.SQL(" REFERENCES {}").format(sql.Identifier(column.references))
                if column.references
                else sql.SQL(""),
            )
            for column in self.columns
        ]
        keys = sql.SQL(", ").join(map(sql.Identifier, self.key_names))
        if self.key_names:
            parts.append(sql.SQL("PRIMARY KEY ({})").format(keys))
        name = sql.Identifier(self.name)
        statements = [sql.SQL("CREATE TABLE {} ({})").format(name, sql.SQL(", ").join(parts))]
        if self.is_partitioned:
            statements = [sql.SQL("{} PARTITION BY HASH ({})").format(statements[0], keys)] + [
                sql.SQL("CREATE TABLE {} PARTITION OF {} FOR VALUES WITH (MODULUS 2, REMAINDER {})").format(
                    sql.Identifier(f"part {number} of {self.name[:30]}"), name, sql.Literal(number)
                )
                for number in (0, 1)
            ]
        statements += [
            sql.SQL("CREATE INDEX ON {} ({})").format(name, sql.SQL(", ").join(map(sql.Identifier, columns)))
            for columns in self.indexes
        ]
        return sql.SQL("; ").join(statements)

    def fill(self, day: int) -> sql.Composed:
        """Return the statements that give it the rows of a day."""
        given = [column for column in self.columns if not column.upper_of]
        rows = [[v for v, c in zip(row, self.columns, strict=True) if not c.upper_of] for row in self.rows[day]]
        into = sql.SQL(", ").join(sql.Identifier(column.name) for column in given)
        return sql.SQL("; ").join(
            sql.SQL("INSERT INTO {} ({}) VALUES ({})").format(
                sql.Identifier(self.name), into, sql.SQL(", ").join(map(literal, (c.kind for c in given), row))
            )
            for row in rows
        )

    def rules(self) -> dict[str, Any]:
        """Return its entry in the rules."""
        if self.is_truncated:
            return {"table_name": self.name, "truncated": True}
        lists = {"anonymized_column_names": "masked", "non_anonymized_column_names": "kept"}
        return {"table_name": self.name} | {
            name: [column.name for column in self.columns if column.rule == rule] for name, rule in lists.items()
        }


def literal(kind: str, value: Any) -> sql.Composable:
    """Return a value as SQL."""
    wrapped = {"json": Json, "jsonb": Jsonb}.get(kind, lambda value: value)
    return sql.SQL("NULL") if value is None else sql.Literal(wrapped(value))


@st.composite
def tables(draw: st.DrawFn) -> list[Table]:
    """Return tables, each after those that it refers to."""
    found: list[Table] = []
    for name in draw(st.lists(st.sampled_from(TABLES), min_size=1, max_size=4, unique=True)):
        key = draw(st.sampled_from(list(KEYS)))
        hidden = draw(st.sampled_from([False, False, False, True]))
        of_key = [
            Column(column, kind, draw(st.sampled_from(["", "kept", "masked"])) if kind == "int" else "kept", not_null=True)
            for column, kind in KEYS[key].items()
        ]
        plain = [
            draw(columns(column)) for column in draw(st.lists(st.sampled_from(COLUMNS), min_size=1, max_size=5, unique=True))
        ]
        referred = [table for table in found if table.key == "int"]
        refers = [
            Column(
                f"to {table.name[:40]}",
                "int",
                draw(st.sampled_from(["", "kept", "masked"])),
                references=table.name,
                refers_to_masked=table.column("id").is_masked,
            )
            for table in (draw(st.sampled_from(referred)) for _ in range(1 if referred and bool(draw(st.booleans())) else 0))
        ]
        sources = [column.name for column in plain if column.kind == "text"]
        loud = [Column("loud", "text", "kept", upper_of=sources[0])] if sources and bool(draw(st.booleans())) else []
        # of what is truncated the rules say nothing more
        all_columns = tuple(replace(c, rule="") if hidden else c for c in (*of_key, *plain, *refers, *loud))
        indexed = st.lists(st.sampled_from([c.name for c in plain if c.kind != "json"] or ["-"]), min_size=1, unique=True)
        table = Table(
            name,
            key,
            all_columns,
            (),
            is_truncated=hidden,
            is_partitioned=bool(of_key) and draw(st.booleans()),
            indexes=tuple(
                {tuple(i) for i in draw(st.lists(indexed.map(lambda names: names[:3]), max_size=2)) if i != ["-"]}
            ),
        )
        days = tuple(draw(rows(table, day, found)) for day in (0, 1))
        found.append(replace(table, rows=days))
    return found


@st.composite
def columns(draw: st.DrawFn, name: str) -> Column:
    """Return a column that is no key."""
    kind = draw(st.sampled_from(list(KINDS)))
    default = draw(st.none() | st.sampled_from(KINDS[kind].defaults)) if KINDS[kind].defaults else None
    return Column(name, kind, draw(st.sampled_from(["masked", "kept"])), draw(st.booleans()), default)


@st.composite
def rows(draw: st.DrawFn, table: Table, day: int, others: list[Table]) -> tuple[tuple[Any, ...], ...]:
    """Return the rows of a table on a day."""
    made = []
    for number in range(draw(st.integers(0, 6))):
        row: dict[str, Any] = {}
        for column in table.columns:
            if column.name in table.key_names:
                values = {"int": number + 1, "uuid": uuid.UUID(int=number + 1), "text": f"code {number}"}
                row[column.name] = values[column.kind]
            elif column.references:
                ids = [r[0] for other in others if other.name == column.references for r in other.rows[day]]
                row[column.name] = draw(st.sampled_from([None, *ids]))
            elif column.upper_of:
                text = row[column.upper_of]
                row[column.name] = text.upper() if text else text
            else:
                row[column.name] = draw(column.values(hidden=table.is_truncated))
        made.append(tuple(row.values()))
    return tuple(made)


def seen(place: Place, table: Table) -> list[str]:
    """Return the rows that the reader sees, as text, in order; numbers of rows are checked, and not told."""
    with psycopg.connect(place.reader_url) as connection:
        cursor = connection.execute(sql.SQL("SELECT * FROM {}").format(sql.Identifier("shop", table.name)))
        assert [column.name for column in cursor.description or ()] == [column.name for column in table.published]
        found = [list(row) for row in cursor.fetchall()]
    if table.has_mask_key:
        return sorted(map(repr, found))
    numbers: list[set[str]] = []
    for row in found:
        numbers.append(set())
        for place_, column in enumerate(table.published):
            if column.is_masked and column.kind in TEXTS and row[place_] is not None:
                numbers[-1] |= set(re.findall(r"(?:anonymise_|anonymisée )(\d+)", row[place_]))
                row[place_] = re.sub(r"(anonymise_|anonymisée )\d+", r"\1#", row[place_])
    told = [number for of_row in numbers for number in of_row]
    assert all(len(of_row) <= 1 for of_row in numbers)
    assert len(set(told)) == len(told)
    assert all(1 <= int(number) <= len(found) for number in told)
    return sorted(map(repr, found))


KEYS_OF = """
SELECT c.relname::text, ARRAY(SELECT a.attname::text FROM unnest(i.indkey::int2[]) WITH ORDINALITY AS k (number, place)
                              JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum = k.number ORDER BY k.place),
       i.indisprimary
FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indrelid WHERE c.relnamespace = 'shop'::regnamespace
UNION ALL
SELECT c.relname::text, ARRAY[f.relname::text], NULL
FROM pg_constraint AS k JOIN pg_class AS c ON c.oid = k.conrelid JOIN pg_class AS f ON f.oid = k.confrelid
WHERE k.contype = 'f' AND k.connamespace = 'shop'::regnamespace
"""


def check_published(place: Place, origin: list[Table], days: tuple[int, ...], *options: str) -> None:
    """See that one of these days is published as a whole, and nothing personal with it; `options` are pg_dump's."""
    found = {table.name: seen(place, table) for table in origin}
    wanted = [{table.name: table.expected(day) for table in origin} for day in days]
    if found not in wanted:
        assert found == wanted[-1]
    keys = place.read(KEYS_OF)
    indexes = {(name, tuple(of), primary) for name, of, primary in keys if primary is not None}
    expected = {(table.name, of, False) for table in origin for of in table.indexes}
    expected |= {
        (t.name, tuple(t.key_names), not any(t.column(n).is_masked for n in t.key_names)) for t in origin if t.key_names
    }
    assert indexes == expected
    by_name = {table.name: table for table in origin}
    assert sorted((name, of[0]) for name, of, primary in keys if primary is None) == sorted(
        (table.name, column.references)
        for table in origin
        for column in table.columns
        if column.references and not column.is_masked
        # nothing is there to refer to, or nothing that tells one row from another
        if not by_name[column.references].is_truncated and not by_name[column.references].column("id").is_masked
    )
    dumped = subprocess.run(
        [PROGRAMS["18"] / "pg_dump", *options, "--dbname", place.target_server.url(place.name)],
        check=True,
        capture_output=True,
    )
    assert MARKERS.findall(dumped.stdout) == []


def check_clean(place: Place) -> None:
    """See that nothing is left of a run."""
    assert place.schemas() == {"shop"}
    assert place.read(MEMBERS, as_="superuser") == []
    assert left_in(Path(tempfile.gettempdir())) == []
    no_sessions(place)


def execute(url: str, *statements: sql.SQL | sql.Composed) -> None:
    """Execute statements in one transaction."""
    with psycopg.connect(url) as connection:
        for statement in statements:
            connection.execute(statement)


def check(place: Place, origin: list[Table], fault: tuple[str, bytes] | None, mode: str) -> None:
    """Publish the rows of a day, then those of the next with a fault, then again without one."""
    for url in (place.origin_url, place.target_url):
        execute(
            url,
            sql.SQL("DROP SCHEMA IF EXISTS public CASCADE"),
            sql.SQL("DROP SCHEMA IF EXISTS shop CASCADE"),
            sql.SQL("CREATE SCHEMA public"),
        )
    rules = yaml.safe_dump({"tables": [table.rules() for table in origin]}, allow_unicode=True)
    note(rules)
    execute(place.origin_url, TYPES, *(statement for t in origin for statement in (t.create(), t.fill(0))))
    place.run(rules)
    check_published(place, origin, (0,))

    emptied = sql.SQL("TRUNCATE {}").format(sql.SQL(", ").join(sql.Identifier(table.name) for table in origin))
    execute(place.origin_url, emptied, *(table.fill(1) for table in origin))
    side, pattern = fault or ("target", b"^$")
    with behind_proxy(place, side) as (proxy, databases):
        proxy.stall_at_request(pattern)
        run = Running(place, *databases, text=rules, mode=mode)
        eventually(lambda: proxy.stalled.is_set() or not run.is_alive(), "the fault, or the end")
        proxy.cut()
        proxy.go_on()
        result = run.ended()
    no_sessions(place)
    if isinstance(result, Published):
        check_published(place, origin, (1,))
    else:
        assert proxy.stalled.is_set(), result
        assert isinstance(result, EtlError)
        # what comes after the publication, or an answer to COMMIT that is lost, leaves the new day
        days = (0, 1) if b"COMMIT" in pattern or b"DROP" in pattern else (0,)
        # in mode dump raw data may be left, where the reader can't see it, until the next run
        check_published(place, origin, days, *(["--schema=shop"] if mode == "dump" else []))

    place.run(rules, mode=mode)
    check_published(place, origin, (1,))
    check_clean(place)


@pytest.mark.slow
@pytest.mark.usefixtures("private")
def test_what_is_published_is_what_the_rules_say_whatever_the_origin_and_the_fault(
    place: Place, pytestconfig: pytest.Config
) -> None:
    examples = pytestconfig.getoption("examples")

    @settings(
        max_examples=examples or 25,
        derandomize=not examples,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=[phase for phase in Phase if phase is not Phase.explain],
        print_blob=True,
    )
    @given(tables(), st.none() | st.sampled_from(CUTS), st.sampled_from(["stream", "dump"]))
    def holds(origin: list[Table], fault: tuple[str, bytes] | None, mode: str) -> None:
        check(place, origin, fault, mode)

    holds()
