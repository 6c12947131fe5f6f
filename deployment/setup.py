"""Set up the Prefect server: `python -m deployment.setup`, or `make deploy`. Running it again changes nothing.

Creates or updates, from prefect.yaml and the environment (or `.env`): the work pools, the Secret blocks that the environment
provides, the deployments with their schedules, the automations that end a dead worker's runs, and the alerts.
"""

import argparse
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any

from prefect.blocks.system import Secret
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.exceptions import ObjectNotFound
from pydantic import SecretStr

from blocks import pseudonym_key, register, urls
from blocks.server import answering
from deployment import alerts, automations, declared, deployments, pools
from deployment.answers import without_login
from deployment.check import problems
from flows.apps import SILENCE
from flows.runs import is_scheduled
from flows.variables import resolved, variables
from multischema import command, core_files
from multischema.errors import UsageError


def set_up(content: Mapping[str, Any], environment: Mapping[str, str]) -> Iterator[str]:
    """Apply the file and the environment to the server; yield a line for each thing done. Raises EtlError.

    Check everything that can be checked without the server before changing anything on it.
    """
    values, missing = variables(content, environment)
    lacking = [f"missing variable {name}: prefect.yaml has no default for it" for name in missing]
    try:
        api = without_login(urls.api_url())
    except UsageError as error:
        lacking += error.problems
    try:
        addresses = alerts.addresses(environment)
    except UsageError as error:
        lacking += error.problems
    if lacking:
        raise UsageError(*lacking)
    wrong = problems(content, environment)
    if wrong:
        raise UsageError(*wrong)
    register.provided(environment)  # raises for what can't be saved
    declared_deployments = resolved(content["deployments"], values)
    flows = sorted({declared.flow(deployment["entrypoint"]).name for deployment in declared_deployments})
    names = sorted({deployment["work_pool"]["name"] for deployment in declared_deployments})
    with answering(api), get_client(sync_client=True) as client:
        client.read_work_pools(limit=1)  # fail before any change if this is not a Prefect API
        client.raise_for_api_version_mismatch_once()
        yield from pools.set_up(client, names)
        yield from _secrets(client, environment)
        missing = _missing(client, declared_deployments)
        yield from (
            f"Secret block {block}: missing; runs need it: save it with `python -m blocks.register`, then deploy again"
            for block in missing
        )
        off = _off(declared_deployments, missing)
        yield from deployments.set_up(client, declared_deployments, resolved(content["pull"], values), off)
        yield from automations.set_up(client, automations.of_dead_workers(flows))
        yield from alerts.set_up(client, addresses, list(_watched(client, content, declared_deployments)))


def _secrets(client: SyncPrefectClient, environment: Mapping[str, str]) -> Iterator[str]:
    """Save the Secret blocks that the environment provides; yield a line for each."""
    blocks = register.provided(environment)
    if key := environment.get(pseudonym_key.VARIABLE):  # first: it may be refused, and then nothing is saved
        created = pseudonym_key.save(key)
        yield f"Secret block {pseudonym_key.BLOCK}: {f'created from {pseudonym_key.VARIABLE}' if created else 'unchanged'}"
    for block, (variable, url) in blocks.items():
        held = _held(client, block)
        if held == url:
            yield f"Secret block {block}: unchanged"
        else:
            Secret(value=SecretStr(url)).save(block, overwrite=True)
            yield f"Secret block {block}: {'created' if held is None else 'updated'} from {variable}"


def _off(declared_deployments: Sequence[Mapping[str, Any]], missing: Sequence[str]) -> dict[str, str]:
    """Return why the schedules of deployments are to be off, by their names: their runs could only fail."""
    reasons = {}
    for deployment in declared_deployments:
        job = (deployment["work_pool"].get("job_variables") or {}).get("job_definition_id")
        lacking = [block for block in _blocks(deployment) if block in missing]
        if job == "none":
            reasons[deployment["name"]] = "off: no job on Scaleway: set SCALEWAY_JOB_DEFINITION_ID"
        elif lacking:
            reasons[deployment["name"]] = f"off: Secret block {lacking[0]} is missing"
    return reasons


def _missing(client: SyncPrefectClient, declared_deployments: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the Secret blocks that runs will miss."""
    blocks = dict.fromkeys(block for deployment in declared_deployments for block in _blocks(deployment))
    return [block for block in blocks if _held(client, block) is None]


def _blocks(deployment: Mapping[str, Any]) -> tuple[str, str]:
    """Return the Secret blocks that the runs of a deployment read."""
    return urls.TARGET, urls.origin_block(deployment["parameters"]["app"])


def _watched(
    client: SyncPrefectClient, content: Mapping[str, Any], declared_deployments: Sequence[Mapping[str, Any]]
) -> Iterator[alerts.Watched]:
    """Give the apps that alerts watch; one whose schedules are all off, by whomever, may be silent."""
    hours = (content.get("definitions") or {}).get("silence") or {}
    for deployment in declared_deployments:
        name = deployment["name"]
        found = client.read_deployment_by_name(f"{declared.flow(deployment['entrypoint']).name}/{name}")
        silence = timedelta(hours=hours.get(deployment["parameters"]["app"], SILENCE))
        yield alerts.Watched(name, str(found.id), silence if is_scheduled(found) else None)


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
        "automations, alerts.",
        epilog="The environment (or .env) has PREFECT_API_URL and the variables of prefect.yaml. Safe to repeat.",
    ).parse_args(arguments)
    return command.ended(_set_up)


def _set_up() -> None:
    """Set up the server, and print what was done as it is done. Raises EtlError."""
    core_files.forbid()  # it may have the key of pseudonyms
    for line in set_up(declared.read(), os.environ):
        print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())
