"""The reader as an attacker: whatever it asks, during a run and after it, it sees published schemas and nothing else."""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import errors, sql

from multischema import pipeline
from multischema.errors import EtlError
from multischema.plan.plan import Plan
from multischema.stages.index import Indexed
from multischema.stages.run import Run
from tests.conftest import PROGRAMS, Place
from tests.support.markers import Markers, found, rules

pytestmark = pytest.mark.slow

READABLE = """
SELECT n.nspname::text, c.relname::text, array_agg(a.attname::text ORDER BY a.attnum)
FROM pg_class AS c
JOIN pg_namespace AS n ON n.oid = c.relnamespace
JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE c.relkind IN ('r', 'v', 'm', 'f', 'p', 'S')
  AND has_schema_privilege(n.oid, 'USAGE') AND has_column_privilege(c.oid, a.attnum, 'SELECT')
GROUP BY 1, 2
"""
# Definitions of indexes that quote a row, as index definitions are everyone's to read.
QUOTING = """
CREATE INDEX ON people (plain) WHERE email = {};
CREATE INDEX ON people (plain, (first = {}));
CREATE INDEX ON versions (id) WHERE object = {};
"""
# What each of these would show or change is not the reader's. {staging}, {etl}, {reader} and {file} are filled in as names.
REFUSED = """
SELECT * FROM {staging}.people
COPY {staging}.people TO STDOUT
CREATE TEMP TABLE mine AS SELECT * FROM {staging}.people
CREATE TEMP TABLE mine (LIKE {staging}.people)
SELECT * FROM query_to_xml('SELECT * FROM ' || {staging_text} || '.people', true, true, '')
SELECT * FROM table_to_xml(({staging_text} || '.people')::regclass, true, true, '')
CREATE TABLE {staging}.mine ()
ALTER SCHEMA {staging} RENAME TO mine
GRANT USAGE ON SCHEMA {staging} TO {reader}
ALTER DEFAULT PRIVILEGES FOR ROLE {etl} GRANT SELECT ON TABLES TO {reader}
SET ROLE {etl}
SET SESSION AUTHORIZATION {etl}
GRANT {etl} TO {reader}
ALTER ROLE {etl} PASSWORD 'mine'
ALTER ROLE {reader} SUPERUSER
CREATE FUNCTION pg_temp.mine() RETURNS text LANGUAGE c AS 'libpq', 'mine'
SELECT pg_read_file('PG_VERSION')
SELECT pg_read_binary_file('PG_VERSION')
SELECT pg_ls_dir('base')
SELECT pg_ls_waldir()
SELECT lo_import('/etc/passwd')
COPY (SELECT 1) TO PROGRAM 'cat'
COPY (SELECT 1) TO '/tmp/mine'
CREATE TEMP TABLE mine (line text); COPY mine FROM '/etc/passwd'
SELECT * FROM pg_largeobject
SELECT * FROM pg_statistic
SELECT * FROM pg_authid
SELECT pg_create_logical_replication_slot('mine', 'test_decoding')
SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = {etl_text}
SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE usename = {etl_text}
LOCK TABLE shop.people IN ROW EXCLUSIVE MODE
DELETE FROM shop.people
TRUNCATE shop.people
DROP TABLE shop.people
CREATE TABLE shop.mine ()
CREATE INDEX ON shop.people (plain)
ALTER SCHEMA shop RENAME TO mine
""".strip().splitlines()


def everything(place: Place) -> Iterator[bytes]:
    """Read every column of every relation that the reader may read, catalogs and statistics among them."""
    with psycopg.connect(place.reader_url, autocommit=True) as connection:
        relations = connection.execute(READABLE).fetchall()
        assert len(relations) > 100
        for schema, name, columns in relations:
            query = sql.SQL("COPY (SELECT {} FROM {}) TO STDOUT").format(
                sql.SQL(", ").join(map(sql.Identifier, columns)), sql.Identifier(schema, name)
            )
            try:
                with connection.cursor().copy(query) as copy:
                    yield b"".join(bytes(data) for data in copy)
            except (errors.InsufficientPrivilege, errors.ObjectNotInPrerequisiteState, errors.FeatureNotSupported):
                continue  # a view over a function that is not the reader's


def statistics(place: Place) -> Iterator[bytes]:
    """Read what the reader sees of the published columns' statistics."""
    for row in place.read("SELECT most_common_vals::text, histogram_bounds::text FROM pg_stats WHERE schemaname = 'shop'"):
        yield repr(row).encode()


def unrefused(place: Place, staging: str) -> list[str]:
    """Return the statements that the server did not refuse the reader, each tried in a transaction of its own."""
    names: Mapping[str, Any] = {
        "staging": sql.Identifier(staging),
        "staging_text": sql.Literal(staging),
        "etl": sql.Identifier(place.etl),
        "etl_text": sql.Literal(place.etl),
        "reader": sql.Identifier(place.reader),
    }
    passed = []
    with psycopg.connect(place.reader_url, autocommit=True) as connection:
        for statement in REFUSED:
            try:
                with connection.transaction(force_rollback=True):
                    composed = sql.SQL(statement).format(**names)
                    if statement.startswith("COPY") and "STDOUT" in statement:
                        with connection.cursor().copy(composed) as copy:
                            copy.read()
                    else:
                        connection.execute(composed)
                passed.append(statement)
            except errors.InsufficientPrivilege:
                continue
    return passed


