"""Backups in place of an origin: any format, whole or not, with whatever stands in them beside the tables."""

import gzip
import io
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
import yaml
from psycopg import sql

from multischema import pipeline
from multischema.dumps.directory import size_of
from multischema.errors import CheckError, EtlError
from tests.conftest import PROGRAMS, Place
from tests.support.cases import seen, whatever_the_order
from tests.support.clients import left_in
from tests.support.dumps import (
    MEMBERS,
    ORIGIN,
    RULES,
    WITH_EXTENSIONS,
    backup,
    cut,
    in_stage,
    in_tar_gz,
    nothing_left,
    published,
    run_of_users,
)

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("private")]


@pytest.mark.parametrize("written", ["$ 12,50", "$1.235"])  # as es_AR and es_CL write 12.50 and 1235
def test_money_of_a_backup_is_refused_by_column_unless_it_is_masked(written: str, place: Place, tmp_path: Path) -> None:
    place.in_origin("CREATE TABLE users (id int PRIMARY KEY, paid money, hidden money NOT NULL DEFAULT 7)")
    place.in_origin("INSERT INTO users VALUES (1, 12.5, 1)")
    folder = backup(place, tmp_path / "backup", "--format=directory", "--compress=0")
    for file in folder.glob("[0-9]*.dat"):
        file.write_text(file.read_text().replace("$12.50", written))
    rules = "tables: [{table_name: users, %s}]"
    with pytest.raises(CheckError) as raised:
        place.run(
            rules % "anonymized_column_names: [hidden], non_anonymized_column_names: [paid]",
            mode="dump",
            from_dump=str(folder),
        )
    assert raised.value.problems == (
        "backup shop: column users.paid holds money, and a backup does not say which lc_monetary it was written with; "
        "anonymize it, truncate the table in the rules, or use mode stream",
    )
    assert place.schemas() == set()
    place.run(rules % "anonymized_column_names: [paid, hidden]", mode="dump", from_dump=str(folder))
    assert place.read("SELECT paid, hidden::numeric::int FROM shop.users") == [(None, 7)]


def test_a_value_of_a_backup_that_the_target_cannot_read_is_told_with_its_column(
    make_place: Callable[..., Place], tmp_path: Path
) -> None:
    place = make_place("18", "16")
    place.in_origin("CREATE TABLE users (id int, name text, span interval); INSERT INTO users VALUES (1, 'M', 'infinity')")
    file = backup(place, tmp_path / "backup", "--format=custom")
    rules = "tables: [{table_name: users, anonymized_column_names: [name], non_anonymized_column_names: [id, span]}]"
    with pytest.raises(EtlError) as raised:
        place.run(rules, mode="dump", from_dump=str(file))
    (line,) = raised.value.problems
    assert line.startswith("target: restoring users, column span, failed: ")
    assert line.endswith(
        "; the target can't read a value that the origin wrote: use a newer target, or truncate the table in the rules"
    )
    assert place.schemas() == set()


@pytest.mark.parametrize("form", ["custom", "directory", "tar", ".tar.gz"])
def test_a_backup_of_any_format_is_published_without_the_origin(
    form: str, place: Place, tmp_path: Path, private: Path
) -> None:
    place.in_origin(ORIGIN)
    file = backup(place, tmp_path / "backup", f"--format={'custom' if form == '.tar.gz' else form}")
    if form == ".tar.gz":
        file = in_tar_gz(file, tmp_path / "backup.tar.gz")
    place.in_origin("DROP TABLE users, secrets")
    place.run(RULES, mode="dump", from_dump=str(file))
    assert run_of_users(place) == 1
    assert place.read("SELECT count(*) FROM shop.secrets") == [(0,)]
    assert place.read("SELECT count(*) FROM pg_indexes WHERE schemaname = 'shop'") == [(3,)]
    nothing_left(place, private)
    assert file.exists()


