"""What must hold before a run: each thing that does not is one line, with its side, and what to do."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from multischema.catalog.objects import MissingType, Readable, Stranger
from multischema.catalog.servers import Reader, Target
from multischema.postgres import connecting
from multischema.rules.file import TableRules
from multischema.stages import preconditions
from tests.support.origins import SERVER, all_rules, catalog, column, table, truncating

FACTS = Target(
    published_exists=True,
    owns_published=True,
    published_owner="etl",
    published_comment='multi-schema-postgres-etl masked {"copied": {"users": []}, "app": "rdvs"}',
)
METABASE = Reader(
    name="metabase",
    is_first=True,
    exists=True,
    is_superuser=False,
    is_self=False,
    powers=(),
    attributes=(),
    owns_database=False,
    watches=(),
    may_log_in=True,
    may_have_no_session=False,
    expired=False,
    may_connect=True,
    follows_first=None,
)
TEAM = replace(METABASE, name='Équipe "1"', is_first=False)
HERE = "in database analytics on db.example.org:5432: "


def is_said(lines: Sequence[str], *words: str) -> bool:
    """Tell whether there is one line, and it has all these words."""
    return len(lines) == 1 and "\n" not in lines[0] and all(word in lines[0] for word in words)


@pytest.mark.parametrize("major", range(13, 19))
def test_postgres_13_to_18_are_supported(major: int) -> None:
    assert preconditions.server_problems("target", replace(SERVER, major=major)) == []


@pytest.mark.parametrize("major", [9, 12, 19])
def test_other_versions_are_not(major: int) -> None:
    assert is_said(
        preconditions.server_problems("origin rdvs", replace(SERVER, major=major)), "origin rdvs: ", f" {major} ", "13 to 18"
    )


@pytest.mark.parametrize(
    ("allowed", "words"),
    [
        (None, ["does not exist", "analytics"]),
        (False, ["may not use schema Odd Schema", 'GRANT USAGE ON SCHEMA "Odd Schema"', HERE]),
    ],
)
def test_an_origin_schema_that_is_absent_or_closed_is_named(allowed: bool | None, words: list[str]) -> None:
    lines = preconditions.origin_problems("origin rdvs", replace(SERVER, may_use_schema=allowed), "Odd Schema")
    assert is_said(lines, "origin rdvs: ", *words)
    assert preconditions.origin_problems("origin rdvs", SERVER, "public") == []


def test_every_table_that_will_be_copied_must_be_readable_and_whole() -> None:
    closed: dict[str, Any] = {"readable": False}
    open_ = column("id", "integer")
    origin = catalog(
        table("closed", column("id", "integer", **closed), column("name", **closed)),
        table("partly", open_, column("name", **closed)),
        table("filtered", open_, row_security=True),
        table("versions", column("id", "integer", **closed), row_security=True),
        table("open", open_),
    )
    names = ("closed", "partly", "filtered", "open")
    clear = frozenset(["id", "name"])
    rules = all_rules(*(TableRules(name, False, frozenset(), clear) for name in names), truncating("versions"))
    lines = preconditions.rights_problems("origin rdvs", SERVER, origin, rules)
    assert len(lines) == 3
    assert is_said(
        lines[:1],
        "origin rdvs: role etl may not SELECT table closed",
        HERE + 'GRANT SELECT ON TABLE "public"."closed" TO "etl"',
    )
    assert is_said(lines[1:2], "may not SELECT column name of table partly")
    assert is_said(lines[2:], "row security hides rows of table filtered", "BYPASSRLS")


def test_a_right_to_a_column_is_suggested_only_once_the_rules_decide_on_it() -> None:
    closed: dict[str, Any] = {"readable": False}
    origin = catalog(
        table("users", column("id", "integer"), column("city", **closed), column("birth_date", "date", **closed))
    )

    def said(*columns: str) -> Sequence[str]:
        own = TableRules("users", False, frozenset(), frozenset(columns))
        return preconditions.rights_problems("origin rdvs", SERVER, origin, all_rules(own))

    assert is_said(said("city"), HERE + 'GRANT SELECT ("city") ON TABLE "public"."users" TO "etl"')
    assert said() == []
    assert is_said(said("city", "birth_date"), 'GRANT SELECT ("city", "birth_date") ON TABLE')


SYSTEM = replace(SERVER, system="7581")


@pytest.mark.parametrize(
    ("origin", "is_same"),
    [
        ({}, True),
        ({"address": "replica.example.org:5433", "started": "2026-02-02 00:00:00+00", "in_recovery": True}, True),
        ({"database": "rdvs", "database_oid": 16385}, False),
        ({"system": "7582"}, False),  # the same address behind two networks
        ({"system": None}, True),
        ({"system": None, "address": "alias.example.org:5432"}, True),  # the same first process, the same database
        ({"system": None, "address": "other.example.org:5432", "started": "2026-02-02 00:00:00+00"}, False),
        ({"system": None, "database": "rdvs", "database_oid": 16385}, False),
    ],
)
def test_the_target_is_never_the_origin_s_own_database_whatever_its_address(origin: dict[str, Any], is_same: bool) -> None:
    lines = preconditions.same_database_problems(replace(SYSTEM, **origin), SYSTEM)
    assert (is_said(lines, "target: database analytics on db.example.org:5432 is the origin's own", "swapped")) == is_same
    assert bool(lines) == is_same


@pytest.mark.parametrize(
    ("facts", "adopt", "words"),
    [
        ({"published_exists": False, "owns_published": False}, False, []),
        ({}, False, []),
        ({"published_comment": 'multi-schema-postgres-etl masked {"copied": {}}'}, False, []),
        (
            {"owns_published": False, "published_owner": "bob"},
            True,
            ["belongs to bob", HERE + 'ALTER SCHEMA "rdvs" OWNER TO "etl"'],
        ),
        ({"published_comment": None}, False, ["no run of this tool made it", "--adopt"]),
        ({"published_comment": "Our sales"}, False, ["no run of this tool made it", "--adopt"]),
        ({"published_comment": None}, True, []),
        (
            {"published_comment": 'multi-schema-postgres-etl masked {"copied": {}, "app": "rdvi"}'},
            True,
            ["published by app rdvi, not by rdvs"],
        ),
    ],
)
def test_a_schema_is_replaced_where_the_app_s_runs_made_it_or_it_is_adopted(
    facts: dict[str, Any], adopt: bool, words: list[str]
) -> None:
    lines = preconditions.ownership_problems(SERVER, replace(FACTS, **facts), "rdvs", "rdvs", adopt=adopt)
    assert is_said(lines, "target: schema rdvs", *words) if words else lines == []


def test_an_origin_schema_without_tables_is_a_mistake() -> None:
    assert is_said(
        preconditions.rights_problems("origin rdvs", SERVER, catalog(), all_rules()), "schema public", "holds no table"
    )


@pytest.mark.parametrize(
    ("server", "schema", "words"),
    [
        ({"encoding": "LATIN1"}, "rdvs", ["encoded in LATIN1", "UTF8"]),
        ({"in_recovery": True}, "rdvs", ["standby", "primary"]),
        (
            {"may_create_schemas": False},
            "rdvs",
            ["may not create schemas", HERE + 'GRANT CREATE ON DATABASE "analytics" TO "etl"'],
        ),
        ({}, "public", ["'public'", "can't be published"]),
        ({}, "é" * 40, ["80 bytes"]),
    ],
)
def test_a_target_that_can_not_be_published_to_says_why(server: dict[str, Any], schema: str, words: list[str]) -> None:
    assert is_said(preconditions.target_problems(replace(SERVER, **server), schema), "target: ", *words)


def test_a_target_in_order_has_no_problem_and_one_with_several_says_them_all() -> None:
    assert preconditions.target_problems(SERVER, "rdvs") == []
    bad = replace(SERVER, encoding="LATIN1", in_recovery=True, may_create_schemas=False)
    assert len(preconditions.target_problems(bad, "public")) == 4


@pytest.mark.parametrize(
    ("reader", "quoted"), [(METABASE, '"metabase"'), (TEAM, '"Équipe ""1"""')], ids=["reader", "schema_reader"]
)
@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"exists": False}, ["the reader {name} does not exist"]),
        ({"is_superuser": True}, ["the reader {name} is a superuser"]),
        ({"is_self": True}, ["the reader {name} is the ETL's own role"]),
        ({"powers": ["pg_read_all_data", "etl"]}, ["the reader {name} is too powerful", "pg_read_all_data, etl"]),
        (
            {"attributes": ["CREATEROLE"]},
            ["{name} is too powerful: it has CREATEROLE", HERE + "ALTER ROLE {quoted} NOCREATEROLE"],
        ),
        ({"owns_database": True}, ["the reader {name} owns database analytics"]),
        ({"may_log_in": False}, ["nobody can log in as the reader {name}", HERE + "ALTER ROLE {quoted} LOGIN"]),
        ({"expired": True}, ["of the reader {name} has expired", HERE + "ALTER ROLE {quoted} VALID UNTIL 'infinity'"]),
        ({"may_connect": False}, ["{name} may not connect", HERE + 'GRANT CONNECT ON DATABASE "analytics" TO {quoted}']),
    ],
)
def test_a_role_that_can_not_be_a_reader_is_named_and_says_why(
    facts: dict[str, Any], words: list[str], reader: Reader, quoted: str
) -> None:
    lines = preconditions.reader_problems(SERVER, [METABASE, replace(reader, **facts), TEAM])
    assert is_said(lines, "target: ", *(word.format(name=reader.name, quoted=quoted) for word in words))


