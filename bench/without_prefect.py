"""Do the work of a run without Prefect, in a process of its own: `python -m bench.without_prefect RULES JOBS MODE INDEXES`.

The URLs are in ETL_DB_URL and ORIGIN_DB_URL. Prints the seconds of each stage as JSON.
"""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import replace

from multischema import pipeline
from multischema.job import Job
from multischema.postgres.database import Database
from multischema.stages.run import new_run_id

APP = "bench"
READER = "metabase"


def main(arguments: Sequence[str] | None = None) -> int:
    """Publish; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.without_prefect", description="Do the work of a run without Prefect, for the benchmark."
    )
    parser.add_argument("rules")
    parser.add_argument("jobs", type=int)
    parser.add_argument("mode", choices=("stream", "dump"))
    parser.add_argument("indexes", choices=("useful", "all"))
    given = parser.parse_args(arguments)
    job = Job(APP, APP, "public", READER, given.jobs, 60, new_run_id())
    job = replace(job, mode=given.mode, indexes=given.indexes)
    origin = Database("origin", APP, os.environ["ORIGIN_DB_URL"])
    published = pipeline.run(job, given.rules, origin, Database("target", APP, os.environ["ETL_DB_URL"]))
    print(json.dumps({"stages": published.seconds, "warnings": len(published.warnings)}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
