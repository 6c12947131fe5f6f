"""The benchmark's origin: 40 tables, 200 indexes, foreign keys, shaped like a real product, filled from a seed."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import psycopg
import yaml
from psycopg import sql

# Text is made of these: Postgres compresses what is repeated, as it does with what people write.
_PARAGRAPHS = 4096
_NAMES = ["Anouk", "Basile", "Céleste", "Damien", "Élodie", "Firmin", "Gaëlle", "Hector"]
_NAMES += ["Inès", "Joachim", "Katell", "Léonie", "Maxime", "Noémie", "Octave", "Perrine"]
_STATES = ["unknown", "waiting", "seen", "excused", "revoked", "noshow"]
# SQL of a column of a kind: {n} is a pseudo-random bigint of row and column, {text} a few joined paragraphs, i the row,
# {rows} how many rows a reference chooses from.
_VALUES = {
    "reference": "1 + ({n} & 2147483647) %% {rows}",
    "number": "({n} & 65535)::int",
    "flag": "({n} & 7) = 0",
    "time": "timestamptz '2020-01-01' + ({n} & 134217727) * interval '1 second'",
    "day": "date '1930-01-01' + ({n} & 32767)::int",
    "state": "({states})[1 + ({n} & 1048575) %% 6]",
    "name": "({names})[1 + ({n} & 15)] || ' ' || ({names})[1 + (({n} >> 8) & 15)]",
    "email": "'u' || to_hex({n}) || '@courriel.example'",
    "phone": "'+336' || lpad(({n} & 99999999)::text, 8, '0')",
    "address": "(({n} & 255) + 1) || ' rue ' || ({names})[1 + (({n} >> 8) & 15)] || ', ' || (10000 + ({n} & 65535))",
    "token": "md5({n}::text)",
    "note": "left({text}, 200)",
    "body": "{text}",
    "article": "{text} || reverse({text})",
    "document": "jsonb_build_object('id', {n}, 'kind', ({states})[1 + ({n} & 1048575) %% 6], 'old', left({text}, 600))",
    "search": "to_tsvector('simple', ({names})[1 + ({n} & 15)] || ' u' || to_hex({n}))",
}
_TYPES = {
    "reference": "bigint",
    "number": "integer",
    "flag": "boolean",
    "time": "timestamptz",
    "day": "date",
    "document": "jsonb",
    "search": "tsvector",
}
# Columns of each shape of table: name, kind, `p` where it is personal, `i` where it has an index, `u` a unique one
_SHAPES = {
    "people": """first_name:name:p last_name:name:pi email:email:pu phone:phone:pi address:address:p birth_day:day:p
        notes:note:p search_terms:search:pi city:name: locale:state: state:state: external_id:token:u
        organisation_id:reference:i notified:flag: visits:number: created_at:time:i updated_at:time:""",
    "appointments": """organisation_id:reference:i reason_id:reference:i place_id:reference:i starts_at:time:i
        ends_at:time: state:state:i title:note: context:note:p address:address:p uuid:token:u
        name:name:p created_at:time: updated_at:time:""",
    "messages": """appointment_id:reference:i person_id:reference:i channel:state: subject:name: body:body:p
        recipient:email:pi error:note: created_at:time:i""",
    "reports": """person_id:reference:i kind:state:i summary:note:p content:article: author:name:p
        label:name: created_at:time:i""",
    "events": "item_id:reference:i event:state: author:name:pi changes:document: created_at:time:i",
    "links": "left_id:reference:i right_id:reference:i state:state: created_by:name:p flag:flag: created_at:time:",
    "lists": "organisation_id:reference:i label:name: contact:email:pi code:token:u position:number:",
}
# The tables that references are foreign keys to; what an event is of depends on the row, as with Rails' `item_type`
_REFERENCED = {
    "person_id": "users",
    "left_id": "users",
    "appointment_id": "appointments",
    "right_id": "appointments",
    "reason_id": "table_4",
    "place_id": "table_12",
    "organisation_id": "table_17",
}
# The bytes of a row with its header, roughly: for the number of rows that a size asks for
_WIDTHS = {"people": 515, "appointments": 635, "messages": 2050, "reports": 4500, "events": 820, "links": 87, "lists": 135}
# Tables by name: their shape, and their share of the bytes. The few largest hold most; two are truncated.
_LARGE = {
    "messages": ("messages", 0.18),
    "appointments": ("appointments", 0.18),
    "participations": ("links", 0.18),
    "users": ("people", 0.16),
    "reports": ("reports", 0.06),
    "versions": ("events", 0.06),
    "exports": ("events", 0.03),
}
_TRUNCATED = ("exports", "sessions")
_OTHERS = 33
_INDEXES = 200


@dataclass(frozen=True)
class Column:
    """A column of a table: `index` is empty, `i` for a plain index, `u` for a unique one."""

    name: str
    kind: str
    personal: bool
    index: str

    @property
    def is_text(self) -> bool:
        """Tell whether it is of type text."""
        return self.kind not in _TYPES


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
    """Return the 40 tables for so many bytes; with `dominating`, that share of all bytes is in the first of them."""
    shapes = ("lists", "links", "appointments", "lists", "people", "events", "links", "reports")
    shares = dict(_LARGE)
    weights = [1 / (1 + number) for number in range(_OTHERS)]
    for number, weight in enumerate(weights):
        name = "sessions" if number == 2 else f"table_{number + 1}"
        shares[name] = (shapes[number % len(shapes)], 0.15 * weight / sum(weights))
    if dominating:
        rest = sum(share for name, (_, share) in shares.items() if name != "messages")
        shares = {name: (shape, share * (1 - dominating) / rest) for name, (shape, share) in shares.items()}
        shares["messages"] = ("messages", dominating)
    tables = [_table(name, shape, int(share * size), 0) for name, (shape, share) in shares.items()]
    missing = _INDEXES - sum(table.indexes for table in tables)
    each, more = divmod(missing, len(_LARGE))
    return tuple(
        _table(name, shape, int(share * size), each + (number < more) if name in _LARGE else 0)
        for number, (name, (shape, share)) in enumerate(shares.items())
    )


def many(tables: int) -> tuple[Table, ...]:
    """Return so many tables of 10 rows with 3 indexes each."""
    columns = tuple(_columns("person_id:reference:i label:name:i author:name:p created_at:time:"))
    return tuple(Table(f"table_{number + 1}", 10, columns, (), truncated=False) for number in range(tables))


def foreign_keys(tables: Sequence[Table]) -> list[tuple[str, str, str]]:
    """Return the foreign keys between the tables: table, column, referenced table."""
    names = {table.name for table in tables}
    keys = [(table.name, column.name, _REFERENCED.get(column.name, "")) for table in tables for column in table.columns]
    return [key for key in keys if key[2] in names]


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
    }


def _table(name: str, shape: str, size: int, pairs: int) -> Table:
    columns = tuple(_columns(_SHAPES[shape]))
    plain = [column.name for column in columns if column.kind in ("reference", "number", "state", "flag", "time")]
    found = [(left, right) for place, left in enumerate(plain) for right in plain[place + 1 :]]
    return Table(name, max(size // _WIDTHS[shape], 10), columns, tuple(found[:pairs]), name in _TRUNCATED)


def _columns(text: str) -> list[Column]:
    parts = [part.split(":") for part in text.split()]
    return [Column(name, kind, "p" in marks, marks.strip("p")) for name, kind, marks in parts]


def _fill(url: str, table: Table, rows: Mapping[str, int], seed: int) -> None:
    name = sql.Identifier(table.name)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SET maintenance_work_mem = '256MB'")
        columns = [
            sql.SQL("{} {}").format(sql.Identifier(c.name), sql.SQL(_TYPES.get(c.kind, "text"))) for c in table.columns
        ]
        connection.execute(
            sql.SQL("CREATE TABLE {} ({})").format(name, sql.SQL(", ").join([sql.SQL("id bigint"), *columns]))
        )
        values = [
            _value(column, number, rows.get(_REFERENCED.get(column.name, ""), table.rows), seed)
            for number, column in enumerate(table.columns)
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
    """Return the joins that give a row its paragraphs, where the table has text of that kind."""
    if not any("{text}" in _VALUES[column.kind] for column in table.columns):
        return sql.SQL("")
    return sql.SQL(" ").join(
        sql.SQL(" JOIN bench_paragraphs AS {} ON {}.id = hashint8extended(i, {}) & {}").format(
            sql.Identifier(f"p{number}"),
            sql.Identifier(f"p{number}"),
            sql.Literal(seed + number),
            sql.Literal(_PARAGRAPHS - 1),
        )
        for number in range(3)
    )


def _value(column: Column, number: int, rows: int, seed: int) -> sql.Composable:
    """Return the value of a column; `rows` is how many rows a reference chooses from."""
    text = sql.SQL("concat_ws(E'\\n', p{}.text, p{}.text, p{}.text)").format(
        *(sql.SQL(str((number + k) % 3)) for k in range(3))
    )
    return sql.SQL(_VALUES[column.kind].replace("%%", "%")).format(
        n=sql.SQL("hashint8extended(i, {})").format(sql.Literal(seed * 1000 + number)),
        rows=sql.Literal(rows),
        names=sql.SQL("ARRAY[{}]").format(sql.SQL(", ").join(map(sql.Literal, _NAMES))),
        states=sql.SQL("ARRAY[{}]").format(sql.SQL(", ").join(map(sql.Literal, _STATES))),
        text=text,
    )
