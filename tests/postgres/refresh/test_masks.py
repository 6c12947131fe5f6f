"""Refreshes of masked tables: what a mask keeps follows the origin, and what a changed one or another key hides is gone."""

import psycopg
import pytest

from multischema import pipeline
from multischema.masks.known import KINDS
from multischema.pipeline import Published
from multischema.plan import record
from tests.conftest import Place
from tests.support.refreshes import decided, keep, kept, published_rows

KEY, OTHER_KEY = bytes(range(32)), bytes(range(1, 33))
ORIGIN = """
CREATE TYPE caisse AS ENUM ('CAF', 'MSA', 'aucune');
CREATE TABLE ledger (id int PRIMARY KEY, amount int);
INSERT INTO ledger SELECT n, n FROM generate_series(1, 200) AS n;
CREATE TABLE people (
    id int PRIMARY KEY, status text, born date NOT NULL, seen timestamptz, post_code text, children int, latitude numeric,
    last_ip inet, mail text, email text, caisse caisse, settings jsonb, name text, note text, visited timestamp
);
INSERT INTO people
SELECT n, (ARRAY['open', 'closed', NULL])[1 + n % 3], '1950-06-15'::date + 100 * n,
       '2026-01-01 12:00Z'::timestamptz + n * '9 hours'::interval, lpad((n * 950)::text, 5, '0'), n % 9, 45 + n / 97.0,
       '10.0.0.0'::inet + n * 977, 'p' || n || '@cd62.fr', 'p' || n || '@exemple.org',
       (ARRAY['CAF', 'MSA', 'aucune']::caisse[])[1 + n % 3], jsonb_build_object('theme', n % 4, 'token', n),
       'name ' || n, 'note ' || n, '2026-01-01'::timestamp + n * '9 hours'::interval
FROM generate_series(1, 100) AS n;
"""
MASKS = {
    "born": "{period: year}",
    "seen": "{period: week}",
    "post_code": "department",
    "children": "{bands: [1, 3]}",
    "latitude": "{round: 1}",
    "last_ip": "network",
    "mail": "domain",
    "email": "{pseudonym: person_email}",
    "caisse": "{values: [CAF, MSA]}",
    "settings": "{keys: [theme]}",
    "name": "{only_when: {status: [closed]}}",
    "note": "{only_when: {status: [open]}}",
    "visited": "{period: month, only_when: {status: [closed]}}",
}
# each masked column of some row changes, `status` too; one row goes, another comes
CHANGES = """
UPDATE people
SET born = born + 400, seen = seen + '40 days'::interval, post_code = '2A004', children = children + 3,
    latitude = latitude + 1, last_ip = '192.168.7.9', mail = 'p@orange.fr', email = 'other' || id || '@exemple.org',
    caisse = 'aucune', settings = settings || '{"theme": 9, "more": 1}', name = 'new', note = 'new',
    visited = visited + '40 days'::interval
WHERE id = 1;
UPDATE people SET status = CASE status WHEN 'closed' THEN 'open' ELSE 'closed' END WHERE id IN (2, 3, 4);
UPDATE people
SET (seen, post_code, children, latitude, last_ip, mail, email, caisse, settings, name, note, visited)
    = (NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL) WHERE id = 5;
DELETE FROM people WHERE id = 6;
INSERT INTO people (id, born, mail) VALUES (101, '2001-02-03', 'x@exemple.org');
"""


def rules(domains: str = "", k_anonymity: str = "", **masks: str) -> str:
    """Return rules that mask the columns of `people`, one of them wholly if its mask is empty, and publish the others."""
    masks = {**MASKS, **masks}
    return f"""
domains: [{domains}]
tables:
  - {{table_name: ledger, non_anonymized_column_names: [amount]}}
  - table_name: people
    non_anonymized_column_names: [status]
    anonymized_column_names: [{", ".join(masks)}]
    masks: {{{", ".join(f"{name}: {mask}" for name, mask in masks.items() if mask)}}}
    {k_anonymity and f"k_anonymity: {k_anonymity}"}
"""


def run(place: Place, rules: str, *, key: bytes = KEY, refresh: str = "auto") -> Published:
    """Publish with a pseudonym key."""
    origin, target = place.databases()
    return pipeline.run(place.job(refresh=refresh), place.rules(rules), origin, target, find_key=lambda: key)


def run_full(place: Place, rules: str) -> None:
    """Publish by a full run, which keeps its state."""
    assert run(place, rules, refresh="full").choice.full


def test_every_mask_follows_the_origin(place: Place, tiny: None) -> None:
    assert {kind for kind in KINDS if any(kind in mask for mask in MASKS.values())} == KINDS.keys()
    place.in_origin(ORIGIN)
    run_full(place, rules("cd62.fr"))
    before = published_rows(place)
    place.in_origin("UPDATE ledger SET amount = 0 WHERE id = 1")
    assert decided(run(place, rules("cd62.fr"))) == "ledger: 1 in, 1 out"
    place.in_origin(CHANGES)
    assert decided(run(place, rules("cd62.fr"))) == "people: 6 in, 6 out"
    brought = published_rows(place)
    run_full(place, rules("cd62.fr"))
    assert published_rows(place) == brought
    assert len(set(brought) - set(before)) > 6
    assert decided(run(place, rules("cd62.fr"))) == ""