@pytest.mark.parametrize("form", ["custom", "tar", ".tar.gz"])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.5, 0.9])
def test_a_backup_that_is_cut_short_is_one_clear_error_and_leaves_nothing(
    form: str, share: float, place: Place, tmp_path: Path, private: Path
) -> None:
    published(place)
    place.in_origin("INSERT INTO users SELECT n, md5(n::text), 2 FROM generate_series(100, 20000) AS n")
    file = backup(place, tmp_path / "backup", f"--format={'tar' if form == 'tar' else 'custom'}")
    file = in_tar_gz(file, tmp_path / "backup.tar.gz") if form == ".tar.gz" else file
    cut(file, share)
    with pytest.raises(EtlError) as failed:
        place.run(RULES, mode="dump", from_dump=str(file))
    (problem,) = failed.value.problems
    assert problem.startswith(f"dump {file}: "), problem
    assert "\n" not in problem
    assert run_of_users(place) == 1
    nothing_left(place, private)


def packed(content: bytes) -> bytes:
    """Return a .tar.gz of one file."""
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w:gz") as tar:
        member = tarfile.TarInfo("backup")
        member.size = len(content)
        tar.addfile(member, io.BytesIO(content))
    return whole.getvalue()


WANTED = "want a whole dump of pg_dump -Fc, -Fd or -Ft, or a .tar.gz around one"


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"--\n-- PostgreSQL database dump\n--\n\n" + b"SELECT 1;\n" * 500, f"it is plain SQL, a script for psql; {WANTED}"),
        (b"SET client_encoding = 'UTF8';\n", f"it is plain SQL, a script for psql; {WANTED}"),
        (b"INSERT INTO users VALUES (1);\n" * 500, f"it is plain SQL, a script for psql; {WANTED}"),
        (b"", f"it is empty; {WANTED}"),
        (b"\x89PNG\r\n\x1a\n" + b"x" * 10_000, f"; {WANTED}"),
        (b"\x28\xb5\x2f\xfd" + b"x" * 10_000, f"it is compressed with zstd; unpack it first; {WANTED}"),
        (
            gzip.compress(b"CREATE TABLE users ();"),
            f"it holds no tar: it is plain SQL, a script for psql; {WANTED}",
        ),
        (
            gzip.compress(b"PGDMP\x01\x0e"),
            f"it is a dump that is compressed with gzip, and no tar; unpack it first; {WANTED}",
        ),
        (gzip.compress(b"x" * 10_000), f"it is no tar, or a damaged one; {WANTED}"),
        (packed(b"PGDMP" + bytes(range(256)) * 100)[:-50], "it is cut short or damaged: it has "),
        (None, "there is no such file"),
    ],
    # of what gzip makes, the time is part
    ids=[
        "a script",
        "settings",
        "inserts",
        "empty",
        "a picture",
        "zstd",
        "gzip of SQL",
        "gzip",
        "gzip of noise",
        "cut",
        "none",
    ],
)
def test_a_file_that_is_no_dump_is_one_clear_error(
    content: bytes | None, told: str, place: Place, tmp_path: Path, private: Path
) -> None:
    published(place)
    file = tmp_path / "backup"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(EtlError) as failed:
        place.run(RULES, mode="dump", from_dump=str(file))
    (problem,) = failed.value.problems
    assert problem.startswith(f"dump {file}: ")
    assert told in problem
    nothing_left(place, private)


def test_a_backup_without_the_rows_of_a_table_is_refused(place: Place, tmp_path: Path, private: Path) -> None:
    published(place)
    file = backup(place, tmp_path / "backup", "--format=custom", "--exclude-table-data=users")
    with pytest.raises(EtlError) as failed:
        place.run(RULES, mode="dump", from_dump=str(file))
    assert failed.value.problems == (f"dump {file}: it holds no rows of table users; truncate it in the rules",)
    assert run_of_users(place) == 1
    nothing_left(place, private)


