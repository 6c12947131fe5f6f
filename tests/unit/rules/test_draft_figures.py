"""How good the draft's guesses are: on tables that are made up, and labelled column by column."""

from collections import defaultdict

from multischema.guesses import read_guesses
from multischema.rules.draft import draft_tables
from tests.conftest import ROOT
from tests.support.origins import catalog, column, table

LABELLED = ROOT / "tests" / "unit" / "rules" / "labelled.txt"
TYPES = {"timestamp": "timestamp with time zone", "inet": "text", "bytea": "json"}  # as others that hold anything


def labelled() -> dict[str, dict[str, tuple[str, bool]]]:
    """Return the type of each column of each table, and whether it is personal."""
    found: defaultdict[str, dict[str, tuple[str, bool]]] = defaultdict(dict)
    for line in LABELLED.read_text().splitlines():
        if not line.startswith("#"):
            name, _, columns = line.partition(": ")
            for each in columns.split(", "):
                column_name, type_ = each.split(" ")
                found[name][column_name] = (TYPES.get(type_.rstrip("!"), type_.rstrip("!")), type_.endswith("!"))
    return found


def test_the_draft_masks_nearly_all_that_is_personal_and_not_much_more() -> None:
    tables = labelled()
    origin = catalog(
        *(table(name, *(column(each, type_) for each, (type_, _) in columns.items())) for name, columns in tables.items())
    )
    drafted = draft_tables(origin, read_guesses())
    personal = {
        f"{name}.{each}" for name, columns in tables.items() for each, (_, is_personal) in columns.items() if is_personal
    }
    masked = {f"{name}.{each}" for name, rules in drafted.items() for each in rules.anonymized}
    assert len(personal) > 80
    assert len(personal & masked) / len(personal) >= 0.98, sorted(personal - masked)
    assert len(personal & masked) / len(masked) >= 0.60, sorted(masked - personal)
