"""What others build on the published schema, and are granted on it, is there again after each publication, or refused."""

import threading
import time
from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from psycopg import sql

from multischema import pipeline
from multischema.errors import CheckError, DatabaseError, EtlError
from multischema.stages import publish
from tests.conftest import PAIRS, Place
from tests.support.gates import eventually

pytestmark = pytest.mark.slow

ORIGIN = """
CREATE TABLE users (id int PRIMARY KEY, run int, name varchar(20), "Été ""d" text);
CREATE TABLE orders (id int PRIMARY KEY, run int, user_id int REFERENCES users);
INSERT INTO users SELECT n, 1, 'Marie', 'x' FROM generate_series(1, 3) AS n;
INSERT INTO orders SELECT n, 1, n FROM generate_series(1, 3) AS n;
"""
RULES = """
tables:
  - {table_name: users, non_anonymized_column_names: [run, name, 'Été "d']}
  - {table_name: orders, non_anonymized_column_names: [run]}
"""
RULES_MASKED = """
tables:
  - {table_name: users, anonymized_column_names: [name], non_anonymized_column_names: [run, 'Été "d']}
  - {table_name: orders, non_anonymized_column_names: [run]}
"""

# All that the catalog says of what stands in schema board and in "B 2", but for its OIDs
DESCRIBED = """
SELECT c.relkind::text, c.oid::regclass::text, c.relowner::regrole::text, c.relispopulated, c.reloptions,
       (SELECT reloptions FROM pg_class WHERE oid = c.reltoastrelid),
       (SELECT indisclustered FROM pg_index WHERE indexrelid = c.oid),
       CASE WHEN c.relkind IN ('v', 'm') THEN pg_get_viewdef(c.oid) END,
       CASE WHEN c.relkind = 'i' THEN pg_get_indexdef(c.oid) END,
       obj_description(c.oid, 'pg_class'),
       (SELECT array_agg(format('%s=%s %s', grantee, privilege_type, is_grantable) ORDER BY 1)
        FROM aclexplode(coalesce(c.relacl, acldefault('r', c.relowner)))),
       (SELECT array_agg(format('%s %s %s %s %s %s %s %s %s', attname, atttypid::regtype, col_description(c.oid, attnum),
                                nullif(attstattarget, -1), attoptions, attstorage, attcompression,
                                pg_get_expr(adbin, adrelid),
                                (SELECT array_agg(x::text ORDER BY x::text) FROM unnest(attacl) AS x)) ORDER BY attnum)
        FROM pg_attribute LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
        WHERE attrelid = c.oid AND attnum > 0),
       (SELECT array_agg(pg_get_triggerdef(t.oid) || coalesce(obj_description(t.oid, 'pg_trigger'), '') ORDER BY tgname)
        FROM pg_trigger AS t WHERE tgrelid = c.oid),
       (SELECT array_agg(pg_get_ruledef(r.oid) || coalesce(obj_description(r.oid, 'pg_rewrite'), '') ORDER BY rulename)
        FROM pg_rewrite AS r WHERE ev_class = c.oid),
       (SELECT array_agg(pg_get_statisticsobjdef(e.oid) || stxowner::regrole || coalesce(nullif(stxstattarget, -1), 0)
                         || obj_description(e.oid, 'pg_statistic_ext'))
        FROM pg_statistic_ext AS e WHERE stxrelid = c.oid)
FROM pg_class AS c
WHERE relnamespace IN (SELECT oid FROM pg_namespace WHERE nspname IN ('board', 'B 2'))
ORDER BY 2
"""


@pytest.fixture(params=PAIRS[:2], ids=lambda pair: f"target {pair[1]}")
def shop(request: pytest.FixtureRequest, make_place: Callable[..., Place]) -> Place:
    """Return a place where run 1 is published, and an analyst has schemas of their own."""
    return published(make_place(*request.param))


@pytest.fixture
def here(place: Place) -> Place:
    """Return the same on one pair of servers: for what no version of Postgres does in its own way."""
    return published(place)


def analyst(place: Place) -> str:
    """Return the role of the analyst."""
    return f'"An ""alyst_{place.number}"'


