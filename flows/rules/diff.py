"""Say what a change of the rules publishes or hides: `python -m flows.rules diff origin/main`, for a pull request."""

import argparse
import os
import re
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

from flows.rules import given as options
from flows.rules import revisions
from flows.rules.saying import add_format, said, show
from multischema import command, download
from multischema.errors import EtlError, RulesError, UsageError
from multischema.findings import Finding
from multischema.rules import file
from multischema.rules.changes import changes, is_weaker, summary
from multischema.rules.file import Rules
from multischema.words import count, escaped, plural

_NOTHING = "it is compared with no rules: all that NEW publishes counts as published now"
_EPILOG = (
    "OLD is a file if there is one of that name, else a revision of the git repository that NEW is in: origin/main is NEW's "
    "own file in that revision, origin/main:config/anonymizer.yml another. Both may be https URLs. Exit status: 0, or 1 if "
    "NEW can't be read, or with --fail-on weaker if more is published than before, or may be; 2 for a usage error."
)


def main(arguments: Sequence[str] | None = None, prog: str = "python -m flows.rules diff") -> int:
    """Run the command; return its exit status."""
    parser = argparse.ArgumentParser(
        prog=prog, description="Say what a change of an app's rules publishes or hides, without a database.", epilog=_EPILOG
    )
    parser.add_argument("old", metavar="OLD", help="the rules before: a file, an https URL or a git revision")
    parser.add_argument("new", metavar="NEW", nargs="?", help="the rules after: a file or an https URL (default: --rules)")
    parser.add_argument("--app", metavar="NAME", help="the app whose rules are NEW (default: APP)")
    parser.add_argument(
        "--rules",
        metavar="FILE_OR_URL",
        help="another spelling of NEW (default: the app's in prefect.yaml, else CONFIG_PATH)",
    )
    add_format(parser)
    parser.add_argument("--fail-on", choices=("weaker",), help="exit with 1 if more is published than before, or may be")
    parsed = parser.parse_intermixed_args(arguments)  # NEW may follow an option
    return command.ended(lambda: _compare(parsed))


def _compare(parsed: argparse.Namespace) -> None:
    """Print what differs. Raises UsageError, RulesError, and EtlError for what --fail-on does not let pass."""
    source = _new(parsed)
    new = _parsed(source, parsed.format)
    name, old, warnings = _old(parsed.old, source)
    found = changes(old, new)
    weaker = [change for change in found if is_weaker(change)]
    if parsed.format == "text":
        show("\n".join(_lines(warnings, found)))
    else:
        facts = {"old": name, "weaker": len(weaker)}
        show(said([*warnings, *found], parsed.format, source, summary=summary(found), facts=facts))
    if weaker and parsed.fail_on:
        raise EtlError(
            f"{count(len(weaker), 'change')} {plural(len(weaker), 'publishes', 'publish')} more than {name} does, or may; "
            "have whoever answers for the data agree"
        )


def _new(parsed: argparse.Namespace) -> str:
    """Return the file or the URL of the rules after the change. Raises UsageError."""
    if parsed.new and parsed.rules:
        raise UsageError("NEW and --rules are two names of one thing; want one of them")
    app = parsed.app or os.environ.get("APP") or ""
    if not (parsed.new or parsed.rules or app or os.environ.get("CONFIG_PATH")):
        raise UsageError("no new rules: want NEW, or --rules, CONFIG_PATH or --app")
    return options.source_of(parsed.new or parsed.rules, options.app_of(app, os.environ))


def _old(given: str, new: str) -> tuple[str, Rules, list[Finding]]:
    """Return the name of the rules before the change, the rules, and what keeps them from being read.

    A file that no longer is in a form that we read must not keep anybody from mending it. Raises UsageError, RulesError.
    """
    if _is_url(given) or os.path.exists(given):  # Path.exists() raises for what can't be a name
        name, content = download.name_of(given), download.fetch(given)
    else:
        revision = revisions.read(given, None if _is_url(new) else Path(new))
        name = revision.name
        if revision.content is None:
            what = f"{name}: no such file in this revision"
            return name, Rules({}), [Finding("no-old-rules", what, _NOTHING, side="rules")]
        content = revision.content
    try:
        return name, file.parse(content), []
    except RulesError as error:
        more = f" and {count(len(error.problems) - 1, 'other problem')}" if len(error.problems) > 1 else ""
        what = f"{name}: can't be read ({error.problems[0].removeprefix('rules: ')}{more})"
        return name, Rules({}), [Finding("no-old-rules", what, _NOTHING, side="rules")]


def _parsed(source: str, form: str) -> Rules:
    """Return the rules after the change; print what is wrong with them. Raises RulesError, which says that it is these."""
    content = download.fetch(source)
    try:
        return file.parse(content)
    except RulesError as error:
        if form != "text":
            show(said(error.problems, form, source))
        problems = error.problems if form == "text" else ()
        raise RulesError(
            *problems, f"rules: {download.name_of(source)}: nothing is compared; mend this file first"
        ) from None


def _is_url(source: str) -> bool:
    return bool(re.match("[a-z][a-z0-9+.-]*://", source, re.IGNORECASE))


def _lines(warnings: Sequence[Finding], found: Sequence[Finding]) -> Iterator[str]:
    """Give the lines for a terminal: the changes of each table below its name, then how many there are."""
    yield from (f"warning: {escaped(warning)}" for warning in warnings)
    for table, of_table in groupby(found, key=lambda change: change.table):
        yield escaped(table) or "the whole file"
        for change in of_table:
            yield f"  {change.level}: {escaped(change.removeprefix('rules: '))}"
        yield ""
    yield summary(found)
