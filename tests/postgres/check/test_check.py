"""The check stage: all that must hold before a run reads or writes, and the line that says what does not."""

import logging
import socket
from collections.abc import Callable
from dataclasses import replace
from urllib.parse import urlsplit

import psycopg
import pytest
import yaml
from psycopg import sql

from multischema import pipeline
from multischema.catalog.objects import MissingType
from multischema.errors import TOO_SMALL_A_POOL, DatabaseError, EtlError, LockTimeout
from multischema.postgres import database
from multischema.postgres.database import Database
from multischema.stages import preconditions
from tests.conftest import PASSWORD, PROGRAMS, Place
from tests.support import readers
from tests.support.checks import ORIGIN, RULES, check, problems
from tests.support.gates import eventually
from tests.support.origins import SERVER
from tests.support.pooler import pooled
from tests.support.readers import KINDS, Watched, make_role
from tests.support.snippets import pasted

UNREACHABLE = "postgresql://someone:s3cr%40t%2Fs3cr%40t@127.0.0.1:1/somewhere"
WANTED_URL = (
    "want postgresql://user:password@host:port/database, with special characters of user and password as %-escapes "
    "(@ is %40, / is %2F)"
)
REFUSED = (
    'can\'t connect: connection to server at "127.0.0.1", port 1 failed: Connection refused; '
    "check host and port in the URL, and that this machine may reach them"
)
REFUSED_POOLER = (
    "the URL leads to a pooler (such as PgBouncer in transaction mode), which can't {use}; "
    "use the server's own address and port, or session mode"
)
# What a catalog holds, with the transaction that wrote each row; without statistics, which the server refreshes at will.
CATALOG = """
SELECT format('%s %s', xmin, row(n.*)) FROM pg_namespace AS n
UNION ALL SELECT format('%s %s %s %s %s', xmin, oid, relname, relacl, relfilenode) FROM pg_class
UNION ALL SELECT format('%s %s', xmin, row(a.*)) FROM pg_attribute AS a
UNION ALL SELECT format('%s %s', xmin, row(t.*)) FROM pg_type AS t
UNION ALL SELECT format('%s %s', xmin, row(p.*)) FROM pg_proc AS p
UNION ALL SELECT format('%s %s', xmin, row(d.*)) FROM pg_depend AS d
UNION ALL SELECT format('%s %s', xmin, row(s.*)) FROM pg_db_role_setting AS s
UNION ALL SELECT format('%s %s', xmin, row(m.*)) FROM pg_auth_members AS m
UNION ALL SELECT format('%s %s', xmin, row(e.*)) FROM pg_extension AS e
"""
NEXT_TRANSACTION = "SELECT pg_snapshot_xmax(pg_current_snapshot())::text"


@pytest.fixture
def shop(place: Place) -> Place:
    """Return a place whose origin the rules fit."""
    place.in_origin(ORIGIN)
    return place


# Reaching the servers.


def test_what_is_right_passes(shop: Place) -> None:
    assert [table.name for table in check(shop).tables] == ["users", "tokens"]
    assert shop.schemas() == set()


def test_an_unreachable_origin_is_named(shop: Place) -> None:
    assert problems(shop, origin=UNREACHABLE) == [f"origin shop: {REFUSED}"]


def test_an_unreachable_target_is_named(shop: Place) -> None:
    assert problems(shop, target=UNREACHABLE) == [f"target: {REFUSED}"]


def test_a_target_that_a_backup_can_t_be_restored_into_is_named_once(shop: Place) -> None:
    _, target = shop.databases()
    broken = Database("target", "shop", UNREACHABLE)
    for reached, wanted in ((broken, f"target: {REFUSED}"), (target, "dump /nowhere: there is no such file")):
        job = shop.job(from_dump="/nowhere")
        with pytest.raises(EtlError) as failed, pipeline.open_run(job, reached.backup(), reached) as run:
            pipeline.check(run, RULES.encode())
        assert failed.value.problems == (wanted,)


def test_an_origin_and_a_target_that_are_both_unreachable_are_a_line_each(shop: Place) -> None:
    assert problems(shop, origin=UNREACHABLE, target=UNREACHABLE) == [f"origin shop: {REFUSED}", f"target: {REFUSED}"]


def test_two_addresses_that_fail_alike_are_told_of_in_one_line(shop: Place) -> None:
    (line,) = problems(shop, origin="postgresql://someone:s3cr@127.0.0.1:1,127.0.0.1:2/somewhere")
    assert line.count("Connection refused") == 2
    assert line.endswith("failed: Connection refused; check host and port in the URL, and that this machine may reach them")


def test_a_host_that_has_no_address_is_named(shop: Place) -> None:
    (line,) = problems(shop, origin="postgresql://someone:s3cr@nowhere.invalid/somewhere")
    assert line.startswith("origin shop: can't connect: failed to resolve host 'nowhere.invalid'")
    assert line.endswith("; check host and port in the URL, and that this machine may reach them")


