"""The command line: `multischema-etl --app rdvs`, with URLs from the environment or `.env`."""

import argparse
import os
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from prefect import Flow
from rich.console import Console

from blocks import metabase, pseudonym_key, urls
from flows import progress, temporary, terminal
from flows.apps import READER_VARIABLE, App, known_apps
from flows.rules.given import number
from flows.stages import found, log, say_checked
from multischema import command, core_files, download, report
from multischema.errors import UsageError
from multischema.job import Job, illegal_check
from multischema.postgres.database import Database
from multischema.stages.check import check
from multischema.stages.run import new_run_id, open_run, route
from multischema.words import escaped

_NOTHING_PUBLISHED = "nothing was published, the published schema is as it was"
# defaults that the command adds to the flow's, or replaces
_DEFAULTS = {
    "app": "APP",
    "rules": "the app's in prefect.yaml, else CONFIG_PATH",
    "schema": "the app's in prefect.yaml, else the app's name",
    "origin_schema": "the app's in prefect.yaml, else public",
    "reader": READER_VARIABLE,
    "schema_reader": "the app's in prefect.yaml and its variables",
}
_METAVARS = {"rules": "FILE_OR_URL", "from_dump": "FILE", "accept_drop": "TABLE", "schema_reader": "ROLE"}


def main(etl: Flow[..., Any], arguments: Sequence[str] | None = None, prog: str = "python -m flows.etl") -> int:
    """Run the command; return its exit status: 0 published (or checked), 1 a failed run, 2 a usage error."""
    given = parser(etl, prog).parse_args(arguments)
    display: terminal.Display | None = None

    def run() -> None:
        nonlocal display
        if os.environ.get(pseudonym_key.VARIABLE):
            core_files.forbid()
        parameters = resolve(etl, given, os.environ)
        os.environ.pop(pseudonym_key.VARIABLE, None)  # the temporary server and pg_dump need none
        if parameters["check"]:
            _check(parameters)
        else:
            with terminal.shown(Console(highlight=False)) as display, temporary.settled():
                etl(**parameters)

    def interrupted() -> str:
        published = display.published if display else ""
        return f"interrupted: {f'schema {published} was published before' if published else _NOTHING_PUBLISHED}"

    with _terminable():
        return command.ended(run, interrupted=interrupted)


def resolve(etl: Flow[..., Any], given: argparse.Namespace, environment: Mapping[str, str]) -> dict[str, Any]:
    """Return the flow's parameters and give the blocks their URLs. Raises UsageError with everything that is missing.

    The command line wins over the environment, the environment over the app's entry in prefect.yaml, and the entry over
    the flow's defaults. A command for one app never reads another app's database or rules: ORIGIN_DB_URL and CONFIG_PATH
    are for apps that have neither a variable nor an entry of their own.
    """
    said = {name: value for name, value in vars(given).items() if value != ""}
    name = said.get("app") or environment.get("APP")
    if not name:
        raise UsageError("no app: want --app, or APP in the environment")
    urls.origin_block(name)
    known = known_apps()
    app = known.get(name) or App(name, environment.get("CONFIG_PATH", ""))
    problems = []
    try:
        schema_readers = [] if "schema_reader" in said else app.schema_readers(environment)
    except UsageError as error:
        schema_readers, problems = [], [*error.problems]
    parameters = {
        **{key: shown["default"] for key, shown in etl.parameters.properties.items() if "default" in shown},
        **app.other_parameters(environment),
        "schema": app.schema or name,
        **({"origin_schema": app.origin_schema} if app.origin_schema else {}),
        "rules": app.rules,
        "reader": environment.get(READER_VARIABLE, ""),
        "schema_reader": schema_readers,
        **said,
        "app": name,
    }
    if not parameters["rules"]:
        problems.append(
            f"unknown app {name}: known apps: {', '.join(sorted(known)) or 'none'}; "
            "give another --rules, CONFIG_PATH or an entry in prefect.yaml"
        )
    foreign = urls.foreign_origin(name, environment.get("APP"))
    found, missing = _urls(name, environment, backup=bool(parameters["from_dump"]))
    problems += missing
    if parameters["from_dump"] and not foreign and environment.get(urls.origin_variable(name)):
        found[urls.origin_block(name)] = environment[urls.origin_variable(name)]  # the target must not be this database
    if contradiction := illegal_check(parameters["check"], parameters["from_dump"]):
        problems.append(contradiction)
    if foreign and not parameters["from_dump"]:
        problems.append(foreign)
    if not parameters["reader"]:
        problems.append(f"missing variable {READER_VARIABLE}: want the role that Metabase reads with")
    if problems:
        raise UsageError(*problems)
    if key := environment.get(pseudonym_key.VARIABLE):
        found[pseudonym_key.BLOCK] = key
    urls.give({**found, **_metabase(environment)})
    return parameters


