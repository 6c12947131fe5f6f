"""Do the work of a run without Prefect, in a process of its own: `python -m bench.without_prefect RULES JOBS MODE INDEXES`.

The URLs are in ETL_DB_URL and ORIGIN_DB_URL. Prints the seconds of each stage as JSON.
"""

import json
import os
import sys
from dataclasses import replace

from multischema import pipeline
from multischema.planning import Job
from multischema.postgres.sessions import Database, new_run_id

APP = "bench"
READER = "metabase"


def main(rules: str, jobs: str, mode: str, indexes: str) -> int:
    """Publish; return the exit status."""
    job = Job(APP, APP, "public", READER, int(jobs), 60, new_run_id())
    job = replace(job, mode=mode, indexes=indexes)  # type: ignore[arg-type]
    origin = Database("origin", APP, os.environ["ORIGIN_DB_URL"])
    published = pipeline.run(job, rules, origin, Database("target", APP, os.environ["ETL_DB_URL"]))
    print(json.dumps({"stages": published.seconds, "warnings": len(published.warnings)}))
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
