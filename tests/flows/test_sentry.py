"""Sentry told of runs: by the real SDK over real HTTP, of what is on the list and of nothing else."""

import json
import logging
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest
from prefect.client.orchestration import get_client
from prefect.flow_engine import run_flow

from flows import apps, sentry, stages
from flows.etl import etl
from multischema.errors import CheckError
from multischema.findings import problem
from tests.conftest import OWN, PASSWORD, Place
from tests.flows.conftest import Shop, variables
from tests.flows.test_secrecy import ORIGIN, RULES, failing_row, found
from tests.support.mailbox import Mailbox, mailbox
from tests.support.servers import eventually

PLANTED = "mmmarker-planted"
SIMPLE = "CREATE TABLE users (id serial PRIMARY KEY, name text); INSERT INTO users (name) VALUES ('Marie')"
SIMPLE_RULES = "tables: [{table_name: users, anonymized_column_names: [name]}]"
EVENT = {"event_id", "timestamp", "platform", "level", "release", "environment", "tags", "exception", "sdk"}


@pytest.fixture
def box(monkeypatch: pytest.MonkeyPatch) -> Iterator[Mailbox]:
    """Return a Sentry on this machine that SENTRY_DSN names."""
    with mailbox() as served:
        monkeypatch.setenv("SENTRY_DSN", f"{served.url.replace('://', '://public@')}/42")
        yield served


def items(box: Mailbox) -> list[dict[str, Any]]:
    """Return the events and check-ins that came."""
    found = []
    for letter in box.letters:
        assert letter.path == "/api/42/envelope/"
        lines = letter.body.splitlines()
        found += [json.loads(line) for line in lines[2::2]]
    return found


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return the warnings that were logged."""
    return [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]


def test_an_error_that_is_not_ours_is_sent_without_its_message_variables_sql_environment_and_arguments(
    box: Mailbox, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOME_TOKEN", f"{PLANTED}-environment")
    monkeypatch.setattr(sys, "argv", ["etl", f"{PLANTED}-argument"])
    password = PASSWORD  # a local variable of a frame that is sent
    with pytest.raises(psycopg.errors.UniqueViolation, match=PLANTED):
        with sentry.watched("shop"), psycopg.connect(place.target_url) as connection:
            logging.getLogger("anything").error("%s-logged", PLANTED)
            connection.execute("CREATE TABLE people (name text UNIQUE)")
            connection.execute(f"INSERT INTO people SELECT '{PLANTED}-row' FROM generate_series(1, 2)".encode())
    (event,) = items(box)
    assert event.keys() <= EVENT
    assert event["tags"] == {"app": "shop"}
    (told,) = event["exception"]["values"]
    assert told.keys() == {"type", "module", "value", "stacktrace"}
    assert (told["type"], told["value"]) == ("UniqueViolation", "")
    frames = told["stacktrace"]["frames"]
    assert all(frame.keys() == {"filename", "lineno", "function", "in_app"} for frame in frames)
    assert "tests/flows/test_sentry.py" in {frame["filename"] for frame in frames}
    assert "psycopg/connection.py" in {frame["filename"] for frame in frames}
    said = box.all()
    assert PLANTED not in said
    assert found(said) == []
    assert password not in said
    assert os.uname().nodename not in said


def test_what_came_from_another_error_is_not_sent_either(box: Mailbox) -> None:
    with pytest.raises(CheckError):
        with sentry.watched("shop"):
            try:
                raise ValueError(f"{PLANTED}-cause")
            except ValueError as cause:
                raise CheckError(problem("columns-without-rule", "2 columns without a rule", side="origin shop")) from cause
    (event,) = items(box)
    assert [told["value"] for told in event["exception"]["values"]] == ["origin shop: 2 columns without a rule"]
    assert PLANTED not in box.all()


def test_a_run_that_ends_well_sends_nothing_and_neither_does_one_that_is_interrupted(box: Mailbox) -> None:
    with sentry.watched("shop"):
        pass
    with pytest.raises(KeyboardInterrupt):
        with sentry.watched("shop"):
            raise KeyboardInterrupt
    assert box.letters == []


@pytest.mark.parametrize(
    "dsn",
    [PLANTED, f"https://{PLANTED}", f"https://{PLANTED}@host/x/", f"ftp://{PLANTED}@host/1", f"https://{PLANTED}@[host/1"],
)
def test_a_dsn_that_is_none_is_one_warning_and_the_run_goes_on(
    dsn: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("SENTRY_DSN", dsn)
    with sentry.watched("shop"):
        done = True
    assert done
    (warning,) = warnings(caplog)
    assert warning == "SENTRY_DSN is not what Sentry gives: want https://key@host/number; Sentry is told nothing"
    assert PLANTED not in caplog.text


def test_a_client_that_can_not_be_made_is_one_warning_and_the_run_goes_on(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("SENTRY_DSN", f"https://{PLANTED}@sentry.example/42")
    monkeypatch.setenv("HTTPS_PROXY", "ftp://proxy.example:3128")
    with sentry.watched("shop"):
        done = True
    assert done
    assert warnings(caplog) == ["Sentry was not told: ProxySchemeUnknown"]


def test_without_the_sdk_a_warning_says_so_and_the_run_goes_on(
    box: Mailbox, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "sentry_sdk", None)
    with pytest.raises(CheckError):
        with sentry.watched("shop"):
            raise CheckError(problem("code", "wrong"))
    (warning,) = warnings(caplog)
    assert warning == "SENTRY_DSN is set, and sentry-sdk is not installed: install it, as requirements.txt has it"


def test_a_sentry_that_does_not_answer_holds_no_run_for_long(box: Mailbox, monkeypatch: pytest.MonkeyPatch) -> None:
    assert sentry.PATIENCE == 2
    monkeypatch.setattr(sentry, "PATIENCE", 0.1)
    box.is_silent = True
    started = time.monotonic()
    with pytest.raises(CheckError):
        with sentry.watched("shop"):
            raise CheckError(problem("code", "wrong"))
    assert time.monotonic() - started < 30  # the SDK would wait as long for an answer


def test_without_a_dsn_nothing_of_sentry_is_imported() -> None:
    look = "import sys; from flows.etl import etl; print('sentry_sdk' in sys.modules)"
    said = subprocess.run(
        [sys.executable, "-c", look], cwd=OWN, env=variables({}), capture_output=True, text=True, check=True
    )
    assert said.stdout == "False\n"


@pytest.mark.slow
def test_a_run_that_fails_on_a_row_tells_app_stage_and_run_and_neither_value_nor_password(shop: Shop, box: Mailbox) -> None:
    shop.place.in_origin(ORIGIN)
    failing_row(shop)
    assert shop.run(RULES).is_failed()
    (event,) = items(box)
    assert event["tags"] == {"app": shop.app, "stage": "anonymize", "run": shop.last()["id"]}
    (told,) = event["exception"]["values"]
    assert told["type"] == "DatabaseError"
    assert told["value"].startswith(f"origin {shop.app}: ")
    assert {"multischema/postgres/copying.py", "flows/stages.py"} <= {
        frame["filename"] for frame in told["stacktrace"]["frames"] if frame["in_app"]
    }
    assert found(box.all()) == []
    assert shop.place.name not in box.all()


# Check-ins.

DECLARED = """
definitions: {time_limit: {SHOP: 55}}
deployments:
  - name: SHOP
    parameters: {app: SHOP, rules: r}
    schedules: [{slug: nightly, cron: 30 4 * * *, timezone: Europe/Paris}]