def published(place: Place) -> Place:
    """Publish run 1, for an analyst too."""
    place.in_origin(ORIGIN)
    place.run(RULES)
    role = analyst(place)
    place.in_target(
        f"""
        CREATE ROLE {role};
        CREATE SCHEMA board AUTHORIZATION {role};
        CREATE SCHEMA "B 2" AUTHORIZATION {role};
        GRANT USAGE ON SCHEMA shop TO {role};
        GRANT SELECT ON ALL TABLES IN SCHEMA shop TO {role} WITH GRANT OPTION;
        GRANT USAGE ON SCHEMA board TO {place.reader};
        GRANT {role} TO {place.etl};
        """,
        superuser=True,
    )
    return place


def build(place: Place, statements: str) -> None:
    """Execute statements in the target as the analyst."""
    place.in_target(f"SET ROLE {analyst(place)}; {statements}", superuser=True)


def publish_run(place: Place, number: int, rules: str = RULES, **changes: Any) -> tuple[list[str], list[str]]:
    """Have both tables carry this number, publish them, and return what was created again, and the warnings."""
    place.in_origin(f"BEGIN; UPDATE orders SET run = {number}; UPDATE users SET run = {number}; COMMIT")
    done = place.run(rules, **changes)
    return list(done.recreated), list(done.warnings)


def problems(place: Place, rules: str = RULES, **changes: Any) -> list[str]:
    """Return what the check says of a run that it refuses."""
    with pytest.raises(CheckError) as refused:
        place.run(rules, **changes)
    return list(refused.value.problems)


def test_views_of_others_are_created_again_on_the_new_tables_with_all_that_they_had(shop: Place) -> None:
    shop.in_target(f"CREATE ROLE guest_{shop.number}; CREATE ROLE other_{shop.number}", superuser=True)
    guest = f"guest_{shop.number}"
    build(
        shop,
        f"""
        CREATE VIEW board.zz AS SELECT id, run, 'a''b {{}} %s %%' AS "{{}}" FROM shop.users;
        CREATE VIEW board."My ""V" WITH (security_barrier, check_option = local) AS
            SELECT id, run AS "Run", "Été ""d" FROM shop.users WHERE id < 100;
        CREATE VIEW board.aa AS SELECT z.run, v."Run", o.id FROM board.zz AS z JOIN board."My ""V" AS v USING (id)
            JOIN shop.orders AS o USING (id);
        CREATE RECURSIVE VIEW board.numbers (n) AS
            SELECT min(id) FROM shop.users UNION ALL SELECT n + 1 FROM numbers WHERE n < 10;
        CREATE VIEW "B 2".whole AS SELECT u, ARRAY[z] AS zs FROM shop.users AS u JOIN board.zz AS z USING (id);
        CREATE MATERIALIZED VIEW board.mat WITH (fillfactor = 70, toast.autovacuum_enabled = false) AS
            SELECT id, run, "Run", repeat('x', id) AS "L ong" FROM board.aa;
        CREATE MATERIALIZED VIEW board.empty AS SELECT run FROM shop.orders WITH NO DATA;
        CREATE VIEW board.on_mat AS SELECT max(run) AS run FROM board.mat;
        CREATE UNIQUE INDEX mat_key ON board.mat (id);
        CREATE INDEX ON board.mat (run) WHERE id > 1;
        CREATE INDEX "Idx" ON board.empty ((run + 1));
        CREATE STATISTICS board.related ON id, run FROM board.mat;
        COMMENT ON STATISTICS board.related IS 'they go together';
        COMMENT ON INDEX board.mat_key IS 'one each';
        ALTER STATISTICS board.related SET STATISTICS 77;
        ALTER MATERIALIZED VIEW board.mat ALTER COLUMN run SET STATISTICS 500;
        ALTER MATERIALIZED VIEW board.mat ALTER COLUMN run SET (n_distinct = 5, n_distinct_inherited = -0.5);
        ALTER MATERIALIZED VIEW board.mat ALTER COLUMN "L ong" SET STORAGE EXTERNAL;
        ALTER MATERIALIZED VIEW board.mat ALTER COLUMN "L ong" SET COMPRESSION pglz;
        ALTER MATERIALIZED VIEW board.mat CLUSTER ON mat_key;
        COMMENT ON MATERIALIZED VIEW board.mat IS 'it''s materialized';
        COMMENT ON VIEW board.zz IS 'the "last" \\ of {{}} %s';
        COMMENT ON COLUMN board."My ""V"."Run" IS 'which run';
        ALTER VIEW board.zz ALTER COLUMN id SET DEFAULT 7;
        GRANT SELECT ON board.zz TO PUBLIC;
        GRANT SELECT, INSERT ON board.aa TO {guest} WITH GRANT OPTION;
        GRANT SELECT ("Run") ON board."My ""V" TO {guest};
        GRANT SELECT ON board.mat TO {shop.reader};
        REVOKE DELETE ON board.numbers FROM {analyst(shop)};
        CREATE FUNCTION board.nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
        CREATE TRIGGER never INSTEAD OF INSERT ON board.aa FOR EACH ROW EXECUTE FUNCTION board.nothing();
        COMMENT ON TRIGGER never ON board.aa IS 'it is only read';
        CREATE RULE away AS ON DELETE TO board.zz DO INSTEAD NOTHING;
        COMMENT ON RULE away ON board.zz IS 'it is only read';
        CREATE VIEW board.unrelated AS SELECT 1 AS one;
        """,
    )
    if "18" in str(shop.target_server.bin):
        build(shop, "ALTER VIEW board.zz SET (security_invoker = true)")
    # whoever creates a view again, it has no rights that it had not
    shop.in_target(
        f"ALTER DEFAULT PRIVILEGES FOR ROLE {shop.etl} GRANT ALL ON TABLES TO other_{shop.number}", superuser=True
    )
    before = shop.read(DESCRIBED, as_="superuser")
    unrelated = shop.read("SELECT 'board.unrelated'::regclass::oid", as_="superuser")

    recreated, warnings = publish_run(shop, 2)

    assert shop.read(DESCRIBED, as_="superuser") == before
    assert shop.read("SELECT 'board.unrelated'::regclass::oid", as_="superuser") == unrelated
    assert shop.read("SELECT DISTINCT run FROM board.mat") == [(2,)]
    assert shop.read('SELECT DISTINCT run, "Run" FROM board.aa', as_="superuser") == [(2, 2)]
    assert shop.read("SELECT run FROM board.on_mat", as_="superuser") == [(2,)]
    assert shop.read('SELECT DISTINCT (u).run, zs[1].run FROM "B 2".whole', as_="superuser") == [(2, 2)]
    assert shop.read("SELECT max(n) FROM board.numbers", as_="superuser") == [(10,)]
    assert shop.read("SELECT reltuples FROM pg_class WHERE oid = 'board.mat'::regclass", as_="superuser") == [(3.0,)]
    assert set(recreated) == {
        *('view board."My ""V"', "view board.aa", "view board.numbers", "view board.on_mat", "view board.zz"),
        *('view "B 2".whole', "materialized view board.mat", "materialized view board.empty"),
    }
    assert warnings == []
    assert "shop" in shop.schemas()
    assert not [name for name in shop.schemas() if name.startswith("etl_")]
    publish_run(shop, 3)
    assert shop.read(DESCRIBED, as_="superuser") == before
    assert shop.read("SELECT DISTINCT run FROM board.mat") == [(3,)]


