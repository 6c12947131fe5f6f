"""What docs/masks.md shows of each mask is what a run publishes."""

import re

import pytest
import yaml

from multischema.masks.known import KINDS
from tests.conftest import ROOT, Place

ROWS = re.compile(r"^\| `(\w+): (.+?)` \| `(.+?)` \| `(.+?)` \| `(.+?)` \|$", re.MULTILINE)
EXAMPLES = ROWS.findall((ROOT / "docs" / "masks.md").read_text().partition("\n### Examples\n")[2].partition("\n### ")[0])


def test_each_mask_has_an_example() -> None:
    shown = {next(iter(mask)) if isinstance(mask := yaml.safe_load(text), dict) else mask for _, text, *_ in EXAMPLES}
    assert shown == KINDS.keys()


@pytest.mark.parametrize("mode", ["stream", "dump"])
def test_the_examples_of_the_docs_are_what_is_published(place: Place, mode: str, private: object) -> None:
    rules = "tables:\n"
    for number, (column, mask, type_, value, _) in enumerate(EXAMPLES):
        quoted = value.replace("'", "''")
        place.in_origin(
            f"CREATE TABLE example_{number} (id int PRIMARY KEY, {column} {type_});"
            f"INSERT INTO example_{number} VALUES (1, '{quoted}')"
        )
        rules += (
            f"  - table_name: example_{number}\n    anonymized_column_names: [{column}]\n    masks: {{{column}: {mask}}}\n"
        )
    place.run(rules, mode=mode)
    for number, (column, mask, type_, _, published) in enumerate(EXAMPLES):
        ((found,),) = place.read(f"SELECT {column}::text FROM shop.example_{number}")
        wanted = re.escape(published).replace("…", "[0-9a-f]+")
        assert re.fullmatch(wanted, "NULL" if found is None else found), (mask, type_, found)