def test_the_rules_must_cover_a_backup_as_they_must_an_origin(place: Place, tmp_path: Path, private: Path) -> None:
    published(place)
    place.in_origin("ALTER TABLE users ADD phone text")
    file = backup(place, tmp_path / "backup", "--format=custom")
    with pytest.raises(CheckError) as failed:
        place.run(RULES, mode="dump", from_dump=str(file))
    assert failed.value.problems[0] == "backup shop: missing rule for column users.phone"
    nothing_left(place, private)


EXTENDED = """
CREATE TABLE users (id uuid DEFAULT uuid_generate_v4() PRIMARY KEY, name text, run int DEFAULT 1 NOT NULL,
                    active boolean DEFAULT true);
INSERT INTO users (name) SELECT 'Marie' FROM generate_series(1, 20);
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.run = uuid_generate_v4(); RETURN NEW; END $$;
CREATE TRIGGER touch BEFORE INSERT ON users FOR EACH ROW WHEN (false) EXECUTE FUNCTION touch();
ALTER TABLE users ENABLE ROW LEVEL SECURITY;
CREATE POLICY mine ON users USING (id <> uuid_generate_v4());
"""


@pytest.mark.parametrize("origin", WITH_EXTENSIONS)
def test_what_only_a_default_a_trigger_or_a_policy_of_a_backup_needs_is_left_out(
    origin: str, make_place: Callable[..., Place], tmp_path: Path, private: Path
) -> None:
    place = make_place(origin, "18")
    place.in_origin('CREATE EXTENSION "uuid-ossp"', superuser=True)
    place.in_origin(EXTENDED)
    rules = """
tables:
  - table_name: users
    anonymized_column_names: [name, active]
    non_anonymized_column_names: [run]
"""
    place.run(rules, mode="dump", from_dump=str(backup(place, tmp_path / "backup", "--format=custom")))
    assert place.read("SELECT count(DISTINCT name), min(run), bool_and(active) FROM shop.users") == [(20, 1, True)]
    nothing_left(place, private)


@pytest.mark.parametrize("origin", WITH_EXTENSIONS)
def test_a_type_of_a_backup_that_the_target_lacks_is_one_clear_error(
    origin: str, make_place: Callable[..., Place], tmp_path: Path, private: Path
) -> None:
    place = make_place(origin, "18")
    place.in_origin("CREATE EXTENSION hstore", superuser=True)
    place.in_origin("CREATE TABLE users (id int PRIMARY KEY, name hstore)")
    file = backup(place, tmp_path / "backup", "--format=custom")
    with pytest.raises(EtlError) as failed:
        place.run(RULES, mode="dump", from_dump=str(file))
    assert failed.value.problems == (
        "target: the backup's table users: column name: the target has no type public.hstore; create what is missing, such "
        "as the extension that has it",
    )
    assert place.schemas() == set()
    assert left_in(private) == []


# A list of pg_restore parts schema, name and owner by spaces, and shows a line's end as one.
ODD_NAMES = ["a", "a b", "a b c", 'q"uote', "d.ot", "TABLE DATA", "x TABLE DATA public y", "line\nbreak", "tab\tcar\rret"]
ODD_NAMES += ["🙂", "é" * 31, "x" * 63, "comma; semi", "-- dash", "$dollar", "back\\slash", "it's", "u\u2028sep", "ff\x0cx"]
ODD_NAMES += ["nel\x85x", "*star?", "Type: X; Schema: y; Owner: z", "UPPER", "public", "%s", "{0}", "[a]", "(b)"]