def test_a_server_that_never_answers_is_given_up(shop: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "CONNECT_TIMEOUT", 2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        (line,) = problems(shop, target=f"postgresql://someone:s3cr@127.0.0.1:{silent.getsockname()[1]}/somewhere")
    assert line == (
        "target: can't connect: no answer from 127.0.0.1 in 2 s; "
        "check host and port in the URL, and that this machine may reach them"
    )


@pytest.mark.parametrize("side", ["origin", "target"])
def test_a_wrong_password_is_told_of_without_it(shop: Place, side: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    server = shop.origin_server if side == "origin" else shop.target_server
    role = shop.app if side == "origin" else shop.etl
    lines = problems(shop, **{side: server.url(shop.name, role, "s3cr@t/s3cr@t")})
    assert lines == [
        f'{"origin shop" if side == "origin" else "target"}: can\'t connect: connection to server at "127.0.0.1", '
        f'port {server.port} failed: FATAL: password authentication failed for user "{role}"; '
        "check user and password in the URL, special characters as %-escapes, and whether the password has expired"
    ]
    assert "s3cr" not in caplog.text


def test_a_password_that_is_the_role_s_name_as_well_is_not_told(shop: Place) -> None:
    (line,) = problems(shop, target=shop.target_server.url(shop.name, "s3cr-s3cr", "s3cr-s3cr"))
    assert 'password authentication failed for user "***"' in line


def test_an_unknown_database_is_named(shop: Place) -> None:
    (line,) = problems(shop, origin=shop.origin_server.url("nowhere", shop.app, PASSWORD))
    assert line.startswith("origin shop: can't connect: ")
    assert line.endswith('FATAL: database "nowhere" does not exist; check the database\'s name at the end of the URL')


NOT_A_URL = "this is not a Postgres URL; want postgresql://user:password@host:port/database"
SPLIT = f"the URL has an @ too many, or a / before it; {WANTED_URL}"
UNREADABLE = f"the URL can't be read; {WANTED_URL}, and no parameter that libpq does not know"
NO_DATABASE = "the URL names no database; want postgresql://user:password@host:port/database"
BAD_PORT = f"the URL's port is not a number from 1 to 65535; {WANTED_URL}"


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("s3cr@t", NOT_A_URL),
        ("host=127.0.0.1 password=s3cr@t", NOT_A_URL),
        ("mysql://user:s3cr@127.0.0.1/db", NOT_A_URL),
        ("postgresql://user:a@s3cr@127.0.0.1/db", SPLIT),
        ("postgresql://user:a?b@s3cr@127.0.0.1/db", SPLIT),
        ("postgresql://user:a/s3cr@127.0.0.1:5432/db", SPLIT),
        ("postgresql://127.0.0.1:5432/s3cr@t", SPLIT),
        ("postgresql://127.0.0.1:s3cr/db", BAD_PORT),
        ("postgresql://user:s3cr@127.0.0.1:54x/db", BAD_PORT),
        ("postgresql://user:s3cr@127.0.0.1:65536/db", BAD_PORT),
        ("postgresql://user:s3cr@127.0.0.1:5432,[::1]:0/db", BAD_PORT),
        ("postgresql://s3cr:s3cr@127.0.0.1", NO_DATABASE),
        ("postgresql://s3cr:s3cr@127.0.0.1:5432/", NO_DATABASE),
        ("postgres://s3cr:s3cr@127.0.0.1?sslmode=require", NO_DATABASE),
        ("postgresql://127.0.0.1:s3cr/x?y", UNREADABLE),
        ("postgresql://user:s3cr%zz@127.0.0.1/db", UNREADABLE),
        ("postgresql://user:s3cr t@127.0.0.1/db", UNREADABLE),
        ("postgresql://user:s3cr@127.0.0.1/db?sslmod=require", UNREADABLE),
    ],
)
def test_a_url_that_is_none_is_told_of_without_a_word_of_it(url: str, found: str) -> None:
    with pytest.raises(DatabaseError) as caught:
        Database("origin", "shop", url).parameters()
    assert str(caught.value) == f"origin shop: {found}"


def test_a_url_that_can_t_be_read_stops_the_check(shop: Place) -> None:
    assert problems(shop, origin="postgresql://user:a@s3cr@127.0.0.1/db") == [f"origin shop: {SPLIT}"]


@pytest.mark.parametrize(
    ("written", "meant"), [("a#b", "a#b"), ("a?b", "a?b"), ("a:b", "a:b"), ("éè", "éè"), ("a%40b%2Fc%25%20d", "a@b/c% d")]
)
def test_a_password_may_hold_anything_as_it_is_or_escaped(written: str, meant: str) -> None:
    parameters = Database("origin", "shop", f" postgresql://user:{written}@127.0.0.1:5432/db\n").parameters()
    assert [parameters[name] for name in ("password", "host", "port", "dbname")] == [meant, "127.0.0.1", "5432", "db"]


@pytest.mark.parametrize("major", [9, 12, 19])
def test_a_version_that_nobody_tested_is_refused(major: int) -> None:
    assert preconditions.server_problems("origin shop", replace(SERVER, major=major)) == [
        f"origin shop: Postgres {major} is not supported; want 13 to 18"
    ]


@pytest.mark.parametrize("major", [13, 18])
def test_the_oldest_and_the_newest_version_are_supported(major: int) -> None:
    assert preconditions.server_problems("target", replace(SERVER, major=major)) == []


@pytest.mark.parametrize(("side", "wanted"), [("origin", 5), ("target", 9)])
@pytest.mark.parametrize("limited", ["ROLE {role}", "DATABASE {database}"])
def test_too_few_connections_for_a_run_are_a_warning(shop: Place, side: str, wanted: int, limited: str) -> None:
    execute, role = (shop.in_origin, shop.app) if side == "origin" else (shop.in_target, shop.etl)
    limit = f"ALTER {limited.format(role=role, database=shop.name)} CONNECTION LIMIT"
    execute(f"{limit} {wanted - 1}", superuser=True)
    said = f"{'origin shop' if side == 'origin' else side}: role {role} may have {wanted - 1} connections to database "
    (warning,) = [line for line in check(shop, jobs=4).warnings if "connections" in line]
    assert warning.startswith(f"{said}{shop.name} at a time, and the run may need {wanted}; use fewer jobs")
    execute(f"{limit} {wanted}", superuser=True)
    assert not any("connections" in line for line in check(shop, jobs=4).warnings)


# Poolers.

POOLERS = [{"size": 1}, {"size": 3}, {"size": 2, "in_turns": True}, {"size": 3, "in_turns": True}]


