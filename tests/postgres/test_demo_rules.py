"""The demo's rules, shaped like those of real products: what analysts can do with what they publish, and what they can't."""

import re
from collections import Counter
from collections.abc import Callable

import psycopg
import pytest
from rich.console import Console

from demo import origins
from demo.__main__ import _show_both as demo_of_both
from demo.servers import Server
from tests.conftest import ROOT, Place

pytestmark = pytest.mark.slow

MASKED = ("birth_date", "post_code", "number_of_children", "family_situation", "email")


def rules(app: str) -> str:
    """Return the demo's rules of an app."""
    return (ROOT / "demo" / f"{app}.yml").read_text()


def test_origins_of_an_older_demo_are_told_where_nobody_is_in_both_apps(
    place: Place, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    url = place.reader_url
    monkeypatch.setattr(Server, "url", lambda *_: url)
    monkeypatch.setattr(origins, "BOTH", "SELECT '62', '1980s', 1 WHERE false")
    demo_of_both(Console(soft_wrap=True), place.target_server)
    told = capsys.readouterr().out.split()
    assert " ".join(told) == ("nobody is in both apps, as an older demo made them up: remove .demo, and run make demo again")


def filled(app: str, make_place: Callable[..., Place]) -> Place:
    """Return a place with a small origin of the demo's."""
    place = make_place()
    origins.create(place.origin_url, app)
    origins.fill(place.origin_url, app, scale=0.1)
    return place


def in_origin(place: Place, query: str) -> list[tuple[object, ...]]:
    """Return the rows of a query in the origin."""
    with psycopg.connect(place.origin_url) as connection:
        return connection.execute(query.encode()).fetchall()


def test_people_of_two_apps_are_counted_by_pseudonym_as_by_name(make_place: Callable[..., Place]) -> None:
    known, seen = [], []
    for app in origins.APPS:
        place = filled(app, make_place)
        place.run(rules(app))
        known.append({email for (email,) in in_origin(place, "SELECT lower(trim(email)) FROM users WHERE email > ''")})
        seen.append({email for (email,) in place.read("SELECT email FROM shop.users WHERE email IS NOT NULL")})
    assert len(known[0] & known[1]) > 50
    assert [len(seen[0] & seen[1]), *map(len, seen)] == [len(known[0] & known[1]), *map(len, known)]
    assert all(re.fullmatch("p_[0-9a-f]{32}", email) for email in seen[0] | seen[1])


def test_ages_and_departments_are_counted_as_in_the_origin(make_place: Callable[..., Place]) -> None:
    place = filled("rdvs", make_place)
    place.run(rules("rdvs"))
    people = in_origin(place, f"SELECT {', '.join(MASKED[:4])} FROM users")
    expected = Counter(
        (
            birth and birth.replace(month=1, day=1),  # type: ignore[attr-defined]
            {"20": "2A", "97": "974"}.get(str(code)[:2], str(code)[:2]),
            None if children is None else max(bound for bound in (0, 1, 3) if bound <= children),  # type: ignore[operator]
            "[autre]" if situation == "divorced" else situation,
        )
        for birth, code, children, situation in people
    )
    assert Counter(place.read(f"SELECT {', '.join(MASKED[:4])} FROM shop.users")) == expected


def test_masks_for_columns_that_the_origin_does_not_have_yet_are_no_error(make_place: Callable[..., Place]) -> None:
    place = filled("rdvs", make_place)
    ahead = rules("rdvs").replace("      - post_code\n", "      - post_code\n      - city_code\n", 1)
    ahead = ahead.replace("      post_code: department\n", "      post_code: department\n      city_code: department\n", 1)
    line = ahead.split("\n").index("      - city_code") + 1
    published = place.run(ahead)
    assert [warning for warning in published.plan.warnings if "city_code" in warning] == [
        f"rules: line {line}: users.city_code is not in the origin; did you mean post_code?"
    ]
