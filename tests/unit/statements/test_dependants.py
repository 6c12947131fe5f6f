"""What others built on the published schema: the order in which it is created again, what it lacks, and its statements."""

from dataclasses import replace
from typing import Any

import pytest

from multischema.catalog.servers import Server
from multischema.statements import dependants
from multischema.statements.dependants import Definition, Dependant
from tests.support.origins import SERVER

VIEW: dict[str, Any] = {
    "oid": 1,
    "kind": "view",
    "schema": "board",
    "name": 'my "v"',
    "shown": 'board."my ""v"""',
    "owner": "Bob",
    "owner_is_superuser": False,
    "may_replace": True,
    "may_create": True,
    "stands_on": (),
    "needs": (("users", None), ("users", "id"), ("users", "name")),
}
DEFINITION: dict[str, Any] = {
    "oid": 1,
    "query": " SELECT users.id,\n    users.name\n   FROM rdvs.users",
    "options": (),
    "method": None,
    "populated": True,
    "comment": None,
    "columns": [],
    "parts": [],
}


def assembled(*changes: dict[str, Any]) -> tuple[Dependant, ...]:
    """Return dependants, each VIEW with changes."""
    return dependants.in_order([Dependant(**{**VIEW, **change}) for change in changes])


def defined(changes: dict[str, Any]) -> Definition:
    """Return DEFINITION with changes."""
    return Definition.of(**{**DEFINITION, **changes})


def test_each_comes_after_those_that_it_stands_on() -> None:
    found = assembled(
        {"oid": 1, "stands_on": (3, 2)}, {"oid": 2, "stands_on": (3,)}, {"oid": 3}, {"oid": 4, "stands_on": (1,)}
    )
    assert [view.oid for view in found] == [3, 2, 1, 4]


def test_views_that_read_one_another_come_last() -> None:
    found = assembled({"oid": 1, "stands_on": (2,)}, {"oid": 2, "stands_on": (1,)}, {"oid": 3})
    assert [view.oid for view in found] == [3, 1, 2]


@pytest.mark.parametrize(
    ("columns", "lacking"),
    [
        ({"users": ["id", "name", "city"]}, None),
        ({"users": ["id"]}, "column users.name"),
        ({"users": []}, "columns users.id, users.name"),
        ({"orders": ["id", "name"]}, "table users"),
    ],
)
def test_what_a_view_reads_and_is_gone_is_named(columns: dict[str, list[str]], lacking: str | None) -> None:
    (view,) = assembled({})
    assert dependants.missing(view, columns) == lacking
    lines = dependants.missing_problems([view], "rdvs", columns)
    assert [f"{lacking}" in line and view.title in line for line in lines] == ([True] if lacking else [])


def server(major: int) -> Server:
    """Return what is known of a target of this version."""
    return replace(SERVER, major=major)


def test_the_grant_that_lets_a_run_create_a_view_again_is_that_of_the_server_s_version() -> None:
    foreign = assembled({"may_replace": False})
    assert [line.partition("; ")[2] for line in dependants.rights_problems(foreign, "rdvs", server(15))] == [
        'in database analytics on db.example.org:5432: GRANT "Bob" TO "etl"'
    ]
    assert [line.partition("; ")[2] for line in dependants.rights_problems(foreign, "rdvs", server(16))] == [
        'in database analytics on db.example.org:5432: GRANT "Bob" TO "etl" WITH INHERIT TRUE, SET TRUE'
    ]
    assert dependants.rights_problems(assembled({}), "rdvs", server(16)) == []


def test_a_materialized_view_gets_its_owner_before_anything_of_it_can_run() -> None:
    (view,) = assembled({"kind": "materialized view"})
    definition = defined(
        {
            "options": ("fillfactor=70", "toast.autovacuum_enabled=false"),
            "method": "heap",
            "comment": "it's one",
            "columns": [["id", "the key", None, ["n_distinct=5"], ["STATISTICS 500", "STORAGE MAIN"]]],
            "parts": [
                ["INDEX", "board", "i", "CREATE INDEX i ON board.v USING btree (f(id))", None, None, True],
                ["STATISTICS", "board", "s", "CREATE STATISTICS board.s ON a, b FROM board.v", None, 77, False],
            ],
        }
    )
    assert [
        statement.as_string() for statement in (*dependants.create(view, definition), *dependants.fill(view, definition))
    ] == [
        'CREATE MATERIALIZED VIEW "board"."my ""v""" USING "heap" '
        'WITH ("fillfactor" = \'70\', "toast"."autovacuum_enabled" = \'false\') AS '
        " SELECT users.id,\n    users.name\n   FROM rdvs.users WITH NO DATA",
        'ALTER MATERIALIZED VIEW "board"."my ""v""" OWNER TO "Bob"',
        'COMMENT ON MATERIALIZED VIEW "board"."my ""v""" IS \'it\'\'s one\'',
        'COMMENT ON COLUMN "board"."my ""v"""."id" IS \'the key\'',
        'ALTER MATERIALIZED VIEW "board"."my ""v""" ALTER COLUMN "id" SET ("n_distinct" = \'5\')',
        'ALTER MATERIALIZED VIEW "board"."my ""v""" ALTER COLUMN "id" SET STATISTICS 500',
        'ALTER MATERIALIZED VIEW "board"."my ""v""" ALTER COLUMN "id" SET STORAGE MAIN',
        "CREATE INDEX i ON board.v USING btree (f(id))",
        'ALTER MATERIALIZED VIEW "board"."my ""v""" CLUSTER ON "i"',
        "CREATE STATISTICS board.s ON a, b FROM board.v",
        'ALTER STATISTICS "board"."s" OWNER TO "Bob"',
        'ALTER STATISTICS "board"."s" SET STATISTICS 77',
        'REFRESH MATERIALIZED VIEW "board"."my ""v"""',
        'ANALYZE "board"."my ""v"""',
    ]
    assert dependants.fill(view, defined({"populated": False})) == []
    assert dependants.fill(assembled({})[0], defined({})) == []
