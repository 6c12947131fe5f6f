"""Whatever writers do meanwhile, a refresh publishes what the origin's own masked SELECT gives in the refresh's snapshot."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial

import psycopg
import pytest
from psycopg import sql

from multischema import pipeline
from multischema.catalog.position import Position
from multischema.errors import OriginChanged
from multischema.masks import pseudonyms
from multischema.pipeline import Published
from multischema.plan import refresh as decisions
from multischema.plan.plan import Plan
from multischema.postgres.connecting import Connection, connect
from multischema.postgres.copying import Snapshot
from multischema.postgres.database import Database
from multischema.stages import anonymize, refresh
from multischema.stages.run import Run
from multischema.statements import reading
from tests.conftest import PAIRS, Place
from tests.support.cases import SETTINGS
from tests.support.writers import ORIGIN, RULES, Keeper, Writers

Rows = dict[str, Counter[bytes]]
HELD = refresh.held_snapshot
KEY = bytes(range(32))


@dataclass
class Witness:
    """Reads the origin in the very snapshot that a run holds: what the run must publish."""

    connection: Connection
    rows: Rows = field(default_factory=dict)
    then: Callable[[], object] = lambda: None

    @contextmanager
    def held_snapshot(self, run: Run, source: Database, plan: Plan) -> Iterator[Snapshot]:
        """Hold a snapshot as the run would, and read all tables in it before the run does."""
        with HELD(run, source, plan) as snapshot:
            self.connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            self.connection.execute(sql.SQL("SET TRANSACTION SNAPSHOT {}").format(sql.Literal(snapshot.identifier)))
            self.rows = {t.name: _lines(self.connection, reading.select(t, "public")) for t in plan.copied}
            self.connection.execute("COMMIT")
            self.then()
            yield snapshot


@dataclass
class Tally:
    """What came of the runs of a fuzz; tables are counted once for each refresh."""

    refreshes: int = 0
    changed: int = 0  # tables whose rows were replaced one by one
    whole: int = 0  # tables that were taken whole
    keys: int = 0  # tables whose keys were sent, because they had lost rows
    unchanged: int = 0  # tables that were left alone
    open: int = 0  # refreshes since a snapshot at which transactions were open
    full: list[str] = field(default_factory=list)
    rewritten: int = 0  # runs that gave up because a table was rewritten meanwhile
    wrong: list[str] = field(default_factory=list)

    def add(self, published: Published) -> None:
        """Count a run."""
        if not published.refreshed:
            self.full.append(published.choice.full)
            return
        brought = published.refreshed.brought
        changes = brought.choice.changes
        self.refreshes += 1
        self.changed += sum(not change.whole for change in changes)
        self.whole += sum(bool(change.whole) for change in changes)
        self.keys += sum(change.table.name in brought.gone and not change.whole for change in changes)
        self.unchanged += len(published.plan.copied) - len(changes)
        self.open += brought.known.position.xmin < brought.known.position.xmax


def fuzz(place: Place, monkeypatch: pytest.MonkeyPatch, *, rounds: int, seed: int) -> Tally:
    """Publish an origin that writers change without pause, again and again, and compare each time.

    Some rounds rewrite a table, between two runs or while one holds its snapshot; some ask for a full run. The first round
    with wrong rows is the last one.
    """
    monkeypatch.setattr(decisions, "PAGES", 2)
    place.in_origin(ORIGIN)
    origin, target = place.databases()
    its_key = tuple(pseudonyms.settings(KEY, ["person_email"]).items())

    def run(how: str) -> Published:
        return pipeline.run(place.job(refresh=how), place.rules(RULES), origin, target, find_key=lambda: KEY)

    tally = Tally()
    keeper, writers = Keeper(place.origin_url, seed), Writers(place.origin_url, seed)
    with (
        connect(replace(origin, secrets=its_key), "witness") as its,
        psycopg.connect(place.reader_url, autocommit=True, options=SETTINGS) as reader,
    ):
        witness = Witness(its)
        for stage in (anonymize, refresh):
            monkeypatch.setattr(stage, "held_snapshot", witness.held_snapshot)
        run("auto")
        with writers.writing(), keeper.keeping():
            for number in range(1, rounds + 1):
                writers.wait(transactions=20)
                if number % 3 == 0:
                    keeper.alter()
                rewritten: list[bool] = []
                witness.then = partial(_rewrite, keeper, rewritten) if number % 10 == 7 else lambda: None
                before = witness.rows
                try:
                    published = run("full" if number % 11 == 5 else "auto")
                except OriginChanged:
                    assert rewritten[-1:] == [True]
                    tally.rewritten += 1
                    witness.rows = before
                else:
                    assert rewritten[-1:] != [True]
                    tally.add(published)
                tally.wrong = [f"round {number}: {line}" for line in _differences(witness.rows, reader)]
                if tally.wrong:
                    break
    return tally


def _rewrite(keeper: Keeper, rewritten: list[bool]) -> None:
    """Rewrite a table while a run holds its snapshot."""
    rewritten.append(keeper.rewrite())


def _differences(expected: Rows, reader: psycopg.Connection[tuple[object, ...]]) -> list[str]:
    """Return a line for each table of which the reader sees other rows than expected."""
    lines = []
    for name, rows in expected.items():
        seen = _lines(reader, sql.SQL("SELECT * FROM {}").format(sql.Identifier("shop", name)))
        if seen != rows:
            lines.append(f"{name}: {seen.total():,} rows for {rows.total():,}; lacks {rows - seen}; has {seen - rows}")
    return lines


def _lines(connection: "psycopg.Connection[tuple[object, ...]] | Connection", query: sql.Composed) -> Counter[bytes]:
    """Return the rows of a query as COPY writes them, each with how often it comes."""
    with connection.cursor() as cursor, cursor.copy(sql.SQL("COPY ({}) TO STDOUT").format(query)) as copy:
        return Counter(b"".join(copy).splitlines())


def judge(tally: Tally, rounds: int) -> None:
    """Refuse wrong rows, and a fuzz that did not try all that there is to try."""
    assert not tally.wrong
    assert tally.refreshes + len(tally.full) + tally.rewritten == rounds
    assert tally.refreshes >= 0.7 * rounds, tally.full
    assert tally.open >= 0.5 * rounds
    assert tally.changed >= 3 * rounds
    assert tally.keys >= 2 * rounds
    assert tally.whole >= rounds
    assert tally.unchanged >= 0.7 * rounds


def test_a_refresh_publishes_what_the_origin_has_in_its_snapshot_whatever_is_written_meanwhile(
    place: Place, tiny: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    judge(fuzz(place, monkeypatch, rounds=20, seed=1), 20)


@pytest.mark.slow
@pytest.mark.parametrize(("origin", "target"), PAIRS, ids=[" to ".join(pair) for pair in PAIRS])
def test_many_refreshes_publish_what_the_origin_has(
    origin: str, target: str, make_place: Callable[..., Place], tiny: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    judge(fuzz(make_place(origin, target), monkeypatch, rounds=60, seed=2), 60)


@pytest.mark.slow
def test_the_fuzz_finds_wrong_rows_where_the_window_lacks_transactions_that_were_open(
    place: Place, tiny: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Position, "lower", property(lambda position: position.xmax))
    assert fuzz(place, monkeypatch, rounds=60, seed=3).wrong
