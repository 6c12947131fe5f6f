"""Alerts on a real Prefect server, with a webhook and an SMTP server that receive them: who is told what, and when."""

import base64
import json
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_URL, PREFECT_UI_URL, temporary_settings

from deployment import alerts, declared, setup
from deployment import server as own_server
from multischema.errors import UsageError
from tests.conftest import OWN
from tests.support.mailbox import Mailbox, mailbox
from tests.support.servers import AUTH, PATIENCE, PrefectServer, eventually, prefect_server
from tests.support.smtp import Mail, smtp_server

pytestmark = pytest.mark.slow

TOKEN = "t0ken-of-the-webhook"
PASSWORD = "p@ss/word"
URL = "postgresql://app:hidden@origin/app"
ENVIRONMENT = {
    "METABASE_USERNAME": "metabase",
    "ETL_DB_URL": URL,
    "RDV_SOLIDARITES_DB_URL": URL,
    "RDV_INSERTION_DB_URL": URL,
}
NAMES = ["failed", "crashed", "late", "trial", "silence of rdvi", "silence of rdvs"]
LINKS = "alerts: their links lead to "
LONG = 1000  # hours
# what `python -m deployment.server` sets
SETTINGS = {name: value for name, value in own_server._DEFAULTS.items() if "_EVENTS_" in name}
SHORT = timedelta(seconds=12)  # 10 s is the shortest time that Prefect waits for


@dataclass
class Watch:
    """A Prefect server that is set up to tell a webhook, and people by mail."""

    server: PrefectServer
    webhook: Mailbox
    mail: Mail

    def deploy(self, silence: float = LONG, /, **changes: str) -> list[str]:
        """Set up the server with so many hours for rdvs and these variables; return what was said of alerts."""
        content = declared.read()
        content["definitions"]["silence"] = {"rdvs": silence, "rdvi": LONG}
        with temporary_settings({PREFECT_API_URL: self.server.url, PREFECT_API_AUTH_STRING: AUTH}):
            lines = list(setup.set_up(content, {**ENVIRONMENT, **changes}))
        return [line for line in lines if "alert" in line and not line.startswith(LINKS)]

    @property
    def hook(self) -> str:
        """Return the webhook's URL."""
        return f"{self.webhook.url}/hooks/{TOKEN}"

    @property
    def texts(self) -> list[str]:
        """Return what the webhook was told."""
        return [json.loads(letter.body)["text"] for letter in self.webhook.letters]

    @property
    def ways(self) -> dict[str, str]:
        """Return the variables that name the webhook and the mail."""
        login = f"etl%40example.org:{PASSWORD.replace('@', '%40').replace('/', '%2F')}"
        return {
            "ALERT_WEBHOOK_URL": self.hook,
            "ALERT_EMAIL": "on-call@example.org, team@example.org",
            "ALERT_SMTP_URL": f"smtp://{login}@127.0.0.1:{self.mail.port}",
        }

    @property
    def automations(self) -> dict[str, dict[str, Any]]:
        """Return our alerts on the server, by name."""
        found = self.server.ask("POST", "automations/filter", {})
        return {item["name"]: item for item in found if item["name"].startswith(alerts.PREFIX)}

    def run(self, app: str, *states: dict[str, Any]) -> str:
        """Make a run of an app's deployment, in these states one after the other; return its id."""
        deployment = self.server.ask("GET", f"deployments/name/etl/{app}")
        body = {"state": states[0], "parameters": deployment["parameters"]}
        run: str = self.server.ask("POST", f"deployments/{deployment['id']}/create_flow_run", body)["id"]
        for state in states[1:]:
            self.server.ask("POST", f"flow_runs/{run}/set_state", {"state": state, "force": True})
        return run

    def page(self, run: str) -> str:
        """Return the address of a run's page."""
        return f"{self.server.url.removesuffix('/api')}/runs/flow-run/{run}"

    def told(self, *parts: str) -> str:
        """Return the text with all these parts, once it has come."""

        def come() -> list[str]:
            return [text for text in self.texts if all(part in text for part in parts)]

        return str(eventually(come)[0])