@pytest.mark.parametrize("form", ["", "custom", "directory", "tar", ".tar.gz"])
def test_tables_and_schemas_of_odd_names_are_told_apart(form: str, place: Place, tmp_path: Path, private: Path) -> None:
    for number, name in enumerate(ODD_NAMES, 1):
        table = sql.Identifier("my app", name).as_string()
        place.in_origin(
            f'CREATE SCHEMA IF NOT EXISTS "my app"; CREATE TABLE {table} (id int PRIMARY KEY, name text);'
            f"INSERT INTO {table} SELECT n, 'Marie' FROM generate_series(1, {number}) AS n"
        )
    truncated = ("a b", "line\nbreak")
    rules = yaml.safe_dump(
        {
            "tables": [
                {"table_name": name, **({"truncated": True} if name in truncated else {"anonymized_column_names": ["name"]})}
                for name in ODD_NAMES
            ]
        }
    )
    from_dump = ""
    if form:
        file = backup(place, tmp_path / "backup", f"--format={'custom' if form == '.tar.gz' else form}")
        from_dump = str(in_tar_gz(file, tmp_path / "backup.tar.gz") if form == ".tar.gz" else file)
    place.run(rules, origin_schema="my app", mode="dump", from_dump=from_dump)
    found = {
        name: place.read(f"SELECT count(*) FROM {sql.Identifier('shop', name).as_string()}")[0][0] for name in ODD_NAMES
    }
    assert found == {name: 0 if name in truncated else number for number, name in enumerate(ODD_NAMES, 1)}
    nothing_left(place, private)


def test_no_row_of_a_truncated_table_is_restored_from_a_backup(
    place: Place, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, private: Path
) -> None:
    place.in_origin(ORIGIN.replace("secrets", '"users of old"'))
    rows: list[object] = []
    in_stage(
        monkeypatch,
        "anonymize",
        lambda: rows.extend(place.read('SELECT count(*) FROM public."users of old"', as_="superuser")),
    )
    file = backup(place, tmp_path / "backup", "--format=custom")
    place.run(RULES.replace("secrets", "users of old"), mode="dump", from_dump=str(file))
    assert rows == [(0,)]
    nothing_left(place, private)


WRITTEN = r"""
CREATE TYPE mood AS ENUM ('a', 'b c');
CREATE TABLE towns (id int PRIMARY KEY, n int);
CREATE FUNCTION town(i int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT n FROM public.towns WHERE id = i';
CREATE FUNCTION lowered(t text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN


    RETURN lower(t); END $$;
CREATE FUNCTION called_first(t text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT public.lowered(t)';
CREATE FUNCTION tick() RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE TABLE users (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text DEFAULT E'line


 DEFAULT x NOT NULL
',
    run int DEFAULT 1 NOT NULL,
    mood mood DEFAULT 'b c'::mood,
    computed text GENERATED ALWAYS AS (lower(run::text || ';')) STORED,
    "a DEFAULT b" int DEFAULT 3,
    number serial,
    CONSTRAINT odd CHECK (name <> ' DEFAULT nextval('),
    made uuid DEFAULT uuid_generate_v4()
);
INSERT INTO users (name) SELECT 'Marie' FROM generate_series(1, 20);
CREATE INDEX ON users (lowered(computed));
CREATE INDEX ON users (town(run));
CREATE VIEW seen AS SELECT * FROM users;
CREATE MATERIALIZED VIEW kept AS SELECT * FROM users;
COMMENT ON TABLE users IS E'first


third';
CREATE RULE nothing AS ON UPDATE TO users DO INSTEAD NOTHING;
CREATE STATISTICS numbers ON run, mood FROM users;
GRANT SELECT ON users TO PUBLIC;
"""
WRITTEN_RULES = """
tables:
  - table_name: users
    anonymized_column_names: [name, made]
    non_anonymized_column_names: [run, mood, computed, a DEFAULT b, number]
  - table_name: towns
    non_anonymized_column_names: [n]
"""


