"""Settings that a role or a database has on either server change nothing of what a refresh publishes."""

from collections.abc import Callable

import pytest

from tests.conftest import PAIRS, Place
from tests.support import ledger

# functions and operators that would be found first, if the ETL's sessions looked in public before pg_catalog
EVIL = """
CREATE FUNCTION public.never(int, int) RETURNS bool LANGUAGE sql AS 'SELECT false';
CREATE OPERATOR public.= (LEFTARG = int, RIGHTARG = int, FUNCTION = public.never);
CREATE FUNCTION public.age(xid) RETURNS int LANGUAGE sql AS 'SELECT 2000000000';
CREATE FUNCTION public.md5(text) RETURNS text LANGUAGE sql AS $$SELECT 'x'$$;
CREATE AGGREGATE public.count(*) (SFUNC = int8inc, STYPE = int8, INITCOND = '7');
"""
# of both sides; what a server does not know, or only a superuser may set for others, is set as far as it goes
SETTINGS = {
    "search_path": "public, pg_catalog",
    "lock_timeout": "'1ms'",
    "session_replication_role": "replica",
    "default_transaction_isolation": "serializable",
    "default_transaction_deferrable": "on",
    "default_transaction_read_only": "on",
    "row_security": "off",
    "enable_seqscan": "off",
    "enable_tidscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "transform_null_equals": "on",
    "DateStyle": "'SQL, DMY'",
    "IntervalStyle": "sql_standard",
    "TimeZone": "'Asia/Kathmandu'",
    "bytea_output": "escape",
    "extra_float_digits": "'-15'",
    "client_encoding": "latin1",
    "standard_conforming_strings": "off",
    "quote_all_identifiers": "on",
    "work_mem": "'64kB'",
    "synchronous_commit": "off",
    "max_parallel_workers_per_gather": "0",
    "temp_tablespaces": "'pg_default'",
}
RESET = "SET default_transaction_read_only = off; SET transaction_read_only = off;"
ORIGIN = (
    ledger.ORIGIN
    + """
CREATE TABLE kinds (at timestamptz, took interval, day date, cost float8, file bytea, told text, id int PRIMARY KEY);
INSERT INTO kinds SELECT '2026-02-01 12:00+00', '1 day 02:03:04', '2026-02-01', n / 3.0::float8, '\\x00ff', E'é\\\\', n
FROM generate_series(1, 500) AS n;
"""
)
RULES = f"""{ledger.RULES}
  - table_name: kinds
    non_anonymized_column_names: [at, took, day, cost, file, told]
"""


@pytest.mark.parametrize(
    "pair",
    [PAIRS[0], pytest.param(PAIRS[1], marks=pytest.mark.slow)],
    ids=lambda pair: f"{pair[0]} to {pair[1]}",
)
def test_no_setting_of_a_role_or_a_database_changes_what_a_refresh_publishes(
    pair: tuple[str, str], make_place: Callable[..., Place]
) -> None:
    place = ledger.publish(make_place(*pair), origin=ORIGIN, rules=RULES)
    change = "UPDATE kinds SET cost = cost / 7, told = 'ü' WHERE id <= 20;DELETE FROM kinds WHERE id = 300;"
    ledger.change(place)
    place.in_origin(change)
    for in_side, role in ((place.in_origin, place.app), (place.in_target, place.etl)):
        in_side(EVIL, superuser=True)
        for number, (name, value) in enumerate(SETTINGS.items()):
            whose = f"ROLE {role}" if number % 2 else f"DATABASE {place.name}"
            in_side(f"{RESET} ALTER {whose} SET {name} = {value}", superuser=True)
    done = place.run(RULES, refresh="auto")
    for in_side, role in ((place.in_origin, place.app), (place.in_target, place.etl)):
        in_side(f"{RESET} ALTER ROLE {role} RESET ALL; ALTER DATABASE {place.name} RESET ALL", superuser=True)
        in_side(
            "DROP OPERATOR public.= (int, int); DROP FUNCTION public.never, public.age, public.md5; "
            "DROP AGGREGATE public.count(*)",
            superuser=True,
        )
    assert done.choice.line() == "refresh: 62 of 7,517 rows in 3 of 4 tables"
    ledger.as_a_full_run_would(place, RULES)
