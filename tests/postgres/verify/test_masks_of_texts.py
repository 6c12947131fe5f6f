"""Departments, networks, domains and keys: whatever the value, what is published is masked, and verify sees what is not."""

import ipaddress
import json
import re
from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg import sql
from psycopg.types.json import Jsonb

from demo.servers import Server
from multischema.catalog.flat import Flat
from multischema.errors import VerifyError
from multischema.masks.domains import OTHER, PROVIDERS, Domain
from multischema.masks.keys import Keys
from multischema.masks.mask import Masked, Refined
from multischema.masks.places import DEPARTMENTS, Department, Network
from tests.conftest import PROGRAMS, Place

SETTINGS = "-c search_path=pg_catalog -c TimeZone=UTC"

ORIGIN = """
CREATE TABLE people (
    id int PRIMARY KEY, post_code text, ip inet, net cidr, ip_text text NOT NULL, email text NOT NULL, settings jsonb
);
INSERT INTO people VALUES
    (1, '62000', '10.1.2.3', '10.1.2.0/24', '10.1.2.3', 'marie@dupont.fr', '{"theme": "dark", "name": "Marie"}'),
    (2, '75001', '2001:db8::1', '2001:db8::/33', '2001:db8::1', 'paul@dupont.fr', '{"theme": {"name": "Paul"}}'),
    (3, NULL, NULL, NULL, '', '', NULL);
"""
COLUMNS = ("post_code", "ip", "net", "ip_text", "email", "settings")
RULES = """
tables:
  - table_name: people
    anonymized_column_names: [post_code, ip, net, ip_text, email, settings]
    masks:
      post_code: department
      ip: network
      net: network
      ip_text: network
      email: domain
      settings: {keys: [theme]}
"""


def refused(
    place: Place, monkeypatch: pytest.MonkeyPatch, mask: type[Refined], published: Callable[[Masked], sql.Composable]
) -> list[str]:
    """Run with a mask that publishes something else, and return what verify says; nothing is published."""
    place.in_origin(ORIGIN)
    monkeypatch.setattr(mask, "published", lambda _, column: published(column))
    with pytest.raises(VerifyError) as failed:
        place.run(RULES)
    assert place.schemas() == set()
    return sorted(failed.value.problems)


def not_masked(**rows: int) -> list[str]:
    """Return what verify says of columns and their rows."""
    return [f"target: column people.{column} holds {number} rows that are not masked" for column, number in rows.items()]


