"""The door to Scaleway's Serverless Jobs: the few calls of its HTTP API v1alpha2 that the worker needs."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, urlsplit

import requests
from pydantic import SecretStr
from urllib3.exceptions import NewConnectionError

from multischema.addresses import is_private
from multischema.errors import EtlError, UsageError

URL = "https://api.scaleway.com"
REGIONS = ("fr-par", "nl-ams", "pl-waw")
KEY_VARIABLE = "SCW_SECRET_KEY"
URL_VARIABLE = "SCW_API_URL"
CONNECT_TIMEOUT = 10.0
SILENCE_TIMEOUT = 30.0

ENDED = ("succeeded", "failed", "interrupted")
STARTED = ("running", "retrying", "interrupting")

_PAGE = 50  # job runs that are looked through for one whose start was not answered


class ScalewayError(EtlError):
    """Scaleway refused the request; asking again won't help."""


class NotFound(ScalewayError):
    """There is no such job definition or job run."""


class Denied(ScalewayError):
    """The secret key is unknown or lacks a permission."""


class Unanswered(ScalewayError):
    """Scaleway did not answer, or can't right now. `unsure`: it may have carried out the request all the same."""

    transient = True

    def __init__(self, problem: str, *, unsure: bool, wait: float = 0.0) -> None:
        super().__init__(problem)
        self.unsure = unsure
        self.wait = wait


@dataclass(frozen=True)
class Definition:
    """The parts of a job definition that matter to a run."""

    id: str
    name: str
    image: str
    max_retries: int


@dataclass(frozen=True)
class JobRun:
    """What Scaleway says about a job run; memory and storage in MiB."""

    id: str
    state: str
    reason: str = ""
    exit_code: int | None = None
    error: str = ""
    memory: int = 0
    storage: int = 0
    created: datetime | None = None
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def ended(self) -> bool:
        """Tell whether the state is final."""
        return self.state in ENDED

    @property
    def started(self) -> bool:
        """Tell whether its command has started: not while it is checked and waits for a slot."""
        return self.state in STARTED


