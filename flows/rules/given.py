"""What all commands of this folder take: an app, its origin and its rules."""

import argparse
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from flows import origins
from flows.apps import App, known_apps
from multischema import download
from multischema.errors import UsageError
from multischema.postgres.connecting import Connection, connect
from multischema.postgres.database import Database
from multischema.rules import file
from multischema.rules.file import Rules
from multischema.stages.origin import Origin, read_origin


@dataclass(frozen=True)
class Given:
    """What the options and the environment say: the app, its origin's URL and schema, and where its rules are."""

    app: App
    origin: Database
    schema: str
    source: str

    def rules(self) -> Rules:
        """Download the rules, or read them. Raises RulesError."""
        return file.parse(download.fetch(self.source))

    @contextmanager
    def opened(self, purpose: str) -> Iterator[Connection]:
        """Open a session of the origin, which is only read; `purpose` is in its name. Raises DatabaseError."""
        with connect(self.origin, f"multi-schema-postgres-etl {purpose}") as connection:
            yield connection

    def read(self, connection: Connection, rules: Rules, *, table: str = "") -> Origin:
        """Read the origin, or one table of it, and how the rules fit it.

        Raises CheckError, and UsageError for a schema without a table, or without that table.
        """
        found = read_origin(connection, self.origin, self.schema, rules, table=table)
        if not found.catalog.tables:
            raise origins.no_table(self.origin, self.schema)
        return found


def number(least: int, most: int) -> Callable[[str], int]:
    """Return a reader of numbers within these bounds, for an option."""

    def read(text: str) -> int:
        if text.isdecimal() and least <= int(text) <= most:
            return int(text)
        raise argparse.ArgumentTypeError(f"{text!r}: want a number from {least} to {most}")

    return read


def parser(prog: str, description: str) -> argparse.ArgumentParser:
    """Return a parser with the options that name an app, its origin and its rules."""
    made = origins.parser(prog, description)
    made.add_argument(
        "--rules", metavar="FILE_OR_URL", help="the app's rules (default: the app's in prefect.yaml, else CONFIG_PATH)"
    )
    return made


def epilog(known_as: str = "", said: str = "", failed: str = "it fails") -> str:
    """Return what the help of a command ends with; `known_as` is the command that it is an old spelling of."""
    old = f"This is an old spelling of `{known_as}`, and works as before." if known_as else ""
    status = f"Exit status: 0, 1 if {failed}, 2 for a usage error."
    return " ".join(filter(None, [said, status, old]))


def schema_of(options: argparse.Namespace, app: App) -> str:
    """Return the schema of an app's origin."""
    return options.origin_schema or app.origin_schema or "public"


def given(options: argparse.Namespace, environment: Mapping[str, str] = os.environ, *, named: bool = False) -> Given:
    """Return what the options and the environment say. Raises UsageError for what is missing: the app too, if `named`."""
    origin = origins.origin_of(options.app, environment, named=named)
    app = app_of(origin.app, environment)
    return Given(app, origin, schema_of(options, app), source_of(options.rules, app))


def app_of(name: str, environment: Mapping[str, str]) -> App:
    """Return what is known of an app, by prefect.yaml or else by the environment. Raises UsageError."""
    return known_apps().get(name) or App(name, environment.get("CONFIG_PATH", ""))


def source_of(rules: str | None, app: App) -> str:
    """Return the file or the URL of an app's rules. Raises UsageError."""
    source = rules or app.rules
    if not source and not app.name:
        raise UsageError("no rules: want --rules FILE_OR_URL, or CONFIG_PATH")
    if not source:
        raise UsageError(f"unknown app {app.name}: give it --rules, CONFIG_PATH or an entry in prefect.yaml")
    return source
