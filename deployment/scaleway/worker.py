"""The worker of work pools of type `scaleway`: a Serverless Job run per flow run.

The worker follows each job run to its end. The flow reports how it ended; if it can't (no memory left, an image that does
not exist, a job stopped by hand), the worker does, with Scaleway's reason. A worker that starts takes up the jobs that
another one started: infrastructure_pid says where they run.
"""

import os
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar
from uuid import UUID, uuid4

import anyio
import anyio.abc
import httpx
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterState,
    FlowRunFilterStateType,
    WorkPoolFilter,
    WorkPoolFilterName,
)
from prefect.client.schemas.objects import FlowRun, WorkerStatus
from prefect.exceptions import InfrastructureNotAvailable, InfrastructureNotFound, ObjectNotFound
from prefect.states import Cancelled, Scheduled
from prefect.workers.base import BaseWorker, BaseWorkerResult

from deployment.leftovers import end_tasks
from deployment.scaleway import api
from deployment.scaleway.api import JobRun, Jobs, NotFound, ScalewayError, Unanswered
from deployment.scaleway.following import UNDER_WAY, Watch, asked, backoff
from deployment.scaleway.jobs import (
    Place,
    ScalewayJobConfiguration,
    ScalewayVariables,
    is_starting,
    starting,
    template,
)
from multischema.errors import EtlError, UsageError

_START = "PREFECT__SCALEWAY_START"  # identifies the job runs of one start: an unanswered start may have succeeded
_WORKER_LABEL = "prefect.worker.name"
_PAGE = 200
_KILL_PATIENCE = 30.0

Answer = TypeVar("Answer")


class ScalewayResult(BaseWorkerResult):
    """The end of a job run. Its status code is always 0: the flow run already has the outcome."""


class _NotWanted(Exception):
    """The flow run was cancelled, or moved elsewhere, before its job started."""


