"""The door to the rules: an https URL or a file."""

import errno
import queue
import re
import socket
import ssl
import stat
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

import requests

from multischema import findings
from multischema.errors import RulesError, RulesUnavailable
from multischema.rules.file import is_web_page

CONNECT_TIMEOUT = 10.0
SILENCE_TIMEOUT = 30.0
TOTAL_TIMEOUT = 60.0
MAX_BYTES = 5_000_000
MAX_REDIRECTS = 5

# Identity: a few compressed kilobytes can't become gigabytes.
HEADERS = {"User-Agent": "multi-schema-postgres-etl", "Accept-Encoding": "identity"}
WEB_PAGES = ("text/html", "application/xhtml+xml")
_NOT_A_URL = "not a URL"
_WANT_URL = "want https://host/path, or a file"
_WANT_SOURCE = "want a file or an https URL"
# Small, so that a download that was given up notices it soon, even if its bytes drip.
_CHUNK = 1024
_PASSING = (requests.Timeout, requests.exceptions.ChunkedEncodingError, ConnectionResetError)
_UNREACHED = (socket.gaierror, ConnectionError, TimeoutError)
_NO_WAY = (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN)
_SCHEME = "[a-z][a-z0-9+.-]+:/+"


def fetch(source: str, folders: Sequence[Path] | None = None) -> bytes:
    """Return the content of an https URL or of a file, at most MAX_BYTES of it.

    Raises RulesError (RulesUnavailable if another try may help): one line that names the source without its secrets.

    :param folders: the folders that the file must be in, links resolved. Without them, it may be anywhere.
    """
    source = source.strip()
    if re.match(_SCHEME, source, re.IGNORECASE):
        content = _fetch_url(source)
    else:
        content = _read_file(source if folders is None else _inside(source, folders))
    if is_web_page(content):
        raise _web_page(source)
    return content


# A file.


def _inside(path: str, folders: Sequence[Path]) -> str:
    """Return the path with links resolved. Raises RulesError if it is outside the folders, existing or not."""
    if not path:
        return path
    try:
        resolved = Path(path).resolve()
        if any(resolved.is_relative_to(folder.resolve()) for folder in folders):
            return str(resolved)
    except (OSError, ValueError, RuntimeError):  # RuntimeError: a loop of links, before Python 3.13
        raise _error("wrong-source", f"{name_of(path)}: not a file name", _WANT_SOURCE) from None
    what = "outside the folders that a deployment may read rules from"
    todo = "want an https URL, or a file in the code's folder or RULES_FOLDER"
    raise _error("wrong-source", f"{name_of(path)}: {what}", todo)


