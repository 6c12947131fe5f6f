"""Set up the Prefect server: `python -m deployment.setup`, or `make deploy`. Running it again changes nothing.

Creates or updates, from prefect.yaml and the environment (or `.env`): the work pools, the Secret blocks that the environment
provides, the deployments with their schedules, and the automations that end a dead worker's runs.
"""

import argparse
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from prefect.blocks.system import Secret
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.exceptions import ObjectNotFound
from pydantic import SecretStr

from blocks import register, urls
from deployment import automations, declared, deployments, pools
from deployment.answers import answering, without_login
from deployment.check import problems
from multischema import command
from multischema.errors import UsageError


def set_up(content: Mapping[str, Any], environment: Mapping[str, str]) -> Iterator[str]:
    """Apply the file and the environment to the server; yield a line for each thing done. Raises EtlError.

    Check everything that can be checked without the server before changing anything on it.
    """
    values, missing = declared.variables(content, environment)
    lacking = [f"missing variable {name}: prefect.yaml has no default for it" for name in missing]
    try:
        api = without_login(urls.api_url())
    except UsageError as error:
        lacking += error.problems
    if lacking:
        raise UsageError(*lacking)
    wrong = problems(content, environment)
    if wrong:
        raise UsageError(*wrong)
    declared_deployments = declared.resolved(content["deployments"], values)
    flows = sorted({declared.flow(deployment["entrypoint"]).name for deployment in declared_deployments})
    names = sorted({deployment["work_pool"]["name"] for deployment in declared_deployments})
    with answering(api), get_client(sync_client=True) as client:
        client.read_work_pools(limit=1)  # fail before any change if this is not a Prefect API
        client.raise_for_api_version_mismatch_once()
        yield from pools.set_up(client, names)
        yield from _secrets(client, environment, [item["parameters"]["app"] for item in declared_deployments])
        yield from deployments.set_up(client, declared_deployments, declared.resolved(content["pull"], values))
        yield from automations.set_up(client, flows)


def _secrets(client: SyncPrefectClient, environment: Mapping[str, str], apps: list[str]) -> Iterator[str]:
    """Save the Secret blocks that the environment provides; yield a line for each, and for those that runs will miss."""
    provided = register.provided(environment)
    for block, (variable, url) in provided.items():
        held = _held(client, block)
        if held == url:
            yield f"Secret block {block}: unchanged"
        else:
            Secret(value=SecretStr(url)).save(block, overwrite=True)
            yield f"Secret block {block}: {'created' if held is None else 'updated'} from {variable}"
    for block in dict.fromkeys([urls.TARGET, *map(urls.origin_block, apps)]):
        if block not in provided and _held(client, block) is None:
            yield f"Secret block {block}: missing; runs fail without it: save it with `python -m blocks.register`"


def _held(client: SyncPrefectClient, block: str) -> Any:
    """Return what a Secret block holds, None if there is no such block."""
    try:
        return client.read_block_document_by_name(block, "secret").data.get("value")
    except ObjectNotFound:
        return None


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status: 0 done, 1 the server refused, 2 something is missing or wrong here."""
    argparse.ArgumentParser(
        prog="python -m deployment.setup",
        description="Apply prefect.yaml and the environment to the Prefect server: work pools, Secret blocks, deployments, "
        "automations.",
        epilog="The environment (or .env) has PREFECT_API_URL and the variables of prefect.yaml. Safe to repeat.",
    ).parse_args(arguments)
    return command.ended(_set_up)


def _set_up() -> None:
    """Set up the server, and print what was done as it is done. Raises EtlError."""
    for line in set_up(declared.read(), os.environ):
        print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())
