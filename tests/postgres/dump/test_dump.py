"""`dump` mode publishes what `stream` does; raw data is in `public` of the target meanwhile, and gone after."""

import gzip
import resource
import shutil
import stat
import subprocess
import tarfile
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
import pytest
import yaml
from psycopg import sql

from demo import origins
from multischema import pipeline
from multischema.dumps.directory import size_of
from multischema.errors import CheckError, ConnectionLost, EtlError, LockTimeout, OriginChanged, VerifyError
from multischema.postgres import dropping, sessions
from multischema.postgres.database import Database
from multischema.postgres.sessions import Sessions
from multischema.stages import raw_schema
from multischema.stages.run import Run
from tests.conftest import PASSWORD, PROGRAMS, ROOT, Place
from tests.postgres.faults.test_faults import Running, behind_proxy, session_of, terminate
from tests.postgres.test_cases import Case, runs, seen
from tests.support.clients import left_in, program
from tests.support.gates import PATIENCE, eventually

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("private")]

# What a dump can't bring over.
REFUSED = {
    "partitions_computing": "partitions of visits compute column town each in its own way; use mode stream",
    "composites_of_arrays": "column books.page is of a composite type with arrays of arrays; use mode stream",
    "partition_of_another_schema": "table visits_default is a partition of a table in another schema; use mode stream",
}
# A backup has other schemas beside, or types of extensions that the target lacks, or what an older server does not know.
NO_BACKUP = (
    *(
        "extensions",
        "vectors",
        "foreign_keys",
        "masking_defaults",
        "other_schema",
        "partition_of_another_schema",
        "partitions",
    ),
)
# Its rows come from several partitions at a time, in any order.
UNORDERED = ("partitions",)
MEMBERS = """
SELECT c.relname FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace WHERE n.nspname = 'public'
UNION ALL SELECT t.typname FROM pg_type AS t JOIN pg_namespace AS n ON n.oid = t.typnamespace WHERE n.nspname = 'public'
"""


def lines(place: Place, case: Case) -> tuple[list[str], list[str]]:
    """Return what the reader sees of a case, and what is expected."""
    found, expected = seen(place), case.text("expected.txt").splitlines()
    if case.directory.name in UNORDERED:
        return [_sorted(line) for line in found], [_sorted(line) for line in expected]
    return found, expected


def _sorted(line: str) -> str:
    column, _, values = line.partition(": ")
    return f"{column}: {' | '.join(sorted(values.split(' | ')))}"


def whole(place: Place) -> tuple[list[str], dict[str, list[tuple[str, ...]]]]:
    """Return what the reader sees, whatever the order of the rows, and the rows of each table."""
    tables = [name for (name,) in place.read("SELECT tablename FROM pg_tables WHERE schemaname = 'shop' ORDER BY 1")]
    query = sql.SQL("SELECT t::text FROM {} AS t")
    rows = {name: sorted(place.read(query.format(sql.Identifier("shop", name)).as_string())) for name in tables}
    assert sum(map(len, rows.values())) > 1000
    return [_sorted(line) for line in seen(place)], rows


def prepared(case: Case, origin: str, target: str, make_place: Callable[..., Place]) -> Place:
    """Return a place with the origin of a case."""
    place = make_place(origin, target)
    for extension in case.extensions:
        place.in_origin(f"CREATE EXTENSION {extension}", superuser=True)
    place.in_origin(case.text("origin.sql"))
    return place


def backup(place: Place, file: Path, *options: str) -> Path:
    """Dump the origin as its owner does."""
    subprocess.run(
        [PROGRAMS["18"] / "pg_dump", f"--file={file}", *options, "--dbname", place.origin_url],
        check=True,
        capture_output=True,
    )
    return file


def dumps() -> list[Any]:
    """Return every case with the first pair of servers that it runs on: streams go on all pairs, and dumps take long."""
    return list({run.values[0]: run for run in reversed(runs())}.values())[::-1]


@pytest.mark.parametrize(("case", "origin", "target"), dumps())
def test_a_dump_publishes_what_a_stream_does(
    case: Case, origin: str, target: str, make_place: Callable[..., Place], private: Path
) -> None:
    place = prepared(case, origin, target, make_place)
    if case.directory.name in REFUSED:
        with pytest.raises(CheckError) as failed:
            place.run(case.text("rules.yml"), origin_schema=case.origin_schema, mode="dump")
        assert failed.value.problems == (f"origin shop: {REFUSED[case.directory.name]}",)
        return
    published = place.run(case.text("rules.yml"), origin_schema=case.origin_schema, mode="dump")
    found, expected = lines(place, case)
    assert found == expected
    assert [*published.plan.warnings, *published.indexed.warnings, *published.warnings] == case.text(
        "warnings.txt"
    ).splitlines()
    assert place.schemas() == {"shop"}
    assert place.read(MEMBERS, as_="superuser") == []
    assert left_in(private) == []


