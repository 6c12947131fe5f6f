"""The origin alone: what can be said of its catalog and the rules without a target, for a check in an app's CI too."""

from collections.abc import Sequence
from dataclasses import dataclass

from multischema.catalog.objects import Leaf
from multischema.catalog.servers import Server
from multischema.catalog.tables import Catalog
from multischema.errors import CheckError, Snippet
from multischema.findings import Finding, on
from multischema.job import Job
from multischema.plan.combinations import per_problems
from multischema.plan.keys import unique_problems
from multischema.plan.plan import Plan, collations_of, make_plan, published_types, width_problems
from multischema.plan.values import MONEY_DIGITS, cast_problems, has_money, money_problems
from multischema.postgres.connecting import Connection
from multischema.postgres.database import Database
from multischema.postgres.failures import translated
from multischema.postgres.questions import ask, read_catalog, read_money_digits, read_server
from multischema.rules.file import Rules
from multischema.rules.gaps import Gaps, compare
from multischema.rules.one_table import narrowed
from multischema.stages import preconditions
from multischema.stages.pseudonyms import domain_problems, domains_of
from multischema.statements import raw


@dataclass(frozen=True)
class Origin:
    """An origin and how the rules fit it. The plan is None where problems keep it from us; its warnings are in it.

    The lines of a snippet, if any, follow the problems.
    """

    server: Server
    catalog: Catalog
    gaps: Gaps
    problems: tuple[Finding | Snippet, ...]
    plan: Plan | None

    def fitted(self, side: str) -> Plan:
        """Return the plan of rules that fit, whatever else keeps a run from it. Raises CheckError where they don't."""
        if not self.plan:
            raise CheckError(*self.gaps.lines(side))
        return self.plan

    def planned(self) -> Plan:
        """Return the plan. Raises CheckError with every problem, and every warning that is not expected."""
        if self.problems or not self.plan:
            snippet = [line for line in self.problems if isinstance(line, Snippet)]
            problems = (line for line in self.problems if not isinstance(line, Snippet))
            raise CheckError(*problems, *self.gaps.unexpected, *snippet)
        return self.plan


def read_origin(
    connection: Connection,
    database: Database,
    schema: str,
    rules: Rules,
    *,
    table: str = "",
    dumps: bool = False,
    all_indexes: bool = False,
) -> Origin:
    """Read the origin's catalog, and plan what the rules would publish on a target that has all it needs.

    With `table` it is about that one alone, whatever the rules lack for the others; with `dumps`, pg_dump is to read it.
    Raises CheckError where there is nothing to read: no such schema, an unsupported server, types that are none; and
    UsageError for a table that is not there.
    """
    side = database.side
    with translated(side, "reading the catalog"):
        server = read_server(connection, schema)
        if problems := [
            *preconditions.server_problems(side, server),
            *preconditions.origin_problems(side, server, schema),
        ]:
            raise CheckError(*problems)
        catalog = read_catalog(connection, schema, all_labels=rules.has_masks)
        digits = read_money_digits(connection) if has_money(catalog) else MONEY_DIGITS
    if table:
        rules, catalog = narrowed(side, rules, catalog, table)
    if unread := preconditions.spelling_problems(side, published_types(catalog)):
        raise CheckError(*unread)
    gaps = compare(rules, catalog)
    problems = preconditions.rights_problems(side, server, catalog, gaps.rules)
    if gaps.problems:
        return Origin(server, catalog, gaps, (*problems, *gaps.problems_on(side), *gaps.snippet_lines), None)
    collations = frozenset(collations_of(catalog))
    plan = make_plan(catalog, gaps.rules, gaps.remarks, collations, raw=dumps, all_indexes=all_indexes)
    problems += domain_problems(domains_of(plan, gaps.rules))
    problems += money_problems(side, plan, digits)
    if dumps:
        with translated(side, "reading the catalog"):
            leaves = ask(connection, Leaf, "leaves", tables=[copied.oid for copied in plan.copied])
        problems += preconditions.dump_problems(side, server, leaves)
        problems += raw.problems(side, plan, [server.locale])
    else:
        problems += cast_problems(side, plan)
    problems += on(side, unfit_problems(plan))
    return Origin(server, catalog, gaps, tuple(problems), plan)


def server_warnings(side: str, server: Server, plan: Plan, job: Job) -> list[Finding]:
    """Return what may end a run midway, or keep each from being a refresh, whatever the rules are."""
    # One session holds the snapshot. pg_dump has one besides its jobs, while one that is idle is kept, as it is beside those
    # with keys
    kept = 3 if job.dumps else 2 if plan.pseudonym_domains else 1
    found = [preconditions.too_few_connections(side, server, job.jobs + kept), preconditions.impatience(side, server)]
    refreshes = job.refresh == "auto" and not job.restores
    return [*filter(None, found), *(preconditions.refresh_warnings(side, server, plan) if refreshes else ())]


def unfit_problems(plan: Plan) -> Sequence[Finding]:
    """Return what is wrong with a plan whatever the target is: masked rows too wide, keys and counts that can't be."""
    return [*width_problems(plan), *unique_problems(plan.catalog, plan.tables), *per_problems(plan)]
