"""The history of runs that the target has, as the one who is on call asks for it."""

from collections.abc import Sequence

from multischema.catalog.objects import HistoryPlace, RecordedRun
from multischema.errors import DatabaseError
from multischema.plan.history import MARK, RUNS, TABLES
from multischema.postgres.connecting import connect, quoted_path
from multischema.postgres.database import Database
from multischema.postgres.failures import translated
from multischema.postgres.questions import ask, query


def last_runs(target: Database, schema: str) -> Sequence[RecordedRun] | None:
    """Return the last run of each published schema, None if nothing was ever recorded in this one. Raises DatabaseError.

    Somebody else's table of that name is refused: what it is may run code with this role's rights.
    """
    with connect(target, "multi-schema-postgres-etl status", quoted_path(schema)) as connection:
        with translated(target.side, f"reading the history of runs in schema {schema}"):
            (place,) = ask(
                connection, HistoryPlace, "history_place", schema=schema, reader=None, mark=MARK, runs=RUNS, tables=TABLES
            )
            if not place.runs:
                return None
            if RUNS in place.strange:
                raise DatabaseError(
                    f"target: table {schema}.runs was not made by runs of this role: want the URL that runs have, or have "
                    "its owner drop or rename it"
                )
            # a policy that hides runs, or runs code, is an error
            query(connection, "session_settings", names=["row_security"], values=["off"])
            return ask(connection, RecordedRun, "last_runs")
