"""Tables that frameworks make: known by name and columns, so that an app's own of the same name keep their rows."""

from collections import Counter

import pytest
import yaml

from multischema.guesses import read_guesses
from multischema.rules import draft as drafting
from multischema.rules.frameworks import Framework, framework_of
from tests.support.origins import catalog, column, table

FRAMEWORKS = read_guesses().frameworks


def test_each_framework_has_tables_with_columns_to_know_them_by_and_none_is_there_twice() -> None:
    for each in FRAMEWORKS:
        assert each.framework
        assert each.tables
        assert each.columns
        assert each.clear <= each.columns
    assert [key for key, times in Counter((each.tables, each.columns) for each in FRAMEWORKS).items() if times > 1] == []


@pytest.mark.parametrize("each", FRAMEWORKS, ids=lambda each: f"{each.framework} {each.tables[0]}")
def test_a_table_that_a_framework_makes_gets_its_rule_and_one_without_its_columns_does_not(each: Framework) -> None:
    name = each.tables[0].replace("*", "x")
    made = table(name, *map(column, sorted(each.columns)))
    assert framework_of(made, FRAMEWORKS) is not None
    text = drafting.draft(catalog(made), read_guesses())
    assert text.splitlines()[2].startswith("  # made by ")
    (entry,) = yaml.safe_load(text)["tables"]
    if each.truncates:
        assert entry == {"table_name": name, "truncated": True}
    else:
        assert {*entry["non_anonymized_column_names"]} == each.clear
    for other in (table(name, column("notes")), table(f"{name}_of_ours", *map(column, sorted(each.columns)))):
        assert framework_of(other, [each]) is None


def test_versions_of_software_and_sessions_of_a_congress_are_the_apps_own() -> None:
    own = (
        table("versions", column("number"), column("released_on", "date")),
        table("sessions", column("title"), column("speaker")),
        table("jobs", column("profession")),
        table("migrations", column("country")),
    )
    text = drafting.draft(catalog(*own), read_guesses())
    assert not [each for each in yaml.safe_load(text)["tables"] if "truncated" in each]
    assert "made by" not in text


@pytest.mark.parametrize(
    ("name", "columns", "framework"),
    [
        ("versions", "id item_type item_id event whodunnit object created_at", "PaperTrail"),
        ("user_versions", "id item_type item_id event whodunnit object created_at", "PaperTrail"),
        ("solid_queue_ready_executions", "id job_id queue_name priority created_at", "Solid Queue"),
        ("sessions", "id user_id ip_address user_agent payload last_activity", "Laravel"),
        ("sessions", "id session_id data created_at updated_at", "Rails"),
        ("schema_migrations", "version", "Rails"),
        ("_prisma_migrations", "id checksum finished_at migration_name logs applied_steps_count", "Prisma"),
        ("job", "id name data state retrylimit singletonkey", "pg-boss"),
        ("django_session", "session_key session_data expire_date", "Django"),
        ("flow_run", "id flow_id name parameters expected_start_time", "Prefect"),
    ],
)
def test_a_framework_is_found_whatever_else_its_table_has(name: str, columns: str, framework: str) -> None:
    found = framework_of(table(name, *map(column, columns.split())), FRAMEWORKS)
    assert found is not None
    assert found.framework == framework
