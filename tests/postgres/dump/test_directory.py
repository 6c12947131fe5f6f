"""Where dumps lie: a private directory that goes with the run, on a disk that may be full, or one that is kept."""

import shutil
import stat
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from multischema import pipeline
from multischema.errors import EtlError
from multischema.stages.run import Run
from tests.conftest import Place
from tests.support.clients import left_in, program
from tests.support.dumps import ORIGIN, RULES, nothing_left, published, run_of_users

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("private")]


def test_a_disk_that_is_full_before_or_while_a_dump_is_written_is_one_clear_error(
    place: Place, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, private: Path
) -> None:
    published(place)
    place.in_origin("INSERT INTO users SELECT n, md5(n::text), 2 FROM generate_series(100, 50000) AS n")
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    program(tmp_path, "pg_dump", 'ulimit -f 100; trap "" XFSZ; exec "$real" "$@"')
    with pytest.raises(EtlError) as failed:
        place.run(RULES, mode="dump")
    (problem,) = failed.value.problems
    assert problem.startswith("origin shop: dump failed: ")
    assert "File too large" in problem
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(0, 0, 1 << 20))
    with pytest.raises(EtlError, match=r"origin shop: dump: 1 MiB are free in .*, want about"):
        place.run(RULES, mode="dump")
    assert run_of_users(place) == 1
    nothing_left(place, private)


def test_threads_that_ask_for_the_private_directory_at_once_get_the_same_and_it_goes_with_the_run(
    place: Place, private: Path
) -> None:
    together = threading.Barrier(8)

    def ask(run: Run) -> Path:
        together.wait()
        return run.directory.path

    with pipeline.open_run(place.job(mode="dump"), *place.databases()) as run, ThreadPoolExecutor(8) as executor:
        assert len(set(executor.map(ask, [run] * 8))) == 1
    assert left_in(private) == []


def test_a_folder_for_dumps_that_cannot_be_written_is_refused_and_no_other_is_taken(
    place: Place, private: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.in_origin(ORIGIN)
    monkeypatch.setenv("TMPDIR", str(private / "nowhere"))
    with pytest.raises(EtlError) as failed:
        place.run(RULES, mode="dump")
    assert failed.value.problems == (
        f"dump: TMPDIR is {private}/nowhere, which can't be written; set TMPDIR to a folder that can, or use mode stream",
    )
    place.run(RULES)
    nothing_left(place, private)


def test_a_kept_dump_is_told_of_and_the_next_run_starts_from_it(place: Place, private: Path) -> None:
    published(place)
    kept = private / "multi-schema-postgres-etl-kept-shop"
    first = place.run(RULES, mode="dump", keep_dump=True)
    assert first.warnings == (f"the dump with its personal data is kept in {kept}; delete it",)
    assert stat.S_IMODE(kept.stat().st_mode) == 0o700
    assert run_of_users(place) == 2
    place.in_origin("UPDATE users SET run = 3")
    second = place.run(RULES, mode="dump", keep_dump=True)
    assert second.warnings == (f"the dump {kept} of an earlier run was restored",)
    assert run_of_users(place) == 2
    place.in_origin("ALTER TABLE users ADD phone text")
    with pytest.raises(EtlError, match="is of other tables than there are now; delete it"):
        place.run(RULES.replace("[run]", "[run, phone]"), mode="dump", keep_dump=True)
    place.run(RULES.replace("[run]", "[run, phone]"), mode="dump")
    assert run_of_users(place) == 3
    assert left_in(private) == [kept.name]
