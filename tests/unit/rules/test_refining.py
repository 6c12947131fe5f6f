"""The keys `masks`, `k_anonymity` and `domains`: what is accepted, and what each error says."""

import difflib
import re
from decimal import Decimal

import pytest
import yaml

from multischema.errors import RulesError
from multischema.masks.known import KINDS
from multischema.masks.periods import Period
from multischema.rules import file
from multischema.rules.file import TableRules, parse
from multischema.rules.masks import KAnonymity, MaskRule, OnlyWhen
from tests.support.masks import Echo

WANTED = ", ".join((*sorted({*KINDS, "echo"}), "only_when"))
PERIODS = "want year, quarter, month, week or day"
COLUMN = "want a column with a list of its values, such as {status: [closed]}"


@pytest.fixture(autouse=True)
def echo(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(KINDS, "echo", Echo)


# the locked PyYAML has both; one that was built without libyaml has the second only
@pytest.fixture(params=["CSafeLoader", pytest.param("SafeLoader", marks=pytest.mark.slow)], autouse=True)
def loader(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file, "_LOADER", getattr(yaml, request.param))


def users(rules: str, more: str = "") -> TableRules:
    """Return the rules of a table that anonymizes two columns, with these lines below its lists."""
    text = f"{more}\ntables:\n- table_name: users\n  anonymized_column_names: [birth_date, name]\n  {rules}\n"
    (only,) = parse(text).tables.values()
    return only


def problems(rules: str, more: str = "") -> list[str]:
    """Return the lines of the error that these rules of the table must be, after the table's name."""
    with pytest.raises(RulesError) as caught:
        users(rules, more)
    return [re.sub("^rules: line [0-9]+: table users: ", "", line) for line in caught.value.problems]


def problem(rules: str, more: str = "") -> str:
    """Return the one line of the error that these rules of the table must be, after the table's name."""
    (line,) = problems(rules, more)
    return line


def given(value: str) -> object:
    """Return what a mask is given for a value in YAML."""
    mask = users(f"masks: {{name: {{echo: {value}}}}}").masks["name"].mask
    assert isinstance(mask, Echo)
    return mask.found


# What is accepted.


def test_masks_refine_columns_that_are_listed_as_anonymized() -> None:
    rules = users("masks: {birth_date: {period: year}, name: {only_when: {status: [closed, open]}}}")

    assert rules.anonymized == {"birth_date", "name"}
    assert rules.masks == {
        "birth_date": MaskRule(Period("year")),
        "name": MaskRule(None, OnlyWhen("status", ("closed", "open"))),
    }
    assert users("masks: {birth_date: {only_when: {status: [closed]}, period: week}}").masks == {
        "birth_date": MaskRule(Period("week"), OnlyWhen("status", ("closed",)))
    }


@pytest.mark.parametrize("value", ["", " ~", " {}"])
def test_masks_without_a_value_are_no_masks(value: str) -> None:
    assert users(f"masks:{value}").masks == {}


def test_a_mask_may_be_its_name_alone() -> None:
    assert users("masks: {name: echo}").masks == {"name": MaskRule(Echo(None))}
    assert users("masks: {name: {echo: }}").masks == {"name": MaskRule(Echo(None))}


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        ("year", "year"),
        ("'12'", "12"),
        ("12", 12),
        ("-1", -1),
        ("+0", 0),
        ("1.50", Decimal("1.50")),
        ("12345678901234567890.000000000000000000000000000000000001", Decimal("12345678901234567890." + "0" * 35 + "1")),
        ("[CAF, 'no', 'é', '']", ["CAF", "no", "é", ""]),
        ("[0, 1.5, 3]", [0, Decimal("1.5"), 3]),
        ("[]", []),
        ("1e3", "1e3"),  # YAML reads a number with an exponent and no point as text
    ],
)
def test_a_mask_is_given_text_and_exact_numbers(value: str, plain: object) -> None:
    assert given(value) == plain
    assert type(given(value)) is type(plain)


def test_the_values_of_only_when_are_the_text_that_postgres_writes() -> None:
    def values(listed: str) -> OnlyWhen | None:
        return users(f"masks: {{name: {{only_when: {{of: {listed}}}}}}}").masks["name"].only_when

    assert values("[closed, '', 'yes', closed]") == OnlyWhen("of", ("closed", "", "yes"))
    assert values("[1, +2, -3, 0]") == OnlyWhen("of", ("1", "2", "-3", "0"))
    assert values("[no, True, off]") == OnlyWhen("of", ("f", "t"), are_booleans=True)