PENDING, RUNNING = {"type": "PENDING"}, {"type": "RUNNING"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrefectServer]:
    """Return a Prefect server."""
    with prefect_server(tmp_path_factory.mktemp("prefect")) as started:
        yield started


@pytest.fixture
def watch(server: PrefectServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Watch]:
    """Return a Prefect server without alerts, which are to come soon."""
    monkeypatch.setattr(alerts, "LATE", SHORT)
    monkeypatch.setattr(alerts, "HANDED_OVER", SHORT)
    with mailbox() as webhook, smtp_server() as mail:
        watch = Watch(server, webhook, mail)
        watch.deploy(ALERT_WEBHOOK_URL="none", ALERT_EMAIL="none")
        yield watch
        watch.deploy(ALERT_WEBHOOK_URL="none", ALERT_EMAIL="none")


def test_a_failed_run_is_told_once_with_app_state_first_line_and_link(watch: Watch) -> None:
    watch.deploy(ALERT_WEBHOOK_URL=watch.hook)
    message = 'origin rdvs: 2 columns without a rule: users."é", <b>\nits second line'
    run = watch.run("rdvs", PENDING, RUNNING, {"type": "FAILED", "message": message})
    other = watch.run("rdvi", PENDING, RUNNING, {"type": "FAILED", "name": "TimedOut"})
    text = watch.told("rdvs")
    assert text == f'rdvs: Failed: origin rdvs: 2 columns without a rule: users."é", <b>\n{watch.page(run)}'
    assert watch.told("rdvi") == f"rdvi: TimedOut\n{watch.page(other)}"
    letter = watch.webhook.letters[0]
    assert (letter.path, letter.headers["content-type"]) == (f"/hooks/{TOKEN}", "application/json")
    assert len(watch.webhook.letters) == 2


def test_a_url_with_a_password_in_an_error_is_not_told(watch: Watch) -> None:
    watch.deploy(**watch.ways)
    run = watch.run("rdvs", PENDING, {"type": "FAILED", "message": "no route to https://user:hidden@proxy:3128"})
    assert watch.told("rdvs") == f"rdvs: Failed: see its page\n{watch.page(run)}"


def test_links_that_open_on_this_machine_alone_are_told_by_the_deploy(watch: Watch) -> None:
    def deploy(address: str | None) -> list[str]:
        server = {PREFECT_API_URL: watch.server.url, PREFECT_API_AUTH_STRING: AUTH, PREFECT_UI_URL: address}
        with temporary_settings(server):
            return list(setup.set_up(declared.read(), {**ENVIRONMENT, "ALERT_WEBHOOK_URL": watch.hook}))

    host = urlsplit(watch.server.url).netloc
    assert deploy(None)[-1] == (
        f"{LINKS}{host}, which opens on this machine alone; set PREFECT_UI_URL to the address where people open Prefect"
    )
    assert not [line for line in deploy("https://prefect.example.org") if line.startswith(LINKS)]
    run = watch.run("rdvs", PENDING, {"type": "FAILED"})
    assert watch.told("rdvs").endswith(f"\nhttps://prefect.example.org/runs/flow-run/{run}")


def test_runs_of_others_are_not_told(watch: Watch) -> None:
    watch.deploy(ALERT_WEBHOOK_URL=watch.hook)
    flow = watch.server.ask("POST", "flows/", {"name": "etl"})["id"]
    failed = {"type": "FAILED", "message": "not ours"}
    theirs = watch.server.ask("POST", "deployments/", {"name": "theirs", "flow_id": flow})["id"]
    watch.server.ask("POST", "flow_runs/", {"flow_id": flow, "state": failed})  # by the command line
    watch.server.ask("POST", f"deployments/{theirs}/create_flow_run", {"state": failed})
    run = watch.run("rdvs", PENDING, {"type": "FAILED", "message": "ours"})
    watch.told("ours", run)
    assert len(watch.webhook.letters) == 1
    watch.server.ask("DELETE", f"deployments/{theirs}")


