"""What a worker does in its heartbeat beside telling that it lives: it must not end the heartbeat."""

import logging

import anyio
import pytest
from prefect.client.orchestration import PrefectClient
from prefect.settings import PREFECT_CLIENT_CSRF_SUPPORT_ENABLED, temporary_settings

from deployment.leftovers import end_tasks
from tests.support.mailbox import mailbox


@pytest.mark.parametrize(("status", "answer"), [(200, b'[{"id": 1}]'), (200, b"<html>"), (404, b"")])
def test_an_answer_that_is_not_understood_ends_no_heartbeat(
    status: int, answer: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "deployment.leftovers")

    async def look() -> int:
        async with PrefectClient(f"{box.url}/api") as client:
            return await end_tasks(client)

    with mailbox() as box, temporary_settings({PREFECT_CLIENT_CSRF_SUPPORT_ENABLED: False}):
        box.status, box.answer = status, answer
        assert anyio.run(look) == 0
    assert [letter.path for letter in box.letters] == ["/api/task_runs/filter"]
    (line,) = [record.getMessage() for record in caplog.records if record.name == "deployment.leftovers"]
    assert line.startswith("the tasks of runs that ended are left as they are (")
