"""Neighbours in the target's database: what they make under our names, what a reader may own, and who swaps raw tables."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import errors

from multischema import pipeline
from multischema.errors import CheckError, EtlError, VerifyError
from multischema.job import Job, old_name, staging_name
from multischema.stages import anonymize as anonymizing
from multischema.stages import restore
from multischema.stages.run import Run
from tests.conftest import PASSWORD, Place
from tests.support.checks import problems
from tests.support.readers import Watched

ORIGIN = """
CREATE TABLE users (id int PRIMARY KEY, name text);
INSERT INTO users SELECT n, 'marie@exemple.org' FROM generate_series(1, 100) AS n;
"""
RULES = "tables: [{table_name: users, anonymized_column_names: [name]}]"


class Neighbour:
    """Another role that may create schemas in the target's database."""

    def __init__(self, place: Place) -> None:
        self.place, self.role = place, f"neighbour_{place.number}"
        place.in_target(
            f"CREATE ROLE {self.role} LOGIN PASSWORD '{PASSWORD}'; GRANT CREATE ON DATABASE {place.name} TO {self.role}",
            superuser=True,
        )

    def do(self, *statements: str) -> None:
        """Execute statements, none of which waits for long."""
        url = self.place.target_server.url(self.place.name, self.role, PASSWORD)
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("SET lock_timeout = '200ms'")
            for statement in statements:
                connection.execute(statement.encode())


@pytest.fixture
def shop(place: Place) -> Place:
    """Return a place with a published app."""
    place.in_origin(ORIGIN)
    place.run(RULES)
    return place


@pytest.fixture
def neighbour(shop: Place) -> Neighbour:
    """Return a neighbour of that app."""
    return Neighbour(shop)


@contextmanager
def before(monkeypatch: pytest.MonkeyPatch, module: Any, stage: str, act: Any) -> Iterator[list[str]]:
    """Have something be done once, before a function of a run's is called."""
    work = getattr(module, stage)
    done: list[str] = []

    def acting(*arguments: Any, **options: Any) -> Any:
        if not done:
            done.append(stage)
            act()
        return work(*arguments, **options)

    with monkeypatch.context() as patched:
        patched.setattr(module, stage, acting)
        yield done
    assert done == [stage]


# Names of ours.


@pytest.mark.parametrize("app", ["shop", "x"])
@pytest.mark.parametrize("grantee", ["PUBLIC", "reader", "nobody"])
def test_schemas_of_a_neighbour_with_names_like_ours_stop_no_app_and_stay(
    app: str, grantee: str, shop: Place, neighbour: Neighbour
) -> None:
    named = [name(app, "0123abcd") for name in (staging_name, old_name)] + ["etl_old_", "etl_staging_x"]
    for name in named:
        neighbour.do(f"CREATE SCHEMA {name}", f"CREATE TABLE {name}.users (id int)")
        if grantee != "nobody":
            neighbour.do(f"GRANT USAGE ON SCHEMA {name} TO {grantee.replace('reader', shop.reader)}")
    shop.run(RULES)
    assert shop.schemas() == {"shop", *named}


def test_a_schema_of_the_reader_s_own_with_a_name_like_ours_stops_no_run(shop: Place) -> None:
    shop.in_target(f"CREATE SCHEMA etl_old_shop_0123abcd AUTHORIZATION {shop.reader}", superuser=True)
    shop.run(RULES)
    assert shop.schemas() == {"shop", "etl_old_shop_0123abcd"}


