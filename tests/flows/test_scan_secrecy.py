"""The scan shows counts and names: no value that it finds is in anything that a run or a command leaves or shows."""

import json
from typing import Any

import pytest

from tests.flows.conftest import Command, Shop
from tests.flows.test_secrecy import DEBUG, WORKER, files_of

# one of each kind, and pieces of them that stand in nothing else
VALUES = {
    "own-data": "Zbigniewa Quxley",
    "email": "quxley.zw@orange.fr",
    "phone": "06 98 76 51 23",
    "nir": "1 85 05 78 006 084 91",
    "iban": "FR76 3000 6000 0112 3456 7890 189",
    "card": "4111 1111 1111 1111",
    "ip-address": "81.56.12.203",
    "postal-address": "12 rue du Quxleymarker 59000 Lille",
}
PIECES = ("zbigniewa", "quxley", "98 76 51 23", "78 006 084", "fr76 3000 6000", "4111 1111", "81.56.12.203")
COLUMNS = [f"held_{number}" for number in range(len(VALUES))]
STRUCTURE = f"CREATE TABLE people (id integer PRIMARY KEY, name text, {', '.join(f'{column} text' for column in COLUMNS)});"
ROWS = f"""
INSERT INTO people SELECT n, CASE WHEN n < 10 THEN 'Zbigniewa Quxley' ELSE 'x' || n END,
    {", ".join(f"CASE WHEN n < 10 THEN 'see {value}' ELSE 'calm' END" for value in VALUES.values())}
FROM generate_series(1, 1000) AS n;
"""
RULES = f"""
tables:
  - table_name: people
    anonymized_column_names: [name]
    non_anonymized_column_names: [{", ".join(COLUMNS)}]
"""
CODES = {f"scan-{kind}" for kind in VALUES}


def found(text: str) -> list[str]:
    """Return the pieces that a text holds."""
    lowered = text.lower()
    return [piece for piece in PIECES if piece in lowered]


def places_of(shop: Shop, text: str, said: str) -> dict[str, str]:
    """Return what the last run showed and left, by where."""
    run = shop.last()
    logs = shop.server.logs(run, said)
    tasks = list(shop.server.tasks(run, f"check {shop.app}").values())
    states = shop.server.ask("GET", f"flow_run_states/?flow_run_id={run['id']}")
    artifacts = shop.server.ask("POST", "artifacts/filter", {"flow_runs": {"id": {"any_": [run["id"]]}}})
    return {
        "output": text,
        "run": json.dumps(run),
        "tasks": json.dumps(tasks),
        "states": json.dumps(states),
        "logs": json.dumps(logs),
        "artifacts": json.dumps(artifacts),
        "database": shop.server.database(),
        "files": files_of(shop.server.home),
        "log of the origin's server": shop.place.origin_server.log.read_text(errors="replace"),
        "log of the target's server": shop.place.target_server.log.read_text(errors="replace"),
    }


@pytest.mark.slow
@pytest.mark.parametrize("state", ["Failed", "Completed"])
def test_no_value_that_the_scan_finds_is_in_anything_that_a_run_leaves_or_shows(state: str, shop: Shop) -> None:
    shop.place.in_origin(STRUCTURE)
    if state == "Completed":  # what was clear before stops no run
        assert shop.run(RULES).is_completed()
    shop.place.in_origin(ROWS)
    parameters = shop.parameters(RULES, scan="full")
    (shop.directory / "worker.py").write_text(WORKER)
    environment: dict[str, Any] = {"PREFECT_API_URL": shop.server.url, **DEBUG}
    command = Command.start(shop.directory, "worker", [json.dumps(parameters)], environment)
    command.wait()
    assert shop.last()["state_name"] == state
    said = "published schema" if state == "Completed" else "is published as it is"
    places = places_of(shop, command.text, said)
    assert {name: pieces for name, text in places.items() if (pieces := found(text))} == {}
    # it was all found, and said by name
    for column in COLUMNS:
        assert f"people.{column} is published as it is, and 9 of 1,000 values hold" in places["output"]
        assert f"people.{column}" in places["logs"]


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [["--check"], []])
def test_nor_in_what_the_command_line_says(arguments: list[str], shop: Shop) -> None:
    shop.place.in_origin(STRUCTURE + ROWS)
    command = shop.command(*arguments, rules=RULES, **DEBUG)
    assert command.wait() == 1
    assert found(command.text) == []
    assert all(f"people.{column} is published as it is" in command.err for column in COLUMNS)
    assert "Traceback" not in command.text


@pytest.mark.parametrize("form", ["text", "json", "github"])
def test_nor_in_what_the_scan_of_the_rules_says(form: str, shop: Shop) -> None:
    shop.place.in_origin(STRUCTURE + ROWS)
    command = shop.command("scan", "--format", form, "--rules", shop.place.rules(RULES), module="flows.rules")
    assert command.wait() == 1
    assert (found(command.text), command.err) == ([], "")
    if form == "json":
        said = json.loads(command.out)
        assert {finding["code"] for finding in said["findings"]} == CODES
        assert all(len(column["hits"]) == 1 for column in said["tables"][0]["columns"][1:])
