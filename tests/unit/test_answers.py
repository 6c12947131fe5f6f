"""What a Prefect server answers, or doesn't: one line for each, whoever asks."""

import pytest
from prefect.client.orchestration import SyncPrefectClient
from prefect.settings import (
    PREFECT_CLIENT_CSRF_SUPPORT_ENABLED,
    PREFECT_CLIENT_MAX_RETRIES,
    temporary_settings,
)

from blocks.server import answering
from multischema.errors import EtlError, UsageError
from tests.support.mailbox import mailbox

SERVER = "the Prefect server of PREFECT_API_URL"
BLOCK = "/block_documents/name/etl-db-url"
PLANTED = "s3cret"


@pytest.mark.parametrize("api", ["", "https://prefect.example.org/api"])
@pytest.mark.parametrize(
    ("path", "status", "answer", "kind", "line"),
    [
        (
            "/x",
            401,
            b"",
            UsageError,
            ": refused the login (HTTP 401); want PREFECT_API_AUTH_STRING as on the server, or for ",
        ),
        (
            "/x",
            404,
            b'{"detail": "Not Found"}',
            EtlError,
            ": no Prefect API answers (HTTP 404); want a URL that ends in /api",
        ),
        ("/x", 405, b"<html>", EtlError, ": no Prefect API answers (HTTP 405); want a URL that ends in /api"),
        ("/x", 404, b'{"detail": "Flow not found"}', EtlError, ": POST /api/x: HTTP 404: Flow not found"),
        ("/x", 409, b'{"detail": "It is\\nthere"}', EtlError, ": POST /api/x: HTTP 409: It is there"),
        (
            "/x",
            422,
            b'{"exception_message": "Invalid", "request_body": "s3cret"}',
            EtlError,
            ": POST /api/x: HTTP 422: Invalid",
        ),
        ("/x", 500, b"", EtlError, ": POST /api/x: HTTP 500: Internal Server Error"),
        (
            BLOCK,
            500,
            b"",
            EtlError,
            ": can't read the Secret block etl-db-url (HTTP 500); want the PREFECT_SERVER_ENCRYPTION_",
        ),
    ],
)
def test_a_refusal_is_one_line_with_what_to_do(
    path: str, status: int, answer: bytes, kind: type[EtlError], line: str, api: str
) -> None:
    off = {PREFECT_CLIENT_CSRF_SUPPORT_ENABLED: False, PREFECT_CLIENT_MAX_RETRIES: 0}
    with mailbox() as box, temporary_settings(off):
        box.status, box.answer = status, answer
        with SyncPrefectClient(f"{box.url}/api") as client:
            with pytest.raises(EtlError) as raised, answering(api):
                client.request("POST", path)  # type: ignore[arg-type]
    assert type(raised.value) is kind
    assert str(raised.value).startswith(f"{f'Prefect server {api}' if api else SERVER}{line}")
    assert "\n" not in str(raised.value)
    assert PLANTED not in str(raised.value)


def test_a_server_that_is_not_there_is_one_line() -> None:
    with temporary_settings({PREFECT_CLIENT_CSRF_SUPPORT_ENABLED: False, PREFECT_CLIENT_MAX_RETRIES: 0}):
        with SyncPrefectClient("http://127.0.0.1:1/api") as client:
            with pytest.raises(EtlError, match=rf"^{SERVER} does not answer \(.*\); start it, or correct PREFECT_API_URL$"):
                with answering():
                    client.read_work_pools()


def test_an_answer_that_is_none_of_prefect_is_one_line_that_does_not_quote_it() -> None:
    line = f"^{SERVER}: no Prefect API answers \\(ValidationError\\); want a URL that ends in /api$"
    with mailbox() as box, temporary_settings({PREFECT_CLIENT_CSRF_SUPPORT_ENABLED: False}):
        box.answer = b'[{"id": "s3cret"}]'
        with SyncPrefectClient(f"{box.url}/api") as client, pytest.raises(EtlError, match=line), answering():
            client.read_work_pools()