@pytest.mark.parametrize(
    ("case", "origin", "target"),
    [run for run in runs() if run.values[0].directory.name not in NO_BACKUP and run.values[1:] == ("16", "18")],
)
def test_a_backup_publishes_what_a_stream_does(
    case: Case, origin: str, target: str, make_place: Callable[..., Place], tmp_path: Path, private: Path
) -> None:
    place = prepared(case, origin, target, make_place)
    clear_money = {"arrays": "moneys", "types_kept": "a_money"}.get(case.directory.name)
    if clear_money:  # nothing tells in what locale a backup's amounts were written
        place.in_origin(f"ALTER TABLE numbers DROP {clear_money}")
    file = backup(place, tmp_path / "backup", "--format=custom")
    place.run(case.text("rules.yml"), origin_schema=case.origin_schema, mode="dump", from_dump=str(file))
    found, expected = lines(place, case)
    assert found == [line for line in expected if not line.startswith(f"  {clear_money} ")]
    assert place.schemas() == {"shop"}
    assert place.read(MEMBERS, as_="superuser") == []
    assert left_in(private) == []


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
        "backup shop: column users.paid holds money, which a backup has in the format of its server's lc_monetary, and does "
        "not say which that is; anonymize it, truncate the table in the rules, or use mode stream",
    )
    assert place.schemas() == set()
    place.run(rules % "anonymized_column_names: [paid, hidden]", mode="dump", from_dump=str(folder))
    assert place.read("SELECT paid, hidden::numeric::int FROM shop.users") == [(None, 7)]


@pytest.mark.parametrize("app", origins.APPS)
def test_the_demo_is_published_alike_from_its_origin_a_dump_and_a_backup(
    app: str, place: Place, tmp_path: Path, private: Path
) -> None:
    origins.create(place.origin_url, app)
    origins.fill(place.origin_url, app, scale=0.1)
    rules = (ROOT / "demo" / f"{app}.yml").read_text()
    place.run(rules)
    streamed = whole(place)
    place.run(rules, mode="dump")
    assert whole(place) == streamed
    file = backup(place, tmp_path / "backup", "--format=directory")
    place.run(rules, mode="dump", from_dump=str(file))
    assert whole(place) == streamed
    nothing_left(place, private)


ORIGIN = """
CREATE TABLE users (id int PRIMARY KEY, name text, run int);
INSERT INTO users SELECT n, 'Marie', 1 FROM generate_series(1, 20) AS n;
CREATE TABLE secrets (id int PRIMARY KEY, name text);
INSERT INTO secrets VALUES (1, 'Marie');
CREATE INDEX by_run ON users (run);
"""
RULES = """
tables:
  - table_name: users
    anonymized_column_names: [name]
    non_anonymized_column_names: [run]
  - table_name: secrets
    truncated: true
"""


def published(place: Place) -> Place:
    """Publish run 1 in mode dump, and have the origin hold what would be run 2."""
    place.in_origin(ORIGIN)
    place.run(RULES, mode="dump")
    place.in_origin("UPDATE users SET run = 2")
    return place


def run_of_users(place: Place) -> int:
    """Return which run is published."""
    ((low, high, count, raw),) = place.read(
        "SELECT min(run), max(run), count(*), count(*) FILTER (WHERE name LIKE '%Marie%') FROM shop.users"
    )
    assert (low, count, raw) == (high, 20, 0)
    return int(low)


def nothing_left(place: Place, private: Path) -> None:
    """Find nothing of any run's but what is published."""
    assert place.schemas() == {"shop"}
    assert place.read(MEMBERS, as_="superuser") == []
    assert left_in(private) == []


def in_stage(monkeypatch: pytest.MonkeyPatch, stage: str, look: Callable[[], object]) -> None:
    """Have a look at what there is as a stage begins."""
    work = getattr(pipeline, stage)

    def look_then_work(*arguments: Any, **more: Any) -> Any:
        look()
        return work(*arguments, **more)

    monkeypatch.setattr(pipeline, stage, look_then_work)


# Backups.


def in_tar_gz(file: Path, packed: Path) -> Path:
    """Pack a dump as the host's `backups-download` gives it."""
    with tarfile.open(packed, "w:gz") as archive:
        archive.add(file, arcname="backup/20260101_app.pgsql")
    return packed


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


def cut(file: Path, share: float) -> None:
    """Keep the first part of a file."""
    content = file.read_bytes()
    file.write_bytes(content[: int(len(content) * share)])


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


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"--\n-- PostgreSQL database dump\n--\n\n" + b"SELECT 1;\n" * 500, "it is a script for psql"),
        (b"\x89PNG\r\n\x1a\n" + b"x" * 10_000, "can't be read"),
        (gzip.compress(b"CREATE TABLE users ();", mtime=0), "can't be read: it is cut short, or no tar"),
        (None, "there is no such file"),
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
WITH_EXTENSIONS = [name for name in PROGRAMS if name.startswith("system")]


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
        'target: the backup\'s table users: type "public.hstore" does not exist (42704); create what is missing, such as '
        "the extension that has it",
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
    after_restore(place, tmp_path, monkeypatch, f'SELECT count(*) FROM public."users of old"\\g {tmp_path}/raw')
    file = backup(place, tmp_path / "backup", "--format=custom")
    place.run(RULES.replace("secrets", "users of old"), mode="dump", from_dump=str(file))
    assert (tmp_path / "raw").read_text().split()[-3] == "0"
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
    computed text GENERATED ALWAYS AS (called_first(run::text)) STORED,
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


