"""What others have on published tables stays as it is in a refresh, and nothing of theirs runs with the ETL's rights."""

import re

import psycopg
import pytest

from multischema.errors import CheckError, EtlError
from multischema.pipeline import Published
from tests.conftest import Place
from tests.support import ledger
from tests.support.gates import PATIENCE
from tests.support.runs import Running, behind_proxy

# what the catalog says of all that stands in and on the published schema, with its identity; no sizes, which rows change
DESCRIBED = """
SELECT 'relation', c.oid::text, concat_ws(' ', c.oid::regclass, c.relkind, c.relowner::regrole, c.relacl::text,
       c.relfilenode,
       CASE WHEN c.relkind IN ('v', 'm') THEN pg_get_viewdef(c.oid) WHEN c.relkind = 'i' THEN pg_get_indexdef(c.oid) END,
       obj_description(c.oid), (SELECT string_agg(a.attname || a.attacl::text, ' ' ORDER BY a.attnum)
                                FROM pg_attribute AS a WHERE a.attrelid = c.oid))
FROM pg_class AS c WHERE c.relnamespace IN ('shop'::regnamespace, 'board'::regnamespace)
UNION ALL
SELECT 'statistics', s.oid::text, pg_get_statisticsobjdef(s.oid) FROM pg_statistic_ext AS s
UNION ALL
SELECT 'schema', n.oid::text, concat_ws(' ', n.nspacl::text, obj_description(n.oid)) FROM pg_namespace AS n
WHERE n.nspname IN ('shop', 'board')
UNION ALL
SELECT 'default privileges', d.oid::text, concat_ws(' ', d.defaclrole::regrole, d.defaclobjtype, d.defaclacl::text)
FROM pg_default_acl AS d
ORDER BY 1, 2
"""


def of_the_analyst(place: Place) -> None:
    """Have the analyst, and the superuser for them, make all that can stand on a published table."""
    ledger.build(
        place,
        f"""
        CREATE VIEW board.balances AS SELECT id, balance FROM shop.accounts;
        COMMENT ON VIEW board.balances IS 'what is left';
        CREATE MATERIALIZED VIEW board.sums AS SELECT account_id, sum(amount) FROM shop.entries GROUP BY 1;
        CREATE UNIQUE INDEX ON board.sums (account_id);
        CREATE VIEW board.on_sums AS SELECT s.* FROM board.sums AS s JOIN board.balances AS b ON b.id = s.account_id;
        CREATE MATERIALIZED VIEW board.total AS SELECT 1 AS one, sum(sum) FROM board.on_sums;
        CREATE UNIQUE INDEX ON board.total (one);
        CREATE MATERIALIZED VIEW board.quiet AS SELECT count(*) FROM shop.quiet;
        CREATE MATERIALIZED VIEW board.never AS SELECT * FROM shop.entries WITH NO DATA;
        GRANT SELECT (sum) ON board.on_sums TO {place.reader};
        """,
    )
    place.in_target(
        f"""
        CREATE INDEX of_analyst ON shop.entries (amount, account_id);
        CREATE STATISTICS board.related ON amount, account_id FROM shop.entries;
        ALTER DEFAULT PRIVILEGES FOR ROLE {place.etl} IN SCHEMA shop GRANT SELECT ON TABLES TO analyst_{place.number};
        ALTER DEFAULT PRIVILEGES FOR ROLE {place.etl} GRANT SELECT ON TABLES TO analyst_{place.number};
        COMMENT ON INDEX shop.of_analyst IS 'by amount';
        """,
        superuser=True,
    )


def test_what_others_built_and_were_granted_stays_the_same_object_and_shows_the_new_rows(place: Place) -> None:
    ledger.publish(place)
    ledger.analyst(place)
    of_the_analyst(place)
    versions = "SELECT xmin, ctid FROM board.quiet"
    described, quiet = place.read(DESCRIBED, as_="superuser"), place.read(versions, as_="superuser")
    for number in (1, 2):
        ledger.change(place, number)
        done = place.run(ledger.RULES, refresh="auto")
        assert done.choice.line().startswith("refresh: ")
        assert done.warnings == ()
        assert place.read(DESCRIBED, as_="superuser") == described
        assert place.read(versions, as_="superuser") == quiet
        ((total,),) = place.read("SELECT sum(amount) FROM shop.entries")
        for query in (
            "SELECT sum(sum) FROM board.on_sums",
            "SELECT sum FROM board.total",
            "SELECT sum(balance) FROM board.balances",
        ):
            assert place.read(query, as_="superuser") == [(total,)], query
        with pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState):
            place.read("SELECT * FROM board.never", as_="superuser")


