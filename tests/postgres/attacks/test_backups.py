"""Backups that mean harm: nothing of one runs, neither its statements nor the code that it brings or calls."""

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from multischema import pipeline
from multischema.errors import CheckError, DatabaseError, EtlError
from multischema.postgres import dropping
from tests.conftest import PROGRAMS, Place
from tests.support.clients import left_in

pytestmark = pytest.mark.usefixtures("private")

ORIGIN = """
CREATE TABLE users (id int PRIMARY KEY, name text, run int);
INSERT INTO users SELECT n, 'Marie', 1 FROM generate_series(1, 20) AS n;
"""
RULES = """
tables:
  - table_name: users
    anonymized_column_names: [name]
    non_anonymized_column_names: [run]
"""
# What a neighbour has in the target: functions that keep what they are called with, and say that they never change.
TRAP = """
CREATE SCHEMA theirs;
CREATE TABLE theirs.seen (value text);
GRANT USAGE ON SCHEMA theirs TO PUBLIC;
GRANT ALL ON theirs.seen TO PUBLIC;
CREATE FUNCTION theirs.write(text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN INSERT INTO theirs.seen VALUES (concat(current_user, ': ', $1)); RETURN $1; END $$;
CREATE FUNCTION theirs.mark(text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN theirs.write($1); END $$;
CREATE FUNCTION theirs.is_marked(text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN RETURN theirs.write($1) IS NOT NULL; END $$;
CREATE OPERATOR theirs.#? (leftarg = text, rightarg = text, function = theirs.both);
"""
TRAP = TRAP.replace(
    "CREATE OPERATOR",
    """CREATE FUNCTION theirs.both(text, text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN RETURN theirs.write($1 || $2) IS NOT NULL; END $$;
CREATE OPERATOR""",
)
EVERYTHING = """
SELECT concat(n.nspname, '.', p.proname) FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = p.pronamespace
WHERE n.nspname !~ '^pg_|^information_schema$|^theirs$'
  AND NOT EXISTS (SELECT FROM pg_depend AS d WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'i')
UNION ALL SELECT concat('trigger ', tgname) FROM pg_trigger WHERE NOT tgisinternal
UNION ALL SELECT concat('rule ', rulename) FROM pg_rewrite WHERE ev_class >= 16384
UNION ALL SELECT concat('policy ', polname) FROM pg_policy
UNION ALL SELECT concat('cast ', castsource::regtype) FROM pg_cast WHERE oid >= 16384
UNION ALL SELECT concat('operator ', oprname) FROM pg_operator AS o JOIN pg_namespace AS n ON n.oid = o.oprnamespace
WHERE o.oid >= 16384 AND n.nspname <> 'theirs'
UNION ALL SELECT concat('check ', conname) FROM pg_constraint WHERE contype = 'c' AND oid >= 16384
UNION ALL SELECT concat('view ', relname) FROM pg_class WHERE relkind IN ('v', 'm') AND oid >= 16384
UNION ALL SELECT concat('default of ', a.attname) FROM pg_attrdef AS d
JOIN pg_attribute AS a ON a.attrelid = d.adrelid AND a.attnum = d.adnum
WHERE a.attgenerated = '' AND pg_get_expr(d.adbin, d.adrelid) LIKE '%(%'
"""


def backup(place: Place, file: Path, *options: str) -> Path:
    """Dump the origin as its owner does."""
    program = [str(PROGRAMS["18"] / "pg_dump"), f"--file={file}", *options, "--dbname", place.origin_url]
    subprocess.run(program, check=True, capture_output=True)
    return file


def looking(monkeypatch: pytest.MonkeyPatch, stage: str, look: Callable[[], object]) -> None:
    """Have a look at what there is as a stage begins."""
    work = getattr(pipeline, stage)
    monkeypatch.setattr(pipeline, stage, lambda *given, **named: (look(), work(*given, **named))[1])


def trapped(place: Place) -> Place:
    """Return the place with the neighbour's functions on both sides, so that a backup can name them."""
    place.in_origin(TRAP)
    place.in_target(TRAP, superuser=True)
    return place


