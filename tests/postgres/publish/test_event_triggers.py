"""Event triggers of the target: what they make of published tables is seen before readers are, and they are named."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from multischema.errors import CheckError, DatabaseError, EtlError, VerifyError
from tests.conftest import PROGRAMS, Place
from tests.support.readers import make_role

pytestmark = pytest.mark.slow

ORIGIN = """
CREATE TABLE users (id int PRIMARY KEY, name text);
CREATE TABLE orders (id int PRIMARY KEY, user_id int REFERENCES users);
INSERT INTO users VALUES (1, 'Marie'), (2, 'Paul');
"""
RULES = """
tables:
  - {table_name: users, anonymized_column_names: [name]}
  - {table_name: orders}
"""
# Recipes that are passed on: what each does to every table that is created, to grants, and to what is dropped.
EACH_NEW_TABLE = """
DECLARE made record;
BEGIN
    FOR made IN SELECT * FROM pg_event_trigger_ddl_commands() WHERE command_tag = 'CREATE TABLE' LOOP
        EXECUTE format('ALTER TABLE %s {}', made.object_identity);
    END LOOP;
END
"""
RECIPES = {
    "row security": ("ddl_command_end", EACH_NEW_TABLE.format("ENABLE ROW LEVEL SECURITY")),
    "forced row security": (
        "ddl_command_end",
        EACH_NEW_TABLE.format("ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY"),
    ),
    "a column": ("ddl_command_end", EACH_NEW_TABLE.format("ADD COLUMN IF NOT EXISTS audited timestamptz DEFAULT now()")),
    "another owner": ("ddl_command_end", EACH_NEW_TABLE.format("OWNER TO postgres")),
    "a trigger": (
        "ddl_command_end",
        """
        DECLARE made record;
        BEGIN
            FOR made IN SELECT * FROM pg_event_trigger_ddl_commands() WHERE command_tag = 'CREATE TABLE' LOOP
                EXECUTE format('CREATE TRIGGER audit BEFORE INSERT ON %s FOR EACH ROW '
                               'EXECUTE FUNCTION suppress_redundant_updates_trigger()', made.object_identity);
            END LOOP;
        END
        """,
    ),
    "no grants": (
        "ddl_command_end",
        """
        DECLARE found record;
        BEGIN
            IF tg_tag = 'GRANT' THEN
                FOR found IN SELECT c.oid::regclass AS name, a.grantee::regrole AS role
                             FROM pg_class AS c CROSS JOIN aclexplode(c.relacl) AS a
                             WHERE c.relkind = 'r' AND a.grantee <> c.relowner AND a.grantee <> 0
                               AND c.relnamespace <> 'pg_catalog'::regnamespace LOOP
                    EXECUTE format('REVOKE SELECT ON TABLE %s FROM %s', found.name, found.role);
                END LOOP;
            END IF;
        END
        """,
    ),
    "no drops": ("sql_drop", "BEGIN RAISE EXCEPTION 'ask first'; END"),
    "no indexes": ("ddl_command_start", "BEGIN IF tg_tag = 'CREATE INDEX' THEN RAISE EXCEPTION 'ask first'; END IF; END"),
    "no renaming": ("ddl_command_start", "BEGIN IF tg_tag = 'ALTER SCHEMA' THEN RAISE EXCEPTION 'ask first'; END IF; END"),
    "no login": ("login", "BEGIN IF session_user LIKE 'etl%' THEN RAISE EXCEPTION 'ask first'; END IF; END"),
    "no tables": ("ddl_command_end", "BEGIN IF tg_tag = 'CREATE TABLE' THEN RAISE EXCEPTION 'ask first'; END IF; END"),
}
READ = "SELECT count(*) FROM shop.users"


@pytest.fixture
def shop(place: Place, monkeypatch: pytest.MonkeyPatch) -> Place:
    """Return a place that is published, with a table more in its origin since then."""
    monkeypatch.setenv("PATH", str(PROGRAMS["18"]), prepend=":")
    place.in_origin(ORIGIN)
    place.run(RULES)
    place.in_origin("INSERT INTO users VALUES (3, 'Anne')")
    return place


@contextmanager
def trigger(place: Place, recipe: str) -> Iterator[None]:
    """Have the target's superuser follow a recipe."""
    event, body = RECIPES[recipe]
    rights = "SECURITY DEFINER" if recipe == "another owner" else ""
    place.in_target(
        f"""
        CREATE SCHEMA ops;
        CREATE FUNCTION ops."The rule"() RETURNS event_trigger LANGUAGE plpgsql {rights} AS $body${body}$body$;
        CREATE EVENT TRIGGER house_rule ON {event} EXECUTE FUNCTION ops."The rule"();
        """,
        superuser=True,
    )
    try:
        yield
    finally:
        place.in_target('DROP EVENT TRIGGER house_rule; DROP FUNCTION ops."The rule"(); DROP SCHEMA ops', superuser=True)


