"""What the scan counts in columns of the origin that are published as they are, on real servers."""

from collections.abc import Sequence

import pytest

from tests.conftest import Place
from tests.support.scans import counted


def nir(number: str) -> str:
    """Return a social security number with its key."""
    digits = number.replace(" ", "").upper().replace("2A", "19").replace("2B", "18")
    return f"{number} {97 - int(digits) % 97:02}"


FOUND = [
    ("email", "écrire à Marie.Dupont+rdv@courriel.cd62.fr svp"),
    ("email", '{"contact": "rené.lévy@free.fr"}'),
    ("email", "https://app.fr/confirm?email=marie%40free.fr"),
    ("email", "<mailto:o'brien@gmail.com>"),
    ("email", "noreply@cd62.fr, puis MARIE@FREE.FR"),
    ("phone", "rappeler au 06 12 34 56 78 demain"),
    ("phone", "tel.0612345678"),
    ("phone", "+33 (0)6.12.34.56.78"),
    ("phone", "0033612345678"),
    ("phone", "01-23-45-67-89"),
    ("phone", "0692 123 456"),
    ("phone", "06 12345678 ou 07.98.76.54.32."),
    ("nir", nir("NIR 1 85 05 78 006 084".removeprefix("NIR "))),
    ("nir", nir("2850578006084").replace(" ", "")),
    ("nir", f"n° {nir('1850 52A0060 84'.replace(' ', ''))}"),
    ("nir", nir("1 85 05 2b 006 084")),
    ("nir", f"({nir('2 99 12 971 05 123')})"),
    ("iban", "IBAN FR76 3000 6000 0112 3456 7890 189 BIC AGRIFRPP"),
    ("iban", "FR7630006000011234567890189"),
    ("iban", "DE89370400440532013000"),
    ("iban", "BE68 5390 0754 7034 BNPA"),
    ("card", "carte 4111 1111 1111 1111 exp 12/27"),
    ("card", "378282246310005"),
    ("card", "6011-5776-3171-1174"),
    ("ip-address", "from 81.56.12.200:443"),
    ("ip-address", "http://81.56.12.200/x"),
    ("ip-address", "2a01:e0a:1b2:3c40::1"),
    ("postal-address", "habite au 12 bis, rue de la Paix - 75002 PARIS"),
    ("postal-address", "3 allée des Tilleuls\n62000 Arras"),
]
NOTHING = [
    "no-reply@cd62.fr",
    "ne-pas-repondre@cd62.fr",
    "email_anonymise_12@exemple.fr marie@example.org x@mail.example.com",
    "logo@2x.png git@github.com:org/app.git @marie package@1.2.3 a@b",
    "2024-01-02 03:04:05.123456+00 01/02/2024 10:15 01-02-2024 10:15:00 01.02.2024 10:15",
    "48.0123456789 2.0512345678",
    "6f0612345678ab a0612345678 20612345678 061234567",
    "0f8fad5b-d9cb-469f-a165-70867728950e 01234567-0123-0123-0123-012345678901",
    "185057800608400 1850578006084",
    "FR7630006000011234567890188 fr7630006000011234567890189 XX7630006000011234567890189",
    "4111 1111 1111 1112 4111111111111111234",
    "10.1.2.30 192.168.1.12 127.0.0.1 172.16.30.4 169.254.1.12 203.0.113.12 224.0.0.251 100.64.10.12",
    "Chrome/120.0.0.0 v12.34.56.78 1.2.3.4 8.8.8.8 12.34.56 1.3.6.1.4.1.311.21 256.12.12.12",
    "fe80::1 ::1 2001:db8::12 std::vector 12:34:56 Ada::Cafe 00:1a:2b:3c:4d:5e",
    "12 rue de la Paix, 3 places libres, 2 avenues",
    "il reste 75002 places rue de la Paix",
]


def columns(place: Place, type_: str, values: Sequence[str]) -> dict[int, dict[str, int]]:
    """Return what each detector finds in columns with one value each."""
    names = ", ".join(f"its_{number} {type_}" for number in range(len(values)))
    quoted = ", ".join("'" + value.replace("'", "''") + "'" for value in values)
    place.in_origin(f"CREATE TABLE people ({names}); INSERT INTO people VALUES ({quoted})")
    found = counted(place)
    assert found.unfinished == ""
    assert found.values == {f"its_{number}": 1 for number in range(len(values))}
    return {
        number: {detector: hits for (column, detector), hits in found.hits.items() if column == f"its_{number}"}
        for number in range(len(values))
    }


@pytest.mark.parametrize("origin", ["16", "18"])
def test_each_kind_is_found_in_a_text(make_place: type[Place], origin: str) -> None:
    found = columns(make_place(origin), "text", [value for _, value in FOUND])
    assert {FOUND[number]: hits for number, hits in found.items()} == {case: {case[0]: 1} for case in FOUND}


def test_what_only_looks_like_personal_data_is_not_counted(place: Place) -> None:
    found = columns(place, "text", NOTHING)
    assert {NOTHING[number]: hits for number, hits in found.items() if hits} == {}