def test_a_comment_that_looks_like_statements_is_a_comment(place: Place, tmp_path: Path, private: Path) -> None:
    text = (
        "x\n\n--\n-- Name: evil; Type: COMMENT; Schema: public; Owner: -\n--\n\n"
        "CREATE TABLE public.injected AS SELECT current_user; --\n\\restrict x\n';\nCREATE TABLE public.injected ();"
    )
    place.in_origin(ORIGIN + f"COMMENT ON TABLE users IS {_literal(text)}; COMMENT ON COLUMN users.run IS {_literal(text)}")
    found: list[object] = []
    with pytest.MonkeyPatch.context() as patch:
        tables = "SELECT relname::text FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'"
        looking(patch, "anonymize", lambda: found.extend(place.read(tables, as_="superuser")))
        place.run(RULES, mode="dump", from_dump=str(backup(place, tmp_path / "backup", "--format=custom")))
    assert found == [("users",)]
    assert place.read("SELECT obj_description('shop.users'::regclass), col_description('shop.users'::regclass, 3)") == [
        (text, text)
    ]
    assert place.read("SELECT count(*) FROM shop.users") == [(20,)]


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


HARMFUL = """
CREATE FUNCTION name_of(int) RETURNS text LANGUAGE sql SECURITY DEFINER AS 'SELECT name FROM users WHERE id = $1';
CREATE AGGREGATE newcnt(*) (sfunc = int8inc, stype = int8, initcond = '0');
CREATE DOMAIN emails AS text DEFAULT theirs.mark('domain') CHECK (theirs.is_marked(VALUE)) NOT NULL;
CREATE TYPE mood AS ENUM ('fine', 'bad');
CREATE FUNCTION as_text(mood) RETURNS text LANGUAGE sql AS 'SELECT ''x''';
CREATE CAST (mood AS text) WITH FUNCTION as_text(mood);
ALTER TABLE users ADD email emails DEFAULT theirs.mark('column') CHECK (theirs.is_marked(email));
ALTER TABLE users ADD mood mood DEFAULT 'fine', ADD lowered text GENERATED ALWAYS AS (lower(name)) STORED;
CREATE INDEX on_key ON users (theirs.mark(name));
CREATE INDEX on_constant ON users ((run || theirs.mark('index')));
CREATE INDEX on_predicate ON users (run) WHERE theirs.is_marked('predicate');
CREATE INDEX on_operator ON users (run) WHERE name OPERATOR(theirs.#?) 'operator';
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM theirs.write(NEW.name); RETURN NEW; END $$;
CREATE TRIGGER touch BEFORE INSERT ON users FOR EACH ROW EXECUTE FUNCTION touch();
CREATE RULE also AS ON INSERT TO users DO ALSO SELECT theirs.write(NEW.name);
CREATE POLICY mine ON users USING (theirs.is_marked(name));
CREATE VIEW seen_users AS SELECT * FROM users;
CREATE TABLE parts (id int NOT NULL, at text) PARTITION BY LIST (at);
CREATE TABLE parts_1 PARTITION OF parts FOR VALUES IN ('x');
CREATE INDEX on_parts ON parts ((theirs.mark(at)));
"""
HARMFUL_RULES = """
tables:
  - table_name: users
    anonymized_column_names: [name, email, lowered]
    non_anonymized_column_names: [run, mood]
  - table_name: parts
    non_anonymized_column_names: [id, at]
"""


def test_no_code_of_a_backup_is_there_at_any_moment_and_none_that_it_names_is_called(
    place: Place, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, private: Path
) -> None:
    trapped(place).in_origin("CREATE TABLE users (id int PRIMARY KEY, name text, run int)" + HARMFUL.join("; "))
    place.in_origin("INSERT INTO users (id, name, run) VALUES (1, 'Marie', 1); INSERT INTO parts VALUES (1, 'x')")
    place.in_target(f"GRANT USAGE ON SCHEMA public TO {place.reader}", superuser=True)
    found: list[object] = []
    for stage in ("restore", "anonymize", "index"):
        looking(monkeypatch, stage, lambda: found.extend(place.read(EVERYTHING, as_="superuser")))
    file = backup(place, tmp_path / "backup", "--format=custom")
    published = place.run(HARMFUL_RULES, mode="dump", from_dump=str(file))
    assert found == []
    assert place.read("SELECT value FROM theirs.seen", as_="superuser") == []
    assert {warning for warning in published.plan.warnings if "of the backup, left out: index" in warning} == {
        f"of the backup, left out: index {index} of {table}: it needs theirs.{code}, which is code of the backup"
        for table, index, code in (
            ("users", "on_constant", "mark"),
            ("users", "on_key", "mark"),
            ("users", "on_operator", "#?"),
            ("parts", "on_parts", "mark"),
            ("parts_1", "parts_1_mark_idx", "mark"),
            ("users", "on_predicate", "is_marked"),
        )
    }
    assert place.read("SELECT mood, name LIKE '%Marie%', email LIKE '%Marie%' FROM shop.users") == [("fine", False, False)]
    assert place.read("SELECT at FROM shop.parts") == [("x",)]
    assert left_in(private) == []


