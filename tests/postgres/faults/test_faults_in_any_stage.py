"""Faults in every stage of both modes: whatever happens, what is published is whole, and the next run needs no help.

A proxy holds the answer to a statement of the stage back: there the run stands when the fault comes.
"""

import re
import tempfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from bench.link import delayed
from demo.servers import Server
from multischema import pipeline
from multischema.errors import ConnectionLost
from multischema.pipeline import Published
from multischema.postgres import database, sessions
from multischema.postgres.database import Database
from multischema.postgres.sessions import Sessions
from tests.conftest import Place
from tests.support.clients import left_in
from tests.support.dumps import MEMBERS
from tests.support.gates import PATIENCE, eventually
from tests.support.proxy import Proxy, proxied
from tests.support.runs import RULES, UNGATED, Running, behind_proxy, no_sessions, run_of_users

pytestmark = pytest.mark.usefixtures("private")

ROWS = b"x" * 99  # of table gated


@dataclass(frozen=True)
class Moment:
    """A moment of a stage: what the run has sent to a server, or got of it, and what the run says it was doing."""

    stage: str
    side: str
    says: str
    sent: bytes = b""
    got: bytes = b""
    mode: str = "stream"
    run: int = 1  # that is published then

    def __str__(self) -> str:
        return f"{self.stage}, {self.side}, {self.mode}"

    def hold(self, proxy: Proxy) -> None:
        """Have the proxy stall then."""
        if self.sent:
            proxy.stall_at_request(self.sent)
        else:
            proxy.stall_at_answer(self.got)


MOMENTS = [
    Moment("check", "origin", "reading the catalog", sent=b"pg_attrdef"),
    Moment("lock", "target", "taking the app's lock|reading the catalog", sent=b"pg_try_advisory_lock"),
    Moment("build", "target", "creating table .*", sent=b"CREATE TABLE"),
    Moment("copy", "origin", "copying (gated|users)", got=ROWS),
    Moment("copy", "target", "copying (gated|users)", sent=ROWS),
    Moment("compare", "origin", "reading the catalog", sent=b"COPY.*relfilenode"),
    Moment("index", "target", "building index .*", sent=b"CREATE UNIQUE INDEX"),
    Moment("verify", "target", "verifying table .*", sent=b"FILTER"),
    Moment("publish", "target", "publishing schema shop", sent=b"ALTER SCHEMA"),
    Moment("commit", "target", "publishing schema shop", sent=b"ALTER SCHEMA.*COMMIT", run=2),
    Moment("clean", "target", "dropping schema etl_old_.*", sent=b"DROP TABLE", run=2),
    Moment("dump", "origin", "dump", got=ROWS, mode="dump"),
    Moment("restore", "target", "restoring (gated|users|rows)|comparing the tables .*", sent=ROWS, mode="dump"),
    Moment(
        "copy",
        "target",
        "copying (gated|users)|publishing schema shop",
        sent=b"COPY \\(SELECT",
        mode="dump",
    ),
    Moment("clean", "target", "emptying schema public", sent=b"GRANT.*DROP TABLE", mode="dump", run=2),
]


def cut(proxy: Proxy, server: Server) -> None:
    """Cut every connection; new ones are served."""
    proxy.cut()
    proxy.go_on()


def stall(proxy: Proxy, server: Server) -> None:
    """Take what comes and pass nothing on, of new connections neither."""


def kill(proxy: Proxy, server: Server) -> None:
    """Kill every process of the server with -9, and start it again."""
    server.kill()
    cut(proxy, server)
    server.start()


