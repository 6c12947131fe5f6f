"""Save the Secret blocks that the environment (or `.env`) provides: `python -m blocks.register`. Safe to repeat."""

import argparse
import os
import sys
from collections.abc import Mapping, Sequence

from prefect.blocks.system import Secret
from pydantic import SecretStr

from blocks import metabase, urls
from blocks.server import answering
from multischema import command
from multischema.errors import UsageError


def provided(environment: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """Return the blocks that an environment provides, each name with its variable and value. Raises UsageError."""
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
    if not blocks:
        known = ", ".join([urls.TARGET_VARIABLE, *urls.ORIGIN_VARIABLES.values()])
        raise UsageError(
            f"the environment provides nothing to save: want one of {known}, or {urls.OTHER_ORIGIN_VARIABLE} with APP, or "
            f"{', '.join(metabase.VARIABLES.values())}"
        )
    lines = []
    for block, (variable, url) in blocks.items():
        Secret(value=SecretStr(url)).save(block, overwrite=True)
        lines.append(f"saved Secret block {block} from {variable}")
    return lines


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status."""
    argparse.ArgumentParser(
        prog="python -m blocks.register",
        description="Save the Secret blocks that the environment provides on the Prefect server: database URLs, and the "
        "Metabase that runs tell.",
        epilog="The environment (or .env) has the URLs, METABASE_… and PREFECT_API_URL: see .env.example. Safe to repeat.",
    ).parse_args(arguments)
    return command.ended(_register)


def _register() -> None:
    """Save the blocks, and print a line for each. Raises EtlError."""
    urls.api_url()
    with answering():
        print("\n".join(register(os.environ)))


if __name__ == "__main__":
    sys.exit(main())
