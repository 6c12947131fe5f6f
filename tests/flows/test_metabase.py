"""Metabase told of a changed structure by runs: through the block, once, and never at the price of a run."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from prefect.blocks.system import Secret
from pydantic import SecretStr

from blocks import metabase, register
from tests.flows.conftest import Shop
from tests.support.mailbox import Mailbox, mailbox

pytestmark = pytest.mark.slow

KEY = "s3cret-k3y-metabase"
ORIGIN = "CREATE TABLE users (id serial PRIMARY KEY, name text, city text); INSERT INTO users (name) VALUES ('Marie')"
RULES = "tables: [{table_name: users, anonymized_column_names: [name], non_anonymized_column_names: [city, age]}]"


@pytest.fixture
def box(shop: Shop) -> Iterator[Mailbox]:
    """Return a Metabase that the shop's Prefect server has a block for."""
    with mailbox() as served:
        register.register({"METABASE_URL": served.url, "METABASE_DATABASE_ID": "3", "METABASE_API_KEY": KEY})
        shop.place.in_origin(ORIGIN)
        yield served
    Secret.delete(metabase.BLOCK)


def report(shop: Shop) -> str:
    """Return the report of the app's last run."""
    return str(shop.server.artifact(f"{shop.app}-report")["data"])


def test_metabase_is_told_of_a_first_publication_and_of_a_changed_structure_not_of_rows(shop: Shop, box: Mailbox) -> None:
    full: dict[str, Any] = {"refresh": "full"}
    assert shop.run(RULES, **full).is_completed()
    (letter,) = box.letters
    assert (letter.path, json.loads(letter.body)) == ("/api/notify/db/3", {"scan": "schema"})
    assert letter.headers["x-metabase-apikey"] == KEY
    shop.place.in_origin("INSERT INTO users (name) VALUES ('Jean')")
    assert shop.run(RULES, **full).is_completed()
    assert shop.run(RULES).is_completed()  # a refresh
    assert len(box.letters) == 1
    shop.place.in_origin("ALTER TABLE users ADD age integer")
    assert shop.run(RULES).is_completed()
    assert len(box.letters) == 2
    assert "Metabase was not told" not in report(shop)
    told = [line for line in shop.server.logs(shop.last(), "cleaned") if "told Metabase" in line["message"]]
    assert [line["message"] for line in told] == [f"told Metabase that the structure of schema {shop.app} changed"]
    assert KEY not in shop.server.database()


def test_a_metabase_that_refuses_is_a_warning_of_a_run_that_published(shop: Shop, box: Mailbox) -> None:
    box.status = 403
    assert shop.run(RULES).is_completed()
    (line,) = [line for line in report(shop).splitlines() if "Metabase was not told" in line]
    assert "refused the key (HTTP 403)" in line
    assert KEY not in report(shop)
    assert shop.read("SELECT count(*) FROM {}.users") == [(1,)]


def test_a_block_that_can_not_be_used_is_a_warning_of_a_run_that_published(shop: Shop, box: Mailbox) -> None:
    Secret(value=SecretStr("hush")).save(metabase.BLOCK, overwrite=True)
    assert shop.run(RULES).is_completed()
    (line,) = [line for line in report(shop).splitlines() if "Metabase was not told" in line]
    assert "the Secret block metabase-notify: url: want https://host" in line
    assert "hush" not in line
    assert box.letters == []


def test_a_command_takes_the_variables(shop: Shop, box: Mailbox) -> None:
    with mailbox() as other:
        command = shop.command(rules=RULES, METABASE_URL=other.url, METABASE_DATABASE_ID="9", METABASE_API_KEY="0ther")
        assert command.wait() == 0, command.text
        (letter,) = other.letters
    assert (letter.path, letter.headers["x-metabase-apikey"]) == ("/api/notify/db/9", "0ther")
    assert box.letters == []
    assert "0ther" not in command.text
