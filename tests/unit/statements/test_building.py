"""The statements of a run, as text: what is quoted, and in which order the published schema is replaced."""

import re

import pytest
from psycopg import sql

from multischema.job import hidden_pattern, illegal_schema, leftover_pattern, old_name, staging_name
from multischema.plan import plan
from multischema.plan.keys import IndexPlan
from multischema.statements import building, publishing, reading
from tests.support.origins import catalog, column, foreign_key, planned, table

USERS = planned(
    table(
        'us"ers',
        column("id", "integer", not_null=True, comment="it's"),
        column("na me", "character varying(10)", collation_schema="pg_catalog", collation_name="C", not_null=True),
        column("status", "status"),
        column("email"),
        key=["id"],
        comment="all \\ of them",
    ),
    "email",
    collations=["C"],
)
EMPTY = planned(table("empty"))


def text(*statements: sql.Composable) -> list[str]:
    """Return the statements as the server would read them."""
    return [statement.as_string(None) for statement in statements]


def test_a_staging_table_is_bare() -> None:
    assert text(building.create_table("st", USERS)) == [
        'CREATE TABLE "st"."us""ers" ("id" integer NOT NULL, '
        '"na me" character varying(10) COLLATE "pg_catalog"."C" NOT NULL, "status" text, "email" text) '
        "WITH (autovacuum_enabled = false)"
    ]
    assert text(building.create_table("st", EMPTY)) == ['CREATE TABLE "st"."empty" () WITH (autovacuum_enabled = false)']


def test_copies_name_their_columns_and_masks_are_in_the_origins_select() -> None:
    assert text(reading.copy_out(USERS, "public"), building.empty("st", USERS), building.copy_in("st", USERS)) == [
        'COPY (SELECT "id", "na me", CASE WHEN "status" IS NOT NULL THEN concat("status") END, '
        "CASE WHEN \"email\"::text <> '' THEN ('email_anonymise_' || concat(\"id\") || '@exemple.fr')::text END "
        'FROM ONLY "public"."us""ers") TO STDOUT (FORMAT binary)',
        'TRUNCATE "st"."us""ers"',
        'COPY "st"."us""ers" ("id", "na me", "status", "email") FROM STDIN (FORMAT binary, FREEZE)',
    ]


def test_a_table_without_columns_is_copied_too() -> None:
    assert text(reading.copy_out(EMPTY, "public"), building.copy_in("st", EMPTY)) == [
        'COPY (SELECT  FROM ONLY "public"."empty") TO STDOUT (FORMAT binary)',
        'COPY "st"."empty"  FROM STDIN (FORMAT binary, FREEZE)',
    ]


def test_keys_are_made_of_unique_indexes_and_foreign_keys_do_not_stand_in_the_way_of_a_refresh() -> None:
    key = IndexPlan("users", "u key", True, "p", ("id",), "using btree ( id ) where 'a' <> '{}%s'")
    plain = IndexPlan("users", "plain", False, "", (None,), "using btree ( lower ( city ) )")
    assert text(
        building.create_index("st", key),
        building.add_key("st", key),
        building.create_index("st", plain),
        building.add_foreign_key("st", foreign_key("rdvs", "user_id", "users"), 17),
        building.add_foreign_key("st", foreign_key("rdvs", "user_id", "users"), 18),
    ) == [
        """CREATE UNIQUE INDEX "u key" ON "st"."users" using btree ( id ) where 'a' <> '{}%s'""",
        'ALTER TABLE "st"."users" ADD CONSTRAINT "u key" PRIMARY KEY USING INDEX "u key"',
        'CREATE INDEX "plain" ON "st"."users" using btree ( lower ( city ) )',
        'ALTER TABLE "st"."rdvs" ADD CONSTRAINT "rdvs_user_id_fkey" FOREIGN KEY ("user_id") '
        'REFERENCES "st"."users" ("id") DEFERRABLE INITIALLY DEFERRED NOT VALID',
        'ALTER TABLE "st"."rdvs" ADD CONSTRAINT "rdvs_user_id_fkey" FOREIGN KEY ("user_id") '
        'REFERENCES "st"."users" ("id") NOT ENFORCED',
    ]


