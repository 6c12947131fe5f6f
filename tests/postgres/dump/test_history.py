"""As of when dumps and backups are, in the history of runs."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from multischema.dumps.directory import kept_path
from multischema.stages import restore
from tests.conftest import Place
from tests.support.dumps import ORIGIN, RULES, backup

pytestmark = pytest.mark.slow

LAST = "SELECT kind, snapshot_at FROM etl_report.runs ORDER BY id DESC LIMIT 1"


def snapshot_at(place: Place) -> datetime | None:
    """Return as of when the history says that the data is."""
    ((kind, at),) = place.read(LAST)
    assert kind == "full"
    found: datetime | None = at
    return found


def test_a_dump_is_as_of_its_snapshot_and_so_is_one_that_is_kept(place: Place, private: Path) -> None:
    place.in_origin(ORIGIN)
    before = datetime.now(UTC)
    place.run(RULES, mode="dump", keep_dump=True)
    taken = snapshot_at(place)
    assert taken is not None
    assert before < taken < datetime.now(UTC)
    place.run(RULES, mode="dump", keep_dump=True)
    assert snapshot_at(place) == taken
    place.run(RULES, mode="dump")
    assert snapshot_at(place) != taken
    facts = kept_path("shop") / "facts.json"
    facts.write_text(facts.read_text().replace("taken_at", "unknown"))
    place.run(RULES, mode="dump", keep_dump=True)
    assert snapshot_at(place) is None


@pytest.mark.parametrize("form", ["custom", "tar"])
def test_a_backup_is_as_of_the_time_in_its_header(place: Place, private: Path, tmp_path: Path, form: str) -> None:
    place.in_origin(ORIGIN)
    before = datetime.now(UTC).replace(microsecond=0)
    file = backup(place, tmp_path / "backup", f"--format={form}")
    after = datetime.now(UTC)
    place.run(RULES, from_dump=str(file))
    taken = snapshot_at(place)
    assert taken is not None
    assert before <= taken <= after


def test_a_backup_that_says_it_is_of_tomorrow_tells_no_time(
    place: Place, private: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.in_origin(ORIGIN)
    file = backup(place, tmp_path / "backup", "--format=custom")
    tomorrow = datetime.now() + timedelta(days=1)
    monkeypatch.setattr(restore.archives, "made_at", lambda printed: tomorrow)
    place.run(RULES, from_dump=str(file))
    assert snapshot_at(place) is None