def test_what_only_others_could_create_again_stops_a_full_run_and_stays_through_a_refresh(place: Place) -> None:
    ledger.publish(place)
    role = ledger.analyst(place, member=False)
    of_the_analyst(place)
    described = place.read(DESCRIBED, as_="superuser")
    ledger.change(place)
    with pytest.raises(CheckError, match="may not recreate it for that role"):
        place.run(ledger.RULES, refresh="full")
    done = place.run(ledger.RULES, refresh="auto")
    assert done.choice.line().startswith("refresh: ")
    assert sorted(done.warnings) == [
        f"materialized view board.{name} of role {role} shows rows of before: only that role can refresh it"
        for name in ("sums", "total")
    ]
    assert place.read(DESCRIBED, as_="superuser") == described
    assert place.read("SELECT sum(balance) FROM board.balances", as_="superuser") == [(3024,)]
    assert place.read("SELECT sum(sum) FROM board.sums", as_="superuser") == [(3000,)]
    # a doubt, after the check or before it, is said, and nothing is published
    place.in_origin("UPDATE accounts SET balance = balance")
    with pytest.raises(CheckError, match="may not recreate it for that role"):
        place.run(ledger.RULES, refresh="auto")
    assert place.read(DESCRIBED, as_="superuser") == described


def test_a_role_that_may_maintain_a_materialized_view_refreshes_it(place: Place) -> None:
    ledger.publish(place)
    ledger.analyst(place, member=False)
    of_the_analyst(place)
    ledger.build(
        place, f"GRANT MAINTAIN ON board.sums, board.total TO {place.etl}; GRANT USAGE ON SCHEMA board TO {place.etl}"
    )
    ledger.change(place)
    done = place.run(ledger.RULES, refresh="auto")
    assert (done.choice.line()[:9], done.warnings) == ("refresh: ", ())
    assert place.read("SELECT sum FROM board.total", as_="superuser") == [(3024,)]


def test_a_materialized_view_whose_readers_would_wait_makes_the_run_full_and_says_what_to_do(place: Place) -> None:
    ledger.publish(place)
    role = ledger.analyst(place)
    ledger.build(place, "CREATE MATERIALIZED VIEW board.sums AS SELECT sum(amount) FROM shop.entries")
    ledger.change(place)
    done = ledger.refresh(place)
    assert done.choice.line() == (
        f"full: materialized view board.sums of role {role} has no unique index: give it one, so that its readers don't wait"
    )
    assert place.read("SELECT * FROM board.sums", as_="superuser") == [(3024,)]
    ledger.build(place, "CREATE UNIQUE INDEX ON board.sums (sum)")
    ledger.change(place, 2)
    assert ledger.refresh(place).choice.line().startswith("refresh: ")
    assert place.read("SELECT * FROM board.sums", as_="superuser") == place.read("SELECT sum(amount) FROM shop.entries")


def test_an_index_that_others_made_and_dropped_again_is_no_matter(place: Place) -> None:
    ledger.publish(place)
    place.in_target("CREATE INDEX of_analyst ON shop.entries (amount)", superuser=True)
    ledger.change(place)
    assert place.run(ledger.RULES, refresh="auto").choice.line().startswith("refresh: ")
    place.in_target("DROP INDEX shop.of_analyst", superuser=True)
    ledger.change(place, 2)
    assert ledger.refresh(place).choice.line().startswith("refresh: ")


# Whoever may put a trigger on a published table would have its function run with the ETL's rights.