def test_k_anonymity_has_a_number_a_unit_and_a_consequence_unless_it_says_others() -> None:
    assert users("k_anonymity: {columns: [birth_date, name]}").k_anonymity == KAnonymity(("birth_date", "name"))
    assert KAnonymity(("a",)) == KAnonymity(("a",), k=5, per="", on_breach="refuse")
    found = users("k_anonymity: {columns: [birth_date], k: 1000, per: id, on_breach: warn}").k_anonymity
    assert found == KAnonymity(("birth_date",), 1000, "id", "warn")
    assert users("k_anonymity: {columns: [birth_date], k: 2, on_breach: refuse}").k_anonymity == KAnonymity(
        ("birth_date",), 2
    )


def test_the_domains_of_the_file_go_to_the_mask_that_shows_them_wherever_they_stand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(KINDS, "domain", Echo)
    domains = "domains: [CD62.fr, '*.Departement.fr', cd62.fr]\n"
    tables = "tables: [{table_name: a, anonymized_column_names: [email], masks: {email: domain}}]\n"
    mask = MaskRule(Echo(["*.departement.fr", "cd62.fr"]))

    assert parse(domains + tables).tables["a"].masks == parse(tables + domains).tables["a"].masks == {"email": mask}
    for none in ("", "domains:\n", "domains: []\n"):
        assert parse(none + tables).tables["a"].masks == {"email": MaskRule(Echo(None))}


# What is wrong with a mask.


@pytest.mark.parametrize(
    ("masks", "expected"),
    [
        ("[name]", "found a list; want a mask for each column, such as {birth_date: {period: year}}"),
        ("{name: year}", f"name: unknown mask 'year'; want {WANTED} (did you mean {{period: year}}?)"),
        ("{name: {perod: year}}", f"name: unknown mask 'perod'; want {WANTED} (did you mean period?)"),
        ("{name: eco}", f"name: unknown mask 'eco'; want {WANTED} (did you mean echo?)"),
        ("{name: onlywhen}", f"name: unknown mask 'onlywhen'; want {WANTED} (did you mean only_when?)"),
        ("{name: hash}", f"name: unknown mask 'hash'; want {WANTED}"),
        ("{name: {period: year, echo: 1}}", "name: found 2 masks (period, echo); want one"),
        ("{name: }", f"name: found nothing; want a mask: {WANTED}"),
        ("{name: {}}", f"name: found a mapping; want a mask: {WANTED}"),
        ("{name: [echo]}", f"name: found a list; want a mask: {WANTED}"),
        ("{name: yes}", f"name: found a boolean ('yes'); want a mask: {WANTED}"),
        ("{name: {period: decade}}", f"name: period: found text ('decade'); {PERIODS}"),
        ("{name: period}", f"name: period: found no value; {PERIODS}"),
        ("{name: {period: }}", f"name: period: found nothing; {PERIODS}"),
        ("{name: {period: 1}}", f"name: period: found a number ('1'); {PERIODS}"),
        ("{name: {period: on}}", f"name: period: found a boolean ('on'); {PERIODS}"),
        ("{name: {period: 2024-01-01}}", f"name: period: found a date ('2024-01-01'); {PERIODS}"),
        ("{name: {period: [year, day]}}", f"name: period: found a list ([year, day]); {PERIODS}"),
        ("{name: {period: []}}", f"name: period: found an empty list; {PERIODS}"),
        ("{name: {period: {unit: year}}}", f"name: period: found a mapping; {PERIODS}"),
        ("{name: {period: !x year}}", f"name: period: found a value tagged '!x' ('year'); {PERIODS}"),
        ("{name: {echo: {a: b}}}", "name: echo: found a mapping; want something else"),
        ("{name: {echo: [a, yes]}}", "name: echo[1]: found a boolean ('yes'); want text or a number; quote it"),
        ("{name: {echo: [2024-01-01]}}", "name: echo[0]: found a date ('2024-01-01'); want text or a number; quote it"),
        ("{name: {echo: [a, ~]}}", "name: echo[1]: found nothing ('~'); want text or a number; quote it"),
        ("{name: {echo: [a, ]}}", None),
        ("{name: {echo: [[a]]}}", "name: echo[0]: found a list; want text or a number"),
        ("{name: {echo: [a: b]}}", "name: echo[0]: found a mapping; want text or a number"),
        ("{name: {echo: &x [*x]}}", "name: echo[0]: found a list; want text or a number"),
        ('{name: {echo: "a\\0"}}', r"name: echo: found text ('a\x00'); want text or a number"),
        ("{name: {echo: 1, echo: 2}}", "name: duplicate key 'echo', the first is on line 5; want one"),
        ("{name: echo, name: echo}", "duplicate key 'name', the first is on line 5; want one"),
        ("{name: echo, no: echo}", "found the key a boolean ('no'); want a name; quote it"),
        ("{name: echo, <<: {a: echo}}", "found the key a special value of YAML's ('<<'); want a name; quote it"),
        ("{name: echo, ? [a] : echo}", "found the key a list; want a name"),
    ],
)
def test_a_mask_that_is_none_is_an_error_that_says_what_is_wanted(masks: str, expected: str | None) -> None:
    if expected:
        assert problem(f"masks: {masks}") == f"masks: {expected}"
    else:
        users(f"masks: {masks}")


