"""What a Prefect server answers, or doesn't, as lines for people."""

from collections.abc import Iterator
from contextlib import contextmanager

import httpx

from blocks import urls
from multischema.errors import EtlError, UsageError


@contextmanager
def answering(api: str = "") -> Iterator[None]:
    """Turn the failures of a Prefect server into one-line EtlErrors.

    :param api: the server's address for the lines, without a login; where there is none, they name PREFECT_API_URL.
    """
    server = f"Prefect server {api}" if api else urls.SERVER
    try:
        yield
    except httpx.HTTPStatusError as error:
        raise _refusal(server, error.response) from None
    except (httpx.RequestError, httpx.InvalidURL) as error:
        why = error if str(error) else type(error).__name__
        raise EtlError(f"{server} does not answer ({why}); start it, or correct PREFECT_API_URL") from None
    except (ValueError, RuntimeError) as error:  # whose messages may quote what was sent
        raise EtlError(f"{server}: no Prefect API answers ({type(error).__name__}); want a URL that ends in /api") from None


def _refusal(server: str, response: httpx.Response) -> EtlError:
    status, said = response.status_code, _said(response)
    if status in (401, 403):
        return UsageError(urls.refusal(status, server))
    if status in (404, 405) and said == response.reason_phrase:  # an API would say what there is not
        return EtlError(urls.refusal(status, server))
    path, _, block = response.request.url.path.rpartition("/block_documents/name/")
    if status == 500 and path:
        return EtlError(
            f"{server}: can't read the Secret block {block} (HTTP 500); want the PREFECT_SERVER_ENCRYPTION_KEY that it was "
            "saved with, or see docs/server.md for a new one"
        )
    return EtlError(f"{server}: {response.request.method} {response.request.url.path}: HTTP {status}: {said}")


def _said(response: httpx.Response) -> str:
    """Return why the server refused, in its own words if it has any."""
    try:
        said = response.json()
        said = said.get("detail") or said.get("exception_message") or said
    except (ValueError, AttributeError):
        said = response.reason_phrase
    return " ".join(str(said).split())
