"""Whether a full run changed the structure of what is published, which Metabase is told, or its rows alone."""

from collections.abc import Callable
from typing import Any

import pytest

from multischema import pipeline
from tests.conftest import Place

ORIGIN = """
CREATE TYPE mood AS ENUM ('good', 'bad');
CREATE DOMAIN size AS integer CHECK (VALUE > 0);
CREATE TABLE users (id integer PRIMARY KEY, name text, mood mood, size size, born date, code varchar(5));
CREATE TABLE visits (id integer PRIMARY KEY, user_id integer REFERENCES users, note text);
INSERT INTO users VALUES (1, 'Marie', 'good', 3, '1970-01-01', 'a');
INSERT INTO visits VALUES (1, 1, 'well');
"""
RULES = """
tables:
  - table_name: users
    anonymized_column_names: [name]
    non_anonymized_column_names: [mood, size, born, code, {more}]
  - table_name: visits
    anonymized_column_names: [note]
    non_anonymized_column_names: [user_id]
"""


@pytest.fixture
def changed(place: Place, monkeypatch: pytest.MonkeyPatch) -> Callable[..., bool]:
    """Return a function that publishes, and tells whether the structure changed."""
    told: list[bool] = []
    publish = pipeline.publish

    def publish_and_tell(*arguments: Any) -> Any:
        publication = publish(*arguments)
        told.append(publication.restructured)
        return publication

    monkeypatch.setattr(pipeline, "publish", publish_and_tell)

    def run(rules: str = RULES.replace(", {more}", "")) -> bool:
        place.run(rules)
        return told[-1]

    place.in_origin(ORIGIN)
    return run


def test_the_first_publication_changes_the_structure_and_the_same_again_does_not(changed: Callable[..., bool]) -> None:
    assert changed()
    assert not changed()


@pytest.mark.parametrize(
    "change",
    [
        "INSERT INTO users (id, name) VALUES (2, 'Jean'); DELETE FROM visits",
        "CREATE INDEX ON users (born)",
        "ALTER TABLE visits ALTER note SET DEFAULT 'none'",
        "ALTER TYPE mood ADD VALUE 'so so'",
        "ALTER TABLE users DROP CONSTRAINT users_pkey CASCADE; ALTER TABLE users ADD PRIMARY KEY (id);"
        "ALTER TABLE visits ADD FOREIGN KEY (user_id) REFERENCES users",
    ],
)
def test_rows_and_what_metabase_does_not_see_are_no_change(change: str, place: Place, changed: Callable[..., bool]) -> None:
    changed()
    place.in_origin(change)
    assert not changed()


@pytest.mark.parametrize(
    ("change", "more"),
    [
        ("ALTER TABLE users ADD added text", ", added"),
        ("ALTER TABLE users ALTER born TYPE timestamp", ""),
        ("ALTER TABLE users ALTER code TYPE varchar(6)", ""),
        ("ALTER TABLE users ALTER born SET NOT NULL", ""),
        ("ALTER TABLE visits DROP CONSTRAINT visits_user_id_fkey", ""),
        ("ALTER TABLE visits DROP CONSTRAINT visits_pkey; ALTER TABLE visits ADD PRIMARY KEY (id, user_id)", ""),
        ("ALTER TABLE users ADD UNIQUE (born)", ""),
        ("COMMENT ON TABLE users IS 'people'", ""),
        ("COMMENT ON COLUMN users.born IS 'birth'", ""),
        ("ALTER TABLE users DROP born; ALTER TABLE users ADD born date", ""),  # comes last now
        ("DROP TABLE visits", ""),
    ],
)
def test_tables_columns_types_keys_and_comments_are_the_structure(
    change: str, more: str, place: Place, changed: Callable[..., bool]
) -> None:
    changed()
    place.in_origin(change)
    rules = RULES.replace(", {more}", more)
    assert changed(rules.partition("  - table_name: visits")[0] if change == "DROP TABLE visits" else rules)