def test_readers_in_order_have_no_problem_and_of_several_each_is_named() -> None:
    assert preconditions.reader_problems(SERVER, [METABASE, TEAM]) == []
    absent, expired = replace(METABASE, exists=False), replace(TEAM, expired=True, may_connect=False)
    lines = preconditions.reader_problems(SERVER, [absent, expired])
    assert is_said(lines[:1], "the reader metabase does not exist", "name the one that Metabase connects as")
    assert [TEAM.name in line for line in lines] == [False, True, True]
    lines = preconditions.reader_problems(SERVER, [METABASE, replace(TEAM, exists=False)])
    assert is_said(lines, "does not exist", "take it off schema_reader (--schema-reader)")


def test_a_schema_reader_that_is_a_member_of_the_reader_is_warned_of() -> None:
    assert preconditions.reader_warnings([METABASE, TEAM]) == []
    lines = preconditions.reader_warnings([METABASE, replace(TEAM, follows_first="metabase")])
    assert is_said(lines, f"the reader {TEAM.name} is a member of metabase", "other apps' schemas")


def test_what_others_built_in_or_on_the_published_schema_is_named_each_on_a_line() -> None:
    def stranger(place: str, kind: str, name: str, **more: Any) -> Stranger:
        absent = dict.fromkeys(("owner", "type", "identity", "of_schema", "of_table", "constraint_name"))
        return Stranger(place, kind, name, **{**absent, "owned": False, "recorded": False, **more})

    child = stranger("on", "", "table bob.child", type="table", owned=True)
    function = stranger("on", "", "function bob.f()", type="function", owned=True)
    own = stranger("in", "table", "rdvs.notes", owner="bob")
    secured = stranger("at", "table", "rdvs.users")
    lines = preconditions.stranger_problems(SERVER, "rdvs", [child, function, replace(function, owned=False), own, secured])
    assert is_said(lines[:1], "target: table bob.child depends on schema rdvs", "drop it, and create it again after the run")
    assert is_said(lines[1:2], "target: function bob.f() depends on schema rdvs", "--drop-dependants")
    assert ["--drop-dependants" in line for line in lines] == [False, True, False, False, False]
    assert is_said(lines[3:4], "target: table rdvs.notes of role bob stands in schema rdvs")
    assert is_said(lines[4:], "target: table rdvs.users has row security")
    assert preconditions.stranger_problems(SERVER, "rdvs", []) == []


