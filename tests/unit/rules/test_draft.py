"""The draft's suggestions: masks in comments, for columns of which a part may stay."""

import pytest
import yaml

from multischema.catalog.tables import Catalog
from multischema.guesses import read_guesses
from multischema.rules import draft as drafting
from multischema.rules.file import parse
from multischema.rules.gaps import compare
from tests.support.origins import catalog, column, foreign_key, index, table


def draft(origin: Catalog) -> str:
    """Return a draft, as the command makes it."""
    return drafting.draft(origin, read_guesses())


def suggested(text: str) -> dict[str, object]:
    """Return the masks that a draft of one table suggests; as it stands it has none."""
    (as_it_is,) = yaml.safe_load(text)["tables"]
    assert as_it_is.keys() == {"table_name", "anonymized_column_names", "non_anonymized_column_names"}
    (entry,) = yaml.safe_load(text.replace("\n    # ", "\n    "))["tables"]
    return dict(entry.get("masks", {}))


@pytest.mark.parametrize(
    ("name", "type_", "mask"),
    [
        *(
            (name, "date", {"period": "year"})
            for name in (
                "birth_date",
                "birthdate",
                "birthday",
                "date_of_birth",
                "born",
                "born_on",
                "dob",
                "child_birth_date",
            )
        ),
        *(
            (name, "date", {"period": "year"})
            for name in ("date_naissance", "dateDeNaissance", "Date de décès", "date_deces")
        ),
        *((name, "timestamp with time zone", {"period": "year"}) for name in ("born_at", "died_at", "death_date")),
        *(
            (name, "character varying(5)", "department")
            for name in ("post_code", "postal_code", "zip", "zipCode", "code_postal", "codePostal", "cp", "address_zip_code")
        ),
        *((name, "text", "department") for name in ("city_code", "code_insee", "code_commune", "cp")),
        *(
            (name, "integer", {"bands": [0, 1, 3]})
            for name in ("number_of_children", "nombre_enfants", "nb_enfants", "nombre_d_enfants", "children_count")
        ),
    ],
)
def test_a_part_is_suggested_for_birth_and_death_dates_postal_codes_and_numbers_of_children(
    name: str, type_: str, mask: object
) -> None:
    assert suggested(draft(catalog(table("users", column("id", "integer"), column(name, type_), key=["id"])))) == {
        name: mask
    }


@pytest.mark.parametrize(
    ("name", "type_"),
    [
        ("birth_date", "text"),
        ("birth_year", "integer"),
        ("birth_place", "text"),
        ("birthday_email_sent_at", "timestamp with time zone"),
        ("created_at", "timestamp with time zone"),
        ("stillborn_count", "date"),
        ("post_code", "integer"),
        ("post_codes", "text[]"),
        ("numero_insee", "text"),
        ("insee", "text"),
        ("zip_file", "text"),
        ("children", "jsonb"),
        ("number_of_children", "text"),
        ("children_names", "text"),
    ],
)
def test_nothing_is_suggested_for_others(name: str, type_: str) -> None:
    assert "masks" not in draft(catalog(table("users", column("id", "integer"), column(name, type_), key=["id"])))


TYPES = (
    *("smallint", "integer", "bigint", "numeric", "boolean", "text", "character varying", "name", "uuid", "date"),
    *("timestamp with time zone", "json", "jsonb", "bit", "tsvector", "int4range", "status", "address", "citext", "hstore"),
    *("positive", "postcode", "tags", "text[]", "integer[]", "boolean[]", "uuid[]", "status[]"),
)


@pytest.mark.parametrize("type_", TYPES)
@pytest.mark.parametrize("name", ["whatever", "x", "été", "vie_privee", "nir", "patient_handicap"])
def test_masked_until_decided_is_true_of_every_type(name: str, type_: str) -> None:
    text = draft(catalog(table("people", column("id", "integer"), column(name, type_), key=["id"])))
    assert "Masked until you decide otherwise." in text
    assert parse(text).tables["people"].anonymized == {name}


@pytest.mark.parametrize(
    ("name", "type_"),
    [
        *(
            ("phone", "bigint"),
            ("nir", "bigint"),
            ("code_postal", "integer"),
            ("salaire", "numeric"),
            ("handicap", "boolean"),
        ),
        *(("family_situation", "integer"), ("number_of_children", "integer"), ("caisse_affiliation", "integer")),
        *(("passport_id", "bigint"), ("last_sign_in_at", "timestamp with time zone"), ("session_id", "uuid")),
        *(
            ("gender", "status"),
            ("etat_civil", "text"),
            ("eyeColor", "text"),
            ("employment_status", "status"),
            ("notes", "text"),
            ("type_handicap", "status"),
            ("status_message", "text"),
        ),
    ],
)
def test_a_personal_word_masks_whatever_the_type_is(name: str, type_: str) -> None:
    rules = parse(draft(catalog(table("statuses", column("id", "integer"), column(name, type_), key=["id"]))))
    assert rules.tables["statuses"].anonymized == {name}


@pytest.mark.parametrize(
    ("table_name", "name", "type_"),
    [
        *(("orders", "status", "text"), ("orders", "status", "status"), ("orders", "type_contrat", "postcode")),
        *(("orders", "items_count", "positive"), ("orders", "user_id", "bigint"), ("orders", "userId", "uuid")),
        *(("orders", "user_ids", "integer[]"), ("orders", "archived", "boolean"), ("orders", "allow_handicap", "boolean")),
        *(("orders", "created_at", "timestamp with time zone"), ("orders", "ends_on", "date")),
        *(("order_statuses", "name", "text"), ("motifs", "libelle", "text"), ("Services", "nom", "citext")),
    ],
)
def test_what_a_name_makes_nobodys_is_clear(table_name: str, name: str, type_: str) -> None:
    rules = parse(draft(catalog(table(table_name, column("id", "integer"), column(name, type_), key=["id"]))))
    assert rules.tables[table_name].non_anonymized == {name}


def test_nothing_is_suggested_for_keys_nor_for_what_is_computed() -> None:
    towns = table("towns", column("zip"), column("cp"), key=["zip"], indexes=[index("towns", "towns_cp", "cp", unique=True)])
    people = table(
        "people",
        column("id", "integer"),
        column("zip"),
        column("birth_date", "date"),
        column("born", "date", generated_from=("birth_date",)),
        key=["id"],
        foreign_keys=[foreign_key("people", "zip", "towns", "zip")],
    )

    assert [line for line in draft(catalog(towns, people)).splitlines() if "#   " in line] == [
        "    #   birth_date: {period: year}"
    ]


def test_the_draft_fits_its_catalog_as_it_is_and_with_the_marks_taken_away() -> None:
    origin = catalog(
        table("users", column("id", "integer"), column("birth_date", "date"), column("a: #", "text"), key=["id"]),
        table("deaths", column("Date de décès", "date"), column("état: civil's", "text")),
    )
    text = draft(origin)
    before, after = parse(text), parse(text.replace("\n    # ", "\n    "))

    assert not any(rules.masks for rules in before.tables.values())
    assert {name: [*rules.masks] for name, rules in after.tables.items()} == {
        "users": ["birth_date"],
        "deaths": ["Date de décès"],
    }
    for rules in (before, after):
        assert (compare(rules, origin).problems, compare(rules, origin).warnings) == ((), ())