@pytest.mark.parametrize(
    "number",
    ["1_000", "010", "0x10", "0b1", "1:30", ".inf", "-.INF", ".nan", "1.5e+3", ".5", "1.", "1:30.5", "9" * 41, "!!int x"],
)
def test_a_number_that_yaml_reads_in_its_own_way_is_an_error(number: str) -> None:
    start, end = problem(f"masks: {{name: {{echo: {number}}}}}").split("; ")

    assert start.startswith("masks: name: echo: found a number ('")
    assert end == "want plain digits, such as 1000 or -0.5, or quotes"
    assert problem(f"masks: {{name: {{echo: [0, {number}]}}}}").startswith("masks: name: echo[1]: found a number ('")


@pytest.mark.parametrize(
    ("only_when", "expected"),
    [
        ("", f"found nothing; {COLUMN}"),
        ("{}", f"found a mapping; {COLUMN}"),
        ("status", f"found text ('status'); {COLUMN}"),
        ("[status]", f"found a list; {COLUMN}"),
        ("{a: [b], c: [d]}", "found 2 columns (a, c); want one"),
        ("{a: [b], a: [d]}", "duplicate key 'a', the first is on line 5; want one"),
        ("{a: }", "a: found nothing; want a list of values"),
        ("{a: []}", "a: found an empty list; want a list of values"),
        ("{a: b}", "a: found text ('b'); want a list of values"),
        ("{a: {b: c}}", "a: found a mapping; want a list of values"),
        ("{a: [b, ~]}", "a[1]: found nothing ('~'); leave it out: a row with NULL there is masked anyway"),
        ("{a: [null]}", "a[0]: found nothing ('null'); leave it out: a row with NULL there is masked anyway"),
        ("{a: [1.5]}", "a[0]: found a number ('1.5'); want text, an integer or a boolean; quote it"),
        ("{a: [010]}", "a[0]: found a number ('010'); want text, an integer or a boolean; quote it"),
        ("{a: [1_0]}", "a[0]: found a number ('1_0'); want text, an integer or a boolean; quote it"),
        ("{a: [2024-01-01]}", "a[0]: found a date ('2024-01-01'); want text, an integer or a boolean; quote it"),
        ("{a: [[b]]}", "a[0]: found a list; want text, an integer or a boolean"),
        ("{a: [yes, b]}", "a: found a list ([yes, b]), booleans and others; want one or the other, or quotes"),
    ],
)
def test_only_when_without_one_column_and_its_values_is_an_error(only_when: str, expected: str) -> None:
    assert problem(f"masks: {{name: {{only_when: {only_when}}}}}") == f"masks: name: only_when: {expected}"


def test_only_when_alone_needs_a_column_too() -> None:
    assert problem("masks: {name: only_when}") == f"masks: name: only_when: found no value; {COLUMN}"


