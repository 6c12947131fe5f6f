"""The stages of a run in order, without Prefect."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from multischema import download
from multischema.findings import Finding
from multischema.job import Job
from multischema.plan.plan import Plan
from multischema.plan.refresh import Choice
from multischema.postgres.copying import Copied
from multischema.postgres.database import Database
from multischema.stages import refresh
from multischema.stages.anonymize import anonymize, copy_all
from multischema.stages.check import check
from multischema.stages.clean import clean
from multischema.stages.dump import dump
from multischema.stages.index import Indexed, index
from multischema.stages.publish import Built, publish
from multischema.stages.refresh import Refreshed
from multischema.stages.restore import restore
from multischema.stages.run import Run, no_key, open_run
from multischema.stages.verify import verify


@dataclass(frozen=True)
class Published:
    """What a whole run did."""

    plan: Plan
    copied: dict[str, Copied]
    indexed: Indexed
    sizes: dict[str, int]
    warnings: tuple[Finding, ...]
    seconds: dict[str, float]
    recreated: tuple[str, ...]
    choice: Choice
    refreshed: Refreshed | None = None


def run(
    job: Job, rules_source: str, origin: Database, target: Database, find_key: Callable[[], bytes] = no_key
) -> Published:
    """Publish an app without Prefect: the same work on the standard library's threads."""
    seconds: dict[str, float] = {}
    with open_run(job, origin, target, find_key=find_key) as run:
        with timed("check", seconds):
            plan = check(run, download.fetch(rules_source))
        refreshed = _refresh(run, plan, seconds)
        if isinstance(refreshed, Choice):
            return _publish_anew(run, plan, refreshed, seconds)
        with timed("clean", seconds):
            notes = [*refreshed.warnings, *clean(run)]
        brought = refreshed.brought
        copied = dict(brought.copied)
        return Published(
            plan, copied, Indexed({}, 0, ()), dict(refreshed.sizes), tuple(notes), seconds, (), brought.choice, refreshed
        )


def _refresh(run: Run, plan: Plan, seconds: dict[str, float]) -> Refreshed | Choice:
    """Bring what is published up to date, or return why the run is full."""
    with timed("anonymize", seconds):
        brought = refresh.bring(run, plan)
    if isinstance(brought, Choice):
        return brought
    with timed("publish", seconds):
        return refresh.publish(run, plan, brought)


def _publish_anew(run: Run, plan: Plan, choice: Choice, seconds: dict[str, float]) -> Published:
    """Build all of it anew beside what is published, and swap them."""
    notes = [*choice.warnings]
    dumped = None
    if run.job.dumps:
        with timed("dump", seconds):
            dumped = dump(run, plan)
            notes += dumped.warnings
    if run.job.restores:
        with timed("restore", seconds):
            plan = restore(run, plan, dumped).plan
    with timed("anonymize", seconds):
        copied = anonymize(run, plan, dumped, lambda snapshot: copy_all(run, plan.copied, snapshot))
    with timed("index", seconds):
        indexed = index(run, plan)
        plan = plan.without(indexed.missing)
    with timed("verify", seconds):
        rows = {name: table.rows for name, table in copied.items()}
        verified = verify(run, plan, rows)
        notes += verified.warnings
    with timed("publish", seconds):
        built = Built(rows, verified.sizes, (*notes, *indexed.warnings))
        publication = publish(run, plan, choice.full, built)
    with timed("clean", seconds):
        notes += [*publication.warnings, *clean(run)]
    return Published(plan, copied, indexed, verified.sizes, tuple(notes), seconds, publication.recreated, choice)


@contextmanager
def timed(stage: str, seconds: dict[str, float]) -> Iterator[None]:
    """Record how many seconds a stage took, however it ended."""
    started = time.monotonic()
    try:
        yield
    finally:
        seconds[stage] = seconds.get(stage, 0.0) + time.monotonic() - started
