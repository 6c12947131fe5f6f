"""Save the Secret blocks that the environment (or `.env`) provides: `python -m blocks.register`. Safe to repeat."""

import argparse
import logging
import os
import sys
from collections.abc import Callable, Mapping, Sequence

from prefect.blocks.system import Secret
from pydantic import SecretStr

from blocks import metabase, pseudonym_key, urls
from blocks.server import answering
from multischema import command, core_files
from multischema.errors import UsageError


def provided(environment: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """Return the blocks that an environment provides, each name with its variable and value; the key is none of them.

    Raises UsageError for what can't be saved.
    """
    if key := environment.get(pseudonym_key.VARIABLE):
        pseudonym_key.key_of(key, f"variable {pseudonym_key.VARIABLE}")
    variables = {urls.TARGET: urls.TARGET_VARIABLE}
    variables |= {urls.origin_block(app): variable for app, variable in urls.ORIGIN_VARIABLES.items()}
    app = environment.get("APP")
    if environment.get(urls.OTHER_ORIGIN_VARIABLE) and app and app not in urls.ORIGIN_VARIABLES:
        variables[urls.origin_block(app)] = urls.OTHER_ORIGIN_VARIABLE
    found = {block: (name, environment[name]) for block, name in variables.items() if environment.get(name)}
    if told := metabase.provided(environment):
        found[metabase.BLOCK] = (", ".join(metabase.VARIABLES.values()), told)
    return found


def register(environment: Mapping[str, str]) -> list[str]:
    """Save the blocks; return a line for each with its name and variable, never the value. Raises UsageError."""
    blocks = provided(environment)
    key = environment.get(pseudonym_key.VARIABLE)
    if not blocks and not key:
        known = ", ".join([urls.TARGET_VARIABLE, *urls.ORIGIN_VARIABLES.values()])
        raise UsageError(
            f"the environment provides nothing to save: want one of {known}, or {urls.OTHER_ORIGIN_VARIABLE} with APP, or "
            f"{', '.join(metabase.VARIABLES.values())}, or {pseudonym_key.VARIABLE}"
        )
    lines = []
    if key:  # first: it may be refused, and then nothing is saved
        saved = "saved Secret block {} from {}" if pseudonym_key.save(key) else "Secret block {} holds the key of {} already"
        lines.append(saved.format(pseudonym_key.BLOCK, pseudonym_key.VARIABLE))
    for block, (variable, url) in blocks.items():
        Secret(value=SecretStr(url)).save(block, overwrite=True)
        lines.append(f"saved Secret block {block} from {variable}")
    return lines


def make_key(environment: Mapping[str, str]) -> list[str]:
    """Make and save the pseudonym key, which nobody sees; return what to say. Raises UsageError if there is one."""
    if environment.get(pseudonym_key.VARIABLE):
        raise UsageError(f"{pseudonym_key.VARIABLE} is set: unset it for a new key, or save it without --new-pseudonym-key")
    pseudonym_key.make()
    return [f"saved Secret block {pseudonym_key.BLOCK}: a new key"]


def rotate_key(environment: Mapping[str, str]) -> list[str]:
    """Replace the pseudonym key; return what to say. Raises UsageError if there is none to replace."""
    source = pseudonym_key.rotate(environment.get(pseudonym_key.VARIABLE, ""))
    return [
        f"replaced Secret block {pseudonym_key.BLOCK} with {source}; the next run of each app with pseudonyms makes them "
        "all anew: run every such app, as until then its pseudonyms are the old ones and join no other app's"
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m blocks.register",
        description="Save the Secret blocks that the environment provides on the Prefect server: database URLs, the "
        "Metabase that runs tell, and the key of pseudonyms, which replaces no other one.",
        epilog="The environment (or .env) has the URLs, METABASE_…, ETL_PSEUDONYM_KEY and PREFECT_API_URL: see "
        ".env.example. Without an option, it is safe to repeat.",
    )
    parser.set_defaults(work=register)
    keys = parser.add_mutually_exclusive_group()
    keys.add_argument(
        "--new-pseudonym-key",
        action="store_const",
        dest="work",
        const=make_key,
        help="make the key of pseudonyms and save it alone; it is never shown",
    )
    keys.add_argument(
        "--rotate-pseudonym-key",
        action="store_const",
        dest="work",
        const=rotate_key,
        help="replace the key of pseudonyms with ETL_PSEUDONYM_KEY, or without it with a new one: all pseudonyms change",
    )
    work = parser.parse_args(arguments).work
    return command.ended(lambda: _do(work))


def _do(work: Callable[[Mapping[str, str]], list[str]]) -> None:
    """Save blocks, and print a line for each. Raises EtlError."""
    core_files.forbid()  # it has the key of pseudonyms, or makes it
    urls.api_url()
    logging.getLogger("EventsWorker").setLevel(logging.ERROR)  # Prefect's: else it counts its own events below an error
    with answering():
        print("\n".join(work(os.environ)))


if __name__ == "__main__":
    sys.exit(main())