def test_a_view_over_the_schemas_of_two_apps_is_kept_whichever_is_published(here: Place) -> None:
    here.run(RULES, schema="depot")
    here.in_target(f"GRANT USAGE ON SCHEMA depot TO {analyst(here)}; GRANT SELECT ON depot.orders TO {analyst(here)}")
    build(
        here, "CREATE VIEW board.pair AS SELECT u.run, o.run AS other FROM shop.users AS u JOIN depot.orders AS o USING (id)"
    )
    build(here, f"GRANT SELECT ON board.pair TO {here.reader}")
    assert publish_run(here, 2)[0] == ["view board.pair"]
    assert here.read("SELECT DISTINCT run, other FROM board.pair") == [(2, 1)]
    assert publish_run(here, 3, schema="depot")[0] == ["view board.pair"]
    assert here.read("SELECT DISTINCT run, other FROM board.pair") == [(2, 3)]
    assert here.schemas() == {"shop", "depot", "board", "B 2"}


def test_two_apps_that_publish_at_the_same_time_keep_the_view_that_stands_on_both(
    here: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publish, "_PAUSE", 0.1)
    here.run(RULES, schema="depot")
    here.in_target(f"GRANT USAGE ON SCHEMA depot TO {analyst(here)}; GRANT SELECT ON depot.orders TO {analyst(here)}")
    build(
        here,
        f"""
        CREATE MATERIALIZED VIEW board.pair AS
            SELECT u.run, o.run AS other FROM shop.users AS u JOIN depot.orders AS o USING (id), pg_sleep(0.8);
        CREATE VIEW board.top AS SELECT * FROM board.pair;
        GRANT SELECT ON board.top TO {here.reader};
        """,
    )
    done: list[Any] = []
    rules = here.rules(RULES)

    def run(schema: str) -> None:
        done.append(pipeline.run(here.job(schema=schema), rules, *here.databases()).recreated)

    for number in (2, 3):
        here.in_origin(f"BEGIN; UPDATE orders SET run = {number}; UPDATE users SET run = {number}; COMMIT")
        runs = [threading.Thread(target=run, args=[schema]) for schema in ("shop", "depot")]
        for thread in runs:
            thread.start()
        for thread in runs:
            thread.join()
        assert done == [("materialized view board.pair", "view board.top")] * 2
        done.clear()
        assert here.read("SELECT DISTINCT run, other FROM board.top") == [(number, number)]
    assert here.schemas() == {"shop", "depot", "board", "B 2"}