def test_a_crashed_run_is_told_unless_the_next_worker_takes_it(watch: Watch) -> None:
    watch.deploy(ALERT_WEBHOOK_URL=watch.hook)
    crashed = {"type": "CRASHED", "message": "its worker was killed\nby somebody"}
    again = {"type": "SCHEDULED", "name": "AwaitingRetry"}
    watch.run("rdvi", PENDING, RUNNING, crashed, again)
    run = watch.run("rdvs", PENDING, RUNNING, crashed)
    assert watch.told("rdvs: Crashed") == f"rdvs: Crashed: its worker was killed\n{watch.page(run)}"
    assert len([text for text in watch.texts if "Crashed" in text]) == 1


def test_a_run_that_no_worker_takes_is_told(watch: Watch) -> None:
    watch.deploy(ALERT_WEBHOOK_URL=watch.hook)
    due = {"type": "SCHEDULED", "state_details": {"scheduled_time": "2026-01-01T04:30:00Z"}}
    taken = watch.run("rdvi", due)
    late = watch.run("rdvs", due)
    eventually(lambda: watch.server.ask("GET", f"flow_runs/{taken}")["state_name"] == "Late")
    watch.server.ask("POST", f"flow_runs/{taken}/set_state", {"state": PENDING})
    assert watch.told("Late") == f"rdvs: Late: for 0.2 minutes no worker has taken this run\n{watch.page(late)}"
    assert watch.texts == [watch.told("Late")]
    for run in (taken, late):
        watch.server.ask("DELETE", f"flow_runs/{run}")


def test_silence_is_told_from_the_deploy_on_and_again_while_it_lasts(watch: Watch) -> None:
    watch.deploy(SHORT.total_seconds() / 3600, ALERT_WEBHOOK_URL=watch.hook)
    watch.told("rdvs: silence")
    deployment = watch.server.ask("GET", "deployments/name/etl/rdvs")["id"]
    page = f"{watch.server.url.removesuffix('/api')}/deployments/deployment/{deployment}"
    assert watch.texts[0] == f"rdvs: silence: no run has completed for 0.00333333 hours\n{page}"
    eventually(lambda: len(watch.texts) == 2)
    assert set(watch.texts) == {watch.texts[0]}


def test_a_run_that_completes_puts_silence_off_by_its_whole_time(watch: Watch) -> None:
    watch.deploy(ALERT_WEBHOOK_URL=watch.hook)
    alert = watch.automations["etl alert: silence of rdvs"]["id"]
    begin = "SELECT start FROM automation_bucket WHERE automation_id = ?"
    others = f"{begin} AND start <> ?"
    for _ in range(2):
        ((before,),) = eventually(lambda: _in_database(watch.server.home, begin, alert))
        run = watch.run("rdvs", PENDING, RUNNING, {"type": "COMPLETED"})
        watch.run("rdvi", PENDING, RUNNING, {"type": "COMPLETED"})
        ((after,),) = eventually(partial(_in_database, watch.server.home, others, alert, before))
        completed = watch.server.ask("GET", f"flow_runs/{run}")["state"]["timestamp"]
        assert datetime.fromisoformat(after).replace(tzinfo=UTC) == datetime.fromisoformat(completed)


def test_an_app_whose_schedule_is_off_may_be_silent(watch: Watch) -> None:
    both = watch.deploy(ALERT_WEBHOOK_URL=watch.hook)
    assert set(watch.automations) == {f"{alerts.PREFIX}{name}" for name in NAMES}
    assert "automation 'etl alert: silence of rdvs': created" in both
    assert "automation 'etl alert: silence of rdvs': removed" in watch.deploy(ETL_SCHEDULE_RDVS="false")
    assert "automation 'etl alert: silence of rdvs': created" in watch.deploy()
    rdvs = watch.server.ask("GET", "deployments/name/etl/rdvs")
    watch.server.ask("PATCH", f"deployments/{rdvs['id']}/schedules/{rdvs['schedules'][0]['id']}", {"active": False})
    assert "automation 'etl alert: silence of rdvs': removed" in watch.deploy()
    watch.deploy(ETL_SCHEDULE_RDVS="false")
    watch.deploy()
    watch.server.ask("PATCH", f"deployments/{rdvs['id']}", {"paused": True})
    assert "automation 'etl alert: silence of rdvs': removed" in watch.deploy()
    watch.server.ask("PATCH", f"deployments/{rdvs['id']}", {"paused": False})


