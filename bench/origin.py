"""The benchmark's origin: the tables of an invented product with indexes and foreign keys, filled from a seed."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import psycopg
import yaml
from psycopg import sql

from bench.product import PRODUCT

# Text is made of these: Postgres compresses what is repeated, as it does with what people write.
_PARAGRAPHS = 4096
_NAMES = ["Anouk", "Basile", "Céleste", "Damien", "Élodie", "Firmin", "Gaëlle", "Hector"]
_NAMES += ["Inès", "Joachim", "Katell", "Léonie", "Maxime", "Noémie", "Octave", "Perrine"]
_STATES = ["unknown", "waiting", "seen", "excused", "revoked", "noshow"]


@dataclass(frozen=True)
class _Kind:
    """A kind of column: its SQL, its type, and the bytes of a value, roughly.

    In the SQL, {n} is a pseudo-random bigint of row and column, {text} a paragraph, i the row, {rows} how many rows a
    reference chooses from.
    """

    value: str
    bytes: int
    type: str = "text"


_REFERENCE = _Kind("1 + ({n} & 2147483647) % {rows}", 8, "bigint")
_KINDS = {
    "reference": _REFERENCE,
    "number": _Kind("({n} & 65535)::int", 4, "integer"),
    "decimal": _Kind("({n} & 65535) / 1024.0", 8, "double precision"),
    "flag": _Kind("({n} & 7) = 0", 2, "boolean"),
    "time": _Kind("timestamptz '2020-01-01' + ({n} & 134217727) * interval '1 second'", 8, "timestamptz"),
    "day": _Kind("date '1930-01-01' + ({n} & 32767)::int", 4, "date"),
    "state": _Kind("({states})[1 + ({n} & 1048575) % 6]", 8),
    "name": _Kind("({names})[1 + ({n} & 15)] || ' ' || ({names})[1 + (({n} >> 8) & 15)]", 15),
    "label": _Kind("({names})[1 + ({n} & 15)] || ' ' || i", 14),
    "email": _Kind("'u' || to_hex({n}) || '@courriel.example'", 35),
    "phone": _Kind("'+336' || lpad(({n} & 99999999)::text, 8, '0')", 13),
    "place": _Kind(
        "(({n} & 255) + 1) || ' rue ' || ({names})[1 + (({n} >> 8) & 15)] || ', ' || (10000 + ({n} & 65535))", 24
    ),
    "code": _Kind("lpad(({n} & 32767)::text, 5, '0')", 6),
    "token": _Kind("md5({n}::text)", 33),
    "line": _Kind("left({text}, 40)", 41),
    "note": _Kind("left({text}, 160)", 164),
    "rule": _Kind(
        "jsonb_build_object('id', {n}, 'kind', ({states})[1 + ({n} & 1048575) % 6], 'old', left({text}, 40))", 100, "jsonb"
    ),
    "search": _Kind("to_tsvector('simple', ({names})[1 + ({n} & 15)] || ' u' || to_hex({n}))", 52, "tsvector"),
}
_OF_OFFICES = ("phone", "place", "email")  # what the scan takes for personal, where it is not masked
_ROW = 40  # bytes of a row besides these columns: its header, its line pointer, its key
_NULL_IN = 8  # a column that is mostly NULL has a value in one row of so many


@dataclass(frozen=True)
class Column:
    """A column: of a kind, or a reference to a table's key.

    `index` is empty, `i` for a plain index, `u` for a unique one.
    """

    name: str
    kind: str
    personal: bool
    sparse: bool
    index: str

    @property
    def type(self) -> str:
        """Return its type."""
        return _kind(self).type

    @property
    def is_text(self) -> bool:
        """Tell whether it is of type text."""
        return self.type == "text"


@dataclass(frozen=True)
class Table:
    """A table to make: its number of rows, and its indexes besides the primary key as lists of columns."""

    name: str
    rows: int
    columns: tuple[Column, ...]
    pairs: tuple[tuple[str, str], ...]
    truncated: bool

    @property
    def indexes(self) -> int:
        """Return how many indexes it has, primary key included."""
        return 1 + sum(bool(column.index) for column in self.columns) + len(self.pairs)


def shaped(size: int, dominating: float = 0.0) -> tuple[Table, ...]:
    """Return the product's tables for so many bytes; with `dominating`, that share of all bytes is in the first of them."""
    described = [block.split() for block in PRODUCT.strip().split("\n\n")]
    shares = [float(abs(int(share))) for _, share, *_ in described]
    if dominating:
        shares[0] = sum(shares[1:]) * dominating / (1 - dominating)
    return tuple(
        _table(name, columns, share / sum(shares) * size, truncated=said.startswith("-"))
        for (name, said, *columns), share in zip(described, shares, strict=True)
    )


def many(tables: int) -> tuple[Table, ...]:
    """Return so many tables of 10 rows with 3 indexes each."""
    columns = ["person_id::i", "label:label:i", "author:name:p", "created_at"]
    return tuple(_table(f"table_{number + 1}", columns, 0, truncated=False) for number in range(tables))


def foreign_keys(tables: Sequence[Table]) -> list[tuple[str, str, str]]:
    """Return the foreign keys between the tables: table, column, referenced table."""
    names = {table.name for table in tables}
    return [(table.name, column.name, column.kind) for table in tables for column in table.columns if column.kind in names]


def add_foreign_key(table: sql.Identifier, column: str, referenced: sql.Identifier) -> sql.Composed:
    """Return the statement that adds a foreign key, validated."""
    return sql.SQL("ALTER TABLE {} ADD FOREIGN KEY ({}) REFERENCES {} (id)").format(
        table, sql.Identifier(column), referenced
    )


