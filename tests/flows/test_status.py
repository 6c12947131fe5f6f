"""`python -m flows.status`: how old each app's data is, from the target alone, and more with a Prefect server."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings

from blocks import register, urls
from flows import apps, status
from flows import runs as asked
from multischema.plan.history import COLUMNS
from multischema.statements import history as statements
from tests.conftest import OWN, PASSWORD, Place
from tests.flows.conftest import variables
from tests.support.proxy import proxied
from tests.support.servers import PrefectServer, free_port

RECORDED = """
CREATE SCHEMA IF NOT EXISTS "{schema}";
INSERT INTO etl_report.runs (app, schema, snapshot_at, published_at, rows, bytes, seconds, kind, version, warnings)
VALUES ('{app}', '{schema}', now() - interval '{age}', now() - interval '{age}' + interval '1 minute',
        {rows}, 5000, 61.5, '{kind}', '1.0.0', 2);
"""
# app invented, expected daily, and app monthly, of the same prefect.yaml
DECLARED = """
definitions: {silence: {monthly: 770}}
deployments:
  - {name: invented, parameters: {app: invented, rules: r}}
  - {name: monthly, parameters: {app: monthly, rules: r, schema: seldom}}
"""
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(
    place: Place, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Callable[..., tuple[int, str, str]]:
    """Return a function that runs the command for two apps; it returns the exit status and what was printed."""
    file = tmp_path / "prefect.yaml"
    file.write_text(DECLARED)
    monkeypatch.setattr(apps, "_FILE", file)
    monkeypatch.setattr(urls, "_given", {})
    monkeypatch.setenv("ETL_DB_URL", place.target_url)

    def run(*arguments: str) -> tuple[int, str, str]:
        exit_status = status.main(arguments)
        out, err = capsys.readouterr()
        return exit_status, out, err

    return run


def history(schema: str = "etl_report") -> str:
    """Return the SQL that makes an empty history, as runs make it."""
    made = [*statements.create_schema(schema), *statements.complete(schema, dict.fromkeys(COLUMNS, ()))]
    return "; ".join(statement.as_string() for statement in made)


def record(place: Place, app: str, age: str, *, schema: str = "", rows: int = 1200, kind: str = "refresh") -> None:
    """Add a run to the history: its snapshot is that old."""
    place.in_target(RECORDED.format(app=app, schema=schema or app, age=age, rows=rows, kind=kind))


def test_each_app_has_a_line_with_the_age_of_its_data_and_all_is_well(place: Place, run: Run) -> None:
    place.in_target(history())
    record(place, "invented", "3 days", rows=7, kind="full")
    record(place, "invented", "5 hours 10 minutes")
    record(place, "monthly", "20 days", schema="seldom", kind="full")
    exit_status, out, err = run()
    assert (exit_status, err) == (0, "")
    head, invented, monthly = out.splitlines()
    assert head.split() == ["app", "data", "as", "of", "(UTC)", "age", "published", "(UTC)", "rows", "took"]
    assert " 5 h " in invented
    assert invented.endswith(" 1,200  61.5 s, refresh")
    assert monthly.startswith("monthly (schema seldom)  ")
    assert " 20 days " in monthly


def test_an_app_whose_data_is_older_than_its_limit_is_an_error_that_names_both(place: Place, run: Run) -> None:
    place.in_target(history())
    record(place, "invented", "26 hours 1 minute")
    record(place, "monthly", "31 days", schema="seldom")
    exit_status, out, err = run()
    assert exit_status == 1
    assert " 26 h, want 26 h " in out
    assert err.startswith("error: invented: its data is as of ")
    assert " UTC, 26 h ago; want at most 26 h: " in err
    assert len(err.splitlines()) == 1
    assert run("--app", "monthly")[0] == 0
    assert run("--app", "invented", "--app", "monthly")[0] == 1


def test_an_app_that_never_published_and_one_whose_schema_is_gone_are_errors(place: Place, run: Run) -> None:
    place.in_target(history())
    record(place, "monthly", "1 hour", schema="seldom")
    place.in_target("DROP SCHEMA seldom")
    exit_status, out, err = run()
    assert exit_status == 1
    assert "invented                 never" in out
    assert err.splitlines()[0].startswith(
        "error: invented: no run is recorded that published schema invented; want at most 26 h"
    )
    assert err.splitlines()[1] == "error: monthly: schema seldom is not in the target any more; start a run"


def test_what_no_deployment_publishes_is_shown_and_may_be_of_any_age(place: Place, run: Run) -> None:
    place.in_target(history())
    record(place, "invented", "1 hour")
    record(place, "invented", "90 days", schema="invented_trial")
    record(place, "monthly", "1 hour", schema="seldom")
    record(place, "retired", "300 days")
    exit_status, out, err = run()
    assert (exit_status, err) == (0, "")
    assert "invented (schema invented_trial)  " in out
    assert " 300 days " in out


def test_without_a_prefect_yaml_the_history_says_which_apps_there_are(
    place: Place, run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(apps, "_FILE", tmp_path / "none.yaml")
    place.in_target(history())
    record(place, "shop", "27 hours")
    exit_status, _, err = run()
    assert exit_status == 1
    assert err.startswith("error: shop: its data is as of ")


def test_a_target_without_a_history_has_nothing_recorded_yet(place: Place, run: Run) -> None:
    exit_status, out, err = run()
    assert exit_status == 1
    assert "invented                 never" in out
    assert err.splitlines()[0] == "warning: nothing recorded yet: the target has no table etl_report.runs"
    assert place.schemas() == set()


def test_a_backup_that_does_not_tell_its_time_is_at_least_as_old_as_its_publication(place: Place, run: Run) -> None:
    place.in_target(history())
    record(place, "invented", "5 hours 10 minutes", kind="full")
    place.in_target("UPDATE etl_report.runs SET snapshot_at = NULL")
    exit_status, out, err = run("--app", "invented")
    assert (exit_status, err) == (0, "")
    assert "invented  unknown           over 5 h  " in out
    assert json.loads(run("--app", "invented", "--json")[1])["apps"][0]["snapshot_at"] is None
    place.in_target("UPDATE etl_report.runs SET published_at = now() - interval '27 hours'")
    exit_status, out, err = run("--app", "invented")
    assert exit_status == 1
    assert "over 27 h, want 26 h" in out
    assert err.startswith("error: invented: its data is of a backup from before ")


def test_an_origin_whose_clock_is_ahead_gives_data_of_now(place: Place, run: Run) -> None:
    place.in_target(history())
    record(place, "invented", "-10 minutes")
    exit_status, out, err = run("--app", "invented")
    assert (exit_status, err) == (0, "")
    assert "  0 min  " in out


def test_the_history_may_have_another_schema(place: Place, run: Run) -> None:
    place.in_target(history("the History"))
    place.in_target(
        RECORDED.replace("etl_report", '"the History"').format(app="invented", schema="s", age="1h", rows=1, kind="full")
    )
    assert "invented (schema s)" in run("--report-schema", "the History")[1]


def test_a_history_of_somebody_else_is_not_read(place: Place, run: Run) -> None:
    """A view of another role's would run that role's functions with the rights of the ETL's."""
    place.in_target(
        "CREATE SCHEMA etl_report; CREATE TABLE public.called (); "
        "CREATE FUNCTION public.evil() RETURNS text LANGUAGE plpgsql AS "
        "$$ BEGIN DROP TABLE public.called; RETURN 'invented'; END $$; "
        "CREATE VIEW etl_report.runs AS SELECT 1::int8 AS id, evil() AS app, 's' AS schema, now() AS snapshot_at, "
        "now() AS published_at, 1 AS rows, 1 AS bytes, 1 AS seconds, 'full' AS kind, '1' AS version, 0 AS warnings",
        superuser=True,
    )
    exit_status, out, err = run()
    assert (exit_status, out) == (1, "")
    assert err.startswith("error: target: table etl_report.runs was not made by runs of this role: ")
    assert place.read("SELECT count(*) FROM public.called", as_="superuser") == [(0,)]


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TRIGGER t BEFORE UPDATE ON etl_report.runs EXECUTE FUNCTION tsvector_update_trigger()",
        "CREATE TABLE public.mine (run bigint REFERENCES etl_report.runs)",
        "CREATE TABLE public.child () INHERITS (etl_report.runs); INSERT INTO public.child (id, app, schema, published_at, "
        "rows, bytes, seconds, kind, version, warnings) VALUES (9, 'invented', 'invented', now(), 7, 1, 1, 'full', '1', 0)",
        "ALTER TABLE etl_report.runs ENABLE ROW LEVEL SECURITY",
        "DROP TABLE etl_report.tables; CREATE VIEW etl_report.tables AS SELECT 1 AS run",
    ],
)
def test_what_stops_runs_from_writing_the_history_stops_nobody_from_reading_it(
    statement: str, place: Place, run: Run
) -> None:
    place.in_target(history())
    record(place, "invented", "2 hours")
    place.in_target(statement, superuser=True)
    exit_status, out, err = run("--app", "invented")
    assert (exit_status, err) == (0, "")
    assert "  1,200  " in out


