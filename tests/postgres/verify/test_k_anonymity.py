"""The gate of k_anonymity: combinations that too few share are not published, or warned of, and no value is ever said."""

from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from random import Random
from typing import Any

import pytest

from multischema import download, pipeline
from multischema.errors import CheckError, VerifyError
from multischema.stages.check import check
from multischema.stages.estimate import estimate
from multischema.stages.run import open_run
from tests.conftest import Place
from tests.support.dumps import backup

ORIGIN = """
CREATE TABLE users (id int PRIMARY KEY, person_id int, born date, post_code text, state text NOT NULL);
CREATE TABLE others (id int PRIMARY KEY, name text);
INSERT INTO others VALUES (1, 'Marie');
"""
RULES = """
tables:
  - table_name: users
    anonymized_column_names: [born]
    non_anonymized_column_names: [person_id, post_code, state]
    masks:
      born: {{period: year}}
    k_anonymity: {{{gate}}}
  - table_name: others
    anonymized_column_names: [name]
"""
REMEDY = "coarsen a mask, take a column out of k_anonymity, or set on_breach: warn"


def rules(gate: str = "columns: [born, post_code], per: person_id") -> str:
    """Return rules with this k_anonymity."""
    return RULES.format(gate=gate)


def insert(place: Place, *users: tuple[Any, ...], into: str = "users") -> None:
    """Insert rows of id, person, date of birth, postal code and state."""
    values = ", ".join(f"({', '.join('NULL' if value is None else repr(value) for value in user)})" for user in users)
    place.in_origin(f"INSERT INTO {into} VALUES {values}")


def five(start: int = 1, born: str = "1980-05-06", code: str | None = "75011") -> list[tuple[Any, ...]]:
    """Return five users who share a combination, each born on another day."""
    return [(start + n, start + n, f"{born[:-1]}{n + 1}", code, "open") for n in range(5)]


def refused(place: Place, text: str, **changes: Any) -> list[str]:
    """Return the lines of a run that does not publish."""
    with pytest.raises(VerifyError) as failed:
        place.run(text, **changes)
    assert not {name for name in place.schemas() if name.startswith("etl_")}
    return str(failed.value).splitlines()


def test_combinations_that_fewer_than_k_share_are_not_published(place: Place) -> None:
    place.in_origin(ORIGIN)
    insert(place, *five(), *five(11, "1981-01-01")[:4], (21, 21, "1982-01-01", "75011", "open"))
    line = "target: table users: 2 combinations of born, post_code are shared by fewer than 5 different person_id (5 rows)"
    assert refused(place, rules()) == [f"{line}; {REMEDY}"]
    assert place.schemas() == set()
    assert refused(place, rules("columns: [born, post_code], per: person_id, k: 2")) == [
        "target: table users: 1 combination of born, post_code is shared by fewer than 2 different person_id (1 row); "
        + REMEDY
    ]
    place.in_origin("DELETE FROM users WHERE id > 10")
    assert place.run(rules()).warnings == ()
    assert place.read("SELECT count(*) FROM shop.users") == [(5,)]


def test_a_breach_leaves_what_is_published_as_it_is(place: Place) -> None:
    place.in_origin(ORIGIN)
    insert(place, *five())
    place.run(rules())
    insert(place, (9, 9, "1900-01-01", "2A004", "open"))
    assert len(refused(place, rules())) == 1
    assert place.read("SELECT count(*) FROM shop.users") == [(5,)]


def test_a_breach_may_be_a_warning(place: Place) -> None:
    place.in_origin(ORIGIN)
    insert(place, *five()[:4])
    published = place.run(rules("columns: [born], on_breach: warn"))
    assert published.warnings == (
        "table users: 1 value of born is shared by fewer than 5 rows (4 rows); "
        "coarsen a mask, or take a column out of k_anonymity",
    )
    assert place.read("SELECT count(*) FROM shop.users") == [(4,)]
    assert place.read("SELECT warnings FROM etl_report.runs") == [(1,)]