def fill(url: str, tables: Sequence[Table], seed: int, jobs: int = 2) -> int:
    """Make the tables with their rows, indexes, foreign keys and statistics; return the size of the database in bytes."""
    rows = {table.name: table.rows for table in tables}
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE UNLOGGED TABLE bench_paragraphs (id int PRIMARY KEY, text text)")
        connection.execute(
            "INSERT INTO bench_paragraphs SELECT p, string_agg(substr(md5((p * 97 + w * %s)::text), 1, 2 + w %% 7), ' ') "
            "FROM generate_series(0, %s) AS p, generate_series(1, 90) AS w GROUP BY p",
            (seed, _PARAGRAPHS - 1),
        )
        connection.execute("ANALYZE bench_paragraphs")
    with ThreadPoolExecutor(jobs) as executor:
        list(executor.map(lambda table: _fill(url, table, rows, seed), sorted(tables, key=lambda table: -table.rows)))
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("DROP TABLE bench_paragraphs")
        for table, column, referenced in foreign_keys(tables):
            connection.execute(add_foreign_key(sql.Identifier(table), column, sql.Identifier(referenced)))
        connection.execute("VACUUM ANALYZE")
        (size,) = connection.execute("SELECT pg_database_size(current_database())").fetchall()[0]
        return int(size)


def rules(tables: Sequence[Table]) -> str:
    """Return the rules file of the tables."""
    return yaml.safe_dump({"tables": [_rule(table) for table in tables]})


def _rule(table: Table) -> dict[str, object]:
    if table.truncated:
        return {"table_name": table.name, "truncated": True}
    return {
        "table_name": table.name,
        "anonymized_column_names": [column.name for column in table.columns if column.personal],
        "non_anonymized_column_names": [column.name for column in table.columns if not column.personal],
        "clear_because": {
            column.name: "of an office" for column in table.columns if column.kind in _OF_OFFICES and not column.personal
        },
    }


def _table(name: str, described: Sequence[str], size: float, *, truncated: bool) -> Table:
    columns = tuple(_column(*each.split(":")) for each in described if not each.startswith("+"))
    pairs = [each.removeprefix("+").split(",") for each in described if each.startswith("+")]
    rows = max(int(size / (_ROW + sum(map(_bytes, columns)))), 10)
    return Table(name, rows, columns, tuple((first, second) for first, second in pairs), truncated)


def _column(name: str, kind: str = "", marks: str = "") -> Column:
    index = "u" if "u" in marks else "i" if "i" in marks else ""
    return Column(name, kind or ("time" if name.endswith("_at") else "reference"), "p" in marks, "n" in marks, index)


def _kind(column: Column) -> _Kind:
    return _KINDS.get(column.kind, _REFERENCE)


def _bytes(column: Column) -> float:
    return _kind(column).bytes / (_NULL_IN if column.sparse else 1)


def _fill(url: str, table: Table, rows: Mapping[str, int], seed: int) -> None:
    name = sql.Identifier(table.name)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SET maintenance_work_mem = '256MB'")
        columns = [
            sql.SQL("{} {}{}").format(
                sql.Identifier(column.name),
                sql.SQL(column.type),
                sql.SQL("" if column.sparse or column.personal else " NOT NULL"),
            )
            for column in table.columns
        ]
        connection.execute(
            sql.SQL("CREATE TABLE {} ({})").format(name, sql.SQL(", ").join([sql.SQL("id bigint"), *columns]))
        )
        values = [
            _value(column, number, rows.get(column.kind, table.rows), seed) for number, column in enumerate(table.columns)
        ]
        connection.execute(
            sql.SQL("INSERT INTO {} SELECT i, {} FROM generate_series(1, {}) AS i{}").format(
                name, sql.SQL(", ").join(values), sql.Literal(table.rows), _paragraphs(table, seed)
            )
        )
        connection.execute(sql.SQL("ALTER TABLE {} ADD PRIMARY KEY (id)").format(name))
        for column in table.columns:
            if column.index:
                connection.execute(
                    sql.SQL("CREATE {}INDEX ON {} USING {} ({})").format(
                        sql.SQL("UNIQUE " if column.index == "u" else ""),
                        name,
                        sql.SQL("gin" if column.kind == "search" else "btree"),
                        sql.Identifier(column.name),
                    )
                )
        for pair in table.pairs:
            connection.execute(sql.SQL("CREATE INDEX ON {} ({}, {})").format(name, *map(sql.Identifier, pair)))


def _paragraphs(table: Table, seed: int) -> sql.Composable:
    """Return the join that gives a row its paragraph, where the table has text of that kind."""
    if not any("{text}" in _kind(column).value for column in table.columns):
        return sql.SQL("")
    return sql.SQL(" JOIN bench_paragraphs AS p ON p.id = hashint8extended(i, {}) & {}").format(
        sql.Literal(seed), sql.Literal(_PARAGRAPHS - 1)
    )


def _value(column: Column, number: int, rows: int, seed: int) -> sql.Composable:
    """Return the value of a column; `rows` is how many rows a reference chooses from."""
    n = sql.SQL("hashint8extended(i, {})").format(sql.Literal(seed * 1000 + number))
    value = sql.SQL(_kind(column).value).format(
        n=n,
        rows=sql.Literal(rows),
        names=sql.SQL("ARRAY[{}]").format(sql.SQL(", ").join(map(sql.Literal, _NAMES))),
        states=sql.SQL("ARRAY[{}]").format(sql.SQL(", ").join(map(sql.Literal, _STATES))),
        text=sql.SQL("substr(p.text, {})").format(sql.Literal(1 + 31 * (number % 9))),
    )
    if not column.sparse:
        return value
    return sql.SQL("CASE WHEN ({} >> 40) & {} = 0 THEN {} END").format(n, sql.Literal(_NULL_IN - 1), value)
