"""The words in names of columns: a list that is in order, and that hits what it should and nothing beside."""

import re
from collections import Counter

import pytest

from multischema.guesses import words
from multischema.rules.words import ANY, FORMS, FREE_TEXT, TECHNICAL, Form, Word, Words, read_words, snake
from tests.conftest import ROOT

LIST = read_words((ROOT / "multischema" / "rules" / "words.txt").read_text())
KINDS = {
    *("access", "address", "birth", "connection", "contact", "family", "health", "identity", "justice", "money", "name"),
    *("origin", "sex", FREE_TEXT, TECHNICAL),
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
    assert word.forms == (ANY,) or {*word.forms} <= {*FORMS}


@pytest.mark.parametrize("word", LIST, ids=lambda word: word.text)
def test_each_word_hits_a_name_that_it_is_in_and_none_that_only_has_its_letters(word: Word) -> None:
    alone = Words.of([word])
    text = word.text.removesuffix("*")
    form: Form = "text" if word.forms == (ANY,) else word.forms[0]
    hits = (text, f"{text}_x9", f"x9_{text}", f"x9_{text}_2", text.upper(), f"{text}2")
    misses = (f"x{text}", f"x9x{text}", *(() if word.text.endswith("*") else (f"{text}x", f"x9_{text}x")))
    for names, hit in ((hits, True), (misses, False)):
        for name in names:
            kind, technical = alone.kind_of(name, form), alone.are_technical(name, form)
            if word.kind == TECHNICAL:
                assert (technical or name not in (text, f"{text}2", text.upper())) if hit else not technical, name
            elif word.kind != FREE_TEXT:
                assert kind == (word.kind if hit else None), name


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
    assert words().kind_of(name) == kind


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
    assert words().kind_of(name) is None


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
    assert words().are_technical(name, form) is is_technical


def test_a_line_that_is_no_word_is_refused() -> None:
    with pytest.raises(ValueError, match="words: email counts for nothing"):
        read_words("email contact")