@pytest.mark.parametrize("kind", POOLERS, ids=str)
def test_a_transaction_pooler_before_the_origin_is_named(shop: Place, kind: dict[str, int]) -> None:
    with pooled(shop.origin_url, **kind) as url:  # type: ignore[arg-type]
        assert problems(shop, origin=url) == [f"origin shop: {REFUSED_POOLER.format(use='share a snapshot')}"]


@pytest.mark.parametrize("kind", POOLERS, ids=str)
def test_a_transaction_pooler_before_the_target_is_named(shop: Place, kind: dict[str, int]) -> None:
    with pooled(shop.target_url, **kind) as url:  # type: ignore[arg-type]
        assert problems(shop, target=url) == [f"target: {REFUSED_POOLER.format(use='hold a lock')}"]


def test_the_backends_of_a_transaction_pooler_keep_their_settings(shop: Place) -> None:
    # PgBouncer resets nothing between transactions: production would find its sessions read-only
    with pooled(shop.origin_url, size=1) as url:
        with psycopg.connect(url, autocommit=True) as production:
            before = production.execute("SELECT name, setting FROM pg_settings WHERE source = 'session'").fetchall()
            problems(shop, origin=url)
            after = production.execute("SELECT name, setting FROM pg_settings WHERE source = 'session'").fetchall()
            assert after == before
            production.execute("INSERT INTO users (name) VALUES ('Marie')")


def test_a_pooler_that_lends_for_a_session_serves_a_run(shop: Place) -> None:
    shop.in_origin("INSERT INTO users (name) SELECT 'Marie' FROM generate_series(1, 10)")
    with pooled(shop.origin_url, "session") as origin, pooled(shop.target_url, "session") as target:
        pipeline.run(shop.job(), shop.rules(RULES), Database("origin", "shop", origin), Database("target", "shop", target))
    assert shop.read("SELECT count(*) FROM shop.users") == [(10,)]


@pytest.mark.parametrize("full", ["query_wait_timeout", "no more connections allowed (max_client_conn)"])
@pytest.mark.parametrize("side", ["origin", "target"])
def test_a_pooler_that_is_too_small_for_a_run_is_told_with_what_to_raise(shop: Place, side: str, full: str) -> None:
    shop.in_origin("INSERT INTO users (name) SELECT 'Marie' FROM generate_series(1, 10)")
    databases = dict(zip(("origin", "target"), shop.databases(), strict=True))
    with pooled(databases[side].url, "session", size=1, full=full) as url:
        databases[side] = replace(databases[side], url=url)
        with pytest.raises(EtlError) as failed:
            pipeline.run(shop.job(), shop.rules(RULES), databases["origin"], databases["target"])
    (line,) = failed.value.problems
    assert line.startswith("origin shop: " if side == "origin" else "target: ")
    assert full in line
    assert line.endswith(TOO_SMALL_A_POOL)
    assert shop.schemas() == set()


SETTINGS_REFUSED = (
    "the URL leads to a pooler (such as PgBouncer), which does not take the settings of pg_dump (PGOPTIONS): "
    "{}; use the server's own address and port, or mode stream"
)


@pytest.mark.parametrize("ignored", [[], ["options"]], ids=["refuses", "ignores"])
def test_a_pooler_that_refuses_or_ignores_the_settings_of_pg_dump_is_named_in_mode_dump(
    ignored: list[str], shop: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(PROGRAMS["18"]), prepend=":")
    shop.in_origin(f"ALTER DATABASE {shop.name} SET lc_monetary = 'POSIX'")
    with pooled(shop.origin_url, "session", ignored=ignored) as origin:
        (refused,) = problems(shop, origin=origin, mode="dump")
    port = urlsplit(origin).port
    failed = f'connection to server at "127.0.0.1", port {port} failed: FATAL: unsupported startup parameter: options'
    assert refused == "origin shop: " + SETTINGS_REFUSED.format("it ignores lc_monetary" if ignored else failed)


def test_a_pooler_of_sessions_serves_a_run_in_mode_dump_where_pg_dump_has_its_settings(
    shop: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(PROGRAMS["18"]), prepend=":")
    shop.in_origin(f"INSERT INTO users (name) VALUES ('Marie'); ALTER DATABASE {shop.name} SET lc_monetary = 'C'")
    shop.in_target(f"ALTER DATABASE {shop.name} SET lc_monetary = 'POSIX'; ALTER DATABASE {shop.name} SET array_nulls = off")
    with (
        pooled(shop.origin_url, "session", ignored=["options"]) as origin,
        pooled(shop.target_url, "session") as target,
    ):
        databases = (Database("origin", "shop", origin), Database("target", "shop", target))
        pipeline.run(shop.job(mode="dump"), shop.rules(RULES), *databases)
    assert shop.read("SELECT name FROM shop.users") == [("[valeur unique anonymisée 1]",)]


# The origin's rights.


def test_a_missing_right_on_one_table_is_told_with_the_statement_that_gives_it(shop: Place) -> None:
    shop.in_origin(f"REVOKE SELECT ON users FROM {shop.app}")
    assert problems(shop) == [
        f"origin shop: role {shop.app} may not SELECT table users; {shop.in_its_origin}: "
        f'GRANT SELECT ON TABLE "public"."users" TO "{shop.app}"'
    ]


def test_a_missing_right_on_one_column_names_the_column(shop: Place) -> None:
    shop.in_origin(f"REVOKE SELECT ON users FROM {shop.app}; GRANT SELECT (id, name) ON users TO {shop.app}")
    assert problems(shop) == [
        f"origin shop: role {shop.app} may not SELECT column city of table users; {shop.in_its_origin}: "
        f'GRANT SELECT ("city") ON TABLE "public"."users" TO "{shop.app}"'
    ]