@pytest.mark.parametrize(
    ("definition", "rule", "told"),
    [
        ("computed text GENERATED ALWAYS AS (theirs.mark(run::text)) STORED", "non_anonymized", "theirs.mark"),
        ("computed text GENERATED ALWAYS AS (run || theirs.mark('x')) STORED", "anonymized", "theirs.mark"),
        ("computed boolean GENERATED ALWAYS AS (run::text OPERATOR(theirs.#?) 'x') STORED", "non_anonymized", "theirs.#?"),
    ],
)
def test_a_column_that_only_code_of_a_backup_can_compute_is_refused_by_name(
    definition: str, rule: str, told: str, place: Place, tmp_path: Path
) -> None:
    trapped(place).in_origin(ORIGIN + f"ALTER TABLE users ADD {definition}, ADD kept int")
    place.in_origin("TRUNCATE theirs.seen")
    file = backup(place, tmp_path / "backup", "--format=custom", "--schema=public")
    rules = RULES.replace("[run]", "[run, kept]").replace(
        f"    {rule}_column_names: [", f"    {rule}_column_names: [computed, "
    )
    with pytest.raises(CheckError) as failed:
        place.run(rules, mode="dump", from_dump=str(file))
    assert failed.value.problems == (
        f"dump {file}: column users.computed is computed by {told}, which is code of the backup and is not run; use mode "
        "stream, or truncate the table in the rules",
    )
    place.run("tables: [{table_name: users, truncated: true}]", mode="dump", from_dump=str(file))
    assert place.read("SELECT value FROM theirs.seen", as_="superuser") == []
    assert place.read("SELECT count(*) FROM shop.users") == [(0,)]


@pytest.mark.parametrize(
    "origin",
    [
        "CREATE TABLE users (id int, name text, run int) PARTITION BY LIST ((theirs.mark(name)))",
        "CREATE TABLE users (id int, name theirs.texts, run int)",
        "CREATE TABLE users (id int, name text COLLATE theirs.sorted, run theirs.texts)",
        "CREATE TYPE pair AS (a theirs.texts); CREATE TABLE users (id pair, name text, run int)",
        "CREATE TYPE span AS RANGE (subtype = text, subtype_opclass = theirs.ops); "
        "CREATE TABLE users (id span, name text, run int)",
    ],
)
def test_a_table_that_needs_what_neighbours_made_is_refused_before_anything_is_made_of_it(
    origin: str, place: Place, tmp_path: Path
) -> None:
    more = (
        "CREATE DOMAIN theirs.texts AS text CHECK (theirs.is_marked(VALUE)); CREATE COLLATION theirs.sorted (locale = 'C');"
        "CREATE FUNCTION theirs.cmp(text, text) RETURNS int LANGUAGE plpgsql IMMUTABLE AS "
        "$$ BEGIN PERFORM theirs.write('cmp'); RETURN bttextcmp($1, $2); END $$;"
        "CREATE OPERATOR CLASS theirs.ops FOR TYPE text USING btree AS OPERATOR 1 <, OPERATOR 2 <=, OPERATOR 3 =, "
        "OPERATOR 4 >=, OPERATOR 5 >, FUNCTION 1 theirs.cmp(text, text)"
    )
    trapped(place).in_target(more, superuser=True)
    place.in_origin(more, superuser=True)
    place.in_origin(origin, superuser=True)
    file = tmp_path / "backup"
    program = [str(PROGRAMS["18"] / "pg_dump"), "-Fc", f"--file={file}", "-n", "public", place.origin_server.url(place.name)]
    subprocess.run(program, check=True)
    place.in_target("TRUNCATE theirs.seen", superuser=True)
    with pytest.raises(DatabaseError) as failed:
        place.run(RULES, mode="dump", from_dump=str(file))
    assert [
        problem for problem in failed.value.problems if not problem.startswith("target: the backup's table users: ")
    ] == []
    assert re.search(r"theirs\.(mark|texts|ops)", str(failed.value))
    assert place.read("SELECT value FROM theirs.seen", as_="superuser") == []
    assert place.schemas() == {"theirs"}