def test_rows_that_a_policy_hides_from_the_history_are_an_error(place: Place, run: Run) -> None:
    place.in_target(history())
    record(place, "invented", "2 hours")
    place.in_target("ALTER TABLE etl_report.runs ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY", superuser=True)
    exit_status, out, err = run("--app", "invented")
    assert (exit_status, out) == (1, "")
    assert err.startswith("error: target: reading the history of runs in schema etl_report failed: ")
    assert "row-level security" in err


def test_as_json_every_app_has_the_same_keys_and_times_are_in_iso(place: Place, run: Run) -> None:
    place.in_target(history())
    record(place, "invented", "2 hours")
    exit_status, out, err = run("--json")
    assert exit_status == 1
    said = json.loads(out)
    assert said.keys() == {"at", "apps", "warnings"}
    invented, monthly = said["apps"]
    assert invented.keys() == monthly.keys()
    assert abs(datetime.fromisoformat(invented["snapshot_at"]) - datetime.now(UTC) + timedelta(hours=2)) < timedelta(
        minutes=5
    )
    assert invented["age_seconds"] >= 7200
    assert {name: invented[name] for name in ("app", "problem", "rows", "bytes", "seconds", "kind", "warnings")} == {
        "app": "invented",
        "problem": None,
        "rows": 1200,
        "bytes": 5000,
        "seconds": 61.5,
        "kind": "refresh",
        "warnings": 2,
    }
    assert (monthly["rows"], monthly["limit_seconds"]) == (None, 770 * 3600)
    assert err == f"error: {monthly['problem']}\n"


