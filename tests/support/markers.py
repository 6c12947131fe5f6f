"""Markers: values that stand nowhere else, an origin that is full of them, and the search for them."""

import secrets
import struct
import uuid
from collections.abc import Iterable, Mapping

# The names of what is personal, and of what is copied as it is so that the same search finds it: of every kind one.
PERSONAL = ["first", "email", "phone", "tag", "details", "doc", "home", "homes", "mail", "mood", "long", "file", "note"]
PERSONAL += ["part", "parent", "child", "truncated", "other_schema", "view"]
CONTROLS = ["plain", "plain_tag", "plain_details", "plain_home", "plain_mood", "plain_long", "plain_file", "plain_full"]
CONTROLS += ["plain_part"]


class Markers:
    """Values that stand nowhere else, by name; text ones begin with a text of their own, for all rows."""

    def __init__(self) -> None:
        self.text = {name: f"zq{secrets.token_hex(5)}" for name in PERSONAL + CONTROLS}
        self.number = {name: secrets.randbits(62) | 1 << 61 for name in ("personal", "plain")}
        self.uuid = {name: uuid.uuid4() for name in ("personal", "plain")}
        self.digits = {name: [secrets.randbelow(9000) + 1000 for _ in range(6)] for name in ("personal", "plain")}

    def found_by(self, kind: str) -> Mapping[str, tuple[bytes, ...]]:
        """Return what to look for, by name: the forms that a value has on a disk, on the wire or in a log."""
        names = PERSONAL if kind == "personal" else CONTROLS
        number, digits = self.number[kind], self.digits[kind]
        return {
            **{name: (self.text[name].encode(), self.text[name].encode().hex().encode()) for name in names},
            "number": (struct.pack("<q", number), struct.pack(">q", number), str(number).encode()),
            "uuid": (self.uuid[kind].bytes, str(self.uuid[kind]).encode()),
            "numeric": (struct.pack("<6H", *digits), struct.pack(">6H", *digits), self.numeric(kind).encode()),
        }

    def numeric(self, kind: str) -> str:
        """Return a number whose groups of four digits are the marker's, as Postgres stores it."""
        return "".join(map(str, self.digits[kind]))

    def origin(self, virtual: bool) -> str:
        """Return the statements that fill an origin; long values are random, so that no compression hides them."""
        m = self.text
        also = "CREATE INDEX ON people (lower(first), id) WHERE first <> ''; " if not virtual else ""
        return f"""
        CREATE TYPE mood AS ENUM ('calm', '{m["mood"]}', '{m["plain_mood"]}');
        CREATE TYPE address AS (street text, number int);
        CREATE DOMAIN mail AS text;
        CREATE TABLE people (
            id serial PRIMARY KEY,
            first varchar(60), email text NOT NULL, phone char(40), tags text[], details jsonb, doc json NOT NULL,
            home address, homes address[] NOT NULL, mail mail, mood mood NOT NULL, long text, file bytea,
            number bigint, token uuid, amount numeric,
            loud text GENERATED ALWAYS AS (upper(first)) STORED,
            search tsvector GENERATED ALWAYS AS (to_tsvector('simple', first || ' ' || email)) STORED,
            {"quiet text GENERATED ALWAYS AS (lower(first) || email)," if virtual else ""}
            plain text, plain_tags text[], plain_details jsonb, plain_home address, plain_mood mood, plain_long text,
            plain_file bytea, plain_number bigint, plain_token uuid, plain_amount numeric, plain_first text,
            plain_full text GENERATED ALWAYS AS ('{m["plain_full"]}' || plain_first) STORED
        );
        INSERT INTO people (
            first, email, phone, tags, details, doc, home, homes, mail, mood, long, file, number, token, amount,
            plain, plain_tags, plain_details, plain_home, plain_mood, plain_long, plain_file, plain_number, plain_token,
            plain_amount, plain_first)
        SELECT '{m["first"]}' || n, '{m["email"]}@' || n, '{m["phone"]}', ARRAY['{m["tag"]}' || n, 'x'],
            jsonb_build_object('{m["details"]}', n), json_build_object('a', '{m["doc"]}'),
            ROW('{m["home"]}', n)::address, ARRAY[ROW('{m["homes"]}', n)::address], '{m["mail"]}', '{m["mood"]}',
            noise || '{m["long"]}' || reverse(noise), '\\x{m["file"].encode().hex()}', {self.number["personal"]},
            '{self.uuid["personal"]}', {self.numeric("personal")},
            '{m["plain"]}' || n, ARRAY['{m["plain_tag"]}' || n, 'x'], jsonb_build_object('{m["plain_details"]}', n),
            ROW('{m["plain_home"]}', n)::address, '{m["plain_mood"]}', other || '{m["plain_long"]}' || reverse(other),
            '\\x{m["plain_file"].encode().hex()}', {self.number["plain"]}, '{self.uuid["plain"]}',
            {self.numeric("plain")}, n::text
        FROM generate_series(1, 300) AS n,
            LATERAL (SELECT string_agg(encode(sha256((random()::text || n || i)::bytea), 'base64'), '') AS noise
                     FROM generate_series(1, 60) AS i) AS noise,
            translate(noise, 'abcde', 'fghij') AS other;  -- another text: the scan would find long in it
        {also}
        CREATE INDEX ON people (lower(first));
        CREATE INDEX ON people ((details ->> '{m["plain"]}'));
        CREATE INDEX ON people USING gin (tags);
        CREATE INDEX ON people (left(email, 30) text_pattern_ops, plain);
        CREATE UNIQUE INDEX ON people (email);

        CREATE TABLE notes (note text, plain text);
        INSERT INTO notes SELECT '{m["note"]}' || n, 'x' FROM generate_series(1, 50) AS n;

        CREATE TABLE visits (id int, at date, part text, plain_part text) PARTITION BY RANGE (at);
        CREATE TABLE visits_1 PARTITION OF visits FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
        CREATE TABLE visits_2 PARTITION OF visits DEFAULT;
        INSERT INTO visits SELECT n, date '2024-06-01' + n * 10, '{m["part"]}', '{m["plain_part"]}'
        FROM generate_series(1, 50) AS n;

        CREATE TABLE parents (id int PRIMARY KEY, name text);
        CREATE TABLE children (more text) INHERITS (parents);
        INSERT INTO parents VALUES (1, '{m["parent"]}');
        INSERT INTO children VALUES (2, '{m["child"]}', '{m["child"]}');

        CREATE TABLE versions (id int PRIMARY KEY, object text);
        INSERT INTO versions VALUES (1, '{m["truncated"]}');
        CREATE SCHEMA private;
        CREATE TABLE private.people (name text);
        INSERT INTO private.people VALUES ('{m["other_schema"]}');
        CREATE MATERIALIZED VIEW seen AS SELECT '{m["view"]}' || first AS name FROM people;
        """

    def changes(self) -> str:
        """Return the statements that put values of these markers into rows of an origin of others, and delete some rows.

        None is of the enum, whose labels are its type's, and none where nothing is read.
        """
        m = self.text
        return f"""
        UPDATE people SET
            first = '{m["first"]}' || id, email = '{m["email"]}@' || id, phone = '{m["phone"]}',
            tags = ARRAY['{m["tag"]}' || id], details = jsonb_build_object('{m["details"]}', id),
            doc = json_build_object('a', '{m["doc"]}'), home = ROW('{m["home"]}', id)::address,
            homes = ARRAY[ROW('{m["homes"]}', id)::address], mail = '{m["mail"]}', long = '{m["long"]}' || long,
            file = '\\x{m["file"].encode().hex()}', number = {self.number["personal"]}, token = '{self.uuid["personal"]}',
            amount = {self.numeric("personal")},
            plain = '{m["plain"]}' || id, plain_tags = ARRAY['{m["plain_tag"]}' || id],
            plain_details = jsonb_build_object('{m["plain_details"]}', id),
            plain_home = ROW('{m["plain_home"]}', id)::address,
            plain_long = '{m["plain_long"]}' || md5(plain_long), plain_file = '\\x{m["plain_file"].encode().hex()}',
            plain_number = {self.number["plain"]}, plain_token = '{self.uuid["plain"]}',
            plain_amount = {self.numeric("plain")}
        WHERE id <= 20;
        DELETE FROM people WHERE id BETWEEN 200 AND 205;
        UPDATE notes SET note = '{m["note"]}' WHERE note LIKE '%7';
        UPDATE visits SET part = '{m["part"]}', plain_part = '{m["plain_part"]}' WHERE id <= 3;
        UPDATE ONLY parents SET name = '{m["parent"]}';
        UPDATE children SET name = '{m["child"]}', more = '{m["child"]}';
        """