@pytest.mark.parametrize("origin", WITH_EXTENSIONS)
def test_texts_and_functions_of_a_backup_may_look_like_its_own_marks(
    origin: str, make_place: Callable[..., Place], tmp_path: Path, private: Path
) -> None:
    place = make_place(origin, "18")
    place.in_origin('CREATE EXTENSION "uuid-ossp"', superuser=True)
    place.in_origin(WRITTEN)
    place.in_origin(
        "CREATE FUNCTION noticed() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN END $$;"
        "CREATE EVENT TRIGGER noticed ON ddl_command_end EXECUTE FUNCTION noticed(); CREATE PUBLICATION all_ FOR ALL TABLES",
        superuser=True,
    )
    file = tmp_path / "backup"
    program_of_origin = PROGRAMS[origin] / "pg_dump"
    subprocess.run([program_of_origin, "-Fc", f"--file={file}", place.origin_server.url(place.name)], check=True)
    place.run(WRITTEN_RULES, mode="dump", from_dump=str(file))
    assert place.read('SELECT count(*), count(computed), min("a DEFAULT b") FROM shop.users') == [(20, 20, 3)]
    assert place.read("SELECT obj_description('shop.users'::regclass)") == [("first\n\n\nthird",)]
    nothing_left(place, private)


SPREAD = """
CREATE TABLE visits (id int NOT NULL, run int) PARTITION BY RANGE (id);
CREATE TABLE visits_1 (id int NOT NULL, run int, CONSTRAINT own_key PRIMARY KEY (id));
ALTER TABLE visits ATTACH PARTITION visits_1 FOR VALUES FROM (0) TO (10);
CREATE TABLE visits_2 PARTITION OF visits DEFAULT;
CREATE UNIQUE INDEX of_all ON visits (id);
CREATE TABLE towns (id int PRIMARY KEY, run int) PARTITION BY HASH (id);
CREATE TABLE towns_0 PARTITION OF towns FOR VALUES WITH (MODULUS 1, REMAINDER 0);
CREATE TABLE users (id int PRIMARY KEY, name text, run int REFERENCES towns);
INSERT INTO visits SELECT n, n FROM generate_series(1, 20) AS n;
INSERT INTO towns SELECT n, n FROM generate_series(1, 20) AS n;
INSERT INTO users SELECT n, 'Marie', n FROM generate_series(1, 20) AS n;
ALTER TABLE users ALTER name SET COMPRESSION pglz, ALTER name SET STORAGE external, ALTER run SET STATISTICS 7;
ALTER TABLE users REPLICA IDENTITY FULL;
ALTER TABLE users CLUSTER ON users_pkey;
"""
SPREAD_RULES = """
tables:
  - table_name: users
    anonymized_column_names: [name]
  - table_name: visits
    non_anonymized_column_names: [id, run]
  - table_name: towns
    non_anonymized_column_names: [run]
"""


@pytest.mark.parametrize("origin", ["16", "18"])
def test_keys_of_partitions_that_belong_to_their_root_s_index_are_no_obstacle(
    origin: str, make_place: Callable[..., Place], tmp_path: Path, private: Path
) -> None:
    place = make_place(origin, "18")
    place.in_origin(SPREAD)
    place.run(SPREAD_RULES)
    streamed = seen(place)
    file = backup(place, tmp_path / "backup", "--format=custom")
    place.run(SPREAD_RULES, mode="dump", from_dump=str(file))
    assert list(map(whatever_the_order, seen(place))) == list(map(whatever_the_order, streamed))
    nothing_left(place, private)


@pytest.mark.parametrize("origin", WITH_EXTENSIONS)
def test_documents_of_a_backup_are_refused_before_they_are_restored_unless_they_are_masked(
    origin: str, make_place: Callable[..., Place], tmp_path: Path, private: Path
) -> None:
    place = make_place(origin, "18")
    place.in_origin("CREATE TABLE users (id int PRIMARY KEY, page xml); INSERT INTO users VALUES (1, '<a>Marie</a>')")
    rules = "tables: [{table_name: users, %s_column_names: [page]}]"
    file = backup(place, tmp_path / "backup", "--format=custom")
    for from_dump in ("", str(file)):
        with pytest.raises(CheckError, match=r"built without libxml, which column users\.page of type xml needs"):
            place.run(rules % "non_anonymized", from_dump=from_dump, mode="dump" if from_dump else "stream")
        place.run(rules % "anonymized", from_dump=from_dump, mode="dump" if from_dump else "stream")
        assert place.read("SELECT id, page IS NULL FROM shop.users") == [(1, True)]
    nothing_left(place, private)


