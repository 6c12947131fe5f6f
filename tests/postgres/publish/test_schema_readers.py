"""Schema readers: each run gives them its app's schema and no other, and takes it from those who are none any more."""

from typing import Any

import pytest
from psycopg import errors, sql

from multischema import pipeline
from multischema.errors import VerifyError
from multischema.pipeline import Published
from multischema.stages.run import Run
from tests.conftest import Place
from tests.support.readers import make_role, read_as

ORIGIN = """
CREATE TABLE users (id int PRIMARY KEY, name text);
CREATE TABLE orders (id int PRIMARY KEY, user_id int REFERENCES users);
INSERT INTO users VALUES (1, 'Marie');
INSERT INTO orders VALUES (1, 1);
"""
RULES = """
tables:
  - {table_name: users, anonymized_column_names: [name]}
  - {table_name: orders}
"""
TAGS = "  - {table_name: tags}\n"
MASKED = [(1, "[valeur unique anonymisée 1]")]
USERS = "SELECT * FROM shop.users"
# Names that a statement must quote, or that a shell, a list or another database would take for something else.
NAMES = (
    "plain",
    "Upper",
    "two words",
    "dash-ed",
    'quo"ted',
    "single'd",
    "dot.ted",
    "accentué",
    "current_user",
    "mail@example.org",
)


@pytest.fixture
def shop(place: Place) -> Place:
    """Return a place with an origin that the rules fit."""
    place.in_origin(ORIGIN)
    return place


def refused(place: Place, role: str, query: str) -> None:
    """See a role refused what it asks for."""
    with pytest.raises(errors.InsufficientPrivilege):
        read_as(place, role, query)


def parted(published: Published) -> list[str]:
    """Return the warnings about who is no reader any more."""
    return [line for line in (*published.plan.warnings, *published.warnings) if "no reader of" in line]


def taken(role: str) -> str:
    """Return the warning about a role that loses its rights."""
    return f"role {role} is no reader of schema shop any more: this run takes its rights to it"


@pytest.mark.parametrize("mode", ["stream", "dump"])
def test_a_schema_reader_reads_all_tables_of_its_app_new_ones_too_and_no_other_schema(
    mode: str, shop: Place, private: Any
) -> None:
    team, others = make_role(shop, f"team_{shop.number}"), make_role(shop, f"others_{shop.number}")
    shop.run(RULES, mode=mode, schema_reader=(team,))
    shop.run(RULES, mode=mode, app="other", schema="other", schema_reader=(others,))
    shop.in_origin("CREATE TABLE tags (id int PRIMARY KEY); INSERT INTO tags VALUES (7)")
    shop.run(RULES + TAGS, mode=mode, schema_reader=(team,))
    assert read_as(shop, team, USERS) == MASKED == shop.read(USERS)
    assert read_as(shop, team, "SELECT * FROM shop.orders, shop.tags") == [(1, 1, 7)]
    for query in ("SELECT * FROM other.users", "SELECT * FROM etl_state.published", "DELETE FROM shop.users RETURNING id"):
        refused(shop, team, query)
    assert read_as(shop, others, "SELECT * FROM other.users") == MASKED == shop.read("SELECT * FROM other.users")
    refused(shop, others, USERS)


def test_ten_roles_of_any_names_are_schema_readers(shop: Place) -> None:
    team = tuple(make_role(shop, f"{name} {shop.number}") for name in NAMES)
    for _ in range(2):
        published = shop.run(RULES, schema_reader=(*team, shop.reader, team[0]))
        assert parted(published) == []
        for role in team:
            assert read_as(shop, role, USERS) == MASKED
    assert parted(shop.run(RULES)) == [taken(role) for role in team]
    for role in team:
        refused(shop, role, USERS)
    assert shop.read(USERS) == MASKED


def test_members_of_a_group_that_nobody_logs_in_as_read_by_it(shop: Place) -> None:
    group, member = make_role(shop, f"Team {shop.number}", "NOLOGIN"), make_role(shop, f"member_{shop.number}")
    shop.in_target(sql.SQL("GRANT {} TO {}").format(*map(sql.Identifier, (group, member))).as_string(), superuser=True)
    shop.run(RULES, schema_reader=(group,))
    assert read_as(shop, member, USERS) == MASKED
    shop.run(RULES)
    refused(shop, member, USERS)


