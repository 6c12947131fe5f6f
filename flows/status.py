"""Show how old the data of each app is, when it runs next and why it failed last: `python -m flows.status`."""

import argparse
import json
import os
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from blocks import urls
from flows.apps import SILENCE, App, known_apps
from multischema import command
from multischema.catalog.objects import RecordedRun
from multischema.errors import EtlError, UsageError
from multischema.job import Job
from multischema.postgres.database import Database
from multischema.postgres.history import last_runs
from multischema.words import escaped, seconds

if TYPE_CHECKING:  # Prefect takes seconds to import, and is asked only if there is a server
    from flows.runs import Runs

_HEAD = ("app", "data as of (UTC)", "age", "published (UTC)", "rows", "took")
_HEAD_OF_RUNS = ("next run (UTC)", "last failure")
_NONE = "–"


@dataclass(frozen=True)
class Status:
    """One published schema of an app: the last run in the target's history, and what the Prefect server knows.

    `limit` is how old its data may be, None if nobody expects it to be new: no entry of prefect.yaml publishes it, or it was
    never published and its schedule is off.
    """

    app: str
    schema: str
    limit: timedelta | None
    recorded: RecordedRun | None
    runs: "Runs | None"

    def age(self, now: datetime) -> timedelta | None:
        """Return how old the published data is, or at least is."""
        return max(now - self.recorded.as_of, timedelta(0)) if self.recorded else None

    def problem(self, now: datetime) -> str | None:
        """Return what is wrong with it: too old, never published, or gone."""
        if self.limit is None:
            return None
        wanted = f"want at most {_hours(self.limit)}: start a run once the cause of the last failure is gone"
        if not self.recorded:
            return f"{self.app}: no run is recorded that published schema {self.schema}; {wanted}"
        if not self.recorded.is_there:
            return f"{self.app}: schema {self.schema} is not in the target any more; start a run"
        age = self.age(now)
        if age and age > self.limit:
            known = "as of" if self.recorded.snapshot_at else "of a backup from before"
            return f"{self.app}: its data is {known} {_time(self.recorded.as_of)} UTC, {_hours(age)} ago; {wanted}"
        return None

    @property
    def failed(self) -> Any:
        """Return the last failure since the last success, None if there was none."""
        failure = self.runs.failure if self.runs else None
        published = self.recorded.published_at if self.recorded else self.runs.completed_at if self.runs else None
        return failure if failure and (not published or failure.at > published) else None


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status: 0 all is as new as it should be, 1 something is not, 2 a usage error."""
    parser = argparse.ArgumentParser(
        prog="python -m flows.status",
        description="Show how old the data of each app is, when it runs next and why it failed last.",
        epilog="The target is that of ETL_DB_URL, or of the Secret block etl-db-url. With PREFECT_API_URL, that Prefect "
        "server is asked too. Both come from the environment or .env. Exit status: 0, or 1 if the data of an app is older "
        "than `silence` in prefect.yaml says.",
    )
    parser.add_argument("--app", action="append", metavar="NAME", help="an app, and no other; may be given several times")
    parser.add_argument(
        "--report-schema",
        metavar="NAME",
        default=Job.report_schema,
        help=f"the target's schema with the history of runs (default: {Job.report_schema})",
    )
    parser.add_argument("--json", action="store_true", help="print JSON, with times in ISO 8601 and durations in seconds")
    given = parser.parse_args(arguments)
    return command.ended(lambda: _tell(given, os.environ, datetime.now(UTC)))


def _tell(given: argparse.Namespace, environment: Mapping[str, str], now: datetime) -> None:
    """Print the apps' status. Raises EtlError with a line for each that is not as it should be."""
    target = Database("target", "", _target_url(environment))
    recorded = last_runs(target, given.report_schema)
    notes = [] if recorded is not None else [f"nothing recorded yet: the target has no table {given.report_schema}.runs"]
    runs: Mapping[tuple[str, str], Runs] | None = None
    if environment.get("PREFECT_API_URL"):
        from flows.runs import read_runs

        try:
            runs = read_runs()
        except EtlError as error:
            notes += error.problems
    found = list(_gathered(known_apps(), recorded or (), runs, given.app or ()))
    if given.json:
        print(
            json.dumps({"at": now.isoformat(), "apps": [_as_json(each, now) for each in found], "warnings": notes}, indent=2)
        )
    else:
        print("\n".join(_lines(found, now, with_runs=runs is not None)))
    print("".join(f"warning: {escaped(note)}\n" for note in notes), end="", file=sys.stderr, flush=True)
    if problems := [problem for each in found if (problem := each.problem(now))]:
        raise EtlError(*problems)


