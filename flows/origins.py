"""The origin of an app, for the commands that only read it."""

import argparse
from collections.abc import Mapping
from contextlib import suppress

from blocks import urls
from multischema.errors import DatabaseError, UsageError
from multischema.postgres.database import Database


def parser(prog: str, description: str) -> argparse.ArgumentParser:
    """Return a parser with the options that name an origin."""
    made = argparse.ArgumentParser(prog=prog, description=description)
    made.add_argument("--app", metavar="NAME", help="the app (default: APP)")
    made.add_argument(
        "--origin-schema", metavar="NAME", help="the schema of the origin (default: the app's in prefect.yaml, else public)"
    )
    return made


def origin_of(app: str | None, environment: Mapping[str, str], *, named: bool = False) -> Database:
    """Return the origin of the app, by default APP, from the environment. Raises UsageError.

    Where no app is named, and none must be, it is the one of ORIGIN_DB_URL.
    """
    name = app or environment.get("APP", "")
    if named and not name:
        raise UsageError("no app: want --app, or APP in the environment")
    variable = urls.origin_variable(name)
    if not environment.get(variable):
        whose = name or "or --app, for an app with a variable of its own"
        raise UsageError(f"missing variable {variable}: want the URL of the origin{' ' if name else ', '}{whose}")
    if foreign := urls.foreign_origin(name, environment.get("APP")):
        raise UsageError(foreign)
    return Database("origin", name, environment[variable])


def refuse_as_target(app: str, target: Database) -> None:
    """Raise UsageError if the target's URL is the app's own database: publishing a backup never contacts the origin."""
    known = urls.find(urls.origin_block(app))
    with suppress(DatabaseError):  # the origin's URL is not used otherwise
        if known and Database("origin", app, known).place == target.place:
            host, port, database = target.place
            raise UsageError(
                f"target: the URL leads to database {database} on {host}:{port}, which is the origin {app}; "
                "check whether the two URLs are swapped"
            )


def no_table(origin: Database, schema: str) -> UsageError:
    """Return the error about a schema that is missing or empty."""
    return UsageError(
        f"{origin.side}: schema {schema} holds no table; migrate the database first, or name another with --origin-schema"
    )
