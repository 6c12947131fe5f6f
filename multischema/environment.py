"""The environment of a command: `.env` and variables, mended where they can mean one thing only.

Prefect reads both while it is imported, so the packages that hold commands prepare them first.
"""

import codecs
import io
import os
import re
import stat
import sys
import warnings
from collections.abc import Iterator, MutableMapping
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

from dotenv import dotenv_values, load_dotenv
from dotenv.parser import Binding, parse_stream

from multischema.errors import UsageError

FILE = Path(".env")
API = "PREFECT_API_URL"
_WANTED = "want lines NAME=value"
_OURS = re.compile(
    "PREFECT_.*|.*_PROXY|ETL_.*|SCW_.*|SCALEWAY_.*|SCALINGO_.*|ALERT_.*|SENTRY_.*|METABASE_.*|.*DB_URL|.*_USERNAME|DATABASE_URL"
    "|PORT|APP|CONFIG_PATH|RULES_FOLDER",
    re.IGNORECASE,
)
_PROXY = re.compile("(https?|all|wss?|socks)_proxy", re.IGNORECASE)
_THIS_MACHINE = ("127.0.0.1", "localhost", "::1")
_QUOTED = re.compile(r"\s*[^=\n]*=\s*[\"']")
_UNREAD = "can't be read"
_BROKEN = "a quote is not closed, or something follows a closed one"


def prepare() -> None:
    """Read `.env` as Prefect will, and mend the variables; end the process with status 2 if that can't be done.

    Of the file, only Prefect's own variables become the process's: commands load the others, the workers don't.
    """
    # a command that needs that folder says so itself
    warnings.filterwarnings("ignore", message="Failed to create the Prefect home directory")
    try:
        # a pipe is read once, and Prefect leaves it alone
        for name, value in dotenv_values(stream=io.StringIO(_read(FILE, pipes=False))).items():
            if name.startswith("PREFECT_") and value is not None:
                os.environ.setdefault(name, value)
        mend(os.environ)
    except UsageError as error:
        print("\n".join(error.lines()), file=sys.stderr)
        raise SystemExit(error.exit_status) from None


def load() -> None:
    """Load `.env` into the process's variables, which win over it, and mend them. Raises UsageError."""
    load_dotenv(stream=io.StringIO(_read(FILE, pipes=True)))
    mend(os.environ)


def mend(variables: MutableMapping[str, str]) -> None:
    """Mend the values that we read, and have no proxy stand between this machine and itself. Raises UsageError."""
    for name in [name for name in variables if _OURS.fullmatch(name)]:
        variables[name] = mended(variables[name])
    if API in variables:
        variables[API] = _api(variables[API])
    _mend_proxies(variables)
    _bypass_proxies(variables)


def mended(value: str) -> str:
    """Return a value without white space around it and without the quotes that Docker's `--env-file` keeps."""
    value = value.strip()
    if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'":
        return value[1:-1].strip()
    return value


def _api(url: str) -> str:
    """Return the URL of a Prefect API; the address of a server alone gets the path that its API has. Raises UsageError."""
    url = url.rstrip("/")
    if url and not _is_http(url):
        raise UsageError(f"{API}: this is not the URL of a server; want http://127.0.0.1:4200/api, or https://host/api")
    return f"{url}/api" if re.fullmatch("https?://[^/?#]+", url) else url


def _is_http(url: str) -> bool:
    try:
        parts = urlsplit(url)
        _ = parts.port  # read for its error
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname)


# Proxies.


def _mend_proxies(variables: MutableMapping[str, str]) -> None:
    """Write out the scheme of a proxy, without which urllib3 refuses it, and remove proxies that our packages can't use.

    With one of these httpx refuses to make clients, even for localhost.
    """
    for name in [name for name in variables if _PROXY.fullmatch(name) and variables[name]]:
        if not _is_usable(variables[name]):
            del variables[name]
            print(
                f"warning: {name} is ignored: it names no http or https proxy, and others can't be used; "
                "what is elsewhere is reached without it",
                file=sys.stderr,
            )
        elif "://" not in variables[name]:
            variables[name] = f"http://{variables[name]}"


def _is_usable(proxy: str) -> bool:
    if proxy.startswith(("socks5://", "socks5h://")):
        return bool(find_spec("socksio") and find_spec("socks"))
    return _is_http(proxy if "://" in proxy else f"http://{proxy}")


def _bypass_proxies(variables: MutableMapping[str, str]) -> None:
    """Name this machine in NO_PROXY if there is a proxy, for Prefect's clients, their websockets and what we start."""
    if not any(_PROXY.fullmatch(name) and value for name, value in variables.items()):
        return  # on a Mac, any such variable would hide the system's own proxies
    given = variables.get("no_proxy") or variables.get("NO_PROXY") or ""
    hosts = [host.strip() for host in given.split(",") if host.strip()]
    if hosts != ["*"]:
        hosts += [host for host in _THIS_MACHINE if host not in hosts]
        variables["NO_PROXY"] = variables["no_proxy"] = ",".join(hosts)


# The file.


def _read(file: Path, *, pipes: bool) -> str:
    """Return the text of the file, empty if there is none. Raises UsageError, which names the line."""
    try:
        mode = file.stat().st_mode
        if stat.S_ISDIR(mode):
            raise UsageError(f"{file}: is a directory; want a file, or none")
        content = b"" if stat.S_ISFIFO(mode) and not pipes else file.read_bytes()
    except FileNotFoundError:
        return ""
    except OSError as error:
        reason = (error.strerror or type(error).__name__).lower()
        raise UsageError(f"{file}: {reason}; want a file that this user can read, or none") from None
    text = _decoded(file, content)
    for problem in _problems(text):
        raise UsageError(f"{file}: {problem}")
    return text


def _decoded(file: Path, content: bytes) -> str:
    """Return the text of UTF-8, with or without its mark. Raises UsageError."""
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise UsageError(f"{file}: line 1: is UTF-16; save the file as UTF-8")
    if b"\0" in content:
        raise UsageError(f"{file}: line {_line(content, content.index(0))}: holds a NUL; save the file as UTF-8 text")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(f"{file}: line {_line(content, error.start)}: is not UTF-8; save the file as UTF-8") from None


def _line(content: bytes, index: int) -> int:
    return content.count(b"\n", 0, index) + 1


def _problems(text: str) -> Iterator[str]:
    """Give what can't be read, with its line; never a value. What python-dotenv can't read it leaves out, with a warning."""
    for binding in parse_stream(io.StringIO(text)):
        said = binding.original.string
        line = binding.original.line + said[: len(said) - len(said.lstrip())].count("\n")
        if binding.error:
            yield f"line {line}: {_BROKEN if _QUOTED.match(said) else _UNREAD}; {_WANTED}"
        elif _swallows_lines(binding):
            yield f"line {line}: the value of {binding.key} goes on over several lines; close its quote"


def _swallows_lines(binding: Binding) -> bool:
    return bool(binding.key and _OURS.fullmatch(binding.key) and binding.value and "\n" in binding.value.strip())