class ScalewayWorker(BaseWorker[ScalewayJobConfiguration, ScalewayVariables, ScalewayResult]):
    """Run each flow run as a Scaleway Serverless Job."""

    type = "scaleway"
    job_configuration = ScalewayJobConfiguration
    job_configuration_variables = ScalewayVariables
    _display_name = "Scaleway Serverless Jobs"
    _description = "Run each flow run as a Scaleway Serverless Job. Needs a worker: `python -m deployment.scaleway`."
    _documentation_url = "https://www.scaleway.com/en/docs/serverless-jobs/"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Take what every worker takes; the secret key is read from the environment once the worker starts."""
        super().__init__(*args, **kwargs)
        self._door: Jobs | None = None
        self._followed: set[str] = set()
        self._recovered: set[UUID] = set()
        self._unsure: set[UUID] = set()

    @classmethod
    def get_default_base_job_template(cls) -> dict[str, Any]:
        """Return what a new work pool asks for in Prefect's UI."""
        base = super().get_default_base_job_template()
        return template(base["variables"], base["job_configuration"])

    @property
    def jobs(self) -> Jobs:
        """Return the door to Scaleway. Raises UsageError if the environment has no secret key."""
        if self._door is None:
            self._door = Jobs.from_environment(os.environ)
        return self._door

    async def setup(self) -> None:
        """Start only with a secret key."""
        _ = self.jobs
        await super().setup()

    async def run(
        self,
        flow_run: FlowRun,
        configuration: ScalewayJobConfiguration,
        task_status: anyio.abc.TaskStatus[Any] | None = None,
    ) -> ScalewayResult:
        """Start a job run for a flow run and follow it to its end."""
        status: anyio.abc.TaskStatus[Any] = task_status or anyio.TASK_STATUS_IGNORED
        log = self.get_flow_run_logger(flow_run)
        try:
            place = await self._start(flow_run, configuration)
        except (EtlError, _NotWanted, ObjectNotFound) as error:
            if isinstance(error, EtlError):
                log.error(str(error))
                await self._propose_crashed_state(flow_run, f"no Scaleway job was started: {error}")
            else:
                self._logger.info(str(error) if isinstance(error, _NotWanted) else f"flow run {flow_run.id} was deleted")
            # An exception as the answer tells Prefect that nothing was started; raised, it would be logged with its frames.
            # Only now: from here on the flow run passes for one that a killed worker left, unless it has ended.
            status.started(error)
            return ScalewayResult(identifier="", status_code=0)
        except anyio.get_cancelled_exc_class():
            # A start that may have been done is left to the next worker, which looks for the job.
            if flow_run.id not in self._unsure:
                with anyio.move_on_after(5, shield=True):
                    await self._give_back(flow_run.id)
            raise
        finally:
            self._unsure.discard(flow_run.id)
        status.started(str(place))
        await self._follow(flow_run, place, configuration)
        return ScalewayResult(identifier=str(place), status_code=0)

    async def kill_infrastructure(
        self,
        infrastructure_pid: str,
        configuration: ScalewayJobConfiguration,  # noqa: ARG002
        grace_seconds: int = 30,  # noqa: ARG002
    ) -> None:
        """Stop a job run. Raises InfrastructureNotFound if there is none, InfrastructureNotAvailable if it can't."""
        place = Place.read(infrastructure_pid)
        if is_starting(infrastructure_pid):
            raise InfrastructureNotFound("no Scaleway job was started yet")
        if place is None:
            raise InfrastructureNotAvailable(f"{infrastructure_pid} is no Scaleway job run")
        deadline = time.monotonic() + _KILL_PATIENCE
        failures = 0
        while True:
            try:
                if not (await asked(self.jobs.run, place.region, place.run)).ended:
                    await asked(self.jobs.stop, place.region, place.run)
                return
            except NotFound as error:
                raise InfrastructureNotFound(str(error)) from None
            except ScalewayError as error:
                if not error.transient or time.monotonic() > deadline:
                    raise InfrastructureNotAvailable(str(error)) from None
            failures += 1
            await anyio.sleep(backoff(0.5, failures))

    async def sync_with_backend(self) -> None:
        """Tell Prefect that the worker lives, as it does every 30 seconds, and take up jobs that nobody follows.

        It also ends what killed runs left Running.
        """
        await super().sync_with_backend()
        if self._work_pool is None:
            return
        try:
            await self._adopt()
        except httpx.HTTPError as error:
            self._logger.warning("the flow runs under way could not be read (%s)", type(error).__name__)
        await end_tasks(self.client)

    # To start a job run.

    async def _start(self, flow_run: FlowRun, configuration: ScalewayJobConfiguration) -> Place:
        """Start a job run, and only one. Raises EtlError if Scaleway refuses, or we do; _NotWanted."""
        definition_id, argv = configuration.definition(), configuration.argv()
        environment = {**configuration.environment(), _START: str(uuid4())}
        region = configuration.region
        await self.client.update_flow_run(flow_run.id, infrastructure_pid=starting(self.name))

        async def definition() -> api.Definition:
            await self._check_wanted(flow_run)
            return await asked(self.jobs.definition, region, definition_id)

        found = await self._until_answered(flow_run, configuration.start_patience, definition)
        if found.max_retries:
            raise UsageError(
                f"job definition {found.name} in {region}: retry_policy.max_retries is {found.max_retries}, want 0: "
                "Scaleway would rerun a flow that Prefect considers ended"
            )
        unsure = False

        async def start() -> JobRun:
            nonlocal unsure
            if unsure and (known := await asked(self.jobs.find, region, definition_id, _START, environment[_START])):
                return known
            await self._check_wanted(flow_run)
            try:
                return await asked(self.jobs.start, region, definition_id, argv, environment)
            except Unanswered as error:
                unsure = unsure or error.unsure
                if unsure:
                    self._unsure.add(flow_run.id)
                raise

        job = await self._until_answered(flow_run, configuration.start_patience, start)
        place = Place(region, job.id)
        self._followed.add(str(place))
        # Even if the worker is being stopped: the next one finds the job by this.
        with anyio.CancelScope(shield=True):
            await self._remember(flow_run, place)
        self.get_flow_run_logger(flow_run).info(
            f"started Scaleway job run {job.id} of job definition {found.name} in {region}, image {found.image}"
        )
        return place

    async def _until_answered(self, flow_run: FlowRun, patience: float, ask: Callable[[], Awaitable[Answer]]) -> Answer:
        """Ask Scaleway until it answers, while patience lasts."""
        log = self.get_flow_run_logger(flow_run)
        deadline = time.monotonic() + patience
        failures = 0
        while True:
            try:
                return await ask()
            except Unanswered as error:
                pause = min(backoff(0.5, failures, error.wait), 60.0)
                if time.monotonic() + pause > deadline:
                    raise ScalewayError(f"{error}; given up after {patience:g} s") from None
                log.warning(f"{error}; asking again")
            failures += 1
            await anyio.sleep(pause)

    async def _check_wanted(self, flow_run: FlowRun) -> None:
        """Raise _NotWanted if the flow run is no longer Pending; a cancelled one becomes Cancelled."""
        try:
            state = (await self.client.read_flow_run(flow_run.id)).state
        except httpx.HTTPError:
            return
        if state is None or state.is_pending():
            return
        if state.is_cancelling():
            await self.client.set_flow_run_state(flow_run.id, Cancelled(message="cancelled before a job was started"))
        raise _NotWanted(f"no Scaleway job is started: flow run {flow_run.id} is {state.name}")

    async def _remember(self, flow_run: FlowRun, place: Place) -> None:
        """Record where the flow run runs, sooner than Prefect does, so that a worker killed right now loses no job."""
        try:
            await self.client.update_flow_run(flow_run.id, infrastructure_pid=str(place))
        except Exception as error:  # the job is followed all the same
            self._logger.warning("infrastructure_pid could not be written (%s)", type(error).__name__)

    async def _give_back(self, flow_run_id: UUID) -> None:
        """Reschedule a flow run whose job was not started: the worker is stopping, or was killed."""
        message = "the worker was stopped before it started a job: scheduled again"
        try:
            await self.client.set_flow_run_state(flow_run_id, Scheduled(message=message))
        except httpx.HTTPError as error:
            self._logger.warning("flow run %s could not be given back (%s)", flow_run_id, type(error).__name__)

    # To follow job runs, those of earlier workers too.

    async def _follow(self, flow_run: FlowRun, place: Place, configuration: ScalewayJobConfiguration) -> None:
        self._followed.add(str(place))
        try:
            await self._watch(flow_run, place, configuration).follow()
        finally:
            self._followed.discard(str(place))

    def _watch(self, flow_run: FlowRun, place: Place, configuration: ScalewayJobConfiguration) -> Watch:
        return Watch(
            jobs=self.jobs,
            client=self.client,
            flow_run_id=flow_run.id,
            place=place,
            configuration=configuration,
            log=self.get_flow_run_logger(flow_run),
            being_submitted=lambda: flow_run.id in self._submitting_flow_run_ids,
        )

    async def _adopt(self) -> None:
        """Take up the flow runs under way in this pool that no living worker follows."""
        found = [run for run in await self._under_way() if self._is_left(run)]
        if not found:
            return
        workers = await self.client.read_workers_for_work_pool(self._work_pool_name)
        others = {worker.name for worker in workers if worker.status == WorkerStatus.ONLINE and worker.name != self.name}
        assert self._runs_task_group
        for run in found:
            if run.labels.get(_WORKER_LABEL) in others:
                continue
            place = Place.read(run.infrastructure_pid)
            if place:
                self._followed.add(str(place))
            else:
                self._recovered.add(run.id)
            self._runs_task_group.start_soon(self._take_up, run, place)

    def _is_left(self, flow_run: FlowRun) -> bool:
        """Tell whether this worker would have to follow a flow run, and does not."""
        pid = flow_run.infrastructure_pid
        if Place.read(pid):
            return pid not in self._followed
        # It was about to be started by this worker, which was killed, or could not reach Prefect.
        mine = pid == starting(self.name) or (not pid and flow_run.labels.get(_WORKER_LABEL) == self.name)
        return mine and flow_run.id not in self._submitting_flow_run_ids and flow_run.id not in self._recovered

    async def _under_way(self) -> list[FlowRun]:
        found: list[FlowRun] = []
        while True:
            page = await self.client.read_flow_runs(
                flow_run_filter=FlowRunFilter(state=FlowRunFilterState(type=FlowRunFilterStateType(any_=list(UNDER_WAY)))),
                work_pool_filter=WorkPoolFilter(name=WorkPoolFilterName(any_=[self._work_pool_name])),
                limit=_PAGE,
                offset=len(found),
            )
            found += page
            if len(page) < _PAGE:
                return found

    async def _take_up(self, flow_run: FlowRun, place: Place | None) -> None:
        """Follow the job of an abandoned flow run, unless it is unknown whether it started."""
        slot = self._take_slot(flow_run.id)
        try:
            configuration = await self._configuration_of(flow_run)
            if place is None:
                place = await self._find_started(flow_run, configuration)
            if place is None:
                return
            look = await self._watch(flow_run, place, configuration).look()
            if look is None or (look.ours and look.state in UNDER_WAY):
                self.get_flow_run_logger(flow_run).info(
                    f"worker {self.name} follows Scaleway job run {place.run} in {place.region} from here on"
                )
                await self._follow(flow_run, place, configuration)
        except Exception as error:
            self._logger.warning("flow run %s could not be taken up (%s)", flow_run.id, type(error).__name__)
        finally:
            self._followed.discard(str(place))
            self._recovered.discard(flow_run.id)
            if slot:
                self._release_limit_slot(flow_run.id)

    async def _find_started(self, flow_run: FlowRun, configuration: ScalewayJobConfiguration) -> Place | None:
        """Return where a flow run runs whose worker was killed as it started the job, or give the flow run back."""
        try:
            region, definition = configuration.region, configuration.definition()
            job = await asked(self.jobs.find, region, definition, "PREFECT__FLOW_RUN_ID", str(flow_run.id))
        except Unanswered:
            return None  # the next sync asks again
        except EtlError:
            job = None  # we would have heard that before a start, and will again
        # as it is now: it may have ended since we found it abandoned
        state = (await self.client.read_flow_run(flow_run.id)).state
        is_running = state is not None and state.is_running()
        if job and (is_running or not job.ended):
            place = Place(region, job.id)
            self._followed.add(str(place))
            await self._remember(flow_run, place)
            return place
        if state is not None and state.is_cancelling():
            await self.client.set_flow_run_state(flow_run.id, Cancelled(message="cancelled before a job was started"))
        elif state is not None and state.is_pending():
            await self._give_back(flow_run.id)
        return None

    async def _configuration_of(self, flow_run: FlowRun) -> ScalewayJobConfiguration:
        """Return the job variables that a flow run started with, or the defaults if they are gone."""
        try:
            return await self.job_configuration.resolve_for_flow_run(
                flow_run,
                client=self.client,
                work_pool=self.work_pool.model_copy(deep=True),
                worker_name=self.name,
                worker_id=self.backend_id,
            )
        except Exception as error:
            self._logger.warning("job variables of %s can't be read (%s)", flow_run.id, type(error).__name__)
            return self.job_configuration()

    def _take_slot(self, flow_run_id: UUID) -> bool:
        """Take one of the worker's `--limit` slots if one is free: a running job is followed in any case."""
        if self._limiter is None:
            return False
        try:
            self._limiter.acquire_on_behalf_of_nowait(flow_run_id)
        except (anyio.WouldBlock, RuntimeError):
            return False
        return True