# Archives that no pg_dump wrote: a folder's files can be changed by hand.


def rewritten(folder: Path, file: str, old: bytes, new: bytes) -> Path:
    """Write something else into a file of a dump, of the same length where its length stands before it."""
    path = folder / file if "*" not in file else next(folder.glob(file))
    content = path.read_bytes()
    assert content.count(old) == 1, content
    path.write_bytes(content.replace(old, new))
    return folder


def in_length(statement: bytes, length: int) -> bytes:
    """Fill a statement up with blanks."""
    assert len(statement) <= length
    return statement + b" " * (length - len(statement))


COPY = b"COPY public.users (id, name, run) FROM stdin;\n"
TABLE = b"CREATE TABLE public.users (\n    id integer NOT NULL,\n    name text,\n    run integer\n);\n"


@pytest.mark.parametrize(
    ("file", "old", "new", "told"),
    [
        (
            "toc.dat",
            COPY,
            in_length(b"CREATE TABLE theirs.x ();COPY a FROM stdin;\n", len(COPY)),
            "where rows should",
        ),
        (
            "toc.dat",
            COPY,
            in_length(b"COPY theirs.seen (value) FROM stdin;\n", len(COPY)),
            "rows of a table that",
        ),
        ("toc.dat", COPY, in_length(b"COPY users FROM PROGRAM 'touch x';\n", len(COPY)), "rows are not where"),
        (
            "toc.dat",
            TABLE,
            in_length(b"DROP SCHEMA theirs CASCADE;\n" + b"CREATE TABLE public.users ();\n", len(TABLE)),
            "DROP",
        ),
        (
            "toc.dat",
            TABLE,
            in_length(b"CREATE TABLE public.users AS SELECT 1;\n", len(TABLE)),
            "create table public.us",
        ),
        ("toc.dat", TABLE, in_length(b"CREATE TABLE public.users (id int);$$;\n", len(TABLE)), "no SQL of pg_dump"),
        ("[0-9]*.dat", b"\\.\n", b"\\.\nDROP SCHEMA theirs CASCADE;\n", "statements stand behind the rows"),
        (
            "[0-9]*.dat",
            b"\\.\n",
            b"\\.\nCOPY theirs.seen FROM stdin;\nx\n\\.\n",
            "statements stand behind the rows",
        ),
        ("[0-9]*.dat", b"\\.\n", b"", "its rows have no end|can't be read"),
    ],
)
def test_statements_that_no_pg_dump_writes_are_not_run(
    file: str, old: bytes, new: bytes, told: str, place: Place, tmp_path: Path, private: Path
) -> None:
    place.in_origin(ORIGIN)
    place.in_target(TRAP, superuser=True)
    folder = rewritten(backup(place, tmp_path / "backup", "--format=directory", "--compress=0"), file, old, new)
    with pytest.raises(EtlError) as failed:
        place.run(RULES, mode="dump", from_dump=str(folder))
    (problem,) = failed.value.problems
    assert re.search(told, problem, re.IGNORECASE), problem
    assert problem.startswith(f"dump {folder}: ")
    assert place.schemas() == {"theirs"}
    assert place.read("SELECT count(*) FROM theirs.seen", as_="superuser") == [(0,)]
    assert place.read("SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace", as_="etl") == [(0,)]
    assert left_in(private) == []


def test_names_that_look_like_the_statement_of_rows_are_names(place: Place, tmp_path: Path) -> None:
    odd = '"x FROM stdin;\n\\.\ny"'
    place.in_origin(
        f"CREATE TABLE users (id int PRIMARY KEY, name text, run int, {odd} int); INSERT INTO users VALUES (1, 'M', 1, 2)"
    )
    rules = RULES.replace("[run]", '[run, "x FROM stdin;\\n\\\\.\\ny"]')
    place.run(rules, mode="dump", from_dump=str(backup(place, tmp_path / "backup", "--format=custom")))
    assert place.read(f"SELECT {odd} FROM shop.users") == [(2,)]


