"""Refreshes in tests: two schemas of one origin, one of them published by runs without the guard that is tested."""

import json
from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from psycopg import sql

from multischema.catalog.position import Position
from multischema.pipeline import Published
from multischema.plan import refresh as decisions
from multischema.stages import refresh as stage
from tests.conftest import Place

UNGUARDED = "unguarded"  # the schema that runs without the guard publish
TABLES = """
SELECT c.relname::text,
       concat_ws(' -- ', string_agg(concat_ws(' -- ', a.attname || ' ' || format_type(a.atttypid, a.atttypmod),
                                              col_description(c.oid, a.attnum)), ', ' ORDER BY a.attnum),
                 obj_description(c.oid, 'pg_class'),
                 (SELECT string_agg(x.relname, ', ' ORDER BY x.relname)
                  FROM pg_index AS i JOIN pg_class AS x ON x.oid = i.indexrelid WHERE i.indrelid = c.oid))
FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE c.relnamespace = %s::regnamespace AND c.relkind = 'r' GROUP BY c.oid, c.relname ORDER BY c.relname
"""
Guard = Callable[[pytest.MonkeyPatch], None]  # what switches it off


def published_rows(place: Place, schema: str = "shop") -> list[str]:
    """Return each table of a published schema with its columns, comments and indexes, and its rows, in their order."""
    found = []
    with psycopg.connect(place.reader_url, autocommit=True) as connection:
        for name, columns in connection.execute(TABLES, [schema]).fetchall():
            query = sql.SQL("SELECT t::text FROM {} AS t ORDER BY 1").format(sql.Identifier(schema, name))
            found += [f"{name}: {columns}", *(f"  {row}" for (row,) in connection.execute(query).fetchall())]
    return found


def publish_both(place: Place, rules: str) -> None:
    """Publish both schemas by full runs, which keep their state."""
    for schema in ("shop", UNGUARDED):
        assert place.run(rules, schema=schema, refresh="auto").choice.full


def decided(published: Published) -> str:
    """Return what a run decided: `full: …`, or each table that it did not leave as it was, with what came of it."""
    if not published.refreshed:
        return published.choice.line()
    changes = published.refreshed.changes(published.plan)
    return "; ".join(f"{name}: {change}" for name, change in sorted(changes.items()) if change != "unchanged")


def outcomes(place: Place, rules: str, off: Guard) -> tuple[str, bool]:
    """Bring both schemas up to date: one without a guard, the other with it.

    Return what the run with the guard decided, and whether the one without it published what a full run does. The one with
    it must.
    """
    with pytest.MonkeyPatch.context() as patch:
        off(patch)
        assert place.run(rules, schema=UNGUARDED, refresh="auto").refreshed, "it was full without the guard too"
    guarded = place.run(rules, refresh="auto")
    brought = published_rows(place)
    place.run(rules)
    expected = published_rows(place)
    assert brought == expected
    return decided(guarded), published_rows(place, UNGUARDED) == expected


def kept(place: Place, schema: str = "shop") -> dict[str, Any] | None:
    """Return what the last run of a schema kept."""
    found = place.read(f"SELECT state FROM etl_state.published WHERE schema = '{schema}'", as_="etl")
    return json.loads(found[0][0]) if found else None


def keep(place: Place, state: dict[str, Any], schema: str = "shop") -> None:
    """Have the next run of a schema find another state."""
    with psycopg.connect(place.target_url, autocommit=True) as connection:
        connection.execute("UPDATE etl_state.published SET state = %s WHERE schema = %s", [json.dumps(state), schema])


def nothing_whole(patch: pytest.MonkeyPatch) -> None:
    """Have no table be taken whole for what happened to it in the origin."""
    patch.setattr(decisions, "whole", lambda *arguments: {})


def no_doubts(patch: pytest.MonkeyPatch) -> None:
    """Have nothing but the rows of the origin be compared."""
    nothing_whole(patch)
    patch.setattr(decisions, "doubts", lambda *arguments: None)
    patch.setattr(stage, "_refuse_replaced", lambda *arguments: None)


def any_position(patch: pytest.MonkeyPatch) -> None:
    """Have each snapshot be taken for a later one of the same server."""
    patch.setattr(Position, "doubts", lambda self, later: None)