"""


@pytest.fixture
def scheduled(shop: Shop, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Callable[[], Any]]:
    """Return a function that runs the flow as its schedule does, and returns the final state."""
    file = tmp_path / "prefect.yaml"
    file.write_text(DECLARED.replace("SHOP", shop.app))
    monkeypatch.setattr(apps, "_FILE", file)
    monkeypatch.setenv("RULES_FOLDER", str(tmp_path))
    flow = shop.server.ask("POST", "flows/", {"name": "etl"})["id"]
    every_second = {"schedule": {"interval": 1.0, "timezone": "UTC"}, "active": True}
    body = {"name": shop.app, "flow_id": flow, "schedules": [every_second], "entrypoint": "flows/etl.py:etl"}
    deployment = shop.server.ask("POST", "deployments/", body)["id"]

    def run() -> Any:
        shop.server.ask("POST", f"deployments/{deployment}/schedule", {"max_runs": 1})
        of_it = {"deployments": {"id": {"any_": [deployment]}}, "flow_runs": {"state": {"type": {"any_": ["SCHEDULED"]}}}}
        (first, *_) = eventually(lambda: shop.server.ask("POST", "flow_runs/filter", of_it))
        with get_client(sync_client=True) as client:
            made = client.read_flow_run(UUID(first["id"]))
        return run_flow(etl, flow_run=made, parameters=shop.parameters(SIMPLE_RULES), return_type="state")

    yield run
    shop.server.ask("DELETE", f"deployments/{deployment}")


@pytest.mark.slow
def test_a_scheduled_run_checks_in_and_out_with_the_schedule_and_time_limit_of_prefect_yaml(
    shop: Shop, scheduled: Callable[[], Any], box: Mailbox
) -> None:
    shop.place.in_origin(SIMPLE)
    assert scheduled().is_completed()
    begun, ended = items(box)
    assert begun["monitor_slug"] == ended["monitor_slug"] == f"etl-nightly-{shop.app}"
    assert (begun["status"], ended["status"]) == ("in_progress", "ok")
    assert begun["check_in_id"] == ended["check_in_id"]
    assert begun["monitor_config"] == {
        "schedule": {"type": "crontab", "value": "30 4 * * *"},
        "timezone": "Europe/Paris",
        "checkin_margin": 30,
        "max_runtime": 55,
        "failure_issue_threshold": 1,
        "recovery_threshold": 1,
    }
    assert begun.keys() <= EVENT | {"type", "monitor_slug", "check_in_id", "status", "duration", "monitor_config"}
    box.letters.clear()
    shop.place.in_origin("ALTER TABLE users ADD secret text")
    assert scheduled().is_failed()
    assert [(item.get("status"), item.get("type", "event")) for item in items(box)] == [
        ("in_progress", "check_in"),
        (None, "event"),
        ("error", "check_in"),
    ]
    assert found(box.all()) == []


@pytest.mark.slow
def test_a_run_that_is_stopped_leaves_it_to_the_next_attempt_to_check_out(
    scheduled: Callable[[], Any], box: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(stages, "open_run", stop)
    with pytest.raises(KeyboardInterrupt):
        scheduled()
    assert [(item.get("status"), item.get("type", "event")) for item in items(box)] == [("in_progress", "check_in")]


@pytest.mark.slow
def test_a_run_that_somebody_starts_checks_in_nowhere(shop: Shop, box: Mailbox) -> None:
    shop.place.in_origin(SIMPLE)
    assert shop.run(SIMPLE_RULES).is_completed()
    assert box.letters == []
