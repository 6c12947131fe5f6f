"""What makes two snapshots of a server comparable."""

from dataclasses import replace
from typing import Any

import pytest

from multischema.catalog.position import RESTARTED, WIDEST, Position

BEFORE = Position(
    xmin=990,
    xmax=1000,
    lsn=5000,
    in_recovery=False,
    started="2026-01-01",
    counting_since="2026-01-01",
    version="160004",
    database=5,
    system="7",
    timeline=1,
)
LATER = replace(BEFORE, xmin=1200, xmax=1300, lsn=9000)


def test_a_later_snapshot_of_the_same_history_can_be_compared() -> None:
    assert BEFORE.doubts(LATER) is None
    assert BEFORE.doubts(replace(LATER, xmax=BEFORE.lower + WIDEST - 1)) is None
    assert BEFORE.lower == 990


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"system": None}, "its role may not read pg_control_system() and pg_control_checkpoint() of the origin"),
        ({"timeline": None}, "its role may not read pg_control_system() and pg_control_checkpoint() of the origin"),
        ({"system": "8"}, "the origin is another database than in the last run"),
        ({"database": 6}, "the origin is another database than in the last run"),
        ({"in_recovery": True}, "the origin was promoted, or is a standby now"),
        ({"timeline": 2}, "the origin failed over or was restored since the last run"),
        ({"started": "2026-02-01"}, RESTARTED),
        ({"counting_since": "2026-02-01"}, "the origin crashed since the last run, or somebody reset its statistics"),
        ({"counting_since": ""}, "the origin crashed since the last run, or somebody reset its statistics"),
        ({"version": "160005"}, "the origin has another version of Postgres than in the last run"),
        ({"lsn": 4999}, "the origin was set back to an earlier moment since the last run"),
        ({"xmax": 999}, "the origin was set back to an earlier moment since the last run"),
        ({"xmax": 990 + WIDEST}, "the origin has had more than 1,073,741,824 transactions since the last run"),
    ],
)
def test_whatever_tells_another_history_is_a_doubt(changed: dict[str, Any], reason: str) -> None:
    assert BEFORE.doubts(replace(LATER, **changed)) == reason


def test_nothing_was_written_only_if_no_transaction_was_open_or_began() -> None:
    quiet = replace(BEFORE, xmin=1000)
    assert quiet.is_still(replace(LATER, xmin=1000, xmax=1000))
    assert not BEFORE.is_still(replace(LATER, xmin=1000, xmax=1000))
    assert not quiet.is_still(replace(LATER, xmin=1000, xmax=1001))


def test_a_position_survives_being_written_down() -> None:
    assert Position.read(BEFORE.written()) == BEFORE
    with pytest.raises(TypeError):
        Position.read({**BEFORE.written(), "unknown": 1})
