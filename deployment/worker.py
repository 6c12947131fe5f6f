"""Start the worker of the work pool `scalingo`: `python -m deployment.worker`. It runs flow runs as processes, one by one.

When a host stops `prefect worker start`, as at each deploy, it kills its run, which then stays Running on the server. This
worker lets the run end, which takes some seconds and leaves nothing behind, and hands it to the next worker.
"""

import argparse
import logging
import os
import pwd
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from itertools import groupby
from pathlib import Path
from typing import Any
from uuid import UUID

import anyio
import anyio.abc
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import WorkPoolFilter, WorkPoolFilterName
from prefect.client.schemas.objects import FlowRun
from prefect.client.schemas.responses import DeploymentResponse
from prefect.exceptions import ObjectNotFound
from prefect.states import AwaitingRetry
from prefect.workers.process import ProcessJobConfiguration, ProcessWorker, ProcessWorkerResult

from blocks import urls
from blocks.server import answering
from deployment.answers import without_login
from deployment.leftovers import end_tasks
from multischema import command
from multischema.errors import EtlError, UsageError

ROOT = Path(__file__).parent.parent
POOL = "scalingo"
LIMIT = 1  # runs at a time: what a container of 512 MiB holds
# seconds for a run to end, then to be killed and handed over, which takes Prefect a Python process of its own; hosts kill a
# container some 30 s after telling it to stop
PARTING = 15.0
LAST = 10.0
_PAGE = 200
_SETTING_FOLDER = "prefect.deployments.steps.set_working_directory"


class Worker(ProcessWorker):
    """A process worker that can be told to stop."""

    def __init__(self, name: str) -> None:
        super().__init__(work_pool_name=POOL, name=name, limit=LIMIT, create_pool_if_not_found=False)
        self._groups: dict[UUID, int] = {}  # of the processes of each run
        self._stopping = False

    @staticmethod
    def __dispatch_key__() -> str:
        """Keep the type `process` for Prefect's own class."""
        return f"{ProcessWorker.type} of {POOL}"

    async def get_and_submit_flow_runs(self) -> list[FlowRun]:
        """Start what is due, unless the worker is about to stop."""
        return [] if self._stopping else await super().get_and_submit_flow_runs()

    async def sync_with_backend(self) -> None:
        """Tell Prefect that the worker lives, as it does every 30 seconds, and end what killed runs left Running."""
        await super().sync_with_backend()
        await end_tasks(self.client)

    async def run(
        self,
        flow_run: FlowRun,
        configuration: ProcessJobConfiguration,
        task_status: anyio.abc.TaskStatus[int] | None = None,
    ) -> ProcessWorkerResult:
        """Run a flow run to its end; hand one that ended because the worker stops to the next worker."""
        told: anyio.abc.TaskStatus[Any] = task_status or anyio.TASK_STATUS_IGNORED
        if wrong := await self._misplaced(flow_run):
            await self._propose_crashed_state(flow_run, wrong)
            told.started(UsageError(wrong))  # an exception tells Prefect that nothing was started
            return ProcessWorkerResult(status_code=0, identifier="")
        try:
            result = await super().run(flow_run, configuration, _Started(self, flow_run.id, told))
            is_killed = result.status_code < 0  # also by a cancellation that lost its patience
            if (self._stopping or is_killed) and await self._has_crashed(flow_run.id):
                if self._stopping:
                    await self._hand_over(flow_run.id)
                    return ProcessWorkerResult(status_code=0, identifier=result.identifier)
                self.get_flow_run_logger(flow_run).error(killed(-result.status_code))
            return result
        finally:
            self._groups.pop(flow_run.id, None)

    def started(self, flow_run: UUID, group: int) -> None:
        """Record the process group of a run as soon as it has one."""
        self._groups[flow_run] = group
        if self._stopping:
            _signal(group, signal.SIGTERM)

    async def stop(self) -> None:
        """Make the runs end and wait for them; kill one that does not."""
        self._stopping = True
        for number, patience in ((signal.SIGTERM, PARTING), (signal.SIGKILL, LAST)):
            for group in self._groups.values():
                _signal(group, number)
            with anyio.move_on_after(patience):
                # a run holds one of the limit's slots from the moment it leaves the queue
                while self.is_setup and self.limiter.borrowed_tokens:
                    await anyio.sleep(0.1)

    async def _misplaced(self, flow_run: FlowRun) -> str | None:
        """Return why a run would not find its code here, None if it would."""
        if flow_run.deployment_id is None:
            return None
        deployment = await self.client.read_deployment(flow_run.deployment_id)
        folder = folder_without_code(deployment)
        return folder and misplaced([deployment.name], folder)

    async def _has_crashed(self, flow_run: UUID) -> bool:
        found = await self.client.read_flow_run(flow_run)
        return found.state is not None and found.state.is_crashed()

    async def _hand_over(self, flow_run: UUID) -> None:
        """Reschedule a run that crashed."""
        message = "Its worker was stopped, as each deploy does: the next worker runs it again."
        await self.client.set_flow_run_state(flow_run, AwaitingRetry(message=message))


