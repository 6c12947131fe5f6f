"""The origin alone: what can be said of its catalog and the rules without a target, for a check in an app's CI too."""

from collections.abc import Sequence
from dataclasses import dataclass

from multischema.catalog.servers import Server
from multischema.catalog.tables import Catalog
from multischema.errors import CheckError, Snippet
from multischema.findings import Finding, on
from multischema.plan.combinations import per_problems
from multischema.plan.keys import unique_problems
from multischema.plan.plan import Plan, collations_of, make_plan, width_problems
from multischema.plan.values import cast_problems
from multischema.postgres.connecting import Connection
from multischema.postgres.database import Database
from multischema.postgres.failures import translated
from multischema.postgres.questions import read_catalog, read_server
from multischema.rules import expected
from multischema.rules.file import Rules
from multischema.rules.gaps import Gaps, compare
from multischema.stages import preconditions


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

    def planned(self) -> Plan:
        """Return the plan. Raises CheckError with every problem, and every warning that is not expected."""
        if self.problems or not self.plan:
            snippet = [line for line in self.problems if isinstance(line, Snippet)]
            warnings = expected.told(self.gaps.warnings, self.gaps.rules.expected).warnings
            raise CheckError(*(line for line in self.problems if line not in snippet), *warnings, *snippet)
        return self.plan


def read_origin(connection: Connection, database: Database, schema: str, rules: Rules) -> Origin:
    """Read the origin's catalog, and plan what the rules would publish on a target that has all it needs.

    Raises CheckError where there is nothing to read: no such schema, an unsupported server.
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
    gaps = compare(rules, catalog)
    rights = preconditions.rights_problems(side, server, catalog, gaps.rules)
    if gaps.problems:
        return Origin(server, catalog, gaps, (*rights, *gaps.problems_on(side), *gaps.snippet_lines), None)
    plan = make_plan(catalog, gaps.rules, gaps.warnings, frozenset(collations_of(catalog)))
    unfit = on(side, unfit_problems(plan))
    return Origin(server, catalog, gaps, (*rights, *cast_problems(side, plan), *unfit), plan)


def unfit_problems(plan: Plan) -> Sequence[Finding]:
    """Return what is wrong with a plan whatever the target is: masked rows too wide, keys and counts that can't be."""
    return [*width_problems(plan), *unique_problems(plan.catalog, plan.tables), *per_problems(plan)]