def test_views_follow_a_column_whose_type_changes_as_it_is_masked_now(here: Place) -> None:
    build(
        here,
        f"""
        CREATE VIEW board.names AS SELECT id, name FROM shop.users WHERE name <> '';
        CREATE VIEW board.upper AS SELECT id, upper(name) AS name FROM board.names;
        GRANT SELECT ON board.names, board.upper TO {here.reader};
        """,
    )
    publish_run(here, 2, RULES_MASKED)
    assert here.read("SELECT name FROM board.upper WHERE id = 1") == [("[VALEUR UNIQUE ANONYMISÉE 1]",)]


@pytest.mark.parametrize("drop", [False, True])
def test_a_view_whose_column_is_gone_stops_the_run_by_name_unless_it_may_be_dropped(drop: bool, here: Place) -> None:
    build(
        here,
        """
        CREATE VIEW board.names AS SELECT id, name FROM shop.users;
        CREATE VIEW board.top AS SELECT count(*) FROM board.names;
        CREATE VIEW board.orders AS SELECT * FROM shop.orders;
        CREATE VIEW board.fine AS SELECT id FROM shop.users;
        """,
    )
    role = f'An "alyst_{here.number}'
    here.in_origin("ALTER TABLE users DROP COLUMN name; ALTER TABLE orders DROP COLUMN user_id")
    rules = "tables:\n  - {table_name: users, non_anonymized_column_names: [run, 'Été \"d']}\n"
    rules += "  - {table_name: orders, non_anonymized_column_names: [run]}\n"
    if not drop:
        assert problems(here, rules) == [
            f"target: view board.names of role {role} reads column users.name of schema shop, which is gone; "
            "change it, or use drop_dependants (--drop-dependants), which drops it",
            f"target: view board.orders of role {role} reads column orders.user_id of schema shop, which is gone; "
            "change it, or use drop_dependants (--drop-dependants), which drops it",
        ]
        assert here.read("SELECT count(*) FROM board.top", as_="superuser") == [(1,)]
        assert here.schemas() == {"shop", "board", "B 2"}
        return
    recreated, warnings = publish_run(here, 2, rules, drop_dependants=True)
    assert recreated == ["view board.fine"]
    assert [warning for warning in warnings if "dropped" in warning] == [
        f"view board.names of role {role} was dropped: it reads column users.name, which is gone",
        f"view board.orders of role {role} was dropped: it reads column orders.user_id, which is gone",
        f"view board.top of role {role} was dropped: it depends on one that was dropped",
    ]


def test_a_view_on_a_table_that_is_gone_stops_the_run(here: Place) -> None:
    build(here, "CREATE VIEW board.numbers AS SELECT count(*) FROM shop.orders")
    here.in_origin("DROP TABLE orders")
    line, unknown = problems(here)
    assert "view board.numbers of role" in line
    assert "reads table orders of schema shop, which is gone" in line
    assert unknown.startswith("rules: line 4: table orders is not in the origin")