def test_a_second_deploy_changes_nothing_and_what_was_switched_off_stays_off(watch: Watch) -> None:
    first = watch.deploy(**watch.ways)
    assert first[:2] == ["alert webhook: created from ALERT_WEBHOOK_URL", "alert email: created from ALERT_EMAIL"]
    failed = watch.automations["etl alert: failed"]
    watch.server.ask("PATCH", f"automations/{failed['id']}", {"enabled": False})
    before = _all(watch.server)
    again = watch.deploy(**watch.ways)
    assert _all(watch.server) == before
    assert [line for line in again if not line.endswith(": unchanged")] == [
        "automation 'etl alert: failed': unchanged, switched off"
    ]
    assert len(again) == len(first)


def _all(server: PrefectServer) -> list[Any]:
    blocks = server.ask("POST", "block_documents/filter", {"include_secrets": True})
    return [server.ask("POST", "automations/filter", {}), blocks]


def test_another_address_is_used_from_the_deploy_on_and_one_that_is_not_given_is_kept(watch: Watch) -> None:
    watch.deploy(ALERT_WEBHOOK_URL="http://localhost:1/old")
    assert watch.deploy(ALERT_WEBHOOK_URL=watch.hook)[0] == "alert webhook: updated from ALERT_WEBHOOK_URL"
    kept = watch.deploy()
    assert kept[0] == "alert webhook: kept; ALERT_WEBHOOK_URL=none removes it"
    assert {line.partition("': ")[2] for line in kept[1:]} == {"unchanged"}
    run = watch.run("rdvs", PENDING, {"type": "FAILED", "message": "told to the new address"})
    watch.told("the new address", run)
    gone = watch.deploy(ALERT_WEBHOOK_URL="none")
    assert gone[0] == "alert webhook: removed"
    assert gone[-1] == "alerts: none: set ALERT_WEBHOOK_URL or ALERT_EMAIL"
    assert watch.automations == {}
    assert watch.deploy() == ["alerts: none: set ALERT_WEBHOOK_URL or ALERT_EMAIL"]


def test_mail_tells_the_same_to_everybody(watch: Watch) -> None:
    ways = watch.ways
    del ways["ALERT_WEBHOOK_URL"]
    watch.deploy(**ways)
    run = watch.run("rdvs", PENDING, {"type": "FAILED", "message": "column <é> has no rule\nsecond line"})
    eventually(lambda: len(watch.mail.mails) == 2)
    assert {mail["To"] for mail in watch.mail.mails} == {"on-call@example.org", "team@example.org"}
    for mail in watch.mail.mails:
        assert mail["Subject"] == "etl: rdvs Failed"
        assert mail["From"] == "etl@example.org"
        assert mail.get_content_type() == "text/plain"
        text = f"rdvs: Failed: column <é> has no rule\n{watch.page(run)}"
        assert mail.get_content().replace("\r", "").strip() == text
    assert base64.b64decode(watch.mail.logins[0]).decode() == f"\0etl@example.org\0{PASSWORD}"


def _try(watch: Watch) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "deployment.trial"],
        cwd=OWN,
        env=watch.server.client,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def test_a_trial_tells_every_way_and_says_what_came_of_it(watch: Watch) -> None:
    watch.deploy(**watch.ways)
    sent = _try(watch)
    assert (sent.returncode, sorted(sent.stdout.splitlines()), sent.stderr) == (
        0,
        ["alert email: sent", "alert webhook: sent"],
        "",
    )
    (text,) = watch.texts
    assert text.startswith("etl: a trial alert: runs are told like this\nhttp://127.0.0.1:")
    assert len(watch.mail.mails) == 2