def test_the_statement_that_gives_a_missing_right_can_be_pasted(shop: Place) -> None:
    shop.in_origin('CREATE TABLE "Odd ""name" (id int PRIMARY KEY)', superuser=True)
    rules = RULES + "  - table_name: 'Odd \"name'\n    anonymized_column_names: []\n"
    (line,) = problems(shop, rules)
    shop.in_origin(line.partition(f"; {shop.in_its_origin}: ")[2], superuser=True)
    check(shop, rules)


def test_a_truncated_table_needs_no_right(shop: Place) -> None:
    shop.in_origin(f"REVOKE ALL ON tokens FROM {shop.app}")
    check(shop)


def test_a_schema_that_the_role_may_not_use_is_told_with_the_statement_that_gives_the_right(shop: Place) -> None:
    shop.in_origin("REVOKE ALL ON SCHEMA public FROM PUBLIC; ALTER SCHEMA public OWNER TO postgres", superuser=True)
    assert problems(shop) == [
        f"origin shop: role {shop.app} may not use schema public; {shop.in_its_origin}: "
        f'GRANT USAGE ON SCHEMA "public" TO "{shop.app}"'
    ]


def test_an_origin_schema_that_does_not_exist_is_named(shop: Place) -> None:
    assert problems(shop, origin_schema="No such") == [
        f"origin shop: schema No such does not exist in database {shop.name}; name another origin schema"
    ]


def test_an_origin_schema_without_a_table_is_named(shop: Place) -> None:
    shop.in_origin("CREATE SCHEMA nothing")
    assert problems(shop, origin_schema="nothing") == [
        f"origin shop: schema nothing of database {shop.name} holds no table; migrate it first, name another origin schema, "
        "or check whether the two URLs are swapped"
    ]


def test_swapped_urls_are_told_where_the_origin_holds_nothing(shop: Place) -> None:
    lines = problems(shop, origin=shop.target_url, target=shop.origin_url)
    assert (
        f"origin shop: schema public of database {shop.name} holds no table; migrate it first, name another origin schema, "
        "or check whether the two URLs are swapped"
    ) in lines


def test_row_security_that_hides_rows_is_a_problem(shop: Place) -> None:
    shop.in_origin("ALTER TABLE users ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY")
    assert problems(shop) == [
        f"origin shop: row security hides rows of table users from role {shop.app}; {shop.in_its_origin}: "
        f'ALTER ROLE "{shop.app}" BYPASSRLS, or truncate the table in the rules'
    ]


def test_row_security_that_hides_nothing_from_the_role_passes(shop: Place) -> None:
    shop.in_origin("ALTER TABLE users ENABLE ROW LEVEL SECURITY")
    check(shop)
    shop.in_origin("ALTER TABLE users FORCE ROW LEVEL SECURITY")
    shop.in_origin(f"ALTER ROLE {shop.app} BYPASSRLS", superuser=True)
    check(shop)


def test_row_security_of_a_partition_is_a_problem_where_pg_dump_reads_it_by_itself(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(PROGRAMS["18"]), prepend=":")
    place.in_origin(
        """
        CREATE TABLE users (id int) PARTITION BY LIST (id);
        CREATE TABLE users_1 PARTITION OF users FOR VALUES IN (1);
        ALTER TABLE users_1 ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
        """
    )
    rules = "tables: [{table_name: users, non_anonymized_column_names: [id]}]"
    check(place, rules)
    assert problems(place, rules, mode="dump") == [
        f"origin shop: row security hides rows of partition public.users_1 from role {place.app}, as pg_dump reads it "
        f'directly; {place.in_its_origin}: ALTER ROLE "{place.app}" BYPASSRLS, or use mode stream'
    ]


# The reader.


def test_a_reader_that_does_not_exist_is_named(shop: Place, watched: Watched) -> None:
    assert problems(shop, **watched.named("No body")) == [
        f"target: the reader No body does not exist; create the role, or {watched.instead}"
    ]


def test_a_reader_that_is_a_superuser_is_refused(shop: Place, watched: Watched) -> None:
    assert problems(shop, **watched.named("postgres")) == [
        "target: the reader postgres is a superuser, who reads everything; use a role without rights of its own"
    ]


def test_a_reader_that_is_the_etl_s_own_role_is_refused(shop: Place, watched: Watched) -> None:
    (line,) = problems(shop, **watched.named(shop.etl))
    wanted = f"target: the reader {shop.etl} is the ETL's own role; use a role of its own"
    assert line == wanted + (" for Metabase" if watched.kind == "reader" else "")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("target", PROGRAMS)
@pytest.mark.parametrize("attribute", ["CREATEROLE", "REPLICATION", "BYPASSRLS"])
def test_a_reader_that_can_give_itself_more_rights_is_refused(
    attribute: str, target: str, kind: str, make_place: Callable[..., Place]
) -> None:
    shop = make_place("16", target)
    shop.in_origin(ORIGIN)
    watched = readers.watched(shop, kind)
    shop.in_target(f"ALTER ROLE {watched.quoted} {attribute}", superuser=True)
    (line,) = problems(shop, **watched.options)
    assert line.startswith(f"target: the reader {watched.role} is too powerful: it has {attribute}; {shop.in_its_target}: ")
    shop.in_target(line.partition(f"; {shop.in_its_target}: ")[2], superuser=True)
    check(shop, **watched.options)
    middle = f"middle_{shop.number}"
    shop.in_target(f"CREATE ROLE {middle} {attribute}; GRANT {middle} TO {watched.quoted}", superuser=True)
    assert problems(shop, **watched.options) == [
        f"target: the reader {watched.role} is too powerful: it is a member of {middle}, itself or through another role; "
        "revoke that"
    ]