@pytest.mark.parametrize("drop", [False, True])
def test_a_view_that_the_target_can_not_create_again_leaves_all_as_it_was_unless_it_may_be_dropped(
    drop: bool, here: Place
) -> None:
    here.in_origin("ALTER TABLE orders ADD age int")
    here.in_origin("UPDATE orders SET age = 3")
    rules = RULES.replace("[run]", "[run, age]")
    here.run(rules)
    build(here, "CREATE VIEW board.young AS SELECT id FROM shop.orders WHERE age < 5")
    here.in_origin("ALTER TABLE orders ALTER age TYPE text")
    if not drop:
        with pytest.raises(
            DatabaseError, match=r"^target: creating view board.young of role .* again failed: operator does"
        ):
            here.run(rules)
        assert here.read("SELECT count(*) FROM board.young", as_="superuser") == [(3,)]
        assert here.schemas() == {"shop", "board", "B 2"}
        return
    recreated, warnings = publish_run(here, 2, rules, drop_dependants=True)
    assert recreated == []
    assert any("view board.young" in line and "the target can't create it again: operator" in line for line in warnings)
    assert here.schemas() == {"shop", "board", "B 2"}


def test_a_materialized_view_is_filled_with_the_rights_of_its_owner_and_never_with_those_of_the_etl(here: Place) -> None:
    build(
        here,
        """
        CREATE FUNCTION board.who(int) RETURNS text LANGUAGE sql AS 'SELECT current_user::text';
        CREATE MATERIALIZED VIEW board.mat AS SELECT board.who(id) AS who FROM shop.users;
        CREATE INDEX ON board.mat (upper(who));
        """,
    )
    publish_run(here, 2)
    role = f'An "alyst_{here.number}'
    assert here.read("SELECT DISTINCT who FROM board.mat", as_="superuser") == [(role,)]


def test_a_materialized_view_whose_owner_may_not_read_any_more_stops_the_run(here: Place) -> None:
    build(here, "CREATE MATERIALIZED VIEW board.mat AS SELECT * FROM shop.users")
    here.in_target(f"REVOKE SELECT ON shop.users FROM {analyst(here)}")
    with pytest.raises(DatabaseError, match=r"creating materialized view board.mat .* permission denied for table users"):
        here.run(RULES)
    assert here.read("SELECT DISTINCT run FROM board.mat", as_="superuser") == [(1,)]


# Rights to do so.


def test_a_view_of_a_role_that_the_etl_is_no_member_of_is_named_with_the_grant_that_mends_it(shop: Place) -> None:
    build(shop, "CREATE VIEW board.v AS SELECT * FROM shop.users")
    shop.in_target("CREATE VIEW board.w AS SELECT * FROM shop.users", superuser=True)
    shop.in_target(f"REVOKE {analyst(shop)} FROM {shop.etl}", superuser=True)
    first, second = problems(shop)
    assert first.startswith('target: view board.v of role An "alyst_')
    statement = first.partition(f"; {shop.in_its_target}: ")[2]
    assert statement.startswith(f'GRANT {analyst(shop)} TO "{shop.etl}"')
    assert second.endswith(f'; {shop.in_its_target}: ALTER VIEW "board"."w" OWNER TO "{shop.etl}"')
    shop.in_target(f"{statement}; ALTER VIEW board.w OWNER TO {shop.etl}", superuser=True)
    assert publish_run(shop, 2)[0] == ["view board.v", "view board.w"]
    # the option drops nothing that the role may not drop
    shop.in_target(f"REVOKE {analyst(shop)} FROM {shop.etl}", superuser=True)
    assert problems(shop, drop_dependants=True)[0] == first


def test_a_view_whose_owner_may_create_no_more_in_its_schema_is_named_with_the_grant_that_mends_it(here: Place) -> None:
    build(here, "CREATE VIEW board.v AS SELECT * FROM shop.users")
    here.in_target(f"REVOKE CREATE ON SCHEMA board FROM {analyst(here)}", superuser=True)
    (line,) = problems(here)
    statement = line.partition(f"; {here.in_its_target}: ")[2]
    assert statement == f'GRANT CREATE ON SCHEMA "board" TO {analyst(here)}'
    here.in_target(statement, superuser=True)
    assert publish_run(here, 2)[0] == ["view board.v"]


def test_a_superuser_needs_no_grant_to_create_views_of_others_again(here: Place) -> None:
    build(here, "CREATE VIEW board.v AS SELECT * FROM shop.users")
    here.in_target(
        f"""
        REVOKE {analyst(here)} FROM {here.etl};
        REVOKE ALL ON SCHEMA board FROM {analyst(here)};
        ALTER ROLE {here.etl} SUPERUSER;
        """,
        superuser=True,
    )
    assert publish_run(here, 2)[0] == ["view board.v"]
    role = f'An "alyst_{here.number}'
    assert here.read("SELECT viewowner FROM pg_views WHERE schemaname = 'board'") == [(role,)]


