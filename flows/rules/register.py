"""Write the sheet for the register of processing, of all apps: `python -m flows.rules register > registre.md`."""

import argparse
import io
import os
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime

from blocks import urls
from flows.apps import READER_VARIABLE, App, known_apps
from flows.rules import given as options
from flows.rules.given import Given
from flows.rules.saying import show
from flows.rules.sheets import Sheet, markdown, table_of_cells
from flows.rules.wording import LANGUAGES
from multischema import command, download
from multischema.catalog.objects import RecordedRun
from multischema.errors import RulesError, UsageError
from multischema.job import Job
from multischema.postgres.database import Database
from multischema.postgres.history import last_runs
from multischema.rules import file
from multischema.rules.file import Rules
from multischema.rules.register import TreatedTable, treated

FORMATS = ("markdown", "csv")


def main(
    arguments: Sequence[str] | None = None, prog: str = "python -m flows.rules register", made: date | None = None
) -> int:
    """Run the command; return its exit status. `made` is the date of the sheet, by default today."""
    parser = argparse.ArgumentParser(
        prog=prog,
        description="Write the sheet for the register of processing: what is done to each column, why, and for whom.",
        epilog=options.epilog(
            said="It holds names and rules, no data. An origin, where its variable is set, adds keys and types; the target "
            "of ETL_DB_URL adds when each app last ran.",
            failed="rules or a database can't be read",
        ),
    )
    parser.add_argument(
        "--app",
        action="append",
        metavar="NAME",
        help="an app, and no other; may be given several times (default: all known)",
    )
    parser.add_argument("--rules", metavar="FILE_OR_URL", help="the rules of one app (default: as in prefect.yaml)")
    parser.add_argument(
        "--origin-schema", metavar="NAME", help="the schema of one app's origin (default: as in prefect.yaml)"
    )
    parser.add_argument("--format", choices=FORMATS, default=FORMATS[0], help=f"(default: {FORMATS[0]})")
    parser.add_argument("--lang", choices=LANGUAGES, default=LANGUAGES[0], help=f"(default: {LANGUAGES[0]})")
    parsed = parser.parse_args(arguments)
    return command.ended(lambda: _write(parsed, os.environ, made or datetime.now(UTC).date()))


def _write(parsed: argparse.Namespace, environment: Mapping[str, str], made: date) -> None:
    """Print the sheet, once all of it is known. Raises EtlError."""
    names = _names(parsed, environment)
    sheets = [_sheet(name, parsed, environment, alone=len(names) == 1) for name in names]
    if isinstance(sys.stdout, io.TextIOWrapper) and (parsed.format == "csv" or not sys.stdout.isatty()):
        sys.stdout.reconfigure(encoding="utf-8", newline="")  # whatever the locale is: it becomes a file
    if parsed.format == "csv":
        show(table_of_cells(sheets, parsed.lang))
    else:
        show(markdown(sheets, made, parsed.lang))


def _names(parsed: argparse.Namespace, environment: Mapping[str, str]) -> list[str]:
    """Return the apps to write of, each once. Raises UsageError."""
    of_one, known, own = bool(parsed.rules or parsed.origin_schema), known_apps(), environment.get("APP")
    names = list(dict.fromkeys(parsed.app or ())) or ([] if of_one else list(known)) or ([own] if own else [])
    if not names:
        raise UsageError("no app: want --app, or APP in the environment")
    if of_one and len(names) > 1:
        raise UsageError("--rules and --origin-schema are for one app; want one --app")
    return names


def _sheet(name: str, parsed: argparse.Namespace, environment: Mapping[str, str], *, alone: bool) -> Sheet:
    """Return what is known of an app. Raises EtlError for what is said to be there and can't be read."""
    declared = known_apps().get(name)
    app = options.app_of(name, environment)
    source = options.source_of(parsed.rules, app)
    origin_schema = options.schema_of(parsed, app)
    origin = _origin(name, environment, alone=alone)
    given = Given(app, origin or Database("origin", name, ""), origin_schema, source)
    others = app.other_parameters(environment)
    schema = app.schema or name
    target = environment.get(urls.TARGET_VARIABLE)
    return Sheet(
        app=name,
        rules=download.name_of(source),
        schema=schema,
        origin_schema=origin_schema,
        mode=others.get("mode") or Job.mode,
        scan=others.get("scan") or Job.scan,
        reader=environment.get(READER_VARIABLE),
        schema_readers=_schema_readers(app, environment) if declared else (),
        host=declared.work_pool if declared else None,
        schedules=declared.schedules if declared else None,
        has_target=bool(target),
        recorded=_recorded(name, schema, target, others.get("report_schema") or Job.report_schema) if target else None,
        has_origin=origin is not None,
        tables=_tables(given) if origin else treated(_rules(given)),
    )


def _origin(name: str, environment: Mapping[str, str], *, alone: bool) -> Database | None:
    """Return the origin of an app, None if no variable has its URL.

    Several apps may have the one variable for other apps: then it is that of APP.
    """
    variable = urls.origin_variable(name)
    url, owner = environment.get(variable), environment.get("APP")
    if not url or urls.foreign_origin(name, owner):
        return None
    if variable == urls.OTHER_ORIGIN_VARIABLE and not alone and owner != name:
        return None
    return Database("origin", name, url)


def _rules(given: Given) -> Rules:
    """Return an app's rules. Raises RulesError, which names the app if they are not rules."""
    content = download.fetch(given.source)
    try:
        return file.parse(content)
    except RulesError as error:
        raise RulesError(*error.problems, f"rules: {given.app.name}: no sheet is written; mend its rules first") from None


def _tables(given: Given) -> tuple[TreatedTable, ...]:
    """Return what is done to the columns of the origin. Raises CheckError where a run would stop for the rules."""
    rules = _rules(given)
    with given.opened("register") as connection:
        origin = given.read(connection, rules)
    return treated(origin.gaps.rules, origin.fitted(given.origin.side).catalog)


def _schema_readers(app: App, environment: Mapping[str, str]) -> Sequence[str] | None:
    """Return the roles that may read this app alone, None if a variable is missing."""
    try:
        return app.schema_readers(environment)
    except UsageError:
        return None


def _recorded(app: str, schema: str, target: str, report_schema: str) -> RecordedRun | None:
    """Return the last run of an app that the target knows of. Raises DatabaseError."""
    recorded = last_runs(Database("target", app, target), report_schema) or ()
    return next((run for run in recorded if (run.app, run.schema) == (app, schema)), None)
