"""What a Scaleway job run is given, and what its end means for its flow run: values, decided without a request."""

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import urlsplit

from prefect.client.schemas.objects import StateType
from prefect.workers.base import BaseJobConfiguration, BaseVariables
from pydantic import Field

from deployment.scaleway.api import KEY_VARIABLE, JobRun
from multischema.errors import UsageError

_SCHEME = "scaleway"
_STARTING = "starting"

# Everything else that is set where the worker runs (its folders, its log, its own credentials) does not concern the job.
_PASSED_SETTINGS = ("PREFECT_API_URL", "PREFECT_FLOWS_HEARTBEAT_FREQUENCY", "PREFECT_LOGGING_LEVEL")
# A job run's variables are stored and shown in clear, by Scaleway and (in `env`) by Prefect.
_SECRETS = ("PREFECT_API_KEY", "PREFECT_API_AUTH_STRING", "PREFECT_CLIENT_CUSTOM_HEADERS", KEY_VARIABLE)
_RESERVED = "SCW_SLS"

REASONS = {
    "timeout": "it ran for longer than its definition's job_timeout",
    "cancellation": "it was stopped",
    "memory_usage_exceeded": "it used more than its {memory} MiB of memory; raise memory_limit in its definition",
    "storage_usage_exceeded": "it used more than its {storage} MiB of disk; raise local_storage_capacity in its definition",
    "image_not_found": "its image does not exist, or may not be read; check image_uri in its definition",
    "invalid_image": "its image can't be run; want one for linux/amd64",
    "exited_with_error": "its command ended with exit code {exit_code}",
    "secret_not_found": "a secret of its definition does not exist",
    "secret_disabled": "a secret of its definition is disabled",
    "quota_exceeded": "the project's quota is used up",
    "invalid_request": "its definition can't be run",
    "technical_error": "an error on Scaleway's side",
}


class ScalewayVariables(BaseVariables):
    """What Prefect's UI asks for, in a work pool and as job variables of a deployment."""

    region: Literal["fr-par", "nl-ams", "pl-waw"] = Field(
        default="fr-par", description="The region of the job definition: Paris, Amsterdam or Warsaw."
    )
    job_definition_id: str = Field(
        title="Job definition",
        description="The id of the Serverless Job definition (image, memory, secrets, timeout) that runs the flow.",
    )
    command: str | None = Field(
        default=None,
        description="The command of the job, instead of `tini -- prefect flow-run execute`: for an image without tini.",
    )
    env: dict[str, str | None] = Field(
        default_factory=dict,
        title="Environment variables",
        description="Variables of the job. They are stored and shown in clear: secrets belong in the job definition, "
        "as references to Secret Manager.",
    )
    poll_seconds: float = Field(
        default=10, gt=0, le=300, title="Seconds between looks", description="How often the worker looks at a job."
    )
    start_patience: float = Field(
        default=600,
        ge=0,
        title="Patience at the start (seconds)",
        description="How long a start is tried again while Scaleway does not answer, or answers that it can't just now.",
    )
    cancel_grace: float = Field(
        default=30,
        ge=0,
        title="Grace of a cancelled job (seconds)",
        description="How long a running job of a cancelled flow run may take to end by itself, before it is stopped.",
    )
    timeout: float = Field(
        default=86400,
        gt=0,
        title="Timeout (seconds)",
        description="How long a job may take, the wait for its start included, before it is stopped. "
        "The job definition has a timeout of its own, counted from its start.",
    )