def test_a_backup_names_its_own_other_schemas_and_not_the_target_s(place: Place, tmp_path: Path, private: Path) -> None:
    place.in_origin(ORIGIN + "CREATE SCHEMA beside; CREATE TABLE beside.notes (id int)")
    file = backup(place, tmp_path / "backup", "--format=custom")
    for _ in range(2):
        warnings = place.run(RULES, mode="dump", from_dump=str(file)).plan.warnings
        assert [line for line in warnings if "other schema" in line] == ["not read: the origin's other schema beside"]


def test_a_collation_of_the_origin_s_own_is_lost_with_a_warning_as_it_is_in_stream(
    place: Place, tmp_path: Path, private: Path
) -> None:
    place.in_origin("CREATE COLLATION own (locale = 'C'); CREATE TABLE users (id int PRIMARY KEY, name text COLLATE own)")
    place.in_origin('ALTER TABLE users ADD other text COLLATE "C"')
    rules = "tables: [{table_name: users, non_anonymized_column_names: [name, other]}]"
    warning = "collation own is not on the target: its columns get the default one"
    assert warning in place.run(rules).plan.warnings
    streamed = seen(place)
    file = backup(place, tmp_path / "backup", "--format=custom")
    assert warning in place.run(rules, mode="dump", from_dump=str(file)).plan.warnings
    assert seen(place) == streamed


def test_a_backup_in_another_encoding_keeps_its_names_and_its_texts(place: Place, tmp_path: Path, private: Path) -> None:
    place.recode_origin("LATIN1")
    with psycopg.connect(place.origin_url, autocommit=True, client_encoding="utf8") as connection:
        connection.execute("CREATE TYPE humeur AS ENUM ('gaie', 'fâchée')")
        connection.execute("CREATE TABLE élus (id int PRIMARY KEY, prénom text, ville text, humeur humeur DEFAULT 'fâchée')")
        connection.execute("INSERT INTO élus VALUES (1, 'Zoé', 'Montélimar')")
        connection.execute("COMMENT ON TABLE élus IS 'les élus'")
    rules = "tables: [{table_name: élus, anonymized_column_names: [prénom], non_anonymized_column_names: [ville, humeur]}]"
    for form in ("custom", "directory"):
        file = backup(place, tmp_path / form, f"--format={form}")
        place.run(rules, mode="dump", from_dump=str(file))
        assert place.read("SELECT ville, humeur FROM shop.élus") == [("Montélimar", "fâchée")]
        assert place.read("SELECT obj_description('shop.élus'::regclass)") == [("les élus",)]
    nothing_left(place, private)


def test_a_backup_whose_restore_is_tried_again_has_each_row_once(place: Place, tmp_path: Path, private: Path) -> None:
    place.in_origin(ORIGIN + "CREATE TABLE notes (note text); INSERT INTO notes VALUES ('Marie')")
    rules = (RULES + "  - table_name: notes\n    anonymized_column_names: [note]\n").encode()
    file = backup(place, tmp_path / "backup", "--format=custom")
    job = place.job(mode="dump", from_dump=str(file))
    _, target = place.databases()
    with pipeline.open_run(job, target.backup(), target) as run:
        plan = pipeline.check(run, rules)
        assert pipeline.restore(run, plan, None).bytes == pipeline.restore(run, plan, None).bytes
        assert place.read("SELECT count(*) FROM public.notes", as_="etl") == [(1,)]
        pipeline.clean(run)
    assert place.read(MEMBERS, as_="superuser") == []
    assert left_in(private) == []