@pytest.mark.parametrize(
    ("mask", "found"),
    [
        (Department, {"post_code": 2}),
        (Network, {"ip": 2, "ip_text": 3, "net": 2}),
        (Domain, {"email": 3}),
        (Keys, {"settings": 2}),
    ],
)
def test_values_that_come_as_they_are_are_refused(
    mask: type[Refined], found: dict[str, int], place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert refused(place, monkeypatch, mask, lambda column: column.value) == not_masked(**found)


@pytest.mark.parametrize(
    ("mask", "published", "found"),
    [
        (Department, "CASE id WHEN 1 THEN '20' ELSE '75 ' END", {"post_code": 2}),
        # of too many bits, or with bits of the host
        (Network, "(CASE id WHEN 1 THEN '10.1.2.0/24' ELSE '2001:db8::1/32' END)::inet::{type}", {"ip": 2, "ip_text": 3}),
        (Network, "(CASE id WHEN 1 THEN '10.1.0.1/16' ELSE '2001:db8::/33' END)::inet::{type}", {"ip": 2, "ip_text": 3}),
        (Domain, "CASE id WHEN 1 THEN 'Gmail.com' ELSE 'marie dupont.gouv.fr' END", {"email": 3}),
        (Domain, "CASE id WHEN 1 THEN 'a@x.gouv.fr' ELSE 'gouv.fr' END", {"email": 3}),
        # scalars, lists, other keys beside, and a list in the place of a scalar
        (Keys, """('{{"theme": ["Marie"]}}')::jsonb""", {"settings": 2}),
        (Keys, """(CASE id WHEN 1 THEN '"Marie"' ELSE '["theme"]' END)::jsonb""", {"settings": 2}),
        (Keys, """('{{"theme": "dark", "Theme": 1}}')::jsonb""", {"settings": 2}),
    ],
)
def test_values_that_are_almost_masked_are_refused(
    mask: type[Refined], published: str, found: dict[str, int], place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    def almost(column: Masked) -> sql.Composable:
        if column.type == "cidr":
            return sql.SQL("NULL::cidr")
        return sql.SQL(published).format(type=sql.SQL(column.type))

    assert refused(place, monkeypatch, mask, almost) == not_masked(**found)


# What a mask makes of any value, on each server, against what is computed here.


def masked(spelling: str, family: str) -> Masked:
    """Return the column v of a type, as a mask takes it."""
    flat = Flat(spelling, family, "none", "")
    return Masked(sql.Identifier("v"), flat, flat.unlimited, True, sql.SQL("1"), True)


TEXT, INET, JSONB = masked("text", "text"), masked("inet", "other"), masked("jsonb", "jsonb")


def published(server: Server, mask: Refined, column: Masked, values: list[Any]) -> list[Any]:
    """Return what a mask publishes of values; verify takes it all for masked."""
    type_ = sql.SQL(column.type)
    with psycopg.connect(server.url(), options=SETTINGS) as connection:
        connection.execute(sql.SQL("CREATE TEMP TABLE given (n serial, v {})").format(type_))
        with connection.cursor() as cursor:
            cursor.executemany("INSERT INTO given (v) VALUES (%s)", [[value] for value in values])
        # what is published is a text, as an address is an object in Python
        rows = connection.execute(
            sql.SQL("SELECT v::text, ({}) FROM (SELECT n, {} AS v FROM given) AS made ORDER BY n").format(
                mask.violation(column), mask.published(column)
            )
        ).fetchall()
    assert not any(violation for _, violation in rows)
    return [value for value, _ in rows]


def department(text: str) -> str | None:
    """Return the department of a code."""
    code = text.strip(" \t\r\n")
    if not re.fullmatch("[0-9]{5}|2[AB][0-9]{3}", code):
        return None
    if code.startswith("20"):
        return {"0": "2A", "1": "2A", **dict.fromkeys("23456", "2B")}.get(code[2])
    return next((found for found in (code[:2], code[:3]) if found in DEPARTMENTS), None)


def network(text: str) -> str | None:
    """Return the network of an address."""
    found = re.fullmatch("([0-9a-fA-F:.]+)(?:/(0|[1-9][0-9]{0,2}))?", text)
    # eight colons are one group of zeros that nobody writes so
    if not found or found[1].count(":") > 7 or (":" in found[1] and "." in found[1] and found[1][:7].lower() != "::ffff:"):
        return None
    try:
        address = ipaddress.ip_address(found[1])
        shown = 16 if address.version == 4 else 32
        bits = int(found[2]) if found[2] else address.max_prefixlen
        if bits > address.max_prefixlen:
            return None
        return str(ipaddress.ip_network((address, min(bits, shown)), strict=False))
    except ValueError:
        return None


def domain(text: str) -> str:
    """Return the domain of an e-mail address."""
    _, at, behind = text.rpartition("@")
    found = behind.strip(" \t\r\n.>") if at else ""
    found = "".join(sign.lower() if sign.isascii() else sign for sign in found)
    public = re.fullmatch(r"(?:[a-z0-9-]+\.)+(?:gouv|departement)\.fr", found) and found != "departement.fr"
    if found in (*PROVIDERS, "cd62.fr") or (public and len(found) <= 63):
        return found
    return OTHER


def kept(document: Any, names: tuple[str, ...]) -> dict[str, Any]:
    """Return what stays of a document."""
    found = document if isinstance(document, dict) else {}
    return {name: found[name] for name in names if name in found and not isinstance(found[name], (dict, list))}


@pytest.fixture(params=PROGRAMS)
def server(request: pytest.FixtureRequest, start_server: Callable[..., Server]) -> Server:
    """Return a server of each version."""
    return start_server(request.param)


def test_every_code_of_five_digits_has_the_department_that_it_should(server: Server) -> None:
    codes = [f"{number:05}" for number in range(100_000)] + [f"2{c}{n:03}" for c in "ABC" for n in range(0, 1000, 7)]
    with psycopg.connect(server.url(), options=SETTINGS) as connection:
        connection.execute("CREATE TEMP TABLE given (v text)")
        with connection.cursor() as cursor, cursor.copy("COPY given FROM STDIN") as copy:
            copy.write("".join(f"{code}\n" for code in codes))
        query = sql.SQL("SELECT v, {} FROM given").format(Department().published(TEXT))
        found: dict[str, str | None] = dict(connection.execute(query).fetchall())
    assert found == {code: department(code) for code in codes}
    assert set(found.values()) == {*DEPARTMENTS, None}


storable = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
codes = st.from_regex("[ \t]?[0-9AB٣]{4,6}[ \n]?", fullmatch=True)
addresses = st.one_of(
    st.ip_addresses().map(str),
    st.ip_addresses(v=6).map(lambda address: address.exploded.upper()),
    st.text("0123456789afF:./%[], x", max_size=20),
    st.from_regex("(::ffff:)?[0-9]{1,3}([.][0-9]{1,3}){2,4}(/[0-9]{1,2})?", fullmatch=True),
    st.from_regex("(:|::)?[0-9a-fA-F]{1,5}(::?[0-9a-f]{0,4}){0,8}(/[0-9]{1,3})?", fullmatch=True),
)
ends = st.sampled_from([*PROVIDERS, "cd62.fr", "x.gouv.fr", "gouv.fr", "a.b.departement.fr", ".gouv.fr", "dupont.fr"])
emails = st.tuples(
    storable, st.sampled_from(["@", "@ ", "@@", "", "@x"]), ends | storable, st.sampled_from(["", ".", ">", " \n", ","])
).map("".join)
names = st.sampled_from(["theme", "été", "it's", 'a"b\\', "%s", ""])
scalars = st.none() | st.booleans() | st.integers(-(10**9), 10**9) | storable
documents = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names | storable, inner, max_size=6), max_leaves=8
)


