"""Pseudonyms without a server: names of domains, normal forms, keys, and what they tell."""

import hashlib
import hmac

import pytest

from multischema.masks import pseudonyms
from multischema.masks.mask import Unreadable
from multischema.masks.pseudonyms import Pseudonym, normalized
from tests.conftest import KEY


@pytest.mark.parametrize("name", ["a", "person_email", "a" * 40, "nir2"])
def test_the_name_of_a_domain_is_read_and_written_alike(name: str) -> None:
    mask = Pseudonym.read(name)
    assert Pseudonym.read(mask.written()) == mask
    assert (mask.domain, mask.said()) == (name, f"pseudonym: {name}")


@pytest.mark.parametrize(
    "found", ["", "Email", "person-email", "é", "2nd", "_x", "a" * 41, "a b", "a\n", "x=y", "a'b", None, 7, ["a"], {"a": 1}]
)
def test_a_name_with_odd_characters_is_refused_with_what_is_wanted(found: object) -> None:
    with pytest.raises(Unreadable, match="want the name of a domain such as person_email: a-z, 0-9 and _, at most 40"):
        Pseudonym.read(found)


@pytest.mark.parametrize(
    ("domain", "values", "form"),
    [
        ("person_email", ["marie@example.org", " Marie@Example.ORG\t", "MARIE@EXAMPLE.ORG\r\n"], "marie@example.org"),
        ("courriel", ["Marie@É.fr"], "marie@É.fr"),
        ("emails", ["Marie@a.fr"], "Marie@a.fr"),
        (
            "person_phone",
            [
                *("0612345678", "06 12 34 56 78", "06.12.34.56.78", "+33612345678", "+33 6 12 34 56 78", "tél. 0612345678"),
                *("0033612345678", "0033 (0)6 12 34 56 78", "(+33) 6-12-34-56-78", "+33 06 12 34 56 78", "+33(0)6 12345678"),
            ],
            "+33612345678",
        ),
        ("tel", ["+44 20 7946 0958", "0044 20 7946 0958"], "+442079460958"),
        ("mobile", ["612345678"], "612345678"),
        ("portable", ["", "néant", "+", "-", "^"], ""),
        ("nir", [" 2 85 ", "\v2 85\f"], "2 85"),
        ("nir", ["\u00a0"], "\u00a0"),
        ("tel", [f"{'é' * 490}0612345678"], "+33612345678"),  # of more than 500 characters, nothing is
        ("tel", [f"{'é' * 491}0612345678"], f"{'é' * 491}0612345678"),
        ("person_email", [f" M{'é' * 499}"], f" M{'é' * 499}"),
    ],
)
def test_values_that_are_written_in_many_ways_have_one_form(domain: str, values: list[str], form: str) -> None:
    assert {normalized(domain, value) for value in values} == {form}


def test_a_pseudonym_is_what_a_library_computes() -> None:
    key = hmac.new(KEY, b"person_email", hashlib.sha256).digest()
    wanted = hmac.new(key, b"marie@example.org", hashlib.sha256).hexdigest()
    assert pseudonyms.pseudonym(KEY, "person_email", "Marie@example.org ") == f"p_{wanted[:32]}"


def test_no_domain_and_no_setting_tells_the_fingerprint_nor_the_other_way_round() -> None:
    told = pseudonyms.fingerprint(KEY)
    assert len(told) == 16
    keys = [pseudonyms.domain_key(KEY, name).hex() for name in ("fingerprint", "fingerprint_of_the_key", "a")]
    assert not any(key.startswith(told) for key in keys)
    assert KEY.hex() not in " ".join(pseudonyms.settings(KEY, ["a"]).values())
    assert pseudonyms.fingerprint(bytes(31) + b"\1") != told


def test_the_settings_of_as_many_domains_as_a_run_may_have_fit_into_a_start_up_packet() -> None:
    domains = [f"{'d' * 38}{number:02}" for number in range(pseudonyms.MAX_DOMAINS)]
    said = " ".join(f"-c {name}={value}" for name, value in pseudonyms.settings(KEY, domains).items())
    assert len(said) < 9000


def test_a_pseudonym_joins_and_covers_those_of_its_domain_alone() -> None:
    one, other = Pseudonym("person_email"), Pseudonym("agent_email")
    assert one.joins(Pseudonym("person_email"))
    assert one.covers(Pseudonym("person_email"))
    assert not one.joins(other)
    assert not one.covers(other)
    assert not one.joins(None)
