"""What every measurement needs: a folder and two servers of its own, and the memory of processes."""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import psycopg
from psycopg import sql

from bench.without_prefect import READER
from demo import alone
from demo.servers import Server, embedded_bin


@contextmanager
def folder_in(place: str | None) -> Iterator[Path]:
    """Work in a folder of its own, made in a place or the system's temporary one, with nothing that a user has set."""
    with tempfile.TemporaryDirectory(prefix="bench-", dir=place) as folder:
        own = alone.checkout(Path(folder).resolve())
        alone.enter(own)
        yield own


@contextmanager
def servers(folder: Path, majors: tuple[int, int], settings: Mapping[str, str]) -> Iterator[tuple[Server, Server]]:
    """Start the origin's server and the target's, with the reader, and stop them at the end."""
    made: list[Server] = []
    try:
        for name, major in zip(("origin", "target"), majors, strict=True):
            made.append(Server.create(folder / name, embedded_bin(major), settings))
            made[-1].start()
        with psycopg.connect(made[1].url(), autocommit=True) as connection:
            connection.execute(sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(READER)))
        yield made[0], made[1]
    finally:
        for server in made:
            server.kill()


def together(processes: Sequence[psutil.Process]) -> int:
    """Return the memory that processes use, in bytes, counting what they share once."""
    used = 0
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            used += process.memory_full_info().pss
    return used