def test_a_reader_that_nobody_can_be_in_the_target_is_named_with_what_mends_it(shop: Place, watched: Watched) -> None:
    for change, found in (
        (f"ALTER ROLE {watched.quoted} NOLOGIN", f"nobody can log in as the reader {watched.role}"),
        (f"ALTER ROLE {watched.quoted} CONNECTION LIMIT 0", f"nobody can log in as the reader {watched.role}"),
        (f"ALTER ROLE {watched.quoted} VALID UNTIL '2020-01-01'", f"the password of the reader {watched.role} has expired"),
        (
            f"REVOKE CONNECT ON DATABASE {shop.name} FROM PUBLIC; GRANT CONNECT ON DATABASE {shop.name} TO {shop.reader}"
            if watched.kind == "schema_reader"
            else f"REVOKE CONNECT ON DATABASE {shop.name} FROM PUBLIC",
            f"the reader {watched.role} may not connect to database {shop.name}",
        ),
    ):
        shop.in_target(change, superuser=True)
        (line,) = problems(shop, **watched.options)
        assert line.startswith(f"target: {found}; {shop.in_its_target}: ")
        shop.in_target(line.partition(f"; {shop.in_its_target}: ")[2].partition(", or ")[0], superuser=True)
        check(shop, **watched.options)


def test_a_reader_may_be_the_role_of_a_group_that_somebody_can_log_in_as(shop: Place, watched: Watched) -> None:
    member = f"member_{shop.number}"
    shop.in_target(f"ALTER ROLE {watched.quoted} NOLOGIN", superuser=True)
    (line,) = problems(shop, **watched.options)
    assert line.endswith(f", or {watched.instead}")
    shop.in_target(f"CREATE ROLE {member} LOGIN; GRANT {watched.quoted} TO {member}", superuser=True)
    check(shop, **watched.options)


def test_what_a_reader_can_read_too_much_of_is_named_before_anything_is_copied(shop: Place, watched: Watched) -> None:
    shop.in_target(f"CREATE TABLE public.raw (id int); GRANT SELECT ON public.raw TO {watched.quoted}", superuser=True)
    shop.in_target(f"ALTER TABLE public.raw OWNER TO {shop.etl}", superuser=True)
    record = 'multi-schema-postgres-etl masked {"copied": {}}'
    shop.in_target(f"CREATE SCHEMA etl_old_other_0123abcd; COMMENT ON SCHEMA etl_old_other_0123abcd IS '{record}'")
    shop.in_target(f"GRANT USAGE ON SCHEMA etl_old_other_0123abcd TO {watched.quoted}")
    assert problems(shop, **watched.options) == [
        f"target: the reader {watched.role} could read {what}, which is not published; revoke it, or drop it"
        for what in ("schema etl_old_other_0123abcd", "table public.raw")
    ]


@pytest.mark.parametrize("way", ["itself", "through another role", "without inheriting"])
def test_a_reader_that_is_a_member_of_a_role_that_reads_more_is_refused(shop: Place, watched: Watched, way: str) -> None:
    member, option = watched.quoted, ""
    if way == "through another role":
        member = f"middle_{shop.number}"
        shop.in_target(f"CREATE ROLE {member}; GRANT {member} TO {watched.quoted}", superuser=True)
    elif way == "without inheriting":
        option = "WITH INHERIT FALSE"
    for role in (shop.etl, "pg_read_all_data", "postgres", "pg_read_server_files", "pg_write_all_data"):
        shop.in_target(f"GRANT {role} TO {member} {option}", superuser=True)
        assert problems(shop, **watched.options) == [
            f"target: the reader {watched.role} is too powerful: it is a member of {role}, itself or through another role; "
            "revoke that"
        ]
        shop.in_target(f"REVOKE {role} FROM {member}", superuser=True)
    check(shop, **watched.options)


def test_all_readers_that_do_not_fit_are_named_in_one_check(shop: Place) -> None:
    make_role(shop, f"Late {shop.number}", "LOGIN VALID UNTIL '2020-01-01'")
    shop.in_target(f"GRANT {shop.etl} TO {make_role(shop, f'team_{shop.number}')}", superuser=True)
    roles = ("no-body", f"Late {shop.number}", f"team_{shop.number}", "no-body", "PUBLIC", "public")
    assert [line.partition(";")[0] for line in problems(shop, reader="Nobody", schema_reader=roles)] == [
        "target: the reader Nobody does not exist",
        "target: the reader no-body does not exist",
        f"target: the password of the reader Late {shop.number} has expired",
        f"target: the reader team_{shop.number} is too powerful: it is a member of {shop.etl}, "
        "itself or through another role",
        "target: the reader PUBLIC does not exist",
        "target: the reader public does not exist",
    ]


@pytest.mark.parametrize("option", ["", "WITH INHERIT FALSE"])
def test_a_schema_reader_that_could_read_all_that_the_reader_may_is_warned_of(shop: Place, option: str) -> None:
    team, other = make_role(shop, f"team_{shop.number}"), make_role(shop, f"other_{shop.number}")
    shop.in_target(f"GRANT {shop.reader} TO {team} {option}; GRANT {other} TO {shop.reader}", superuser=True)
    # the reader itself, and a group that the reader is a member of, show nobody more
    warnings = check(shop, schema_reader=(other, team, shop.reader)).warnings
    assert [line for line in warnings if line.startswith("the reader")] == [
        f"the reader {team} is a member of {shop.reader}, and may read all that {shop.reader} may: also other apps' "
        "schemas; revoke it"
    ]


# The target.


def test_a_target_role_that_may_not_create_schemas_is_told_with_the_statement_that_lets_it(shop: Place) -> None:
    shop.in_target(f"ALTER DATABASE {shop.name} OWNER TO postgres", superuser=True)
    (line,) = problems(shop)
    assert line == (
        f"target: role {shop.etl} may not create schemas in database {shop.name}; {shop.in_its_target}: "
        f'GRANT CREATE ON DATABASE "{shop.name}" TO "{shop.etl}"'
    )
    shop.in_target(line.partition(f"; {shop.in_its_target}: ")[2], superuser=True)
    check(shop)