@pytest.mark.parametrize("is_backup", [False, True], ids=["live", "backup"])
def test_nobody_can_build_on_what_is_in_the_raw_schema(
    is_backup: bool, place: Place, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    place.in_origin(ORIGIN + "CREATE TYPE pair AS (a text, b text); ALTER TABLE users ADD pair pair")
    place.in_target(f"GRANT USAGE ON SCHEMA public TO {place.reader}", superuser=True)
    tried: list[str] = []

    def build() -> None:
        types = (
            "SELECT typname::text FROM pg_type WHERE typnamespace = 'public'::regnamespace AND typtype IN ('c', 'e', 'r')"
        )
        for (name,) in place.read(types, as_="superuser"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                place.read(f"CREATE FUNCTION pg_temp.f(public.{name}) RETURNS int LANGUAGE sql AS 'SELECT 1'")
            tried.append(name)

    looking(monkeypatch, "anonymize", build)
    file = str(backup(place, tmp_path / "backup", "--format=custom")) if is_backup else ""
    place.run(RULES.replace("[run]", "[run, pair]"), mode="dump", from_dump=file)
    assert len(tried) == 2
    assert "users" in tried


# What a killed run of an earlier version left: the marker of raw data, tables with rows, and code of a backup.
LEFT = """
CREATE DOMAIN public.etl_raw_data AS text;
COMMENT ON DOMAIN public.etl_raw_data IS 'multi-schema-postgres-etl other 0123abcd restore';
CREATE AGGREGATE public.newcnt(*) (sfunc = int8inc, stype = int8, initcond = '0');
CREATE FUNCTION public.f(int, text) RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE PROCEDURE public.p() LANGUAGE sql AS 'SELECT 1';
CREATE TYPE public.mood AS ENUM ('fine');
CREATE OPERATOR public.### (leftarg = int, rightarg = text, function = public.f);
CREATE TEXT SEARCH CONFIGURATION public.words (copy = simple);
CREATE COLLATION public.sorted (locale = 'C');
CREATE STATISTICS public.numbers ON id, run FROM public.users;
CREATE VIEW public.seen AS SELECT * FROM public.users;
"""


@pytest.mark.parametrize("mode", ["stream", "dump"])
def test_what_a_killed_run_left_of_a_backup_s_code_is_dropped_and_stops_nobody(mode: str, place: Place) -> None:
    place.in_origin(ORIGIN)
    place.in_target(f"GRANT CREATE ON SCHEMA public TO {place.etl}", superuser=True)
    place.in_target(ORIGIN + LEFT.replace("CREATE AGGREGATE public.middle(", "-- ").replace("CREATE OPERATOR FAMILY", "-- "))
    place.run(RULES, mode=mode)
    everything = (
        "SELECT count(*) FROM pg_depend WHERE refclassid = 'pg_namespace'::regclass AND refobjid = 'public'::regnamespace"
    )
    assert place.read(everything, as_="superuser") == [(0,)]


@pytest.mark.parametrize("mode", ["stream", "dump"])
def test_what_can_t_be_dropped_of_raw_data_keeps_no_row_and_does_not_stop_another_app(
    mode: str, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dropping, "_PATIENCE", 0)
    place.in_origin("CREATE SCHEMA sales; SET search_path = sales;" + ORIGIN)
    place.in_target(f"GRANT CREATE ON SCHEMA public TO {place.etl}", superuser=True)
    place.in_target(ORIGIN + LEFT.partition("CREATE AGGREGATE public.middle")[0])
    place.in_target(
        "CREATE VIEW public.theirs AS SELECT name, public.newcnt(*) FROM public.users GROUP BY 1", superuser=True
    )
    place.run(RULES, origin_schema="sales", mode=mode)
    assert place.read("SELECT count(*) FROM shop.users") == [(20,)]
    assert place.read("SELECT count(*) FROM public.users", as_="superuser") == [(0,)]
    left = "SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace"
    assert place.read(left, as_="superuser") == [("newcnt",)]
