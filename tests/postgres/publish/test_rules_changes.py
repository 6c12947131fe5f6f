"""The rules come from the internet: what they mask less than before is told, and no name in them is ever run."""

import pytest

from multischema.errors import CheckError
from tests.conftest import PROGRAMS, Place

pytestmark = pytest.mark.slow

ORIGIN = """
CREATE TABLE users (id integer PRIMARY KEY, name text, email text, city text, born date);
CREATE TABLE visits (id integer PRIMARY KEY, note text);
INSERT INTO users VALUES (1, 'Marie', 'marie@exemple.org', 'Lyon', '1980-05-17');
INSERT INTO visits VALUES (1, 'ill');
"""
RULES = """
tables:
  - {table_name: users, anonymized_column_names: [name, email, city, born]}
  - {table_name: visits, anonymized_column_names: [note]}
"""
FEWER = """
tables:
  - {table_name: users, anonymized_column_names: [name, born], non_anonymized_column_names: [email, city]}
  - {table_name: visits, truncated: true}
"""


@pytest.mark.parametrize("mode", ["stream", "dump"])
def test_rules_that_mask_less_than_the_last_run_did_are_published_with_a_warning_once(
    mode: str, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(PROGRAMS["18"]), prepend=":")
    place.in_origin(ORIGIN)
    assert place.run(RULES, mode=mode).plan.warnings == ()
    assert place.run(RULES, mode=mode).plan.warnings == ()
    assert place.run(FEWER, mode=mode).plan.warnings == (
        "published as it is, though the last run masked it: users.city",
        "published as it is, though the last run masked it: users.email",
        "truncated, though the last run copied it: visits",
    )
    assert place.run(FEWER, mode=mode).plan.warnings == ()


@pytest.mark.parametrize("mode", ["stream", "dump"])
def test_rules_that_mask_a_column_less_than_the_last_run_did_are_published_with_a_warning_once(
    mode: str, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(PROGRAMS["18"]), prepend=":")
    place.in_origin(ORIGIN)
    place.run(RULES, mode=mode)
    for unit, warning, shown in (
        ("month", "masked less than by the last run: users.born (wholly, now period: month)", "1980-05-01"),
        ("quarter", "", "1980-04-01"),
        ("week", "masked otherwise than by the last run: users.born (period: quarter, now period: week)", "1980-05-12"),
    ):
        rules = RULES.replace("born]}", f"born], masks: {{born: {{period: {unit}}}}}}}")
        assert place.run(rules, mode=mode).plan.warnings == ((warning,) if warning else ())
        assert place.run(rules, mode=mode).plan.warnings == ()
        assert place.read("SELECT born::text FROM shop.users") == [(shown,)]
    assert place.run(RULES, mode=mode).plan.warnings == ()
    assert place.read("SELECT born FROM shop.users") == [(None,)]


def test_the_comment_of_somebody_else_on_the_published_schema_is_no_record(place: Place) -> None:
    place.in_origin(ORIGIN)
    place.run(RULES)
    place.in_target("COMMENT ON SCHEMA shop IS 'ours'")
    with pytest.raises(CheckError, match="its comment holds no record"):
        place.run(FEWER)
    assert place.run(FEWER, adopt=True).plan.warnings == ()


@pytest.mark.parametrize(
    "name", ['"; DROP TABLE users; --', "'; DROP TABLE users; --", "users) TO STDOUT; DROP TABLE users; --", "%s", "{}"]
)
def test_a_name_in_the_rules_that_is_sql_is_a_name(name: str, place: Place) -> None:
    place.in_origin(ORIGIN)
    quoted = "'" + name.replace("'", "''") + "'"
    rules = RULES.replace("[note]", f"[note, {quoted}]") + f"  - {{table_name: {quoted}, truncated: true}}\n"
    published = place.run(rules)
    assert len(published.plan.warnings) == 2
    assert all(name in warning for warning in published.plan.warnings)
    assert place.read("SELECT count(*) FROM shop.users") == [(1,)]
