"""The stages of a run in order, without Prefect."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from multischema import download
from multischema.job import Job
from multischema.plan.plan import Plan
from multischema.postgres.copying import Copied, Snapshot
from multischema.postgres.database import Database
from multischema.stages.anonymize import anonymize, copy
from multischema.stages.check import check
from multischema.stages.clean import clean
from multischema.stages.dump import dump
from multischema.stages.index import Indexed, index
from multischema.stages.publish import publish
from multischema.stages.restore import restore
from multischema.stages.run import (
    in_parallel,
    open_run,
)
from multischema.stages.verify import verify


@dataclass(frozen=True)
class Published:
    """What a whole run did."""

    plan: Plan
    copied: dict[str, Copied]
    indexed: Indexed
    sizes: dict[str, int]
    warnings: tuple[str, ...]
    seconds: dict[str, float]
    recreated: tuple[str, ...]


def run(job: Job, rules_source: str, origin: Database, target: Database) -> Published:
    """Publish an app without Prefect: the same work on the standard library's threads."""
    seconds: dict[str, float] = {}
    notes: list[str] = []
    dumped = None
    with open_run(job, origin, target) as run:
        with timed("check", seconds):
            plan = check(run, download.fetch(rules_source))
        if job.dumps:
            with timed("dump", seconds):
                dumped = dump(run, plan)
                notes += dumped.warnings
        if job.restores:
            with timed("restore", seconds):
                plan = restore(run, plan, dumped).plan

        def copy_all(snapshot: Snapshot) -> dict[str, Copied]:
            results = in_parallel(run, lambda table: copy(run, table, snapshot.identifier), plan.copied)
            return {table.name: copied for table, copied in zip(plan.copied, results, strict=True)}

        with timed("anonymize", seconds):
            copied = anonymize(run, plan, dumped, copy_all)
        with timed("index", seconds):
            indexed = index(run, plan)
            plan = plan.without(indexed.missing)
        with timed("verify", seconds):
            sizes = verify(run, plan, {name: table.rows for name, table in copied.items()})
        with timed("publish", seconds):
            publication = publish(run, plan)
        with timed("clean", seconds):
            notes += [*publication.warnings, *clean(run)]
        return Published(plan, copied, indexed, sizes, tuple(notes), seconds, publication.recreated)


@contextmanager
def timed(stage: str, seconds: dict[str, float]) -> Iterator[None]:
    """Record how many seconds a stage took, however it ended."""
    started = time.monotonic()
    try:
        yield
    finally:
        seconds[stage] = time.monotonic() - started