def test_all_problems_of_a_run_are_said_at_once(place: Place) -> None:
    place.in_origin(ORIGIN)
    insert(place, *five(), *five(11))
    place.run(rules())
    place.in_origin("DELETE FROM users WHERE id > 1; DELETE FROM others")
    lines = refused(place, rules(), drop_rows=1, drop_percent=50)
    assert sorted(line.split(":")[1].split(" would")[0] for line in lines) == [" table others", *2 * [" table users"]]


def test_one_person_with_many_rows_counts_once_and_rows_without_a_person_count_for_nobody(place: Place) -> None:
    place.in_origin(ORIGIN)
    insert(place, *((n, 7, "1980-01-01", "75011", "open") for n in range(1, 9)))
    assert place.run(rules("columns: [born, post_code]")).warnings == ()
    assert "different person_id (8 rows)" in refused(place, rules())[0]
    place.in_origin("UPDATE users SET person_id = CASE WHEN id < 5 THEN id END")
    assert "different person_id (8 rows)" in refused(place, rules())[0]
    place.in_origin("UPDATE users SET person_id = 5 WHERE id = 5")
    assert place.run(rules()).warnings == ()


def test_no_value_at_all_is_a_value_of_a_combination(place: Place) -> None:
    place.in_origin(ORIGIN)
    insert(place, *five(code=None), *five(11, code=None)[:2], *five(21)[:4])
    assert (
        "1 combination of born, post_code is shared by fewer than 5 different person_id (4 rows)"
        in refused(place, rules())[0]
    )
    place.in_origin("DELETE FROM users WHERE post_code IS NOT NULL; UPDATE users SET post_code = '' WHERE id > 5")
    assert "(2 rows)" in refused(place, rules())[0]  # an empty text is not the same as none
    place.in_origin("UPDATE users SET post_code = NULL")
    assert place.run(rules()).warnings == ()


def test_a_table_without_rows_has_no_combination_and_one_smaller_than_k_has_only_rare_ones(place: Place) -> None:
    place.in_origin(ORIGIN)
    for gate in ("columns: [born, post_code], per: person_id", "columns: [born, post_code]"):
        assert place.run(rules(gate)).warnings == ()
        assert place.read("SELECT count(*) FROM shop.users") == [(0,)]
    insert(place, *five()[:3])
    assert "(3 rows)" in refused(place, rules())[0]


def by_hand(rows: list[tuple[Any, ...]], columns: list[int], per: int | None, k: int) -> tuple[int, int]:
    """Count, as a person would, combinations that too few share, and their rows."""
    shared: defaultdict[tuple[Any, ...], list[Any]] = defaultdict(list)
    for number, row in enumerate(rows):
        shared[tuple(row[column] for column in columns)].append(number if per is None else row[per])
    rare = [who for who in shared.values() if len(set(who) - {None}) < k]
    return len(rare), sum(map(len, rare))


@pytest.mark.parametrize("seed", range(3))
def test_the_numbers_are_those_that_a_person_counts(place: Place, seed: int) -> None:
    random = Random(seed)
    place.in_origin(ORIGIN)
    users = [
        (
            n,
            random.choice([None, *range(40)]),
            f"{random.choice(range(1980, 1988))}-0{random.randint(1, 9)}-11",
            random.choice([None, "", "75011", "13001", "2A004"]),
            random.choice(["open", "shut"]),
        )
        for n in range(400)
    ]
    insert(place, *users)
    published = [(n, person, born[:4], code or code, state) for n, person, born, code, state in users]
    names = ["id", "person_id", "born", "post_code", "state"]
    k = random.randint(5, 20)
    for columns in (["born"], ["born", "post_code"], ["state", "born", "post_code"]):
        for per in ("", "id", "person_id"):
            gate = f"columns: [{', '.join(columns)}], k: {k}, on_breach: warn" + (f", per: {per}" if per else "")
            found, rows = by_hand(published, [names.index(c) for c in columns], names.index(per) if per else None, k)
            warnings = place.run(rules(gate)).warnings
            assert len(warnings) == (1 if found else 0)
            for line in warnings:
                assert f": {found} " in line
                assert f"({rows} row" in line