def test_the_names_that_sessions_show_are_of_no_use_to_who_takes_them_first(
    shop: Place, neighbour: Neighbour, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[str] = []

    def take() -> None:
        seen = shop.read("SELECT application_name FROM pg_stat_activity WHERE application_name LIKE 'multi-schema-%'")
        run_id = seen[0][0].split()[-1]
        taken.extend(name("shop", run_id) for name in (staging_name, old_name))
        neighbour.do(*(f"CREATE SCHEMA {name}" for name in taken))

    with before(monkeypatch, pipeline, "anonymize", take):
        shop.run(RULES)
    assert shop.schemas() == {"shop", *taken}


def test_the_name_of_a_staging_schema_does_not_tell_that_of_the_old_one(
    shop: Place, neighbour: Neighbour, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[str] = []

    def take() -> None:
        (staging,) = (name for name in shop.schemas() if name.startswith("etl_staging_"))
        taken.append(staging.replace("staging", "old"))
        neighbour.do(f"CREATE SCHEMA {taken[0]}")

    with before(monkeypatch, pipeline, "publish", take):
        shop.run(RULES)
    assert shop.schemas() == {"shop", *taken}


def test_a_run_s_parameters_hold_nothing_of_the_names_of_its_schemas() -> None:
    parameters = {"app": "shop", "schema": "", "names": "mine", "id": "mine"}
    job = Job.of({**parameters, "origin_schema": "", "reader": "", "jobs": 1, "lock_wait": 1}, "0123abcd", "89efcdab")
    assert job.staging == "etl_staging_shop_89efcdab"
    assert job.application.endswith(" 0123abcd")
    assert "89efcdab" not in job.application


# A reader with too many rights.


def refused(place: Place, **changes: Any) -> str:
    """Return the line with which the check refuses, and with which a run refuses that was checked before."""
    (line,) = problems(place, RULES, **changes)
    return line


POWERS = ("pg_create_subscription", "pg_maintain", "pg_write_all_data", "pg_read_all_data", "pg_write_server_files")


@pytest.mark.parametrize("through", ["itself", "a group"])
@pytest.mark.parametrize("power", POWERS)
def test_a_reader_with_a_power_over_everything_is_refused(power: str, through: str, shop: Place, watched: Watched) -> None:
    group = f"group_{shop.number}"
    shop.in_target(f"CREATE ROLE {group}; GRANT {group} TO {watched.quoted}", superuser=True)
    shop.in_target(f"GRANT {power} TO {watched.quoted if through == 'itself' else group}", superuser=True)
    assert power in refused(shop, **watched.options)


@pytest.mark.parametrize("through", ["itself", "a group"])
@pytest.mark.parametrize("owned", ["DATABASE {database}", "SCHEMA public"])
def test_a_reader_that_owns_what_runs_work_in_is_refused_in_check_and_before_publish(
    owned: str, through: str, shop: Place, watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    group = f"group_{shop.number}"
    shop.in_target(f"CREATE ROLE {group}; GRANT {group} TO {watched.quoted}", superuser=True)
    owner = watched.quoted if through == "itself" else group
    # what the ETL's role may do as the owner, it may no more
    taking = f"ALTER {owned.format(database=shop.name)} OWNER TO {owner}; GRANT CREATE ON DATABASE {shop.name} TO {shop.etl}"
    wanted = f"owns {'database ' + shop.name if 'DATABASE' in owned else 'schema public'}, itself or through another role"
    for stage in ("anonymize", "publish"):
        with pytest.raises(EtlError, match=wanted):
            with before(monkeypatch, pipeline, stage, lambda: shop.in_target(taking, superuser=True)):
                shop.run(RULES, **watched.options)
        assert wanted in refused(shop, **watched.options)
        shop.in_target(f"ALTER {owned.format(database=shop.name)} OWNER TO {shop.etl}", superuser=True)
    assert shop.schemas() == {"shop"}


@pytest.mark.parametrize("grantee", ["PUBLIC", "reader"])
def test_a_reader_that_may_maintain_what_is_published_is_refused(grantee: str, shop: Place, watched: Watched) -> None:
    shop.in_target(f"GRANT MAINTAIN ON shop.users TO {grantee.replace('reader', watched.quoted)}")
    may = [shop.reader, watched.role] if grantee == "PUBLIC" else [watched.role]
    assert problems(shop, RULES, **watched.options) == [
        f"target: the reader {role} may MAINTAIN table shop.users, and could lock or rebuild it; revoke that, also "
        "from default privileges"
        for role in dict.fromkeys(may)
    ]
    shop.in_target(f"REVOKE MAINTAIN ON shop.users FROM {grantee.replace('reader', watched.quoted)}")
    shop.run(RULES, **watched.options)


def test_a_reader_that_watches_or_ends_other_sessions_is_warned_of(shop: Place, watched: Watched) -> None:
    shop.in_target(f"GRANT pg_monitor, pg_signal_backend TO {watched.quoted}", superuser=True)
    warnings = shop.run(RULES, **watched.options).plan.warnings
    assert [line for line in warnings if line.startswith("the reader ")] == [
        f"the reader {watched.role} is a member of pg_monitor, pg_read_all_settings, pg_read_all_stats, and sees the "
        "statements of all sessions and the server's settings, which may quote what is personal; revoke it",
        f"the reader {watched.role} is a member of pg_signal_backend, and could end any run; revoke it",
    ]


# The owner of the database, in mode dump.

SWAP = (
    "CREATE TABLE public.users (id int, name text)",
    "GRANT ALL ON public.users TO PUBLIC",
)


@pytest.fixture
def owner(shop: Place, neighbour: Neighbour, private: Path) -> Neighbour:
    """Return a neighbour that owns the database, where the ETL may create what it needs."""
    shop.in_target(
        f"ALTER DATABASE {shop.name} OWNER TO {neighbour.role}; GRANT CREATE ON DATABASE {shop.name} TO {shop.etl};"
        f"GRANT USAGE, CREATE ON SCHEMA public TO {shop.etl}",
        superuser=True,
    )
    return neighbour


def stolen(place: Place) -> int:
    """Return how many raw e-mails stand in a table that is not the ETL's."""
    tables = place.read(
        "SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace "
        f"WHERE c.relkind = 'r' AND c.relname = 'users' AND pg_get_userbyid(c.relowner) <> '{place.etl}'",
        as_="superuser",
    )
    counted = [place.read(f"SELECT count(*) FROM {name} WHERE name LIKE 'marie@%'", as_="superuser") for (name,) in tables]
    return sum(count for ((count,),) in counted)


def test_a_raw_table_can_not_be_dropped_and_replaced_before_its_rows_come(
    shop: Place, owner: Neighbour, monkeypatch: pytest.MonkeyPatch
) -> None:
    def swap() -> None:
        with pytest.raises(errors.LockNotAvailable):
            owner.do("DROP TABLE public.users", *SWAP)

    with before(monkeypatch, restore, "_restore_rows", swap):
        shop.run(RULES, mode="dump")
    assert stolen(shop) == 0
    assert shop.read("SELECT count(*) FROM shop.users WHERE name LIKE 'marie@%'") == [(0,)]


@pytest.mark.parametrize("kind", ["table", "view"])
def test_a_raw_table_that_was_replaced_as_soon_as_it_was_made_gets_no_row(
    kind: str, shop: Place, owner: Neighbour, monkeypatch: pytest.MonkeyPatch
) -> None:
    view = "CREATE VIEW public.users AS SELECT 1 AS id, ''::text AS name"
    statements = SWAP if kind == "table" else (view, SWAP[1])

    def swap() -> None:
        owner.do("DROP TABLE public.users", *statements)

    with pytest.raises(VerifyError) as caught:
        with before(monkeypatch, restore.raw_schema, "exposed", swap):
            shop.run(RULES, mode="dump")
    assert caught.value.problems[0].startswith("target: table public.users is not the one that this run made")
    assert stolen(shop) == 0


def test_a_schema_that_is_swapped_under_the_rows_fails_the_run_by_name(
    shop: Place, owner: Neighbour, monkeypatch: pytest.MonkeyPatch
) -> None:
    swap = ("ALTER SCHEMA public RENAME TO mine", "CREATE SCHEMA public", "GRANT ALL ON SCHEMA public TO PUBLIC", *SWAP)
    with pytest.raises(VerifyError, match=r"table public\.users is not the one that this run made"):
        with before(monkeypatch, restore, "_restore_rows", lambda: owner.do(*swap)):
            shop.run(RULES, mode="dump")
    assert shop.read("SELECT count(*) FROM shop.users WHERE name LIKE 'marie@%'") == [(0,)]


def test_a_view_in_place_of_a_raw_table_never_runs_as_the_etl(
    shop: Place, owner: Neighbour, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner.do("CREATE SCHEMA own", "GRANT USAGE ON SCHEMA own TO PUBLIC", "CREATE TABLE own.caught (role text)")
    owner.do(
        "GRANT INSERT ON own.caught TO PUBLIC",
        "CREATE FUNCTION own.catch() RETURNS text LANGUAGE sql AS "
        "$$INSERT INTO own.caught VALUES (current_user) RETURNING role$$",
        "CREATE FUNCTION own.name() RETURNS text LANGUAGE plpgsql AS $$BEGIN RETURN own.catch(); EXCEPTION WHEN OTHERS THEN "
        "RAISE WARNING 'ran as %', current_user; RETURN current_user; END$$",
    )
    swap = (
        "DROP TABLE public.users",
        "CREATE VIEW public.users AS SELECT n AS id, own.name() AS name FROM generate_series(1, 100) AS n",
        SWAP[1],
    )
    run_copy = anonymizing.copy
    copied: list[str] = []

    def copying(run: Run, table: Any, snapshot: str, *others: Any) -> Any:
        copied.append(table.name)
        return run_copy(run, table, snapshot)

    monkeypatch.setattr(anonymizing, "copy", copying)
    with pytest.raises((VerifyError, CheckError)):
        with before(monkeypatch, pipeline, "anonymize", lambda: owner.do(*swap)):
            shop.run(RULES, mode="dump")
    assert copied == []
