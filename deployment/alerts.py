"""Alerts: automations that tell people of runs that failed, crashed or find no worker, and of apps where nothing new comes.

The addresses to tell are secrets: they are kept in blocks on the Prefect server, and no message quotes one.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from email.utils import parseaddr
from typing import Any
from urllib.parse import SplitResult, parse_qs, quote, unquote, urlencode, urlsplit

from prefect.blocks.core import Block
from prefect.blocks.notifications import SlackWebhook
from prefect.blocks.webhook import Webhook
from prefect.client.orchestration import SyncPrefectClient
from prefect.events.actions import CallWebhook, SendNotification
from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture
from prefect.exceptions import ObjectNotFound
from prefect.types import SecretDict
from prefect.utilities.urls import url_for
from pydantic import SecretStr

from deployment import automations
from deployment.answers import without_login
from multischema.addresses import is_here, is_private
from multischema.errors import UsageError

WEBHOOK, EMAIL, SMTP = "ALERT_WEBHOOK_URL", "ALERT_EMAIL", "ALERT_SMTP_URL"
NONE = "none"  # the value that takes an alert away; without the variable, what a deploy set before stays
PREFIX = "etl alert: "  # of the names of our automations
TRIAL = f"{PREFIX}trial"
TRIED = "etl.alert.trial"  # the event of a trial
# A run that crashed because its worker was stopped, as by each deploy, is handed to the next worker within half a minute.
HANDED_OVER = timedelta(minutes=1)
# A worker takes one run at a time, and Prefect calls a run late after 15 s: the run before it may still be under way.
LATE = timedelta(minutes=30)

# of the run that an event is about
_APP = "{{ event.resource_in_role['deployment'].name }}"
_STATE = "{{ event.resource['prefect.state-name'] }}"
_MESSAGE = (
    "{% set said = (event.resource['prefect.state-message'] or '').strip().splitlines() %}"
    # what a library says may quote a URL with a password, and the alert goes to a stranger's server
    "{% if said %}: {{ 'see its page' if '://' in said[0] and '@' in said[0] else said[0] | truncate(500) }}{% endif %}"
)
_RUN = "{{ event.resource.id.rpartition('.')[2] }}"


@dataclass(frozen=True)
class Watched:
    """An app whose runs are watched."""

    name: str
    deployment: str  # its id
    silence: timedelta | None  # how long nothing new may come, None if no schedule is on


@dataclass(frozen=True)
class _Way:
    """One way to tell people: the block with the address, and the variable that it comes from."""

    name: str
    variable: str
    block: type[Block]

    @property
    def document(self) -> str:
        return f"etl-alert-{self.name}"


# Of Prefect's blocks, only Slack's takes any address that Apprise knows, such as an SMTP server's. Automations can't use the
# block of prefect-email.
_WAYS = (_Way("webhook", WEBHOOK, Webhook), _Way("email", EMAIL, SlackWebhook))


def addresses(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the addresses that the environment gives, by variable; NONE takes one away.

    Raises UsageError with a line for each that can't be used; no line quotes one.
    """
    given = {name: environment.get(name, "").strip() for name in (WEBHOOK, EMAIL, SMTP)}
    problems = []
    if given[WEBHOOK] not in ("", NONE) and not ((webhook := _parsed(given[WEBHOOK])) and is_private(webhook)):
        problems.append(f"{WEBHOOK}: want an https URL (http only for this machine), or {NONE}")
    if given[EMAIL] != NONE and bool(given[SMTP]) != bool(given[EMAIL]):
        problems.append(f"{EMAIL} and {SMTP}: want both or neither")
    elif given[EMAIL] not in ("", NONE):
        try:
            given[EMAIL] = _apprise(given[EMAIL], given[SMTP])
        except UsageError as error:
            problems += error.problems
    if problems:
        raise UsageError(*problems)
    return {name: given[name] for name in (WEBHOOK, EMAIL) if given[name]}