@pytest.mark.parametrize("loss", ["a table's file", "half of a table's file", "half of toc.dat", "toc.dat"])
def test_a_directory_that_is_no_whole_dump_is_one_clear_error(
    loss: str, place: Place, tmp_path: Path, private: Path
) -> None:
    published(place)
    place.in_origin("INSERT INTO users SELECT n, md5(n::text), 2 FROM generate_series(100, 20000) AS n")
    file = backup(place, tmp_path / "backup", "--format=directory")
    rows = max(file.glob("*.dat.gz"), key=size_of)
    lost = file / "toc.dat" if loss.endswith("toc.dat") else rows
    if loss.startswith("half"):
        cut(lost, 0.5)
    else:
        lost.unlink()
    with pytest.raises(EtlError) as failed:
        place.run(RULES, mode="dump", from_dump=str(file))
    (problem,) = failed.value.problems
    assert problem.startswith(f"dump {file}: can't be read: "), problem
    assert run_of_users(place) == 1
    nothing_left(place, private)


@pytest.mark.parametrize(("programs", "found"), [("16", "unsupported version"), ("", "there is no such program")])
def test_a_backup_that_needs_a_newer_pg_restore_says_so(
    programs: str, found: str, place: Place, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, private: Path
) -> None:
    published(place)
    file = backup(place, tmp_path / "backup", "--format=custom")
    monkeypatch.setenv("PATH", str(PROGRAMS[programs]) if programs else "/nowhere")
    with pytest.raises(EtlError) as failed:
        place.run(RULES, mode="dump", from_dump=str(file))
    (problem,) = failed.value.problems
    assert problem.startswith(f"dump {file}: can't be read: {found}")
    assert "want a pg_restore as new as the pg_dump that made it" in problem
    nothing_left(place, private)


def test_rows_of_a_backup_that_are_statements_are_refused(place: Place, tmp_path: Path, private: Path) -> None:
    published(place)
    file = backup(place, tmp_path / "backup", "--format=custom", "--inserts")
    with pytest.raises(EtlError) as failed:
        place.run(RULES, mode="dump", from_dump=str(file))
    assert failed.value.problems == (
        f"dump {file}: it holds rows as INSERT statements, which are code; make it without --inserts",
    )
    assert run_of_users(place) == 1
    nothing_left(place, private)


DEFAULTS = """
CREATE TABLE users (id int PRIMARY KEY, name varchar(255) DEFAULT NULL, run int DEFAULT 1 NOT NULL,
                    word text COLLATE "C" DEFAULT CASE WHEN random() > 2 THEN NULL ELSE 'x' END);
INSERT INTO users (id, name) SELECT n, 'Marie' FROM generate_series(1, 20) AS n;
CREATE INDEX whole ON users (id) WHERE users.* IS NOT NULL;
"""
DEFAULTS_RULES = """
tables:
  - table_name: users
    anonymized_column_names: [name]
    non_anonymized_column_names: [run, word]
"""


@pytest.mark.parametrize("origin", ["16", "18"])
def test_a_default_of_null_and_an_index_on_whole_rows_come_as_they_do_from_an_origin(
    origin: str, make_place: Callable[..., Place], tmp_path: Path, private: Path
) -> None:
    place = make_place(origin, "18")
    place.in_origin(DEFAULTS)
    if origin == "18":
        place.in_origin(
            "ALTER TABLE users ADD twice int GENERATED ALWAYS AS (run * 2) VIRTUAL;"
            "CREATE TABLE alone (id int PRIMARY KEY, run int NOT NULL NO INHERIT);"
            "CREATE TABLE parents (id int PRIMARY KEY, run int NOT NULL NO INHERIT);"
            "CREATE TABLE children () INHERITS (parents);"
            "INSERT INTO children VALUES (1, NULL)"
        )
    rules = DEFAULTS_RULES
    if origin == "18":
        rules = rules.replace("word]", "word, twice]") + "".join(
            f"  - {{table_name: {name}, non_anonymized_column_names: [id, run]}}\n"
            for name in ("alone", "parents", "children")
        )
    place.run(rules)
    streamed = seen(place)
    place.run(rules, mode="dump", from_dump=str(backup(place, tmp_path / "backup", "--format=custom")))
    assert list(map(whatever_the_order, seen(place))) == list(map(whatever_the_order, streamed))
    nothing_left(place, private)