def test_what_the_reader_sees_is_what_counts_not_what_a_type_holds_for_equal(place: Place) -> None:
    """Numbers with other decimals, and values of types that have no equality at all."""
    place.in_origin(
        """
        CREATE TABLE places (id int PRIMARY KEY, price numeric, spot point, settings json, span interval, tags text[]);
        INSERT INTO places SELECT n, CASE WHEN n < 3 THEN 1.5 ELSE 1.50 END, '(1,2)', '{"a": 1}', '1 day', '{a}'
        FROM generate_series(1, 5) AS n;
        UPDATE places SET span = '24 hours' WHERE id = 5;
        """
    )
    text = """
tables:
  - table_name: places
    non_anonymized_column_names: [price, spot, settings, span, tags]
    k_anonymity: {{columns: [{}]}}
"""
    assert place.run(text.format("spot, settings, tags")).warnings == ()
    assert "2 values of price are shared by fewer than 5 rows (5 rows)" in refused(place, text.format("price"))[0]
    assert "2 values of span are shared by fewer than 5 rows (5 rows)" in refused(place, text.format("span"))[0]
    place.in_origin("UPDATE places SET spot = '(1,3)' WHERE id = 1")
    assert "2 values of spot are shared by fewer than 5 rows (5 rows)" in refused(place, text.format("spot"))[0]


def test_names_that_the_gate_itself_uses_are_no_trouble(place: Place) -> None:
    place.in_origin(
        """
        CREATE TABLE "rows" (id int PRIMARY KEY, per int, "rows" int, column_0 int, column_1 numeric, "Ta""ble" int);
        INSERT INTO "rows" SELECT n, n, 1, n % 2, 1, 1 FROM generate_series(1, 10) AS n;
        """
    )
    text = """
tables:
  - table_name: rows
    non_anonymized_column_names: [per, rows, column_0, column_1, 'Ta"ble']
    k_anonymity: {columns: [column_1, rows, column_0, 'Ta"ble'], per: per, k: 5}
"""
    assert place.run(text).warnings == ()
    place.in_origin('UPDATE "rows" SET per = 1')
    assert "2 combinations" in refused(place, text)[0]


PARTS = """
CREATE TABLE users (id int, person_id int, born date, post_code text, state text, PRIMARY KEY (id, state))
PARTITION BY LIST (state);
CREATE TABLE users_open PARTITION OF users FOR VALUES IN ('open');
CREATE TABLE users_shut PARTITION OF users FOR VALUES IN ('shut');
CREATE TABLE others (id int PRIMARY KEY, name text);
"""


def test_a_partitioned_table_is_judged_as_one(place: Place) -> None:
    place.in_origin(PARTS)
    users = five()
    insert(place, *users[:3], *((*user[:4], "shut") for user in users[3:]))
    assert place.run(rules()).warnings == ()
    assert "2 combinations" in refused(place, rules("columns: [born, state]"))[0]


def test_a_key_that_children_may_repeat_does_not_tell_rows_apart(place: Place) -> None:
    """A parent's key says nothing of the rows of a child in another schema, which are published with its own."""
    place.in_origin(ORIGIN + "CREATE SCHEMA apart; CREATE TABLE apart.more () INHERITS (users);")
    insert(place, *five()[:4])
    insert(place, *five()[:4], into="apart.more")
    assert place.run(rules("columns: [born, post_code]")).warnings == ()
    assert "different id (8 rows)" in refused(place, rules("columns: [born, post_code], per: id"))[0]


def test_people_are_told_apart_by_their_pseudonyms(place: Place) -> None:
    """Two spellings of an address are one person; a unique index of the origin's tells them apart, and does not count."""
    place.in_origin(
        f"{ORIGIN} ALTER TABLE users ALTER person_id TYPE text, ALTER person_id SET NOT NULL, ADD UNIQUE (person_id)"
    )
    text = RULES.replace("[born]", "[born, person_id]").replace("[person_id, ", "[")
    text = text.replace("masks:", "masks:\n      person_id: {{pseudonym: person_email}}")
    text = text.format(gate="columns: [born, post_code], per: person_id")
    people = ["a@exemple.org", "b@exemple.org", "c@exemple.org", "d@exemple.org", "A@exemple.org "]
    insert(place, *((*user[:1], person, *user[2:]) for user, person in zip(five(), people, strict=True)))
    assert "different person_id (5 rows)" in refused(place, text)[0]
    place.in_origin("UPDATE users SET person_id = 'e@exemple.org' WHERE id = 5")
    assert place.run(text)
    assert place.read("SELECT count(DISTINCT person_id) FROM shop.users WHERE person_id LIKE 'p_%'") == [(5,)]


