"""Masks that don't fit, as a check tells them: one line each, before a row is read, and nothing is written."""

import pytest

from flows import command_line
from flows.etl import etl
from multischema.errors import EtlError
from multischema.masks.known import KINDS
from tests.conftest import Place
from tests.support.checks import check

ORIGIN = """
CREATE TYPE state AS ENUM ('open', 'closed');
CREATE DOMAIN day AS date;
CREATE DOMAIN days AS day CHECK (value > '1900-01-01');
CREATE TABLE users (id serial PRIMARY KEY, name text, born days, children smallint, email text, state state, active boolean,
                    points numeric, initial char(2), tags text[], shout text GENERATED ALWAYS AS (upper(name)) STORED);
INSERT INTO users (name, born, children, email, state) VALUES ('Marie', '1984-02-29', 2, 'marie@example.org', 'open');
"""
RULES = """
tables:
  - table_name: users
    anonymized_column_names: [name, born, children, email, tags]
    non_anonymized_column_names: [state, active, points, initial, shout]
"""


@pytest.fixture
def shop(place: Place) -> Place:
    """Return a place whose origin the rules fit, but for masks."""
    place.in_origin(ORIGIN)
    return place


LINE = RULES.count("\n") + 1  # of what tests write below the entry


def said(place: Place, rules: str) -> str:
    """Return the one line of a check that fails, and see that it leaves nothing behind."""
    before = place.schemas()
    with pytest.raises(EtlError) as caught:
        check(place, rules)
    assert caught.value.exit_status == 1
    assert place.schemas() == before
    assert place.sessions() == {"origin": 0, "target": 0}
    (line,) = str(caught.value).splitlines()
    return line


def fitting(type_: str) -> str:
    """Return the masks that take a type, as messages list them."""
    *names, last = [kind for kind in sorted(KINDS) if type_ in KINDS[kind].fits]
    return f"{', '.join(names)} or {last}" if names else last


MASKS = "want " + ", ".join((*sorted(KINDS), "only_when"))


@pytest.mark.parametrize(
    ("masks", "line"),
    [
        ("{born: {perid: year}}", f"born: unknown mask 'perid'; {MASKS} (did you mean period?)"),
        ("{born: {period: year, round: 1}}", "born: found 2 masks (period, round); want one"),
        (
            "{children: {bands: [0, 3, 1]}}",
            "children: bands: found a list ([0, 3, 1]); want a list of ascending",
        ),
        (
            "{name: {values: []}}",
            "name: values: found an empty list; want a list of different texts",
        ),
        (
            "{email: {pseudonym: person email}}",
            "email: pseudonym: found text ('person email'); want the name of a domain",
        ),
        (
            "{mail: {period: year}}",
            "mail: not listed as anonymized (did you mean email?); add to anonymized_column_names: - mail",
        ),
        (
            "{name: {only_when: {state: [closed, ~]}}}",
            "name: only_when: state[1]: found nothing ('~'); leave it out: a row with NULL there is masked anyway",
        ),
    ],
)
def test_a_mask_that_is_none_ends_a_check_with_a_line(shop: Place, masks: str, line: str) -> None:
    assert said(shop, f"{RULES}    masks: {masks}\n").startswith(f"rules: line {LINE}: table users: masks: {line}")


def test_masks_of_a_truncated_table_and_a_domain_that_is_none_end_a_check_with_a_line(shop: Place) -> None:
    assert said(shop, "tables: [{table_name: users, truncated: true, masks: {name: {period: year}}}]") == (
        "rules: line 1: table users: truncated, and masks too (1); want one or the other"
    )
    assert said(shop, f"domains: [ex ample.org]{RULES}") == (
        "rules: line 1: domains[0]: found text; want a domain such as cd62.fr or '*.departement.fr'"
    )