def failure(place: Place, kind: type[EtlError], mode: str = "stream", **changes: Any) -> str:
    """Return what a run that fails says; the published rows are as they were."""
    with pytest.raises(kind) as caught:
        place.run(RULES, mode=mode, **changes)
    assert place.read(READ) == [(2,)]
    return str(caught.value)


@pytest.mark.parametrize("mode", ["stream", "dump"])
@pytest.mark.parametrize(
    ("recipe", "found"),
    [
        ("row security", "row security is on for table {schema}.{table} as soon as it is made, and hides its rows"),
        ("forced row security", "row security is on for table {schema}.{table} as soon as it is made, and hides its rows"),
        ("a trigger", "trigger audit is on table {schema}.{table} as soon as it is made, and could copy or alter its rows"),
        ("another owner", "table {schema}.{table} belongs to role postgres as soon as it is made"),
        ("no grants", "the readers {reader}, {team} may not SELECT table shop.{table}, though the run granted it"),
    ],
)
def test_tables_that_an_event_trigger_keeps_from_readers_are_not_published(
    recipe: str, found: str, mode: str, shop: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.conftest.new_run_id", lambda: "0123abcd")
    team = make_role(shop, f"Team {shop.number}")
    with trigger(shop, recipe):
        said = failure(shop, VerifyError, mode, schema_reader=(team,))
    made_in = "etl_staging_shop_0123abcd" if mode == "stream" else "public"
    cause = "; check what event trigger house_rule does, and make it leave the ETL's role or schemas alone"
    assert said.splitlines() == [
        f"target: {found.format(schema=made_in, table=table, reader=shop.reader, team=team)}{cause}"
        for table in ("orders", "users")
    ]
    monkeypatch.undo()
    shop.run(RULES)
    assert shop.read(READ) == [(3,)]


def test_a_column_that_an_event_trigger_adds_is_not_published(shop: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.conftest.new_run_id", lambda: "0123abcd")
    with trigger(shop, "a column"):
        said = failure(shop, VerifyError)
    assert said.splitlines()[0] == (
        "target: table etl_staging_shop_0123abcd.users has other columns as soon as it is made: want id, name; found id, "
        "name, audited; check what event trigger house_rule does, and make it leave the ETL's role or schemas alone"
    )


@pytest.mark.parametrize("recipe", ["no indexes", "no renaming", "no tables"])
def test_an_event_trigger_that_raises_is_named(recipe: str, shop: Place) -> None:
    with trigger(shop, recipe):
        said = failure(shop, DatabaseError)
    assert said.endswith("event trigger house_rule of the target raised it: make it leave the ETL's role or schemas alone")
    assert "\n" not in said
    assert "ask first" not in said


def test_an_event_trigger_that_refuses_the_login_is_told(shop: Place) -> None:
    with trigger(shop, "no login"), pytest.raises(CheckError) as caught:
        shop.run(RULES)
    (line,) = caught.value.problems
    assert 'PL/pgSQL function ops."The rule"()' in line
    assert line.endswith("; an event trigger of that server raised it at the login: make it leave the ETL's role alone")


def test_an_event_trigger_that_forbids_drops_is_named_when_a_run_cleans_and_whenever_one_begins(shop: Place) -> None:
    named = "event trigger house_rule of the target raised it"
    with trigger(shop, "no drops"):
        with pytest.raises(DatabaseError, match=named):
            shop.run(RULES)
        assert shop.read(READ) == [(3,)]  # it had published
        with pytest.raises(DatabaseError, match=named):
            shop.run(RULES)
    shop.run(RULES)
    assert shop.schemas() == {"shop"}


def test_what_event_triggers_do_elsewhere_is_no_matter(shop: Place) -> None:
    with trigger(shop, "row security"):
        shop.in_target("ALTER EVENT TRIGGER house_rule DISABLE", superuser=True)
        shop.run(RULES)
    assert shop.read(READ) == [(3,)]