class Jobs:
    """Serverless Jobs, through one secret key that no error and no repr shows."""

    def __init__(self, key: SecretStr, url: str = URL) -> None:
        """Take the key and the API's address. Raises UsageError if they can't be used."""
        text = key.get_secret_value().strip()
        # Checked here: requests would quote a header that it can't send.
        if not re.fullmatch("[!-~]+", text):
            raise UsageError(f"{KEY_VARIABLE} is not a secret key: want the UUID that Scaleway showed when the key was made")
        if not is_private(urlsplit(url)):
            raise UsageError(f"{URL_VARIABLE} is not an https URL: the secret key would be sent in clear")
        self._key = SecretStr(text)
        self._url = url.rstrip("/")

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "Jobs":
        """Return the door that an environment opens. Raises UsageError."""
        key = environment.get(KEY_VARIABLE, "")
        if not key.strip():
            raise UsageError(f"missing variable {KEY_VARIABLE}: want the secret key of an API key of Scaleway")
        return cls(SecretStr(key), environment.get(URL_VARIABLE) or URL)

    def __repr__(self) -> str:
        return f"Jobs({self._url!r})"

    def definition(self, region: str, definition: str) -> Definition:
        """Return a job definition. Raises ScalewayError."""
        subject = f"job definition {definition} in {region}"
        said = self._ask(subject, "GET", region, f"job-definitions/{_part(definition)}")
        with _understood(subject):
            policy = said.get("retry_policy") or {}
            return Definition(
                id=str(said["id"]),
                name=str(said.get("name", "")),
                image=str(said.get("image_uri", "")),
                max_retries=int(policy.get("max_retries") or 0),
            )

    def start(self, region: str, definition: str, command: Sequence[str], environment: Mapping[str, str]) -> JobRun:
        """Start a job run. Raises ScalewayError; after an Unanswered that is unsure, look whether it runs: `find`."""
        body = {
            "startup_command": list(command[:1]),
            "args": list(command[1:]),
            "environment_variables": dict(environment),
            "replicas": 1,
        }
        subject = f"start of job definition {definition} in {region}"
        said = self._ask(subject, "POST", region, f"job-definitions/{_part(definition)}/start", body)
        with _understood(subject, unsure=True):
            return _job_run(said["job_runs"][0])

    def find(self, region: str, definition: str, variable: str, value: str) -> JobRun | None:
        """Return the newest of a definition's latest job runs that was given this variable. Raises ScalewayError."""
        query = {"job_definition_id": definition, "order_by": "created_at_desc", "page": "1", "page_size": str(_PAGE)}
        subject = f"job runs of job definition {definition} in {region}"
        said = self._ask(subject, "GET", region, "job-runs", query=query)
        with _understood(subject):
            runs = [_job_run(run) for run in said["job_runs"]]
        return next((run for run in runs if run.environment.get(variable) == value), None)

    def run(self, region: str, run: str) -> JobRun:
        """Return a job run as it is now. Raises ScalewayError."""
        subject = f"job run {run} in {region}"
        said = self._ask(subject, "GET", region, f"job-runs/{_part(run)}")
        with _understood(subject):
            return _job_run(said)

    def stop(self, region: str, run: str) -> None:
        """Have a job run stopped; it may take a moment to end. Raises ScalewayError."""
        self._ask(f"stop of job run {run} in {region}", "POST", region, f"job-runs/{_part(run)}/stop", {})

    def _ask(
        self,
        subject: str,
        method: str,
        region: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        query: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        url = f"{self._url}/serverless-jobs/v1alpha2/regions/{_part(region)}/{path}"
        unsure = method != "GET"
        try:
            response = requests.request(
                method,
                url,
                json=body,
                params=query,
                headers={"X-Auth-Token": self._key.get_secret_value(), "User-Agent": "multi-schema-postgres-etl"},
                timeout=(CONNECT_TIMEOUT, SILENCE_TIMEOUT),
                allow_redirects=False,  # the key is for this host alone
            )
        except (requests.RequestException, OSError, ValueError) as error:
            # Only the error's kind is shown: its message may quote what was sent.
            raise Unanswered(
                f"{subject}: Scaleway can't be reached ({type(error).__name__})", unsure=unsure and not _unsent(error)
            ) from None
        if response.status_code >= 300:
            raise self._refusal(subject, response, unsure)
        with _understood(subject, unsure=unsure):
            said: dict[str, Any] = response.json()
            return dict(said)

    def _refusal(self, subject: str, response: requests.Response, unsure: bool) -> ScalewayError:
        status = response.status_code
        try:
            said = response.json()
        except ValueError:
            said = None
        problem = self._clean(_in_words(said if isinstance(said, dict) else {}))
        what = f"{status} {problem}" if problem else str(status)
        if status == 429 or status >= 500 or status in (408, 409):
            # 409 means a resource in a transient state
            carried_out = unsure and status not in (409, 429)
            return Unanswered(f"{subject}: Scaleway answered {what}", unsure=carried_out, wait=_seconds(response))
        if status == 401:
            return Denied(
                f"{subject}: Scaleway does not accept the secret key ({what}); check {KEY_VARIABLE} where the worker runs"
            )
        if status == 403 and "quota" not in problem:
            return Denied(
                f"{subject}: the secret key lacks a permission ({what}); want ServerlessJobsFullAccess in the project of "
                "the job definition; where it has that, SecretManagerSecretAccess and ContainerRegistryReadOnly too"
            )
        if status == 404:
            return NotFound(f"{subject}: Scaleway does not have it ({what}); check the region and the id")
        return ScalewayError(f"{subject}: Scaleway refused ({what})")

    def _clean(self, text: str) -> str:
        """Return what Scaleway said as a short line, without the key should it quote it."""
        return _line(text.replace(self._key.get_secret_value(), "…"))


@contextmanager
def _understood(subject: str, *, unsure: bool = False) -> Iterator[None]:
    """Read an answer; one that does not match the API's documentation counts as none."""
    try:
        yield
    except (KeyError, IndexError, TypeError, ValueError, AttributeError):
        raise Unanswered(f"{subject}: Scaleway's answer can't be understood", unsure=unsure) from None


def _unsent(error: BaseException) -> bool:
    """Tell whether a request surely never left: no connection was made."""
    cause = getattr(error.args[0], "reason", None) if error.args else None
    return isinstance(error, requests.ConnectTimeout) or isinstance(cause, NewConnectionError)


def _job_run(said: Mapping[str, Any]) -> JobRun:
    exit_code = said.get("exit_code")
    return JobRun(
        id=str(said["id"]),
        state=str(said["state"]),
        reason=str(said.get("reason") or ""),
        exit_code=int(exit_code) if exit_code is not None else None,
        error=_line(str(said.get("error_message") or "")),
        memory=int(said.get("memory_limit") or 0),
        storage=int(said.get("local_storage_capacity") or 0),
        created=_time(said.get("created_at")),
        environment=dict(said.get("environment_variables") or {}),
    )


def _in_words(said: Mapping[str, Any]) -> str:
    """Return what an error of the API says: its type, its message, what it names."""
    words = [str(said[name]) for name in ("type", "message", "help_message", "reason") if said.get(name)]
    for name in ("resource", "resource_id", "current_state"):
        if said.get(name):
            words.append(f"{name} {said[name]}")
    details = said.get("details")
    for detail in details if isinstance(details, list) else []:
        if isinstance(detail, dict):
            words.append(" ".join(str(value) for value in detail.values()))
    return ", ".join(words)


def _line(text: str) -> str:
    line = " ".join("".join(character if character.isprintable() else " " for character in text).split())
    return line if len(line) <= 300 else line[:299] + "…"


def _part(text: str) -> str:
    """Return a text as one part of a path, whatever it contains."""
    return quote(text, safe="")


def _seconds(response: requests.Response) -> float:
    """Return the seconds that an answer asks to wait, 0 if it does not say."""
    text = response.headers.get("Retry-After", "")
    return min(float(text), 300.0) if text.isdecimal() else 0.0


def _time(text: object) -> datetime | None:
    try:
        found = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