def test_where_all_tables_are_truncated_or_have_no_partition_nothing_is_dumped(
    place: Place, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, private: Path
) -> None:
    place.in_origin(ORIGIN)
    place.in_origin("CREATE TABLE visits (id int) PARTITION BY RANGE (id)")
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    program(tmp_path, "pg_dump", f'[[ "$*" == *--data-only* ]] && touch {tmp_path}/dumped; exec "$real" "$@"')
    rules = "tables: [{table_name: users, truncated: true}, {table_name: secrets, truncated: true}, {}]"
    for of_visits in ("{table_name: visits, truncated: true}", "{table_name: visits, non_anonymized_column_names: [id]}"):
        place.run(rules.replace("{}", of_visits), mode="dump")
    assert not (tmp_path / "dumped").exists()
    assert place.read("SELECT count(*) FROM shop.users") == [(0,)]
    nothing_left(place, private)


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


# The client programs, and this machine's disk.


def after_restore(place: Place, directory: Path, monkeypatch: pytest.MonkeyPatch, statement: str) -> None:
    """Have the target's superuser execute a statement as soon as pg_restore has come to its end."""
    monkeypatch.setenv("PATH", str(directory), prepend=":")
    (directory / "after.sql").write_text(statement)
    psql = f'{PROGRAMS["18"] / "psql"} -qX -f {directory}/after.sql "{place.target_server.url(place.name)}"'
    program(
        directory, "pg_restore", f'"$real" "$@"; status=$?; [[ "$*" == *--dbname* ]] && {psql} >&2 </dev/null; exit $status'
    )


def test_client_programs_older_than_the_server_are_refused_before_anything_is_done(
    make_place: Callable[..., Place], monkeypatch: pytest.MonkeyPatch, private: Path
) -> None:
    place = published(make_place("18", "16"))
    monkeypatch.setenv("PATH", str(PROGRAMS["16"]), prepend=":")
    with pytest.raises(CheckError) as failed:
        place.run(RULES, mode="dump")
    wanted = (
        "want 18 or newer on the PATH: `apt-get install postgresql-client-18`, on Scalingo `dbclient-fetcher pgsql 18`; "
        "or use mode stream, which needs none"
    )
    assert failed.value.problems == (
        f"origin shop: pg_dump 16 is older than origin shop's Postgres 18; {wanted}",
        f"origin shop: pg_restore 16 is older than origin shop's Postgres 18; {wanted}",
    )
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(CheckError, match="pg_dump is not there; want 18 or newer"):
        place.run(RULES, mode="dump")
    nothing_left(place, private)


def test_a_disk_that_is_full_before_or_while_a_dump_is_written_is_one_clear_error(
    place: Place, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, private: Path
) -> None:
    published(place)
    place.in_origin("INSERT INTO users SELECT n, md5(n::text), 2 FROM generate_series(100, 50000) AS n")
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    program(tmp_path, "pg_dump", 'ulimit -f 100; trap "" XFSZ; exec "$real" "$@"')
    with pytest.raises(EtlError) as failed:
        place.run(RULES, mode="dump")
    (problem,) = failed.value.problems
    assert problem.startswith("origin shop: dump failed: ")
    assert "File too large" in problem
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(0, 0, 1 << 20))
    with pytest.raises(EtlError, match=r"origin shop: dump: 1 MiB are free in .*, want about"):
        place.run(RULES, mode="dump")
    assert run_of_users(place) == 1
    nothing_left(place, private)


