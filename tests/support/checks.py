"""The check stage alone: an origin that its rules fit, and the lines of a check that fails."""

from collections.abc import Callable
from urllib.parse import quote

import pytest

from multischema import download, pipeline
from multischema.errors import CheckError, Snippet
from multischema.plan.plan import Plan
from multischema.postgres.database import Database
from tests.conftest import KEY, PASSWORD, Place

ORIGIN = """
CREATE TABLE users (id serial PRIMARY KEY, name text, city text);
CREATE TABLE tokens (id serial PRIMARY KEY, token text);
"""
RULES = """
tables:
  - table_name: users
    anonymized_column_names: [name]
    non_anonymized_column_names: [city]
  - table_name: tokens
    truncated: true
"""


def check(
    place: Place,
    rules: str = RULES,
    *,
    origin: str | None = None,
    target: str | None = None,
    lock: bool = False,
    find_key: Callable[[], bytes] = lambda: KEY,
    **changes: object,
) -> Plan:
    """Run the check stage alone, as `--check` does, against other URLs if wanted."""
    job = place.job(**changes)
    databases = (
        Database("origin", "shop", origin or place.origin_url),
        Database("target", "shop", target or place.target_url),
    )
    with pipeline.open_run(job, *databases, find_key=find_key) as run:
        return pipeline.check(run, download.fetch(place.rules(rules)), lock=lock)


def problems(place: Place, rules: str = RULES, **changes: object) -> list[str]:
    """Return the lines of a check that fails, a snippet as one, and see that it leaves nothing and tells no password."""
    before = place.schemas()
    with pytest.raises(CheckError) as caught:
        check(place, rules, **changes)  # type: ignore[arg-type]
    assert place.schemas() == before
    assert place.sessions() == {"origin": 0, "target": 0}
    text = str(caught.value)
    assert PASSWORD not in text
    assert quote(PASSWORD, safe="") not in text
    assert "s3cr" not in text
    assert all("\n" not in line for line in caught.value.problems)
    snippet = [line for line in caught.value.problems if isinstance(line, Snippet)]
    lines = text.split("\n")
    told = lines[: len(lines) - len(snippet)]
    return [*told, *(["\n".join([*snippet, ""])] if snippet else [])]