def test_a_temporary_view_of_another_session_stops_nothing(here: Place) -> None:
    with psycopg.connect(here.target_server.url(here.name), autocommit=True) as other:
        other.execute("CREATE TEMP VIEW mine AS SELECT * FROM shop.users")
        recreated, (warning,) = publish_run(here, 2)
        assert recreated == []
        pid = other.info.backend_pid
        assert f"stays: what session {pid} of role postgres made in its temporary schema pg_temp_" in warning
        assert warning.endswith(
            f" keeps it; the next run tries again, or end it {here.in_its_target}: SELECT pg_terminate_backend({pid})"
        )
        assert other.execute("SELECT DISTINCT run FROM mine").fetchall() == [(1,)]
    assert publish_run(here, 3) == ([], [])


# What can't be kept.


def test_what_can_not_be_kept_is_refused_by_name_and_what_holds_no_data_may_be_dropped(shop: Place) -> None:
    build(
        shop,
        """
        CREATE VIEW board.v AS SELECT * FROM shop.users;
        CREATE FUNCTION board.of_table() RETURNS SETOF shop.users LANGUAGE sql AS 'SELECT * FROM shop.users';
        CREATE FUNCTION board.of_view() RETURNS SETOF board.v LANGUAGE sql AS 'SELECT * FROM board.v';
        CREATE FUNCTION board.atomic() RETURNS bigint LANGUAGE sql BEGIN ATOMIC SELECT count(*) FROM shop.users; END;
        CREATE TABLE board.notes (id int);
        CREATE POLICY few ON board.notes USING (id IN (SELECT id FROM shop.users));
        CREATE RULE log AS ON UPDATE TO board.notes DO ALSO SELECT id FROM shop.users;
        """,
    )
    shop.in_target(
        """
        CREATE TABLE board.keyed (id int REFERENCES shop.users);
        INSERT INTO board.keyed VALUES (1);
        """,
        superuser=True,
    )
    shop.in_target(f"ALTER TABLE board.keyed OWNER TO {analyst(shop)}", superuser=True)
    strangers = {
        *("function board.of_table()", "function board.of_view()", "function board.atomic()"),
        *(
            "policy few on table board.notes",
            "rule log on table board.notes",
            "foreign key keyed_id_fkey of table board.keyed",
        ),
    }
    assert set(problems(shop)) == {
        f"target: {what} depends on schema shop and would stay with the old one; "
        "drop it, and create it again after the run, or use drop_dependants (--drop-dependants), which drops it"
        for what in strangers
    }
    recreated, warnings = publish_run(shop, 2, drop_dependants=True)
    assert recreated == ["view board.v"]
    assert set(warnings) == {f"{what} was dropped: it depended on the old schema shop" for what in strangers}
    assert shop.read("SELECT * FROM board.keyed", as_="superuser") == [(1,)]
    assert publish_run(shop, 3) == (["view board.v"], [])


def test_tables_of_others_are_never_dropped(here: Place) -> None:
    build(here, "CREATE VIEW board.v AS SELECT * FROM shop.users; CREATE TABLE board.typed (u shop.users, v board.v)")
    here.in_target(
        f"CREATE TABLE board.child () INHERITS (shop.users); ALTER TABLE board.child OWNER TO {analyst(here)}",
        superuser=True,
    )
    remedy = "depends on schema shop and would stay with the old one; drop it, and create it again after the run"
    for drop in (False, True):
        assert set(problems(here, drop_dependants=drop)) == {
            f"target: {what} {remedy}"
            for what in ("column u of table board.typed", "column v of table board.typed", "table board.child")
        }


def test_row_security_on_a_published_table_is_never_lost_in_silence(here: Place) -> None:
    here.in_target("ALTER TABLE shop.users ENABLE ROW LEVEL SECURITY; CREATE POLICY few ON shop.users USING (id = 1)")
    for drop in (False, True):
        (line,) = problems(here, drop_dependants=drop)
        assert line.startswith("target: table shop.users has row security, which the new one would not have")


# Locks.


