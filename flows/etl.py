"""The flow `etl`: copies an app's database into its schema of the analytics database, with every personal datum masked."""

import warnings
from typing import Annotated, Literal

from prefect import flow
from pydantic import Field

from blocks import pseudonym_key, urls
from flows import sentry
from flows.logs import one_line_errors
from flows.origins import refuse_as_target
from flows.stages import opened, unsearched
from flows.states import run_name, told
from multischema.job import JOBS, Job
from multischema.postgres.database import Database
from multischema.report import Checked, Report
from multischema.stages.publish import Built
from multischema.stages.run import new_run_id

# what Prefect's UI shows for the flow and its deployments: from the docstring it would show the Args too, run together.
# A line per paragraph, because the UI breaks a line wherever the text does.
DESCRIPTION = (
    "Publishes an app's database in its schema of the analytics database, with every personal datum masked.\n\n"
    "Its stages: download rules, check, dump and restore (in mode dump), "
    "anonymize (a task `copy` per table, largest first), index, verify, publish, clean.\n\n"
    "A run that fails leaves the published schema as it was. "
    "One that publishes keeps its report: the artifact `<app>-report`."
)

one_line_errors()
# users call the parameter schema; pydantic once had a method of that name
warnings.filterwarnings("ignore", message='Field name "schema" in "EtlModel" shadows')


# the form of Prefect's UI shows each parameter's line below Args, and loses a Field's own description
@flow(name="etl", description=DESCRIPTION, flow_run_name=run_name, persist_result=False, validate_parameters=True)
@told
@sentry.told
def etl(
    app: Annotated[str, Field(pattern=urls.APP_NAME)],
    rules: Annotated[str, Field(min_length=1)],
    refresh: Literal["auto", "full"] = "auto",
    check: bool = False,
    accept_drop: tuple[str, ...] = (),
    schema: str = "",
    origin_schema: Annotated[str, Field(min_length=1)] = "public",
    reader: Annotated[str, Field(min_length=1)] = "metabase",
    schema_reader: tuple[str, ...] = (),
    jobs: Annotated[int, Field(ge=1, le=32)] = JOBS,
    lock_wait: Annotated[int, Field(ge=0, le=86400)] = 3600,
    full_every: Annotated[int, Field(ge=1, le=365)] = 7,
    drop_rows: Annotated[int, Field(ge=1, le=1000000000)] = 100,
    drop_percent: Annotated[int, Field(ge=1, le=100)] = 50,
    report_schema: Annotated[str, Field(min_length=1)] = "etl_report",
    scan: Literal["changed", "full", "off"] = "changed",
    strict_scan: bool = False,
    indexes: Literal["useful", "all"] = "useful",
    mode: Literal["stream", "dump"] = "stream",
    from_dump: str = "",
    adopt: bool = False,
    drop_dependants: bool = False,
    clear_raw: bool = False,
    keep_dump: bool = False,
) -> Report | Checked:
    """Publish an app's database, anonymized, in the stages that the README lists.

    The target's URL is in the Secret block `etl-db-url`. A run that fails leaves the published schema as it was.

    Args:
        app: The app's name; a deployment reads its database's URL from the Secret block `<app>-db-url`
        rules: https URL or path of the app's anonymizer.yml; a deployment reads files in its code's folder or RULES_FOLDER
        refresh: auto brings only what changed since the last run, where it can; full builds everything anew
        check: Stop after the check stage, which writes nothing: the log says what it found
        accept_drop: Tables that may lose more rows than drop_percent says: publish them all the same
        schema: The published schema; empty means the app's name
        origin_schema: The schema of the origin to copy
        reader: The role that Metabase connects as
        schema_reader: Other roles that may read this app's schema, and no other; one taken off the list loses its rights
        jobs: How many tables to copy, then indexes to build, at a time
        lock_wait: How many seconds to wait for another run of this app
        full_every: How many days after the last full run the next one is due
        drop_rows: A table with fewer rows than this in the last run may lose any number of them
        drop_percent: A table that loses more of its rows than this, in percent, or all of them, is not published
        report_schema: The schema of the target with the history of runs, for the reader
        scan: changed looks for personal data in columns newly published as they are, and in rows that changed; full in all
        strict_scan: Do not publish where the scan finds personal data in columns that were published as they are before, too
        indexes: useful leaves out indexes whose columns are all masked: nobody can search by them; all builds them too
        mode: stream reads the origin; dump first restores a pg_dump of it into `public` of the target, then reads that
        from_dump: Publish from this pg_dump backup on the machine that runs the flow, without contacting the origin
        adopt: Replace, once, a schema of the same name that the tool before this one made
        drop_dependants: Dangerous: drop, with a warning, what others built on the published schema if it can't be made again
        clear_raw: Dangerous: drop what others have in `public` of the target; without this, mode dump refuses to run
        keep_dump: Dangerous: keep the dump, personal data included; the next run with this option starts from it
    """
    job = Job.of(locals(), new_run_id(), new_run_id())
    target = Database("target", app, urls.load(urls.TARGET))
    if from_dump:
        refuse_as_target(app, target)
    origin = target.backup() if from_dump else Database("origin", app, urls.load(urls.origin_block(app)))
    with opened(job, origin, target, pseudonym_key.load) as stages:
        rules_text = stages.download_rules(rules)
        plan = stages.check(rules_text)
        if check:
            return stages.report_check(plan)
        if refreshed := stages.refresh(plan):
            return stages.report_refresh(plan, refreshed)
        dumped = stages.dump(unsearched(plan)) if job.dumps else None
        plan = stages.restore(unsearched(plan), unsearched(dumped)) if job.restores else plan
        copied = stages.anonymize(plan, dumped)
        indexed = stages.index(unsearched(plan))
        plan = plan.without(indexed.missing)
        rows = {name: table.rows for name, table in copied.items()}
        verified = stages.verify(unsearched(plan), unsearched(rows))
        notes = [*stages.choice.warnings, *indexed.warnings, *(dumped.warnings if dumped else ()), *verified.warnings]
        published = stages.publish(unsearched(plan), unsearched(Built(rows, verified.sizes, tuple(notes))))
        notes += [*published.warnings, *stages.clean()]
        return stages.make_report(plan, copied, indexed, verified.sizes, notes, published)


def main(prog: str) -> int:
    """Run the command line; return its exit status."""
    from flows import command_line

    return command_line.main(etl, prog=prog)


if __name__ == "__main__":
    raise SystemExit(main("python -m flows.etl"))