def test_a_published_schema_that_is_someone_else_s_is_refused(shop: Place) -> None:
    shop.in_target("CREATE SCHEMA shop", superuser=True)
    assert problems(shop) == [
        f"target: schema shop belongs to postgres, not to {shop.etl}; publish under another name, or if a run made it, "
        f'{shop.in_its_target}: ALTER SCHEMA "shop" OWNER TO "{shop.etl}"'
    ]


def test_a_schema_that_is_not_for_publishing_is_refused(shop: Place) -> None:
    for schema in (
        "public",
        "information_schema",
        "pg_catalog",
        "pg_shop",
        "etl_staging_shop",
        "etl_old_shop_00000000",
        "etl_state",
    ):
        assert problems(shop, schema=schema) == [
            f"target: schema '{schema}' can't be published: public, information_schema, pg_… and the ETL's own "
            "etl_staging_…, etl_old_… and etl_state are reserved"
        ]


def test_a_schema_without_a_name_is_refused(shop: Place) -> None:
    assert problems(shop, schema="") == ["target: schema '' can't be published: a schema needs a name"]


def test_a_schema_whose_name_leaves_no_room_for_the_staging_schema_s_is_refused(shop: Place) -> None:
    assert problems(shop, schema="é" * 22) == [
        f"target: schema '{'é' * 22}' can't be published: it has 44 bytes; "
        "at most 42 leave room for the staging schema's name"
    ]
    check(shop, schema="é" * 21)