def _read_file(path: str) -> bytes:
    if not path:
        raise _error("wrong-source", "no source", "want an https URL or a file")
    try:
        # First: opening a pipe that nobody writes to would wait for ever.
        mode = Path(path).stat().st_mode
        if not stat.S_ISREG(mode):
            what = "a directory" if stat.S_ISDIR(mode) else "not a file"
            raise _error("wrong-source", f"{name_of(path)}: {what}", _WANT_SOURCE)
        with open(path, "rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise _error("unreadable", f"{name_of(path)}: {reason_of(error)}", "want a readable file or an https URL") from None
    except ValueError:
        raise _error("wrong-source", f"{name_of(path)}: not a file name", _WANT_SOURCE) from None
    if len(content) > MAX_BYTES:
        raise _too_big(path)
    return content


# A URL.


def _fetch_url(url: str) -> bytes:
    """Download in a thread, and give up after TOTAL_TIMEOUT.

    The timeouts of requests restart at each byte: a server that drips its headers would hold the run for ever.
    """
    _check_url(url, name_of(url))
    answers: queue.SimpleQueue[bytes | BaseException] = queue.SimpleQueue()
    given_up = threading.Event()
    threading.Thread(target=_answer, args=(url, answers, given_up), name="download rules", daemon=True).start()
    try:
        answer = answers.get(timeout=TOTAL_TIMEOUT)
    except queue.Empty:
        what = f"{name_of(url)}: not complete after {TOTAL_TIMEOUT:g} s"
        raise _error("unreadable", what, "try again later", RulesUnavailable) from None
    finally:
        given_up.set()
    if isinstance(answer, BaseException):
        raise answer
    return answer


def _answer(url: str, answers: "queue.SimpleQueue[bytes | BaseException]", given_up: threading.Event) -> None:
    try:
        answers.put(_download(url, given_up))
    except (OSError, ValueError) as error:
        # The messages of requests quote the whole URL, whose query may hold a token.
        kind = RulesUnavailable if _may_pass(error) else RulesError
        answers.put(_error("unreadable", f"{name_of(url)}: {reason_of(error)}", kind=kind))
    except BaseException as error:
        answers.put(error)


class _Session(requests.Session):
    """A session that leaves redirects alone: even when told not to follow them, requests reads their bodies to the end."""

    def resolve_redirects(self, *_args: Any, **_kwargs: Any) -> Iterator[Any]:
        return iter(())


def _download(url: str, given_up: threading.Event) -> bytes:
    with _Session() as session, _follow(session, url) as response:
        _check_answer(response, url)
        content = bytearray()
        for chunk in response.iter_content(_CHUNK):
            content += chunk
            if len(content) > MAX_BYTES:
                raise _too_big(url)
            if given_up.is_set():
                break
        return bytes(content)


def _follow(session: requests.Session, url: str) -> requests.Response:
    """Return the answer at the end of the redirects, its body not read yet."""
    here = url
    for _ in range(MAX_REDIRECTS + 1):
        response = session.get(
            here, headers=HEADERS, timeout=(CONNECT_TIMEOUT, SILENCE_TIMEOUT), stream=True, allow_redirects=False
        )
        location = session.get_redirect_target(response)
        if location is None:
            return response
        response.close()
        here = _redirected(here, location, f"{name_of(url)}: redirected")
    raise _error("wrong-source", f"{name_of(url)}: more than {MAX_REDIRECTS} redirects", "want the final address")


def _redirected(here: str, location: str, place: str) -> str:
    try:
        there = urljoin(here, location)
    except ValueError:
        raise _error("wrong-source", f"{place} to {name_of(location)}: {_NOT_A_URL}", _WANT_URL) from None
    _check_url(there, f"{place} to {name_of(there)}")
    return there


def _check_answer(response: requests.Response, url: str) -> None:
    if response.status_code != requests.codes.ok:
        kind = RulesUnavailable if response.status_code == 429 or response.status_code >= 500 else RulesError
        raise _error("unreadable", f"{name_of(url)}: the server answered {response.status_code}", "want 200", kind)
    if response.headers.get("Content-Type", "").split(";")[0].strip().lower() in WEB_PAGES:
        raise _web_page(url)
    if response.raw.length_remaining is None and not response.raw.chunked:
        what = f"{name_of(url)}: the server does not tell where its answer ends, and it may be cut short"
        raise _error("unreadable", what, "want one with a Content-Length, or in chunks")


def _check_url(url: str, place: str) -> None:
    try:
        parts = urlsplit(url)
        # Read for its error: urlsplit only checks the port here.
        _ = parts.port
    except ValueError:
        raise _error("wrong-source", f"{place}: {_NOT_A_URL}", _WANT_URL) from None
    if parts.scheme != "https":
        raise _error("wrong-source", f"{place}: not https", "want an https URL or a file")
    if "@" in parts.netloc:
        todo = "want one without: it is stored and shown in clear"
        raise _error("wrong-source", f"{place}: the URL holds a user or a password", todo)
    if not parts.hostname:
        raise _error("wrong-source", f"{place}: {_NOT_A_URL}", _WANT_URL)


def _error(code: str, what: str, todo: str = "", kind: type[RulesError] = RulesError) -> RulesError:
    """Return the error of a source that gives no rules."""
    return kind(findings.problem(code, what, todo, side="rules"))


def _too_big(source: str) -> RulesError:
    return _error("too-big", f"{name_of(source)}: more than {MAX_BYTES} bytes", "want rules, which are far smaller")


def _web_page(source: str) -> RulesError:
    return _error("web-page", f"{name_of(source)}: this is a web page, not rules", "want the address of the raw YAML file")


# What errors may say about a source.


def name_of(source: str) -> str:
    """Return the name of a source for errors: no userinfo, no query, no fragment, one line."""
    anonymous = _without_userinfo(source)
    name = re.split("[?#]", anonymous)[0]
    printable = "".join(character if character.isprintable() else "?" for character in name)
    return printable if len(printable) <= 200 else printable[:199] + "…"


def _without_userinfo(source: str) -> str:
    """Return a source without user and password.

    Up to the last @, for passwords may hold any of `/?#@`: the name is then poor, but holds nothing of them. No regular
    expression: a server that redirects chooses what is looked at here, and how long it is.
    """
    found = re.match(_SCHEME, source, re.IGNORECASE)
    scheme = found[0] if found else ""
    rest = source[len(scheme) :]
    before, at, after = rest.rpartition("@")
    if at and ":" in before:
        return scheme + after
    host, slash, path = rest.partition("/")
    return scheme + host.rpartition("@")[2] + slash + path if scheme else source


def _causes(error: BaseException) -> Iterator[BaseException]:
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__


def _may_pass(error: BaseException) -> bool:
    """Tell whether another try may help: the host, or what resolves its name, may be back a moment later."""
    causes = list(_causes(error))
    if isinstance(error, _PASSING) or any(isinstance(cause, ssl.SSLError) for cause in causes):
        return isinstance(error, _PASSING)
    return any(isinstance(cause, _UNREACHED) or (isinstance(cause, OSError) and cause.errno in _NO_WAY) for cause in causes)


def reason_of(error: BaseException) -> str:
    """Return why a request or a read failed, without any part of the URL."""
    causes = list(_causes(error))
    for cause in causes:
        if isinstance(cause, ssl.SSLError):
            return f"TLS error: {getattr(cause, 'verify_message', None) or cause.reason or 'the connection broke'}"
        if isinstance(cause, socket.gaierror):
            return "the host's name can't be resolved; check it, and whether this machine needs a proxy (HTTPS_PROXY)"
        if isinstance(cause, requests.exceptions.ProxyError):
            return "the proxy can't be used; check HTTPS_PROXY"
    if isinstance(error, requests.ConnectTimeout):
        return f"no connection after {CONNECT_TIMEOUT:g} s"
    if any(isinstance(cause, TimeoutError) for cause in causes):
        return "the server was silent for too long"
    said = (cause.strerror for cause in causes if isinstance(cause, OSError))
    is_cut = any(isinstance(cause, ConnectionError) for cause in causes)
    in_words = "the other side closed the connection" if is_cut else _in_words(error)
    return next((text.lower() for text in said if isinstance(text, str)), in_words)


def _in_words(error: BaseException) -> str:
    if isinstance(error, ValueError):
        return f"{_NOT_A_URL}; {_WANT_URL}"
    return f"the download failed ({type(error).__name__})"
