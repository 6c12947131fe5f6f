"""The addresses that alerts go to: what a deploy takes, what it refuses, and that no message quotes one."""

from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from apprise import Apprise

from deployment import alerts
from multischema.errors import UsageError

HOOK = "https://hooks.example.org/s3cret"
MAIL = {"ALERT_EMAIL": "team@example.org", "ALERT_SMTP_URL": "smtps://etl%40example.org:s3%2Fcret@mail.example.org"}
WANT_HOOK = "ALERT_WEBHOOK_URL: want an https URL (http only for this machine), or none"
WANT_MAIL = "ALERT_EMAIL: want one or more e-mail addresses, with commas between them, or none"
WANT_BOTH = "ALERT_EMAIL and ALERT_SMTP_URL: want both or neither"
WANT_SMTP = "ALERT_SMTP_URL: want smtps://user:password@host:465 or, for STARTTLS, smtp://user:password@host:587"
WANT_FROM = "ALERT_SMTP_URL: want ?from=ADDRESS and no other parameter; needless where the user is an address"


@pytest.mark.parametrize(
    "url", [HOOK, "http://localhost:9/s3cret", "http://127.0.0.1/s3cret", "http://[::1]:9/s3cret", f" {HOOK}\n", "none"]
)
def test_a_webhook_is_taken_that_nobody_on_the_way_can_read(url: str) -> None:
    assert alerts.addresses({"ALERT_WEBHOOK_URL": url}) == {"ALERT_WEBHOOK_URL": url.strip()}


@pytest.mark.parametrize(
    "url",
    [
        *("http://hooks.example.org/s3cret", "http://localhost.example.org/s3cret", "http://10.0.0.1/s3cret", "s3cret"),
        *("https:///s3cret", "https://[s3cret", "https://host:s3cret/", "ftp://host/s3cret", "https://host/s3 cret", "NONE"),
        "hooks.example.org/s3cret",
    ],
)
def test_another_webhook_is_refused_without_being_told(url: str) -> None:
    with pytest.raises(UsageError) as raised:
        alerts.addresses({"ALERT_WEBHOOK_URL": url})
    assert raised.value.problems == (WANT_HOOK,)


@pytest.mark.parametrize("environment", [{}, {"ALERT_WEBHOOK_URL": "", "ALERT_EMAIL": " ", "ALERT_SMTP_URL": ""}])
def test_without_variables_there_is_no_address(environment: dict[str, str]) -> None:
    assert alerts.addresses(environment) == {}


def test_mail_is_taken_away_by_a_word() -> None:
    for environment in ({}, MAIL):
        assert alerts.addresses({**environment, "ALERT_EMAIL": "none"}) == {"ALERT_EMAIL": "none"}


@pytest.mark.parametrize(
    ("server", "start", "mode", "sender"),
    [
        (MAIL["ALERT_SMTP_URL"], "mailtos://etl%40example.org:s3%2Fcret@mail.example.org:465/", "ssl", "etl@example.org"),
        (
            "smtp://etl%40x.org:pw@mail.example.org",
            "mailtos://etl%40x.org:pw@mail.example.org:587/",
            "starttls",
            "etl@x.org",
        ),
        ("smtp://key:pw@host:2525?from=a@x.org", "mailtos://key:pw@host:2525/", "starttls", "a@x.org"),
        ("smtp://localhost?from=a@x.org", "mailto://localhost:25/", "insecure", "a@x.org"),
    ],
)
def test_mail_goes_encrypted_unless_it_stays_on_this_machine(server: str, start: str, mode: str, sender: str) -> None:
    found = alerts.addresses({"ALERT_EMAIL": "a@x.org, b@x.org", "ALERT_SMTP_URL": server})["ALERT_EMAIL"]
    assert found.startswith(start)
    values = {name: value for name, (value,) in parse_qs(urlsplit(found).query).items()}
    assert (values["mode"], values["from"], values["to"]) == (mode, sender, "a@x.org,b@x.org")
    sending = Apprise()
    assert sending.add(found)
    plugin: Any = sending[0]
    assert [address for _, address in plugin.targets] == ["a@x.org", "b@x.org"]
    assert (plugin.secure_mode, plugin.smtp_host) == (mode, values["smtp"])


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"ALERT_EMAIL": ""}, WANT_BOTH),
        ({"ALERT_SMTP_URL": ""}, WANT_BOTH),
        ({"ALERT_EMAIL": "team"}, WANT_MAIL),
        ({"ALERT_EMAIL": "team@example.org team@s3cret"}, WANT_MAIL),
        ({"ALERT_EMAIL": ", ,"}, WANT_MAIL),
        ({"ALERT_SMTP_URL": "s3cret"}, WANT_SMTP),
        ({"ALERT_SMTP_URL": "https://user:s3cret@host"}, WANT_SMTP),
        ({"ALERT_SMTP_URL": "smtps://user:s3cret@[host"}, WANT_SMTP),
        ({"ALERT_SMTP_URL": "smtps://key:s3cret@host"}, WANT_FROM),
        ({"ALERT_SMTP_URL": "smtps://key:s3cret@host?from=s3cret"}, WANT_FROM),
        ({"ALERT_SMTP_URL": "smtps://a%40x.org:s3cret@host?mode=insecure"}, WANT_FROM),
    ],
)
def test_mail_that_can_not_be_sent_is_refused_without_a_secret(changes: dict[str, str], problem: str) -> None:
    with pytest.raises(UsageError) as raised:
        alerts.addresses({**MAIL, **changes})
    assert raised.value.problems == (problem,)


def test_all_that_is_wrong_is_told_at_once() -> None:
    with pytest.raises(UsageError) as raised:
        alerts.addresses({"ALERT_WEBHOOK_URL": "x", "ALERT_EMAIL": "x", "ALERT_SMTP_URL": "x"})
    assert raised.value.problems == (WANT_HOOK, WANT_MAIL, WANT_SMTP)