def test_a_password_is_in_no_argument_of_the_client_programs(
    place: Place, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    place.in_origin(ORIGIN)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    for name in ("pg_dump", "pg_restore"):
        looks = f'cat /proc/[0-9]*/cmdline > {tmp_path}/{name}.ps; echo "$0 $@" >> {tmp_path}/arguments'
        program(tmp_path, name, f'{looks}; exec "$real" "$@"')
    place.run(RULES, mode="dump")
    assert run_of_users(place) == 1
    told = "".join((tmp_path / name).read_text() for name in ("arguments", "pg_dump.ps", "pg_restore.ps"))
    assert "--data-only" in told
    assert PASSWORD not in told
    assert quote(PASSWORD, safe="") not in told


def test_a_program_that_crashes_leaves_no_core_file_with_rows_in_it(
    place: Place, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    place.in_origin(ORIGIN)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    before = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (before[1], before[1]))
    try:
        for name in ("pg_dump", "pg_restore"):
            program(tmp_path, name, f'ulimit -c >> {tmp_path}/limits; exec "$real" "$@"')
        place.run(RULES, mode="dump")
    finally:
        resource.setrlimit(resource.RLIMIT_CORE, before)
    with_rows = (tmp_path / "limits").read_text().split()[-2:]
    assert with_rows == ["0", "0"]


def test_threads_that_ask_for_the_private_directory_at_once_get_the_same_and_it_goes_with_the_run(
    place: Place, private: Path
) -> None:
    together = threading.Barrier(8)

    def ask(run: Run) -> Path:
        together.wait()
        return run.directory.path

    with pipeline.open_run(place.job(mode="dump"), *place.databases()) as run, ThreadPoolExecutor(8) as executor:
        assert len(set(executor.map(ask, [run] * 8))) == 1
    assert left_in(private) == []


def test_a_folder_for_dumps_that_cannot_be_written_is_refused_and_no_other_is_taken(
    place: Place, private: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.in_origin(ORIGIN)
    monkeypatch.setenv("TMPDIR", str(private / "nowhere"))
    with pytest.raises(EtlError) as failed:
        place.run(RULES, mode="dump")
    assert failed.value.problems == (
        f"dump: TMPDIR is {private}/nowhere, which can't be written; set TMPDIR to a folder that can, or use mode stream",
    )
    place.run(RULES)
    nothing_left(place, private)


@pytest.mark.parametrize(("origin", "target"), [("16", "18"), ("18", "16")])
def test_a_role_that_may_select_the_tables_and_nothing_else_can_dump_them(
    origin: str, target: str, make_place: Callable[..., Place], private: Path
) -> None:
    place = make_place(origin, target)
    place.in_origin(ORIGIN)
    place.in_origin(
        "CREATE TABLE orders (id serial PRIMARY KEY, run bigint GENERATED ALWAYS AS IDENTITY);"
        "CREATE TABLE visits (id int NOT NULL, run int) PARTITION BY RANGE (id);"
        "CREATE TABLE visits_1 (id serial NOT NULL, run int); ALTER TABLE visits ATTACH PARTITION visits_1 DEFAULT"
    )
    role = f"reading_{place.number}"
    place.in_origin(
        f"CREATE ROLE {role} LOGIN PASSWORD 'x'; GRANT SELECT ON users, orders, visits, visits_1 TO {role}", superuser=True
    )
    _, to = place.databases()
    rules = RULES + "".join(
        f"  - table_name: {table}\n    non_anonymized_column_names: [id, run]\n" for table in ("orders", "visits")
    )
    origin_url = place.origin_server.url(place.name, role, "x")
    pipeline.run(place.job(mode="dump"), place.rules(rules), Database("origin", "shop", origin_url), to)
    assert run_of_users(place) == 1
    nothing_left(place, private)


def test_a_role_that_may_not_read_a_table_as_pg_dump_does_is_told_the_grant_before_anything_is_dumped(
    place: Place, private: Path
) -> None:
    place.in_origin(ORIGIN)
    place.in_origin(
        "CREATE TABLE visits (id int, run int) PARTITION BY RANGE (id);"
        "CREATE TABLE visits_1 PARTITION OF visits DEFAULT; INSERT INTO visits VALUES (1, 1)"
    )
    role = f"column_{place.number}"
    place.in_origin(
        f"CREATE ROLE {role} LOGIN PASSWORD 'x'; GRANT SELECT (id, name, run) ON users TO {role};"
        f"GRANT SELECT ON visits TO {role}",
        superuser=True,
    )
    _, to = place.databases()
    origin = Database("origin", "shop", place.origin_server.url(place.name, role, "x"))
    rules = place.rules(RULES + "  - table_name: visits\n    non_anonymized_column_names: [id, run]\n")
    pipeline.run(place.job(), rules, origin, to)
    with pytest.raises(CheckError) as failed:
        pipeline.run(place.job(mode="dump"), rules, origin, to)
    grants = [f'GRANT SELECT ON TABLE "public"."{table}" TO "{role}"' for table in ("users", "visits_1")]
    assert [problem.split("; ")[1] for problem in failed.value.problems] == [
        f"{place.in_its_origin}: {grant}, or use mode stream" for grant in grants
    ]
    place.in_origin("; ".join(grants), superuser=True)
    pipeline.run(place.job(mode="dump"), rules, origin, to)
    assert run_of_users(place) == 1
    nothing_left(place, private)


@pytest.mark.parametrize("name", ["pg_dump", "pg_restore"])
def test_a_client_program_whose_session_is_ended_in_the_middle_of_a_table_is_an_error_that_may_pass(
    name: str, place: Place, private: Path
) -> None:
    published(place)
    # 20 MB: more than the connections hold that the proxy keeps waiting
    place.in_origin("INSERT INTO users SELECT n, repeat('x', 1000), 2 FROM generate_series(100, 20000) AS n")
    side, server = ("origin", place.origin_server) if name == "pg_dump" else ("target", place.target_server)
    with behind_proxy(place, side) as (proxy, databases):
        (proxy.stall_at_answer if name == "pg_dump" else proxy.stall_at_request)(b"x" * 1000)
        run = Running(place, *databases, text=RULES, mode="dump")
        assert proxy.stalled.wait(PATIENCE)
        terminate(server, place.name, session_of(server, place.name, "state = 'active' AND query LIKE 'COPY %users%'"))
        proxy.go_on()
        result = run.ended()
    assert isinstance(result, ConnectionLost), result
    assert str(result).startswith("origin shop: dump failed: " if name == "pg_dump" else "target: restore failed: ")
    assert result.transient
    assert run_of_users(place) == 1
    nothing_left(place, private)


def test_a_pg_dump_that_is_told_to_end_in_the_middle_of_a_table_is_an_error_that_may_pass(
    place: Place, private: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    published(place)
    server = place.origin_server
    # a long value is in a table of its own, which is opened when the row is read; here it waits then
    place.in_origin(
        "ALTER TABLE users ALTER name SET STORAGE external; INSERT INTO users VALUES (21, repeat('x', 10000), 2)"
    )
    index_of_long = (
        "SELECT t.relname FROM pg_index AS i JOIN pg_class AS t ON t.oid = i.indexrelid "
        "JOIN pg_class AS c ON c.reltoastrelid = i.indrelid WHERE c.oid = 'users'::regclass"
    )
    with psycopg.connect(server.url(place.name)) as holder:
        ((index,),) = holder.execute(index_of_long).fetchall()
        reindex = sql.SQL("REINDEX INDEX pg_toast.{}").format(sql.Identifier(index))
        in_stage(monkeypatch, "dump", lambda: holder.execute(reindex))
        run = Running(place, text=RULES, mode="dump")
        waiting = "wait_event_type = 'Lock' AND query LIKE 'COPY %users%'"
        terminate(server, place.name, session_of(server, place.name, waiting))
        result = run.ended()
    assert isinstance(result, ConnectionLost), result
    assert str(result) == "origin shop: dump failed: table users: terminating connection"
    assert result.transient
    assert run_of_users(place) == 1
    nothing_left(place, private)


# A column that the target would compute on flattened types, or by another locale, with the reason why it is refused.
COMPUTED = {
    "half int, run int GENERATED ALWAYS AS (doubled(half)) STORED": (
        "computed by function public.doubled(integer), which the target lacks"
    ),
    "half status, run boolean GENERATED ALWAYS AS (half > 'new') STORED": "computed by type public.status",
    "half texts, run text GENERATED ALWAYS AS (lower(half)) STORED": (
        "computed from users.half of type public.texts, which is text in the target"
    ),
    "half int, run int GENERATED ALWAYS AS (half::positive) STORED": "computed by type public.positive",
    "half int, run text GENERATED ALWAYS AS ('x' COLLATE odd) STORED": "computed by collation public.odd",
    "half text, run text GENERATED ALWAYS AS (upper(half)) STORED": (
        "computed from text, and origin and target have other locales"
    ),
    "half int, run int GENERATED ALWAYS AS (half * 2) STORED": "published",
}


@pytest.mark.parametrize("columns", COMPUTED)
def test_a_column_that_the_target_would_compute_otherwise_is_refused_before_anything_is_dumped(
    columns: str, place: Place, private: Path
) -> None:
    place.in_origin(
        f"""
        CREATE FUNCTION doubled(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1 * 2';
        CREATE TYPE status AS ENUM ('new', 'closed');
        CREATE TYPE texts AS RANGE (subtype = text);
        CREATE DOMAIN positive AS int CHECK (VALUE > 0);
        CREATE COLLATION odd (locale = 'C');
        CREATE TABLE users (id int PRIMARY KEY, name text, {columns});
        CREATE TABLE secrets (id int)
        """
    )
    if "upper" in columns:
        with psycopg.connect(place.target_server.url(), autocommit=True) as connection:
            names = sql.Identifier(place.name), sql.Identifier(place.etl)
            connection.execute(sql.SQL("DROP DATABASE {}").format(names[0]))
            connection.execute(sql.SQL("CREATE DATABASE {} OWNER {} TEMPLATE template0 LOCALE 'C'").format(*names))
    rules = RULES.replace("[run]", "[run, half]")
    if COMPUTED[columns] != "published":
        with pytest.raises(CheckError) as failed:
            place.run(rules, mode="dump")
        (problem,) = failed.value.problems
        assert problem.startswith(f"origin shop: column users.run is {COMPUTED[columns]}"), problem
        assert problem.endswith("; use mode stream")
    place.run(rules)
    nothing_left(place, private)


def test_a_table_named_like_the_marker_of_raw_data_is_refused_before_anything_is_dumped(place: Place, private: Path) -> None:
    place.in_origin(ORIGIN + "; CREATE TABLE etl_raw_data (id int PRIMARY KEY)")
    rules = RULES + "  - {table_name: etl_raw_data, anonymized_column_names: [], non_anonymized_column_names: []}\n"
    with pytest.raises(CheckError) as failed:
        place.run(rules, mode="dump")
    assert failed.value.problems == ("origin shop: table etl_raw_data has the name of what marks raw data; use mode stream",)
    place.run(rules)
    nothing_left(place, private)


def test_what_pg_restore_says_of_a_row_is_told_to_nobody(
    place: Place, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, private: Path
) -> None:
    published(place)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    psql = f'{PROGRAMS["18"] / "psql"} -qX -c "ALTER TABLE public.users ALTER name TYPE int USING 0" "{place.target_url}"'
    program(tmp_path, "pg_restore", f'[[ "$*" == *--dbname* ]] && {psql}; exec "$real" "$@"')
    with pytest.raises(EtlError) as failed:
        place.run(RULES, mode="dump")
    assert failed.value.problems == (
        "target: restore failed: table users: its message may quote a row, and stands in the server's log only",
    )
    assert not failed.value.transient
    assert run_of_users(place) == 1
    nothing_left(place, private)


def test_what_pg_restore_says_of_a_row_of_a_backup_in_inserts_is_told_to_nobody(
    place: Place, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, private: Path
) -> None:
    published(place)
    file = backup(place, tmp_path / "backup", "--format=custom", "--inserts")
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    psql = f'{PROGRAMS["18"] / "psql"} -qX -c "ALTER TABLE public.users ALTER name TYPE int USING 0" "{place.target_url}"'
    program(tmp_path, "pg_restore", f'[[ "$*" == *--dbname* ]] && {psql}; exec "$real" "$@"')
    with pytest.raises(EtlError) as failed:
        place.run(RULES, mode="dump", from_dump=str(file))
    assert failed.value.problems == (
        "target: restore failed: its message may quote a row, and stands in the server's log only",
    )
    nothing_left(place, private)


def test_client_programs_are_asked_for_english(
    place: Place, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, private: Path
) -> None:
    place.in_origin(ORIGIN)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setenv("LC_ALL", "fr_FR.UTF-8")
    monkeypatch.setenv("LANGUAGE", "fr")
    for name in ("pg_dump", "pg_restore"):
        program(tmp_path, name, f'echo "$LC_ALL $LANGUAGE" >> {tmp_path / "asked"}; exec "$real" "$@"')
    place.run(RULES, mode="dump")
    assert {*(tmp_path / "asked").read_text().splitlines()} == {"C C"}


# The raw schema of the target.


def test_what_others_have_in_public_is_refused_by_name_and_dropped_only_on_demand(place: Place, private: Path) -> None:
    place.in_origin(ORIGIN)
    place.in_target(
        'CREATE TABLE "their Table" (id int); CREATE VIEW their_view AS SELECT 1; CREATE TYPE their_type AS ENUM ();'
        "CREATE FUNCTION their_function(int) RETURNS int LANGUAGE sql AS 'SELECT 1'"
    )
    with pytest.raises(CheckError) as failed:
        place.run(RULES, mode="dump")
    assert [problem.partition(" of role")[0] for problem in failed.value.problems] == [
        'target: table public."their Table"',
        "target: view public.their_view",
        "target: type public.their_type",
        "target: function public.their_function(integer)",
    ]
    assert "clear_raw" in failed.value.problems[0]
    place.run(RULES)
    assert place.read("SELECT 1 FROM public.their_view", as_="etl") == [(1,)]
    place.run(RULES, mode="dump", clear_raw=True)
    nothing_left(place, private)


@pytest.mark.parametrize("clear", [False, True])
def test_a_schema_of_the_target_that_is_named_like_the_origins_is_never_filled_nor_dropped(
    clear: bool, place: Place, private: Path
) -> None:
    place.in_origin("CREATE SCHEMA sales; SET search_path = sales;" + ORIGIN)
    place.in_target("CREATE SCHEMA sales; CREATE TABLE sales.theirs (id int)")
    with pytest.raises(CheckError) as failed:
        place.run(RULES, mode="dump", origin_schema="sales", clear_raw=clear)
    assert failed.value.problems == (
        "target: schema sales is there, and mode dump would fill and drop it; rename it, or use mode stream",
    )
    assert place.read("SELECT count(*) FROM sales.theirs", as_="etl") == [(0,)]
    with pytest.raises(CheckError, match="it is the published one; publish under another name, or use mode stream"):
        place.run(RULES, mode="dump", origin_schema="sales", schema="sales", clear_raw=clear)
    assert left_in(private) == []


def test_a_table_of_another_role_stays_even_on_demand(place: Place, private: Path) -> None:
    place.in_origin(ORIGIN)
    place.in_target("CREATE TABLE public.theirs (id int)", superuser=True)
    with pytest.raises(CheckError) as failed:
        place.run(RULES, mode="dump", clear_raw=True)
    assert failed.value.problems == ("target: table public.theirs of role postgres stays in schema public; drop it",)
    assert place.read("SELECT count(*) FROM public.theirs", as_="superuser") == [(0,)]
    assert place.schemas() == set()
    assert place.read(MEMBERS.replace("t.typname FROM pg_type AS t", "t.typname FROM pg_type AS t"), as_="superuser")[0] == (
        "theirs",
    )


def test_a_view_of_others_on_raw_data_keeps_no_row_of_it_and_the_next_run_names_the_view(
    place: Place, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, private: Path
) -> None:
    published(place)
    monkeypatch.setattr(dropping, "_PATIENCE", 0)
    after_restore(place, tmp_path, monkeypatch, "CREATE VIEW public.theirs AS SELECT * FROM public.users")
    assert place.run(RULES, mode="dump").warnings == (
        "schema public stays: it is in use, or others made something in it; the next run tries again",
    )
    (tmp_path / "pg_restore").unlink()
    assert run_of_users(place) == 2
    assert place.read("SELECT count(*) FROM public.theirs", as_="superuser") == [(0,)]
    with pytest.raises(CheckError) as failed:
        place.run(RULES, mode="dump")
    assert failed.value.problems[0].startswith("target: view public.theirs of role postgres stands in schema public, ")
    place.in_target("DROP VIEW public.theirs", superuser=True)
    place.run(RULES)
    nothing_left(place, private)


def test_a_role_that_may_not_create_in_public_is_told_the_grant_before_anything_is_dumped(
    place: Place, tmp_path: Path, private: Path
) -> None:
    place.in_origin(ORIGIN)
    place.in_target(
        f"ALTER DATABASE {place.name} OWNER TO postgres; GRANT CREATE ON DATABASE {place.name} TO {place.etl}",
        superuser=True,
    )
    grant = f'GRANT USAGE, CREATE ON SCHEMA "public" TO "{place.etl}"'
    wanted = (
        f"target: role {place.etl} may not create tables in schema public, which mode dump fills with raw data; "
        f"{place.in_its_target}: {grant}"
    )
    for from_dump in ("", str(backup(place, tmp_path / "backup", "--format=custom"))):
        with pytest.raises(CheckError) as failed:
            place.run(RULES, mode="dump", from_dump=from_dump)
        assert failed.value.problems == (wanted,)
    place.in_target(grant, superuser=True)
    place.run(RULES, mode="dump")
    nothing_left(place, private)


@pytest.mark.parametrize("to", ["PUBLIC", "{reader}", "analyst"])
@pytest.mark.parametrize("backed_up", [False, True])
def test_no_default_privilege_shows_raw_data_to_anybody(
    to: str, backed_up: bool, place: Place, private: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.in_origin(ORIGIN)
    analyst = f"analyst_{place.number}"
    place.in_target(f"CREATE ROLE {analyst}; GRANT USAGE ON SCHEMA public TO PUBLIC", superuser=True)
    who = {"analyst": analyst, "{reader}": place.reader}.get(to, to)
    place.in_target(
        f"ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO {who} WITH GRANT OPTION".replace(
            "PUBLIC WITH GRANT OPTION", "PUBLIC"
        )
    )
    seen: list[tuple[object, ...]] = []

    def look() -> None:
        seen.extend(
            place.read(
                "SELECT count(*), has_table_privilege($$" + (place.reader if to == "{reader}" else analyst) + "$$, "
                "'public.users', 'SELECT') FROM public.users",
                as_="superuser",
            )
        )

    file = str(backup(place, tmp_path / "backup", "--format=custom")) if backed_up else ""
    in_stage(monkeypatch, "index", look)
    place.run(RULES, mode="dump", from_dump=file)
    assert seen == [(20, False)]
    assert run_of_users(place) == 1
    nothing_left(place, private)


def test_no_function_of_a_backup_reads_raw_data_for_the_reader(
    place: Place, private: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.in_origin(ORIGIN)
    place.in_origin(
        "CREATE FUNCTION name_of(int) RETURNS text LANGUAGE sql STABLE SECURITY DEFINER "
        "AS 'SELECT name FROM public.users WHERE id = $1'"
    )
    place.in_target("GRANT USAGE ON SCHEMA public TO PUBLIC", superuser=True)
    tried: list[str] = []

    def look() -> None:
        assert place.read("SELECT public.name_of(3) IS NOT NULL", as_="superuser") == [(True,)]
        with pytest.raises(psycopg.errors.InsufficientPrivilege) as refused:
            place.read("SELECT public.name_of(3)")
        tried.append(str(refused.value.diag.message_primary))

    in_stage(monkeypatch, "index", look)
    place.run(RULES, mode="dump", from_dump=str(backup(place, tmp_path / "backup", "--format=custom")))
    assert tried == ["permission denied for table users"]
    nothing_left(place, private)


@pytest.mark.parametrize("jobs", [1, 4])
def test_a_table_that_is_truncated_while_pg_dump_waits_for_its_lock_fails_the_run(
    jobs: int, place: Place, private: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    published(place)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    begun, goes_on = tmp_path / "begun", tmp_path / "goes_on"
    wait = f"touch {begun}; until [[ -e {goes_on} ]]; do sleep 0.05; done"
    program(tmp_path, "pg_dump", f'[[ "$*" == *--snapshot* ]] && {{ {wait}; }}; exec "$real" "$@"')
    with psycopg.connect(place.origin_url) as migration, ThreadPoolExecutor() as executor:
        run = executor.submit(place.run, RULES, mode="dump", jobs=jobs)
        eventually(begun.exists, "pg_dump begins")
        migration.execute("TRUNCATE users; INSERT INTO users SELECT n, 'Marie', 3 FROM generate_series(1, 20) AS n")
        goes_on.touch()
        waiting = "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND relation = 'users'::regclass)"
        with psycopg.connect(place.origin_url, autocommit=True) as looking:
            eventually(lambda: looking.execute(waiting).fetchall() == [(True,)], "pg_dump waits for the lock")
        migration.commit()
        with pytest.raises(OriginChanged) as failed:
            run.result()
    assert str(failed.value) == "origin shop: table users was rewritten or truncated while it was dumped; start again"
    assert run_of_users(place) == 1
    nothing_left(place, private)


def test_rows_that_are_lost_between_the_origin_and_a_raw_table_fail_the_run(
    place: Place, private: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    published(place)
    restore = pipeline.restore

    def restore_then_lose(*arguments: Any, **more: Any) -> Any:
        restored = restore(*arguments, **more)
        place.in_target("DELETE FROM public.users WHERE id = 7")
        return restored

    monkeypatch.setattr(pipeline, "restore", restore_then_lose)
    with pytest.raises(VerifyError) as failed:
        place.run(RULES, mode="dump")
    assert str(failed.value) == "target: raw table users holds 19 rows; 20 left the origin; start again"
    assert run_of_users(place) == 1
    nothing_left(place, private)


def test_one_app_at_a_time_has_public_and_the_others_wait(
    place: Place, private: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("multischema.postgres.locks._LOCK_POLL", 0.05)
    place.in_origin(ORIGIN)
    with psycopg.connect(place.target_url) as other:
        other.execute("SELECT pg_advisory_lock(6648940, hashtext('public'))")
        with pytest.raises(LockTimeout, match="another run of schema public is still going on"):
            place.run(RULES, mode="dump", lock_wait=0)
    place.run(RULES, mode="dump")
    with ThreadPoolExecutor() as executor:
        runs = [
            executor.submit(place.run, RULES, mode="dump", schema=schema, app=schema, lock_wait=60)
            for schema in ("one", "two")
        ]
        for run in runs:
            run.result()
    assert place.schemas() == {"shop", "one", "two"}
    assert place.read(MEMBERS, as_="superuser") == []
    assert left_in(private) == []


@pytest.mark.parametrize("schema", ["public", "sales"])
def test_what_another_run_makes_and_drops_meanwhile_is_no_strangers(schema: str, place: Place) -> None:
    job = place.job(mode="dump", origin_schema=schema)
    _, target = place.databases()
    with Sessions("looking") as looking, Sessions("others") as others, ThreadPoolExecutor() as executor:
        with others.lend(target, "shop") as connection:

            def enter_and_leave() -> None:
                for _ in range(100):
                    raw_schema.enter(connection, job, schema, ["users", "secrets"])
                    for name in ("users", "secrets"):
                        connection.execute(sql.SQL("CREATE TABLE {} (id int)").format(sql.Identifier(schema, name)))
                    assert raw_schema.leave_own(connection, schema)

            running = executor.submit(enter_and_leave)
            with looking.lend(target, "shop") as connection_of_check:
                while not running.done():
                    assert raw_schema.strangers(connection_of_check, job, schema) == []
            running.result()


def test_the_session_that_is_kept_alive_can_be_asked_for_strangers(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "HEARTBEAT", 0.0001)
    with Sessions("multi-schema test") as opened:
        held = opened.open(place.databases()[1])
        opened.keep_alive(held)
        assert [raw_schema.strangers(held, place.job(mode="dump"), "public") for _ in range(200)] == [[]] * 200


def test_raw_tables_are_in_no_wal_and_have_no_index(place: Place, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    place.in_origin(ORIGIN)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    question = (
        "SELECT c.relname, c.relpersistence, (SELECT count(*) FROM pg_index WHERE indrelid = c.oid), "
        "(SELECT count(*) FROM pg_constraint WHERE conrelid = c.oid AND contype <> 'n') "
        "FROM pg_class AS c WHERE relnamespace = 'public'::regnamespace"
    )
    psql = f'{PROGRAMS["18"] / "psql"} -AtX -c "{question}" "{place.target_url}" >> {tmp_path}/raw'
    program(tmp_path, "pg_restore", f'"$real" "$@"; status=$?; [[ "$*" == *--dbname* ]] && {psql}; exit $status')
    file = backup(place, tmp_path / "backup", "--format=custom")
    place.run(RULES, mode="dump")
    place.run(RULES, mode="dump", from_dump=str(file))
    assert sorted((tmp_path / "raw").read_text().splitlines()) == ["secrets|u|0|0", "users|u|0|0", "users|u|0|0"]


# Kept dumps.


def test_a_kept_dump_is_told_of_and_the_next_run_starts_from_it(place: Place, private: Path) -> None:
    published(place)
    kept = private / "multi-schema-postgres-etl-kept-shop"
    first = place.run(RULES, mode="dump", keep_dump=True)
    assert first.warnings == (f"the dump with its personal data is kept in {kept}; delete it",)
    assert stat.S_IMODE(kept.stat().st_mode) == 0o700
    assert run_of_users(place) == 2
    place.in_origin("UPDATE users SET run = 3")
    second = place.run(RULES, mode="dump", keep_dump=True)
    assert second.warnings == (f"the dump {kept} of an earlier run was restored",)
    assert run_of_users(place) == 2
    place.in_origin("ALTER TABLE users ADD phone text")
    with pytest.raises(EtlError, match="is of other tables than there are now; delete it"):
        place.run(RULES.replace("[run]", "[run, phone]"), mode="dump", keep_dump=True)
    place.run(RULES.replace("[run]", "[run, phone]"), mode="dump")
    assert run_of_users(place) == 3
    assert left_in(private) == [kept.name]
