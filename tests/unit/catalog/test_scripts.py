"""What statements of pg_dump say."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from multischema.catalog import backup, scripts
from multischema.catalog.backup import Attach, Comment, Copy, Enum, Index, IndexAttach, Item, Key, Range, Table
from multischema.catalog.tokens import Name, code_in, statements_of
from multischema.errors import DumpError


def _read(script: str) -> list[Item]:
    return scripts.read(statements_of(script))


def _table(columns: str) -> Table:
    (table,) = _read(f"CREATE TABLE a.b ({columns});")
    assert isinstance(table, Table)
    return table


@pytest.mark.parametrize(
    ("column", "default", "not_null"),
    [
        ("c character varying(255) DEFAULT NULL::character varying", [], False),
        ("c text DEFAULT CASE WHEN (random() > 0.5) THEN NULL::text ELSE 'x'::text END NOT NULL", [], True),
        ("c text DEFAULT 'NOT NULL'::text NOT NULL COLLATE pg_catalog.\"C\"", ["NOT NULL"], True),
        ("c integer DEFAULT '-1'::integer CONSTRAINT named NOT NULL", ["-1"], True),
        ("c integer DEFAULT (- 1) NOT NULL NO INHERIT", ["-", "1"], True),
        ("c integer DEFAULT nextval('a.s'::regclass) NOT NULL", [], True),
        ("c integer DEFAULT public.generated() NOT NULL", [], True),
        ("c text[] DEFAULT ARRAY[]::text[]", ["{}"], False),
        ("c bit(3) DEFAULT B'101'::\"bit\"", ["b101"], False),
    ],
)
def test_a_default_ends_where_the_next_clause_begins(column: str, default: list[str], not_null: bool) -> None:
    (read,) = _table(column).columns
    assert [token.value for token in read.default] == default
    assert read.not_null == not_null


@pytest.mark.parametrize(
    ("script", "kind"),
    [
        ("CREATE TYPE a.b AS ENUM ('x', 'y');", Enum),
        ("CREATE TYPE a.b AS RANGE (subtype = double precision, multirange_type_name = a.bs);", Range),
        ("CREATE DOMAIN a.b AS integer NOT NULL DEFAULT NULL::integer CONSTRAINT c CHECK ((VALUE > 0));", backup.Domain),
        ('CREATE TYPE a.b AS (c text COLLATE pg_catalog."C", d integer[]);', backup.Composite),
        ("CREATE FOREIGN TABLE a.b (c integer OPTIONS (x 'y') NOT NULL) SERVER s OPTIONS (z 'y');", Table),
        ("CREATE TABLE a.b OF a.c (d WITH OPTIONS NOT NULL);", Table),
        ("CREATE UNLOGGED TABLE a.b (c integer, CONSTRAINT d NOT NULL c) INHERITS (a.c) WITH (fillfactor='70');", Table),
        ("ALTER TABLE ONLY a.b ATTACH PARTITION a.c FOR VALUES FROM (MINVALUE) TO ('2020-01-01');", Attach),
        ("ALTER TABLE ONLY a.b ADD CONSTRAINT c PRIMARY KEY (d, e WITHOUT OVERLAPS) INCLUDE (f);", Key),
        ("ALTER TABLE ONLY a.b ADD CONSTRAINT c FOREIGN KEY (d) REFERENCES a.c(d) NOT VALID;", Key),
        ("CREATE UNIQUE INDEX c ON ONLY a.b USING btree (lower(d)) NULLS NOT DISTINCT WHERE (e > 1);", Index),
        ("CREATE TABLE a.b (c integer, d integer GENERATED ALWAYS AS ((c * 2)));", Table),
        ("ALTER INDEX a.b ATTACH PARTITION a.c;", IndexAttach),
        ("COMMENT ON COLUMN a.b.c IS 'x';", Comment),
        ("CREATE TYPE a.b (INPUT = a.i, OUTPUT = a.o);", backup.Unread),
    ],
)
def test_each_kind_of_statement_is_read(script: str, kind: type[Item]) -> None:
    (item,) = _read(script)
    assert isinstance(item, kind)


@pytest.mark.parametrize(
    "script",
    [
        "SET lock_timeout = 0;",
        "SELECT pg_catalog.set_config('search_path', '', false);",
        "CREATE TYPE a.b;",
        "ALTER TABLE a.b ALTER COLUMN c SET COMPRESSION lz4;",
        "ALTER TABLE a.b ADD CONSTRAINT c NOT NULL d NOT VALID;",
        "ALTER TABLE a.b ADD CONSTRAINT c CHECK ((d > 0)) NOT VALID;",
        "ALTER TABLE ONLY a.b REPLICA IDENTITY FULL;",
        "ALTER FOREIGN TABLE a.b ALTER COLUMN c OPTIONS (x 'y');",
        "COMMENT ON TABLE a.b IS NULL;",
    ],
)
def test_what_is_of_no_matter_is_passed_over(script: str) -> None:
    assert _read(script) == []


_WORDS = (
    "create table type domain index alter only add constraint as enum range of a . , ( ) [ ] 'x' 1 not null default case",
    "end comment on column is set attach partition for values foreign key references primary check copy from stdin",
)


@given(st.lists(st.sampled_from(" ".join(_WORDS).split()), min_size=1, max_size=30))
def test_any_statement_is_read_or_refused(words: list[str]) -> None:
    for read in (_read, lambda script: [scripts.read_copy(statement) for statement in statements_of(script)]):
        with suppress(DumpError):
            read(" ".join(words) + ";")


def test_the_head_of_rows_is_read_and_nothing_else() -> None:
    (one, none) = statements_of('COPY a."b c" (d, "E") FROM stdin; COPY a.b  FROM stdin;')
    assert scripts.read_copy(one) == Copy(Name("a", "b c"), ("d", "E"))
    assert scripts.read_copy(none) == Copy(Name("a", "b"), ())


@pytest.mark.parametrize(
    "script", ["COPY a.b FROM program 'x';", "COPY a.b (c d) FROM stdin;", "INSERT INTO a.b VALUES (1);"]
)
def test_other_statements_among_rows_are_refused(script: str) -> None:
    (statement,) = statements_of(script)
    with pytest.raises(DumpError, match="stands where rows should"):
        scripts.read_copy(statement)


@pytest.mark.parametrize(
    ("expression", "code"),
    [
        ("lower(a) OPERATOR(pg_catalog.=) 'x'::a.mood", None),
        ("users.* IS NOT NULL", None),
        ("a OPERATOR(public.*) b", "public.*"),
        ("public.f(a)", "public.f"),
        ("a::public.other", "public.other"),
        ('a COLLATE public."C"', "public.C"),
    ],
)
def test_code_is_told_by_its_schema(expression: str, code: str | None) -> None:
    (tokens,) = statements_of(f"{expression};")
    assert code_in(tokens, [Name("a", "mood")]) == code


@pytest.mark.parametrize("encoding", ["zlib", "rot13", "mule_internal"])
def test_an_encoding_that_is_none_of_texts_is_refused(encoding: str) -> None:
    with pytest.raises(DumpError, match="can't be read here"):
        scripts.decoded(f"SET client_encoding = '{encoding}';\n".encode())
