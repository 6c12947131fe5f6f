"""The words in names of columns: a list that is in order, and that hits what it should and nothing beside."""

import re
from collections import Counter
from typing import cast

import pytest

from multischema.guesses import read_guesses
from multischema.rules.words import ANY, FIRST, FORMS, FREE_TEXT, SETTING, TECHNICAL, Form, Word, Words, read_words, snake
from tests.conftest import ROOT

LIST = read_words((ROOT / "multischema" / "rules" / "words.txt").read_text())
KINDS = {
    *("access", "address", "birth", "connection", "contact", "family", "health", "identity", "justice", "money", "name"),
    *("origin", "sex", "work", FREE_TEXT, SETTING, TECHNICAL),
}


def test_the_words_are_sorted_and_none_is_there_twice() -> None:
    texts = [word.text for word in LIST]
    assert texts == sorted(texts)
    assert [text for text, times in Counter(texts).items() if times > 1] == []


@pytest.mark.parametrize("word", LIST, ids=lambda word: word.text)
def test_a_word_is_spelt_as_names_are_looked_up_and_has_a_kind_that_is_known(word: Word) -> None:
    assert re.fullmatch(r"[a-z0-9]+(_[a-z0-9]+)*\*?", word.text)
    assert snake(word.text.removesuffix("*")) == word.text.removesuffix("*")
    assert word.kind in KINDS
    assert word.forms == {ANY} or not word.forms & {ANY}
    assert word.kind == TECHNICAL or not word.forms & {FIRST, "table"}


@pytest.mark.parametrize("word", LIST, ids=lambda word: word.text)
def test_each_word_hits_names_that_it_is_in_and_none_that_only_has_its_letters(word: Word) -> None:
    text = word.text.removesuffix("*")
    hits = (text, text.upper(), f"{text}2", f"x9_{text}")
    misses = (f"x{text}", f"x9x{text}", *(() if word.text.endswith("*") else (f"{text}x", f"x9_{text}x")))
    for name in (*hits, *misses):
        expected = name in hits and not (word.kind == SETTING and name.startswith("x9"))
        for form in FORMS[:-2] if word.forms == {ANY} else word.forms - {FIRST}:
            if word.kind in (TECHNICAL, SETTING):
                assert Words([word]).are_technical(name, cast("Form", form)) is expected, name
            elif word.kind != FREE_TEXT:
                assert Words([word]).kind_of(name, cast("Form", form)) == (word.kind if expected else None), name


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("ip", "connection"),
        ("lastSignInIP", "connection"),
        ("IPAddress", "connection"),
        ("lat", "address"),
        ("nom", "name"),
        ("nomUsage", "name"),
        ("Prénom", "name"),
        ("tel", "contact"),
        ("tel_2", "contact"),
        ("phone2", "contact"),
        ("âge", "birth"),
        ("sexe", "sex"),
        ("dateNaissance", "birth"),
        ("Numéro de sécurité sociale", "identity"),
        ("handicapStatus", "health"),
        ("number_of_children", "family"),
        ("caisse_affiliation", "money"),
        ("salaire_net", "money"),
        ("reset_password_token", "access"),
        ("nir", "identity"),
    ],
)
def test_a_name_of_a_personal_column_has_its_kind(name: str, kind: str) -> None:
    assert read_guesses().words.kind_of(name) == kind


@pytest.mark.parametrize(
    "name",
    [
        *(
            "participants",
            "calculator",
            "nombre",
            "hotel",
            "page",
            "agency",
            "agence",
            "sexagesimal",
            "description",
            "shipping",
        ),
        *("natural", "tokenizer", "emailing", "phonetic", "cities", "manage", "usage_count", "stage", "recipe", "zipped"),
        *("telescope", "nominal", "prenominal", "racetrack", "stillborn", "companies", "ribbon", "spinner", "", "_", "42"),
        *("email_type", "token_status", "notes", "message"),
    ],
)
def test_a_name_that_only_looks_like_one_has_none(name: str) -> None:
    assert read_guesses().words.kind_of(name) is None


@pytest.mark.parametrize(
    ("name", "form", "is_technical"),
    [
        ("status", "text", True),
        ("type_contrat", "text", True),
        ("email_type", "text", True),
        ("type_adresse", "text", False),
        ("status_message", "text", False),
        ("type_handicap", "text", False),
        ("gender_code", "text", False),
        ("comment", "text", False),
        ("whatever", "text", False),
        ("emails_count", "number", True),
        ("nombre_enfants", "number", False),
        ("children_count", "number", False),
        ("participants", "number", False),
        ("user_id", "number", True),
        ("notify_by_sms", "flag", True),
        ("enable_family_situation_field", "flag", True),
        ("is_enabled_for_disabled_people", "flag", False),
        ("department_internal_id", "text", False),
        ("handicap", "flag", False),
        ("is_pregnant", "flag", False),
        ("whatever", "flag", False),
        ("created_at", "moment", True),
        ("died_at", "moment", False),
        ("status", "uuid", False),
    ],
)
def test_a_name_is_technical_only_where_it_says_so_and_no_personal_word_is_stronger(
    name: str, form: Form, is_technical: bool
) -> None:
    assert read_guesses().words.are_technical(name, form) is is_technical


def test_a_line_that_is_no_word_is_refused() -> None:
    with pytest.raises(ValueError, match="words: email counts for nothing"):
        read_words("email contact")