def test_a_role_that_is_no_reader_any_more_loses_all_that_it_has_there_and_others_keep_theirs(shop: Place) -> None:
    team, guest = make_role(shop, f"team_{shop.number}"), make_role(shop, f"guest_{shop.number}")
    shop.run(RULES, schema_reader=(team,))
    for role in (team, guest):
        shop.in_target(
            f"""
            GRANT USAGE ON SCHEMA shop TO {role} WITH GRANT OPTION;
            GRANT SELECT, INSERT ON shop.orders TO {role};
            GRANT SELECT (id) ON shop.users TO {role};
            ALTER DEFAULT PRIVILEGES IN SCHEMA shop GRANT SELECT ON TABLES TO {role};
            ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO {role};
            """
        )
    shop.in_origin("CREATE TABLE tags (id int PRIMARY KEY); INSERT INTO tags VALUES (7)")
    assert parted(shop.run(RULES + TAGS)) == [taken(team)]
    rights = """
        SELECT 'schema' FROM pg_namespace AS n, aclexplode(n.nspacl) AS a WHERE n.nspname = 'shop' AND a.grantee = {0}
        UNION ALL
        SELECT c.relname FROM pg_class AS c, aclexplode(c.relacl) AS a
        WHERE c.relnamespace = 'shop'::regnamespace AND a.grantee = {0}
        UNION ALL
        SELECT attname FROM pg_attribute AS c, aclexplode(c.attacl) AS a
        WHERE c.attrelid IN (SELECT oid FROM pg_class WHERE relnamespace = 'shop'::regnamespace) AND a.grantee = {0}
        UNION ALL
        SELECT 'default' FROM pg_default_acl AS d, aclexplode(d.defaclacl) AS a
        WHERE d.defaclnamespace = 'shop'::regnamespace AND a.grantee = {0}
        ORDER BY 1
    """
    held = {role: shop.read(rights.format(f"'{role}'::regrole"), as_="superuser") for role in (team, guest)}
    assert held == {team: [], guest: [("default",), ("id",), ("orders",), ("orders",), ("schema",), ("tags",)]}
    refused(shop, team, USERS)
    assert read_as(shop, guest, "SELECT id FROM shop.users, shop.tags AS t (tag)") == [(1,)]
    # it is told once, and what somebody grants it from then on is theirs
    shop.in_target(f"GRANT USAGE ON SCHEMA shop TO {team}; GRANT SELECT ON shop.users TO {team}")
    assert parted(shop.run(RULES + TAGS)) == []
    assert read_as(shop, team, USERS) == MASKED


def test_another_reader_takes_the_place_of_the_one_before(shop: Place) -> None:
    looker = make_role(shop, f"looker_{shop.number}")
    shop.run(RULES)
    assert parted(shop.run(RULES, reader=looker)) == [taken(shop.reader)]
    assert read_as(shop, looker, USERS) == MASKED
    refused(shop, shop.reader, USERS)
    # who becomes a schema reader keeps its rights
    assert parted(shop.run(RULES, schema_reader=(looker,))) == []
    assert read_as(shop, looker, USERS) == MASKED


@pytest.mark.parametrize("way", ["PUBLIC", "the reader", "a group without inheriting"])
def test_a_role_that_can_read_although_it_is_no_reader_any_more_is_told(way: str, shop: Place) -> None:
    team, group = make_role(shop, f"Team {shop.number}"), make_role(shop, f"group_{shop.number}")
    shop.run(RULES, schema_reader=(team,))
    if way == "PUBLIC":
        shop.in_target("GRANT USAGE ON SCHEMA shop TO PUBLIC; GRANT SELECT (id) ON shop.users TO PUBLIC")
    elif way == "the reader":
        shop.in_target(f'GRANT {shop.reader} TO "{team}"', superuser=True)
    else:
        shop.in_target(f'GRANT {group} TO "{team}" WITH INHERIT FALSE', superuser=True)
        shop.in_target(f"GRANT USAGE ON SCHEMA shop TO {group}; GRANT SELECT ON shop.users TO {group}")
    assert parted(shop.run(RULES)) == [
        taken(team),
        f"role {team} is no reader of schema shop any more, but may still read it as a member of another role, or by a "
        "right of PUBLIC; revoke that",
    ]


@pytest.mark.parametrize("stage", ["anonymize", "verify", "publish"])
def test_a_schema_reader_that_is_dropped_amid_a_run_stops_it_and_the_published_schema_is_as_it_was(
    stage: str, shop: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.run(RULES)
    team = make_role(shop, f"Team {shop.number}")
    work = getattr(pipeline, stage)

    def drop_before(*arguments: Any, **more: Any) -> Any:
        shop.in_target(f'DROP ROLE "{team}"', superuser=True)
        return work(*arguments, **more)

    rights = "SELECT c.oid, c.relacl::text FROM pg_class AS c WHERE relnamespace = 'shop'::regnamespace ORDER BY 1"
    before = shop.read(rights)
    with monkeypatch.context() as patched, pytest.raises(VerifyError) as caught:
        patched.setattr(pipeline, stage, drop_before)
        shop.run(RULES, schema_reader=(team,))
    assert caught.value.problems == (
        f"target: the reader {team} does not exist; create the role, or take it off schema_reader (--schema-reader)",
    )
    assert shop.read(rights) == before
    assert shop.schemas() == {"shop"}


def test_a_schema_reader_sees_nothing_of_a_run_under_way(shop: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    team = make_role(shop, f"team_{shop.number}")
    shop.run(RULES, schema_reader=(team,))
    verify = pipeline.verify
    looked: list[str] = []

    def look(run: Run, *arguments: Any) -> Any:
        for table in (f"{run.job.staging}.users", "etl_state.published"):
            refused(shop, team, f"SELECT * FROM {table}")
            looked.append(table)
        return verify(run, *arguments)

    monkeypatch.setattr(pipeline, "verify", look)
    shop.run(RULES, schema_reader=(team,))
    assert len(looked) == 2
    assert read_as(shop, team, USERS) == MASKED