CHANGED = {  # what the rules said, what they say, and what a run says of it
    "born": ("{period: month}", "{period: year}", "full"),
    "seen": ("{period: day}", "", "full"),
    "visited": ("{period: month}", "{period: month, only_when: {status: [closed]}}", "less"),
    "name": ("{only_when: {status: [closed]}}", "{only_when: {status: [closed, open]}}", "full"),
    "caisse": ("{values: [CAF]}", "{values: [MSA]}", "otherwise"),
    "settings": ("", "{keys: [theme]}", "less"),
    "children": ("{bands: [0, 1, 3]}", "{bands: 5}", "otherwise"),
    "latitude": ("{round: 1}", "{round: 2}", "less"),
    "email": ("{pseudonym: person_email}", "{pseudonym: agent_email}", "otherwise"),
    "mail": ("domain", "{pseudonym: person_email}", "otherwise"),
    "last_ip": ("network", "", "full"),
}


@pytest.mark.parametrize(
    "column",
    [
        column if column in ("born", "caisse", "latitude") else pytest.param(column, marks=pytest.mark.slow)
        for column in CHANGED
    ],
)
def test_a_changed_mask_copies_its_table_anew_and_is_told_where_it_shows_more(column: str, place: Place, tiny: None) -> None:
    was, now, said = CHANGED[column]
    place.in_origin(ORIGIN)
    run_full(place, rules(**{column: was}))
    published = run(place, rules(**{column: now}))
    full = f"full: masked otherwise since the last run: people.{column}; rows, statistics and views of before must go"
    assert decided(published) == ("people: 100 in, 100 out; whole: its masks changed" if said == "less" else full)
    told = [line for line in published.plan.warnings if "by the last run" in line]
    assert [line.partition(" (")[0] for line in told] == {
        "full": [],
        "less": [f"masked less than by the last run: people.{column}"],
        "otherwise": [f"masked otherwise than by the last run: people.{column}"],
    }[said]
    brought = published_rows(place)
    again = run(place, rules(**{column: now}))
    assert decided(again) == ""
    assert not [line for line in again.plan.warnings if "by the last run" in line]
    run_full(place, rules(**{column: now}))
    assert published_rows(place) == brought


@pytest.mark.slow
def test_a_mask_that_changes_the_published_type_makes_the_run_full(place: Place, tiny: None) -> None:
    place.in_origin(ORIGIN)
    run_full(place, rules(children=""))
    told = decided(run(place, rules(children="{pseudonym: person_number}")))
    assert told == "full: columns, keys, indexes or comments of people changed"
    ((children,),) = place.read("SELECT DISTINCT left(children, 2) FROM shop.people")
    assert children == "p_"


@pytest.mark.parametrize("domains", ["cd62.fr", "cd62.fr, exemple.org"])
def test_other_domains_of_the_file_are_another_mask(domains: str, place: Place, tiny: None) -> None:
    place.in_origin(ORIGIN)
    other = next(found for found in ("cd62.fr", "cd62.fr, exemple.org") if found != domains)
    run_full(place, rules(other))
    published = run(place, rules(domains))
    assert decided(published).startswith("full: masked otherwise" if domains == "cd62.fr" else "people: 100 in, 100 out")


def test_another_rule_of_k_anonymity_makes_the_run_full(place: Place, tiny: None) -> None:
    place.in_origin(ORIGIN)
    for held, told in (
        ("{columns: [caisse], k: 2}", "full: asked for"),
        ("{columns: [caisse], k: 3}", "full: k_anonymity of people changed"),
        ("{columns: [caisse], k: 3}", ""),
    ):
        assert decided(run(place, rules(k_anonymity=held), refresh="full" if "asked" in told else "auto")) == told


def on_disk(place: Place, schema: str = "shop") -> bytes:
    """Return the files of all tables of a published schema, with their indexes and large values, after a checkpoint."""
    with psycopg.connect(place.target_server.url(place.name), autocommit=True) as connection:
        connection.execute("CHECKPOINT")
        files = connection.execute(
            """SELECT pg_relation_filepath(c.oid) FROM pg_class AS c
               WHERE c.relnamespace = %(schema)s::regnamespace AND c.relkind IN ('r', 'i') OR c.oid IN (
                   SELECT t.reltoastrelid FROM pg_class AS t WHERE t.relnamespace = %(schema)s::regnamespace)""",
            {"schema": schema},
        ).fetchall()
    return b"".join((place.target_server.data / name).read_bytes() for (name,) in files)