def _metabase(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the block of the environment's Metabase; one that can't be told costs a warning, and no run.

    Other tools have a variable METABASE_URL too.
    """
    try:
        told = metabase.provided(environment)
    except UsageError as error:
        for problem in error.problems:
            print(f"warning: {escaped(problem)}; these variables are ignored", file=sys.stderr)
        return {}
    return {metabase.BLOCK: told} if told else {}


def _urls(app: str, environment: Mapping[str, str], *, backup: bool) -> tuple[dict[str, str], list[str]]:
    """Return the environment's URLs by block, and a problem for each missing one."""
    wanted = {urls.TARGET: (urls.TARGET_VARIABLE, "target")}
    if not backup:
        wanted = {urls.origin_block(app): (urls.origin_variable(app), f"origin {app}"), **wanted}
    found = {block: environment[variable] for block, (variable, _) in wanted.items() if environment.get(variable)}
    return found, [
        f"missing variable {variable}: want the URL of the {side}"
        for block, (variable, side) in wanted.items()
        if block not in found
    ]


@contextmanager
def _terminable() -> Iterator[None]:
    """Make SIGTERM end the command as Ctrl-C does. While the flow runs, Prefect's own handler passes it on to this one."""

    def interrupt(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _check(parameters: Mapping[str, Any]) -> None:
    """Do the work of the stages up to check, without Prefect and without the app's lock: nothing is written.

    It says what a run's log would; `flows.rules check` says the same findings for people and programs in an app's CI.
    """
    job = Job.of({**parameters, "lock_wait": 0}, new_run_id(), new_run_id())
    origin = Database("origin", job.app, urls.load(urls.origin_block(job.app)))
    target = Database("target", job.app, urls.load(urls.TARGET))
    with terminal.shown(Console(highlight=False)), open_run(job, origin, target, find_key=pseudonym_key.load) as run:
        log().info(route(job, origin, target))
        with _shown("download rules"):
            rules = download.fetch(parameters["rules"])
        log().info(report.downloaded(rules))
        with _shown("check"):
            plan = check(run, rules, lock=False)
        say_checked(job, plan)
        found(run, plan)


@contextmanager
def _shown(stage: str) -> Iterator[None]:
    """Show a stage in the terminal while it runs."""
    progress.tell(stage=stage)
    try:
        yield
    finally:
        progress.tell(stage="")


def parser(etl: Flow[..., Any], prog: str) -> argparse.ArgumentParser:
    """Return the parser: an option per parameter of the flow, with the type, choices, bounds and line of Args."""
    made = argparse.ArgumentParser(
        prog=prog,
        description="Copy an app's database into its schema of the analytics database, with every personal datum masked.",
        epilog="Databases and reader come from the environment or .env: see .env.example. "
        f"`{_rules_of(prog)}` checks, drafts and compares rules: `{_rules_of(prog)} --help`.",
        argument_default=argparse.SUPPRESS,
    )
    for name, shown in etl.parameters.properties.items():
        default = _DEFAULTS.get(name) or shown["default"]
        said = shown["description"] + (f" (default: {default})" if default not in ("", False, []) else "")
        if name == "check":
            said += f"; an old spelling of `{_rules_of(prog)} check`, which works as before"
        made.add_argument(f"--{name.replace('_', '-')}", help=said.replace("%", "%%"), **_kind(name, shown))
    return made


def _rules_of(prog: str) -> str:
    """Return how the commands for rules are called where the flow's command is called so."""
    return prog.replace("flows.etl", "flows.rules") if prog.endswith("flows.etl") else f"{prog} rules"


def _kind(name: str, shown: Mapping[str, Any]) -> dict[str, Any]:
    """Return how argparse reads a parameter with this JSON schema."""
    if shown["type"] == "boolean":
        return {"action": "store_true"}
    if shown["type"] == "array":
        return {"action": "append", "metavar": _METAVARS.get(name, "NAME")}
    if "enum" in shown:
        return {"choices": shown["enum"]}
    if shown["type"] == "integer":
        return {"metavar": "N", "type": number(shown["minimum"], shown["maximum"])}
    return {"metavar": _METAVARS.get(name, "NAME")}