@pytest.mark.parametrize("mode", ["stream", "dump"])
@pytest.mark.parametrize(("origin", "target"), [("16", "18"), ("18", "16")])
def test_nothing_that_the_reader_can_read_or_try_shows_what_is_personal_or_in_the_making(
    origin: str,
    target: str,
    mode: str,
    make_place: Callable[..., Place],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("PATH", str(PROGRAMS["18"]), prepend=":")
    place = make_place(origin, target)
    markers = Markers()
    place.in_origin(markers.origin(virtual=origin == "18"))
    quoting = sql.SQL(QUOTING).format(*(sql.Literal(markers.text[name]) for name in ("email", "first", "truncated")))
    place.in_origin(quoting.as_string())
    personal, controls = markers.found_by("personal"), markers.found_by("plain")
    place.run(rules(), mode=mode)
    index = pipeline.index
    attacked = False

    def index_then_attack(run: Run, plan: Plan) -> Indexed:
        indexed = index(run, plan)
        # all is there now: staging, yesterday's schema, in mode dump raw tables in public
        raw = place.read("SELECT count(*) FROM pg_class WHERE relname = 'people' AND relnamespace = 'public'::regnamespace")
        assert raw == [(1 if mode == "dump" else 0,)]
        if mode == "dump":
            with pytest.raises(errors.InsufficientPrivilege):
                place.read("SELECT * FROM public.people")
        assert found(personal, everything(place)) == set()
        assert unrefused(place, run.job.staging) == []
        nonlocal attacked
        attacked = True
        return indexed

    monkeypatch.setattr(pipeline, "index", index_then_attack)
    place.run(rules(), mode=mode)

    assert attacked
    assert found(personal, everything(place)) == set()
    # the same search finds what is not masked, in tables and in statistics
    assert found(controls, everything(place)) == set(controls)
    assert found(controls, statistics(place)) >= {"plain", "plain_tag", "plain_mood"}


# Functions and an operator that fit the questions of a run better than those of pg_catalog, where their schema is searched.
PLANTED = """
CREATE FUNCTION {schema}.obj_description(oid, text) RETURNS text LANGUAGE sql AS 'SELECT {own}.catch()';
CREATE FUNCTION {schema}.format(text, text, name) RETURNS text LANGUAGE sql AS 'SELECT {own}.catch()';
CREATE FUNCTION {schema}.format(text, name, name) RETURNS text LANGUAGE sql AS 'SELECT {own}.catch()';
CREATE FUNCTION {schema}.pg_total_relation_size(oid) RETURNS bigint LANGUAGE sql AS 'SELECT length({own}.catch())';
CREATE FUNCTION {schema}.same(oid, regclass) RETURNS bool LANGUAGE sql AS 'SELECT {own}.catch() IS NULL';
CREATE OPERATOR {schema}.= (LEFTARG = oid, RIGHTARG = regclass, FUNCTION = {schema}.same);
"""
TRAP = """
CREATE SCHEMA {own};
GRANT USAGE ON SCHEMA {own} TO PUBLIC;
CREATE TABLE {own}.caught (who text);
GRANT INSERT ON {own}.caught TO PUBLIC;
CREATE FUNCTION {own}.catch() RETURNS text LANGUAGE sql
    AS 'INSERT INTO {own}.caught VALUES (current_user); SELECT current_user::text';
"""


@pytest.mark.parametrize("mode", ["stream", "dump"])
@pytest.mark.parametrize("where", ["not published yet", "shop", "public"])
def test_code_that_others_put_into_a_schema_is_never_run_by_the_etl(
    where: str, mode: str, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(PROGRAMS["18"]), prepend=":")
    place.in_origin("CREATE TABLE users (id int PRIMARY KEY, name text); INSERT INTO users VALUES (1, 'Marie')")
    rules_file = "tables: [{table_name: users, anonymized_column_names: [name]}]"
    place.in_target(f"GRANT CREATE ON DATABASE {place.name} TO {place.reader}", superuser=True)
    own, schema = f"trap_{place.number}", "public" if where == "public" else "shop"

    def as_reader(statements: str) -> None:
        with psycopg.connect(place.reader_url, autocommit=True) as connection:
            connection.execute(statements.format(own=own, schema=schema).encode())

    def plant() -> None:
        as_reader(PLANTED)
        with psycopg.connect(place.reader_url, options=f"-c search_path={schema}", autocommit=True) as connection:
            assert connection.execute("SELECT obj_description(1::oid, 'x')").fetchall() == [(place.reader,)]

    as_reader(TRAP)
    if where == "not published yet":
        as_reader("CREATE SCHEMA {schema}; GRANT USAGE ON SCHEMA {schema} TO PUBLIC")
    else:
        if where == "shop":
            place.run(rules_file, mode=mode)
        place.in_target(f"GRANT CREATE, USAGE ON SCHEMA {schema} TO {place.reader}", superuser=True)
    if mode == "dump" and where == "public":  # what is there before is refused by name; this comes amid the run
        restore = pipeline.restore

        def restore_then_plant(*arguments: Any, **more: Any) -> Any:
            restored = restore(*arguments, **more)
            plant()
            return restored

        monkeypatch.setattr(pipeline, "restore", restore_then_plant)
    else:
        plant()
    with contextlib.suppress(EtlError):  # a schema of others, or with things of others in it, is refused
        place.run(rules_file, mode=mode)
    assert place.read(f"SELECT DISTINCT who FROM {own}.caught") == [(place.reader,)]