def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a run give up soon what it gives up in minutes; two seconds are the shortest time that libpq waits."""
    monkeypatch.setattr(sessions, "HEARTBEAT", 0.3)
    monkeypatch.setattr(database, "CONNECT_TIMEOUT", 2)
    monkeypatch.setattr(sessions, "CANCEL_TIMEOUT", 1)


@pytest.fixture
def here(make_place: Callable[..., Place]) -> Place:
    """Return a place on servers that may be killed; run 1 is published, and the origin holds what would be run 2."""
    place = make_place(own="faults")
    place.in_origin(UNGATED)
    place.run(RULES)
    place.in_origin("UPDATE users SET run = 2")
    return place


@pytest.fixture(autouse=True)
def no_process_left() -> Iterator[None]:
    """See that no process that a test started outlives it; a Prefect server of other tests may go on."""
    before = set(psutil.Process().children(recursive=True))
    yield
    eventually(lambda: set(psutil.Process().children(recursive=True)) <= before, "no process")


def clean(place: Place) -> None:
    """See that nothing of a run is left: no schema, no raw data, no file, no session."""
    assert place.schemas() == {"shop"}
    assert place.read(MEMBERS, as_="superuser") == []
    assert left_in(Path(tempfile.gettempdir())) == []
    no_sessions(place)


@pytest.mark.slow
@pytest.mark.parametrize("fault", [cut, stall, kill], ids=lambda fault: fault.__name__)
@pytest.mark.parametrize("moment", MOMENTS, ids=str)
def test_a_fault_leaves_one_run_published_as_a_whole_and_nothing_that_the_next_does_not_clean(
    moment: Moment,
    fault: Callable[[Proxy, Server], None],
    here: Place,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with behind_proxy(here, moment.side) as (proxy, databases), monkeypatch.context() as patched:
        patched.setattr("multischema.stages.run.PARTING", 0.5 if fault is stall else 30)
        if fault is stall:
            impatient(patched)
            patched.setattr(sessions, "SILENCES", 1)
        moment.hold(proxy)
        run = Running(here, *databases, mode=moment.mode)
        assert proxy.stalled.wait(PATIENCE)
        if moment.run == 2:  # the server may be committing yet
            eventually(lambda: run_of_users(here) == 2, "run 2")
        fault(proxy, here.origin_server if moment.side == "origin" else here.target_server)
        result = run.ended()
    if isinstance(result, Published):
        # that the snapshot was lost was found out before a table's session was: another one was taken
        assert (moment.stage, moment.side, moment.mode) == ("copy", "origin", "stream")
    else:
        assert isinstance(result, ConnectionLost), result
        # a thread that was about to open another session says that instead
        said = f"({moment.says}|setting up the session) failed|can't connect"
        assert re.fullmatch(f"{moment.side}{' shop' if moment.side == 'origin' else ''}: ({said}): [^\n]+", str(result))
        assert ("may be the new one already" in str(result)) == (moment.stage == "commit")
    no_sessions(here)
    assert run_of_users(here) == (2 if isinstance(result, Published) else moment.run)
    if fault is cut:  # the target serves: raw data does not wait for the next run
        assert here.read(MEMBERS, as_="superuser") == []
    here.run(RULES, mode=moment.mode)
    assert run_of_users(here) == 2
    clean(here)


@pytest.mark.slow
def test_a_link_that_stalls_for_a_while_fails_no_run(
    here: Place,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    impatient(monkeypatch)
    answers = Sessions._answers
    with behind_proxy(here, "origin") as (proxy, databases):

        def go_on_after_the_first_silence(*arguments: Any) -> bool:
            found = answers(*arguments)
            if not found:
                proxy.go_on()
            return found

        monkeypatch.setattr(Sessions, "_answers", go_on_after_the_first_silence)
        proxy.stall_at_answer(ROWS)
        # one table at a time: no other session is opened meanwhile, which would be given up after two seconds
        assert isinstance(Running(here, *databases, jobs=1).ended(), Published)
        assert proxy.stalled.is_set()
    assert run_of_users(here) == 2
    clean(here)


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["stream", "dump"])
@pytest.mark.parametrize("link", ["delay", "throttle"])
def test_a_run_over_slow_links_takes_longer_and_publishes_the_same(
    link: str,
    mode: str,
    here: Place,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    impatient(monkeypatch)
    origin, target = here.databases()
    with proxied(here.origin_server.port) as before_origin, proxied(here.target_server.port) as before_target:
        urls = before_origin.url(origin.url), before_target.url(target.url)
        for proxy in (before_origin, before_target):
            proxy.throttle(1_000_000 if link == "throttle" else 0)
        with delayed(urls[0], 0.01) as far_origin, delayed(urls[1], 0.01) as far_target:
            if link == "delay":
                urls = far_origin, far_target
            run = Running(here, Database("origin", "shop", urls[0]), Database("target", "shop", urls[1]), mode=mode)
            assert isinstance(run.ended(3 * PATIENCE), Published), run.result
    assert run_of_users(here) == 2
    clean(here)


# What else happens while a run goes on.


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["stream", "dump"])
def test_limits_that_the_servers_put_on_time_end_no_run(mode: str, here: Place) -> None:
    for place, role in ((here.in_origin, here.app), (here.in_target, here.etl)):
        for limit in ("statement_timeout", "idle_in_transaction_session_timeout", "idle_session_timeout", "lock_timeout"):
            place(f"ALTER ROLE {role} SET {limit} = '500ms'", superuser=True)
    here.in_target(f"ALTER ROLE {here.etl} SET transaction_timeout = '500ms'", superuser=True)
    with behind_proxy(here, "origin") as (proxy, databases):
        proxy.throttle(1_000_000)  # gated takes a second
        assert isinstance(Running(here, *databases, mode=mode).ended(), Published)
    assert run_of_users(here) == 2
    clean(here)


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["stream", "dump"])
@pytest.mark.parametrize("side", ["origin", "target"])
def test_a_server_without_a_connection_to_spare_fails_the_run_in_lines_that_say_so(
    side: str, mode: str, here: Place
) -> None:
    change, role = (here.in_origin, here.app) if side == "origin" else (here.in_target, here.etl)
    results = []
    for limit in range(12):
        change(f"ALTER ROLE {role} CONNECTION LIMIT {limit}", superuser=True)
        results.append(Running(here, mode=mode).ended())
        change(f"ALTER ROLE {role} CONNECTION LIMIT -1", superuser=True)
        if isinstance(results[-1], Published):
            break
        assert run_of_users(here) == 1
        clean(here)
    assert isinstance(results[-1], Published)
    for problem in (line for result in results[:-1] for line in str(result).splitlines()):
        assert problem.startswith("origin shop: " if side == "origin" else "target: ")
        assert f'too many connections for role "{role}"' in problem
        assert "use fewer jobs, or raise max_connections" in problem
    assert run_of_users(here) == 2


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["stream", "dump"])
def test_rules_that_change_after_the_check_are_those_of_the_next_run(mode: str, here: Place) -> None:
    with behind_proxy(here, "target") as (proxy, databases):
        proxy.stall_at_request(b"CREATE TABLE")
        run = Running(here, *databases, mode=mode)
        assert proxy.stalled.wait(PATIENCE)
        here.rules(RULES.replace("anonymized_column_names: [name]", "non_anonymized_column_names: [name]"))
        proxy.go_on()
        assert isinstance(run.ended(), Published)
    assert run_of_users(here) == 2
    assert here.read("SELECT min(name), max(name) FROM shop.users WHERE id IN (3, 7)") == [
        ("[valeur unique anonymisée 3]", "[valeur unique anonymisée 7]")
    ]


CHANGES = {
    "ALTER TABLE users ADD COLUMN iban text": "altered",
    "ALTER TABLE users DROP COLUMN run": "altered",
    "ALTER TABLE users RENAME name TO nom; ALTER TABLE users RENAME run TO name": "altered",
    "ALTER TABLE users RENAME TO people": "altered",
    "DROP TABLE users": "dropped",
    "DROP TABLE users; CREATE TABLE users (id int PRIMARY KEY, name text, run int)": "dropped",
    "TRUNCATE users": "rewritten or truncated",
    "CREATE TABLE later (secret text); VACUUM users": "published",
}


@pytest.mark.slow
@pytest.mark.parametrize("change", CHANGES)
def test_a_table_that_is_altered_between_the_check_and_the_dump_fails_the_run_by_name(change: str, here: Place) -> None:
    with behind_proxy(here, "origin") as (proxy, databases):
        proxy.stall_at_request(b"pg_catalog.set_config")  # of pg_dump, which has locked nothing yet
        run = Running(here, *databases, mode="dump")
        assert proxy.stalled.wait(PATIENCE)
        for statement in change.split(";"):
            here.in_origin(statement)
        proxy.go_on()
        result = run.ended()
    if CHANGES[change] == "published":
        assert isinstance(result, Published), result
        assert here.read("SELECT count(*), to_regclass('shop.later')::text FROM shop.users") == [(20, None)]
    else:
        assert str(result) == f"origin shop: table users was {CHANGES[change]} while it was dumped; start again"
        assert run_of_users(here) == 1
    clean(here)


@pytest.mark.slow
def test_three_apps_at_once_on_one_target_five_times_over(here: Place) -> None:
    apps = {"one": "stream", "two": "dump", "three": "stream"}
    rules = here.rules(RULES)
    for number in range(5):
        here.in_origin(f"UPDATE users SET run = {number}")
        together = threading.Barrier(len(apps))

        def publish(app: str, together: threading.Barrier = together) -> None:
            together.wait(PATIENCE)
            pipeline.run(here.job(app=app, schema=app, mode=apps[app]), rules, *here.databases())

        with ThreadPoolExecutor() as executor:
            list(executor.map(publish, apps))
        for app in apps:
            assert here.read(f"SELECT count(*), min(run), max(run) FROM {app}.users") == [(20, number, number)]
            assert here.read(f"SELECT count(*), count(DISTINCT name) FROM {app}.gated") == [(2000, 2000)]
    assert here.schemas() == {"shop", *apps}
    assert here.sessions() == {"origin": 0, "target": 0}