# of each table: personal columns, others
COLUMNS = {
    "people": (
        "first email phone tags details doc home homes mail mood long file number token amount",
        "plain plain_tags plain_details plain_home plain_mood plain_long plain_file plain_number plain_token plain_amount "
        "plain_first plain_full loud search quiet",
    ),
    "notes": ("note", "plain"),
    "visits": ("part", "id at plain_part"),
    "parents": ("name", ""),
    "children": ("name more", "id"),
}


def rules(*, masking: bool = True) -> str:
    """Return the rules of the origin, or rules by which nothing but the truncated table is personal."""
    entries = ["{table_name: versions, truncated: true}"]
    for table, (personal, others) in COLUMNS.items():
        masked, plain = (personal.split(), others.split()) if masking else ([], [*personal.split(), *others.split()])
        entries.append(
            f"{{table_name: {table}, anonymized_column_names: [{', '.join(masked)}], "
            f"non_anonymized_column_names: [{', '.join(plain)}]}}"
        )
    return "tables:\n" + "".join(f"  - {entry}\n" for entry in entries)


def found(markers: Mapping[str, tuple[bytes, ...]], contents: Iterable[bytes | bytearray]) -> set[str]:
    """Return the names of the markers that stand in one of the contents, in any of their forms."""
    names: set[str] = set()
    for content in contents:
        names |= {name for name, forms in markers.items() if any(form in content for form in forms)}
    return names
