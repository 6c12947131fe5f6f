"""The draft of the demo's schemas, which are shaped like those of real products, against the rules that they have."""

from collections.abc import Callable

from demo import origins
from multischema.guesses import read_guesses
from multischema.postgres.connecting import connect
from multischema.postgres.database import Database
from multischema.postgres.questions import read_catalog
from multischema.rules.draft import draft_tables
from multischema.rules.file import parse
from multischema.rules.gaps import missing_columns
from tests.conftest import ROOT, Place


def columns(app: str, place: Place) -> tuple[set[str], set[str], set[str]]:
    """Return what the rules of an app mask, of that what the draft hides, and all that the draft masks.

    Left aside are keys, and tables that the rules publish without their rows.
    """
    origins.create(place.origin_url, app)
    with connect(Database("origin", app, place.origin_url), "draft") as connection:
        catalog = read_catalog(connection, "public")
    rules, drafted = parse((ROOT / "demo" / f"{app}.yml").read_bytes()).tables, draft_tables(catalog, read_guesses())
    personal, hidden, masked = set(), set(), set()
    for table in catalog.tables:
        if not rules[table.name].truncated:
            names, guess = {*missing_columns(table, None)}, drafted[table.name]
            own = names & rules[table.name].anonymized
            personal |= {f"{app}.{table.name}.{name}" for name in own}
            hidden |= {f"{app}.{table.name}.{name}" for name in (own if guess.truncated else own & guess.anonymized)}
            masked |= {f"{app}.{table.name}.{name}" for name in names & guess.anonymized}
    return personal, hidden, masked


def test_a_draft_masks_nearly_all_that_the_rules_do_and_not_much_more(make_place: Callable[..., Place]) -> None:
    of_each = [columns(app, make_place()) for app in origins.APPS]
    personal, hidden, masked = (set().union(*sets) for sets in zip(*of_each, strict=True))
    assert len(hidden) / len(personal) >= 0.98, sorted(personal - hidden)
    assert len(hidden & masked) / len(masked) >= 0.60, sorted(masked - personal)