def test_comments_are_literals() -> None:
    assert text(*building.comments("st", USERS)) == [
        """COMMENT ON TABLE "st"."us""ers" IS  E'all \\\\ of them'""",
        """COMMENT ON COLUMN "st"."us""ers"."id" IS 'it''s'""",
    ]
    assert building.comments("st", EMPTY) == []


def test_verify_counts_rows_and_what_is_not_masked_in_one_scan() -> None:
    assert text(building.verification("st", USERS), building.verification("st", EMPTY)) == [
        "SELECT ARRAY[count(*), count(*) FILTER (WHERE "
        '"email" IS NOT NULL AND "email" <> \'email_anonymise_\' || concat("id") || \'@exemple.fr\')] AS counts '
        'FROM "st"."us""ers"',
        'SELECT ARRAY[count(*)] AS counts FROM "st"."empty"',
    ]


def test_the_old_schema_is_renamed_away_and_closed_before_the_new_one_takes_its_name() -> None:
    assert text(*publishing.publish("st", "rdvs", "old", ["metabase", 'Équipe "1"'], ["metabase", None])) == [
        'ALTER SCHEMA "rdvs" RENAME TO "old"',
        'REVOKE ALL ON SCHEMA "old" FROM "metabase" CASCADE',
        'REVOKE ALL ON SCHEMA "old" FROM PUBLIC CASCADE',
        'ALTER SCHEMA "st" RENAME TO "rdvs"',
        'GRANT USAGE ON SCHEMA "rdvs" TO "metabase", "Équipe ""1"""',
        'GRANT SELECT ON ALL TABLES IN SCHEMA "rdvs" TO "metabase", "Équipe ""1"""',
    ]


def test_a_first_publication_has_nothing_to_rename_away() -> None:
    assert text(*publishing.publish("st", "rdvs", None, ["metabase"], []))[0] == 'ALTER SCHEMA "st" RENAME TO "rdvs"'


def test_the_staging_schema_is_shown_to_nobody() -> None:
    assert text(building.create_staging("st"), *building.revoke_schema("st", [None, "metabase"])) == [
        'CREATE SCHEMA "st"',
        'REVOKE ALL ON SCHEMA "st" FROM PUBLIC CASCADE',
        'REVOKE ALL ON SCHEMA "st" FROM "metabase" CASCADE',
    ]


def test_only_enums_of_the_origin_schema_that_an_index_names_become_domains() -> None:
    origin = catalog(table("users", column("status", "status")))
    named = IndexPlan("users", "x", False, "", ("id",), "USING btree (id) WHERE (status = 'new'::status)")
    assert plan.enum_domains(origin, [named]) == ["status"]
    assert plan.enum_domains(origin, []) == []
    assert plan.enum_domains(catalog(schema="other"), [named]) == []


@pytest.mark.parametrize("schema", ["rdvs", "rdv-insertion", "Été", "a" * 42, 'o"dd', "my_public", "pgs"])
def test_a_schema_may_be_published_under_any_name_that_leaves_room_for_the_runs_own(schema: str) -> None:
    assert illegal_schema(schema) is None
    assert len(staging_name(schema, "0123abcd").encode()) <= 63


@pytest.mark.parametrize(
    "schema",
    [
        "",
        "public",
        "information_schema",
        "pg_catalog",
        "pg_x",
        "etl_staging_rdvs",
        "etl_old_rdvs",
        "a" * 43,
        "é" * 22,
        "a\0b",
    ],
)
def test_a_schema_of_the_systems_or_of_the_runs_or_too_long_is_refused(schema: str) -> None:
    assert illegal_schema(schema)


@pytest.mark.parametrize("schema", ["rdvs", "a.b", "a+b", "a(b", "a]b", "a^b", "a\\b", "Été", "a b", "a-b", "$", "{2}", "|"])
def test_leftovers_are_those_of_the_app_and_of_no_other(schema: str) -> None:
    pattern = leftover_pattern(schema)
    own = [staging_name(schema, "0123abcd"), old_name(schema, "0123abcd")]
    assert all(re.search(pattern, name) and re.search(hidden_pattern(), name) for name in own)
    others = [
        schema,
        f"etl_staging_{schema}",
        f"x{own[0]}",
        f"{own[0]}0",
        *(staging_name(f"{schema}{more}", "0123abcd") for more in ("x", "_x", "p")),
    ]
    assert not any(re.search(pattern, name) for name in [*others, staging_name("axb", "0123abcd")])
