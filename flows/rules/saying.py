"""Findings as text, as JSON, or as annotations of GitHub: three ways of saying the same."""

import argparse
import json
import os
import secrets
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from multischema import command, download
from multischema.errors import Snippet
from multischema.findings import Finding, Level, problem
from multischema.version import VERSION
from multischema.words import count, escaped

FORMATS = ("text", "json", "github")
_LEVELS: tuple[Level, ...] = ("error", "warning", "note")
_COMMANDS = {"error": "error", "warning": "warning", "note": "notice"}
_FIELDS = ("code", "level", "side", "table", "column", "object", "line")
_ANNOTATIONS = 10  # of each kind in a step: GitHub drops the others from its pages without a word


def add_format(parser: argparse.ArgumentParser) -> None:
    """Add the option that takes one of FORMATS."""
    parser.add_argument(
        "--format",
        choices=FORMATS,
        default=FORMATS[0],
        help=f"how to say what is found: github makes annotations for GitHub Actions (default: {FORMATS[0]})",
    )


def said(
    lines: Sequence[str], form: str, source: str = "", *, summary: str = "", facts: Mapping[str, object] | None = None
) -> str:
    """Return findings in one of FORMATS, the worst first, with a summary and what is there to paste.

    `source` is the rules file or URL that they are about; `facts` are what the JSON object says besides. The lines of
    `summary` are shown as they are: the names in them are escaped. The text ends without a line break, and is empty where
    there is nothing to say.
    """
    snippet = [line for line in lines if isinstance(line, Snippet)]
    found = sorted(findings(lines), key=lambda finding: _LEVELS.index(finding.level))
    if form == "json":
        return _json(found, snippet, source, summary, facts or {})
    if form == "github":
        return "\n".join(_annotated(found, snippet, source, summary))
    told = [f"{finding.level}: {escaped(finding)}" for finding in found]
    return "\n".join([*told, *filter(None, [summary]), *map(escaped, snippet)])


def show(text: str) -> None:
    """Print a text; whoever reads it may stop before its end, which is no failure."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        command.discard_output()


def findings(lines: Iterable[str]) -> list[Finding]:
    """Return the findings among lines, and those that are only text as problems without a code; lines to paste are none."""
    return [line if isinstance(line, Finding) else problem("", line) for line in lines if not isinstance(line, Snippet)]


def is_wrong(lines: Iterable[str]) -> bool:
    """Tell whether any of these is an error."""
    return number(lines, "error") > 0


def number(lines: Iterable[str], level: Level) -> int:
    """Return how many of these are of a level."""
    return sum(finding.level == level for finding in findings(lines))


def _json(found: Sequence[Finding], snippet: Sequence[str], source: str, summary: str, facts: Mapping[str, object]) -> str:
    """Return one object in ASCII, which every terminal and every reader of JSON takes."""
    said: dict[str, Any] = {
        "version": VERSION,
        "ok": not is_wrong(found),
        "rules": download.name_of(source),
        **facts,
        "summary": summary,
        "findings": [
            {
                **{name: getattr(finding, name) for name in _FIELDS},
                "text": finding.what,
                "todo": finding.todo,
            }
            for finding in found
        ],
        "snippet": "".join(f"{line}\n" for line in snippet),
    }
    return json.dumps(said, indent=2)


def _annotated(found: Sequence[Finding], snippet: Sequence[str], source: str, summary: str) -> Iterable[str]:
    """Give workflow commands of GitHub, then lines of its log; a name in them is never read as another command."""
    file = _in_repository(source)
    many = {level: number(found, level) for level in _LEVELS}
    if max(many.values()) > _ANNOTATIONS:
        told = ", ".join(count(each, level) for level, each in many.items() if each)
        yield f"::notice::{_data(f'{told}: GitHub shows {_ANNOTATIONS} of each; the log of this step has all')}"
    for finding in found:
        place = {"file": file} if file and (finding.line or finding.table or finding.side == "rules") else {}
        place |= {"line": str(finding.line)} if file and finding.line else {}
        place |= {"title": finding.code} if finding.code else {}
        properties = ",".join(f"{name}={_property(value)}" for name, value in place.items())
        yield f"::{_COMMANDS[finding.level]}{' ' if properties else ''}{properties}::{_data(finding)}"
    # GitHub reads the older spelling of a command, ##[error], wherever it is in a line
    yield from filter(None, [summary.replace("##[", "# #[")])
    if snippet:
        token = secrets.token_hex(8)
        yield from (f"::stop-commands::{token}", *map(escaped, snippet), f"::{token}::")


def _data(text: str) -> str:
    return escaped(text).replace("%", "%25")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def _in_repository(source: str) -> str:
    """Return a file as GitHub names it, from the root of its repository; empty for a URL and for a file elsewhere."""
    file = Path(os.path.abspath(source))
    if not source or not _is_file(file):
        return ""
    above = (folder for folder in file.parents if (folder / ".git").exists())
    root = next(above, Path(os.environ.get("GITHUB_WORKSPACE") or Path.cwd()))
    return file.relative_to(root).as_posix() if file.is_relative_to(root) else ""


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a name that is none
        return False