def _target_url(environment: Mapping[str, str]) -> str:
    """Return the target's URL, from the environment or else from its Secret block. Raises EtlError."""
    if url := environment.get(urls.TARGET_VARIABLE):
        return url
    if not environment.get("PREFECT_API_URL"):
        raise UsageError(
            f"missing variable {urls.TARGET_VARIABLE}: want the URL of the target, or PREFECT_API_URL for the Secret block "
            f"{urls.TARGET}"
        )
    from blocks.server import answering

    with answering():
        return urls.load(urls.TARGET)


def _gathered(
    known: Mapping[str, App],
    recorded: Sequence[RecordedRun],
    runs: "Mapping[tuple[str, str], Runs] | None",
    wanted: Collection[str],
) -> Iterator[Status]:
    """Give the apps of prefect.yaml and those of the history, by name. Raises UsageError for one that is neither."""
    history = {(run.app, run.schema): run for run in recorded}
    limits = {(app.name, app.schema or app.name): timedelta(hours=app.silence) for app in known.values()}
    if not known:  # where no prefect.yaml is installed, the history says which apps there are
        limits = dict.fromkeys(history, timedelta(hours=SILENCE))
    names = {app for app, _ in (*history, *limits)}
    if unknown := sorted(set(wanted) - names):
        raise UsageError(
            f"unknown app {', '.join(unknown)}: known apps: {', '.join(sorted(names)) or 'none'}, of prefect.yaml and of "
            "the target's history"
        )
    for key in sorted(history.keys() | limits.keys()):
        if not wanted or key[0] in wanted:
            known_runs = runs.get(key) if runs else None
            # whoever has the URL of one app alone gets the deployments of all, with the schedules of the others off
            waits = key in history or not known_runs or known_runs.scheduled is not False
            yield Status(*key, limits.get(key) if waits else None, history.get(key), known_runs)


# As a table.


def _lines(found: Sequence[Status], now: datetime, *, with_runs: bool) -> Iterator[str]:
    """Give the lines of the table, one for each app."""
    rows = [(*_HEAD, *(_HEAD_OF_RUNS if with_runs else ()))]
    rows += [tuple(map(escaped, (*_cells(each, now), *(_cells_of_runs(each) if with_runs else ())))) for each in found]
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def _cells(status: Status, now: datetime) -> tuple[str, ...]:
    name = status.app if status.schema == status.app else f"{status.app} (schema {status.schema})"
    run, age = status.recorded, status.age(now)
    if not run or age is None:
        return (name, "never", *4 * (_NONE,))
    shown = _hours(age) if run.snapshot_at else f"over {_hours(age)}"
    if status.limit is not None and age > status.limit:
        shown += f", want {_hours(status.limit)}"
    published = _time(run.published_at) if run.is_there else "gone"
    return (
        name,
        _time(run.snapshot_at) if run.snapshot_at else "unknown",
        shown,
        published,
        f"{run.rows:,}",
        f"{seconds(run.seconds)}, {run.kind}",
    )


def _cells_of_runs(status: Status) -> tuple[str, str]:
    runs, failure = status.runs, status.failed
    if runs and runs.running_since:
        following = f"running since {_time(runs.running_since)}"
    elif runs and runs.next_at:
        following = f"{'late since ' if runs.late else ''}{_time(runs.next_at)}"
    elif runs and runs.scheduled is False:
        following = "schedule off"
    else:
        following = _NONE
    return following, f"{_time(failure.at)} {failure.state}: {failure.reason}" if failure else _NONE


def _time(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M}"


def _hours(duration: timedelta) -> str:
    """Return a duration in minutes, hours or days, as whole ones that have passed."""
    minutes = int(duration.total_seconds() // 60)
    if minutes < 60:
        return f"{minutes} min"
    return f"{minutes // 60} h" if minutes < 96 * 60 else f"{minutes // 1440} days"


# As JSON.


def _as_json(status: Status, now: datetime) -> dict[str, Any]:
    """Return what a program reads: a key without a value is there all the same."""
    run, runs, failure, age = status.recorded, status.runs, status.failed, status.age(now)
    return {
        "app": status.app,
        "schema": status.schema,
        "problem": status.problem(now),
        "snapshot_at": _iso(run.snapshot_at if run else None),
        "age_seconds": round(age.total_seconds()) if age is not None else None,
        "limit_seconds": round(status.limit.total_seconds()) if status.limit is not None else None,
        "published_at": _iso(run.published_at if run else None),
        "rows": run.rows if run else None,
        "bytes": run.bytes if run else None,
        "seconds": run.seconds if run else None,
        "kind": run.kind if run else None,
        "version": run.version if run else None,
        "warnings": run.warnings if run else None,
        "next_run_at": _iso(runs.next_at if runs else None),
        "next_run_is_late": runs.late if runs else None,
        "running_since": _iso(runs.running_since if runs else None),
        "last_failure": {"at": _iso(failure.at), "state": failure.state, "reason": failure.reason} if failure else None,
    }


def _iso(moment: datetime | None) -> str | None:
    return moment.astimezone(UTC).isoformat() if moment else None


if __name__ == "__main__":
    sys.exit(main())