def test_the_mask_domain_takes_no_value_but_the_file_s(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(KINDS, "domain", Echo)

    assert problem("masks: {name: {domain: [a.fr]}}") == (
        "masks: name: domain: found a list ([a.fr]); want no value: more domains go under domains, at the top of the file"
    )


def test_a_mask_of_a_column_that_is_not_listed_is_an_error_with_the_line_to_paste() -> None:
    assert problem("masks: {email: {period: year}}") == (
        "masks: email: not listed as anonymized; add to anonymized_column_names: - email"
    )
    assert problem("masks: {'birth_dat': {period: year}}") == (
        "masks: birth_dat: not listed as anonymized (did you mean birth_date?); add to anonymized_column_names: - birth_dat"
    )
    assert problem("masks: {'yes': {period: year}}").endswith("add to anonymized_column_names: - 'yes'")
    assert problem("non_anonymized_column_names: [email]\n  masks: {email: {period: year}}") == (
        "masks: email: not listed as anonymized; "
        "add to anonymized_column_names: - email and take it out of non_anonymized_column_names"
    )


def test_masks_and_k_anonymity_of_a_truncated_table_are_errors() -> None:
    def problems_of(rules: str) -> list[str]:
        with pytest.raises(RulesError) as caught:
            parse(f"tables: [{{table_name: users, truncated: true, {rules}}}]")
        return list(caught.value.problems)

    start = "rules: line 1: table users: truncated, and"
    assert problems_of("masks: {name: {period: year}}") == [f"{start} masks too (1); want one or the other"]
    assert problems_of("k_anonymity: {columns: [a, b]}") == [f"{start} k_anonymity too (2); want one or the other"]
    assert parse("tables: [{table_name: a, truncated: true, masks: }]").tables["a"].masks == {}


# What is wrong with k_anonymity and domains.


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ("", "found nothing; want a mapping, such as {columns: [birth_date, post_code]}"),
        ("[a]", "found a list; want a mapping, such as {columns: [birth_date, post_code]}"),
        ("{}", "no columns; want a list of them"),
        ("{k: 5}", "no columns; want a list of them"),
        ("{columns: }", "columns: found 0; want 1 to 32 columns"),
        ("{columns: []}", "columns: found 0; want 1 to 32 columns"),
        ("{columns: name}", "columns: found text ('name'); want a list of column names"),
        ("{columns: [a, yes]}", "columns[1]: found a boolean ('yes'); want a column name; quote it"),
        (f"{{columns: {[f'c{number}' for number in range(33)]}}}", "columns: found 33; want 1 to 32 columns"),
        ("{columns: [a, b, a]}", "columns: a listed twice; want each once"),
        ("{columns: [a], k: 1}", "k: found a number ('1'); want an integer from 2 to 1000"),
        ("{columns: [a], k: 0}", "k: found a number ('0'); want an integer from 2 to 1000"),
        ("{columns: [a], k: -5}", "k: found a number ('-5'); want an integer from 2 to 1000"),
        ("{columns: [a], k: 1001}", "k: found a number ('1001'); want an integer from 2 to 1000"),
        ("{columns: [a], k: 5.0}", "k: found a number ('5.0'); want an integer from 2 to 1000"),
        ("{columns: [a], k: 0x5}", "k: found a number ('0x5'); want an integer from 2 to 1000"),
        ("{columns: [a], k: '5'}", "k: found text ('5'); want an integer from 2 to 1000"),
        ("{columns: [a], k: }", "k: found nothing; want an integer from 2 to 1000"),
        ("{columns: [a], per: [id]}", "per: found a list; want the name of a column"),
        ("{columns: [a], per: }", "per: found nothing; want the name of a column"),
        ("{columns: [a], per: a}", "per: a is one of its columns; want another column, or no per to count rows"),
        ("{columns: [a], on_breach: warm}", "on_breach: found text ('warm'); want refuse or warn (did you mean warn?)"),
        ("{columns: [a], on_breach: no}", "on_breach: found a boolean ('no'); want refuse or warn"),
        ("{columns: [a], on_breach: }", "on_breach: found nothing; want refuse or warn"),
        ("{colums: [a], k: 3}", "unknown key 'colums'; want columns, k, per, on_breach (did you mean columns?)"),
        ("{columns: [a], column: b}", "unknown key 'column'; want columns, k, per, on_breach (did you mean columns?)"),
        ("{columns: [a], k: 5, k: 6}", "duplicate key 'k', the first is on line 5; want one"),
    ],
)
def test_k_anonymity_that_is_none_is_an_error_that_says_what_is_wanted(found: str, expected: str) -> None:
    assert problem(f"k_anonymity: {found}") == f"k_anonymity: {expected}"


