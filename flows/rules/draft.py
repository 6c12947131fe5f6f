"""Write a first draft of an app's rules from its database: `python -m flows.rules draft --app shop > anonymizer.yml`."""

import argparse
import os
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from io import TextIOWrapper
from pathlib import Path

from flows import origins
from flows.rules import given as options
from multischema import command, download
from multischema.catalog.tables import Catalog
from multischema.errors import RulesError, UsageError
from multischema.guesses import read_guesses
from multischema.postgres.connecting import connect
from multischema.postgres.failures import translated
from multischema.postgres.questions import read_catalog
from multischema.rules.adding import Added, add_missing
from multischema.rules.draft import draft
from multischema.words import count, escaped, some


def main(arguments: Sequence[str] | None = None, prog: str = "python -m flows.rules draft", known_as: str = "") -> int:
    """Run the command; return its exit status. `prog` may be an old spelling of what is `known_as` this."""
    parser = origins.parser(prog, "Write a first draft of an app's rules from its database, or add to a file what it lacks.")
    parser.epilog = options.epilog(known_as)
    parser.add_argument(
        "--add",
        metavar="FILE_OR_URL",
        help="print this rules file with the tables and columns that it lacks, each to decide on",
    )
    parser.add_argument("--write", action="store_true", help="with --add: write them into the file instead")
    parsed = parser.parse_args(arguments)
    if parsed.write and parsed.add is None:
        parser.error("--write goes with --add")
    return command.ended(lambda: _draft(parsed))


def _draft(parsed: argparse.Namespace) -> None:
    """Print a draft, or what --add asks for. Raises UsageError, RulesError, DatabaseError."""
    origin = origins.origin_of(parsed.app, os.environ)
    schema = options.schema_of(parsed, options.app_of(origin.app, os.environ))
    content = download.fetch(parsed.add) if parsed.add is not None else None
    with connect(origin, "multi-schema-postgres-etl draft") as connection:
        with translated(origin.side, "reading the catalog"):
            catalog = read_catalog(connection, schema)
    if not catalog.tables:
        raise origins.no_table(origin, schema)
    if content is None:
        _print_file(draft(catalog, read_guesses()))
    else:
        _add(content, catalog, parsed.add if parsed.write else None)


def _add(content: bytes, catalog: Catalog, file: str | None) -> None:
    """Print a rules file with what it lacks, or write it into the file. Raises RulesError, UsageError."""
    added = add_missing(content, catalog, read_guesses())
    if file is None:
        _print_file(added.text)
    elif added.tables or added.columns:
        _replace(Path(file.strip()), content, added.text)
    print(_said(added), file=sys.stderr)


def _said(added: Added) -> str:
    """Return a line for people about what is new in a file."""
    said = [
        f"{count(len(names), noun)} ({escaped(some(names))})"
        for names, noun in ((added.tables, "table"), (added.columns, "column"))
        if names
    ]
    return f"added {' and '.join(said)}: look for # decide" if said else "nothing is missing"


def _print_file(text: str) -> None:
    """Print a rules file: in UTF-8 whatever the locale is, unless it is for eyes."""
    if isinstance(sys.stdout, TextIOWrapper) and not sys.stdout.isatty():
        sys.stdout.reconfigure(encoding="utf-8", newline="")
    print(text, end="")


def _replace(path: Path, before: bytes, text: str) -> None:
    """Write a file anew in one step, with the mode that it has: whoever reads it sees it as it was, or whole.

    Raises UsageError for a URL, and RulesError if it can't be written or has changed since it was read.
    """
    try:
        path = path.resolve(strict=True)  # a link stays one
    except OSError:
        raise UsageError("--write wants a file: a URL can't be written to") from None
    temporary = None
    try:
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name[:50]}.", delete=False) as written:
            temporary = Path(written.name)
            written.write(text.encode())
            written.flush()
            os.fsync(written.fileno())
        temporary.chmod(path.stat().st_mode & 0o7777)
        if path.read_bytes() != before:
            raise RulesError(f"rules: {escaped(str(path))}: changed meanwhile, nothing was written; run it again")
        temporary.replace(path)
    except OSError as error:
        raise RulesError(f"rules: {escaped(str(path))}: can't be written: {error.strerror}; nothing was changed") from None
    finally:
        if temporary:
            with suppress(FileNotFoundError):
                temporary.unlink()
