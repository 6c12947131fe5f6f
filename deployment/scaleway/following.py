"""Follows one job run to its end, and ends its flow run if that does not end by itself."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any, ParamSpec, TypeVar
from uuid import UUID

import anyio
import anyio.to_thread
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.objects import StateType
from prefect.client.schemas.responses import SetStateStatus
from prefect.exceptions import ObjectNotFound
from prefect.states import Cancelled, Crashed

from deployment.scaleway.api import Denied, JobRun, Jobs, NotFound, ScalewayError, Unanswered
from deployment.scaleway.jobs import Place, ScalewayJobConfiguration, explanation, verdict

UNDER_WAY = (StateType.PENDING, StateType.RUNNING, StateType.CANCELLING)

_GONE = 3  # consecutive answers that there is no such job run before we believe it
_SETTLED = 2.0  # seconds
_MAX_DELAY = 60.0

Parameters = ParamSpec("Parameters")
Answer = TypeVar("Answer")


async def asked(ask: Callable[Parameters, Answer], *args: Parameters.args, **kwargs: Parameters.kwargs) -> Answer:
    """Ask Scaleway in a thread, and wait for the answer even if the worker is told to stop: it may be a started job."""
    return await anyio.to_thread.run_sync(partial(ask, *args, **kwargs))


def backoff(base: float, failures: int, wait: float = 0.0) -> float:
    """Return the seconds until the next try, after so many that failed; at least what the answer asked for."""
    return max(min(base * 2.0 ** min(failures, 10), max(base, _MAX_DELAY)), wait)


@dataclass(frozen=True)
class Look:
    """A flow run as Prefect has it; `ours`: it still runs in the job run that is followed, not in a later one."""

    state: StateType | None
    ours: bool


@dataclass
class Watch:
    """A watch on a job run. Whatever fails on the way, only its end, or its flow run's, ends the watch."""

    jobs: Jobs
    client: PrefectClient
    flow_run_id: UUID
    place: Place
    configuration: ScalewayJobConfiguration
    log: Any
    being_submitted: Callable[[], bool]

    job: JobRun | None = None
    failures: int = 0
    wait: float = 0.0
    gone: int = 0
    begun: datetime | None = None
    cancelled_at: float | None = None
    stopping: bool = False
    stopped_at: float | None = None
    overdue: bool = False

    async def follow(self) -> None:
        """Follow the job run to its end, then make sure that the flow run ends too."""
        why = None
        while why is None:
            try:
                why = await self._turn()
            except Exception as error:
                # Nothing may end the watch but an end: a run nobody follows could be Running for ever.
                self._failed(f"following {self.place.run} failed ({type(error).__name__})", error=True)
                self.log.debug("following %s failed", self.place.run, exc_info=True)
            if why is None:
                await anyio.sleep(backoff(self.configuration.poll_seconds, self.failures, self.wait))
        await self._conclude(why)

    async def _turn(self) -> str | None:
        """Look once; return why it is over, None while it goes on."""
        try:
            job = await asked(self.jobs.run, self.place.region, self.place.run)
        except NotFound as error:
            self.gone += 1
            if self.gone >= _GONE:
                self.job = None
                return explanation(self.place, None)
            self._failed(str(error))
            return None
        except ScalewayError as error:
            self.wait = error.wait if isinstance(error, Unanswered) else _MAX_DELAY
            self._failed(f"{error}; the job goes on, and the worker asks again", error=isinstance(error, Denied))
            return await self._unseen(str(error))
        self._answered(job)
        if job.ended:
            return explanation(self.place, job, overdue=self.configuration.timeout if self.overdue else None)
        await self._stop_unwanted(job)
        return None

    def _answered(self, job: JobRun) -> None:
        if self.failures:
            self.log.info(f"Scaleway answers again: job run {self.place.run} is {job.state}")
        elif self.job is None or self.job.state != job.state:
            self.log.info(f"Scaleway job run {self.place.run} in {self.place.region}: {job.state}")
        self.job, self.failures, self.gone, self.wait = job, 0, 0, 0.0

    def _failed(self, problem: str, *, error: bool = False) -> None:
        """Say once that a look failed, and count: each makes the next wait longer."""
        if not self.failures:
            (self.log.error if error else self.log.warning)(problem)
        self.failures += 1

    @property
    def _age(self) -> float:
        """Return the seconds since the job run was made, or since we follow it if Scaleway does not say."""
        self.begun = (self.job.created if self.job else None) or self.begun or datetime.now(UTC)
        return (datetime.now(UTC) - self.begun).total_seconds()

    async def _unseen(self, problem: str) -> str | None:
        """Decide while the job can't be seen: it may well go on. Return why that is over, None while it isn't."""
        look = await self.look()
        if look and not (look.ours and look.state in (*UNDER_WAY, StateType.CANCELLED)):
            return f"the flow run has ended; {problem}"
        if self._age > self.configuration.timeout:
            return f"Scaleway job run {self.place.run} can't be followed: {problem}"
        return None

    async def _stop_unwanted(self, job: JobRun) -> None:
        """Stop a job that takes too long, or whose flow run is cancelled: at once while it waits, else after a grace."""
        now = time.monotonic()
        grace = self.configuration.cancel_grace
        if self._age > self.configuration.timeout:
            self.overdue = True
        look = await self.look()
        cancelled = look and look.ours and look.state in (StateType.CANCELLING, StateType.CANCELLED)
        if cancelled and self.cancelled_at is None:
            self.cancelled_at = now
        if not (self.overdue or (cancelled and self._patience_is_over(job, now, grace))):
            return
        if job.state == "interrupting" or (self.stopped_at is not None and now - self.stopped_at < max(grace, 1.0)):
            return
        if not self.stopping:
            why = "it takes too long" if self.overdue else "its flow run is cancelled"
            self.log.info(f"stopping Scaleway job run {self.place.run}: {why}")
        try:
            await asked(self.jobs.stop, self.place.region, self.place.run)
            self.stopped_at = now
        except ScalewayError as error:
            (self.log.debug if self.stopping else self.log.warning)(str(error))
        self.stopping = True

    def _patience_is_over(self, job: JobRun, now: float, grace: float) -> bool:
        return not job.started or (self.cancelled_at is not None and now - self.cancelled_at >= grace)

    async def look(self) -> Look | None:
        """Return the flow run as it is now, None if Prefect does not answer; a deleted one is not ours."""
        try:
            flow_run = await self.client.read_flow_run(self.flow_run_id)
        except ObjectNotFound:
            return Look(None, ours=False)
        except Exception as error:
            self.log.debug("Prefect does not answer (%s)", type(error).__name__)
            return None
        state = flow_run.state.type if flow_run.state else None
        return Look(state, ours=flow_run.infrastructure_pid == str(self.place))

    async def _conclude(self, why: str) -> None:
        """End the flow run unless it has ended or started again elsewhere; ask until Prefect answers."""
        failures = 0
        doubted = False
        while True:
            look = await self.look()
            if look and not look.ours:
                self.log.debug("job run %s has ended, its flow run goes on elsewhere or was deleted", self.place.run)
                return
            if look and look.state == StateType.PENDING and (self.being_submitted() or not doubted):
                # A run that was scheduled again is Pending, and bears our name, until its next job is about to be started.
                doubted = True
                await anyio.sleep(max(_SETTLED, self.configuration.poll_seconds))
                continue
            if look:
                said = verdict(look.state, self.job, why)
                if said is None:
                    if self.job and self.job.state == "failed":
                        self.log.warning(why)
                    return
                if await self._set(said.state, said.message):
                    return
            await anyio.sleep(backoff(self.configuration.poll_seconds, failures))
            failures += 1

    async def _set(self, name: str, message: str) -> bool:
        """Set the flow run's state; return whether Prefect took it."""
        state: Any = Cancelled(message=message) if name == "Cancelled" else Crashed(message=message)
        try:
            result = await self.client.set_flow_run_state(self.flow_run_id, state)
        except Exception as error:
            self.log.debug("Prefect does not answer (%s)", type(error).__name__)
            return False
        if result.status == SetStateStatus.ACCEPT:
            (self.log.info if name == "Cancelled" else self.log.error)(message)
        return bool(result.status == SetStateStatus.ACCEPT)
