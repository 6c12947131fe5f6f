"""What the log of a run shows of an error: its words once, and no traceback."""

import logging

import pytest

from flows.logs import one_line_errors
from multischema.errors import CheckError
from multischema.findings import problem


@pytest.fixture
def logger() -> logging.Logger:
    """Return the logger of a flow run, which Prefect's server and the terminal get their lines from."""
    one_line_errors()
    return logging.getLogger("prefect.flow_runs")


def test_an_error_is_told_once_and_without_a_traceback(logger: logging.Logger, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger.name)
    caplog.handler.setFormatter(logging.Formatter("%(message)s"))
    logger.addHandler(caplog.handler)
    try:
        raise CheckError(
            problem("column-without-rule", "missing rule for column users.name", side="origin shop"),
            problem("table-without-rules", "missing rules for table visits", side="origin shop"),
        )
    except CheckError:
        logger.exception("Encountered exception during execution")
        logger.exception("Engine execution failed")
    finally:
        logger.removeHandler(caplog.handler)
    assert set(caplog.text.splitlines()) == {
        "origin shop: missing rule for column users.name",
        "origin shop: missing rules for table visits",
    }
    assert len({id(record) for record in caplog.records}) == 1


def test_another_error_keeps_its_traceback(logger: logging.Logger, caplog: pytest.LogCaptureFixture) -> None:
    logger.addHandler(caplog.handler)
    try:
        raise ZeroDivisionError
    except ZeroDivisionError:
        logger.exception("Encountered exception during execution")
    finally:
        logger.removeHandler(caplog.handler)
    assert "Traceback" in caplog.text


def test_a_failed_state_shows_the_first_line_of_its_error(logger: logging.Logger, caplog: pytest.LogCaptureFixture) -> None:
    logger.addHandler(caplog.handler)
    logger.error("Finished in state Failed('CheckError: users.name\\nvisits\\n  - table_name: visits')")
    logger.error("Finished in state Failed('CheckError: users.name')")
    logger.removeHandler(caplog.handler)
    assert [record.getMessage() for record in dict.fromkeys(caplog.records)] == [
        "Finished in state Failed('CheckError: users.name …')",
        "Finished in state Failed('CheckError: users.name')",
    ]