@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII"])
def test_a_target_that_is_not_utf8_is_refused(shop: Place, encoding: str) -> None:
    with psycopg.connect(shop.target_server.url(), autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE {}").format(sql.Identifier(shop.name)))
        connection.execute(
            sql.SQL("CREATE DATABASE {} OWNER {} TEMPLATE template0 ENCODING {} LOCALE 'C'").format(
                sql.Identifier(shop.name), sql.Identifier(shop.etl), sql.Literal(encoding)
            )
        )
    assert problems(shop) == [f"target: database {shop.name} is encoded in {encoding}; want UTF8"]


def test_a_type_that_the_target_s_version_lacks_names_the_column_that_needs_it() -> None:
    lacking = [MissingType("type", "int4multirange"), MissingType("collation", "fr_FR")]
    assert preconditions.lacking_problems(lacking, {"int4multirange": "users.ages"}, 13) == [
        "target: Postgres 13 has no type int4multirange, which column users.ages needs; "
        "use a newer target, or truncate the table in the rules"
    ]


def test_a_table_whose_masked_rows_fit_into_no_page_is_named(place: Place) -> None:
    names = [f"c{number}" for number in range(600)]
    place.in_origin(f"CREATE TABLE users (id serial PRIMARY KEY, {', '.join(f'{name} text NOT NULL' for name in names)})")
    rules = f"tables:\n  - table_name: users\n    anonymized_column_names: [{', '.join(names)}]\n"
    assert problems(place, rules) == [
        "origin shop: table users: 600 masked columns make its rows too big for a page (8 kB); "
        "truncate it, or mask fewer of its columns"
    ]


def test_a_mask_that_makes_values_equal_is_refused_on_unique_columns_before_a_row_is_read(place: Place) -> None:
    place.in_origin(
        """
        CREATE TABLE users (id int PRIMARY KEY, born date NOT NULL, at timestamp, seen timestamptz, city text);
        CREATE UNIQUE INDEX by_birth ON users (born, city);
        CREATE UNIQUE INDEX by_unborn ON users ((at IS NULL), city) WHERE seen IS NOT NULL;
        CREATE TABLE days (day date PRIMARY KEY, at timestamptz UNIQUE, city text UNIQUE);
        CREATE UNIQUE INDEX known ON days (city) WHERE at IS NULL;
        """
    )
    rules = """
tables:
  - table_name: users
    anonymized_column_names: [born, at, seen]
    non_anonymized_column_names: [city]
    masks:
      born: {period: year}
      at: {period: year}
      seen: {period: year}
  - table_name: days
    anonymized_column_names: [day, at]
    non_anonymized_column_names: [city]
    masks:
      day: {period: month}
      at: {period: day}
"""
    assert problems(place, rules) == [
        "origin shop: days.at is in unique constraint days_at_key, and mask period makes values equal; take it out of masks",
        "origin shop: days.day is in primary key days_pkey, and mask period makes values equal; take it out of masks",
        "origin shop: users.born is in unique index by_birth, and mask period makes values equal; take it out of masks",
        "origin shop: users.at is in unique index by_unborn, and mask period makes values equal; take it out of masks",
    ]
    place.in_origin(
        "ALTER TABLE days DROP CONSTRAINT days_pkey, DROP CONSTRAINT days_at_key; DROP INDEX by_birth, by_unborn"
    )
    assert [line for line in check(place, rules).warnings if "index" in line] == [
        "index known of days is built as a plain index: masked values are not unique"
    ]


# What others have built on the published schema.

PUBLISHED = """
CREATE SCHEMA shop;
CREATE TABLE shop.users (id int PRIMARY KEY, name text);
COMMENT ON SCHEMA shop IS 'multi-schema-postgres-etl masked {"copied": {"users": []}, "truncated": {}}';
CREATE SCHEMA other;
"""


def test_what_stands_on_the_published_schema_is_named(shop: Place) -> None:
    shop.in_target(PUBLISHED)
    shop.in_target(
        """
        CREATE VIEW other.v AS SELECT * FROM shop.users;
        CREATE VIEW other."My ""v" AS SELECT * FROM shop.users;
        CREATE VIEW other.second AS SELECT * FROM other.v;
        CREATE MATERIALIZED VIEW other.m AS SELECT * FROM shop.users;
        CREATE TABLE other.t (id int REFERENCES shop.users);
        CREATE TABLE other.child () INHERITS (shop.users);
        CREATE TABLE other.typed (u shop.users[]);
        CREATE FUNCTION other.f() RETURNS SETOF shop.users LANGUAGE sql AS 'SELECT * FROM shop.users';
        """,
        superuser=True,
    )
    strangers = {
        "column u of table other.typed",
        "function other.f()",
        "foreign key t_id_fkey of table other.t",
        "table other.child",
    }
    views = {"view other.v", 'view other."My ""v"', "view other.second", "materialized view other.m"}
    lines = problems(shop)
    assert {line for line in lines if "would stay" in line} == {
        f"target: {stranger} depends on schema shop and would stay with the old one; "
        "drop it, and create it again after the run"
        for stranger in strangers
    }
    assert {line.partition("; ")[0] for line in lines if "would stay" not in line} == {
        f"target: {view} of role postgres depends on schema shop, and role {shop.etl} may not recreate it for that role"
        for view in views
    }


def test_what_others_keep_in_the_published_schema_is_named(shop: Place) -> None:
    shop.in_target(PUBLISHED)
    shop.in_target(
        """
        CREATE DOMAIN shop.d AS text;
        CREATE FUNCTION shop.f() RETURNS int LANGUAGE sql AS 'SELECT 1';
        CREATE MATERIALIZED VIEW shop.m AS SELECT 1 AS one;
        CREATE TABLE shop.p (id int) PARTITION BY LIST (id);
        CREATE SEQUENCE shop.s;
        CREATE TABLE shop.t (id serial);
        CREATE TYPE shop.u AS ENUM ('paid');
        CREATE VIEW shop.v AS SELECT 1 AS one;
        """,
        superuser=True,
    )
    strangers = (
        "domain shop.d",
        "function shop.f",
        "materialized view shop.m",
        "partitioned table shop.p",
        "sequence shop.s",
        "table shop.t",
        "type shop.u",
        "view shop.v",
    )
    assert problems(shop) == [
        f"target: {stranger} of role postgres stands in schema shop, which each run replaces; move it elsewhere"
        for stranger in strangers
    ]


def test_what_a_run_itself_publishes_is_no_stranger_to_the_next(shop: Place) -> None:
    shop.in_origin(
        """
        CREATE TYPE status AS ENUM ('new', 'paid');
        CREATE TABLE orders (id serial PRIMARY KEY, user_id int REFERENCES users, status status, name text UNIQUE);
        CREATE INDEX ON orders (user_id) WHERE status = 'paid';
        """
    )
    rules = RULES + "  - table_name: orders\n    non_anonymized_column_names: [status, name]\n"
    shop.run(rules)
    check(shop, rules)
    assert shop.read("SELECT count(*) FROM pg_constraint WHERE connamespace = 'shop'::regnamespace AND contype = 'f'") == [
        (1,)
    ]


# Rules that reach further than they say, or less far.


def test_a_key_that_is_anonymized_as_what_it_refers_to_is_needs_no_right(place: Place) -> None:
    place.in_origin(
        "CREATE TABLE users (ssn bigint NOT NULL UNIQUE, city text);"
        "CREATE TABLE cases (id serial PRIMARY KEY, ssn bigint NOT NULL REFERENCES users (ssn));"
        f"REVOKE SELECT ON users, cases FROM {place.app};"
        f"GRANT SELECT (city) ON users TO {place.app}; GRANT SELECT (id) ON cases TO {place.app}"
    )
    users = "tables:\n- {table_name: users, anonymized_column_names: [ssn], non_anonymized_column_names: [city]}\n"
    plan = check(place, users + "- {table_name: cases, anonymized_column_names: []}\n")
    assert {table.name: [column.name for column in table.masked] for table in plan.tables} == {
        "users": ["ssn"],
        "cases": ["ssn"],
    }
    assert plan.warnings[0] == "rules: line 3: cases.ssn is anonymized: it refers to users.ssn, which is"
    problem, _ = problems(place, users + "- {table_name: cases, non_anonymized_column_names: [ssn]}\n")
    assert problem.startswith(f"origin shop: role {place.app} may not SELECT column ssn of table cases; ")


def test_a_partition_at_any_depth_that_has_stricter_rules_than_its_root_is_named_with_it(place: Place) -> None:
    place.in_origin("""
        CREATE TABLE visits (id integer, name text) PARTITION BY LIST (id);
        CREATE TABLE visits_1 PARTITION OF visits FOR VALUES IN (1) PARTITION BY LIST (name);
        CREATE TABLE visits_marie PARTITION OF visits_1 FOR VALUES IN ('Marie');
        CREATE SCHEMA archive;
        CREATE TABLE archive.trips (id integer, name text) PARTITION BY LIST (id);
        CREATE TABLE trips_1 PARTITION OF archive.trips FOR VALUES IN (1) PARTITION BY LIST (name);
        CREATE TABLE trips_marie PARTITION OF trips_1 FOR VALUES IN ('Marie');
        CREATE TABLE trips_2 PARTITION OF archive.trips FOR VALUES IN (2);
    """)
    rules = """
tables:
  - {table_name: visits, non_anonymized_column_names: [id, name]}
  - {table_name: visits_1, non_anonymized_column_names: [id, name]}
  - {table_name: visits_marie, anonymized_column_names: [name]}
  - {table_name: trips_1, non_anonymized_column_names: [id, name]}
  - {table_name: trips_marie, truncated: true}
  - {table_name: trips_2, anonymized_column_names: [id, name]}
"""
    *lines, snippet = problems(place, rules)
    assert lines == [
        "rules: line 7: partition trips_marie has rules that truncate it, but it follows those of trips_1, which do not; "
        "truncate trips_1 too, or take it out of the entry for trips_marie",
        "rules: line 5: partition visits_marie has rules that anonymize name, but it follows those of visits, which do not; "
        "anonymize that in visits too, or take it out of the entry for visits_marie",
    ]
    assert snippet == ("# in the entry of visits, after the { on line 3, to decide:\nanonymized_column_names: [name],\n")


# All of it together, and nothing done.


def test_gaps_of_the_rules_come_with_a_snippet_that_closes_them(shop: Place) -> None:
    rules = "tables:\n  - table_name: users\n    non_anonymized_column_names: [city]\n"
    *lines, snippet = problems(shop, rules)
    assert lines == [
        "origin shop: missing rules for table tokens",
        "origin shop: missing rule for column users.name",
    ]
    assert snippet == (
        "# at the end of tables:\n"
        "  - table_name: tokens\n"
        "    anonymized_column_names:\n"
        "      # decide:\n"
        "      - token\n"
        "    non_anonymized_column_names:\n"
        "# in the entry of users, after line 2:\n"
        "    anonymized_column_names:\n"
        "      # decide:\n"
        "      - name\n"
    )
    masked = {table.name: [column.name for column in table.masked] for table in check(shop, pasted(rules, snippet)).tables}
    assert masked == {"tokens": ["token"], "users": ["name"]}


def test_a_misspelt_name_is_told_whatever_else_makes_the_check_fail(shop: Place) -> None:
    rules = RULES.replace("[name]", "[name, citty]") + "  - {table_name: token, truncated: true}\n"
    misspelt = [
        "warning: rules: line 4: users.citty is not in the origin; did you mean city?",
        "warning: rules: line 8: table token is not in the origin; did you mean tokens?",
    ]
    assert problems(shop, rules, reader="nobody")[1:] == misspelt
    known = "expected_warnings: [{code: unknown-column, object: users.citty}]\n"
    assert problems(shop, rules + known, reader="nobody")[1:] == misspelt[1:]
    gone = rules.replace("non_anonymized_column_names: [city]", "non_anonymized_column_names:")
    missing, *lines, snippet = problems(shop, gone)
    assert (missing, lines) == ("origin shop: missing rule for column users.city", misspelt)
    assert problems(shop, gone + known)[:-1] == [missing, *misspelt[1:]]
    assert snippet == "# in the entry of users, after the [ of anonymized_column_names on line 4, to decide:\ncity,\n"


def test_the_snippet_quotes_names_that_yaml_would_read_as_something_else(place: Place) -> None:
    place.in_origin('CREATE TABLE "no" ("null" text, "a: b" text, "#c" text, "12" text, "été" text)')
    snippet = problems(place, "tables: []")[-1]
    (table,) = yaml.safe_load(snippet)["tables"]
    assert table["table_name"] == "no"
    assert table["anonymized_column_names"] == ["null", "a: b", "#c", "12", "été"]
    check(place, snippet)


def test_all_problems_of_both_sides_come_at_once(shop: Place) -> None:
    shop.in_origin("CREATE TABLE orders (id int PRIMARY KEY, amount numeric)")
    shop.in_origin(f"REVOKE SELECT ON users FROM {shop.app}")
    shop.in_target("CREATE SCHEMA shop", superuser=True)
    shop.in_target("CREATE VIEW shop.v AS SELECT 1 AS one", superuser=True)
    lines = problems(shop, reader="nobody")
    assert [line.partition(";")[0] for line in lines[:-1]] == [
        f"origin shop: role {shop.app} may not SELECT table users",
        "target: the reader nobody does not exist",
        f"target: schema shop belongs to postgres, not to {shop.etl}",
        "origin shop: missing rules for table orders",
    ]
    assert lines[-1].startswith("# at the end of tables:\n  - table_name: orders\n")


def test_a_side_that_can_t_be_used_does_not_hide_the_problems_of_the_other(shop: Place) -> None:
    assert problems(shop, origin=UNREACHABLE, reader="nobody") == [
        f"origin shop: {REFUSED}",
        "target: the reader nobody does not exist; create the role, or name the one that Metabase connects as",
    ]
    lines = problems(shop, "tables: []", target=UNREACHABLE)
    assert lines[:-1] == [
        f"target: {REFUSED}",
        "origin shop: missing rules for table tokens",
        "origin shop: missing rules for table users",
    ]


def test_a_check_writes_nothing_on_either_side(shop: Place) -> None:
    shop.in_target(PUBLISHED)

    def asked(query: str) -> list[list[str]]:
        answers = []
        for server in (shop.origin_server, shop.target_server):
            with psycopg.connect(server.url(shop.name)) as connection:
                answers.append(sorted(row[0] for row in connection.execute(query.encode()).fetchall()))
        return answers

    def took_no_transaction() -> bool:
        before = asked(NEXT_TRANSACTION)
        check(shop)
        assert problems(shop, reader="nobody")
        return asked(NEXT_TRANSACTION) == before

    catalog = asked(CATALOG)
    # a server writes too, when it gathers statistics
    assert any(took_no_transaction() for _ in range(3))
    assert asked(CATALOG) == catalog


def test_a_check_waits_for_no_run_and_keeps_none_waiting(shop: Place) -> None:
    shop.in_target(PUBLISHED)
    with psycopg.connect(shop.target_url) as running:
        running.execute("SELECT pg_advisory_lock(6648940, hashtext('shop'))")
        running.execute("LOCK TABLE shop.users IN ACCESS EXCLUSIVE MODE")
        check(shop)
        with pytest.raises(LockTimeout) as caught:
            check(shop, lock=True, lock_wait=0)
    assert str(caught.value) == (
        "target: another run of schema shop is still running after 0 s; start again when it has ended"
    )
    eventually(lambda: shop.locks() == 0, "the lock is free")
    check(shop, lock=True, lock_wait=0)


def test_a_check_asks_for_no_lock(shop: Place) -> None:
    job = shop.job()
    with pipeline.open_run(job, *shop.databases()) as run:
        pipeline.check(run, RULES.encode(), lock=False)
        held = shop.read("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'", as_="superuser")
        assert run.lock is None
    assert held == [(0,)]