def test_a_query_that_reads_a_view_delays_the_publication_and_blocks_others_briefly(
    here: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publish, "_PAUSE", 0.2)
    build(here, f"CREATE VIEW board.v AS SELECT run FROM shop.users; GRANT SELECT ON board.v TO {here.reader}")
    done: list[Any] = []
    tried = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND application_name LIKE 'multi-schema%'"
    with psycopg.connect(here.reader_url) as dashboard:
        assert dashboard.execute("SELECT DISTINCT run FROM board.v").fetchall() == [(1,)]
        thread = threading.Thread(target=lambda: done.append(publish_run(here, 2)))
        thread.start()
        for _ in range(2):  # it tries, and tries again
            eventually(lambda: here.read(tried, as_="superuser") == [(1,)], "the run waits for the view")
            eventually(lambda: here.read(tried, as_="superuser") == [(0,)], "the run lets others go")
        # others read the view, and the tables, meanwhile
        assert here.read("SELECT DISTINCT run FROM board.v") == [(1,)]
        assert here.read("SELECT DISTINCT run FROM shop.users") == [(1,)]
        assert dashboard.execute("SELECT DISTINCT run FROM board.v").fetchall() == [(1,)]
        assert done == []
    thread.join()
    assert done == [(["view board.v"], [])]
    assert here.read("SELECT DISTINCT run FROM board.v") == [(2,)]


def test_a_view_that_stays_in_use_fails_the_run_by_name_and_changes_nothing(
    here: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publish, "_PATIENCE", 0.1)
    monkeypatch.setattr(publish, "_PAUSE", 0.1)
    build(here, f"CREATE VIEW board.v AS SELECT run FROM shop.users; GRANT SELECT ON board.v TO {here.reader}")
    with psycopg.connect(here.reader_url) as dashboard:
        dashboard.execute("SELECT * FROM board.v")
        pid = dashboard.info.backend_pid
        with pytest.raises(EtlError) as failed:
            publish_run(here, 2)
    assert str(failed.value) == (
        "target: view board.v is in use, and schema shop can't be replaced without it; "
        f"end the queries that read it, then start again: session {pid} of role {here.reader} "
        f"({here.in_its_target}: SELECT pg_terminate_backend({pid}))"
    )
    assert here.read("SELECT DISTINCT run FROM board.v") == [(1,)]
    assert here.schemas() == {"shop", "board", "B 2"}


def test_readers_of_a_view_who_query_all_the_time_see_one_run_and_never_an_error(here: Place) -> None:
    build(
        here,
        f"""
        CREATE VIEW board.v AS SELECT run FROM shop.users;
        CREATE MATERIALIZED VIEW board.m AS SELECT run FROM board.v;
        GRANT SELECT ON board.v, board.m TO {here.reader};
        """,
    )
    ended = threading.Event()
    seen: list[Any] = []
    looking = sql.SQL("SELECT min(run), max(run), count(*) FROM {}")

    def look() -> None:
        with psycopg.connect(here.reader_url, autocommit=True) as connection:
            while not ended.is_set():
                for view in ("v", "m"):
                    try:
                        seen.append(connection.execute(looking.format(sql.Identifier("board", view))).fetchone())
                    except psycopg.Error as error:
                        seen.append(str(error))
                time.sleep(0.002)

    thread = threading.Thread(target=look)
    thread.start()
    for number in range(2, 6):
        publish_run(here, number)
    ended.set()
    thread.join()
    assert set(seen) <= {(number, number, 3) for number in range(1, 6)}


# Grants.

GRANTS = """
SELECT c.relname, a.attname, acl.grantee::regrole::text, acl.privilege_type, acl.is_grantable
FROM pg_class AS c
CROSS JOIN LATERAL (SELECT NULL, relacl UNION ALL SELECT attname, attacl FROM pg_attribute WHERE attrelid = c.oid)
    AS a (attname, acl)
CROSS JOIN LATERAL aclexplode(a.acl) AS acl
WHERE c.relnamespace = 'shop'::regnamespace AND c.relkind = 'r' AND acl.grantee <> c.relowner
ORDER BY 1, 2, 3, 4
"""
DEFAULTS = """
SELECT pg_get_userbyid(defaclrole), defaclobjtype::text, acl.grantee::regrole::text, privilege_type, is_grantable
FROM pg_default_acl, aclexplode(defaclacl) AS acl WHERE defaclnamespace = 'shop'::regnamespace ORDER BY 1, 2, 3, 4
"""
SCHEMA = """
SELECT acl.grantee::regrole::text, privilege_type, is_grantable, grantor::regrole::text
FROM pg_namespace, aclexplode(nspacl) AS acl WHERE nspname = 'shop' ORDER BY 1, 2
"""