def set_up(client: SyncPrefectClient, given: Mapping[str, str], watched: Sequence[Watched]) -> Iterator[str]:
    """Save the blocks, then create, update or remove the automations; yield a line for each thing done."""
    ways = {}
    for way in _WAYS:
        document, line = _save(client, way, given.get(way.variable))
        if line:
            yield line
        if document:
            ways[way] = document
    wanted = list(_alerts(watched, ways)) if ways else []
    names = {alert.name for alert in wanted}
    for found in client.read_automations():
        if found.name.startswith(PREFIX) and found.name not in names:
            client.delete_automation(found.id)
            yield f"automation {found.name!r}: removed"
    yield from automations.set_up(client, wanted)
    if not ways:
        yield f"alerts: none: set {WEBHOOK} or {EMAIL}"
    elif is_here(urlsplit(link := _page("flow-run", "")).hostname or ""):
        yield (
            f"alerts: their links lead to {urlsplit(link).netloc}, which opens on this machine alone; set PREFECT_UI_URL to "
            "the address where people open Prefect"
        )


def _save(client: SyncPrefectClient, way: _Way, address: str | None) -> tuple[str | None, str]:
    """Save or delete the block of a way; return its id, None if there is no such block, and what was done to it."""
    held = _held(client, way)
    if address is None:
        return (held.id, f"alert {way.name}: kept; {way.variable}={NONE} removes it") if held else (None, "")
    if address == NONE:
        if held:
            client.delete_block_document(held.id)
        return None, f"alert {way.name}: removed" if held else ""
    if held and held.data.get("url") == address:
        return held.id, f"alert {way.name}: unchanged"
    saved: Any = _block(way, SecretStr(address)).save(way.document, overwrite=True)
    return saved, f"alert {way.name}: {'updated' if held else 'created'} from {way.variable}"


def _block(way: _Way, address: SecretStr) -> Webhook | SlackWebhook:
    """Return the block of a way."""
    if way.block is Webhook:
        return Webhook(url=address, headers=SecretDict({"Content-Type": "application/json"}))
    return SlackWebhook(url=address)


def _held(client: SyncPrefectClient, way: _Way) -> Any:
    """Return the block of a way with its secrets, None if there is no such block."""
    try:
        return client.read_block_document_by_name(way.document, way.block.get_block_type_slug())
    except ObjectNotFound:
        return None


def _alerts(watched: Sequence[Watched], ways: Mapping[_Way, Any]) -> Iterator[AutomationCore]:
    """Yield the automations, only for runs of these apps: others may share the server."""
    deployments = [f"prefect.deployment.{app.deployment}" for app in watched]
    run = _page("flow-run", _RUN)
    told = f"{_APP}: {_STATE}{_MESSAGE}\n{run}"
    subject = f"etl: {_APP} {_STATE}"
    yield AutomationCore(
        name=f"{PREFIX}failed",
        description="Tells of each run that failed.",
        trigger=EventTrigger(
            posture=Posture.Reactive,
            # by the state's type: a state of that type may have another name, such as TimedOut
            match={"prefect.resource.id": "prefect.flow-run.*", "prefect.state-type": "FAILED"},
            match_related=_of(deployments),
            expect={"prefect.flow-run.*"},
        ),
        actions=_actions(ways, subject, told),
    )
    yield AutomationCore(
        name=f"{PREFIX}crashed",
        description="Tells of each run that crashed and was not handed to another worker.",
        trigger=_unless(deployments, "Crashed", {"prefect.flow-run.AwaitingRetry"}, HANDED_OVER),
        actions=_actions(ways, subject, told),
    )
    waits = f"for {LATE.total_seconds() / 60:g} minutes no worker has taken this run"
    yield AutomationCore(
        name=f"{PREFIX}late",
        description="Tells of each run that no worker takes.",
        trigger=_unless(deployments, "Late", {"prefect.flow-run.*"}, LATE),
        actions=_actions(ways, subject, f"{_APP}: {_STATE}: {waits}\n{run}"),
    )
    yield AutomationCore(
        name=TRIAL,
        description="Tells of a trial: `python -m deployment.trial`.",
        trigger=EventTrigger(posture=Posture.Reactive, match={"prefect.resource.id": TRIED}, expect={TRIED}),
        actions=_actions(
            ways,
            "etl: a trial alert",
            f"etl: a trial alert: runs are told like this\n{_page('automation', '{{ automation.id }}')}",
        ),
    )
    for app in watched:
        if app.silence:
            yield _silence(app, ways)


