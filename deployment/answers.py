"""One-line errors for what the Prefect server answers, or doesn't."""

from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import httpx

from blocks import urls
from multischema.errors import EtlError, UsageError


@contextmanager
def answering(api: str) -> Iterator[None]:
    """Turn the server's failures into one-line EtlErrors."""
    try:
        yield
    except httpx.HTTPStatusError as error:
        raise _refusal(api, error.response) from None
    except (httpx.RequestError, httpx.InvalidURL) as error:
        raise EtlError(f"Prefect server {api}: can't be reached: {error or type(error).__name__}") from None
    except (ValueError, RuntimeError) as error:
        raise EtlError(f"Prefect server {api}: no Prefect API answers: {error}; want a URL that ends in /api") from None


def without_login(url: str) -> str:
    """Return the server's address for messages."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()


def _refusal(api: str, response: httpx.Response) -> EtlError:
    where = f"Prefect server {api}"
    if response.status_code in (401, 403):
        return UsageError(urls.refusal(response.status_code, where))
    if response.status_code in (404, 405) and response.request.url.path.endswith("/work_pools/filter"):
        return EtlError(urls.refusal(response.status_code, where))
    path, _, block = response.request.url.path.rpartition("/block_documents/name/")
    if response.status_code == 500 and path:
        return EtlError(
            f"{where}: can't read the Secret block {block} (HTTP 500); want the PREFECT_SERVER_ENCRYPTION_KEY that it was "
            "saved with, or see docs/server.md for a new one"
        )
    try:
        detail = response.json()
        detail = detail.get("detail") or detail.get("exception_message") or detail
    except (ValueError, AttributeError):
        detail = response.reason_phrase
    return EtlError(
        f"{where}: {response.request.method} {response.request.url.path}: HTTP {response.status_code}: "
        f"{' '.join(str(detail).split())}"
    )
