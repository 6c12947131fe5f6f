"""Check an app's rules against its origin, for an app's CI: `python -m flows.rules check --rules anonymizer.yml`."""

import argparse
import os
from collections.abc import Iterable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, replace

from blocks import pseudonym_key, urls
from flows.apps import READER_VARIABLE
from flows.rules import given as options
from flows.rules import saying
from flows.rules.given import Given
from multischema import command, core_files, download, report
from multischema.errors import EtlError, Snippet, UsageError
from multischema.job import JOBS, Job
from multischema.plan.drops import unknown_problems
from multischema.plan.plan import Plan
from multischema.plan.scan import proof
from multischema.postgres.connecting import ways
from multischema.postgres.database import Database
from multischema.rules import expected, file
from multischema.rules.expected import Told
from multischema.stages import preconditions
from multischema.stages.check import check
from multischema.stages.estimate import estimate
from multischema.stages.origin import read_origin, server_warnings
from multischema.stages.run import new_run_id, open_run
from multischema.words import count, escaped

_WITHOUT_TARGET = f"no {urls.TARGET_VARIABLE}: what the target lacks, refuses or shows to its readers was not checked"


@dataclass(frozen=True)
class _Found:
    """What a check found: lines for each finding, and to paste; the plan where there is one; what a run would take."""

    lines: Sequence[str]
    plan: Plan | None = None
    taken: Sequence[str] = ()


def main(arguments: Sequence[str] | None = None, prog: str = "python -m flows.rules check") -> int:
    """Run the command; return its exit status: 0 nothing is wrong, 1 something is, 2 a usage error."""
    parser = options.parser(prog, "Check an app's rules against its origin. Nothing is written.")
    saying.add_format(parser)
    parser.epilog = options.epilog(
        said="ORIGIN_DB_URL, or the app's own variable, has the URL of the origin. With the target's in "
        f"{urls.TARGET_VARIABLE}, and the reader in {READER_VARIABLE}, it checks all that a run does.",
        failed="anything is wrong",
    )
    parsed = parser.parse_args(arguments)
    return command.ended(lambda: _tell(parsed, os.environ))


def _tell(parsed: argparse.Namespace, environment: MutableMapping[str, str]) -> int:
    """Check, and say what was found; return the exit status. Raises UsageError."""
    target_url = environment.get(urls.TARGET_VARIABLE, "")
    given = options.given(parsed, environment, named=bool(target_url))
    job = _job(given, environment, has_target=bool(target_url))
    try:
        text = download.fetch(given.source)
        if target_url:
            urls.give({urls.TARGET: target_url, **_key(environment)})
            found = _with_target(given, job, text, Database("target", job.app, target_url))
        else:
            found = _origin_alone(given, job, text)
    except UsageError:
        raise
    except EtlError as error:
        found = _Found(error.problems)
    summary = _summary(job.app, found, has_target=bool(target_url))
    facts = {"app": job.app, "checked": {"target": bool(target_url), **_numbers(found.plan)}}
    saying.show(saying.said(found.lines, parsed.format, given.source, summary=summary, facts=facts))
    return int(saying.is_wrong(found.lines))


def _job(given: Given, environment: Mapping[str, str], *, has_target: bool) -> Job:
    """Return the job of a run of the app, by prefect.yaml and the environment. Raises UsageError for what is missing."""
    app, reader = given.app, environment.get(READER_VARIABLE, "")
    if has_target:
        urls.origin_block(app.name)
        if not reader:
            raise UsageError(
                f"missing variable {READER_VARIABLE}: want the role that Metabase reads with, as {urls.TARGET_VARIABLE} "
                f"names a target; or set {urls.TARGET_VARIABLE} to nothing, to check against the origin alone"
            )
    parameters = {
        "jobs": JOBS,
        **app.other_parameters(environment),
        "app": app.name,
        "schema": app.schema or app.name,
        "origin_schema": given.schema,
        "reader": reader,
        "schema_reader": app.schema_readers(environment) if has_target else [],
        "lock_wait": 0,
        "from_dump": "",
    }
    return Job.of(parameters, new_run_id(), new_run_id())


def _key(environment: MutableMapping[str, str]) -> dict[str, str]:
    """Return the block of the pseudonym key that the environment has; no program that is started from here on has it."""
    key = environment.pop(pseudonym_key.VARIABLE, "")
    if key:
        core_files.forbid()
    return {pseudonym_key.BLOCK: key} if key else {}


def _with_target(given: Given, job: Job, text: bytes, target: Database) -> _Found:
    """Check all that a run does. Raises EtlError."""
    with open_run(job, given.origin, target, find_key=pseudonym_key.load) as run:
        plan = check(run, text, lock=False)
        assert plan.scanned  # by the check
        said = [*estimate(run, plan), report.scanned(job.app, plan.scanned), proof(plan.scanned.looked)]
        return _found((), plan.told(plan.scanned.of("note")), plan, filter(None, said))


def _origin_alone(given: Given, job: Job, text: bytes) -> _Found:
    """Check what needs no target. Raises EtlError where the rules are none, or the origin can't be read."""
    rules, side = file.parse(text), given.origin.side
    with given.opened("check") as connection:
        origin = read_origin(
            connection, given.origin, given.schema, rules, dumps=job.dumps, all_indexes=job.indexes == "all"
        )
        unverified = preconditions.unverified(side, *ways(connection))
    # a note, as a CI reaches its origin another way than a run does
    notes = [unverified.at("note")] if unverified else []
    plan = origin.plan
    if not plan:
        return _found(origin.problems, expected.told([*origin.gaps.remarks, *notes], rules.expected))
    notes += [
        *server_warnings(side, origin.server, plan, job),
        *expected.past(plan.expected, plan.warnings, expected.OF_ORIGIN),
    ]
    plan = replace(plan, warnings=(*plan.warnings, *notes))
    return _found([*origin.problems, *unknown_problems(job, plan.columns)], plan.told(), plan)


def _found(problems: Iterable[str], told: Told, plan: Plan | None = None, taken: Iterable[str] = ()) -> _Found:
    """Return what was found, with the warnings that are expected in one line."""
    return _Found([*problems, *told.warnings, *told.notes], plan, [*taken, *filter(None, [told.expected_line()])])


def _summary(app: str, found: _Found, *, has_target: bool) -> str:
    """Return what was checked, in one line that no name in it can break."""
    name = app or "the rules"
    if found.plan and not saying.is_wrong(found.lines):
        return escaped(
            "; ".join([report.checked(name, found.plan), *found.taken, *(() if has_target else [_WITHOUT_TARGET])])
        )
    errors, warnings = (saying.number(found.lines, level) for level in ("error", "warning"))
    told = [f"checked {name}: {count(errors, 'error')}, {count(warnings, 'warning')}", *found.taken]
    if any(isinstance(line, Snippet) for line in found.lines):
        told.append("paste the snippet and decide, or let rules draft --add guess")
    return escaped("; ".join(told))


def _numbers(plan: Plan | None) -> dict[str, int]:
    """Return what a run would publish, in numbers; nothing without a plan."""
    if not plan:
        return {}
    return {
        "tables": len(plan.copied),
        "truncated": len(plan.tables) - len(plan.copied),
        "masked_columns": sum(len(table.masked) for table in plan.copied),
        "indexes": len(plan.keys.indexes),
    }