@pytest.mark.parametrize(
    ("masks", "line"),
    [
        (
            "{name: {period: year}}",
            "users.name is of type text, which mask period does not take (date, timestamp, timestamptz); "
            f"want {fitting('text')}, or take it out of masks",
        ),
        (
            "{born: {values: [CAF]}}",
            "users.born is of type public.days, which mask values does not take (text, enum); "
            f"want {fitting('date')}, or take it out of masks",
        ),
        (
            "{tags: {values: [a]}}",
            "users.tags is of type text[], which mask values does not take (text, enum); take it out of masks",
        ),
        (
            "{children: {bands: [0, 40000]}}",
            "users.children is of type smallint, which mask bands does not fit: 40000 is no smallint; want whole numbers "
            "from -32768 to 32767",
        ),
        (
            "{name: {only_when: {sate: [closed]}}}",
            "users.name: only_when: users has no column sate (did you mean state?); "
            "want a column that is published as it is",
        ),
        (
            "{name: {only_when: {email: [a]}}}",
            "users.name: only_when: email is anonymized; want a column that is published as it is",
        ),
        (
            "{name: {only_when: {shout: [a]}}}",
            "users.name: only_when: shout is computed from anonymized columns and left out; "
            "want a column that is published as it is",
        ),
        (
            "{name: {only_when: {points: [1]}}}",
            "users.name: only_when: points is of type numeric; "
            "want text (not citext), an enum, a boolean, an integer or a uuid",
        ),
        (
            "{name: {only_when: {state: [close]}}}",
            "users.name: only_when: state is of type public.state, which does not have the value 'close' "
            "(did you mean closed?)",
        ),
        (
            "{name: {only_when: {active: ['yes']}}}",
            "users.name: only_when: active is of type boolean, which never has the value 'yes'; want true and false",
        ),
        (
            "{name: {only_when: {initial: [no]}}}",
            "users.name: only_when: initial is of type character(2), and true, yes, on and their opposites are booleans; "
            "quote them",
        ),
    ],
)
def test_a_mask_that_does_not_fit_ends_a_check_with_a_line(shop: Place, masks: str, line: str) -> None:
    assert said(shop, f"{RULES}    masks: {masks}\n") == f"rules: line {LINE}: {line}"


@pytest.mark.parametrize(
    ("gate", "line"),
    [
        ("{columns: [brn]}", "users has no column brn (did you mean born?); want a column that is published"),
        ("{columns: [born]}", "born is masked wholly, so there is nothing to combine; give it a mask, or take it out"),
        (
            "{columns: [state], per: user_id}",
            "per: users has no column user_id; want one published as it is or as a pseudonym, or no per, to count rows",
        ),
    ],
)
def test_k_anonymity_that_shows_nothing_ends_a_check_with_a_line(shop: Place, gate: str, line: str) -> None:
    assert said(shop, f"{RULES}    k_anonymity: {gate}\n") == f"rules: line {LINE}: users: k_anonymity: {line}"


def test_a_domain_is_the_type_that_it_stands_on_and_only_when_takes_what_is_published_as_it_is(shop: Place) -> None:
    masks = "{born: {period: year, only_when: {state: [closed]}}, name: {only_when: {active: [true]}}}"
    plan = check(shop, f"{RULES}    masks: {masks}\n    k_anonymity: {{columns: [born, state], per: id}}\n")

    (users,) = plan.tables
    assert {column.name: column.rule.said() for column in users.columns if column.rule} == {
        "born": "period: year; only when state is closed",
        "name": "only when active is true",
    }
    assert users.k_anonymity


def test_the_command_says_the_line_and_its_status_says_that_it_failed(
    shop: Place, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(shop.path)
    for name, value in (("APP", "invented-shop"), ("ORIGIN_DB_URL", shop.origin_url), ("ETL_DB_URL", shop.target_url)):
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("METABASE_USERNAME", shop.reader)
    status = command_line.main(etl, ["--check", "--rules", shop.rules(f"{RULES}    masks: {{born: {{period: yera}}}}\n")])

    assert (status, capsys.readouterr().err) == (
        1,
        "error: rules: line 6: table users: masks: born: period: found text ('yera'); want year, quarter, month, week or "
        "day\n",
    )