def _silence(app: Watched, ways: Mapping[_Way, Any]) -> AutomationCore:
    """Return the automation that tells if no run of an app completes within its time.

    Each completed run begins the time anew, because `after` and `expect` are the same: without `after`, the server counts in
    fixed windows, and silence may last for almost two. Without `for_each`, it begins when the automation is made, and again
    some time after the alert: it tells as long as the silence lasts.
    """
    assert app.silence
    hours = f"{app.silence.total_seconds() / 3600:g} hours"
    return AutomationCore(
        name=f"{PREFIX}silence of {app.name}",
        description=f"Tells if no run of {app.name} completes for {hours}.",
        trigger=EventTrigger(
            posture=Posture.Proactive,
            match={"prefect.resource.id": "prefect.flow-run.*"},
            match_related=_of([f"prefect.deployment.{app.deployment}"]),
            after={"prefect.flow-run.Completed"},
            expect={"prefect.flow-run.Completed"},
            threshold=1,
            within=app.silence,
        ),
        actions=_actions(
            ways,
            f"etl: {app.name} silent",
            f"{app.name}: silence: no run has completed for {hours}\n{_page('deployment', app.deployment)}",
        ),
    )


def _unless(deployments: list[str], state: str, expect: set[str], within: timedelta) -> EventTrigger:
    """Return a trigger that fires, for each run, unless one of these events follows a state in time."""
    return EventTrigger(
        posture=Posture.Proactive,
        match={"prefect.resource.id": "prefect.flow-run.*"},
        match_related=_of(deployments),
        for_each={"prefect.resource.id"},
        after={f"prefect.flow-run.{state}"},
        expect=expect,
        threshold=1,
        within=within,
    )


def _of(deployments: list[str]) -> Any:
    return {"prefect.resource.role": "deployment", "prefect.resource.id": deployments}


def _actions(ways: Mapping[_Way, Any], subject: str, text: str) -> list[Any]:
    """Return what tells people, by each way."""
    actions: list[Any] = []
    for way, block in ways.items():
        if way.block is Webhook:
            payload = f'{{"text": {{% filter tojson %}}{text}{{% endfilter %}}}}'
            actions.append(CallWebhook(block_document_id=block, payload=payload))
        else:
            actions.append(SendNotification(block_document_id=block, subject=subject, body=text))
    return actions


def _page(kind: str, number: str) -> str:
    """Return the address of a page of Prefect's UI, which a server itself knows only if it is told."""
    address = url_for(kind, "0")
    assert address  # the set-up has PREFECT_API_URL, which Prefect makes it from
    return without_login(address).removesuffix("0") + number


def _apprise(recipients: str, server: str) -> str:
    """Return recipients and SMTP server as one address for Prefect's notifications. Raises UsageError."""
    found = _parsed(server)
    problems = []
    addresses = [recipient.strip() for recipient in recipients.split(",") if recipient.strip()]
    if not addresses or not all(map(_is_address, addresses)):
        problems.append(f"{EMAIL}: want one or more e-mail addresses, with commas between them, or {NONE}")
    if not found or found.scheme not in ("smtps", "smtp"):
        problems.append(f"{SMTP}: want smtps://user:password@host:465 or, for STARTTLS, smtp://user:password@host:587")
        raise UsageError(*problems)
    query = parse_qs(found.query)
    sender = query.pop("from", [unquote(found.username or "")])[-1]
    if query or not _is_address(sender):
        problems.append(f"{SMTP}: want ?from=ADDRESS and no other parameter; needless where the user is an address")
    if problems:
        raise UsageError(*problems)
    mode = "ssl" if found.scheme == "smtps" else "insecure" if is_here(found.hostname or "") else "starttls"
    login = f"{quote(unquote(found.username), '')}:{quote(unquote(found.password or ''), '')}@" if found.username else ""
    port = found.port or (465 if mode == "ssl" else 587 if mode == "starttls" else 25)
    host = f"[{found.hostname}]" if ":" in (found.hostname or "") else found.hostname
    values = {"smtp": host, "from": sender, "to": ",".join(addresses), "mode": mode, "format": "text"}
    return f"{'mailto' if mode == 'insecure' else 'mailtos'}://{login}{host}:{port}/?{urlencode(values)}"


def _parsed(url: str) -> SplitResult | None:
    """Return the parts of a URL, None if it is none."""
    try:
        parts = urlsplit(url)
        return parts if parts.hostname and (parts.port is None or parts.port) and not any(map(str.isspace, url)) else None
    except ValueError:
        return None


def _is_address(text: str) -> bool:
    user, _, domain = text.partition("@")
    return bool(user and domain) and "@" not in domain and parseaddr(text)[1] == text
