"""The plan of a run: the order of the tables, the warnings, and what the catalog tells of changes meanwhile."""

from multischema.catalog.tables import Catalog, Fingerprint, changes
from multischema.plan.plan import Plan, make_plan, published_types, width_problems
from multischema.rules.file import Rules
from multischema.rules.gaps import compare
from tests.support.origins import all_rules, catalog, column, index, masking, table, truncating


def plan(origin: Catalog, rules: Rules) -> Plan:
    """Return the plan of a run whose target has no collation of the origin's."""
    return make_plan(origin, rules, compare(rules, origin).warnings, frozenset())


def test_the_largest_table_comes_first_and_a_truncated_one_is_not_copied() -> None:
    origin = catalog(table("b", bytes=1), table("versions", bytes=9), table("a", bytes=1), table("c", bytes=5))
    made = plan(origin, all_rules(truncating("versions"), *map(masking, "abc")))
    assert [t.name for t in made.tables] == ["c", "a", "b", "versions"]
    assert [t.name for t in made.copied] == ["c", "a", "b"]


def test_the_warnings_say_all_that_was_not_published_or_changed() -> None:
    users = table(
        "users",
        column("email"),
        column("words", "tsvector", generated_from=("email",)),
        column("city", collation_schema="pg_catalog", collation_name="fr-x-icu"),
        indexes=[index("users", "by_words", "words")],
    )
    origin = catalog(
        users,
        others={"everyone": "view"},
        other_schemas=("archive",),
        keys_of_partitions={"visits": ["x of a", "x of b", "x of c"], "users": [f"x of p{number}" for number in range(9)]},
    )
    assert plan(origin, all_rules(masking("users", "email", "phone"), masking("gone"))).warnings == (
        "rules: users.phone is not in the origin",
        "rules: table gone is not in the origin",
        "not read: the origin's other schema archive",
        "not read: view everyone",
        "indexes and foreign keys that only partitions of users have left out: x of p0, x of p1, x of p2 and 6 more",
        "indexes and foreign keys that only partitions of visits have left out: x of a, x of b, x of c",
        "users.words left out: it is computed from a masked column",
        "collation fr-x-icu is not on the target: its columns get the default one",
    )


def test_enums_that_an_index_names_become_domains() -> None:
    status = index("users", "x", "id", definition="USING btree (id) WHERE (status = 'new'::status)")
    users = table("users", column("id", "integer"), column("status", "status"), indexes=[status])
    assert plan(catalog(users), all_rules(masking("users"))).domains == ("status",)


def test_the_types_that_the_target_must_have_are_the_published_ones() -> None:
    users = table("users", column("id", "integer"), column("status", "status"), column("during", "int4range"))
    assert published_types(catalog(users)) == {
        "integer": "users.id",
        "text": "users.status",
        "int4range": "users.during",
    }


def test_a_table_whose_masks_fill_more_than_a_page_is_named_unless_it_is_truncated() -> None:
    names = [f"c{number}" for number in range(600)]
    origin = catalog(table("wide", *map(column, names)))
    (problem,) = width_problems(plan(origin, all_rules(masking("wide", *names))))
    assert problem.startswith("table wide: 600 masked columns")
    assert width_problems(plan(origin, all_rules(truncating("wide")))) == []


def test_a_copied_table_that_was_altered_dropped_rewritten_or_truncated_meanwhile_is_named() -> None:
    tables = [table(name, oid=oid) for oid, name in enumerate(["same", "altered", "rewritten", "dropped", "new", "left"])]
    before = {t.oid: Fingerprint(t.oid, "structure", "files") for t in tables}
    after = {
        **before,
        1: Fingerprint(1, "other", "files"),
        2: Fingerprint(2, "structure", "other"),
        5: Fingerprint(5, "other", "other"),
    }
    del after[3]
    snapshot = {oid: fingerprint for oid, fingerprint in before.items() if oid != 4}
    assert changes(catalog(*tables, fingerprints=before), snapshot, after, [0, 1, 2, 3, 4]) == [
        "altered was altered",
        "rewritten was rewritten or truncated",
        "dropped was dropped",
        "new was rewritten or truncated",
    ]
