"""What a Prefect server answers, or doesn't, as lines for people."""

from collections.abc import Iterator
from contextlib import contextmanager

import httpx

from blocks import urls
from multischema.errors import EtlError


@contextmanager
def answering() -> Iterator[None]:
    """Turn the failures of the server of PREFECT_API_URL into one-line EtlErrors."""
    try:
        yield
    except httpx.HTTPStatusError as error:
        raise EtlError(urls.refusal(error.response.status_code)) from None
    except (httpx.RequestError, httpx.InvalidURL):
        raise EtlError(urls.SILENT_SERVER) from None
    except (ValueError, RuntimeError) as error:
        raise EtlError(
            f"the Prefect server of PREFECT_API_URL: no Prefect API answers ({type(error).__name__}); "
            "want a URL that ends in /api"
        ) from None