class ScalewayJobConfiguration(BaseJobConfiguration):
    """The variables once they are resolved for one flow run."""

    region: str = "fr-par"
    job_definition_id: str | None = None
    poll_seconds: float = 10
    start_patience: float = 600
    cancel_grace: float = 30
    timeout: float = 86400

    def prepare_for_flow_run(self, *args: Any, **kwargs: Any) -> None:
        """Complete the command, and the environment: only what a job needs, and no secret."""
        given = dict(self.env)
        super().prepare_for_flow_run(*args, **kwargs)
        self.env = {
            name: value
            for name, value in self.env.items()
            if name in given or name in _PASSED_SETTINGS or name.startswith("PREFECT__")
        }

    @staticmethod
    def _base_flow_run_command() -> str:
        """Return the command of a job. It replaces the image's entrypoint, so it must name tini again.

        Without tini, `prefect` would be the container's first process, which gets no signal: a job told to stop would go on
        until it is killed.
        """
        return "tini -- prefect flow-run execute"

    def definition(self) -> str:
        """Return the id of the job definition, as the API wants it. Raises UsageError."""
        # Terraform calls it region/id.
        region, _, identifier = (self.job_definition_id or "").strip().rpartition("/")
        if not identifier:
            raise UsageError("no job definition: set job_definition_id in the work pool, or as a job variable")
        if region not in ("", self.region):
            raise UsageError(
                f"job definition {region}/{identifier}: the job variable region is {self.region}, want {region}"
            )
        return identifier

    def argv(self) -> list[str]:
        """Return the command as words. Raises UsageError."""
        try:
            words = shlex.split((self.command or "").strip() or self._base_flow_run_command())
        except ValueError as error:
            raise UsageError(f"the job variable command can't be read: {error}") from None
        return words

    def environment(self) -> dict[str, str]:
        """Return the variables of the job run. Raises UsageError for one that would show a secret, naming it."""
        variables = {name: value for name, value in self.env.items() if value is not None}
        problems = []
        for name, value in variables.items():
            if name in _SECRETS or _has_password(value):
                problems.append(
                    f"variable {name} of the job would show a secret: want it in the job definition, as a reference to "
                    "Secret Manager, and not in env"
                )
            if name.upper().startswith(_RESERVED):
                problems.append(f"variable {name} of the job: Scaleway reserves names that begin with {_RESERVED}")
        if problems:
            raise UsageError(*problems)
        return variables


def template(variables: Mapping[str, Any], configuration: Mapping[str, Any]) -> dict[str, Any]:
    """Return a base job template with our variables in our order; job runs have no names and no labels to be asked for."""
    asked = [name for name in ScalewayVariables.__annotations__ if name in variables["properties"]]
    return {
        "job_configuration": {name: configuration[name] for name in asked},
        "variables": {
            "type": "object",
            "properties": {name: variables["properties"][name] for name in asked},
            "required": variables["required"],
        },
    }


@dataclass(frozen=True)
class Place:
    """Where a flow run runs: a job run in a region. As text it is the flow run's infrastructure_pid."""

    region: str
    run: str

    def __str__(self) -> str:
        return f"{_SCHEME}:{self.region}:{self.run}"

    @classmethod
    def read(cls, text: str | None) -> "Place | None":
        """Return the place that an infrastructure_pid names, None if it is not one of ours."""
        scheme, _, rest = (text or "").partition(":")
        region, _, run = rest.partition(":")
        return cls(region, run) if scheme == _SCHEME and region != _STARTING and region and run else None


def starting(worker: str) -> str:
    """Return the infrastructure_pid of a flow run that a worker is about to start a job for."""
    return f"{_SCHEME}:{_STARTING}:{worker}"


def is_starting(text: str | None) -> bool:
    """Tell whether an infrastructure_pid says that some worker is about to start a job."""
    return (text or "").startswith(starting(""))


def explanation(place: Place, job: JobRun | None, *, overdue: float | None = None) -> str:
    """Return in one line why a job run ended; None: Scaleway doesn't have it any more; overdue: the worker's timeout."""
    name = f"Scaleway job run {place.run} in {place.region}"
    if job is None:
        return f"{name}: Scaleway does not have it any more"
    if overdue is not None:
        return f"{name}: timeout: stopped by the worker after {overdue:g} seconds, its job variable timeout"
    if job.state == "succeeded":
        return f"{name} succeeded"
    reason = job.reason or ("cancellation" if job.state == "interrupted" else "unknown_reason")
    why = REASONS.get(reason, "Scaleway gives no reason").format(
        memory=job.memory or "?", storage=job.storage or "?", exit_code="?" if job.exit_code is None else job.exit_code
    )
    return f"{name} {job.state}: {reason}: {why}" + (f" ({job.error})" if job.error else "")


@dataclass(frozen=True)
class Verdict:
    """The state and message for a flow run whose job run has ended."""

    state: Literal["Cancelled", "Crashed"]
    message: str


def verdict(state: StateType | None, job: JobRun | None, why: str) -> Verdict | None:
    """Return what a flow run becomes, given its state after its job ended; None if it reported its own end."""
    if state == StateType.CANCELLING:
        return Verdict("Cancelled", f"cancelled; {why}")
    if state == StateType.PENDING:
        return Verdict("Crashed", f"{why}, and the flow never started")
    if state == StateType.RUNNING:
        unsaid = ", and the flow did not say how it ended" if job and job.state == "succeeded" else ""
        return Verdict("Crashed", why + unsaid)
    return None


def _has_password(value: str) -> bool:
    try:
        password = urlsplit(value).password
    except ValueError:
        password = None
    return bool(password or re.search(r"://[^/]*:[^/]*@|\bpassword\s*=", value, re.IGNORECASE))