@pytest.mark.parametrize(
    ("domains", "expected"),
    [
        ("cd62.fr", "rules: line 1: domains: found text; want a list of e-mail domains"),
        ("{a: b}", "rules: line 1: domains: found a mapping; want a list of e-mail domains"),
        (
            "[a.fr, marie@cd62.fr]",
            "rules: line 1: domains[1]: an e-mail address, or a part of one; want what follows its @ alone",
        ),
        ("['@cd62.fr']", "rules: line 1: domains[0]: an e-mail address, or a part of one; want what follows its @ alone"),
        (
            "[1.5]",
            "rules: line 1: domains[0]: found a number; want a domain such as cd62.fr or '*.departement.fr'; quote it",
        ),
        ("[[a.fr]]", "rules: line 1: domains[0]: found a list; want a domain such as cd62.fr or '*.departement.fr'"),
        *(
            (f"['{name}']", "rules: line 1: domains[0]: found text; want a domain such as cd62.fr or '*.departement.fr'")
            for name in (
                "fr",
                "*.fr",
                "*",
                "a..fr",
                ".a.fr",
                "a.fr.",
                "-a.fr",
                "a-.fr",
                "a.*.fr",
                "**.a.fr",
                "a b.fr",
                "é.fr",
            )
        ),
        *(
            (f"['{name}']", "rules: line 1: domains[0]: found text; want a domain such as cd62.fr or '*.departement.fr'")
            for name in (
                "a_b.fr",
                "https://a.fr",
                "a.fr/b",
                "a%.fr",
                "a.f",
                "127.0.0.1",
                "a" * 64 + ".fr",
                "a." * 126 + "fr",
            )
        ),
    ],
)
def test_a_domain_that_is_none_is_an_error_that_shows_nothing_of_the_file(domains: str, expected: str) -> None:
    with pytest.raises(RulesError) as caught:
        parse(f"domains: {domains}\ntables:\n")
    assert caught.value.problems == (expected,)


def test_in_a_file_of_many_names_few_are_compared_with_others(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[str] = []
    close = difflib.get_close_matches

    def counted(name: str, known: list[str], n: int) -> list[str]:
        compared.append(name)
        return close(name, known, n)

    monkeypatch.setattr(difflib, "get_close_matches", counted)
    columns, masks = [f"a{number}" for number in range(1600)], {f"b{number}": "eco" for number in range(5000)}
    table = {"table_name": "a", "anonymized_column_names": columns, "masks": masks, "k_anonymity": {"columns": [*masks]}}

    with pytest.raises(RulesError, match="and 9981 more"):
        parse(yaml.safe_dump({"tables": [table]}))
    assert 20 <= len(compared) <= 40


# All at once.


def test_all_that_is_wrong_with_masks_is_told_at_once_in_the_order_of_the_file() -> None:
    lines = problems("""masks:
    name: {perod: year, only_when: {a: []}}
    birth_date: {period: decade}
    email: {period: 1}
  k_anonymity: {columns: [a, a], k: 0, on_breach: never}""")

    assert [line.split(";")[0] for line in lines] == [
        "masks: name: unknown mask 'perod'",
        "masks: name: only_when: a: found an empty list",
        "masks: birth_date: period: found text ('decade')",
        "masks: email: period: found a number ('1')",
        "k_anonymity: columns: a listed twice",
        "k_anonymity: k: found a number ('0')",
        "k_anonymity: on_breach: found text ('never')",
        "masks: email: not listed as anonymized",
    ]


@pytest.mark.parametrize(
    "rules",
    [
        "masks: {{{long}: {{period: year}}}}",
        "masks: {{name: {long}}}",
        "masks: {{name: {{{long}: {long}}}}}",
        "masks: {{name: {{period: {long}}}}}",
        "masks: {{name: {{period: [{long}, {long}]}}}}",
        "masks: {{name: {{only_when: {{{long}: [{long}, ~]}}}}}}",
        "masks: {{name: {{only_when: {{{long}: [{long}, yes]}}}}}}",
        "k_anonymity: {{columns: [{long}, {long}], {long}: 1, k: {long}, per: {long}, on_breach: {long}}}",
    ],
)
def test_no_error_holds_much_of_the_input(rules: str) -> None:
    for line in problems(rules.format(long="s3cret" * 1000)):
        assert line.count("s3cret") * len("s3cret") <= 190
