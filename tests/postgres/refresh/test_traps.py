"""What rows don't show: each trap would have a refresh publish what a full run would not, and has a guard."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from multischema.catalog.position import Position
from multischema.errors import CheckError, OriginChanged
from multischema.plan import record
from multischema.plan import refresh as decisions
from multischema.postgres import connecting
from multischema.stages import refresh as stage
from multischema.stages import state
from multischema.statements import signatures
from tests.conftest import PASSWORD, PROGRAMS, Place
from tests.support.refreshes import (
    UNGUARDED,
    Guard,
    decided,
    keep,
    kept,
    no_doubts,
    nothing_whole,
    outcomes,
    publish_both,
    published_rows,
)

# Beside the table of the trap, one that only changes as most do
ORIGIN = """
CREATE SCHEMA aside;
CREATE TABLE ledger (id int PRIMARY KEY, amount int);
INSERT INTO ledger SELECT n, n FROM generate_series(1, 200) AS n;
"""
CHANGED = "UPDATE ledger SET amount = 0 WHERE id = 1;"
ALTERED = "whole: it was altered in the origin"
REWRITTEN = "whole: it was truncated or rewritten in the origin"
UNRECORDED = "full: the last run did not record what it published"
TRUNCATED = "none"
REBUILT = "full: columns, keys, indexes or comments of things changed"


def rules(columns: str, masked: str = "") -> str:
    """Return rules that publish these columns of `things` as they are, and mask those others."""
    rule = f"non_anonymized_column_names: [{columns}], anonymized_column_names: [{masked}]"
    return f"""
tables:
  - {{table_name: ledger, non_anonymized_column_names: [amount]}}
  - {{table_name: things, {"truncated: true" if columns == TRUNCATED else rule}}}