def test_a_type_that_the_target_has_not_is_named_with_a_column_and_a_collation_is_no_problem() -> None:
    lacking = [MissingType("type", "int4multirange"), MissingType("collation", "fr-x-icu")]
    lines = preconditions.lacking_problems(lacking, {"int4multirange": "rdvs.slots"}, 13)
    assert is_said(lines, "target: Postgres 13 has no type int4multirange, which column rdvs.slots needs")


def test_whatever_else_a_reader_could_read_is_named() -> None:
    rights = [Readable("metabase", "table", "public.users"), Readable("team", "schema", "etl_old_rdvs_0123abcd")]
    lines = preconditions.exposed_problems(rights)
    assert is_said(lines[:1], "the reader metabase could read table public.users", "revoke")
    assert is_said(lines[1:], "the reader team could read schema etl_old_rdvs_0123abcd")


def test_a_pooler_is_named_with_what_it_can_not_do() -> None:
    assert is_said([connecting.pooler_problem("target", "hold a lock")], "target: ", "pooler", "can't hold a lock")


@pytest.mark.parametrize(
    ("host", "sslmode", "warned"),
    [
        ("db.example.org", "prefer", True),
        ("db.example.org", "require", True),
        ("10.0.0.5", "disable", True),
        ("localhost,db.example.org", "prefer", True),
        ("db.example.org", "verify-ca", False),
        ("db.example.org", "verify-full", False),
        ("localhost", "prefer", False),
        ("LOCALHOST", "prefer", False),
        ("host.docker.internal", "prefer", False),
        ("127.0.0.1", "disable", False),
        ("::1", "prefer", False),
        ("/var/run/postgresql", "prefer", False),
        ("", "prefer", False),
    ],
)
def test_a_server_elsewhere_is_warned_of_where_nothing_verifies_it(host: str, sslmode: str, warned: bool) -> None:
    warning = preconditions.unverified("target", host, sslmode)
    elsewhere = host.rpartition(",")[2]
    assert (warning or "").startswith(f"target: sslmode={sslmode} does not verify who answers at {elsewhere}: ") is warned
    assert bool(warning) is warned
