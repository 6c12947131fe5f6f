"""A ledger: two tables whose sums agree in every snapshot, published once, then changed for a refresh to bring."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from multischema.pipeline import Published
from tests.conftest import Place
from tests.support.cases import seen, whatever_the_order
from tests.support.gates import GATED_RULES, eventually

ORIGIN = """
CREATE TABLE accounts (id int PRIMARY KEY, owner text NOT NULL, slug text UNIQUE, balance int NOT NULL);
CREATE TABLE entries (id int PRIMARY KEY, account_id int NOT NULL REFERENCES accounts, amount int NOT NULL, filling text);
CREATE TABLE quiet (id int PRIMARY KEY, label text);
CREATE INDEX ON entries (account_id);
INSERT INTO accounts SELECT n, 'Marie Curie ' || n, 's' || n, 3 FROM generate_series(1, 1000) AS n;
INSERT INTO entries SELECT n, n % 1000 + 1, 1, repeat('x', 99) FROM generate_series(1, 3000) AS n;
INSERT INTO quiet SELECT n, 'still' FROM generate_series(1, 3000) AS n;
"""
RULES = """
tables:
  - table_name: accounts
    anonymized_column_names: [owner]
    non_anonymized_column_names: [slug, balance]
  - table_name: entries
    non_anonymized_column_names: [amount, filling]
  - table_name: quiet
    non_anonymized_column_names: [label]
"""
GATED = RULES + GATED_RULES  # of an origin that has GATED_ORIGIN too
SUMS = "SELECT (SELECT sum(balance) FROM shop.accounts), (SELECT sum(amount) FROM shop.entries)"

# what a run that fails leaves as it was, besides the rows: what is remembered, its history, and who may do what with which
# table
STANDING = """
SELECT 'zz state', (SELECT md5(string_agg(p::text, ',' ORDER BY schema)) FROM etl_state.published AS p),
       concat_ws(' ', (SELECT md5(string_agg(r::text, ',' ORDER BY r.id)) FROM etl_report.runs AS r),
                 (SELECT md5(string_agg(t::text, ',' ORDER BY t.run, t.name)) FROM etl_report.tables AS t))
UNION ALL
SELECT c.oid::regclass::text, c.oid::text,
       concat_ws(' ', c.relfilenode, c.relrowsecurity, c.relacl::text, obj_description(c.oid))
FROM pg_class AS c WHERE c.relnamespace = 'shop'::regnamespace
UNION ALL
SELECT 'schema', n.oid::text, concat_ws(' ', n.nspacl::text, obj_description(n.oid))
FROM pg_namespace AS n WHERE n.nspname = 'shop'
ORDER BY 1
"""


def publish(place: Place, *, origin: str = ORIGIN, rules: str = RULES) -> Place:
    """Publish the ledger with a run that remembers what it saw."""
    place.in_origin(origin)
    assert place.run(rules, refresh="auto").choice.full
    return place


def analyst(place: Place, *, member: bool = True) -> str:
    """Make an analyst with a schema of their own, whom the ETL's role is a member of or not, and return the role's name."""
    role = f"analyst_{place.number}"
    place.in_target(
        f"""
        CREATE ROLE {role};
        CREATE SCHEMA board AUTHORIZATION {role};
        GRANT USAGE ON SCHEMA shop TO {role};
        GRANT SELECT ON ALL TABLES IN SCHEMA shop TO {role} WITH GRANT OPTION;
        GRANT SELECT (slug) ON shop.accounts TO {role};
        GRANT USAGE ON SCHEMA board TO {place.reader};
        ALTER DEFAULT PRIVILEGES FOR ROLE {role} IN SCHEMA board GRANT SELECT ON TABLES TO {place.reader};
        """,
        superuser=True,
    )
    if member:
        place.in_target(f"GRANT {role} TO {place.etl}", superuser=True)
    return role


def build(place: Place, statements: str) -> None:
    """Execute statements in the target as the analyst."""
    place.in_target(f"SET ROLE analyst_{place.number}; {statements}", superuser=True)


def change(place: Place, number: int = 1) -> None:
    """Have 20 accounts and as many entries change, one account come, and one go with its entries, in one transaction."""
    place.in_origin(
        f"""
        BEGIN;
        UPDATE accounts SET balance = balance + 1 WHERE id <= 20;
        INSERT INTO entries SELECT {number} * 10000 + n, n, 1, 'new' FROM generate_series(1, 20) AS n;
        DELETE FROM entries WHERE account_id = 1000 - {number};
        DELETE FROM accounts WHERE id = 1000 - {number};
        INSERT INTO accounts VALUES ({number} * 10000, 'Pierre Curie', 's' || 1000 - {number}, 7);
        INSERT INTO entries VALUES ({number} * 10000, {number} * 10000, 7, 'new');
        COMMIT;
        """
    )


def rows(place: Place) -> list[str]:
    """Return what the reader sees, in an order of its own."""
    return sorted(map(whatever_the_order, seen(place)))


def standing(place: Place) -> list[tuple[object, ...]]:
    """Return what a run that fails must leave as it was, besides the rows."""
    return place.read(STANDING, as_="superuser")


def refresh(place: Place, rules_text: str = RULES) -> Published:
    """Do a run that may refresh; whatever it chose, it published what a full run would, and left nothing."""
    done = place.run(rules_text, refresh="auto")
    as_a_full_run_would(place, rules_text)
    return done


def as_a_full_run_would(place: Place, rules_text: str = RULES) -> None:
    """See that what is published is what a full run publishes, and that nothing else is left."""
    assert place.schemas() - others(place) == {"shop"}
    found = rows(place)
    place.run(rules_text, app="full", schema="full", refresh="full")
    place.in_target('ALTER SCHEMA shop RENAME TO kept; ALTER SCHEMA "full" RENAME TO shop')
    try:
        assert rows(place) == found
    finally:
        place.in_target(
            "DROP SCHEMA shop CASCADE; ALTER SCHEMA kept RENAME TO shop;"
            "DELETE FROM etl_state.published WHERE schema = 'full'"
        )


def others(place: Place) -> set[str]:
    """Return the schemas that the ETL did not make."""
    found = place.read(f"SELECT nspname FROM pg_namespace WHERE nspowner <> '{place.etl}'::regrole", as_="superuser")
    return {name for (name,) in found}


@contextmanager
def held(place: Place, statement: str) -> Iterator[psycopg.Connection]:
    """Have somebody hold what a statement locks, until the end or until the connection is closed."""
    with psycopg.connect(place.target_server.url(place.name)) as connection:
        connection.execute(statement.encode())
        yield connection


def waiting(place: Place, relation: str) -> int:
    """Wait until a run of the target waits for what is locked, and return its server process."""
    query = (
        "SELECT l.pid FROM pg_locks AS l JOIN pg_stat_activity AS a USING (pid) WHERE NOT l.granted "
        f"AND a.application_name LIKE 'multi-schema%' AND l.relation = '{relation}'::regclass"
    )
    eventually(lambda: place.read(query, as_="superuser") != [], f"a run waits for {relation}")
    ((pid,),) = place.read(query, as_="superuser")
    return int(pid)