FIRED = """
CREATE SEQUENCE board.fired;
CREATE FUNCTION board.fire() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN PERFORM nextval('board.fired'); RETURN coalesce(NEW, OLD); END $$;
GRANT ALL ON SEQUENCE board.fired TO PUBLIC;
GRANT USAGE ON SCHEMA board TO PUBLIC;
"""
GUESTS = {
    "a trigger": (
        "CREATE TRIGGER mine BEFORE INSERT OR UPDATE OR DELETE ON shop.accounts FOR EACH ROW EXECUTE FUNCTION board.fire()"
    ),
    "a trigger of statements": "CREATE TRIGGER mine AFTER DELETE ON shop.accounts EXECUTE FUNCTION board.fire()",
    "a foreign key": (
        "CREATE TABLE board.notes (id int REFERENCES shop.accounts ON DELETE CASCADE); "
        "INSERT INTO board.notes SELECT id FROM shop.accounts; "
        "CREATE TRIGGER mine AFTER DELETE ON board.notes FOR EACH ROW EXECUTE FUNCTION board.fire()"
    ),
}
BY_OWNER = {
    "a rule": "CREATE RULE mine AS ON INSERT TO shop.accounts DO ALSO SELECT nextval('board.fired')",
    "a child": "CREATE TABLE board.more () INHERITS (shop.accounts); INSERT INTO board.more VALUES (1, 'x', 'x', 0); "
    "CREATE TRIGGER mine AFTER DELETE ON board.more FOR EACH ROW EXECUTE FUNCTION board.fire()",
    "row security": "ALTER TABLE shop.accounts ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY; "
    "CREATE POLICY mine ON shop.accounts USING (id > 500)",
}


@pytest.mark.parametrize("when", ["before the run", "amid the run"])
@pytest.mark.parametrize("guest", [*GUESTS, *BY_OWNER])
def test_nothing_that_others_put_on_a_table_runs_in_a_refresh(guest: str, when: str, place: Place) -> None:
    ledger.publish(place)
    role = ledger.analyst(place)
    ledger.build(place, FIRED)
    place.in_target(f"GRANT TRIGGER, REFERENCES ON ALL TABLES IN SCHEMA shop TO {role}", superuser=True)
    ledger.change(place)

    def come() -> None:
        if guest in GUESTS:
            ledger.build(place, GUESTS[guest])
        else:
            place.in_target(BY_OWNER[guest], superuser=True)

    if when == "before the run":
        come()
    with behind_proxy(place, "target") as (proxy, databases):
        proxy.stall_at_request(rb"CREATE TABLE" if when == "amid the run" else rb"never")
        run = Running(place, *databases, text=ledger.RULES, refresh="auto")
        if when == "amid the run":
            assert proxy.stalled.wait(PATIENCE)
            come()
            proxy.go_on()
        result = run.ended()
    assert place.read("SELECT is_called FROM board.fired", as_="superuser") == [(False,)]
    if isinstance(result, Published):
        assert result.choice.full, result.choice.line()
        ledger.as_a_full_run_would(place)
    else:
        assert isinstance(result, EtlError)
        assert "depends on schema shop" in str(result) or "row security" in str(result), result
        assert place.read(ledger.SUMS, as_="superuser") == [(3000, 3000)]
    if guest == "a foreign key":
        assert place.read("SELECT count(*) FROM board.notes", as_="superuser") == [(1000,)]


REFUSING = {
    "a unique index": "CREATE UNIQUE INDEX mine ON shop.accounts (balance) WHERE balance > 3",
    "an index of an expression": "CREATE INDEX mine ON shop.entries ((1 / (amount - 7)))",
    "a check": "ALTER TABLE shop.entries ADD CONSTRAINT mine CHECK (amount < 7)",
    "a function that raises": "CREATE FUNCTION public.raises(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN "
    "IF $1 = 7 THEN RAISE 'no'; END IF; RETURN 1; END $$; CREATE INDEX mine ON shop.entries (public.raises(amount))",
    "a publication": "ALTER TABLE shop.entries REPLICA IDENTITY NOTHING; CREATE PUBLICATION mine FOR TABLE shop.entries",
}


@pytest.mark.parametrize("refusing", REFUSING)
def test_what_others_put_on_a_table_and_refuses_the_new_rows_makes_the_run_full_and_is_told(
    refusing: str, place: Place
) -> None:
    ledger.publish(place)
    place.in_target(REFUSING[refusing], superuser=True)
    ledger.change(place)
    done = place.run(ledger.RULES, refresh="auto")
    assert done.choice.line().startswith("full: the target refused what came in: "), done.choice.line()
    if refusing in ("a unique index", "a check"):
        assert re.search(r" \(mine of (accounts|entries)\)$", done.choice.line())
    ledger.as_a_full_run_would(place)


def test_a_materialized_view_in_the_published_schema_is_told_when_its_rows_are_of_before(place: Place) -> None:
    ledger.publish(place)
    place.in_target("CREATE MATERIALIZED VIEW shop.sums AS SELECT sum(amount) FROM shop.entries", superuser=True)
    ledger.change(place)
    done = place.run(ledger.RULES, refresh="auto")
    assert done.choice.line().startswith("refresh: ")
    assert done.warnings == (
        "materialized view shop.sums of role postgres may show rows of before: have it stand in a schema of its own",
    )


