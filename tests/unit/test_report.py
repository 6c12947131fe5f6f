"""The report of a run: its sums, and that it reads well in Prefect's markdown and in a terminal."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from multischema import report
from multischema.errors import EtlError
from multischema.findings import Finding, note
from multischema.job import Job
from multischema.masks.pseudonyms import Pseudonym
from multischema.plan.history import Before, Ran, Recorded
from multischema.plan.keys import Keys, plan_keys
from multischema.plan.plan import Plan
from multischema.plan.refresh import Change, Choice, Counted
from multischema.plan.scan import Counted as Looked
from multischema.plan.scan import Scanned
from multischema.plan.tables import TablePlan, plan_table
from multischema.report import Report, make_report
from multischema.rules.file import Expected
from multischema.rules.masks import MaskRule, OnlyWhen
from multischema.words import count, size
from tests.support.origins import catalog, column, foreign_key, index, masking, table, truncating

JOB = Job("rdvs", "rdvs", "public", "metabase", 4, 60, "0123abcd")
USERS = [index("users", "users_name", "name", bytes=1_000_000), index("users", "users_mail", "e_mail", bytes=500_000)]
ORIGIN = catalog(
    table("users", column("id", "integer"), column("name"), column("e_mail"), key=["id"], indexes=USERS),
    table("rdvs", column("user_id", "integer"), foreign_keys=[foreign_key("rdvs", "user_id", "users")]),
    table("versions", column("id", "integer"), column("item"), key=["id"]),
)
SNAPSHOT = datetime(2026, 3, 1, 4, 30, 59, 999999, UTC)
FULL = Choice(full="asked for")
RULES = {"users": masking("users", "name", "e_mail"), "rdvs": masking("rdvs"), "versions": truncating("versions")}


def plans() -> list[TablePlan]:
    """Return the plans of the tables of ORIGIN."""
    return [plan_table(t, RULES[t.name], ORIGIN, frozenset()) for t in ORIGIN.tables]


def made(
    *warnings: str,
    stage_bytes: dict[str, int] | None = None,
    job: Job = JOB,
    recreated: Sequence[str] = (),
    choice: Choice = FULL,
    changes: dict[str, str] | None = None,
    ago: timedelta = timedelta(),
    snapshot_at: datetime | None = SNAPSHOT,
    before: Before | None = None,
    expected: Sequence[Expected] = (),
    scanned: Scanned | None = None,
    brought: Scanned | None = None,
) -> Report:
    """Return the report of a run over ORIGIN."""
    ran = Ran("full", snapshot_at, 1205, 1_524_576, 1.04, 0, {}, {})
    keys: Keys = plan_keys(ORIGIN.tables, {plan.name: plan for plan in plans()}, "public", all_indexes=False)
    return make_report(
        job,
        Plan(ORIGIN, tuple(plans()), keys, (), (), tuple(expected), scanned),
        choice,
        datetime.now(UTC) - ago,
        changes=changes or {"users": "copied", "rdvs": "copied"},
        rows={"users": 1204, "rdvs": 1},
        copy_seconds={"users": 1.234, "rdvs": 0.1},
        index_seconds={"users": 0.5, "rdvs": 0.0},
        sizes={"users": 1_500_000, "rdvs": 8192, "versions": 16384},
        warnings=[Finding("code", warning, object="object") for warning in warnings],
        recreated=recreated,
        stages={"download rules": 0.26, "check": 1.0},
        stage_bytes=stage_bytes or {},
        recorded=Recorded(ran, before),
        brought=brought,
    )


def test_the_headline_says_what_was_published_for_whom() -> None:
    assert made().headline() == ("published rdvs for metabase: 3 tables, 1,205 rows, 1.5 MB, 2 masked columns, 1.3 s")
    assert (made().indexes, made().foreign_keys) == (2, 1)
    for number, named in ((1, "metabase, team1"), (10, "metabase, team1, team2 and 8 more")):
        job = replace(JOB, schema_reader=tuple(f"team{place + 1}" for place in range(number)))
        assert made(job=job).headline().startswith(f"published rdvs for {named}: 3 tables, ")


def test_the_terminal_shows_a_table_of_tables_then_warnings_then_the_headline() -> None:
    assert report.plain(made("users.fax: unknown")).splitlines() == [
        "table          rows     size  copy s  index s  change  masked columns",
        "users         1,204   1.5 MB    1.23     0.50  copied  name, e_mail",
        "rdvs              1   8.2 kB    0.10     0.00  copied",
        "versions  truncated  16.4 kB    0.00     0.00",
        "",
        "warning: users.fax: unknown [code object]",
        "",
        "left out 2 indexes of masked columns only, 1.5 MB in the origin: users_name of users, users_mail of users",
        "",
        "full: asked for; last full run: now",
        "data as of 2026-03-01 04:30:59 UTC",
        made().headline(),
    ]


def test_the_scan_has_a_section_of_its_own_in_terminal_and_artifact() -> None:
    looked = Looked("users", 50_000, values={"e_mail": 50_000, "id": 50_000})
    told = note(
        "scan-email", "users.e_mail is published as it is, and 1 of 50,000 values holds an e-mail address", side="rules"
    )
    rows = Scanned((Looked("rdvs", 3, values={"user_id": 3}, whole=True),), (), 0.1)
    found = made(scanned=Scanned((looked,), (told,), 1.5), brought=rows)
    assert [line for line in report.plain(found).splitlines() if line.startswith("scan: ")] == [
        "scan: 2 clear columns of 1 table, 50,000 rows, 1.5 s: 1 note",
        "scan: rows that changed: 1 clear column of 1 table, 3 rows, 0.1 s: nothing found",
        f"scan: {told}",
        "scan: what a sample of 50,000 rows does not show is, with 95 % confidence, in at most 1 of 16,666 rows",
    ]
    section = report.markdown(found).split("## Scan\n\n", 1)[1].split("\n\n", 1)[0]
    assert len(section.splitlines()) == 4
    assert r"* rules: users.e\_mail is published as it is" in section
    assert "## Scan" not in report.markdown(made())


def test_a_refresh_says_what_came_of_each_table_and_when_the_last_full_run_was() -> None:
    changes = {"users": "3 in, 1 out", "rdvs": "unchanged"}
    change = Change(plans()[0], ("id",), Counted(1204, 3, None, None, 1202), "")
    choice = Choice(changes=(change,), rows={"users": 1204, "rdvs": 1}, tables=3)
    found = made(choice=choice, changes=changes, ago=timedelta(hours=30))
    lines = report.plain(found).splitlines()
    assert [line.split("  0.00  ")[-1] for line in lines[1:3]][1] == "unchanged"
    assert "3 in, 1 out  name, e_mail" in lines[1]
    assert lines[-3] == "refresh: 3 of 1,205 rows in 1 of 3 tables; last full run: 30 h ago"
    assert lines[-1].startswith("refreshed rdvs for metabase: 3 tables")
    assert made(choice=choice, ago=timedelta(days=5)).age() == "last full run: 5 days ago"


def test_what_was_created_again_is_a_line_and_no_warning() -> None:
    again = made("users.fax: unknown", recreated=['view board."a*b"', "materialized view board.c"])
    assert report.plain(again).splitlines()[-5:] == [
        'recreated on the new tables: view board."a*b", materialized view board.c',
        "",
        "full: asked for; last full run: now",
        "data as of 2026-03-01 04:30:59 UTC",
        again.headline(),
    ]
    assert r'Recreated on the new tables: view board."a\*b", materialized view board.c.' in report.markdown(again)


def test_an_expected_warning_is_named_below_the_others_in_both_forms() -> None:
    found = made("users.fax: unknown", expected=[Expected("code", "object")])
    assert "1 expected warning: code object" in report.plain(found).splitlines()
    assert "1 expected warning: code object." in report.markdown(found).splitlines()
    assert "unknown" not in report.plain(found) + report.markdown(found)
    noted = replace(found, told=replace(found.told, notes=(note("worth", "worth knowing", object="it"),)))
    assert "note: worth knowing [worth it]" in report.plain(noted).splitlines()
    assert "\n## Notes\n\n* worth knowing \\[worth it\\]\n" in report.markdown(noted)


def test_the_artifact_shows_warnings_stages_and_tables_with_names_that_are_no_markdown() -> None:
    assert report.markdown(made("a|b *c* `d` <e>\nf")).splitlines() == [
        "Data as of 2026-03-01 04:30:59 UTC.",
        "",
        "full: asked for; last full run: now.",
        "",
        "## Warnings",
        "",
        r"* a\|b \*c\* \`d\` \<e\>\\nf \[code object\]",
        "",
        "## Stages",
        "",
        "| stage | seconds |",
        "| --- | ---: |",
        "| download rules | 0.3 |",
        "| check | 1.0 |",
        "",
        "## Tables",
        "",
        "| table | rows | size | copy s | index s | change | masked |",
        "| --- | ---: | ---: | ---: | ---: | --- | ---: |",
        "| users | 1,204 | 1.5\N{NO-BREAK SPACE}MB | 1.23 | 0.50 | copied | 2 |",
        "| rdvs | 1 | 8.2\N{NO-BREAK SPACE}kB | 0.10 | 0.00 | copied | 0 |",
        "| versions | truncated | 16.4\N{NO-BREAK SPACE}kB | 0.00 | 0.00 |  | 0 |",
        "",
        "## Masked columns",
        "",
        "* **users**: name, e\\_mail",
        "",
        "## Indexes left out",
        "",
        "Left out 2 indexes of masked columns only, 1.5 MB in the origin: users\\_name of users, users\\_mail of users.",
    ]
    assert "Warnings" not in report.markdown(made())


def test_a_masked_column_has_its_mask_beside_it_unless_it_is_masked_wholly(monkeypatch: pytest.MonkeyPatch) -> None:
    some = MaskRule(Pseudonym("person_email"), OnlyWhen("id", ("1", "a*b")))
    monkeypatch.setitem(RULES, "users", replace(RULES["users"], masks={"e_mail": some}))
    assert made().masked == 2
    said = r"e\_mail (pseudonym: person\_email; only when id is 1, a\*b)"
    assert f"* **users**: name, {said}" in report.markdown(made()).splitlines()
    lines = report.plain(made()).splitlines()
    assert lines[1].endswith("  copied  name and 1 more")
    assert lines[lines.index("") + 1] == "masks of users: e_mail (pseudonym: person_email; only when id is 1, a*b)"
    monkeypatch.setitem(RULES, "users", replace(RULES["users"], masks={"e_mail": MaskRule(Pseudonym("email"))}))
    assert report.plain(made()).splitlines()[1].endswith("  copied  name, e_mail (pseudonym: email)")
    monkeypatch.setitem(RULES, "users", replace(RULES["users"], masks={}))
    assert "masks of" not in report.plain(made())


BEFORE = Before(datetime(2026, 2, 28, 4, 30, 1, tzinfo=UTC), 1300, 24_576, 61.2, "full", {"users": 1209, "fax": 91})


def test_a_run_says_what_differs_from_the_last_one() -> None:
    assert made(before=BEFORE).differences() == [
        "since the run of 2026-02-28 04:30:01 UTC: -95 rows, +1.5 MB; it took 61.2 s until it published, this one 1.0 s",
        "new tables: rdvs, versions",
        "tables gone: fax",
        "rows changed most: users -5",
    ]
    assert made().differences() == []
    lines = report.plain(made(before=BEFORE)).splitlines()
    assert lines[-7:-3] == made(before=BEFORE).differences()
    body = report.markdown(made(before=BEFORE)).splitlines()
    assert body[4:8] == [f"* {line}" for line in made(before=BEFORE).differences()]


def test_only_the_tables_that_changed_most_are_named() -> None:
    before = replace(BEFORE, tables={f"t{n}": n * n for n in range(8)})
    tables = tuple(replace(made().tables[1], name=f"t{n}", rows=0) for n in range(8))
    changed = replace(made(before=before), tables=tables).differences()
    assert changed[1:] == ["rows changed most: t7 -49, t6 -36, t5 -25, t4 -16, t3 -9 and 2 others"]
    same = replace(made(before=replace(BEFORE, tables={"users": 1204, "rdvs": 1, "versions": 0})))
    assert len(same.differences()) == 1


def test_the_last_run_may_have_no_tables_to_compare_with() -> None:
    assert len(made(before=replace(BEFORE, tables={})).differences()) == 1


def test_a_backup_that_does_not_tell_its_time_is_no_data_as_of_now() -> None:
    found = made(snapshot_at=None)
    assert "the backup does not tell as of when its data is" in report.plain(found).splitlines()
    assert report.markdown(found).startswith("The backup does not tell as of when its data is.\n")


def test_the_artifact_leaves_the_headline_to_its_description() -> None:
    assert made().headline() not in report.markdown(made())


def test_the_size_of_indexes_left_out_is_not_known_of_a_backup() -> None:
    assert made(job=replace(JOB, from_dump="backup.tar")).saved() == "left out 2 indexes of masked columns only"


@pytest.mark.parametrize(
    ("bytes_", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (99_949, "99.9 kB"),
        (123_456, "123 kB"),
        (3.4e9, "3.4 GB"),
        (5e15, "5000000 GB"),
    ],
)
def test_sizes_are_short(bytes_: float, text: str) -> None:
    assert size(bytes_) == text


def test_one_is_singular() -> None:
    assert [count(n, "index", "indexes") for n in (0, 1, 1204)] == ["0 indexes", "1 index", "1,204 indexes"]


def test_stages_that_write_to_a_disk_show_how_much() -> None:
    lines = report.markdown(made(stage_bytes={"check": 1_500_000})).splitlines()
    assert "| check (1.5\N{NO-BREAK SPACE}MB) | 1.0 |" in lines
    assert "| download rules | 0.3 |" in lines


CONTROLS = [
    "\n",
    "\r",
    "\t",
    "\x1b",
    "\x00",
    "\x7f",
    "\x85",
    "\x9b",
    "\u2028",
    "\u2029",
    "\u061c",
    "\u200e",
    "\u202e",
    "\u2066",
]


@pytest.mark.parametrize("control", CONTROLS, ids=ascii)
def test_a_name_with_a_control_character_is_one_line_and_shows_it_escaped(control: str) -> None:
    written = control.encode("unicode_escape").decode()
    name = f"a{control}b"
    report_ = replace(
        made(f"{name}: unknown", recreated=[name]),
        tables=(replace(made().tables[0], name=name, masked=(name,)),),
        useless=(f"{name} of {name}",),
    )
    texts = ((report.plain(report_), f"a{written}b", 6), (report.markdown(report_), f"a\\{written}b", 7))
    for text, shown, times in texts:
        assert not [character for character in CONTROLS[1:] if character in text]
        assert len(text.splitlines()) == len(text.split("\n")) - text.endswith("\n")
        assert text.count(shown) == times
    assert f"warning: a{written}b: unknown [code object]" in report.plain(report_).splitlines()
    assert str(EtlError(f"{name}: missing", "x")).split("\n") == [f"a{written}b: missing", "x"]