def killed(number: int) -> str:
    """Return the line about a run whose process a signal ended, which could say nothing itself."""
    why = "out of memory, or somebody's kill" if number == signal.SIGKILL else "somebody's kill, or a fault"
    return (
        f"the process that ran this run was killed (signal {number}: {why}); what is published is whole, and the next run "
        "removes what this one left"
    )


class _Unhooked(logging.Filter):
    """Strip the traceback from Prefect's note that it could not run the hooks of a flow whose process was killed.

    Where that was killed before it had loaded the flow, there are none: the whole note goes, about a `workspace.json`.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        if record.exc_info and record.getMessage().startswith("Runner failed to retrieve flow"):
            is_early = isinstance(record.exc_info[1], FileNotFoundError)
            record.exc_info = None
            return not is_early
        return True


class _Started:
    """Receives a run's process number from Prefect: the process leads a group."""

    def __init__(self, worker: Worker, flow_run: UUID, told: anyio.abc.TaskStatus[int]) -> None:
        self._worker, self._flow_run, self._told = worker, flow_run, told

    def started(self, value: Any = None) -> None:
        self._worker.started(self._flow_run, value)
        self._told.started(value)


def folder_without_code(deployment: DeploymentResponse) -> str | None:
    """Return the folder that the runs of a deployment start in if their code can't be read there, else None."""
    folders = [step[_SETTING_FOLDER]["directory"] for step in deployment.pull_steps or [] if _SETTING_FOLDER in step]
    file = (deployment.entrypoint or "").rpartition(":")[0]
    # access also says no where a folder above is another user's
    return None if not folders or os.access(os.path.join(folders[-1], file), os.R_OK) else str(folders[-1])


def misplaced(names: Sequence[str], folder: str) -> str:
    """Return a line about deployments whose code is elsewhere on this machine."""
    return (
        f"{', '.join(f'etl/{name}' for name in names)}: this machine has no code in {folder} that user {_user()} may read; "
        f"want ETL_HOME={ROOT} in the environment of `make deploy`, then deploy again"
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command until it is told to stop; return its exit status."""
    given = _parser().parse_args(arguments)
    # Prefect reads .env itself; the rest of that file does not concern the runs
    return command.ended(lambda: _run(given), variables=False)


def _run(given: argparse.Namespace) -> None:
    """Work until the worker is told to stop. Raises EtlError."""
    _check()
    logging.getLogger("prefect.flow_runs").addFilter(_Unhooked())
    anyio.run(_work, Worker(given.name), given.with_healthcheck)
    _say(f"worker {given.name} stopped")


async def _work(worker: Worker, with_healthcheck: bool) -> None:
    async with anyio.create_task_group() as group:

        async def stop_when_told() -> None:
            with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
                async for number in signals:
                    _say(f"{number.name}: the worker stops; the next one takes over the run under way, if any")
                    break  # a second signal ends the worker at once
            await worker.stop()
            group.cancel_scope.cancel()

        group.start_soon(stop_when_told)
        await worker.start(with_healthcheck=with_healthcheck, printer=_say)


def _check() -> None:
    """Look for the pool, and for the code of its deployments. Raises UsageError, EtlError."""
    api = without_login(urls.api_url())
    with answering(api), get_client(sync_client=True) as client:
        client.read_work_pools(limit=1)  # fail here if this is not a Prefect API, before missing the pool
        try:
            client.read_work_pool(POOL)
        except ObjectNotFound:
            raise EtlError(f"work pool {POOL}: not found on {api}; `make deploy` creates it") from None
        found = _deployments(client)
    _check_folders(found)


def _deployments(client: SyncPrefectClient) -> list[DeploymentResponse]:
    """Return the deployments of the pool."""
    in_pool, found = WorkPoolFilter(name=WorkPoolFilterName(any_=[POOL])), list[DeploymentResponse]()
    while True:
        page = client.read_deployments(work_pool_filter=in_pool, limit=_PAGE, offset=len(found))
        found += page
        if len(page) < _PAGE:
            return found


def _check_folders(found: Sequence[DeploymentResponse]) -> None:
    """Name the deployments whose runs would not find their code here. Raises UsageError if those are all."""
    wrong = sorted((folder, deployment.name) for deployment in found if (folder := folder_without_code(deployment)))
    lines = [misplaced([name for _, name in those], folder) for folder, those in groupby(wrong, lambda pair: pair[0])]
    if wrong and len(wrong) == len(found):
        raise UsageError(*lines)
    for line in lines:
        _say(f"warning: {line}")


def _signal(group: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.killpg(group, number)


def _user() -> str:
    """Return the name of the user that this process runs as, or its number where it has none."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())


def _say(*words: object, **_: object) -> None:
    print(*words, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m deployment.worker",
        description=f"Run the flow runs of the work pool {POOL} as processes, one at a time.",
        epilog="The environment (or .env) has PREFECT_API_URL and the login, as for every Prefect client.",
    )
    parser.add_argument("--name", default=POOL, help=f"the worker's name: keep it across restarts (default: {POOL})")
    parser.add_argument("--with-healthcheck", action="store_true", help="answer http://0.0.0.0:8080/health")
    return parser


if __name__ == "__main__":
    sys.exit(main())