@pytest.mark.parametrize(
    ("arguments", "changed", "message"),
    [
        (
            ["--app", "none"],
            {},
            "error: unknown app none: known apps: invented, monthly, of prefect.yaml and of the target's",
        ),
        (
            [],
            {"ETL_DB_URL": ""},
            "error: missing variable ETL_DB_URL: want the URL of the target, or PREFECT_API_URL for the",
        ),
    ],
)
def test_a_usage_error_is_one_line(
    arguments: list[str], changed: dict[str, str], message: str, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in changed.items():
        monkeypatch.setenv(name, value)
    exit_status, out, err = run(*arguments)
    assert (exit_status, out) == (2, "")
    assert err.startswith(message)
    assert len(err.splitlines()) == 1


def test_a_target_that_refuses_is_one_line_without_the_password(
    place: Place, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ETL_DB_URL", place.target_server.url(place.name, "nobody", PASSWORD))
    exit_status, out, err = run()
    assert (exit_status, out) == (1, "")
    assert err.startswith("error: target: can't connect: ")
    assert len(err.splitlines()) == 1
    assert PASSWORD not in err


def test_from_the_target_alone_prefect_is_not_even_imported(place: Place) -> None:
    look = (
        "import sys; from flows import status; status.main(['--app', 'rdvs']); "
        "print(sorted({name.partition('.')[0] for name in sys.modules} & {'prefect', 'httpx', 'pydantic'}))"
    )
    place.in_target(history())
    record(place, "rdvs", "1 hour")
    environment = variables({"ETL_DB_URL": place.target_url})
    said = subprocess.run([sys.executable, "-c", look], cwd=OWN, env=environment, capture_output=True, text=True, check=True)
    assert said.stderr == ""
    assert said.stdout.splitlines()[-1] == "[]"


# With a Prefect server.


@pytest.fixture
def runs(server: PrefectServer, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Return a function that has the server know a run, in a state as of now or scheduled; it knows none before."""
    monkeypatch.setenv("PREFECT_API_URL", server.url)
    flow = server.ask("POST", "flows/", {"name": "etl"})["id"]
    for known in server.ask("POST", "flow_runs/filter", {"flows": {"name": {"any_": ["etl"]}}}):
        server.ask("DELETE", f"flow_runs/{known['id']}")

    def add(
        app: str,
        state: str,
        minutes: int = 0,
        *,
        name: str = "",
        message: str = "",
        of: str | None = None,
        **parameters: str | bool,
    ) -> None:
        at = (datetime.now(UTC) + timedelta(minutes=minutes)).isoformat()
        wanted: dict[str, Any] = {"type": state, "name": name or state.title(), "message": message}
        if state == "SCHEDULED":
            wanted["state_details"] = {"scheduled_time": at}
        body = {"flow_id": flow, "name": f"{app} {at}", "parameters": {"app": app, **parameters}, "state": wanted}
        server.ask("POST", "flow_runs/", {**body, "deployment_id": of})

    return add


@pytest.fixture
def deployed(server: PrefectServer, runs: Callable[..., None]) -> Iterator[Callable[..., str]]:
    """Return a function that deploys an app, and returns the deployment's id; it is gone after the test."""
    made: list[str] = []

    def deploy(app: str, *, active: bool, paused: bool = False, **parameters: str) -> str:
        body = {"name": app, "flow_id": server.ask("POST", "flows/", {"name": "etl"})["id"], "paused": paused}
        # in ten years, so that the server schedules no run meanwhile
        schedule = {"schedule": {"interval": 3e8, "anchor_date": "2099-01-01T00:00:00Z"}, "active": active}
        body |= {"parameters": {"app": app, **parameters}, "schedules": [schedule]}
        made.append(server.ask("POST", "deployments/", body)["id"])
        return made[-1]

    yield deploy
    for deployment in made:
        server.ask("DELETE", f"deployments/{deployment}")


def test_a_prefect_server_adds_the_next_run_the_one_under_way_and_the_last_failure(
    place: Place, run: Run, runs: Callable[..., None]
) -> None:
    place.in_target(history())
    record(place, "invented", "2 hours")
    runs("invented", "SCHEDULED", 600)
    runs("invented", "SCHEDULED", 60)
    runs("invented", "FAILED", message="an older one")
    runs("invented", "FAILED", message="origin invented: can't connect: time-out\nand a second line")
    runs("invented", "FAILED", message="of a trial", schema="trial")
    runs("monthly", "CRASHED", message="before the last success", schema="seldom")
    record(place, "monthly", "1 second", schema="seldom")  # published in a minute
    runs("monthly", "RUNNING", schema="seldom")
    exit_status, out, err = run()
    assert (exit_status, err) == (0, "")
    head, invented, monthly = out.splitlines()
    assert head.endswith("last failure")
    assert invented.endswith(" Failed: origin invented: can't connect: time-out")
    assert monthly.endswith("–")
    assert "  running since " in monthly
    first, second = json.loads(run("--json")[1])["apps"]
    assert abs(datetime.fromisoformat(first["next_run_at"]) - datetime.now(UTC) - timedelta(minutes=60)) < timedelta(
        minutes=5
    )
    assert (first["next_run_is_late"], first["running_since"], second["next_run_at"]) == (False, None, None)
    assert first["last_failure"]["state"] == "Failed"
    assert first["last_failure"]["reason"] == "origin invented: can't connect: time-out"
    assert second["last_failure"] is None
    assert second["running_since"]


@pytest.mark.parametrize(
    ("state", "moment"),
    [("SCHEDULED", lambda run: run["next_run_at"]), ("FAILED", lambda run: run["last_failure"]["reason"])],
)
def test_an_app_that_runs_often_hides_no_run_of_one_that_runs_seldom(
    state: str,
    moment: Callable[[dict[str, Any]], str],
    place: Place,
    run: Run,
    runs: Callable[..., None],
    deployed: Callable[..., str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(asked, "_PAGE", 3)
    often, seldom = deployed("invented", active=True), deployed("monthly", active=True, schema="seldom")
    runs("monthly", state, 6000, message="the cause", schema="seldom", of=seldom)
    for hours in range(1, 5):
        runs("invented", state, 60 * hours, message="another", of=often)
    first, second = json.loads(run("--json")[1])["apps"]
    assert moment(first)
    assert moment(second)


def test_an_app_that_was_never_published_and_whose_schedule_is_off_is_shown_and_not_judged(
    place: Place, run: Run, runs: Callable[..., None], deployed: Callable[..., str]
) -> None:
    place.in_target(history())
    record(place, "invented", "2 hours")
    deployed("invented", active=True)
    assert run()[0] == 1  # no deployment says that the monthly one is off
    deployed("monthly", active=False, schema="seldom")
    exit_status, out, err = run()
    assert (exit_status, err) == (0, "")
    (line,) = [line for line in out.splitlines() if line.startswith("monthly")]
    assert " never " in line
    assert "  schedule off  " in line
    assert [each["limit_seconds"] for each in json.loads(run("--json")[1])["apps"]] == [26 * 3600, None]
    record(place, "monthly", "800 hours", schema="seldom")  # what was published is expected to stay new
    assert run()[0] == 1


@pytest.mark.parametrize(("active", "paused"), [(True, True), (True, False)])
def test_an_app_whose_schedule_is_on_is_judged_before_it_was_ever_published_and_one_that_is_paused_is_not(
    active: bool, paused: bool, place: Place, run: Run, runs: Callable[..., None], deployed: Callable[..., str]
) -> None:
    place.in_target(history())
    deployed("invented", active=active, paused=paused)
    assert run("--app", "invented")[0] == (0 if paused else 1)


def test_a_run_that_should_have_started_is_late(place: Place, run: Run, runs: Callable[..., None]) -> None:
    place.in_target(history())
    record(place, "invented", "2 hours")
    runs("invented", "SCHEDULED", -45, name="Late")
    runs("invented", "SCHEDULED", 600)
    assert "  late since " in run("--app", "invented")[1]


def test_without_a_history_the_servers_last_success_tells_which_failure_is_of_before(
    run: Run, runs: Callable[..., None]
) -> None:
    runs("invented", "FAILED", message="of before")
    runs("invented", "COMPLETED")
    runs("monthly", "COMPLETED", schema="seldom")
    runs("monthly", "CRASHED", message="killed", schema="seldom")
    runs("monthly", "COMPLETED", name="Checked", schema="seldom", check=True)
    out = run()[1]
    assert "of before" not in out
    assert "Crashed: killed" in out


def test_the_targets_url_may_be_in_the_servers_block(
    place: Place, run: Run, monkeypatch: pytest.MonkeyPatch, server: PrefectServer
) -> None:
    monkeypatch.setenv("PREFECT_API_URL", server.url)
    monkeypatch.delenv("ETL_DB_URL")
    register.register({"ETL_DB_URL": place.target_url})
    place.in_target(history())
    record(place, "invented", "2 hours")
    exit_status, out, _ = run("--app", "invented")
    assert exit_status == 0
    assert "1,200" in out


@pytest.mark.slow
@pytest.mark.parametrize("way", ["away", "no API"])
def test_a_prefect_server_that_gives_no_answer_is_one_line_and_the_targets_part_is_shown(
    way: str, place: Place, server: PrefectServer
) -> None:
    place.in_target(history())
    record(place, "rdvs", "2 hours")
    url = f"http://127.0.0.1:{free_port()}/api" if way == "away" else server.url.replace("/api", "/nothing")
    said = subprocess.run(
        [sys.executable, "-m", "flows.status", "--app", "rdvs"],
        cwd=OWN,
        env=variables({"ETL_DB_URL": place.target_url, "PREFECT_API_URL": url}),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (said.returncode, len(said.stderr.splitlines())) == (0, 1), said.stderr
    assert said.stderr.startswith("warning: the Prefect server of PREFECT_API_URL")
    assert "1,200" in said.stdout
    assert "next run" not in said.stdout


def test_a_prefect_server_that_is_silent_is_given_up_soon(
    place: Place, run: Run, monkeypatch: pytest.MonkeyPatch, server: PrefectServer
) -> None:
    monkeypatch.setattr(asked, "_PATIENCE", 0.5)
    place.in_target(history())
    record(place, "invented", "2 hours")
    with proxied(int(server.url.split(":")[2].split("/")[0])) as proxy:
        proxy.stall()
        url = proxy.url(server.url)
        monkeypatch.setenv("PREFECT_API_URL", url)
        with temporary_settings({PREFECT_API_URL: url}):
            exit_status, out, err = run("--app", "invented")
    assert exit_status == 0
    assert err.startswith("warning: the Prefect server of PREFECT_API_URL does not answer")
    assert "1,200" in out
