"""The door to Metabase: what it is asked, over which connection, and what is said when it was not told."""

import json
import ssl
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import trustme

from blocks import metabase as blocks
from blocks import register, urls
from multischema import metabase
from multischema.errors import UsageError
from multischema.metabase import Metabase, metabase_of, tell
from tests.support.mailbox import Mailbox, mailbox
from tests.support.servers import free_port

KEY = "s3cret-k3y/+="


@pytest.fixture
def box() -> Iterator[Mailbox]:
    """Return a Metabase on this machine."""
    with mailbox() as served:
        yield served


def of(url: str, **changes: Any) -> Metabase:
    """Return a Metabase at a URL, with a key."""
    return metabase_of({"url": url, "database": 7, "key": KEY, **changes}, "here")


def test_metabase_is_asked_to_read_the_structure_of_the_database_and_no_more(box: Mailbox) -> None:
    assert tell(of(f"{box.url}/reports/")) is None
    (letter,) = box.letters
    assert (letter.method, letter.path) == ("POST", "/reports/api/notify/db/7")
    assert json.loads(letter.body) == {"scan": "schema"}
    assert letter.headers["x-metabase-apikey"] == KEY
    assert letter.headers["content-type"] == "application/json"
    assert "authorization" not in letter.headers


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (403, "refused the key (HTTP 403); want METABASE_API_KEY as Metabase has it in its own variable MB_API_KEY"),
        (401, "refused the key (HTTP 401); "),
        (404, "has no database 7, or is no Metabase (HTTP 404); "),
        (500, "answered HTTP 500; its log says more"),
        (400, "answered HTTP 400; "),
    ],
)
def test_an_answer_that_is_no_success_is_one_line_without_the_key(status: int, said: str, box: Mailbox) -> None:
    box.status, box.answer = status, f"{KEY} refused\nwith more lines".encode()
    problem = tell(of(box.url)) or ""
    assert problem.startswith(f"{box.url.removeprefix('http://')}: {said}")
    assert KEY not in problem
    assert "\n" not in problem


@pytest.mark.parametrize("status", [200, 202, 204])
def test_any_success_is_one(status: int, box: Mailbox) -> None:
    box.status, box.answer = status, b""
    assert tell(of(box.url)) is None


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_the_key_follows_no_redirect(status: int, box: Mailbox) -> None:
    with mailbox() as other:
        box.status, box.headers = status, {"Location": f"{other.url}/api/notify/db/7"}
        problem = tell(of(box.url)) or ""
        assert other.letters == []
    assert f"redirects elsewhere (HTTP {status}); want the address that it leads to as METABASE_URL" in problem


def test_a_metabase_that_does_not_answer_is_given_up(box: Mailbox, monkeypatch: pytest.MonkeyPatch) -> None:
    assert metabase.PATIENCE == 10
    monkeypatch.setattr(metabase, "PATIENCE", 0.2)
    box.is_silent = True
    problem = tell(of(box.url)) or ""
    assert problem.partition(": ")[2] in ("no answer within 0.2 s", "the server was silent for too long")


def test_a_metabase_that_is_away_is_one_line() -> None:
    problem = tell(of(f"http://127.0.0.1:{free_port()}")) or ""
    assert problem.endswith(": connection refused")


def test_a_certificate_that_nobody_signed_is_refused_and_the_key_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    with mailbox(context) as box:
        problem = tell(of(box.url)) or ""
        assert problem.partition(": ")[2].startswith("TLS error: ")
        assert box.letters == []
        with authority.cert_pem.tempfile() as file:
            monkeypatch.setenv("REQUESTS_CA_BUNDLE", file)
            assert tell(of(box.url)) is None
        assert box.letters[0].headers["x-metabase-apikey"] == KEY


def test_the_key_goes_through_no_proxy_in_clear(box: Mailbox, monkeypatch: pytest.MonkeyPatch) -> None:
    with mailbox() as proxy:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        for name in ("NO_PROXY", "no_proxy"):
            monkeypatch.delenv(name, raising=False)
        assert tell(of(box.url)) is None
        assert proxy.letters == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"url": "http://metabase.example.org"}, "url: not https; "),
        ({"url": "http://localhost.example.org"}, "url: not https; "),
        ({"url": "ftp://localhost"}, "url: not https; "),
        ({"url": "https://someone:hush@metabase.example.org"}, "url: want https://host, "),
        ({"url": "https://metabase.example.org/?token=hush"}, "url: want https://host, "),
        ({"url": "https://[metabase"}, "url: want https://host, "),
        ({"url": "https://metabase:port"}, "url: want https://host, "),
        ({"url": "metabase.example.org"}, "url: want https://host, "),
        ({"url": ""}, "url: want https://host, "),
        ({"database": "analytics"}, "database: want the number in the address "),
        ({"database": "0"}, "database: want the number "),
        ({"database": "7/../8"}, "database: want the number "),
        ({"database": "9" * 5000}, "database: want the number "),
        ({"database": None}, "database: want the number "),
        ({"key": ""}, "key: want the text that Metabase has "),
        ({"key": "hush\r\nX-Other: 1"}, "key: want the text that Metabase has "),
        ({"key": "hush été"}, "key: want the text that Metabase has "),
    ],
)
def test_what_can_not_be_used_is_refused_without_its_value(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError) as caught:
        of("https://metabase.example.org", **changes) if "url" not in changes else of(**changes)
    (problem,) = caught.value.problems
    assert problem.startswith(f"here: {said}")
    assert "hush" not in problem


@pytest.mark.parametrize("url", ["http://127.0.0.1:3000", "http://[::1]:3000", "http://LOCALHOST", "https://a.example/b/"])
def test_https_and_this_machine_are_allowed(url: str) -> None:
    assert of(url).url == url.rstrip("/")


def test_no_repr_shows_the_key() -> None:
    assert KEY not in repr(of("https://metabase.example.org"))


# Where it is from.

ENVIRONMENT = {"METABASE_URL": "https://metabase.example.org", "METABASE_DATABASE_ID": "7", "METABASE_API_KEY": KEY}


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Return a function that gives this process the block."""

    def give(value: str) -> None:
        monkeypatch.setattr(urls, "_given", {blocks.BLOCK: value})

    return give


def test_the_variables_become_the_block(given: Callable[[str], None]) -> None:
    saved = register.provided(ENVIRONMENT)
    assert saved.keys() == {"metabase-notify"}
    variables, value = saved["metabase-notify"]
    assert variables == "METABASE_URL, METABASE_DATABASE_ID, METABASE_API_KEY"
    given(value)
    assert blocks.find() == Metabase("https://metabase.example.org", 7, KEY)


def test_half_of_the_variables_are_an_error_and_none_are_none() -> None:
    assert register.provided({}) == {}
    with pytest.raises(UsageError) as caught:
        register.provided({"METABASE_URL": "https://metabase.example.org", "METABASE_API_KEY": " "})
    (problem,) = caught.value.problems
    assert problem.startswith("missing variable METABASE_DATABASE_ID and METABASE_API_KEY: to tell Metabase, want ")


@pytest.mark.parametrize("value", ["", "hush", '"hush"', "[]", "7", '{"url": "hush"}'])
def test_a_block_that_holds_anything_else_is_named_and_its_value_is_not(value: str, given: Callable[[str], None]) -> None:
    given(value)
    with pytest.raises(UsageError) as caught:
        blocks.find()
    assert all(problem.startswith("the Secret block metabase-notify: ") for problem in caught.value.problems)
    assert "hush" not in str(caught.value)