@pytest.mark.parametrize("type_", ["json", "jsonb", "point", "timestamptz", "float8"])
def test_a_per_that_tells_nobody_apart_is_refused_in_the_check(place: Place, type_: str) -> None:
    place.in_origin(f"{ORIGIN} ALTER TABLE users ALTER person_id TYPE {type_} USING NULL")
    with pytest.raises(CheckError) as failed:
        place.run(rules())
    shown = {"timestamptz": "timestamp with time zone", "float8": "double precision"}.get(type_, type_)
    assert failed.value.problems == (
        f"origin shop: table users: k_anonymity counts per person_id, which is of type {shown}; "
        "want a column of numbers, uuids or text",
    )
    assert place.schemas() == set()


@pytest.mark.parametrize("type_", ["bigint", "numeric(9,2)", "uuid", "varchar(9)", "char(9)", "text", "bytea", "name"])
def test_a_per_of_a_type_that_keys_have_is_counted(place: Place, type_: str) -> None:
    place.in_origin(f"{ORIGIN} ALTER TABLE users ALTER person_id TYPE {type_} USING NULL")
    insert(place, *((*user[:1], None, *user[2:]) for user in five()))
    assert "different person_id (5 rows)" in refused(place, rules())[0]


@pytest.mark.parametrize("pair", [("16", "18"), ("18", "16"), ("system-15", "18"), ("18", "system-15")], ids=str)
def test_the_gate_is_the_same_on_all_servers_and_in_mode_dump(
    make_place: Any, pair: tuple[str, str], tmp_path: Path, private: Path
) -> None:
    place = make_place(*pair)
    place.in_origin(ORIGIN)
    insert(place, *five(), *five(11, "1981-01-01")[:3])
    ways: list[Mapping[str, Any]] = [{}]
    if pair == ("16", "18"):
        ways = [{}, {"mode": "dump"}, {"from_dump": str(backup(place, tmp_path / "backup", "--format=custom"))}]
    for way in ways:
        for gate in ("columns: [born, post_code], per: person_id", "columns: [born, post_code], per: id"):
            per = gate.rpartition(" ")[2]
            assert refused(place, rules(gate), **way) == [
                f"target: table users: 1 combination of born, post_code is shared by fewer than 5 different {per} (3 rows); "
                + REMEDY
            ]


def test_no_value_of_a_rare_combination_is_told_to_anybody(place: Place, capfd: pytest.CaptureFixture[str]) -> None:
    place.in_origin(ORIGIN)
    insert(place, *five(), (9, 987654321, "1923-04-05", "97133", "open"))
    said = "\n".join(refused(place, rules()))
    said += "\n".join(place.run(rules("columns: [born, post_code], per: person_id, on_breach: warn")).warnings)
    told = place.read("SELECT string_agg(r::text, ' ') FROM etl_report.runs AS r")[0][0]
    for value in ("1923", "97133", "987654321"):
        assert value not in said + "".join(capfd.readouterr()) + told


def test_a_check_says_that_a_run_will_judge(place: Place) -> None:
    place.in_origin(ORIGIN)
    with open_run(place.job(check=True), *place.databases()) as run:
        plan = check(run, download.fetch(place.rules(rules())), lock=False)
        assert "judged before a run publishes: k_anonymity of users" in estimate(run, plan)


def test_verifying_again_finds_the_same(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.in_origin(ORIGIN)
    insert(place, *five()[:3])
    verify = pipeline.verify
    found = []

    def twice(*arguments: Any) -> Any:
        found.append(verify(*arguments))
        return verify(*arguments)

    monkeypatch.setattr(pipeline, "verify", twice)
    warnings = place.run(rules("columns: [born], on_breach: warn")).warnings
    assert [each.warnings for each in found] == [warnings]
    assert len(warnings) == 1