def test_a_trial_that_nobody_takes_fails_in_a_line(watch: Watch) -> None:
    watch.webhook.status = 404
    watch.deploy(ALERT_WEBHOOK_URL=watch.hook)
    refused = _try(watch)
    assert (refused.returncode, refused.stderr) == (1, "error: alert webhook: its address answered HTTP 404\n")
    watch.deploy(ALERT_WEBHOOK_URL=f"http://localhost:1/{TOKEN}")
    lost = _try(watch)
    assert (lost.returncode, lost.stderr.count("\n")) == (1, 1)
    assert lost.stderr.startswith("error: alert webhook: Webhook call failed: ConnectError(")
    watch.deploy(ALERT_WEBHOOK_URL="none")
    none = _try(watch)
    assert none.returncode == 1
    assert none.stderr.endswith("set ALERT_WEBHOOK_URL or ALERT_EMAIL, then `make deploy`\n")
    assert TOKEN not in "".join(run.stdout + run.stderr for run in (refused, lost, none))


def test_a_mail_server_that_refuses_the_login_is_told_in_a_line_without_the_password(watch: Watch) -> None:
    watch.mail.is_strict = True
    ways = watch.ways
    del ways["ALERT_WEBHOOK_URL"]
    watch.deploy(**ways)
    refused = _try(watch)
    assert (refused.returncode, refused.stdout, refused.stderr.count("\n")) == (1, "", 1)
    assert refused.stderr.startswith("error: alert email: ")
    assert watch.mail.logins
    assert watch.mail.mails == []
    said = refused.stderr + watch.server.database() + (watch.server.home / "server.log").read_text()
    encoded = base64.b64encode(f"\0etl@example.org\0{PASSWORD}".encode()).decode()
    assert not [secret for secret in (PASSWORD, "p%40ss", "p%2540ss", encoded) if secret in said]


def test_the_addresses_are_nowhere_but_in_the_blocks(watch: Watch, server: PrefectServer) -> None:
    lines = watch.deploy(**watch.ways)
    assert _try(watch).returncode == 0
    log = (server.home / "server.log").read_text()
    for secret in (TOKEN, PASSWORD, "p%40ss"):
        assert secret not in "\n".join(lines)
        assert secret not in log
        assert secret not in watch.server.database()
        assert secret not in str(server.ask("POST", "block_documents/filter", {}))
        assert secret not in str(server.ask("POST", "automations/filter", {}))


def test_an_address_that_can_not_be_used_changes_nothing_and_is_not_quoted(watch: Watch) -> None:
    before = _all(watch.server)
    with pytest.raises(UsageError) as raised:
        watch.deploy(ALERT_WEBHOOK_URL=f"http://hooks.example.org/{TOKEN}")
    assert str(raised.value) == "ALERT_WEBHOOK_URL: want an https URL (http only for this machine), or none"
    assert _all(watch.server) == before


def test_silence_that_was_due_while_the_server_was_away_is_told_when_it_is_back(tmp_path: Path) -> None:
    with mailbox() as webhook, smtp_server() as mail:
        with prefect_server(tmp_path, SETTINGS) as server:
            watch = Watch(server, webhook, mail)
            watch.deploy(ALERT_WEBHOOK_URL=watch.hook)
            alert = watch.automations["etl alert: silence of rdvs"]["id"]
            eventually(lambda: _in_database(tmp_path, "SELECT 1 FROM automation_bucket WHERE automation_id = ?", alert))
        due = (datetime.now(UTC) - timedelta(hours=2)).strftime("%Y-%m-%d %H:%M:%S.%f")
        (_,) = _in_database(
            tmp_path, 'UPDATE automation_bucket SET "end" = ? WHERE automation_id = ? RETURNING 1', due, alert
        )
        with prefect_server(tmp_path, SETTINGS):
            watch.told("rdvs: silence")


def _in_database(home: Path, statement: str, *values: str) -> list[Any]:
    """Return what a statement gives in the database of a server."""
    with closing(sqlite3.connect(home / "prefect.db", timeout=PATIENCE)) as connection, connection:
        return connection.execute(statement, values).fetchall()
