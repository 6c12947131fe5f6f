"""What a run would take, for a check to say: bytes to read, room in the target, seconds by the last run."""

from contextlib import suppress

from multischema.catalog.objects import Size
from multischema.errors import EtlError
from multischema.plan.plan import Plan
from multischema.postgres.failures import translated
from multischema.postgres.questions import ask
from multischema.stages import history
from multischema.stages.run import Run
from multischema.words import count, escaped, seconds, size, some


def estimate(run: Run, plan: Plan) -> list[str]:
    """Return what can be known before a run, in lines: a server does not tell how much room its disk has left."""
    with run.sessions.lend(run.target) as connection, translated("target", "reading the sizes of tables"):
        published = sum(table.bytes or 0 for table in ask(connection, Size, "sizes", schema=run.job.schema))
    # what stands beside yesterday's schema until they are swapped is about as big; nothing is known before the first run
    # but the origin's tables. Mode dump has these in the target a second time, raw
    room = max(published, plan.bytes) + (plan.bytes if run.job.restores else 0)
    return [
        f"to read: about {size(plan.bytes)} in {count(len(plan.copied), 'table')}",
        f"a full run needs about {size(room)} in the target while it builds",
        *_judged(plan),
        *_last(run),
    ]


def _judged(plan: Plan) -> list[str]:
    """Return whose k_anonymity only a run can judge, once it has their masked rows."""
    gated = [table.name for table in plan.copied if table.k_anonymity]
    return [f"judged before a run publishes: k_anonymity of {some(gated)}"] if gated else []


def _last(run: Run) -> list[str]:
    """Return how long the last run of the app took, if the target has the history of its runs."""
    # it is for people only, and a history of another version may lack a column
    with suppress(EtlError), run.sessions.lend(run.target) as connection:
        if last := history.last(connection, run.job):
            return [f"the last run took {seconds(last.seconds)} ({escaped(last.kind)})"]
    return []