def shown(place: Place, *texts: str) -> tuple[bool, bool, bool]:
    """Tell whether any of these texts is in published rows, in their statistics, and in the files of the tables."""
    rows = place.read("SELECT string_agg(p::text, ' ') FROM shop.people AS p")
    statistics = place.read(
        "SELECT coalesce(string_agg(concat(most_common_vals, histogram_bounds), ' '), '') FROM pg_stats "
        "WHERE schemaname = 'shop'"
    )
    files = on_disk(place)
    return (
        any(text in rows[0][0] for text in texts),
        any(text in statistics[0][0] for text in texts),
        any(text.encode() in files for text in texts),
    )


def test_a_stricter_mask_leaves_nothing_of_what_the_one_before_showed(place: Place, tiny: None) -> None:
    place.in_origin(ORIGIN)
    run_full(place, rules("cd62.fr"))
    assert shown(place, "cd62.fr") == (True, True, True)
    published = run(place, rules("cd93.fr"))
    assert decided(published).startswith("full: masked otherwise since the last run: people.mail")
    assert shown(place, "cd62.fr") == (False, False, False)


def test_what_a_stricter_mask_hides_would_stay_behind_in_a_refresh(
    place: Place, tiny: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(record, "masked_otherwise", lambda *arguments: [])
    place.in_origin(ORIGIN)
    run_full(place, rules("cd62.fr"))
    assert decided(run(place, rules("cd93.fr"))) == "people: 100 in, 100 out; whole: its masks changed"
    rows, _, files = shown(place, "cd62.fr")
    assert (rows, files) == (False, True)


def test_another_pseudonym_key_leaves_no_pseudonym_of_before(place: Place, tiny: None) -> None:
    place.in_origin(ORIGIN)
    run_full(place, rules())
    before = pseudonyms(place)
    assert len(before) == 100
    assert shown(place, *before) == (True, True, True)
    assert decided(run(place, rules())) == ""
    assert decided(run(place, rules(), key=OTHER_KEY)) == "full: the pseudonym key changed since the last run"
    assert not before & pseudonyms(place)
    assert shown(place, *before) == (False, False, False)
    assert decided(run(place, rules(), key=OTHER_KEY)) == ""


def test_a_refresh_with_another_key_would_leave_pseudonyms_of_before(place: Place, tiny: None) -> None:
    place.in_origin(ORIGIN)
    run_full(place, rules())
    before = pseudonyms(place)
    found = kept(place)
    assert found
    keep(place, {**found, "pseudonym_key": ""})
    assert decided(run(place, rules(), key=OTHER_KEY)) == ""
    assert pseudonyms(place) == before


def test_a_key_is_recorded_while_there_are_pseudonyms_and_read_by_nobody_else(place: Place, tiny: None) -> None:
    place.in_origin(ORIGIN)
    seen = []
    for email, name in (("", ""), ("{pseudonym: person_email}", ""), ("", ""), ("", "{pseudonym: person_name}")):
        run(place, rules(email=email, name=name))
        found = kept(place)
        assert found
        seen.append(found["pseudonym_key"])
    assert seen[0] == seen[2] == ""
    assert seen[1] == seen[3] != ""
    said = said_of_runs(place)
    assert any("person_name" in text for text in said)
    assert not any(seen[1] in text for text in said)


def said_of_runs(place: Place) -> list[str]:
    """Return what anybody can read of a run: the comment of its schema, and all rows of the history."""
    history = "SELECT oid::regclass::text FROM pg_class WHERE relnamespace = 'etl_report'::regnamespace AND relkind = 'r'"
    rows = [place.read(f"SELECT string_agg(t::text, ' ') FROM {name} AS t") for (name,) in place.read(history)]
    comment = place.read("SELECT obj_description('shop'::regnamespace, 'pg_namespace')")
    return [str(text) for found in (comment, *rows) for (text,) in found]


def pseudonyms(place: Place) -> set[str]:
    """Return the published pseudonyms."""
    return {email for (email,) in place.read("SELECT email FROM shop.people WHERE email IS NOT NULL")}


def test_a_refresh_with_pseudonyms_needs_no_more_connections_than_the_check_counts(place: Place, tiny: None) -> None:
    names, jobs = ("a", "b", "c", "d"), 4
    for name in names:
        place.in_origin(f"CREATE TABLE {name} (id int PRIMARY KEY, mail text)")
        place.in_origin(f"INSERT INTO {name} SELECT n, 'p' || n FROM generate_series(1, 1000) AS n")
    entry = "\n  - {{table_name: {}, anonymized_column_names: [mail], masks: {{mail: {{pseudonym: person_email}}}}}}"
    text = "tables:" + "".join(map(entry.format, names))
    place.in_origin(f"ALTER ROLE {place.app} CONNECTION LIMIT {jobs + 2}", superuser=True)
    assert not place.run(text, refresh="full", jobs=jobs).plan.warnings
    for name in names:
        place.in_origin(f"UPDATE {name} SET mail = 'new' WHERE id = 1")
    # it counts rows in as many sessions, which have no key
    assert decided(place.run(text, refresh="auto", jobs=jobs)) == "; ".join(f"{name}: 1 in, 1 out" for name in names)
