"""The command line: `python -m flows.etl --app rdvs`, with URLs from the environment or `.env`."""

import argparse
import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from dotenv import load_dotenv
from rich.console import Console

from blocks import urls
from flows import temporary, terminal
from flows.apps import App, known_apps
from flows.stages import checked, downloaded, log
from multischema import download
from multischema.errors import EtlError, UsageError
from multischema.job import Job
from multischema.postgres.database import Database
from multischema.stages.check import check
from multischema.stages.run import new_run_id, open_run
from multischema.words import escaped

_NOTHING_PUBLISHED = "nothing was published, the published schema is as it was"


def main(etl: Callable[..., Any], arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status: 0 published (or checked), 1 a failed run, 2 a usage error."""
    given = _parser().parse_args(arguments)
    load_dotenv(".env")
    display: terminal.Display | None = None
    try:
        with _terminable():
            parameters = resolve(given, os.environ)
            if given.check:
                _check(parameters)
            else:
                with terminal.shown(Console(highlight=False)) as display, temporary.settled():
                    etl(**parameters)
    except EtlError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_status
    except KeyboardInterrupt:
        published = display.published if display else ""
        done = f"schema {published} was published before" if published else _NOTHING_PUBLISHED
        print(f"interrupted: {done}", file=sys.stderr)
        return 1
    return 0


def resolve(given: argparse.Namespace, environment: Mapping[str, str]) -> dict[str, Any]:
    """Return the flow's parameters, and give the URLs to the blocks. Raises UsageError with everything that is missing.

    A command for one app never reads another app's database or rules: ORIGIN_DB_URL and CONFIG_PATH are for apps that
    have neither a variable nor an entry of their own.
    """
    name = given.app or environment.get("APP")
    if not name:
        raise UsageError("no app: want --app, or APP in the environment")
    block = urls.origin_block(name)
    known = known_apps()
    app = known.get(name) or App(name, environment.get("CONFIG_PATH", ""))
    rules = given.rules or app.rules
    problems = []
    if not rules:
        problems.append(
            f"unknown app {name}: known are {', '.join(sorted(known))}; "
            "another needs --rules, or CONFIG_PATH, or an entry in prefect.yaml"
        )
    found = {}
    wanted = {urls.TARGET: urls.TARGET_VARIABLE}
    if not given.from_dump:
        wanted = {block: urls.origin_variable(name), **wanted}
    for key, variable in wanted.items():
        if environment.get(variable):
            found[key] = environment[variable]
        else:
            problems.append(
                f"missing variable {variable}: want the URL of the {'target' if key == urls.TARGET else f'origin {name}'}"
            )
    foreign = urls.foreign_origin(name, environment.get("APP"))
    if given.check and given.from_dump:
        problems.append(
            "--check writes nothing, and can't read a dump's catalog without restoring its structure: leave one out"
        )
    if foreign and not given.from_dump:
        problems.append(foreign)
    reader = environment.get("METABASE_USERNAME")
    if not reader:
        problems.append("missing variable METABASE_USERNAME: want the role that Metabase reads with")
    if problems:
        raise UsageError(*problems)
    urls.give(found)
    return {
        "app": name,
        "rules": rules,
        "schema": given.schema or app.schema or name,
        "origin_schema": given.origin_schema or app.origin_schema or "public",
        "reader": reader,
        "jobs": given.jobs,
        "mode": given.mode,
        "from_dump": given.from_dump,
        "keep_dump": given.keep_dump,
        "clear_raw": given.clear_raw,
        "indexes": given.indexes,
        "drop_dependants": given.drop_dependants,
        "adopt": given.adopt,
    }


@contextmanager
def _terminable() -> Iterator[None]:
    """Have SIGTERM end the command as Ctrl-C does. While the flow runs, Prefect's own handler sends it on to this one."""

    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _check(parameters: Mapping[str, Any]) -> None:
    """Run the stages up to check, without Prefect's server and without the app's lock: nothing is written."""
    job = Job(
        parameters["app"],
        parameters["schema"],
        parameters["origin_schema"],
        parameters["reader"],
        parameters["jobs"],
        lock_wait=0,
        id=new_run_id(),
        mode=parameters["mode"],
        keep_dump=parameters["keep_dump"],
        clear_raw=parameters["clear_raw"],
        indexes=parameters["indexes"],
        drop_dependants=parameters["drop_dependants"],
        adopt=parameters["adopt"],
    )
    origin = Database("origin", job.app, urls.load(urls.origin_block(job.app)))
    target = Database("target", job.app, urls.load(urls.TARGET))
    with terminal.shown(Console(highlight=False)), open_run(job, origin, target) as run:
        rules_text = download.fetch(parameters["rules"])
        log().info(downloaded(rules_text))
        plan = check(run, rules_text, lock=False)
        log().info(checked(job, plan))
        for warning in plan.warnings:
            log().warning(escaped(warning))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m flows.etl",
        description="Copy an app's database into its schema of the analytics database, every personal datum masked.",
        epilog="Databases and reader come from the environment or .env: see .env.example.",
    )
    parser.add_argument("--app", help="the app (default: APP)")
    parser.add_argument(
        "--rules", metavar="FILE_OR_URL", help="its rules (default: the app's in prefect.yaml, else CONFIG_PATH)"
    )
    parser.add_argument("--schema", metavar="NAME", help="the published schema (default: the app's name)")
    parser.add_argument("--origin-schema", metavar="NAME", help="the schema of the origin (default: public)")
    parser.add_argument("--jobs", metavar="N", type=_jobs, default=4, help="tables at a time (default: 4)")
    parser.add_argument(
        "--mode",
        choices=("stream", "dump"),
        default="stream",
        help="stream reads the origin; dump restores a pg_dump of it into public of the target first (default: stream)",
    )
    parser.add_argument(
        "--from-dump", metavar="FILE", default="", help="publish from a backup by pg_dump; the origin is not contacted"
    )
    parser.add_argument("--keep-dump", action="store_true", help="keep the dump; the next run with it starts from there")
    parser.add_argument("--clear-raw", action="store_true", help="drop what others have in public of the target")
    parser.add_argument(
        "--indexes",
        choices=("useful", "all"),
        default="useful",
        help="useful leaves out indexes of which every column is masked (default: useful)",
    )
    parser.add_argument(
        "--drop-dependants",
        action="store_true",
        help="drop what others built on the published schema and can't be created again on it",
    )
    parser.add_argument(
        "--adopt", action="store_true", help="replace, once, a schema of that name that the tool before this one made"
    )
    parser.add_argument("--check", action="store_true", help="stop after the check stage, write nothing")
    return parser


def _jobs(text: str) -> int:
    if text.isdecimal() and 1 <= int(text) <= 32:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r}: want a number from 1 to 32")
