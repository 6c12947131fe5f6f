"""What stands for the statements of a run: where they stay the same, so does it, and no upgrade costs a full run."""

from multischema.job import Job
from multischema.plan.plan import make_plan
from multischema.plan.state import digest
from multischema.statements import signatures
from tests.support.origins import all_rules, catalog, column, foreign_key, index, masking, table, truncating

JOB = Job("shop", "shop", "public", "metabase", 2, 5, "0123abcd")
ORIGIN = catalog(
    table(
        "users",
        column("id", "integer", not_null=True),
        column("email", "character varying(80)", comment="where to write to"),
        column("name", not_null=True),
        column("born", "date"),
        column("tags", "text[]"),
        column("settings", "jsonb", not_null=True),
        column("children", "integer", default="0", not_null=True),
        column("state", "status", not_null=True),
        key=["id"],
        indexes=[index("users", "by_email", "email", unique=True), index("users", "by_state", "state")],
        oid=1,
        comment="people",
    ),
    table(
        "visits",
        column("user_id", "integer", not_null=True),
        column("note", "citext"),
        column("at", "timestamp with time zone"),
        foreign_keys=[foreign_key("visits", "user_id", "users")],
        oid=2,
    ),
    table("versions", column("id", "integer", not_null=True), key=["id"], oid=3),
)
RULES = all_rules(
    masking("users", "email", "name", "born", "tags", "settings", "children"),
    masking("visits", "note"),
    truncating("versions"),
)


def test_rules_without_masks_have_the_statements_that_they_always_had() -> None:
    plan = make_plan(ORIGIN, RULES, (), frozenset())
    found = signatures.of_run(JOB, plan, 18, {"TimeZone": "UTC"})
    every = [found.job, *found.build.values(), *found.read.values()]
    # from before rules had `masks`: where it differs, the next run of each app is full, or copies its tables whole
    assert digest(every) == "0dd38488482b8a5c8c242b93609abf43"