def test_what_others_were_granted_on_the_old_schema_they_have_on_the_new_one_no_more_and_no_less(shop: Place) -> None:
    guest, other = f'"guest {shop.number}"', f"other_{shop.number}"
    shop.in_target(
        f"""
        CREATE ROLE {guest};
        CREATE ROLE {other};
        GRANT USAGE ON SCHEMA shop TO {guest} WITH GRANT OPTION;
        GRANT USAGE, CREATE ON SCHEMA shop TO PUBLIC;
        GRANT SELECT, REFERENCES ON shop.users TO {guest} WITH GRANT OPTION;
        GRANT INSERT ON shop.users TO PUBLIC;
        GRANT SELECT (id), UPDATE (id) ON shop.orders TO {other};
        GRANT SELECT ("Été ""d") ON shop.users TO {other};
        REVOKE SELECT ON shop.orders FROM {analyst(shop)};
        ALTER DEFAULT PRIVILEGES FOR ROLE {shop.etl} IN SCHEMA shop GRANT SELECT ON TABLES TO {other} WITH GRANT OPTION;
        ALTER DEFAULT PRIVILEGES FOR ROLE {shop.etl} IN SCHEMA shop GRANT EXECUTE ON FUNCTIONS TO {guest};
        ALTER DEFAULT PRIVILEGES FOR ROLE {shop.etl} GRANT DELETE ON TABLES TO {guest};
        """.replace('(id, "Été ""d"), UPDATE (id) ON shop.orders, shop.users', "(id), UPDATE (id) ON shop.orders"),
        superuser=True,
    )
    shop.in_target(f'GRANT SELECT ("Été ""d") ON shop.users TO {other}')
    before = [shop.read(question, as_="superuser") for question in (GRANTS, DEFAULTS, SCHEMA)]
    assert all(before)
    for number in (2, 3):
        assert publish_run(shop, number) == ([], [])
        assert [shop.read(question, as_="superuser") for question in (GRANTS, DEFAULTS, SCHEMA)] == before
    # a table that was not there has what default privileges give
    shop.in_origin("CREATE TABLE tags (id int PRIMARY KEY)")
    assert publish_run(shop, 4, RULES + "  - {table_name: tags, non_anonymized_column_names: []}") == ([], [])
    found = shop.read(GRANTS, as_="superuser")
    assert [row for row in found if row[0] != "tags"] == before[0]
    assert {row[2:] for row in found if row[0] == "tags"} == {
        (guest, "DELETE", False),
        (other, "SELECT", True),
        (shop.reader, "SELECT", False),
    }


def test_grants_on_tables_and_columns_that_are_gone_are_named(here: Place) -> None:
    guest = f"guest_{here.number}"
    here.in_target(
        f"""
        CREATE ROLE {guest};
        CREATE ROLE creator_{here.number};
        GRANT SELECT ON shop.orders TO {guest}, PUBLIC;
        GRANT SELECT (name, id) ON shop.users TO {guest};
        ALTER DEFAULT PRIVILEGES FOR ROLE creator_{here.number} IN SCHEMA shop GRANT SELECT ON TABLES TO {guest};
        """,
        superuser=True,
    )
    here.in_origin("ALTER TABLE users DROP COLUMN name; DROP TABLE orders")
    rules = "tables:\n  - {table_name: users, non_anonymized_column_names: [run, 'Été \"d']}\n"
    role = f'An "alyst_{here.number}'
    here.in_origin("UPDATE users SET run = 2")
    assert list(here.run(rules).warnings) == [
        f"rights of {role}, PUBLIC, {guest} to table orders ended: it is not published any more",
        f"rights of {guest} to column users.name ended: it is not published any more",
        f"default privileges of role creator_{here.number} in schema shop ended: only that role may set them",
    ]
    assert ("users", "id", guest, "SELECT", False) in here.read(GRANTS, as_="superuser")


def test_the_reader_has_a_right_to_the_new_tables_that_was_taken_from_it_on_the_old_ones(here: Place) -> None:
    here.in_target(f"REVOKE ALL ON shop.users FROM {here.reader}; REVOKE ALL ON SCHEMA shop FROM {here.reader}")
    publish_run(here, 2)
    assert here.read("SELECT DISTINCT run FROM shop.users") == [(2,)]
