"""The door to Metabase: it is told when the structure of what it reads has changed, and looks for itself."""

import queue
import threading
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import requests

from multischema.addresses import is_private
from multischema.download import reason_of
from multischema.errors import UsageError

PATIENCE = 10.0  # seconds


@dataclass(frozen=True)
class Metabase:
    """A Metabase with the number that it gives the target, and the key that it wants, which no repr and no message shows."""

    url: str
    database: int
    key: str = field(repr=False)


def metabase_of(content: Any, place: str) -> Metabase:
    """Return the Metabase that a mapping with url, database and key describes. Raises UsageError, without their values.

    :param place: where the mapping is from, for the error.
    """
    known = content if isinstance(content, Mapping) else {}
    found = {name: str(known.get(name) or "").strip() for name in ("url", "database", "key")}
    if problems := list(_problems(**found)):
        raise UsageError(*(f"{place}: {problem}" for problem in problems))
    return Metabase(found["url"].rstrip("/"), int(found["database"]), found["key"])


def tell(metabase: Metabase) -> str | None:
    """Ask Metabase to read the structure of the target again; return why it was not told, in 10 seconds, or None.

    The timeouts of requests restart at each byte, so a thread asks, and is left behind if it takes too long.
    """
    answers: queue.SimpleQueue[str | None] = queue.SimpleQueue()
    threading.Thread(target=lambda: answers.put(_ask(metabase)), name="tell Metabase", daemon=True).start()
    try:
        problem = answers.get(timeout=PATIENCE)
    except queue.Empty:
        problem = f"no answer within {PATIENCE:g} s"
    return f"{urlsplit(metabase.url).netloc}: {problem}" if problem else None


def _ask(metabase: Metabase) -> str | None:
    try:
        with requests.Session() as session:
            # through a proxy, what is not encrypted would show the key
            session.trust_env = metabase.url.startswith("https:")
            with session.post(
                f"{metabase.url}/api/notify/db/{metabase.database}",
                headers={"X-METABASE-APIKEY": metabase.key, "User-Agent": "multi-schema-postgres-etl"},
                json={"scan": "schema"},
                timeout=PATIENCE,
                stream=True,
                # the key is for nobody else
                allow_redirects=False,
            ) as answer:
                return _refusal(answer.status_code, metabase.database)
    except Exception as error:  # whatever it is, the run has published; and messages of requests may quote a header
        return reason_of(error)


def _refusal(status: int, database: int) -> str | None:
    """Return what to do about an answer of this HTTP status, None if Metabase was told."""
    if 200 <= status < 300:
        return None
    if 300 <= status < 400:
        return f"redirects elsewhere (HTTP {status}); want the address that it leads to as METABASE_URL"
    if status in (401, 403):
        return f"refused the key (HTTP {status}); want METABASE_API_KEY as Metabase has it in its own variable MB_API_KEY"
    if status == 404:
        return f"has no database {database}, or is no Metabase (HTTP 404); want METABASE_DATABASE_ID as in its address there"
    return f"answered HTTP {status}; its log says more"


def _problems(url: str, database: str, key: str) -> Iterator[str]:
    parts, host = urlsplit(""), ""
    with suppress(ValueError):
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    if not host or "@" in parts.netloc or parts.query or parts.fragment or "\\" in url or not url.isprintable():
        yield "url: want https://host, as people open Metabase, without a login"
    elif not is_private(parts):
        yield "url: not https; the key would be read on the way: want an https URL, or one of localhost"
    if not (database.isascii() and database.isdecimal() and len(database) < 10 and int(database) > 0):
        yield "database: want the number in the address of the database's page in Metabase's admin settings"
    if not key or not key.isascii() or not key.isprintable() or " " in key:
        yield "key: want the text that Metabase has in its own variable MB_API_KEY"