"""


@dataclass(frozen=True)
class Trap:
    """What makes `things`, its columns by the rules, what happens to it, and what a run is to decide."""

    origin: str
    event: str
    decides: str
    columns: str = "note"
    masked: str = ""
    columns_then: str | None = None
    masked_then: str | None = None
    off: Guard = nothing_whole
    server: str = "16"
    superuser: bool = False


NOTES = """
CREATE TABLE things (id int PRIMARY KEY, note text);
INSERT INTO things SELECT n, 'old' FROM generate_series(1, 9) AS n;
"""
PARTS = """
CREATE TABLE things (id int, note text, PRIMARY KEY (id)) PARTITION BY RANGE (id);
CREATE TABLE things_1 PARTITION OF things FOR VALUES FROM (1) TO (10);
CREATE TABLE aside.things_2 (LIKE things INCLUDING ALL);
INSERT INTO things SELECT n, 'first' FROM generate_series(1, 9) AS n;
INSERT INTO aside.things_2 SELECT n, 'second' FROM generate_series(11, 19) AS n;
"""

TRAPS = {
    "a column is dropped and added again": Trap(
        NOTES, "ALTER TABLE things DROP note; ALTER TABLE things ADD note text DEFAULT 'new'", ALTERED
    ),
    "a column is added with a default": Trap(
        NOTES, "ALTER TABLE things ADD more text DEFAULT 'new'", REBUILT, columns_then="note, more", off=no_doubts
    ),
    "two columns swap their names": Trap(
        "CREATE TABLE things (id int PRIMARY KEY, note text, more text); INSERT INTO things VALUES (1, 'old', 'more');",
        "ALTER TABLE things RENAME note TO x; ALTER TABLE things RENAME more TO note; ALTER TABLE things RENAME x TO more",
        REBUILT,
        columns="note, more",
        off=no_doubts,
    ),
    "a label of an enum is renamed": Trap(
        "CREATE TYPE mood AS ENUM ('sad', 'glad'); CREATE TABLE things (id int PRIMARY KEY, note mood);"
        "INSERT INTO things VALUES (1, 'sad'), (2, 'glad');",
        "ALTER TYPE mood RENAME VALUE 'sad' TO 'blue'",
        ALTERED,
    ),
    "a label of an enum in an array of a domain is renamed": Trap(
        "CREATE TYPE mood AS ENUM ('sad', 'glad'); CREATE DOMAIN moods AS mood[];"
        "CREATE TABLE things (id int PRIMARY KEY, note moods); INSERT INTO things VALUES (1, '{sad,glad}');",
        "ALTER TYPE mood RENAME VALUE 'sad' TO 'blue'",
        ALTERED,
    ),
    "a text becomes a varchar": Trap(NOTES, "ALTER TABLE things ALTER note TYPE varchar(40)", REBUILT, off=no_doubts),
    "an integer becomes an oid, which shows other digits": Trap(
        "CREATE TABLE things (id int PRIMARY KEY, note int); INSERT INTO things VALUES (1, -1), (2, 2);",
        "ALTER TABLE things ALTER note TYPE oid",
        REBUILT,
        off=no_doubts,
    ),
    "an attribute of a composite type is renamed": Trap(
        "CREATE TYPE place AS (street text, city text); CREATE TABLE things (id int PRIMARY KEY, note place);"
        "INSERT INTO things VALUES (1, ROW('Rue', 'Lyon'));",
        "ALTER TYPE place RENAME ATTRIBUTE city TO town",
        ALTERED,
    ),
    "a column of a table whose rows are values is renamed": Trap(
        "CREATE TABLE aside.place (street text, city text); CREATE TABLE things (id int PRIMARY KEY, note aside.place);"
        "INSERT INTO things VALUES (1, ROW('Rue', 'Lyon'));",
        "ALTER TABLE aside.place RENAME city TO town",
        ALTERED,
    ),
    "the expression of a virtual column is another": Trap(
        "CREATE TABLE things (id int PRIMARY KEY, note int GENERATED ALWAYS AS (id * 2) VIRTUAL);"
        "INSERT INTO things VALUES (1);",
        "ALTER TABLE things ALTER note SET EXPRESSION AS (id * 3)",
        ALTERED,
        server="18",
    ),
    "a partition is detached, and an old one of as many rows attached": Trap(
        PARTS,
        "ALTER TABLE things DETACH PARTITION things_1; ALTER TABLE things_1 SET SCHEMA aside;"
        "ALTER TABLE things ATTACH PARTITION aside.things_2 FOR VALUES FROM (11) TO (20)",
        ALTERED,
    ),
    "a child is left, and an old one of as many rows inherits": Trap(
        "CREATE TABLE things (id int PRIMARY KEY, note text); CREATE TABLE aside.one () INHERITS (things);"
        "CREATE TABLE aside.two (LIKE things); INSERT INTO aside.one VALUES (1, 'first');"
        "INSERT INTO aside.two VALUES (2, 'second');",
        "ALTER TABLE aside.one NO INHERIT things; ALTER TABLE aside.two INHERIT things",
        ALTERED,
    ),
    "another table takes the name": Trap(
        NOTES
        + "CREATE TABLE aside.things (LIKE things INCLUDING ALL); INSERT INTO aside.things SELECT id, 'new' FROM things;",
        "DROP TABLE things; ALTER TABLE aside.things SET SCHEMA public",
        ALTERED,
    ),
    # as pg_repack does it
    "a table is given the file of another": Trap(
        NOTES + "CREATE TABLE aside.things (id int, note text); INSERT INTO aside.things SELECT id, 'new' FROM things;",
        "SET allow_system_table_mods = on; UPDATE pg_class AS c SET relfilenode = other.relfilenode FROM pg_class AS other "
        "WHERE (c.oid, other.oid) IN (('public.things'::regclass, 'aside.things'::regclass), "
        "('aside.things'::regclass, 'public.things'::regclass))",
        REWRITTEN,
        superuser=True,
    ),
    "a mask is taken off": Trap(
        NOTES, "SELECT", "whole: its masks changed", columns="", masked="note", columns_then="note", masked_then=""
    ),
    "the default that is a mask is another": Trap(
        "CREATE TABLE things (id int PRIMARY KEY, note int NOT NULL DEFAULT 1); INSERT INTO things VALUES (1, 9);",
        "ALTER TABLE things ALTER note SET DEFAULT 2",
        "whole: its masks changed",
        columns="",
        masked="note",
    ),
    "a mask of another type": Trap(
        "CREATE TABLE things (id int PRIMARY KEY, note varchar(40)); INSERT INTO things VALUES (1, 'x');",
        "SELECT",
        REBUILT,
        columns="",
        masked="note",
        columns_then="note",
        masked_then="",
        off=no_doubts,
    ),
    "a table is truncated in the rules": Trap(
        NOTES, "SELECT", "full: things is truncated now, or no longer", columns_then=TRUNCATED, off=no_doubts
    ),
    "an index is made": Trap(NOTES, "CREATE INDEX ON things (note)", REBUILT, off=no_doubts),
    "a key is dropped": Trap(
        NOTES, "ALTER TABLE things DROP CONSTRAINT things_pkey", REBUILT, columns="id, note", off=no_doubts
    ),
    "a comment is another": Trap(NOTES, "COMMENT ON COLUMN things.note IS 'said'", REBUILT, off=no_doubts),
    "an object is renamed that a value names": Trap(
        "CREATE TABLE aside.named (); CREATE TABLE things (id int PRIMARY KEY, note regclass);"
        "INSERT INTO things VALUES (1, 'aside.named');",
        "ALTER TABLE aside.named RENAME TO renamed",
        "whole: column note shows names of the origin's catalog",
    ),
    "an object is renamed that a value in an array of a domain names": Trap(
        "CREATE TABLE aside.named (); CREATE DOMAIN relation AS regclass;"
        "CREATE TABLE things (id int PRIMARY KEY, note relation[]);"
        "INSERT INTO things VALUES (1, '{aside.named}');",
        "ALTER TABLE aside.named RENAME TO renamed",
        "whole: column note shows names of the origin's catalog",
    ),
}


QUICK = ("a column is dropped and added again", "a partition is detached, and an old one of as many rows attached")


@pytest.mark.parametrize("name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in TRAPS])
def test_what_rows_do_not_show_is_noticed(name: str, make_place: Callable[..., Place], tiny: None) -> None:
    trap = TRAPS[name]
    place = make_place(trap.server, "18" if trap.server == "16" else "16")
    place.in_origin(ORIGIN + trap.origin)
    publish_both(place, rules(trap.columns, trap.masked))
    place.in_origin(CHANGED)
    place.in_origin(trap.event, superuser=trap.superuser)
    then = rules(
        trap.columns if trap.columns_then is None else trap.columns_then,
        trap.masked if trap.masked_then is None else trap.masked_then,
    )
    told, is_right_without = outcomes(place, then, trap.off)
    assert told.endswith(trap.decides)
    assert not is_right_without


def test_a_table_that_must_be_taken_whole_and_is_most_of_the_bytes_makes_the_run_full(place: Place) -> None:
    place.in_origin(ORIGIN + NOTES)
    place.run(rules("note"))
    place.in_origin("ALTER TABLE things DROP note; ALTER TABLE things ADD note text DEFAULT 'new'")
    published = place.run(rules("note"), refresh="auto")
    assert decided(published) == "full: things is copied whole: it was altered in the origin"


RELOADED = "CREATE TEMP TABLE kept AS TABLE things; TRUNCATE things; INSERT INTO things SELECT id + 1, note FROM kept"
HARMLESS = {
    "VACUUM (FREEZE) things": "",
    "SELECT FROM things FOR UPDATE": "",
    "VACUUM (FULL) things": REWRITTEN,
    "CLUSTER things USING things_pkey": REWRITTEN,
    RELOADED: REWRITTEN,
}


@pytest.mark.slow
@pytest.mark.parametrize("event", HARMLESS, ids=lambda event: event.split("; ")[-1][:20])
def test_what_moves_rows_or_locks_them_would_need_no_guard(event: str, place: Place, tiny: None) -> None:
    place.in_origin(ORIGIN + NOTES + "ALTER TABLE things SET (autovacuum_enabled = off);")
    publish_both(place, rules("note"))
    place.in_origin(CHANGED)
    place.in_origin(event)
    told, is_right_without = outcomes(place, rules("note"), nothing_whole)
    assert told == "ledger: 1 in, 1 out" + (f"; things: 9 in, 9 out; {HARMLESS[event]}" if HARMLESS[event] else "")
    assert is_right_without


BY_HAND = {
    "a table is made again": "ALTER TABLE {0}.things RENAME TO x; CREATE TABLE {0}.things (LIKE {0}.x INCLUDING ALL);"
    "DROP TABLE {0}.x; GRANT SELECT ON {0}.things TO {1}",
    "a column is added": "ALTER TABLE {0}.things ADD more int",
    "a column is of another type": "ALTER TABLE {0}.things ALTER note TYPE varchar(40)",
    "an index is dropped": "DROP INDEX {0}.things_note_idx",
    "a key is dropped": "ALTER TABLE {0}.things DROP CONSTRAINT things_pkey",
    "a comment is another": "COMMENT ON TABLE {0}.things IS 'mine'",
    "a comment on a column is another": "COMMENT ON COLUMN {0}.things.note IS 'mine'",
}


@pytest.mark.slow
@pytest.mark.parametrize("name", BY_HAND)
def test_a_published_table_that_somebody_changed_is_made_again(name: str, place: Place, tiny: None) -> None:
    place.in_origin(ORIGIN + NOTES + "CREATE INDEX ON things (note); COMMENT ON TABLE things IS 'things'")
    publish_both(place, rules("note"))
    for schema in ("shop", UNGUARDED):
        place.in_target(BY_HAND[name].format(schema, place.reader))
    told, is_right_without = outcomes(place, rules("note"), no_doubts)
    assert told == "full: somebody changed the published table things"
    assert not is_right_without


def test_a_row_deleted_by_hand_does_not_hide_one_that_is_gone(place: Place, tiny: None) -> None:
    place.in_origin(ORIGIN + NOTES)
    publish_both(place, rules("note"))
    for schema in ("shop", UNGUARDED):
        place.in_target(f"DELETE FROM {schema}.things WHERE id = 1")
    place.in_origin("DELETE FROM things WHERE id = 2")

    def forget_rows(patch: pytest.MonkeyPatch) -> None:
        found = kept(place, UNGUARDED)
        assert found
        found["tables"]["things"]["rows"] = 8
        keep(place, found, UNGUARDED)

    told, is_right_without = outcomes(place, rules("note"), forget_rows)
    assert told == "full: somebody changed the rows of the published table things"
    assert not is_right_without


def test_a_newly_masked_column_leaves_nothing_of_its_values_behind(place: Place, tiny: None) -> None:
    place.in_origin(ORIGIN + NOTES)
    publish_both(place, rules("note"))
    place.in_origin("DELETE FROM things")
    statistics = "SELECT count(*) FROM pg_stats WHERE schemaname = '{}' AND tablename = 'things' AND attname = 'note'"
    told, _ = outcomes(place, rules("", "note"), not_newly_masked)
    assert told == "full: masked since the last run: things.note; rows, statistics and views of before must go"
    assert place.read(statistics.format(UNGUARDED)) == [(1,)]
    assert place.read(statistics.format("shop")) == [(0,)]


def not_newly_masked(patch: pytest.MonkeyPatch) -> None:
    """Have a newly masked column be taken for one that was masked."""
    patch.setattr(record, "newly_masked", lambda *arguments: [])


def by_any_key(patch: pytest.MonkeyPatch) -> None:
    """Have rows be replaced one by one though their masks are numbered by row."""
    patch.setattr(decisions, "_not_by_row", lambda *arguments: "")


def only_begun_since(patch: pytest.MonkeyPatch) -> None:
    """Have the window begin with the first transaction that the last snapshot could not have seen begin."""
    patch.setattr(Position, "lower", property(lambda self: self.xmax))


@pytest.mark.slow
def test_a_table_whose_masks_are_numbered_by_row_is_taken_whole_once_it_changed(place: Place, tiny: None) -> None:
    masked = rules("note", "mail")
    place.in_origin(
        ORIGIN
        + """
        CREATE TABLE things (mail text NOT NULL, note text PRIMARY KEY);
        INSERT INTO things SELECT n, n FROM generate_series(1, 9) AS n;
        """
    )
    publish_both(place, masked)
    place.in_origin(CHANGED)
    assert decided(place.run(masked, refresh="auto")) == "ledger: 1 in, 1 out"
    place.in_origin("DELETE FROM things WHERE note = '3'; INSERT INTO things VALUES (10, '10')")
    told, is_right_without = outcomes(place, masked, by_any_key)
    assert told == "things: 9 in, 9 out; whole: its masks are numbered by row"
    assert not is_right_without


@pytest.mark.slow
def test_a_table_without_a_key_is_taken_whole_once_it_changed(place: Place, tiny: None) -> None:
    place.in_origin(ORIGIN + NOTES.replace(" PRIMARY KEY", ""))
    place.run(rules("id, note"))
    place.in_origin(CHANGED)
    assert decided(place.run(rules("id, note"), refresh="auto")) == "ledger: 1 in, 1 out"
    place.in_origin("UPDATE things SET note = 'new' WHERE id = 3")
    told = decided(place.run(rules("id, note"), refresh="auto"))
    assert told == "things: 9 in, 9 out; whole: it has no key whose columns are published as they are"
    assert place.read("SELECT count(*) FROM shop.things WHERE note = 'new'") == [(1,)]


@pytest.mark.slow
def test_a_table_of_another_access_method_is_taken_whole(place: Place, tiny: None) -> None:
    place.in_origin("CREATE ACCESS METHOD other TYPE TABLE HANDLER heap_tableam_handler", superuser=True)
    place.in_origin(ORIGIN + NOTES.replace("note text)", "note text) USING other"))
    place.run(rules("note"))
    place.in_origin(CHANGED)
    told = decided(place.run(rules("note"), refresh="auto"))
    assert told == "ledger: 1 in, 1 out; things: 9 in, 9 out; whole: the origin does not keep it as a heap"


@pytest.mark.slow
@pytest.mark.skipif("system-15" not in PROGRAMS, reason="no server here has foreign tables that can be read")
def test_a_partition_that_is_a_foreign_table_has_its_root_taken_whole(make_place: Callable[..., Place], tiny: None) -> None:
    place = make_place("system-15", "18")
    place.in_origin("CREATE EXTENSION postgres_fdw", superuser=True)
    place.in_origin(
        f"""
        CREATE SERVER here FOREIGN DATA WRAPPER postgres_fdw
            OPTIONS (host '127.0.0.1', port '{place.origin_server.port}', dbname '{place.name}');
        CREATE USER MAPPING FOR {place.app} SERVER here OPTIONS (user '{place.app}', password '{PASSWORD}');
        GRANT USAGE ON FOREIGN SERVER here TO {place.app};
        """,
        superuser=True,
    )
    place.in_origin(
        ORIGIN
        + """
        CREATE TABLE aside.far (id int, note text);
        INSERT INTO aside.far SELECT n, 'old' FROM generate_series(1, 9) AS n;
        CREATE TABLE things (id int, note text) PARTITION BY RANGE (id);
        CREATE FOREIGN TABLE things_1 PARTITION OF things FOR VALUES FROM (1) TO (10) SERVER here
            OPTIONS (schema_name 'aside', table_name 'far');
        """
    )
    publish_both(place, rules("id, note"))
    place.in_origin("UPDATE aside.far SET note = 'new'")
    told, is_right_without = outcomes(place, rules("id, note"), nothing_whole)
    assert told == "things: 9 in, 9 out; whole: the origin does not keep it as a heap"
    assert not is_right_without


@pytest.mark.slow
@pytest.mark.skipif("system-15" not in PROGRAMS, reason="no server here has an extension of several versions")
def test_a_new_version_of_an_extension_has_tables_with_its_types_taken_whole(
    make_place: Callable[..., Place], tiny: None
) -> None:
    place = make_place("system-15", "18")
    place.in_origin("CREATE EXTENSION hstore VERSION '1.7'", superuser=True)
    place.in_origin(ORIGIN + "CREATE TABLE things (id int PRIMARY KEY, note hstore); INSERT INTO things VALUES (1, 'a=>b')")
    place.run(rules("note"))
    place.in_origin(CHANGED)
    assert decided(place.run(rules("note"), refresh="auto")) == "ledger: 1 in, 1 out"
    place.in_origin("ALTER EXTENSION hstore UPDATE TO '1.8'", superuser=True)
    assert decided(place.run(rules("note"), refresh="auto")) == f"things: 1 in, 1 out; {ALTERED}"


def test_row_security_stops_a_refresh_as_it_stops_a_full_run(place: Place, tiny: None) -> None:
    place.in_origin(ORIGIN + NOTES)
    place.run(rules("note"))
    before = published_rows(place)
    place.in_origin("ALTER TABLE things ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY; " + CHANGED)
    with pytest.raises(CheckError, match="row security hides rows of table things"):
        place.run(rules("note"), refresh="auto")
    assert published_rows(place) == before


def test_a_transaction_that_was_open_at_the_last_run_is_in_the_window(place: Place, tiny: None) -> None:
    place.in_origin(ORIGIN + NOTES)
    with psycopg.connect(place.origin_url) as open_before:
        open_before.execute("UPDATE things SET note = 'new' WHERE id < 4")
        place.in_origin(CHANGED)  # takes a later number, and ends before
        publish_both(place, rules("note"))
    told, is_right_without = outcomes(place, rules("note"), only_begun_since)
    assert told == "ledger: 1 in, 1 out; things: 3 in, 3 out"
    assert not is_right_without


def test_a_table_truncated_while_a_refresh_compares_stops_it(
    place: Place, tiny: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.in_origin(ORIGIN + NOTES)
    publish_both(place, rules("note"))
    before = published_rows(place)
    choose = stage._choose

    def truncate_first(*arguments: Any) -> decisions.Choice:
        place.in_origin(RELOADED)
        return choose(*arguments)

    place.in_origin(CHANGED)
    monkeypatch.setattr(stage, "_choose", truncate_first)
    with monkeypatch.context() as patch:
        patch.setattr(stage, "refuse_changes", lambda *arguments: None)
        assert place.run(rules("note"), schema=UNGUARDED, refresh="auto").refreshed
    assert place.read(f"SELECT count(*) FROM {UNGUARDED}.things") == [(0,)]
    with pytest.raises(OriginChanged, match="table things was rewritten or truncated while it was compared"):
        place.run(rules("note"), refresh="auto")
    assert published_rows(place) == before


COMPOSED = """
CREATE TYPE span AS (lasts interval);
CREATE TABLE things (id int PRIMARY KEY, note span);
INSERT INTO things VALUES (1, ROW('90 minutes'));
"""
OTHERWISE = "full: the app's parameters, its readers, the target's version or this tool changed since the last run"


def test_other_settings_of_the_origins_sessions_make_the_run_full(
    place: Place, tiny: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.in_origin(ORIGIN + COMPOSED)
    publish_both(place, rules("note"))
    place.in_origin(CHANGED)
    monkeypatch.setitem(connecting._SETTINGS["origin"], "IntervalStyle", "sql_standard")
    told, is_right_without = outcomes(place, rules("note"), no_doubts)
    assert told == OTHERWISE
    assert not is_right_without


@pytest.mark.slow
def test_another_version_of_this_tool_makes_the_run_full_once(
    place: Place, tiny: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.in_origin(ORIGIN + NOTES)
    place.run(rules("note"))
    monkeypatch.setattr(signatures, "_FORM", signatures._FORM + 1)
    assert decided(place.run(rules("note"), refresh="auto")) == OTHERWISE
    place.in_origin(CHANGED)
    assert decided(place.run(rules("note"), refresh="auto")) == "ledger: 1 in, 1 out"


@pytest.mark.slow
def test_a_version_that_keeps_no_state_does_not_leave_that_of_before_in_force(
    place: Place, tiny: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.in_origin(ORIGIN + NOTES)
    place.run(rules("note"))
    with monkeypatch.context() as patch:
        patch.setattr(state, "prepare", lambda connection: None)
        patch.setattr(state, "keep", lambda connection, schema, known: None)
        place.run(rules("note"))
    told = decided(place.run(rules("note"), refresh="auto"))
    assert told.startswith("full: somebody changed the published table")


@pytest.mark.slow
def test_a_state_that_can_not_be_read_makes_the_run_full(place: Place, tiny: None) -> None:
    place.in_origin(ORIGIN + NOTES)
    for lacking in ("position", "tables", "job", "full_at"):
        place.run(rules("note"))
        found = kept(place)
        assert found
        keep(place, {name: value for name, value in found.items() if name != lacking})
        assert decided(place.run(rules("note"), refresh="auto")) == UNRECORDED


@pytest.mark.slow
def test_another_reader_and_another_choice_of_indexes_make_the_run_full(place: Place, tiny: None) -> None:
    place.in_origin(ORIGIN + NOTES)
    place.in_target(f"CREATE ROLE other_{place.number} LOGIN", superuser=True)
    place.run(rules("note"))
    assert decided(place.run(rules("note"), refresh="auto", reader=f"other_{place.number}")) == OTHERWISE
    assert decided(place.run(rules("note"), refresh="auto", reader=f"other_{place.number}", indexes="useful")) == OTHERWISE


def test_each_schema_has_a_state_of_its_own(place: Place, tiny: None) -> None:
    place.in_origin(ORIGIN + NOTES)
    place.run(rules("note"))
    place.in_origin(CHANGED)
    assert decided(place.run(rules("note"), refresh="auto", app="other", schema="other")) == "full: nothing is published yet"
    assert decided(place.run(rules("note"), refresh="auto")) == "ledger: 1 in, 1 out"
    place.in_origin(CHANGED)
    assert decided(place.run(rules("note"), refresh="auto", app="other", schema="other")) == "ledger: 1 in, 1 out"


def test_the_last_full_run_is_not_longer_ago_than_allowed(place: Place, tiny: None) -> None:
    place.in_origin(ORIGIN + NOTES)
    place.run(rules("note"))
    found = kept(place)
    assert found
    long_ago = datetime.now(UTC) - timedelta(days=7)
    keep(place, {**found, "full_at": long_ago.isoformat()})
    assert place.run(rules("note"), refresh="auto", full_every=8).refreshed
    after = kept(place)
    assert after
    found["position"] = after["position"]  # the server's own vacuum may have taken a transaction
    assert after == {**found, "full_at": long_ago.isoformat()}  # a refresh is no full run
    assert decided(place.run(rules("note"), refresh="auto")) == "full: the last full run was 7 days ago"


@pytest.mark.slow
def test_a_run_of_mode_dump_leaves_no_state_of_before(place: Place, tiny: None, private: Path) -> None:
    place.in_origin(ORIGIN + NOTES)
    place.run(rules("note"))
    assert place.run(rules("note"), refresh="auto", mode="dump").choice.line() == "full: mode dump reads all rows"
    assert kept(place) is None
    assert decided(place.run(rules("note"), refresh="auto")) == UNRECORDED


def test_a_role_that_may_not_read_xmin_has_full_runs_until_it_is_granted(
    place: Place, tiny: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    narrow = f"narrow_{place.number}"
    place.in_origin(
        ORIGIN + NOTES + f"CREATE ROLE {narrow} LOGIN PASSWORD 'x'; GRANT SELECT ON ledger TO {narrow};"
        f"GRANT SELECT (id, note) ON things TO {narrow}",
        superuser=True,
    )
    monkeypatch.setattr(Place, "origin_url", property(lambda self: self.origin_server.url(self.name, narrow, "x")))
    place.run(rules("note"))
    refused = "full: the origin's role may not read xmin of things: grant it with `python -m flows.rules rights`"
    assert decided(place.run(rules("note"), refresh="auto")) == refused
    place.in_origin(f"GRANT SELECT (xmin) ON things TO {narrow}; " + CHANGED, superuser=True)
    assert decided(place.run(rules("note"), refresh="auto")) == "ledger: 1 in, 1 out"
    place.in_origin(f"GRANT SELECT (ctid) ON things TO {narrow}; " + CHANGED, superuser=True)
    assert decided(place.run(rules("note"), refresh="auto")) == "ledger: 1 in, 1 out"


@pytest.mark.slow
def test_a_role_that_may_not_know_the_server_has_full_runs(place: Place, tiny: None) -> None:
    place.in_origin(ORIGIN + NOTES)
    place.in_origin("REVOKE EXECUTE ON FUNCTION pg_control_checkpoint() FROM PUBLIC", superuser=True)
    place.run(rules("note"))
    told = decided(place.run(rules("note"), refresh="auto"))
    assert told == "full: its role may not read pg_control_system() and pg_control_checkpoint() of the origin"


OTHERS_STATE = "full: schema etl_state of the target was not made by this role's runs: have its owner drop or rename it"
SHARED_STATE = "full: others have rights in schema etl_state of the target: revoke them"
STATE_OF_OTHERS = {
    "ALTER SCHEMA etl_state OWNER TO postgres": OTHERS_STATE,
    "ALTER TABLE etl_state.published OWNER TO postgres": OTHERS_STATE,
    "COMMENT ON SCHEMA etl_state IS NULL": OTHERS_STATE,
    "ALTER TABLE etl_state.published RENAME TO x; CREATE VIEW etl_state.published AS TABLE etl_state.x": OTHERS_STATE,
    "CREATE TRIGGER t BEFORE UPDATE ON etl_state.published EXECUTE FUNCTION tsvector_update_trigger()": OTHERS_STATE,
    "ALTER TABLE etl_state.published ENABLE ROW LEVEL SECURITY": OTHERS_STATE,
    "GRANT USAGE ON SCHEMA etl_state TO pg_monitor": SHARED_STATE,
    "GRANT UPDATE ON etl_state.published TO {reader}": SHARED_STATE,
}


@pytest.mark.slow
@pytest.mark.parametrize("event", STATE_OF_OTHERS, ids=lambda event: event[:30])
def test_a_state_that_others_could_have_written_is_not_believed(event: str, place: Place, tiny: None) -> None:
    place.in_origin(ORIGIN + NOTES)
    place.run(rules("note"))
    place.in_target(event.format(reader=place.reader), superuser=True)
    assert decided(place.run(rules("note"), refresh="auto")) == STATE_OF_OTHERS[event]
    assert decided(place.run(rules("note"), refresh="auto")) == STATE_OF_OTHERS[event]


@pytest.mark.slow
def test_a_state_of_another_role_that_was_there_first_is_not_believed(place: Place, tiny: None) -> None:
    place.in_origin(ORIGIN + NOTES)
    place.in_target(
        f"""
        CREATE SCHEMA etl_state;
        COMMENT ON SCHEMA etl_state IS 'multi-schema-postgres-etl state';
        CREATE TABLE etl_state.published (schema text PRIMARY KEY, state text NOT NULL);
        GRANT ALL ON SCHEMA etl_state TO {place.etl}; GRANT ALL ON etl_state.published TO {place.etl};
        """,
        superuser=True,
    )
    place.run(rules("note"))
    for _ in range(2):
        assert decided(place.run(rules("note"), refresh="auto")) == OTHERS_STATE
