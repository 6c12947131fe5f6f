"""Faults in every stage of both modes: whatever happens, what is published is whole, and the next run needs no help.

A proxy holds the answer to a statement of the stage back: there the run stands when the fault comes.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from bench.link import delayed
from demo.servers import Server
from multischema.errors import EtlError
from multischema.pipeline import Published
from multischema.postgres import sessions
from multischema.postgres.sessions import Database
from tests.conftest import PROGRAMS, Place
from tests.postgres.gates import PATIENCE, eventually
from tests.postgres.proxy import Proxy, proxied
from tests.postgres.test_dump import MEMBERS, left_in, private  # noqa: F401 - a fixture
from tests.postgres.test_faults import RULES, UNGATED, Run, behind_proxy, no_sessions, published, run_of_users

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
    Moment("check", "origin", "", sent=b"pg_attrdef"),
    Moment("lock", "target", "", sent=b"pg_try_advisory_lock"),
    Moment("build", "target", "", sent=b"CREATE TABLE"),
    Moment("copy", "origin", "", got=ROWS),
    Moment("copy", "target", "", sent=ROWS),
    Moment("compare", "origin", "", sent=b"COPY.*relfilenode"),
    Moment("index", "target", "", sent=b"CREATE UNIQUE INDEX"),
    Moment("verify", "target", "", sent=b"FILTER"),
    Moment("publish", "target", "", sent=b"ALTER SCHEMA"),
    Moment("commit", "target", "", sent=b"ALTER SCHEMA.*COMMIT", run=2),
    Moment("clean", "target", "", sent=b"DROP TABLE", run=2),
    Moment("dump", "origin", "", got=ROWS, mode="dump"),
    Moment("restore", "target", "", sent=ROWS, mode="dump"),
    Moment("copy", "target", "", sent=b"COPY \\(SELECT", mode="dump"),
    Moment("clean", "target", "", sent=b"GRANT.*DROP TABLE", mode="dump", run=2),
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
    proxy.go_on()
    server.start()


@pytest.mark.slow
@pytest.mark.parametrize("fault", [cut, stall, kill], ids=lambda fault: fault.__name__)
@pytest.mark.parametrize("moment", MOMENTS, ids=str)
def test_a_fault_leaves_one_run_published_as_a_whole_and_nothing_that_the_next_does_not_clean(
    moment: Moment,
    fault: Callable[[Proxy, Server], None],
    make_place: Callable[..., Place],
    private: Path,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sessions, "HEARTBEAT", 0.3)
    monkeypatch.setattr(sessions, "CONNECT_TIMEOUT", 2)
    place = make_place(own="faults")
    place.in_origin(UNGATED)
    place.run(RULES)
    place.in_origin("UPDATE users SET run = 2")
    with behind_proxy(place, moment.side) as (proxy, databases):
        moment.hold(proxy)
        run = Run(place, *databases, mode=moment.mode)
        assert proxy.stalled.wait(PATIENCE)
        fault(proxy, place.origin_server if moment.side == "origin" else place.target_server)
        result = run.ended()
    print("SAYS", moment, fault.__name__, repr(result)[:400])
    assert isinstance(result, EtlError), result
    assert "\n" not in str(result)
    no_sessions(place)
    assert run_of_users(place) == moment.run
    eventually(lambda: psutil.Process().children(recursive=True) == [], "no process")
    place.run(RULES, mode=moment.mode)
    assert run_of_users(place) == 2
    assert place.schemas() == {"shop"}
    assert place.read(MEMBERS, as_="superuser") == []
    assert left_in(private) == []
