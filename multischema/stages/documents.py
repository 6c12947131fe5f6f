"""XML documents: a server built without libxml has the type, but can neither read nor write its values."""

from psycopg import errors

from multischema.findings import Finding
from multischema.plan.plan import Plan, xml_columns
from multischema.postgres.connecting import Connection
from multischema.postgres.failures import translated
from multischema.postgres.questions import query
from multischema.stages.preconditions import xml_problems


def unreadable(connection: Connection, plan: Plan) -> list[Finding]:
    """Return a line for each column of documents that the target would fail on when the first of its rows arrives."""
    columns = xml_columns(plan)
    if not columns:
        return []
    with translated("target", "looking up types"):
        try:
            query(connection, "xml")
        except errors.FeatureNotSupported:
            return xml_problems(columns)
    return []
