"""Start the worker of the work pool `scaleway`: `python -m deployment.scaleway`."""

import argparse
import os
import signal
import sys
from collections.abc import Sequence

from multischema import command


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command until it is told to stop; return its exit status."""
    given = _parser().parse_args(arguments)
    return command.ended(lambda: _run(given))


def _run(given: argparse.Namespace) -> None:
    """Work until the worker is told to stop. Raises UsageError.

    Import Prefect only once .env is read: it reads its settings on import.
    """
    import anyio

    from blocks import urls
    from deployment.scaleway import ScalewayWorker
    from deployment.scaleway.api import Jobs

    Jobs.from_environment(os.environ)
    urls.api_url()
    worker = ScalewayWorker(work_pool_name=given.pool, name=given.name, limit=given.limit)
    # How hosts stop a container. The jobs go on; the next worker follows them.
    # SIGINT may be ignored: a shell that is not interactive starts background jobs so.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    try:
        anyio.run(worker.start, given.run_once, given.with_healthcheck, _say)
    except KeyboardInterrupt:
        _say(f"worker {given.name} stopped; jobs under way go on, and the next worker takes them up")


def _say(*words: object) -> None:
    print(*words, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m deployment.scaleway",
        description="Run the flow runs of a work pool of type scaleway as Scaleway Serverless Jobs, and follow them.",
        epilog="The environment (or .env) has SCW_SECRET_KEY, the secret key of a Scaleway API key, and PREFECT_API_URL.",
    )
    parser.add_argument(
        "--pool", metavar="NAME", default="scaleway", help="the work pool; created if it is missing (default: scaleway)"
    )
    parser.add_argument(
        "--name", metavar="NAME", default="scaleway", help="the worker's name: keep it across restarts (default: scaleway)"
    )
    parser.add_argument("--limit", metavar="N", type=int, help="jobs at a time (default: as many as are due)")
    parser.add_argument("--run-once", action="store_true", help="start what is due, follow it to its end, then exit")
    parser.add_argument("--with-healthcheck", action="store_true", help="answer http://0.0.0.0:8080/health")
    return parser


if __name__ == "__main__":
    sys.exit(main())