# Event triggers of the target: they are named, or what they did is seen before readers are.

EVENTS = {
    "raises as tables are made": (
        "CREATE TABLE",
        "RAISE EXCEPTION 'ask first'",
        "event trigger house_rule of the target raised it: make it leave the ETL's role or schemas alone",
    ),
    "raises as a view is refreshed": (
        "REFRESH MATERIALIZED VIEW",
        "RAISE EXCEPTION 'ask first'",
        "materialized view board.sums",
    ),
    "hides new tables": (
        "CREATE TABLE",
        "FOR made IN SELECT * FROM pg_event_trigger_ddl_commands() WHERE command_tag = 'CREATE TABLE' LOOP "
        "EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', made.object_identity); END LOOP",
        "row security is on for table",
    ),
    "hides a published table as a view is refreshed": (
        "REFRESH MATERIALIZED VIEW",
        "ALTER TABLE shop.quiet ENABLE ROW LEVEL SECURITY",
        "row security is on for table shop.quiet",
    ),
    "hides a published table as a schema gets its comment": (
        "COMMENT",
        "IF EXISTS (SELECT FROM pg_event_trigger_ddl_commands() WHERE object_identity = 'shop') THEN "
        "ALTER TABLE shop.quiet ENABLE ROW LEVEL SECURITY; END IF",
        "row security is on for table shop.quiet",
    ),
}


@pytest.mark.parametrize("event", EVENTS)
def test_an_event_trigger_neither_hides_what_a_refresh_publishes_nor_fails_it_in_silence(event: str, place: Place) -> None:
    ledger.publish(place)
    ledger.analyst(place)
    ledger.build(
        place,
        "CREATE MATERIALIZED VIEW board.sums AS SELECT account_id, sum(amount) FROM shop.entries GROUP BY 1;"
        "CREATE UNIQUE INDEX ON board.sums (account_id)",
    )
    ledger.change(place)
    if "comment" in event:  # the run writes its record again where it is another one
        place.in_target("COMMENT ON SCHEMA shop IS '" + commented(place) + " '", superuser=True)
    tag, body, found = EVENTS[event]
    place.in_target(
        f"""
        CREATE SCHEMA ops;
        CREATE FUNCTION ops.rule() RETURNS event_trigger LANGUAGE plpgsql SECURITY DEFINER AS
        $body$ DECLARE made record; BEGIN {body}; END $body$;
        CREATE EVENT TRIGGER house_rule ON ddl_command_end WHEN TAG IN ('{tag}') EXECUTE FUNCTION ops.rule();
        """,
        superuser=True,
    )
    before = ledger.rows(place), ledger.standing(place)
    result = Running(place, text=ledger.RULES, refresh="auto").ended()
    place.in_target("DROP EVENT TRIGGER house_rule", superuser=True)
    assert isinstance(result, EtlError), result.choice.line()
    assert found in str(result)
    assert (ledger.rows(place), ledger.standing(place)) == before
    assert ledger.refresh(place).choice.line().startswith("refresh: ")


def commented(place: Place) -> str:
    """Return the record of the published schema."""
    ((comment,),) = place.read("SELECT obj_description('shop'::regnamespace)", as_="etl")
    return str(comment)


def test_default_privileges_give_nobody_what_runs_remember_and_keep_no_run_from_refreshing(place: Place) -> None:
    place.in_target(
        f"""
        CREATE ROLE guest_{place.number};
        ALTER DEFAULT PRIVILEGES FOR ROLE {place.etl} GRANT SELECT, UPDATE ON TABLES TO guest_{place.number}, PUBLIC;
        ALTER DEFAULT PRIVILEGES FOR ROLE {place.etl} GRANT ALL ON SCHEMAS TO guest_{place.number} WITH GRANT OPTION;
        """,
        superuser=True,
    )
    ledger.publish(place)
    ledger.change(place)
    done = place.run(ledger.RULES, refresh="auto")
    assert done.choice.line().startswith("refresh: "), done.choice.line()
    guest = f"guest_{place.number}"
    rights = (
        f"SELECT has_schema_privilege('{guest}', 'etl_state', 'USAGE'), "
        f"has_table_privilege('{guest}', 'etl_state.published', 'SELECT, UPDATE')"
    )
    assert place.read(rights, as_="superuser") == [(False, False)]