@pytest.mark.slow
def test_whatever_the_value_nothing_fails_and_what_is_published_is_what_the_mask_says(
    server: Server, request: pytest.FixtureRequest
) -> None:
    examples = request.config.getoption("--examples")

    @settings(
        max_examples=examples or 25,
        derandomize=not examples,
        deadline=None,
        database=None,
        suppress_health_check=[HealthCheck.too_slow],
    )
    @given(
        st.lists(storable | codes, min_size=20),
        st.lists(storable | addresses, min_size=20),
        st.lists(st.ip_addresses(), min_size=5),
        st.lists(storable | emails, min_size=20),
        st.lists(documents, min_size=5),
        st.lists(names, min_size=1),
    )
    def check(
        codes: list[str], texts: list[str], ips: list[Any], emails: list[str], documents: list[Any], keys: list[str]
    ) -> None:
        assert published(server, Department(), TEXT, codes) == list(map(department, codes))
        assert published(server, Network(), TEXT, texts) == list(map(network, texts))
        assert published(server, Network(), INET, ips) == [network(str(ip)) for ip in ips]
        assert published(server, Domain.read(["cd62.fr", "*.departement.fr"]), TEXT, emails) == list(map(domain, emails))
        mask = Keys.read(keys)
        made = published(server, mask, JSONB, [Jsonb(document) for document in documents])
        assert list(map(json.loads, made)) == [kept(document, mask.names) for document in documents]

    check()
